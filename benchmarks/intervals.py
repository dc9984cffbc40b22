"""How often the intervals that hpcnn states hold the truth, over many simulated studies of which the truth is known.

``python benchmarks/intervals.py`` makes studies by laws and noise of its own, and counts: intervals of medians, of
ratios and of sums to come; bands of fitted laws beyond the measured sizes; false alarms of ``hpcnn compare``; and
predictions at 4 and 32 times the largest measured size, of trainings whose steps have a jitter of 5 to 20 %. It prints
two Markdown tables. ``--extrap PYTHON``: a Python that has Extra-P, which predicts some of the same studies.

A study of predictions is drawn step by step: the work of every rank is lognormal, a step lasts as long as the slowest,
and then as a ring's allreduce. Nothing here uses hpcnn's formulas for what is true.
"""

from __future__ import annotations

import json
import math
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from common import PEERS, Result, machine, markdown, parser
from common import report as publish

from hpcnn.analysis.compare import relative_shift
from hpcnn.analysis.fits import fit_times
from hpcnn.analysis.predict.interval import bounds
from hpcnn.analysis.predict.predict import epoch_seconds
from hpcnn.analysis.predict.workload import Sizes, Workload, between_ranks, workload_of
from hpcnn.interconnect import Cluster, Link
from hpcnn.stats.medians import median_interval
from hpcnn.stats.rank_tests import holm, shift
from hpcnn.stats.totals import predicted_total

SIZES = (1, 2, 4, 8, 16)
FAR = (64, 512)  # 4 and 32 times the largest
RUNS = 5
STEPS = 50  # of an epoch
NOISE = 0.02  # by which runs differ, relative
TRAININGS = ((0.05, 0.0), (0.1, 0.0), (0.2, 0.0), (0.1, 0.002))  # jitter, contention a rank

# A training: samples of a step, seconds of a rank's step and of a sample, of the optimizer, and of its network.
BATCH, FIXED, SAMPLE, OTHER = 8192, 2e-3, 20e-6, 1e-3
BYTES, LATENCY, BANDWIDTH = 10_000_000, 5e-6, 3e9
_LINK = Link("simulated", LATENCY, BANDWIDTH, "simulated")
CLUSTER = Cluster(_LINK, _LINK, cycle_seconds=0.0)


class Training:
    """A simulated training: its jitter, and by how much computing slows for each further rank (``contention``)."""

    def __init__(self, jitter: float, contention: float = 0.0) -> None:
        self.jitter, self.contention = jitter, contention

    def mean(self, ranks: int) -> float:
        """Return the mean seconds of work of a rank's step."""
        return (FIXED + SAMPLE * math.ceil(BATCH / ranks)) * (1 + self.contention * (ranks - 1))

    def work(self, ranks: int, steps: int, random: np.random.Generator) -> Any:
        """Return drawn seconds of work (steps x ranks)."""
        sigma = math.sqrt(math.log1p(self.jitter**2))
        return self.mean(ranks) * np.exp(sigma * random.standard_normal((steps, ranks)) - sigma**2 / 2)

    def rest(self, ranks: int) -> float:
        """Return the seconds of a step that are no work before the sum: the ring's allreduce, and the optimizer."""
        ring = 2 * (ranks - 1) * LATENCY + 2 * (ranks - 1) / ranks * BYTES / BANDWIDTH if ranks > 1 else 0.0
        return ring + OTHER

    def truth(self, ranks: int, random: np.random.Generator) -> float:
        """Return the expected seconds of an epoch, from many steps."""
        slowest = [self.work(ranks, 500, random).max(axis=1).mean() for _ in range(40)]
        return STEPS * (float(np.mean(slowest)) + self.rest(ranks))

    def measured(self, random: np.random.Generator) -> tuple[Sizes, dict[int, Any]]:
        """Return what a study of it measures, and the seconds of its runs."""
        rows, of_runs = [], {}
        for ranks in SIZES:
            runs = [self._run(ranks, random) for _ in range(RUNS)]
            seconds, *facts = np.median(runs, axis=0)
            rows.append((ranks, BATCH, BATCH * STEPS, seconds, *facts))
            of_runs[ranks] = np.sort([run[0] for run in runs])
        ranks, batch, samples, seconds, compute, communication, deviation, excess, skewness = np.array(rows).T
        between = between_ranks(ranks, deviation, excess, skewness)
        nothing = np.zeros_like(seconds)
        return Sizes(ranks, batch, samples, seconds, compute, communication, nothing, between, skewness), of_runs

    def _run(self, ranks: int, random: np.random.Generator) -> tuple[float, ...]:
        """Return seconds, shares of compute and communication, and of steps deviation, excess and skewness."""
        slower = math.exp(NOISE * random.standard_normal())
        work = slower * self.work(ranks, STEPS, random)
        seconds = float(work.max(axis=1).sum()) + slower * STEPS * self.rest(ranks)
        compute = STEPS * float(work.mean())
        waited = seconds - compute - slower * STEPS * OTHER
        away = work - work.mean()
        skewness = float((away**3).mean() / away.std() ** 3) if away.std() else 0.0
        excess = float(work.max(axis=1).mean() - work.mean())
        return seconds, compute / seconds, waited / seconds, float(work.std()), excess, skewness


