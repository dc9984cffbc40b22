"""Jitter: its moments and maxima over the ranks, and its table, by hand."""

import json
import math

import numpy as np
import pytest
from click.testing import CliRunner

from hpcnn.analysis.jitter import jitter_table
from hpcnn.cli.main import main
from hpcnn.report import load, scaling_table
from hpcnn.stats.maxima import expected_largest


def with_steps(run, **facts):
    """Let every epoch of each rank of a run have recorded these facts of its steps."""
    for file in run.path.glob("epochs.*"):
        lines = [{**json.loads(line), **facts} for line in file.read_text().splitlines()]
        file.write_text("".join(json.dumps(line) + "\n" for line in lines))


def test_the_table_by_hand(run_in, tmp_path):
    moments = {"step_seconds_mean": 0.1, "step_seconds_variance": 0.0004, "step_skewness": 0.0}
    for repeat, maxima in enumerate((1.1, 1.2, 1.9)):
        run = run_in(f"two{repeat}", ranks=2, repeat=repeat)
        with_steps(run, steps_timed=10, step_seconds_sum_of_maxima=maxima, **moments)
    run_in("one")
    data = load(tmp_path)
    (row,) = jitter_table(data, scaling_table(data)).to_dict("records")
    assert (row["ranks"], row["runs"]) == (2, 3)
    assert row["jitter"] == pytest.approx(0.2)
    assert row["step_seconds_maximum"] == pytest.approx(0.12)
    assert row["slowest"] == pytest.approx(0.2)
    assert row["slowest_if_independent"] == pytest.approx(0.2 / math.sqrt(math.pi))


@pytest.mark.parametrize("fmt", ["table", "json", "csv", "markdown", "latex"])
def test_the_table_in_every_format(run_in, tmp_path, fmt):
    moments = {"step_seconds_mean": 0.1, "step_seconds_variance": 0.0004, "step_skewness": 1.5}
    with_steps(run_in("two", ranks=2), steps_timed=10, step_seconds_sum_of_maxima=1.1, **moments)
    result = CliRunner().invoke(main, ["scaling-report", str(tmp_path), "--table", "jitter", "--format", fmt])
    assert result.exit_code == 0, result.output
    assert ("step_seconds_deviation" if fmt in ("json", "csv") else "jitter") in result.stdout
    assert "1.5" in result.stdout


def test_without_the_work_of_steps_it_says_so(run_in, tmp_path):
    run_in("one")
    result = CliRunner().invoke(main, ["scaling-report", str(tmp_path), "--table", "jitter"])
    assert "no run records how long the work of each step takes" in result.stdout


class Ranks:
    """Some ranks of a training, one after the other: what each would give, and what all of them have."""

    def __init__(self, works):
        self.works = works

    def extremes(self, values):
        """Stand for the processes: this rank's values are among ``works``."""
        if len(values) == 1:
            return np.array([min(np.median(work) for work in self.works)]), None
        return None, np.max([work.max(axis=1) for work in self.works], axis=0)

    def reduce_metrics(self, values):
        center = min(np.median(work) for work in self.works)
        about = np.concatenate([work.ravel() for work in self.works]) - center
        return np.array([about.size, about.sum(), (about**2).sum(), (about**3).sum()])


def test_the_moments_and_maxima_of_all_ranks():
    from scipy.stats import skew

    from hpcnn.train.jitter import StepTimes

    chance = np.random.default_rng(1)
    works = [0.1 + 0.02 * chance.standard_exponential((500, 2)) for _ in range(3)]
    times = StepTimes()
    times.add(block(100), works[0][:200])
    times.add(block(100), works[0][200:])
    times.add(block(33), np.full((1, 2), 9.0))  # the smaller last batch
    found = times.of_epoch(Ranks(works))
    every = np.concatenate([work.ravel() for work in works])
    assert found["steps_timed"] == 500
    assert found["step_seconds_mean"] == pytest.approx(every.mean())
    assert found["step_seconds_variance"] == pytest.approx(every.var())
    assert found["step_skewness"] == pytest.approx(skew(every))
    each = np.concatenate(works, axis=1).max(axis=1)
    assert found["step_seconds_sum_of_maxima"] == pytest.approx(each.sum())
    # and what the law makes of the moments: six replicas, exponential
    expected = every.mean() + every.std() * expected_largest(6, skew(every))
    assert each.mean() == pytest.approx(expected, rel=0.02)
    assert times.of_epoch(Ranks(works)) == {}  # the next epoch begins with nothing


def block(batch):
    from hpcnn.train.plan import Block

    return Block(np.arange(1000), 0, 1, batch, 6, (0, 1))
