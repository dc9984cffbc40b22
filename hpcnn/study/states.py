"""Determine the state of each run of a study: by its job if that is alive, else by its record, else by Slurm."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from hpcnn.jobs.ended import settle
from hpcnn.jobs.submission import array_names, arrays_of, recover
from hpcnn.rundir.layout import RunDir
from hpcnn.rundir.memory import OUT_OF_MEMORY
from hpcnn.scheduler import batch_scheduler
from hpcnn.scheduler.api import JobState, NoAnswer, Queue
from hpcnn.scheduler.states import ALIVE, UNKNOWN
from hpcnn.util.files import open_regular, read_json, reason_of
from hpcnn.util.lock import held

STATUSES = ("completed", "running", "pending", "failed", "interrupted", "unknown", "missing")


@dataclass(frozen=True)
class RunState:
    """The state of one run: its directory, one of STATUSES, and the reason, if there is one.

    recorded: whether the run's own record says so; else the scheduler does. job: what the scheduler says, for a
    submitted run without a record, and for an interrupted one while the queue gives no answer: it may be requeued.
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

    @property
    def may_be_alive(self) -> bool:
        """Whether the run is waiting or under way, or may be so because the queue gave no answer."""
        return self.alive or (self.job is not None and self.job.may_be_alive)

    @property
    def no_answer(self) -> str:
        """Return why the scheduler does not say more of the run; empty where it answered."""
        return self.job.no_answer if self.job is not None else ""


def look(paths: Iterable[Path], queue: Queue | None = None) -> list[RunState]:
    """Return the state of the run in each of ``paths``, with one query for all. queue: as for ``Scheduler.query``."""
    runs = [RunDir(path) for path in paths]
    found = {run.path: state for run in runs if (state := _closed(run))}
    found |= {state.run.path: state for state in _look([run for run in runs if run.path not in found], queue)}
    return [found[run.path] for run in runs]


def _closed(run: RunDir) -> RunState | None:
    """Return the state of a run that this user may not read; None for any other."""
    for file in (run.result, run.job, run.spec):
        try:
            open_regular(file).close()
        except PermissionError as error:
            return RunState(run, "unknown", f"{file.name}: {reason_of(error)}")
        except OSError:
            continue  # it is not there, or no file
    return None


def _look(runs: Sequence[RunDir], queue: Queue | None) -> list[RunState]:
    recorded = {run.path: _recorded(run) for run in runs}
    lost = _lost([run for run in runs if recorded[run.path] is None])
    jobs = {run.path: _job_id(run) for run in runs}
    # A job that has been requeued has a record of its last attempt, and is alive all the same.
    asked = {path: job for path, job in jobs.items() if job and not _has_ended(recorded[path])}
    failed = {path: job for path, job in jobs.items() if job and _has_failed(recorded[path])}
    if failed and queue is None:
        with contextlib.suppress(NoAnswer):
            queue = batch_scheduler().queue()
    told = batch_scheduler().query(list(asked.values()), queue)
    for path, job in failed.items():  # the queue alone is asked of them: accounts are slow, and have nothing to add
        if queue and job in queue and queue[job].goes_on_after("failed"):
            told[job], recorded[path] = queue[job], None
    for path, job in asked.items():
        state = recorded[path]
        if state and told[job].goes_on_after(state.status):
            recorded[path] = None
        elif state and told[job].may_be_alive:
            reasons = (state.reason, told[job].no_answer)
            recorded[path] = replace(state, job=told[job], reason="; ".join(text for text in reasons if text))
    return [recorded[run.path] or lost.get(run.path) or _unrecorded(run, jobs[run.path], told) for run in runs]


def with_causes(states: Sequence[RunState]) -> list[RunState]:
    """Return the states with the cause that Slurm alone knows of a failed run: it needed more memory than it had.

    The job itself may have seen no more than a process that was killed. One query for all. The records get the causes
    too, and jobs that were killed while they were at work the record that they could not write.
    """
    doubtful = [state for state in states if state.recorded and state.status == "failed" and state.job_id]
    ids = [str(state.job_id) for state in doubtful if OUT_OF_MEMORY not in str(state.reason)]
    told = batch_scheduler().query(ids) if ids else {}
    for state in states:
        if job := state.job or told.get(str(state.job_id)):
            settle(state.run, job)
    return [_with_cause(state, told.get(str(state.job_id))) for state in states]


def _with_cause(state: RunState, job: JobState | None) -> RunState:
    if job is None or job.may_be_alive or not job.ran_out_of_memory:
        return state
    return replace(state, reason="; ".join(text for text in (job.cause, state.reason) if text))


def _lost(runs: Sequence[RunDir]) -> dict[Path, RunState]:
    """Find the jobs of interrupted submissions; return the states of runs that may have been submitted all the same."""
    without = [run for run in runs if _job_id(run) is None]
    records = [run.job for run in without]
    for folder in dict.fromkeys(run.path.parent for run in without):
        records += arrays_of(folder)
    states = {}
    for one in recover(records).in_doubt:
        here = one.record.parent
        for path in [here.parent / name for name in array_names(one.facts)] if "runs" in one.facts else [here]:
            states[path] = RunState(RunDir(path), UNKNOWN, one.reason, job=one.state)
    return states


def runs_in(folder: Path) -> list[Path]:
    """Return the run directories of a study's folder, without attempts that were set aside, in the order of names."""
    return sorted(file.parent for file in folder.glob("*/spec.json") if "~" not in file.parent.name)


def _has_ended(state: RunState | None) -> bool:
    return state is not None and state.status != "interrupted"


def _has_failed(state: RunState | None) -> bool:
    return state is not None and state.status == "failed"


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
    if job.unknown and job.no_answer:
        return RunState(run, "unknown", job.no_answer, job.job_id, job)
    if job.unknown:
        return RunState(run, "unknown", "Slurm does not know its job, and there is no result.json", job.job_id, job)
    reason = job.reason if job.status == "pending" else job.cause
    return RunState(run, job.status, None if job.status == "running" else reason, job.job_id, job)


def _job_id(run: RunDir) -> str | None:
    record = read_json(run.job)
    return str(record["job_id"]) if record and record.get("job_id") else None
