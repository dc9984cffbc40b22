"""How fast one process trains: hpcnn beside the lecture's ``model.fit`` and beside PyTorch, in ratios from one run.

``python benchmarks/training.py [--torch FOLDER] [--repeats N] [--json FILE]`` trains two networks of the lectures on
MNIST (``HPCNN_DATA``; without it, on random images of the same shape, where accuracies mean nothing) in float32 and
bfloat16: hpcnn and its peers in turn, each in a process of its own, with the same threads, batch, optimizer and number
of epochs. It prints the images/s of the epochs after the first, median and range over the trainings, and what hpcnn's
median is of each peer's. PyTorch is looked for in the environment FOLDER.

``--network NAME`` trains a network of research instead, on random images in colour: hpcnn, hpcnn without its rewrites
(``HPCNN_REWRITE=0``), ``model.fit``, and PyTorch (channels last, eager and by ``torch.compile``; with torchvision in
FOLDER) in turn. Every ratio is of two trainings of one round. The first epoch, which the rates leave out, has a column
of its own: it includes tracing.
"""

from __future__ import annotations

import dataclasses
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common import PEERS, Result, data_file, machine, markdown, parser, report


@dataclass(frozen=True)
class Case:
    """One network as the lecture trains it."""

    name: str
    batch: int
    scale: float
    pixel_scale: str
    epochs: int


@dataclass(frozen=True)
class Network:
    """A network of research with images of its size; so few that an epoch takes seconds."""

    model: str
    arguments: Mapping[str, Any]
    side: int
    batch: int
    images: int
    epochs: int = 3


NETWORKS = {
    "resnet20": Network("wolter-cifar10-resnet110", {"depth": 20}, 32, 64, 640),
    "mobilenetv3small": Network("keras.applications:MobileNetV3Small", {"dropout_rate": 0.0}, 64, 32, 640),
    "unet": Network("unet:unet", {}, 32, 16, 320),
    "resnet50": Network("keras.applications:ResNet50", {}, 64, 16, 96),
    "densenet121": Network("keras.applications:DenseNet121", {}, 64, 16, 96),
    "efficientnetb0": Network("keras.applications:EfficientNetB0", {}, 64, 16, 160),
}

WAYS = ("hpcnn", "hpcnn, HPCNN_REWRITE=0", "model.fit")
TORCH_WAYS = ("PyTorch, eager", "PyTorch, compile")

CASES = (Case("scinet-cnn1", 128, 1 / 255, "unit", 4), Case("psc-cnn-dropout", 32, 1 / 255, "unit", 3))


def hpcnn(case: Case, file: Path, precision: str, threads: int, seed: int, folder: Path) -> dict[str, Any]:
    """Train as ``hpcnn submit`` starts a job here and return what its record says, as the peers print it."""
    run = folder / f"{case.name}-{precision}-{seed}"
    words = [
        *(sys.executable, "-m", "hpcnn", "submit", "--quiet", "--run-dir", run, "--model", case.name, "--data", file),
        *("--precision", precision, "--epochs", case.epochs, "--batch-size", case.batch, "--seed", seed),
        *("--pixel-scale", case.pixel_scale, "--no-evaluate", "--ntasks", 1, "--cpus-per-task", threads),
    ]
    subprocess.run([str(word) for word in words], check=True, capture_output=True)
    lines = [json.loads(line) for line in (run / "epochs.rank00000.jsonl").read_text().splitlines()]
    accuracy = json.loads((run / "result.json").read_text())["test"]["accuracy"]
    return {
        "seconds": [line["seconds_total"] for line in lines],
        "samples": lines[0]["samples"],
        "test_accuracy": accuracy,
    }


def peer(python: Path, script: str, case: Case, file: Path, precision: str, threads: int, seed: int) -> dict[str, Any]:
    """Train by one of the peers' scripts."""
    words = [python, PEERS / script, case.name, file, precision, case.epochs, case.batch, case.scale, threads, seed]
    return _run(words, threads)


