"""How long the report takes to load many runs, and how that grows: 10,000 runs of 30 epochs and 4 ranks.

``python benchmarks/report_load.py`` writes the runs into a temporary folder, with the record that a real run leaves,
and measures, each in a process of its own: loading and tabulating them with and without the cache, the same for a half
and a quarter of them, and beside it ``pandas.read_json`` of the same epoch files, one by one. It prints a Markdown
table; ratios hold on other machines too, seconds do not.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from common import Result, machine, markdown, parser
from common import report as publish

from hpcnn.rundir.layout import SCHEMA_VERSION, RunDir
from hpcnn.specs.fields import to_mapping
from hpcnn.specs.job import JobSpec
from hpcnn.specs.resources import Resources
from hpcnn.specs.train import TrainSpec
from hpcnn.util.host import host_facts, job_facts

PARTS = {"input": 0.1, "compute": 0.6, "communication": 0.25, "other": 0.05}
POINTS = (1, 2, 4, 8, 16, 32, 64, 128)  # batch sizes, in hundreds: the rows of the table


def write_runs(folder: Path, runs: int, epochs: int, ranks: int) -> None:
    """Write so many runs below ``folder``: one study of 8 points, repeated."""
    facts = job_facts()
    hosts = [{**host_facts(rank, ("/CPU:0",)), "device": "CPU"} for rank in range(ranks)]
    for number in range(runs):
        draw = random.Random(number)
        batch, repeat = 100 * POINTS[number % len(POINTS)], 1 + number // len(POINTS)
        train = TrainSpec(data="mnist", strategy="horovod", epochs=epochs, batch_size=batch, seed=repeat)
        job = JobSpec(
            "many",
            "local",
            Resources(ntasks=ranks, cpus_per_task=1),
            train,
            study="many",
            kind="throughput",
            point={"batch_size": batch},
            repeat=repeat,
        )
        run = RunDir(folder / f"batch_size={batch}-r{repeat:04d}-{number:06x}")
        run.path.mkdir(parents=True)
        _dump(run.spec, {"hpcnn": "0.1.0", **to_mapping(job)})
        done = {"world_size": ranks, "train": to_mapping(train), "global_batch_size": batch, "samples": 60000}
        model = {"name": train.model, "parameters": 289630, "trainable": 289630}
        _dump(run.provenance, {**facts, "hosts": hosts, **done, "model": model})
        for rank in range(ranks):
            run.epochs(rank).write_text("".join(_line(draw, rank, epoch, ranks) for epoch in range(1, epochs + 1)))
        test = {"loss": draw.uniform(0.04, 0.06), "accuracy": draw.uniform(0.97, 0.99)}
        _dump(run.result, {"status": "completed", "exit_code": 0, "reason": None, "epochs": epochs, "test": test})


def _dump(file: Path, record: dict[str, Any]) -> None:
    file.write_text(json.dumps({"schema": SCHEMA_VERSION, **record}, indent=2, default=str) + "\n")


def _line(draw: random.Random, rank: int, epoch: int, ranks: int) -> str:
    seconds = draw.gauss(3.0, 0.1)
    record = {
        "rank": rank,
        "epoch": epoch,
        "seconds_total": seconds,
        **{f"seconds_{part}": seconds * share for part, share in PARTS.items()},
        "seconds_evaluation": draw.gauss(0.3, 0.01),
        "samples": 60000 // ranks,
        "steps": 469,
        "loss": draw.random() / epoch,
        "metrics": {"accuracy": 1 - draw.random() / 10 / epoch},
        "validation": {"loss": draw.random() / epoch, "accuracy": 1 - draw.random() / 10 / epoch},
        "learning_rate": 0.01,
    }
    return json.dumps(record) + "\n"


def report(folder: Path, cache: bool) -> int:
    """Load the runs and make their table; return the number of epoch rows."""
    from hpcnn.report import load, scaling_table

    data = load(folder, cache=cache)
    table = scaling_table(data)
    assert table["runs"].sum() == len(data.runs)
    return len(data.epochs)


def read_json(folder: Path) -> int:
    """Read the epoch files alone, each by pandas; return the number of rows."""
    import pandas as pd

    files = sorted(folder.glob("*/epochs.rank*.jsonl"))
    return len(pd.concat([pd.read_json(file, lines=True) for file in files]))


TASKS: dict[str, Callable[[Path], int]] = {
    "without": lambda folder: report(folder, cache=False),
    "with": lambda folder: report(folder, cache=True),
    "pandas": read_json,
}


def measure(task: str, folder: Path, cache: Path) -> dict[str, Any]:
    """Run a task in a process of its own; return its seconds (imports included), processor time, memory and rows."""
    environment = {**os.environ, "HPCNN_CACHE": str(cache)}
    begin = time.monotonic()
    words = [sys.executable, __file__, "--task", task, str(folder)]
    found = json.loads(subprocess.run(words, env=environment, check=True, capture_output=True, text=True).stdout)
    return {"seconds": time.monotonic() - begin, **found}


def usage() -> dict[str, float]:
    """Return the seconds of processor time of this process, which a busy machine does not lengthen, and its peak MB."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return {"cpu_seconds": used.ru_utime + used.ru_stime, "megabytes": used.ru_maxrss / 1000}


