"""The short form of benchmarks/intervals.py: predictions of simulated trainings, and bands of laws, hold the truth."""

import importlib
import sys
from pathlib import Path

import numpy as np
import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
STUDIES = 20
# Of 20 intervals that hold the truth in 95 % of studies, 16 or more do in 99.7 % of all twenties.
LEAST = 16 / 20


@pytest.fixture
def intervals(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    yield importlib.import_module("intervals")
    sys.modules.pop("intervals", None)
    sys.modules.pop("common", None)


def test_predictions_have_the_jitter_and_their_intervals_hold_the_truth(intervals, monkeypatch):
    monkeypatch.setattr(intervals, "TRAININGS", ((0.1, 0.0),))
    found = {(one.case, one.way): np.array(one.values) for one in intervals.predictions(STUDIES, None)}
    for ranks in (64, 512):
        case = f"jitter 10%, {ranks} ranks"
        assert abs(np.median(found[case, "hpcnn"]) - 1) < 0.02
        assert np.median(found[case, "hpcnn without jitter"]) < 0.97
        assert found[case, "coverage"].mean() >= LEAST
    narrow, wide = (np.median(found[f"jitter 10%, {ranks} ranks", "half-width"]) for ranks in (64, 512))
    assert narrow < wide < 0.3


def test_bands_of_laws_hold_the_truth_beyond_the_measured_sizes(intervals):
    for one in intervals.bands(STUDIES, 200):
        assert np.mean(one.values) >= LEAST, one.case
