"""Runs what is missing of a study, one run after another, on this machine."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from hpcnn.data.catalogue import check_staged
from hpcnn.rundir import RunDir
from hpcnn.study.expand import PlannedRun
from hpcnn.submit import Prepared, prepare, submit


@dataclass(frozen=True)
class Outcome:
    """How one run of a study ended: its exit status (0: completed) and seconds."""

    path: Path
    code: int
    seconds: float
    reason: str | None


def missing(runs: Sequence[PlannedRun], folder: Path) -> list[Prepared]:
    """Return the runs that have not been completed in ``folder``, in order, ready to run.

    Raises UsageError, before any of them has started, if one asks for what cannot be.
    """
    return [prepare(run.job, folder / run.run_id) for run in runs if not _completed(folder / run.run_id)]


def run_all(
    runs: Sequence[Prepared], started: Callable[[Prepared], None], ended: Callable[[Outcome], None]
) -> list[Outcome]:
    """Run each of ``runs`` in turn; a failing run does not stop the others. Returns how each ended.

    Raises UsageError before the first of them if the data of one is not staged.
    """
    for data in {run.job.train.data for run in runs if run.job.train is not None}:
        check_staged(data)
    outcomes = []
    for prepared in runs:
        started(prepared)
        path = prepared.run.path
        _set_aside(path)
        begin = time.monotonic()
        code = submit(prepared)
        reason = (prepared.run.read_result() or {}).get("reason")
        outcomes.append(Outcome(path, code, time.monotonic() - begin, reason))
        ended(outcomes[-1])
    return outcomes


def _completed(path: Path) -> bool:
    result = RunDir(path).read_result()
    return result is not None and result.get("status") == "completed"


def _set_aside(path: Path) -> None:
    """Keep an earlier attempt that failed or was cut off, under a name of its own: it stays in the report."""
    if not path.exists():
        return
    number = 1
    while (aside := path.with_name(f"{path.name}~{number}")).exists():
        number += 1
    path.rename(aside)