def measure_all(place: Path, cache: Path, options: argparse.Namespace) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield how many runs, what was done with them, and what it took; the runs are written where they are not there."""
    tasks = {"no cache": "without", "cache: first time": "with", "cache: second time": "with"}
    for count in (options.runs,) if options.smoke else (options.runs // 4, options.runs // 2, options.runs):
        folder = place / str(count)
        if not folder.exists():
            write_runs(folder, count, options.epochs, options.ranks)
        peer = {"pandas.read_json": "pandas"} if count == options.runs else {}
        for repeat in range(options.repeats):
            for name, task in {**tasks, **peer}.items():
                yield f"{count:,}", name, measure(task, folder, cache / f"{count}-{repeat}")


def table(results: Mapping[tuple[str, str], Mapping[str, Result]]) -> str:
    """Return the medians as a Markdown table."""
    rows = [
        [
            runs,
            f"{measured['rows'].median:,.0f}",
            what,
            f"{measured['seconds'].median:.1f}",
            f"{measured['cpu_seconds'].median:.1f}",
            f"{measured['megabytes'].median:.0f}",
        ]
        for (runs, what), measured in results.items()
    ]
    return markdown(["runs", "epoch rows", "what", "seconds", "CPU seconds", "peak MB"], rows)


def main() -> None:
    """Measure, print, and write what was measured."""
    made = parser(__doc__, repeats=1)
    for name, default in (("--runs", 10_000), ("--epochs", 30), ("--ranks", 4)):
        made.add_argument(name, type=int, default=default)
    made.add_argument("--keep", type=Path, help="write the runs here, or use those that are here, and leave them")
    made.add_argument("--task", choices=TASKS, help=argparse.SUPPRESS)
    made.add_argument("folder", nargs="?", type=Path, help=argparse.SUPPRESS)
    options = made.parse_args()
    if options.task:
        rows = TASKS[options.task](options.folder)
        print(json.dumps({"rows": rows, **usage()}))
        return
    if options.smoke:
        options.runs, options.epochs = 16, 2
    facts, found = machine(), dict[tuple[str, str], dict[str, Result]]()
    with tempfile.TemporaryDirectory() as temporary:
        place = options.keep or Path(temporary) / "runs"
        for runs, what, measured in measure_all(place, Path(temporary) / "cache", options):
            kept = found.setdefault((runs, what), {key: Result(f"{runs} runs: {key}", what, key) for key in measured})
            for key, value in measured.items():
                kept[key].values.append(value)
            print(f"{runs} runs, {what}: {measured['seconds']:.1f} s", file=sys.stderr)
    results = [one for measured in found.values() for key, one in measured.items() if key != "rows"]
    publish("report_load", facts, table(found), results, options.json)


if __name__ == "__main__":
    main()
