"""How many samples a second the forms of data give, alone and to a network that trains on them; and what they cost.

``python benchmarks/input.py [--repeats N] [--case CASE]... [--json FILE]`` measures these cases, or those that are
chosen, one after the other; the ways of a case take turns, so that ratios hold on a machine that has other work.

- *digits alone*: the same images as NumPy's files, HDF5 (in one piece and in chunks), Zarr, TFRecords and Parquet; an
  epoch's slices of 128 in hpcnn's order, which nobody computes with.
- *training NETWORK*: epochs of ``psc-cnn-dropout``, or of ResNet-20 on images of 32x32x3, on the same set in memory and
  streamed. Each training is compiled once.
- *JPEG alone*: photographs of 256x256 beside ``keras.utils.image_dataset_from_directory`` with prefetch and a tf.data
  pipeline as TensorFlow's performance guide writes it; beside grain where it is installed.
- *JPEG training*, *JPEG training, cached*: the same to a network that costs next to nothing, by ``model.fit`` for the
  others; *cached* with ``--cache memory`` and ``cache()``.
- *start*: 10 million samples of 20 GB, which are holes in files: private memory of a rank above that of 1,000 samples,
  until three seconds after its first step, and the seconds from the start of the process to this step.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from common import Result, machine, markdown, parser, report
from inputs.common import Amount, Way, case_of_training

if TYPE_CHECKING:
    from hpcnn.parallel.base import Strategy

ALONE, PHOTOGRAPHS, PHOTOGRAPHS_TRAINED, PHOTOGRAPHS_CACHED, START = (
    "digits alone",
    "JPEG alone",
    "JPEG training",
    "JPEG training, cached",
    "start",
)
TRAININGS = {case_of_training(network): network for network in ("psc-cnn-dropout", "resnet20")}
CASES = (ALONE, *TRAININGS, PHOTOGRAPHS, PHOTOGRAPHS_TRAINED, PHOTOGRAPHS_CACHED, START)
RATE = "samples/s"


def main() -> int:
    """Write the data of each case, measure its ways in turn, print one table."""
    arguments = parser(__doc__, repeats=5)
    arguments.add_argument("--case", choices=CASES, action="append", help="measure this case alone; several times")
    options = arguments.parse_args()
    amount = Amount(1_000, 64, 20_000, 0.2) if options.smoke else Amount(30_000, 512, 10_000_000, 3.0)
    facts, strategy = machine(), opened()
    results: list[Result] = []
    processor: dict[tuple[str, str], list[float]] = {}
    for case in options.case or CASES:
        with tempfile.TemporaryDirectory() as folder:
            ways = ways_of(case, Path(folder), amount, strategy, smoke=options.smoke)
            results += in_turn(case, ways, options.repeats, processor)
    counts = {ALONE: amount.digits, PHOTOGRAPHS: amount.photographs}
    report("input", facts, table(results, processor, counts), results, options.json)
    return 0


def opened() -> Strategy:
    """Return the strategy of one process, which sets TensorFlow's threads as in a job."""
    from hpcnn.parallel import open_strategy
    from hpcnn.parallel.base import TaskEnvironment

    cores = str(len(os.sched_getaffinity(0)))
    strategy = open_strategy("serial", TaskEnvironment.read({**os.environ, "HPCNN_CPUS_PER_TASK": cores}))
    strategy.communicates = True
    return strategy


def ways_of(case: str, here: Path, amount: Amount, strategy: Strategy, *, smoke: bool) -> Mapping[str, Way]:
    """Write what a case reads; return its ways."""
    from inputs import forms, photographs, starts, trainings

    if case == START:
        return starts.starts(here, amount.large, amount.seconds)
    if case == ALONE:
        names = forms.written(here / "digits", amount.digits, (28, 28), forms.FORMS)
        return {way: named(case, forms.reading(name)) for way, name in names.items()}
    if case in TRAININGS:
        network = TRAININGS[case]
        found = trainings.trainings(network, strategy, here, smoke=smoke)
        return {way: named(case, run) for way, run in found.items()}
    folder = here / "photographs"
    files = photographs.photographs(folder, amount.photographs)
    if case == PHOTOGRAPHS:
        rates = photographs.alone(folder, files)
    else:
        rates = photographs.trained(folder, files, strategy, here, cached=case == PHOTOGRAPHS_CACHED)
    return {way: named(case, run) for way, run in rates.items()}


def named(case: str, rate: Callable[[], float]) -> Way:
    """Return a way of one case."""
    return lambda: {case: rate()}


def in_turn(
    case: str, ways: Mapping[str, Way], repeats: int, processor: dict[tuple[str, str], list[float]]
) -> list[Result]:
    """Measure the ways in turn; note the seconds of all cores of each round.

    The first round is not counted: files come into the system's memory, graphs are traced.
    """
    found: dict[tuple[str, str], Result] = {}
    for round_number in range(repeats + 1):
        for way, run in ways.items():
            begin = time.process_time()
            measured = run()
            seconds = time.process_time() - begin
            line = ", ".join(f"{key} {value:,.1f}" for key, value in measured.items())
            print(f"{round_number or 'warm-up'}: {way}: {line}", file=sys.stderr, flush=True)
            for key, value in measured.items() if round_number else ():
                unit = RATE if key == case else {"first step": "s"}.get(key, "MB")
                found.setdefault((key, way), Result(key, way, unit)).values.append(value)
                processor.setdefault((key, way), []).append(seconds)
    return sorted(found.values(), key=lambda one: list(dict.fromkeys(key for key, _ in found)).index(one.case))


def table(results: list[Result], processor: Mapping[tuple[str, str], list[float]], counts: Mapping[str, int]) -> str:
    """Return medians, ranges, and each way beside the first of its case, by the median of the rounds' own values.

    processor: seconds of all cores in each round. counts: samples of a round, of the cases that only read.
    """
    rows = []
    for one in results:
        first = next(other for other in results if other.case == one.case)
        pairs = list(zip(one.values, first.values, strict=True))
        if one.unit == RATE:
            form, beside = ".2f", Result("", "", "", [a / b for a, b in pairs])
        else:
            form, beside = "+,.1f", Result("", "", "", [a - b for a, b in pairs])
        cost = ""
        if one.case in counts:
            cost = f"{statistics.median(processor[one.case, one.way]) / counts[one.case] * 1e3:.3f}"
        number = ",.0f" if one.unit != "s" else ".1f"
        middle = f"{one.median:{number}} {one.unit}"
        rows.append(
            (one.case, one.way, middle, one.spread(number), f"{beside.median:{form}} ({beside.spread(form)})", cost)
        )
    heads = ("case", "way", "median", "range", "beside the case's first way", "processor ms a sample")
    return markdown(heads, rows)


if __name__ == "__main__":
    sys.exit(main())