def measure(
    torch: Path | None, cases: Sequence[Case], precisions: Sequence[str], samples: int, repeats: int, threads: int
) -> Iterator[dict[str, Any]]:
    """Yield one record a training: all ways in turn, repeat after repeat."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        file = data_file(folder, samples)
        for repeat in range(1, repeats + 1):
            for case in cases:
                for precision in precisions:
                    facts = {"model": case.name, "precision": precision}
                    where = (case, file, precision, threads, repeat)
                    yield {**facts, "way": "hpcnn", **hpcnn(*where, folder)}
                    yield {**facts, "way": "model.fit", **peer(Path(sys.executable), "lecture_fit.py", *where)}
                    if torch is not None:
                        yield {**facts, "way": "PyTorch", **peer(torch / "bin" / "python", "torch_eager.py", *where)}


def measure_networks(
    torch: Path | None,
    names: Sequence[str],
    ways: Sequence[str],
    precisions: Sequence[str],
    images: int | None,
    repeats: int,
    threads: int,
) -> Iterator[dict[str, Any]]:
    """Yield one record a training of networks of research: all ways in turn, repeat after repeat."""
    with tempfile.TemporaryDirectory() as folder:
        for repeat in range(1, repeats + 1):
            for name in names:
                network = NETWORKS[name]
                file = images_file(Path(folder) / f"{name}.npz", network.side, images or network.images)
                for precision in precisions:
                    where = (network, file, precision, threads, repeat)
                    for way in ways:
                        record = _network_by(way, name, torch, *where)
                        yield {"model": name, "precision": precision, "way": way, **record}


def images_file(file: Path, side: int, count: int) -> Path:
    """Write random images in colour, square, and a tenth as many to test with; return the file."""
    import numpy as np

    draw = np.random.default_rng(1)
    sizes = {"train": count, "test": max(count // 10, 10)}
    arrays: dict[str, Any] = {
        f"x_{part}": draw.uniform(-1, 1, (n, side, side, 3)).astype(np.float32) for part, n in sizes.items()
    }
    np.savez(file, **arrays, **{f"y_{part}": np.arange(n) % 10 for part, n in sizes.items()})
    return file


def _network_by(way: str, name: str, torch: Path | None, *where: Any) -> dict[str, Any]:
    if way in TORCH_WAYS and torch is not None:
        return _network_by_torch(torch / "bin" / "python", name, way.rpartition(" ")[2], *where)
    if way == "model.fit":
        return _network_by_fit(*where)
    return _network_by_hpcnn(*where, rewrite=way == "hpcnn")


def network_words(network: Network) -> list[object]:
    """Return the options of ``hpcnn train`` for a network and what it is trained with, but not its data."""
    return [
        *("--model", network.model),
        *(word for key, value in network.arguments.items() for word in ("--model-arg", f"{key}={value}")),
        *("--epochs", network.epochs, "--batch-size", network.batch),
        *("--pixel-scale", "raw", "--optimizer", "sgd", "--learning-rate", 0.01),
    ]


def _network_by_hpcnn(
    network: Network, file: Path, precision: str, threads: int, seed: int, *, rewrite: bool
) -> dict[str, Any]:
    run = file.with_name(f"{file.stem}-{precision}-{seed}-{rewrite:d}")
    words = [
        *(sys.executable, "-m", "hpcnn", "submit", "--quiet", "--run-dir", run, *network_words(network)),
        *("--data", file, "--precision", precision, "--seed", seed),
        *("--no-evaluate", "--ntasks", 1, "--cpus-per-task", threads),
    ]
    environment = {**os.environ, "HPCNN_REWRITE": f"{rewrite:d}"}
    subprocess.run([str(word) for word in words], cwd=PEERS, env=environment, check=True, capture_output=True)
    lines = [json.loads(line) for line in (run / "epochs.rank00000.jsonl").read_text().splitlines()]
    accuracy = json.loads((run / "result.json").read_text())["test"]["accuracy"]
    seconds = [line["seconds_total"] for line in lines]
    return {"seconds": seconds, "samples": lines[0]["samples"], "test_accuracy": accuracy}


def _network_by_fit(network: Network, file: Path, precision: str, threads: int, seed: int) -> dict[str, Any]:
    given = (network.model, json.dumps(network.arguments), file, precision, network.epochs, network.batch)
    return _run([sys.executable, PEERS / "network_fit.py", *given, threads, seed], threads)


def _network_by_torch(
    python: Path, name: str, form: str, network: Network, file: Path, precision: str, threads: int, seed: int
) -> dict[str, Any]:
    given = (name, file, precision, network.epochs, network.batch, threads, seed, form)
    return _run([python, PEERS / "torch_networks.py", *given], threads)


def _run(words: Sequence[Any], threads: int) -> dict[str, Any]:
    """Run a peer's script and return what it prints in its last line."""
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "TF_CPP_MIN_LOG_LEVEL": "2"}
    done = subprocess.run([str(word) for word in words], env=environment, check=True, capture_output=True, text=True)
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def rate(record: dict[str, Any]) -> float:
    """Return the images/s of all epochs but the first, which pays for tracing, together.

    No median over epochs: those of ``model.fit`` may be fast and slow in turn (docs/benchmarks.md).
    """
    return float(record["samples"] / statistics.mean(record["seconds"][1:]))


