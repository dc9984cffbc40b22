"""What the start of a training consists of, in seconds from the start of the process to the end of its first steps.

``python benchmarks/start.py [--repeats N] [--json FILE]`` trains SciNet's one-convolution network for two epochs under
each strategy, and by the lecture's ``model.fit``, in turn, and reads the parts from the record of each run: imports
(the strategy's own and MPI's start included), data, network, copying the data to the device, tracing, the first call
(four steps). Beside it, the first epoch over the second.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from common import PEERS, Result, data_file, machine, markdown, parser, report

MODEL, BATCH, EPOCHS = "scinet-cnn1", 128, 2
RANKS = ("--ntasks", "2", "--cpus-per-task", "1")
WAYS: dict[str, Sequence[str]] = {
    "serial": ("--cpus-per-task", "2"),
    "horovod, 2 ranks": (*RANKS, "--strategy", "horovod"),
    "mirrored, 2 devices": ("--cpus-per-task", "2", "--strategy", "mirrored", "--devices", "2"),
    "multiworker, 2 ranks": (*RANKS, "--strategy", "multiworker"),
}
PEER = "model.fit"
TOTAL, RATIO = "all", "epoch 1 / epoch 2"
PARTS = ("imports", "data", "network", "to device", "tracing", "first steps", TOTAL, RATIO)


def hpcnn(way: str, file: Path, run: Path) -> dict[str, float]:
    """Train as a job; return the seconds of each part of the start of rank 0, and the ratio of its epochs."""
    words = [
        *(sys.executable, "-m", "hpcnn", "submit", "--quiet", "--run-dir", run, "--model", MODEL, "--data", file),
        *("--epochs", EPOCHS, "--batch-size", BATCH, "--pixel-scale", "unit", "--no-evaluate", *WAYS[way]),
    ]
    subprocess.run([str(word) for word in words], check=True, capture_output=True)
    events = [json.loads(line) for line in (run / "events.jsonl").read_text().splitlines()]
    at = {event["key"]: event["seconds"] for event in reversed(events)}
    value = {event["key"]: event["value"] for event in reversed(events)}
    in_graph = next(event["metadata"]["seconds_in_graph"] for event in events if event["key"] == "first_call")
    first, second = (json.loads(line) for line in (run / "epochs.rank00000.jsonl").read_text().splitlines())
    return {
        "imports": value["init_start"],
        "data": at["data_stop"] - at["init_start"],
        "network": at["model_stop"] - at["data_stop"],
        "to device": at["init_stop"] - at["model_stop"],
        "tracing": value["first_call"] - in_graph,
        "first steps": in_graph,
        TOTAL: value["init_start"] + at["first_call"],
        RATIO: first["seconds_total"] / second["seconds_total"],
    }


def peer(file: Path) -> dict[str, float]:
    """Train by ``model.fit``; return the seconds until its first batch had ended, and the ratio of its epochs."""
    words = [sys.executable, PEERS / "lecture_fit.py", MODEL, file, "float32", EPOCHS, BATCH, 1 / 255, 2, 1, "start"]
    environment = {**os.environ, "OMP_NUM_THREADS": "2", "TF_CPP_MIN_LOG_LEVEL": "2"}
    done = subprocess.run([str(word) for word in words], env=environment, check=True, capture_output=True, text=True)
    result = json.loads(done.stdout.splitlines()[-1])
    return {TOTAL: result["start"], RATIO: result["seconds"][0] / result["seconds"][1]}


def measure(ways: Sequence[str], samples: int, repeats: int) -> Iterator[tuple[str, dict[str, float]]]:
    """Yield way and parts: all ways in turn, repeat after repeat."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        file = data_file(folder, samples)
        for repeat in range(repeats):
            for number, way in enumerate(ways):
                yield way, hpcnn(way, file, folder / f"{number}-{repeat}")
            yield PEER, peer(file)


def table(results: Sequence[Result]) -> str:
    """Return the medians as a Markdown table, the range of the whole start beside them."""
    rows = []
    for way in dict.fromkeys(one.way for one in results):
        parts = {one.case: one for one in results if one.way == way}
        cells = [f"{statistics.median(parts[part].values):.2f}" if part in parts else "" for part in PARTS]
        rows.append([way, *cells[:-1], parts[TOTAL].spread(".2f"), cells[-1]])
    return markdown(["seconds, medians", *PARTS[:-1], "min..max", RATIO], rows)


def main() -> None:
    """Measure, print, and write what was measured."""
    options = parser(__doc__, repeats=5).parse_args()
    ways, samples, repeats = list(WAYS), 60_000, options.repeats
    if options.smoke:
        ways, samples, repeats = ["serial"], 1_024, 1
    facts, found = machine(), dict[tuple[str, str], Result]()
    for way, parts in measure(ways, samples, repeats):
        for part, value in parts.items():
            unit = "ratio" if part == RATIO else "s"
            found.setdefault((part, way), Result(part, way, unit)).values.append(value)
        print(f"{way}: {parts[TOTAL]:.2f} s", file=sys.stderr)
    report("start", facts, table(list(found.values())), found.values(), options.json)


if __name__ == "__main__":
    main()
