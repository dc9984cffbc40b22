"""The lecture's script on its way to a cluster: every stage trains as docs/lessons/from-script-to-cluster.md says."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.docs.diffs import WITH_DIFFS, renewed
from tests.docs.documents import ROOT

pytestmark = pytest.mark.slow

Outcomes = list[dict[str, Any]]

IS_LONG = bool(os.environ.get("HPCNN_TEST_LONG"))
# The stages without hpcnn stay as they are: `make test-long` trains them.
OTHERS = ("script:stage3_as_taught", "edited:stage3_as_taught", "script:stage4_horovod", "script:../horovod_script")
OF_TWO_RANKS = ("script:stage5_hpcnn", *(OTHERS if IS_LONG else ()))


@pytest.fixture(scope="module")
def alone(command: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Return what came of the stages of one process; MirroredStrategy first, which makes the logical devices."""
    folder = tmp_path_factory.mktemp("alone")
    stages = ("script:stage2_mirrored", "import:stage1_plain", *(("exec:stage1_plain",) if IS_LONG else ()))
    words = (sys.executable, "-m", "tests.docs.stage_runner", folder / "out", *stages)
    ended = command(*words, cwd=folder, timeout=400, PYTHONPATH=str(ROOT))
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "2 replicas" in ended.stdout
    found: dict[str, Any] = json.loads((folder / "out.0").read_text())
    return found


@pytest.fixture(scope="module")
def ranks(mpirun: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Outcomes:
    """Return what came of the stages of two ranks, on each of them. hpcnn's first: it sets TensorFlow's threads."""
    folder = tmp_path_factory.mktemp("ranks")
    words = (sys.executable, "-m", "tests.docs.stage_runner", folder / "out", *OF_TWO_RANKS)
    ended = mpirun(2, *words, cwd=folder, timeout=400, PYTHONPATH=str(ROOT))
    assert ended.returncode == 0, ended.stdout + ended.stderr
    lines = [line for line in ended.stdout.splitlines() if line.startswith("Epoch ")]
    if IS_LONG:
        assert lines.count("Epoch 6/6") == 3, "one line an epoch in all, of the three trainings of 6 epochs that ended"
    return [json.loads((folder / f"out.{rank}").read_text()) for rank in (0, 1)]


def test_the_plain_script_trains_as_an_import(alone: dict[str, Any]) -> None:
    imported = alone["import:stage1_plain"]
    assert imported["accuracy"] > 0.93
    assert imported["epochs"] == 12


def test_the_plain_script_trains_the_same_under_exec(alone: dict[str, Any]) -> None:
    assert alone["import:stage1_plain"] == alone["exec:stage1_plain"]


def test_mirrored_strategy_trains_on_two_devices(alone: dict[str, Any]) -> None:
    mirrored = alone["script:stage2_mirrored"]
    assert mirrored["accuracy"] > 0.93
    assert (mirrored["epochs"], mirrored["learning_rate"]) == (12, 1.0)


@pytest.mark.mpi
def test_horovod_as_taught_fails_on_keras_3(ranks: Outcomes) -> None:
    for rank in ranks:
        assert rank["script:stage3_as_taught"] == {"error": "AttributeError: 'Variable' object has no attribute 'ref'"}


@pytest.mark.mpi
def test_horovod_as_taught_without_what_fails_trains_two_networks_in_silence(ranks: Outcomes) -> None:
    first, second = (rank["edited:stage3_as_taught"] for rank in ranks)
    assert first["weights"] != second["weights"]
    assert min(first["accuracy"], second["accuracy"]) > 0.8, "each learns well by itself: nothing shows the fault"


@pytest.mark.mpi
def test_the_recipe_for_keras_3_trains_one_network(ranks: Outcomes) -> None:
    first, second = (rank["script:stage4_horovod"] for rank in ranks)
    assert first["weights"] == second["weights"]
    assert first["accuracy"] == second["accuracy"] > 0.93
    assert first["optimizer"] == "Adadelta"
    assert first["learning_rate"] == second["learning_rate"] == 2.0
    assert first["epochs"] == second["epochs"] == 6
    assert first["files"] == [f"checkpoint-{epoch}.keras" for epoch in range(1, 7)]


@pytest.mark.mpi
def test_horovod_as_taught_trains_one_network_with_one_import_changed(ranks: Outcomes) -> None:
    first, second = (rank["script:../horovod_script"] for rank in ranks)
    assert first["weights"] == second["weights"]
    assert first["accuracy"] == second["accuracy"] > 0.9
    assert first["optimizer"] == "Adadelta"
    assert first["learning_rate"] == second["learning_rate"] == 2.0
    assert first["epochs"] == second["epochs"] == 6
    assert first["files"] == [f"checkpoint-{epoch}.keras" for epoch in range(1, 7)]


@pytest.mark.mpi
def test_hpcnn_trains_one_network(ranks: Outcomes) -> None:
    first, second = (rank["script:stage5_hpcnn"] for rank in ranks)
    assert first["weights"] == second["weights"]
    assert first["accuracy"] == second["accuracy"] > 0.93
    assert (first["epochs"], first["learning_rate"]) == (12, 1.0)


@pytest.mark.parametrize("name", WITH_DIFFS)
def test_the_diffs_shown_are_those_of_the_files(name: str) -> None:
    text = Path(ROOT / name).read_text(encoding="utf-8")
    assert "```diff\n--- docs/examples/" in text
    assert text == renewed(text), "python -m tests.docs.diffs writes them anew"