def table(results: Sequence[Result], last: str, value: Mapping[tuple[str, str], str]) -> str:
    """Return the results as a Markdown table. last: the heading of the last column; value: what it has of each way."""
    own = {one.case: one for one in results if one.way == "hpcnn"}
    rows = []
    for one in results:
        ratio = "" if one.way == "hpcnn" else _ratio(own[one.case], one)
        cells = [*one.case.split(", "), one.way, f"{one.median:,.0f}", one.spread(), ratio, value[one.case, one.way]]
        rows.append(cells)
    return markdown(["network", "precision", "way", "images/s, median", "min..max", "hpcnn is", last], rows)


def _ratio(own: Result, other: Result) -> str:
    """Return the median of what hpcnn is of the other in trainings that followed each other, and the range."""
    ratios = [mine / theirs for mine, theirs in zip(own.values, other.values, strict=True)]
    return f"{statistics.median(ratios):.2f} x ({min(ratios):.2f}..{max(ratios):.2f})"


def main() -> None:
    """Measure, print, and write what was measured."""
    made = parser(__doc__, repeats=3)
    made.add_argument("--torch", type=Path, help="environment with PyTorch and NumPy")
    made.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)), help="threads [%(default)s]")
    made.add_argument("--model", action="append", choices=[case.name for case in CASES], help="only this network")
    made.add_argument("--network", action="append", choices=sorted(NETWORKS), help="a network of research instead")
    made.add_argument(
        "--way", action="append", choices=(*WAYS[1:], *TORCH_WAYS), help="beside hpcnn only this way, with --network"
    )
    made.add_argument("--precision", action="append", choices=("float32", "bfloat16"), help="only this one")
    options = made.parse_args()
    if not options.torch and any(way in TORCH_WAYS for way in options.way or ()):
        made.error("PyTorch needs --torch FOLDER")
    if options.way and not options.network:
        made.error("--way needs --network")
    cases = [case for case in CASES if case.name in (options.model or [case.name for case in CASES])]
    precisions, samples, repeats = options.precision or ("float32", "bfloat16"), 60_000, options.repeats
    if options.smoke:
        cases, precisions, samples, repeats = [dataclasses.replace(CASES[0], epochs=2)], ("float32",), 1_024, 1
    facts, found = machine(), dict[tuple[str, str], Result]()
    accuracy, first = (defaultdict[tuple[str, str], list[float]](list) for _ in range(2))
    if options.network:
        images = 64 if options.smoke else None
        ways = (WAYS[0], *(options.way or (*WAYS[1:], *(TORCH_WAYS if options.torch else ()))))
        records = measure_networks(options.torch, options.network, ways, precisions, images, repeats, options.threads)
    else:
        records = measure(options.torch, cases, precisions, samples, repeats, options.threads)
    for record in records:
        case, way = f"{record['model']}, {record['precision']}", record["way"]
        value = rate(record)
        found.setdefault((case, way), Result(case, way, "images/s")).values.append(value)
        accuracy[case, way].append(record["test_accuracy"])
        first[case, way].append(record["seconds"][0])
        print(f"{case}, {way}: {value:,.0f} images/s", file=sys.stderr)
    results = list(found.values())
    if options.network:  # random images: accuracies mean nothing
        last = "first epoch, s, median", {key: f"{statistics.median(values):.1f}" for key, values in first.items()}
    else:
        last = "test accuracy, mean", {key: f"{statistics.mean(values):.2%}" for key, values in accuracy.items()}
    report("training", {**facts, "threads": options.threads}, table(results, *last), results, options.json)


if __name__ == "__main__":
    main()
