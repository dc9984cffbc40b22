"""The figures of a search show every completed trial, the best so far, and which ones are the best tenth."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("matplotlib", reason="figures need matplotlib: pip install 'hpcnn[report]'")
pytest.importorskip("optuna", reason="searches need Optuna: pip install '.[search]'")

import optuna
from matplotlib.figure import Figure

from hpcnn.figures.search import draw_all
from hpcnn.figures.style import ACCENT, MAIN, rendered
from hpcnn.search.read import read
from hpcnn.search.spec import Search
from hpcnn.util.errors import UsageError

SEARCH = """
[search]
method = "random"
trials = 20
[train]
model = "psc-hparams"
data = "digits"
[space]
learning_rate = {low = 0.0001, high = 0.1, log = true}
optimizer = ["adam", "sgd"]
"""
# The values of the trials in turn: 0.5, 0.51, ..., with the largest as the tenth.
VALUES = [0.9 if number == 9 else 0.5 + number / 100 for number in range(20)]


@pytest.fixture
def search(tmp_path: Path) -> Search:
    file = tmp_path / "rates.toml"
    file.write_text(SEARCH, encoding="utf-8")
    return read(file)


@pytest.fixture
def figures(search: Search) -> dict[str, Figure]:
    rate, optimizer = (list(search.space)[at] for at in (0, 1))
    study = optuna.create_study(direction="maximize")
    kinds = {
        rate: optuna.distributions.FloatDistribution(0.0001, 0.1, log=True),
        optimizer: optuna.distributions.CategoricalDistribution(["adam", "sgd"]),
    }
    for number, value in enumerate(VALUES):
        point = {rate: 0.0001 * 1000 ** (number / 19), optimizer: ("adam", "sgd")[number % 2]}
        study.add_trial(optuna.trial.create_trial(value=value, params=point, distributions=kinds))
    study.add_trial(optuna.trial.create_trial(state=optuna.trial.TrialState.FAIL))
    return draw_all(search, study)


def test_the_history_has_each_trial_and_the_best_so_far(figures: dict[str, Figure]) -> None:
    trials, so_far = figures["history"].axes[0].lines
    assert (list(trials.get_xdata()), list(trials.get_ydata())) == (list(range(20)), VALUES)
    assert list(so_far.get_ydata()) == [max(VALUES[: number + 1]) for number in range(20)]


def test_the_slices_have_a_panel_a_parameter_with_ticks_as_plain_numbers(figures: dict[str, Figure]) -> None:
    rendered(figures["slices"], "svg")
    rate, optimizer = figures["slices"].axes
    assert (rate.get_xscale(), optimizer.get_xscale()) == ("log", "linear")
    assert [label.get_text() for label in rate.get_xticklabels()] == ["0.0001", "0.001", "0.01", "0.1"]
    assert [label.get_text() for label in optimizer.get_xticklabels()] == ["adam", "sgd"]
    assert list(optimizer.lines[0].get_xdata()) == [0.0, 1.0] * 10


def test_the_best_tenth_stands_out_among_the_lines(figures: dict[str, Figure]) -> None:
    trials = [line for line in figures["parallel"].axes[0].lines if len(line.get_xdata()) == 3]
    assert len(trials) == 20
    thick = [line for line in trials if line.get_color() == ACCENT]
    assert {line.get_color() for line in trials} == {ACCENT, MAIN}
    heights = sorted(float(line.get_ydata()[-1]) for line in trials)
    assert sorted(float(line.get_ydata()[-1]) for line in thick) == heights[-2:] == pytest.approx([0.475, 1.0])
    # a logarithmic parameter is drawn so: the rates of the trials are equally far apart
    ends = sorted(float(line.get_ydata()[0]) for line in trials)
    assert ends == pytest.approx([number / 19 for number in range(20)])


def test_a_search_without_a_completed_trial_has_no_figures(search: Search) -> None:
    with pytest.raises(UsageError, match="no trial has been completed"):
        draw_all(search, optuna.create_study())