def model(workload: Workload, ranks: Sequence[int]) -> Any:
    """Return the seconds an epoch that hpcnn predicts."""
    return epoch_seconds(workload, ranks, CLUSTER)


def predictions(studies: int, extrap: Path | None) -> Iterator[Result]:
    """Yield errors and held truths of predictions, with and without jitter in the model; and those of Extra-P."""
    for jitter, contention in TRAININGS:
        training = Training(jitter, contention)
        truths = [training.truth(ranks, np.random.default_rng(1)) for ranks in FAR]
        case = f"jitter {jitter:.0%}{f', contention {contention:.1%} a rank' if contention else ''}"
        of_study, points = [], []
        for seed in range(studies):
            sizes, runs = training.measured(np.random.default_rng(1000 + seed))
            workload = workload_of(sizes, "strong", BYTES)
            found = bounds(model, workload, sizes, runs, FAR)
            plain = workload_of(sizes._replace(deviation=np.full(len(SIZES), np.nan)), "strong", BYTES)
            held = (found.low <= truths) & (truths <= found.high)
            of_study.append((model(workload, FAR), model(plain, FAR), held, np.sqrt(found.high / found.low) - 1))
            points.append({ranks: own.tolist() for ranks, own in runs.items()})
        others = of_extrap(extrap, points[:EXTRAP_STUDIES]) if extrap else None
        for place, (ranks, truth) in enumerate(zip(FAR, truths, strict=True)):
            at = f"{case}, {ranks} ranks"
            with_jitter, without, held, width = ([float(row[n][place]) for row in of_study] for n in range(4))
            yield Result(at, "hpcnn", "predicted / true", [seconds / truth for seconds in with_jitter])
            yield Result(at, "hpcnn without jitter", "predicted / true", [seconds / truth for seconds in without])
            yield Result(at, "coverage", "held", held)
            yield Result(at, "half-width", "fraction", width)
            if others:
                yield Result(at, "Extra-P", "predicted / true", [row[place] / truth for row in others])


EXTRAP_STUDIES = 100


def of_extrap(python: Path, points: Sequence[dict[int, list[float]]]) -> list[list[float]]:
    """Return what Extra-P predicts on FAR, a row a study."""
    asked = json.dumps({"studies": points, "ranks": FAR})
    done = subprocess.run(
        [python, PEERS / "extrap_fit.py"], input=asked, capture_output=True, text=True, check=True, timeout=3600
    )
    found: list[list[float]] = json.loads(done.stdout.splitlines()[-1])
    return found


LAWS: dict[str, Callable[[float], float]] = {
    "Amdahl": lambda p: 10 * (0.05 + 0.95 / p),
    "tree": lambda p: 10 * (0.01 + 0.99 / p + 0.004 * math.log2(p)),
    "USL": lambda p: 10 * (1 + 0.02 * (p - 1) + 2e-4 * p * (p - 1)) / p,
}


def bands(studies: int, resamples: int) -> Iterator[Result]:
    """Yield how often bands of laws that were fitted to 1 to 32 ranks hold the time on 32, 128 and 1,024 ranks.

    The band is that of the likeliest law that has one. A study without any counts for none.
    """
    for name, law in LAWS.items():
        held: dict[int, list[float]] = {ranks: [] for ranks in (32, 128, 1024)}
        for seed in range(studies):
            random = np.random.default_rng(seed)
            times = {p: law(p) * np.exp(0.03 * random.standard_normal(RUNS)) for p in (*SIZES, 32)}
            standing = [fit for fit in fit_times(times, "strong", resamples) if fit.resampled is not None]
            if not standing:
                continue
            curve = min(standing, key=lambda fit: fit.aicc).curve(list(held))
            for ranks, low, high in zip(held, curve["seconds_low"], curve["seconds_high"], strict=True):
                if low == low:
                    held[ranks].append(float(low <= law(ranks) <= high))
        for ranks, values in held.items():
            if values:
                yield Result(f"law {name}, {ranks:,} ranks", "coverage", "held", values)


