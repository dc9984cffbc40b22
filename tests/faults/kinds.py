"""Kinds of commands that write: how each begins, and what must be there in the end, however often it was killed."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from hpcnn.rundir.layout import RunDir
from hpcnn.rundir.read import read_run
from tests.faults.process import Ended, run

Action = Callable[[], object]


class Wrong(AssertionError):
    """What must not be after a fault."""


def nothing(folder: Path) -> None:
    """Make nothing ready."""


@dataclass(frozen=True)
class Kind:
    """A command in a folder of its own.

    action: the work, for a fork. facts: what must be the same whether it was killed or not. before: makes it ready.
    again: what its user types after a kill, by what the first try again has said; by default the same. done: words with
    which the command says that there is nothing left to do. slow: it takes seconds, and is killed in one way alone.
    excused: what may be there instead of the right facts where one of several processes alone was killed.
    """

    name: str
    action: Callable[[Path], Action]
    facts: Callable[[Path], object]
    before: Callable[[Path], None] = nothing
    again: Callable[[Path, str], Action] | None = None
    done: tuple[str, ...] = ()
    slow: bool = False
    excused: Callable[[object, object], bool] = lambda found, right: False


@dataclass
class Oracle:
    """A piece of work that nothing has disturbed: its facts, and the number of its changes."""

    facts: object
    changes: int


_oracles: dict[tuple[str, Path], Oracle] = {}
_TRIES = 4


def oracle(kind: Kind, place: Path) -> Oracle:
    """Return the undisturbed work of a kind, done once."""
    key = kind.name, place
    if key not in _oracles:
        folder = fresh(kind, place)
        ended = run(kind.action(folder), place)
        if ended.status:
            raise Wrong(f"{kind.name}: {ended.status}: {ended.output}")
        facts = kind.facts(folder)
        again = fresh(kind, place)
        run(kind.action(again), place)
        if kind.facts(again) != facts:
            raise Wrong(f"{kind.name}: two undisturbed ones differ: {facts}, {kind.facts(again)}")
        _oracles[key] = Oracle(facts, ended.changes)
    return _oracles[key]


def kills(kind: Kind, place: Path, *, first: int = 1, every: int = 1, torn: bool = False, everyone: bool = True) -> int:
    """Kill a kind of work at each of its changes, and let it be done again; return how many kills there were."""
    right = oracle(kind, place)
    count = 0
    for number in range(first, right.changes + 1, every):
        folder = fresh(kind, place)
        ended = run(kind.action(folder), place, kill_at=number, torn=torn, everyone=everyone)
        count += ended.killed
        at = f"{kind.name}, killed at change {number} of {right.changes} ({ended.killed_at})"
        try:
            _check_output(ended)
            _check_readable(folder)
            again(kind, folder, place)
            facts = kind.facts(folder)
            if facts != right.facts and (everyone or not kind.excused(facts, right.facts)):
                raise Wrong(f"{facts}, not {right.facts}")
        except Exception as error:
            raise Wrong(f"{at}: {error!r}; it said: {ended.output[-1500:]}") from error
    return count


def again(kind: Kind, folder: Path, place: Path) -> None:
    """Do the work again, as its user would, until it is done."""
    said = ""
    for _ in range(_TRIES):
        action = kind.again(folder, said) if kind.again else kind.action(folder)
        ended = run(action, place)
        _check_output(ended)
        if ended.status == 0 or any(words in ended.output for words in kind.done):
            return
        said = ended.output
    raise Wrong(f"again: {ended.status}: {said}")


def files(folder: Path) -> dict[str, str]:
    """Return the digest of every file, but of what a kill may leave: hidden ones that were being written, and locks."""
    return {
        str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(folder.rglob("*"))
        if file.is_file() and not file.name.startswith(".")
    }


def training_facts(folder: Path) -> tuple[object, ...]:
    """Return what must be the same of a training whether it was killed or not."""
    result, read = RunDir(folder).read_result() or {}, read_run(folder)
    epochs = [(row["epoch"], row["loss"], row["validation_loss"]) for row in read.epochs]
    networks = sorted(RunDir(folder).networks())
    return result.get("status"), result.get("epochs"), result.get("test"), read.run["problem"], epochs, networks


def fresh(kind: Kind, place: Path) -> Path:
    """Return a new folder in which a kind of work can begin."""
    folder = place / "work"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    kind.before(folder)
    return folder


def _check_output(ended: Ended) -> None:
    if "Traceback" in ended.output:
        raise Wrong(f"a traceback: {ended.output}")


def _check_readable(folder: Path) -> None:
    """Check that each run directory can be read, and that none has a result without epochs."""
    for spec in folder.rglob("spec.json"):
        row = read_run(spec.parent).run
        if row["status"] == "completed" and row["problem"]:
            raise Wrong(f"{spec.parent}: {row['problem']}")
