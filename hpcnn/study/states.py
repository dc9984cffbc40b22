"""Determine the state of each run of a study: by its job if that is alive, else by its record, else by Slurm."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from hpcnn.rundir.layout import RunDir
from hpcnn.scheduler import slurm
from hpcnn.scheduler.parse import JobState
from hpcnn.scheduler.states import ALIVE, requeued
from hpcnn.util.files import read_json
from hpcnn.util.lock import held

STATUSES = ("completed", "running", "pending", "failed", "interrupted", "unknown", "missing")


@dataclass(frozen=True)
class RunState:
    """The state of one run: its directory, one of STATUSES, and the reason, if there is one.

    recorded: whether the run's own record says so; else Slurm does. job: what Slurm says, for a submitted run without
    a record.
    """

    run: RunDir
    status: str
    reason: str | None = None
    job_id: str | None = None
    job: JobState | None = None
    recorded: bool = False

    @property
    def alive(self) -> bool:
        """Return whether the run is waiting or running."""
        return self.status in ALIVE


def look(paths: Iterable[Path], queue: Mapping[str, JobState] | None = None) -> list[RunState]:
    """Return the state of the run in each of ``paths``, with one query for all. queue: as for ``slurm.query``."""
    runs = [RunDir(path) for path in paths]
    recorded = {run.path: _recorded(run) for run in runs}
    jobs = {run.path: _job_id(run) for run in runs}
    # A job that has been requeued has a record of its last attempt, and is alive all the same.
    asked = {path: job for path, job in jobs.items() if job and not _has_ended(recorded[path])}
    told = slurm.query(list(asked.values()), queue)
    for path, job in asked.items():
        state = recorded[path]
        if state and requeued(state.status, told[job].status):
            recorded[path] = None
    return [recorded[run.path] or _unrecorded(run, jobs[run.path], told) for run in runs]


def runs_in(folder: Path) -> list[Path]:
    """Return the run directories of a study's folder, without attempts that were set aside, in the order of names."""
    return sorted(file.parent for file in folder.glob("*/spec.json") if "~" not in file.parent.name)


def _has_ended(state: RunState | None) -> bool:
    return state is not None and state.status != "interrupted"


def _recorded(run: RunDir) -> RunState | None:
    result = run.read_result()
    if result is None:
        return None
    status = str(result.get("status"))
    reason = result.get("reason")
    return RunState(
        run, status if status in STATUSES else "unknown", reason and str(reason), _job_id(run), recorded=True
    )


def _unrecorded(run: RunDir, job_id: str | None, told: Mapping[str, JobState]) -> RunState:
    if job_id is not None:
        return _as_slurm_says(run, told[job_id])
    if not run.log.exists():  # nothing of it has started
        return RunState(run, "missing")
    if held(run.path.parent):
        return RunState(run, "running")
    return RunState(run, "interrupted", "it was cut off without a record")


def _as_slurm_says(run: RunDir, job: JobState) -> RunState:
    if job.status == "completed":
        return RunState(run, "unknown", f"Slurm says {job.state}, but there is no result.json", job.job_id, job)
    if job.status == "unknown":
        return RunState(run, "unknown", "Slurm does not know its job, and there is no result.json", job.job_id, job)
    reason = job.reason if job.status == "pending" else f"Slurm says {job.state}"
    return RunState(run, job.status, None if job.status == "running" else reason, job.job_id, job)


def _job_id(run: RunDir) -> str | None:
    record = read_json(run.job)
    return str(record["job_id"]) if record and record.get("job_id") else None
