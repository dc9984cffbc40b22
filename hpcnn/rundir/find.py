"""Find submitted jobs by job id, run directory or folder of runs. Must not query a scheduler."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from hpcnn.rundir.layout import ARRAYS, RunDir, runs_folder
from hpcnn.util.errors import UsageError, not_there
from hpcnn.util.files import read_json, reason_of


@dataclass(frozen=True)
class Job:
    """A submitted job: its id, and its run directory (None for an id without a run directory here)."""

    job_id: str
    run: RunDir | None


def is_job(target: str) -> bool:
    """Return whether a target is the id of a job, or of a task of an array."""
    return re.fullmatch(r"\d+(_\d+)?", target) is not None


def find(targets: Sequence[str], *, or_none: bool = False, closed: Callable[[str], object] | None = None) -> list[Job]:
    """Return the jobs that ``targets`` name: job ids, run directories, or folders that hold some.

    No target means all jobs of the runs folder. The id of an array names all of its tasks. Raises UsageError for any
    other target; with ``or_none``, a folder without a submitted job names none.
    ``closed`` is called with a line for each run below a target that this user may not read; a target without any job
    that can be read then raises UsageError with such a line. Without ``closed``, these runs are passed over.
    """
    if not targets:
        return list(_below(runs_folder()))
    known = {job.job_id: job for job in _below(runs_folder())}
    found: list[Job] = []
    for target in targets:
        if is_job(target):
            tasks = [job for name, job in known.items() if name == target or name.startswith(f"{target}_")]
            found += tasks or [Job(target, None)]
            continue
        jobs = list(_below(Path(target)))
        barred = _barred_below(Path(target).absolute()) if closed else []
        if barred and not jobs:
            raise UsageError(f"JOB: {barred[0]}")
        if not jobs and not or_none and not _submitted_below(Path(target)):
            raise not_there("JOB", target, "a job id, the run directory of a submitted job, or a folder of such")
        if closed:
            for line in barred:
                closed(line)
        found += jobs
    return found


def runs_of(targets: Sequence[str], *, closed: Callable[[str], object]) -> list[RunDir]:
    """Return all runs that ``targets`` name, submitted or not, the newest first.

    A target is a run directory, or a folder that holds some; no target means the runs folder. Attempts that were set
    aside are left out, and job ids are passed over. So are runs that this user may not read, for others may share the
    folder: ``closed`` is called with a line for each. Raises UsageError for a path without a run that can be read.
    """
    found: dict[Path, float] = {}
    for target in targets or [str(runs_folder())]:
        if is_job(target):
            continue
        barred: list[str] = []
        here = dict(_runs_below(Path(target).absolute(), barred))
        if not here and targets:
            if barred:
                raise UsageError(f"RUN: {barred[0]}")
            raise not_there("RUN", target, "a run directory, a folder of runs, or a job id")
        for line in barred:
            closed(line)
        found |= here
    return [RunDir(path) for path in sorted(found, key=lambda path: (found[path], path), reverse=True)]


def run_of(target: str) -> RunDir:
    """Return the one run that ``target`` names: a run directory, or the id of a job or of a task of an array.

    Raises UsageError for an id without a run directory here, and for an array of several tasks.
    """
    if Path(target).is_dir():
        return RunDir(target)
    found = find([target])
    if len(found) > 1:
        raise UsageError(f"job {target}: is an array of {len(found)} tasks; name one, e.g. {found[0].job_id}")
    run = found[0].run
    if run is None:
        raise UsageError(f"job {target}: none of the runs here has this id; name its run directory")
    return run


def _submitted_below(folder: Path) -> bool:
    """Return whether there is a record of a submission, of which the job's id may not be known yet."""
    return any(next(folder.rglob(name), None) for name in ("job.json", f"{ARRAYS}/*.json"))


def _runs_below(folder: Path, barred: list[str]) -> Iterator[tuple[Path, float]]:
    """Yield the run directories in a folder, or itself, and when each was begun: the time of its first file.

    What this user may not read is appended to ``barred``, a line for each folder.
    """

    def is_closed(error: OSError) -> None:
        if isinstance(error, PermissionError):
            barred.append(f"{error.filename}: {reason_of(error)}")

    for path, folders, files in os.walk(folder, onerror=is_closed):
        known = [name for name in ("spec.json", "job.json", "result.json", "provenance.json") if name in files]
        if not known or known == ["provenance.json"]:
            continue
        folders.clear()  # no run is in another one
        if "~" in Path(path).name:
            continue
        unreadable = next(
            (name for name in known if not os.access(Path(path) / name, os.R_OK, effective_ids=True)), None
        )
        if unreadable:
            barred.append(f"{path}: {unreadable}: permission denied")
        else:
            yield Path(path), (Path(path) / known[0]).stat().st_mtime


def _barred_below(folder: Path) -> list[str]:
    """Return a line for each run in a folder that this user may not read."""
    barred: list[str] = []
    for _ in _runs_below(folder, barred):
        pass
    return barred


def _below(folder: Path) -> Iterable[Job]:
    for file in sorted(folder.rglob("job.json")) if folder.is_dir() else ():
        try:
            record = read_json(file)
        except OSError:  # one that cannot be read does not hide the others
            continue
        if record and record.get("job_id"):
            yield Job(str(record["job_id"]), RunDir(file.parent))
