"""The settings of runs, and those in which they differ."""

from __future__ import annotations

from hpcnn.rundir.settings import differing, settings_of, words


def test_what_was_left_open_is_no_setting() -> None:
    spec = {"train": {"model": "lenet", "epochs": None, "freeze": []}, "resources": {"ntasks": 2}, "seal": "x"}
    assert settings_of(spec) == {"model": "lenet", "ntasks": 2}
    assert settings_of({"train": "damaged"}) == {}


def test_runs_differ_in_what_not_all_of_them_have() -> None:
    runs = [{"model": "lenet", "ntasks": 1}, {"model": "lenet", "ntasks": 2, "precision": "bfloat16"}]
    assert differing(runs) == [{"ntasks": 1, "precision": None}, {"ntasks": 2, "precision": "bfloat16"}]
    assert differing(runs[:1]) == [{}]
    assert differing([]) == []


def test_settings_in_words() -> None:
    settings = {"ntasks": 2, "precision": None, "freeze": ["conv1", "conv2"], "model_args": {"d_rate": 0.2}}
    assert words(settings) == "ntasks 2, freeze conv1 conv2, model_args d_rate=0.2"
    assert words(settings, without=("ntasks", "freeze")) == "model_args d_rate=0.2"
