"""What a run has reached so far, from the ends of its files: cheap enough to look at again and again."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from hpcnn.rundir.layout import RunDir
from hpcnn.rundir.progress import Standing, standing
from hpcnn.util.files import parse_json, tail
from hpcnn.util.types import Json

# A training writes its progress every second, or after each call of its steps, which takes two seconds and rarely more.
_SECONDS_OF_LIFE = 60.0
# The last lines of a file of epochs, of which each has some hundred bytes.
_END = 16384


@dataclass(frozen=True)
class Reached:
    """How far a run is: epochs done and asked for, its speed, its accuracy on the test set, and the time that is left.

    now: where it stands within an epoch, of a training under way.
    """

    epochs: int
    asked: int | None
    images_per_second: float | None
    accuracy: float | None
    now: Standing | None


def reached(run: RunDir, spec: dict[str, Json]) -> Reached:
    """Return how far a run is. spec: what ``spec.json`` holds."""
    train, resources = _table(spec.get("train")), _table(spec.get("resources"))
    last = _last_line(run.epochs(0))
    now = None if run.result.exists() else standing(run)
    seconds, samples = last.get("seconds_total"), last.get("samples")
    ranks = resources.get("ntasks") or 1
    speed = None
    if isinstance(seconds, (int, float)) and isinstance(samples, int) and isinstance(ranks, int) and seconds > 0:
        speed = samples * ranks / seconds
    accuracy = _table(last.get("validation")).get("accuracy")
    asked = now.epochs if now else train.get("epochs")
    return Reached(
        epochs=last["epoch"] if isinstance(last.get("epoch"), int) else 0,
        asked=asked if isinstance(asked, int) else None,
        images_per_second=now.images_per_second if now and now.images_per_second else speed,
        accuracy=accuracy if isinstance(accuracy, (int, float)) else None,
        now=now,
    )


def _table(value: Json) -> dict[str, Json]:
    """Return a table of a record; an empty one where a damaged record has something else."""
    return value if isinstance(value, dict) else {}


def shows_life(run: RunDir) -> bool:
    """Return whether an unfinished run has written something within the last minute."""
    if run.result.exists():
        return False
    written = [_modified(file) for file in (run.progress, run.log, run.epochs(0))]
    return time.time() - max(written) < _SECONDS_OF_LIFE


def _modified(file: Path) -> float:
    try:
        return file.stat().st_mtime
    except OSError:
        return 0.0


def _last_line(file: Path) -> dict[str, Json]:
    """Return the record of the last whole line; empty where there is none."""
    try:
        lines = tail(file, _END).rpartition(b"\n")[0].rsplit(b"\n", 1)
        record = parse_json(lines[-1].decode())
    except ValueError:
        return {}
    return record if isinstance(record, dict) else {}
