"""Run the campaigns for some minutes, and print what was done and what was wrong: ``python -m tests.faults``.

A campaign is a list of pieces of seconds. ``--state FILE`` remembers the pieces that were done and their figures: the
same words again go on with the next ones, and repeat those that went wrong. Ends with status 1 where something is
wrong.
"""

from __future__ import annotations

import argparse
import importlib
import itertools
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path

from hpcnn.search import worker
from tests import isolation, warm_start
from tests.faults import commands, damage, disk, keys, kills, kinds, networks, pairs, values

ROOT = Path(__file__).parents[2]
# The part of the time of each campaign.
CAMPAIGNS = {
    "records": 0.15,
    "commands": 0.15,
    "jobs": 0.15,
    "networks": 0.2,
    "ranks": 0.1,
    "damage": 0.1,
    "values": 0.15,
}
# Of the changes of a kind of work, every fifth in turn.
_STRIDE = 5
# The servers of warm starts (``tests/warm_start``) for what job scripts start.
_WARM = {"jobs": ("jobs",), "ranks": ("jobs", "training", "tables")}
_TRAININGS: dict[str, dict[str, bool]] = {
    "a training": {},
    "a training, resumed, torn": {"resume": True, "torn": True},
    "a training beside what was left": {"left": True},
    "a training, torn": {"torn": True},
    "a training, resumed": {"resume": True},
    "a training beside what was left, torn": {"left": True, "torn": True},
}


@dataclass(frozen=True)
class Piece:
    """A piece of a campaign: what it counts, and the work, which returns how many there were and what was wrong."""

    name: str
    counts: str
    work: Callable[[], tuple[int, list[str]]]


@dataclass
class State:
    """What was done, with its figures, and what was wrong."""

    done: list[str] = field(default_factory=list)
    figures: dict[str, int] = field(default_factory=dict)
    wrong: dict[str, list[str]] = field(default_factory=dict)
    seconds: float = 0.0

    @staticmethod
    def read(file: Path | None) -> State:
        return State(**json.loads(file.read_text())) if file is not None and file.exists() else State()

    def run(self, piece: Piece) -> None:
        """Do a piece, and note it."""
        begin = time.monotonic()
        try:
            count, wrong = piece.work()
        except Exception:
            count, wrong = 0, [traceback.format_exc(limit=-3)]
        self.seconds += time.monotonic() - begin
        self.figures[piece.counts] = self.figures.get(piece.counts, 0) + count
        print(f"{piece.name}: {count}  ({time.monotonic() - begin:.0f} s)", flush=True)
        for line in wrong[:10]:
            print(f"WRONG: {piece.name}: {line}", flush=True)
        if wrong:
            self.wrong[piece.name] = wrong[:10]
        else:
            self.wrong.pop(piece.name, None)
            self.done.append(piece.name)


