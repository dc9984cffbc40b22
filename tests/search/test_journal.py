"""Optuna's journal: half a line is never there for long, and a dead holder of its lock holds nobody up."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

pytest.importorskip("optuna")

from optuna.storages.journal import JournalFileBackend

from hpcnn.search import journal
from hpcnn.search.journal import Journal, JournalLock
from hpcnn.util.files import WriteError
from tests.faults import disk

LINE = {"op_code": 1, "worker_id": "w", "text": "x" * 300}
# Takes the lock, and dies with it.
DIES = """
import os, sys
from pathlib import Path
from hpcnn.search.journal import JournalLock
JournalLock(Path(sys.argv[1])).acquire()
os._exit(0)
"""


def lines(file: Path) -> list[dict[str, object]]:
    """Return what Optuna's own backend reads: it is what other versions of hpcnn use."""
    return list(JournalFileBackend(str(file)).read_logs(0))


def test_it_writes_as_optuna_does(tmp_path: Path) -> None:
    Journal(tmp_path / "own.log").append_logs([LINE, {"é": "–"}])
    JournalFileBackend(str(tmp_path / "other.log")).append_logs([LINE, {"é": "–"}])
    assert (tmp_path / "own.log").read_bytes() == (tmp_path / "other.log").read_bytes()
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["other.log", "own.log"]


@pytest.mark.parametrize("half", [b"{", b'{"op_code": 1, "te', b"x" * (journal._BLOCK + 3)])
@pytest.mark.parametrize("before", [0, 1, 400])
def test_half_a_line_goes(half: bytes, before: int, tmp_path: Path) -> None:
    file = tmp_path / "journal.log"
    Journal(file).append_logs([LINE] * before)
    with file.open("ab") as opened:
        opened.write(half)
    Journal(file).append_logs([LINE])
    assert lines(file) == [LINE] * (before + 1)


def test_a_full_disk(tmp_path: Path) -> None:
    if not disk.can_mount(tmp_path / "disk"):
        pytest.skip("only root can mount a file system, where it can at all")
    with disk.disk(tmp_path / "disk", 64) as small:
        own = Journal(small / "journal.log")
        written = 0
        with contextlib.suppress(WriteError):
            while True:
                own.append_logs([LINE])
                written += 1
        assert written > 10
        with pytest.raises(WriteError, match=r"journal\.log: cannot be written: no space"):
            own.append_logs([LINE])
        assert lines(small / "journal.log") == [LINE] * written
        assert [entry.name for entry in small.iterdir()] == ["journal.log"]


@dataclass
class Clock:
    """Time in which nothing happens but waiting."""

    now: float = 0.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(journal, "time", clock)
    return clock


def test_a_dead_holder_is_found_out_at_once(tmp_path: Path, clock: Clock) -> None:
    file = tmp_path / "journal.log"
    subprocess.run([sys.executable, "-c", DIES, str(file)], check=True)
    assert JournalLock(file)._holder() is not None
    Journal(file).append_logs([LINE])
    assert clock.now < 0.1
    assert lines(file) == [LINE]
    assert JournalLock(file)._holder() is None


@pytest.mark.parametrize("text", ["/moved/away/journal.log", json.dumps({"host": "other", "boot": "b", "pid": 7})])
def test_a_holder_that_nobody_sees_has_half_a_minute(text: str, tmp_path: Path, clock: Clock) -> None:
    """Of an earlier hpcnn, in a folder that was moved; of another machine."""
    (tmp_path / "journal.log.lock").symlink_to(text)
    Journal(tmp_path / "journal.log").append_logs([LINE])
    assert 30 < clock.now < 31
    assert lines(tmp_path / "journal.log") == [LINE]


def test_a_living_holder_is_waited_for(tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = JournalLock(tmp_path / "journal.log"), JournalLock(tmp_path / "journal.log")
    one.acquire()
    monkeypatch.setattr(clock, "sleep", lambda seconds: one.release())
    with other.held():
        one.release()  # it is not this one's any more
        assert other._holder() == other._own


def test_many_at_once(tmp_path: Path) -> None:
    file = tmp_path / "journal.log"
    program = (
        "import sys; from pathlib import Path; from hpcnn.search.journal import Journal\n"
        "for n in range(40): Journal(Path(sys.argv[1])).append_logs([{'n': n, 'p': sys.argv[2]}])"
    )
    words = [sys.executable, "-c", program, str(file)]
    processes = [subprocess.Popen([*words, str(number)]) for number in range(3)]
    assert [process.wait() for process in processes] == [0, 0, 0]
    assert sorted((int(str(line["p"])), int(str(line["n"]))) for line in lines(file)) == [
        (p, n) for p in range(3) for n in range(40)
    ]
