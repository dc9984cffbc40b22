"""The short form of the campaigns: some faults of each kind. ``make faults`` runs the long one."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

import hpcnn.train.numpy.run
import hpcnn.train.session  # noqa: F401  # the forks have it then
from tests.faults import commands, damage, disk, keys, kills, kinds, values
from tests.faults.process import run

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a training that nothing has disturbed."""
    folder = tmp_path_factory.mktemp("faults")
    kills.undisturbed(folder)
    return folder


@pytest.mark.parametrize(
    ("every", "torn", "resume", "left"),
    [(13, False, False, False), (17, True, False, False), (17, False, True, False), (17, False, False, True)],
)
def test_a_killed_training_loses_nothing(place: Path, every: int, torn: bool, resume: bool, left: bool) -> None:
    assert kills.train_kills(place, every=every, torn=torn, resume=resume, left=left) >= 3


def test_a_training_that_is_killed_again_and_again_comes_to_the_same_end(place: Path) -> None:
    assert kills.chains(place, 4) >= 4


def test_a_record_is_closed_in_spite_of_kills(place: Path) -> None:
    assert kills.command_kills(place, every=4, names=("record begin", "record finish 0")) >= 3


@pytest.mark.parametrize("name", ["init", "data stage", "data convert npy", "tune keeps"])
def test_what_is_killed_does_its_work_when_it_is_called_again(place: Path, name: str) -> None:
    assert kinds.kills(_kind(place, name), place, first=3, every=19, torn=True) >= 1


def test_of_two_trainings_at_once_one_is_refused(place: Path) -> None:
    assert kills.both_at_once(place, 2) == 2


def test_a_full_disk(place: Path) -> None:
    if not disk.can_mount(place / "disk"):
        pytest.skip("only root can mount a file system, where it can at all")
    assert disk.fill_levels(place, range(8, 30, 12)) == 2


def test_a_full_disk_under_other_commands(place: Path) -> None:
    if not disk.can_mount(place / "disk"):
        pytest.skip("only root can mount a file system, where it can at all")
    assert disk.fill(_kind(place, "data convert npy"), place, range(0, 40, 20)) == 2


def _kind(place: Path, name: str) -> kinds.Kind:
    return next(kind for kind in commands.kinds(place) if kind.name == name)


def test_damaged_files(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)
    commands = tuple(damage.READ[number] for number in damage.QUICK)
    damaged, read, wrong = damage.campaign(place / "oracle", place / "damaged", count=0, commands=commands)
    assert not wrong
    assert (damaged > 50, read > 100) == (True, True)


def test_hostile_values_of_options(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("hpcnn.jobs.submit.hpcnn_command", lambda: ("true",))
    # A training sets TensorFlow's threads, which a process can do once; in this one other tests train.
    monkeypatch.setattr(values, "PARSED", values.PARSED | {"train"})
    tried, wrong = values.options(random.Random(3), 100)
    assert not wrong
    assert tried == 100


def test_hostile_values_of_fields() -> None:
    assert values.fields(random.Random(3), 500) == (500, [])


@pytest.mark.parametrize("name", [name for name in keys.FILES if name not in keys.RUN_FILES])
def test_hostile_values_of_keys(name: str, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hpcnn.jobs.submit.hpcnn_command", lambda: ("true",))
    tried, wrong = keys.campaign(name, place, 6, 1)
    assert not wrong
    assert tried >= 6


class TestTheCampaignsFind:
    """What they are for: each finds a fault that is put there."""

    def test_a_result_that_is_wrong(self, place: Path) -> None:
        folder = place / "other"
        run(kills.training(folder, "--seed", 2), place)
        with pytest.raises(kills.Wrong, match="completed with 5 epochs"):
            kills.check_readable(folder, place / "oracle")

    def test_a_command_that_is_run(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        values._run(f"touch {values.CANARY}")
        assert (tmp_path / values.CANARY).exists()

    def test_a_kill_at_each_change(self, tmp_path: Path) -> None:
        def writes() -> None:
            (tmp_path / "a").write_text("a")
            (tmp_path / "a").rename(tmp_path / "b")

        assert run(writes, tmp_path).changes == 2
        assert run(writes, tmp_path, kill_at=2).killed
        assert sorted(file.name for file in tmp_path.iterdir()) == ["a", "b"]
