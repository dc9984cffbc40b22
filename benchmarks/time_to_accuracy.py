"""Seconds until 99.0 % of MNIST's test images are right: hpcnn's recipe beside the lecture's network as printed.

``python benchmarks/time_to_accuracy.py [--repeats N] [--json FILE]`` trains the packaged study ``time_to_accuracy``
and, by ``model.fit``, PSC's network with dropout (batch 32, SGD with momentum 0.9, float32) until an epoch ends with
the target reached, each with seeds 1 to N, in turn. Both clocks run from the first step to the end of that epoch, the
tests after each epoch included; loading data and importing TensorFlow are not. It needs MNIST (``HPCNN_DATA``).
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from common import PEERS, Result, data_file, machine, markdown, parser, report

from hpcnn.util import toml

STUDY = Path(__file__).parent.parent / "scaling_studies" / "time_to_accuracy.toml"
LECTURE = ("psc-cnn-dropout", "float32", 15, 32, 1 / 255)


def own(train: Mapping[str, Any], file: Path, seed: int, folder: Path) -> dict[str, Any]:
    """Train what the study trains and return its result."""
    run = folder / f"seed-{seed}"
    words = ["--run-dir", run, "--seed", seed, "--data", file]
    for key, value in train.items():
        if key != "data":
            words += ["--" + key.replace("_", "-"), value]
    subprocess.run([sys.executable, "-m", "hpcnn", "train", *map(str, words)], check=True, capture_output=True)
    result: dict[str, Any] = json.loads((run / "result.json").read_text())
    return {
        "seconds": result["seconds_to_target"],
        "epochs": result["epochs"],
        "accuracy": result["test"]["accuracy"],
    }


def lecture(file: Path, seed: int, target: float, epochs: int) -> dict[str, Any]:
    """Train as the lecture does and return the same."""
    model, precision, _, batch, scale = LECTURE
    threads = len(os.sched_getaffinity(0))
    words = [PEERS / "lecture_fit.py", model, file, precision, epochs, batch, scale, threads, seed, target]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2"}
    done = subprocess.run(
        [sys.executable, *map(str, words)], env=environment, check=True, capture_output=True, text=True
    )
    found = json.loads(done.stdout.splitlines()[-1])
    return {
        "seconds": found["seconds_to_target"],
        "epochs": len(found["seconds"]),
        "accuracy": found["test_accuracy"],
    }


def measure(repeats: int, *, smoke: bool) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield (way, what came out), way after way, seed after seed."""
    train = toml.read(STUDY)["train"]
    target = 0.05 if smoke else train["target_accuracy"]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        file = data_file(folder, 600 if smoke else 60_000)
        for seed in range(1, repeats + 1):
            yield "hpcnn", own({**train, "target_accuracy": target}, file, seed, folder)
            yield "the lecture's", lecture(file, seed, target, 1 if smoke else LECTURE[2])


def main() -> None:
    """Measure, print, and write what was measured."""
    options = parser(__doc__, repeats=5).parse_args()
    facts, results = machine(), {}
    rows: dict[str, list[dict[str, Any]]] = {}
    for way, found in measure(1 if options.smoke else options.repeats, smoke=options.smoke):
        print(f"{way}: {found}", file=sys.stderr)
        rows.setdefault(way, []).append(found)
        if found["seconds"] is not None:  # else the target was not reached, which the table says
            case = results.setdefault(way, Result("MNIST to 99.0 %", way, "s"))
            case.values.append(found["seconds"])
    ratio = ""
    lines = []
    for way, runs in rows.items():
        times = results[way].values if way in results else []
        reached = f"{len(times)} of {len(runs)}"
        if way != "hpcnn" and times and "hpcnn" in results:
            ratio = f"{statistics.median(times) / results['hpcnn'].median:.1f} x"
        epochs = f"{statistics.median(run['epochs'] for run in runs):g}"
        accuracy = f"{min(run['accuracy'] for run in runs):.2%}..{max(run['accuracy'] for run in runs):.2%}"
        middle = f"{statistics.median(times):.1f}" if times else ""
        lines.append((way, reached, middle, results[way].spread(".1f") if times else "", epochs, accuracy, ratio))
    headings = ("way", "reached", "seconds, median", "min..max", "epochs", "test accuracy", "hpcnn is faster")
    report("time_to_accuracy", facts, markdown(headings, lines), results.values(), options.json)


if __name__ == "__main__":
    main()