def main(words: list[str]) -> int:
    """Run the campaigns; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--only", choices=CAMPAIGNS, help="one campaign")
    parser.add_argument("--state", type=Path, help="go on with what this file says was done, and note it there")
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args(words)
    state = State()
    if asked.only:
        state = _campaign(asked.only, asked.minutes * 60, asked.state, asked.seed)
    else:
        with tempfile.TemporaryDirectory() as folder:
            file = (asked.state or Path(folder) / "state").absolute()
            for name, part in CAMPAIGNS.items():  # each in a process that has loaded what it needs, and no more
                more = ("--only", name, "--minutes", asked.minutes * part, "--state", file, "--seed", asked.seed)
                subprocess.run([sys.executable, "-m", "tests.faults", *map(str, more)], cwd=ROOT, check=False)
            state = State.read(file)
    print(json.dumps({key: value for key, value in asdict(state).items() if key != "done"}, indent=2))
    return 1 if state.wrong else 0


def _campaign(name: str, seconds: float, file: Path | None, seed: int) -> State:
    """Do pieces of a campaign until the time is over."""
    file = None if file is None else file.absolute()
    state = State.read(file)
    end = time.monotonic() + seconds
    home = isolation.isolate()
    place = Path(tempfile.mkdtemp(prefix="hpcnn-faults-"))
    os.environ["HPCNN_CONFIG"] = str(place / "config")
    os.environ["HPCNN_CACHE"] = str(place / "cache")
    with ExitStack() as kept:
        kept.callback(shutil.rmtree, place, ignore_errors=True)
        kept.callback(isolation.end, home)
        if name in _WARM:
            os.environ.update(kept.enter_context(warm_start.servers(home, _WARM[name])))
        kept.callback(os.chdir, ROOT)
        os.chdir(place)
        for piece in _PIECES[name](place, seed):
            if time.monotonic() > end:
                break
            if piece.name not in state.done:
                state.run(piece)
                if file is not None:
                    file.write_text(json.dumps(asdict(state), indent=1))
    return state


def _counted(work: Callable[..., int], *words: object, **options: object) -> Callable[[], tuple[int, list[str]]]:
    return lambda: (work(*words, **options), [])


def _import(*modules: str) -> None:
    """Import what the forks of this process need, once."""
    for module in modules:
        importlib.import_module(module)


def _records(place: Path, seed: int) -> Iterator[Piece]:
    _import("hpcnn.train.numpy.run", "hpcnn.train.session", "hpcnn.cli.record", "hpcnn.cli.submit")
    kills.undisturbed(place)
    yield Piece("two at once", "pairs of trainings at once", _counted(kills.both_at_once, place, 20))
    if disk.can_mount(place / "disk"):
        for first in range(4, 20, 4):
            levels = range(first, 80, 16)
            yield Piece(f"full disks {first}", "full disks", _counted(disk.fill_levels, place, levels))
    for first in range(1, _STRIDE + 1):
        for name, options in _TRAININGS.items():
            work = _counted(kills.train_kills, place, first=first, every=_STRIDE, **options)
            yield Piece(f"{name} {first}", f"kills: {name}", work)
        work = _counted(kills.command_kills, place, first=first, every=_STRIDE)
        yield Piece(f"record, submit of a program {first}", "kills: record begin and finish, submit of a program", work)
    for number in itertools.count():
        yield Piece(f"chains {seed} {number}", "kills: chains", _counted(kills.chains, place, 20, 1000 * seed + number))


def _commands(place: Path, seed: int) -> Iterator[Piece]:
    _import("hpcnn.train.numpy.run", "hpcnn.train.session", *commands.MODULES)
    kills.undisturbed(place)
    commands.warm(place)
    every = commands.kinds(place)
    at_once = _at_once(pairs.pairs(every), place, 4)
    yield from _in_turn(_of_kinds(every, place), at_once, _full_disks(every, place, range(0, 80, 8)))


def _jobs(place: Path, seed: int) -> Iterator[Piece]:
    _import("hpcnn.train.numpy.run", "hpcnn.train.session", *commands.MODULES)
    kills.undisturbed(place)
    worker._SECONDS_BETWEEN_LOOKS = 0.02  # of trials that take a tenth of a second
    every = commands.job_kinds()
    alone = [kind for kind in every if kind.name != "search submit"]  # a second one adds workers, as it is meant to
    at_once = _at_once(itertools.chain(pairs.of_trainings(), pairs.pairs(alone)), place, 2)
    full = _full_disks(every[:4], place, range(0, 80, 20))
    yield from _in_turn(_of_kinds(every, place, processes=True, stride=_STRIDE * 5), at_once, full)


def _networks(place: Path, seed: int) -> Iterator[Piece]:
    os.environ |= {"CUDA_VISIBLE_DEVICES": "-1", "TF_CPP_MIN_LOG_LEVEL": "2"}
    _import("hpcnn.train.keras_fit", "hpcnn.train.loop", "hpcnn.train.session", "hpcnn.cli.train", "hpcnn.cli.export")
    networks.trained(place)
    every = networks.kinds(place)
    at_once = _at_once(pairs.of_networks(place), place, 2)
    full = _full_disks(every, place, range(0, 700, 230))
    yield from _in_turn(_of_kinds(every, place, stride=_STRIDE * 3), at_once, full)


def _ranks(place: Path, seed: int) -> Iterator[Piece]:
    _import("hpcnn.cli.submit", "hpcnn.cli.tune")
    ranks, tune = networks.rank_kinds()
    of_tune = _of_kinds([tune], place, processes=True, stride=_STRIDE * 20)  # it has four times as many changes
    yield from _in_turn(_of_kinds([ranks], place, processes=True, stride=_STRIDE * 5), of_tune)


def _in_turn(*several: Iterator[Piece]) -> Iterator[Piece]:
    """Yield one piece of each in turn, until none is left."""
    for pieces in itertools.zip_longest(*several):
        yield from (piece for piece in pieces if piece is not None)


def _at_once(which: Iterable[tuple[str, kinds.Kind, kinds.Kind]], place: Path, times: int) -> Iterator[Piece]:
    for name, one, other in which:
        work = _counted(pairs.at_once, one, other, place, times)
        yield Piece(f"at once: {name}", "pairs of commands at once", work)


def _full_disks(every: list[kinds.Kind], place: Path, levels: range) -> Iterator[Piece]:
    quick = [kind for kind in every if not kind.slow]
    for kind in quick if disk.can_mount(place / "disk") else ():
        yield Piece(f"full disks: {kind.name}", "full disks", _counted(disk.fill, kind, place, levels))


def _of_kinds(
    all_kinds: list[kinds.Kind], place: Path, *, processes: bool = False, stride: int = _STRIDE
) -> Iterator[Piece]:
    """Yield the kills of each kind: as they are, with what was being written torn, and of one of several processes."""
    forms: dict[str, dict[str, bool]] = {"": {}, ", torn": {"torn": True}}
    forms |= {", one process": {"everyone": False}} if processes else {}
    for first, (form, options) in itertools.product(range(1, stride + 1), forms.items()):
        for kind in all_kinds:
            if kind.slow and form:
                continue
            name = f"kills: {kind.name}{form}"
            work = _counted(kinds.kills, kind, place, first=first, every=stride, **options)
            yield Piece(f"{name} {first}", name, work)


def _damage(place: Path, seed: int) -> Iterator[Piece]:
    kills.undisturbed(place)

    def campaign(luck: int) -> tuple[int, list[str]]:
        _, read, wrong = damage.campaign(place / "oracle", place / "damaged", count=1, seed=luck)
        return read, wrong

    for number in itertools.count():
        work = lambda number=number: campaign(1000 * seed + number)  # noqa: E731
        yield Piece(f"damage {seed} {number}", "readings of damaged files", work)


def _values(place: Path, seed: int) -> Iterator[Piece]:
    kills.undisturbed(place)
    values.with_true_for_hpcnn()
    drawn: dict[str, Callable[[random.Random], tuple[int, list[str]]]] = {
        "values of options": lambda luck: values.options(luck, 500),
        "values of fields": lambda luck: values.fields(luck, 3000),
    }
    for name in keys.FILES:  # reading a run takes ten times longer
        count = 3 if name in keys.RUN_FILES else 50
        drawn[f"keys of {name}"] = lambda luck, name=name, count=count: keys.campaign(
            name, place, count, luck.randrange(2**32)
        )
    for number in itertools.count():
        for name, work in drawn.items():
            luck = random.Random(f"{seed} {number} {name}")
            yield Piece(f"{name} {seed} {number}", name, lambda work=work, luck=luck: work(luck))


_PIECES: dict[str, Callable[[Path, int], Iterator[Piece]]] = {
    "records": _records,
    "commands": _commands,
    "jobs": _jobs,
    "networks": _networks,
    "ranks": _ranks,
    "damage": _damage,
    "values": _values,
}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
