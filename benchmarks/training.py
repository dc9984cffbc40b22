"""How fast one process trains: hpcnn beside the lecture's ``model.fit`` and beside PyTorch, in ratios from one run.

``python benchmarks/training.py [--torch FOLDER] [--repeats N] [--json FILE]`` trains two networks of the lectures on
MNIST (``HPCNN_DATA``; without it, on random images of the same shape, where accuracies mean nothing) in float32 and
bfloat16: hpcnn and its peers in turn, each in a process of its own, with the same threads, batch, optimizer and number
of epochs. It prints the median images/s of the epochs after the first, their range, and what hpcnn's median is of each
peer's. PyTorch is looked for in the environment FOLDER.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

PEERS = Path(__file__).with_name("peers")


@dataclass(frozen=True)
class Case:
    """One network as the lecture trains it."""

    name: str
    batch: int
    scale: float
    pixel_scale: str
    epochs: int


CASES = (Case("scinet-cnn1", 128, 1 / 255, "unit", 4), Case("psc-cnn-dropout", 32, 1 / 255, "unit", 2))


def data_file(folder: Path) -> Path:
    """Return MNIST's file, or one of the same shape."""
    staged = Path(os.environ.get("HPCNN_DATA", "")) / "mnist.npz"
    if staged.is_file():
        return staged.absolute()
    draw = np.random.default_rng(1)
    sizes = {"train": 60_000, "test": 10_000}
    arrays: dict[str, Any] = {f"x_{part}": draw.integers(0, 256, (n, 28, 28), np.uint8) for part, n in sizes.items()}
    arrays |= {f"y_{part}": draw.integers(0, 10, n, np.uint8) for part, n in sizes.items()}
    np.savez(folder / "random.npz", **arrays)
    return folder / "random.npz"


def hpcnn(case: Case, file: Path, precision: str, threads: int, seed: int, folder: Path) -> dict[str, Any]:
    """Train by ``hpcnn train`` and return what its record says, as the peers print it."""
    run = folder / f"{case.name}-{precision}-{seed}"
    words = [
        *(sys.executable, "-m", "hpcnn", "train", "--run-dir", run, "--model", case.name, "--data", file),
        *("--precision", precision, "--epochs", case.epochs, "--batch-size", case.batch, "--seed", seed),
        *("--pixel-scale", case.pixel_scale, "--no-evaluate"),
    ]
    environment = {**os.environ, "HPCNN_CPUS_PER_TASK": str(threads)}
    subprocess.run([str(word) for word in words], env=environment, check=True, capture_output=True)
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
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "TF_CPP_MIN_LOG_LEVEL": "2"}
    done = subprocess.run([str(word) for word in words], env=environment, check=True, capture_output=True, text=True)
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def measure(torch: Path | None, repeats: int, threads: int, chosen: list[str]) -> Iterator[dict[str, Any]]:
    """Yield one record a training: all ways in turn, repeat after repeat."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        file = data_file(folder)
        for repeat in range(1, repeats + 1):
            for case in [case for case in CASES if case.name in chosen]:
                for precision in ("float32", "bfloat16"):
                    facts = {"model": case.name, "precision": precision, "repeat": repeat, "batch_size": case.batch}
                    where = (case, file, precision, threads, repeat)
                    yield {**facts, "way": "hpcnn", **hpcnn(*where, folder)}
                    yield {**facts, "way": "model.fit", **peer(Path(sys.executable), "lecture_fit.py", *where)}
                    if torch is not None:
                        yield {**facts, "way": "PyTorch", **peer(torch / "bin" / "python", "torch_eager.py", *where)}


def rates(record: dict[str, Any]) -> list[float]:
    """Return the images/s of every epoch but the first, which pays for tracing."""
    return [record["samples"] / seconds for seconds in record["seconds"][1:]]


def table(records: list[dict[str, Any]]) -> str:
    """Return the results as a Markdown table."""
    cells: dict[tuple[str, str], dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    accuracy: dict[tuple[str, str, str], list[float]] = defaultdict(list)
    for record in records:
        key = (record["model"], record["precision"])
        cells[key][record["way"]] += rates(record)
        accuracy[(*key, record["way"])].append(record["test_accuracy"])
    lines = [
        "| network | precision | way | images/s, median | min..max | hpcnn is | test accuracy, mean |",
        "|---|---|---|---|---|---|---|",
    ]
    for (model, precision), ways in cells.items():
        own = statistics.median(ways["hpcnn"])
        for way, values in ways.items():
            middle = statistics.median(values)
            spread = f"{min(values):,.0f}..{max(values):,.0f}"
            mean = statistics.mean(accuracy[model, precision, way])
            ratio = "" if way == "hpcnn" else f"{own / middle:.2f} x"
            lines.append(f"| {model} | {precision} | {way} | {middle:,.0f} | {spread} | {ratio} | {mean:.2%} |")
    return "\n".join(lines)


def main() -> None:
    """Measure, print, and write what was measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--torch", type=Path, help="environment with PyTorch and NumPy")
    parser.add_argument("--repeats", type=int, default=3, help="trainings of each way [%(default)s]")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)), help="threads [%(default)s]")
    parser.add_argument("--model", action="append", choices=[case.name for case in CASES], help="only this network")
    parser.add_argument("--json", type=Path, help="also write every number there")
    options = parser.parse_args()
    records = []
    for record in measure(options.torch, options.repeats, options.threads, options.model or [c.name for c in CASES]):
        records.append(record)
        middle = statistics.median(rates(record))
        print(f"{record['model']} {record['precision']} {record['way']}: {middle:,.0f} images/s", file=sys.stderr)
    print(f"{platform.machine()}, {options.threads} threads, {options.repeats} repeats")
    print(table(records))
    if options.json:
        options.json.write_text(json.dumps({"machine": platform.platform(), "records": records}, indent=2) + "\n")


if __name__ == "__main__":
    main()
