"""Where a training stands: what rank 0 writes between calls of steps, and what a reader makes of it."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from hpcnn.rundir.layout import RunDir
from hpcnn.rundir.live import reached, shows_life
from hpcnn.rundir.progress import ProgressWriter, Standing, standing
from tests.synthetic.runs import write_run


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


def test_speed_and_time_left(tmp_path: Path, clock: list[float]) -> None:
    run = RunDir(tmp_path)
    writer = ProgressWriter(run, epochs=3, steps=100, batch=32)
    writer.done(1, 4)  # traced: no speed is known
    assert standing(run) == Standing(1, 3, 4, 100, None, None)
    clock[0] += 10
    writer.done(1, 54)  # 50 steps in 10 s; 246 of 300 are left
    assert standing(run) == Standing(1, 3, 54, 100, 160.0, 49.2)
    clock[0] += 0.5
    writer.done(1, 60)  # too soon to be written
    assert standing(run) == Standing(1, 3, 54, 100, 160.0, 49.2)
    clock[0] += 0.5
    writer.done(2, 4)  # an epoch is a hundred steps
    assert standing(run) == Standing(2, 3, 4, 100, 1600.0, 21.6)
    writer.close()
    assert not run.progress.exists()


def test_a_standing_in_words() -> None:
    text = Standing(3, 40, 1024, 1875, 21345.6, 3725.0).text()
    assert text == "epoch 3/40  1,024/1,875 steps  21,346 images/s  1:02:05 left"
    assert len(text) < 80


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", '{"epoch": 1}', '{"epoch": [], "epochs": 1, "step": 1, "steps": 1}'],
)
def test_a_damaged_file_says_nothing(text: str, tmp_path: Path) -> None:
    run = RunDir(tmp_path)
    run.progress.write_text(text)
    assert standing(run) is None


def test_numbers_that_are_none(tmp_path: Path) -> None:
    run = RunDir(tmp_path)
    facts = {"epoch": 1, "epochs": 1, "step": 1, "steps": 1, "images_per_second": float("nan"), "seconds_left": 1.0}
    run.progress.write_text(json.dumps(facts))
    assert standing(run) is None


def test_a_folder_that_cannot_be_written_disturbs_no_training(tmp_path: Path) -> None:
    writer = ProgressWriter(RunDir(tmp_path / "gone"), 1, 1, 1)
    writer.done(1, 1)
    writer.close()


def test_what_a_run_has_reached(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", ranks=2, samples=1000, seconds=[10.0, 10.0], status=None)
    found = reached(run, json.loads(run.spec.read_text()))
    assert (found.epochs, found.asked, found.images_per_second, found.now) == (3, 3, 100.0, None)
    assert shows_life(run)
    ProgressWriter(run, 3, 10, 100).done(2, 5)
    assert reached(run, {}).now == Standing(2, 3, 5, 10, None, None)
    run.write_result("completed")
    assert reached(run, {}).now is None
    assert not shows_life(run)
