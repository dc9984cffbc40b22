"""Run the campaigns for some minutes, and print what was done and what was wrong: ``python -m tests.faults``.

``--minutes`` are divided among the campaigns; ``--json`` writes the figures down. Ends with status 1 where something
was wrong.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import random
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tests.faults import damage, disk, kills, values

# The part of the time of each campaign that ends by the clock.
_PARTS = {"kills": 0.4, "chains": 0.15, "damage": 0.25, "options": 0.2}
# Kinds of kills. Of the changes of each, every fifth in turn.
_STRIDE = 5
_KINDS: dict[str, dict[str, bool]] = {
    "training": {},
    "resumed, torn": {"resume": True, "torn": True},
    "beside what was left": {"left": True},
    "record, submit": {},
    "training, torn": {"torn": True},
    "resumed": {"resume": True},
    "beside what was left, torn": {"left": True, "torn": True},
}


@dataclass
class Figures:
    """What was done, by name, and what was wrong."""

    done: dict[str, int] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)

    def add(self, name: str, campaign: Callable[[], int]) -> None:
        """Do a campaign and count it; note what it finds wrong."""
        begin = time.monotonic()
        try:
            self.done[name] = self.done.get(name, 0) + campaign()
        except Exception:
            self.wrong.append(f"{name}: {traceback.format_exc(limit=-3)}")
            print(f"WRONG: {self.wrong[-1]}", flush=True)
        print(f"{name}: {self.done.get(name, 0)}  ({time.monotonic() - begin:.0f} s)", flush=True)


def main(words: list[str]) -> int:
    """Run all campaigns; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args(words)
    place = Path(tempfile.mkdtemp(prefix="hpcnn-faults-"))
    os.environ["HPCNN_CONFIG"] = str(place / "config")
    os.chdir(place)
    print(f"in {place}", flush=True)
    found = campaigns(place, asked.minutes * 60, random.Random(asked.seed))
    for line in found.wrong[:50]:
        print(f"WRONG: {line}")
    summary = {"figures": found.done, "wrong": len(found.wrong), "minutes": asked.minutes, "seed": asked.seed}
    print(json.dumps(summary, indent=2))
    if asked.json:
        asked.json.write_text(json.dumps(summary, indent=2) + "\n")
    return 1 if found.wrong else 0


def campaigns(place: Path, seconds: float, luck: random.Random) -> Figures:
    """Do everything once, and what ends by the clock for so many seconds in all."""
    import hpcnn.cli.record
    import hpcnn.cli.submit
    import hpcnn.train.numpy.run
    import hpcnn.train.session  # noqa: F401  # what the forks of this process need

    values.with_true_for_hpcnn()
    found = Figures()
    kills.undisturbed(place)

    def until(part: str) -> Callable[[], bool]:
        end = time.monotonic() + seconds * _PARTS[part]
        return lambda: time.monotonic() > end

    found.add("two at once", lambda: kills.both_at_once(place, 10))
    if disk.can_mount(place / "disk"):
        found.add("full disks", lambda: disk.fill_levels(place, range(4, 64, 4)))
    ended = until("kills")
    for first, kind in itertools.product(range(1, _STRIDE + 1), _KINDS):  # all changes, if there is time
        if not ended():
            found.add(f"kills: {kind}", lambda first=first, kind=kind: _kills(place, first, kind))
    ended = until("chains")
    while not ended():
        found.add("kills: chains", lambda: kills.chains(place, 20, luck.randrange(10**9)))
    _damage(found, place, luck, until("damage"))
    _values(found, luck, until("options"))
    return found


def _kills(place: Path, first: int, kind: str) -> int:
    if kind == "record, submit":
        return kills.command_kills(place, first=first, every=_STRIDE)
    return kills.train_kills(place, first=first, every=_STRIDE, **_KINDS[kind])


def _damage(found: Figures, place: Path, luck: random.Random, ended: Callable[[], bool]) -> None:
    def campaign() -> int:
        damaged, read, wrong = damage.campaign(
            place / "oracle", place / "damaged", count=3, seed=luck.randrange(10**9), ended=ended
        )
        found.wrong += wrong
        found.done["damaged files"] = found.done.get("damaged files", 0) + damaged
        return read

    while not ended():
        found.add("readings of damaged files", campaign)


def _values(found: Figures, luck: random.Random, ended: Callable[[], bool]) -> None:
    def of_fields() -> int:
        count, wrong = values.fields(luck, 5000)
        found.wrong += wrong
        return count

    def of_options() -> int:
        count, wrong = values.options(luck, 500, ended)
        found.wrong += wrong
        return count

    found.add("values of fields", of_fields)
    while not ended():
        found.add("values of options", of_options)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