# What is stated of a case, where it is not 95 %.
STATED: dict[str, float] = {}


def statistics_of_runs(studies: int) -> Iterator[Result]:
    """Yield how often intervals of medians, ratios and sums hold the truth, and false alarms of comparisons."""
    random = np.random.default_rng(2)

    def drawn(number: int) -> Any:
        return np.exp(0.05 * random.standard_normal(number))

    intervals = [median_interval(drawn(8)) for _ in range(studies)]
    STATED["median of 8 runs"] = intervals[0].coverage if intervals[0] else math.nan
    yield Result("median of 8 runs", "coverage", "held", [float(i.low <= 1 <= i.high) for i in intervals if i])
    for a, b in ((6, 6), (5, 20)):
        shifts = [shift(np.log(drawn(a)), np.log(1.2 * drawn(b)), 0.95) for _ in range(studies)]
        right = [float(one.low <= math.log(1.2) <= one.high) for one in shifts]
        STATED[f"ratio of {a} and {b} runs"] = float(np.mean([one.coverage for one in shifts]))
        yield Result(f"ratio of {a} and {b} runs", "coverage", "held", right)
    sums = []
    for _ in range(studies):
        total = predicted_total(1 + 0.05 * random.standard_normal(6), 40)
        sums.append(float(total.low <= (1 + 0.05 * random.standard_normal(40)).sum() <= total.high))
    yield Result("sum of 40 further runs, from 6", "coverage", "held", sums)
    alarms = []
    for _ in range(studies):
        p_values = np.array([shift(np.log(drawn(8)), np.log(drawn(8)), 0.95).p_value for _ in range(20)])
        alarms.append(float((holm(p_values) > 0.05).all()))
    yield Result("20 comparisons without a difference: none alarms", "coverage", "held", alarms)
    passed = []
    for _ in range(studies):
        found = relative_shift(drawn(8), 1.2 * drawn(8), 0.95, 0.2)
        passed.append(float(found.low <= 0.2))
    STATED["20 % slower, 20 % allowed: no alarm"] = 0.975  # an interval has two ends
    yield Result("20 % slower, 20 % allowed: no alarm", "coverage", "held", passed)


def main() -> None:
    """Simulate, print, write."""
    made = parser(__doc__, 1)
    made.add_argument("--studies", type=int, default=500, help="simulated studies of each case [%(default)s]")
    made.add_argument("--resamples", type=int, default=300, help="of the bootstrap of a fit [%(default)s]")
    made.add_argument("--only", choices=["runs", "laws", "predictions"], help="this part alone")
    made.add_argument("--extrap", type=Path, metavar="PYTHON", help="a Python that has Extra-P")
    asked = made.parse_args()
    studies, resamples = (3, 50) if asked.smoke else (asked.studies, asked.resamples)
    facts = machine()
    parts: dict[str, Callable[[], Iterator[Result]]] = {
        "runs": lambda: statistics_of_runs(studies),
        "laws": lambda: bands(studies, resamples),
        "predictions": lambda: predictions(studies, asked.extrap),
    }
    found = [result for name, part in parts.items() if asked.only in (None, name) for result in part()]
    publish("intervals", facts, table(found), found, asked.json)


def table(results: Sequence[Result]) -> str:
    """Return coverages with their binomial error, and errors of predictions, as two Markdown tables."""
    coverage = [
        (one.case, f"{np.mean(one.values):.1%}", f"{_level(one):.1%}", f"{_error(one):.1%}", f"{len(one.values)}")
        for one in results
        if one.unit == "held"
    ]
    ways = ("hpcnn without jitter", "hpcnn", "half-width", "Extra-P")
    by = {(one.case, one.way): one for one in results}
    cases = list(dict.fromkeys(one.case for one in results if one.way == "hpcnn"))
    errors = [(case, *(_spread(by.get((case, way))) for way in ways)) for case in cases]
    first = markdown(["what", "held the truth", "states", "binomial error", "studies"], coverage)
    second = markdown(["prediction", "without jitter", "hpcnn", "half-width of the interval", "Extra-P"], errors)
    return f"{first}\n\n{second}" if errors else first


def _level(one: Result) -> float:
    return STATED.get(one.case, 0.95)


def _error(one: Result) -> float:
    level = _level(one)
    return math.sqrt(level * (1 - level) / len(one.values))


def _spread(one: Result | None) -> str:
    if one is None:
        return "–"
    low, middle, high = np.quantile(one.values, [0.05, 0.5, 0.95])
    if one.way == "half-width":
        return f"{middle:.1%}"
    return f"{middle - 1:+.1%} ({low - 1:+.1%} to {high - 1:+.1%})"


if __name__ == "__main__":
    main()
