"""Run the missing runs of a study, one after another, on this machine.

A stopped run that kept its state is resumed; any other attempt is set aside, and its run starts again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from hpcnn.jobs.submit import Prepared, prepare, submit
from hpcnn.rundir.layout import RunDir
from hpcnn.rundir.owner import move
from hpcnn.scheduler import job_lives
from hpcnn.scheduler.api import NoAnswer
from hpcnn.study.expand import PlannedRun
from hpcnn.study.states import RunState, look
from hpcnn.util.files import read_json
from hpcnn.util.lock import lock_file
from hpcnn.util.text import counted
from hpcnn.zoo.catalogue import check_staged


@dataclass(frozen=True)
class Outcome:
    """The end of one run of a study: its exit status (0: completed), seconds and reason."""

    path: Path
    code: int
    seconds: float
    reason: str | None


@dataclass(frozen=True)
class Todo:
    """The missing runs of a study, prepared; the number of completed ones, and of those in Slurm's queue."""

    runs: list[Prepared]
    completed: int
    in_queue: int


def missing(runs: Sequence[PlannedRun], folder: Path) -> Todo:
    """Return the runs that are neither completed in ``folder`` nor waiting or running as a Slurm job, in order.

    Raises UsageError for a run with an invalid request, and NoAnswer where the scheduler does not say whether a run is
    waiting or running: it would run twice.
    """
    states = look(folder / run.run_id for run in runs)
    _check_answered(states)
    completed = sum(state.status == "completed" for state in states)
    queued = [state.alive and state.job_id is not None for state in states]
    todo = [
        prepare_again(run, state.run.path)
        for run, state, waits in zip(runs, states, queued, strict=True)
        if state.status != "completed" and not waits
    ]
    return Todo(todo, completed, sum(queued))


def _check_answered(states: Sequence[RunState]) -> None:
    in_doubt = [state for state in states if state.may_be_alive and not state.alive]
    if in_doubt:
        raise NoAnswer(
            f"{counted(len(in_doubt), 'run')} may still be in the queue: {in_doubt[0].no_answer}. Run the study on a "
            f"machine where the scheduler answers; if you know that the job of {in_doubt[0].run.path} has ended, "
            f"remove {in_doubt[0].run.job.name} from it"
        )


def for_this_machine(runs: Sequence[Prepared]) -> tuple[list[Prepared], list[Prepared]]:
    """Divide runs into those that can run here, and those that request GPUs on a machine without."""
    from hpcnn.util.gpus import any_gpu

    wanting = [run for run in runs if run.job.resources.gpus_per_node]
    if not wanting or any_gpu():
        return list(runs), []
    return [run for run in runs if run not in wanting], wanting


def run_all(
    runs: Sequence[Prepared], started: Callable[[Prepared], None], ended: Callable[[Outcome], None]
) -> list[Outcome]:
    """Run each of ``runs`` in turn, also after one that fails; return their outcomes.

    Raises UsageError before the first run if the data of one is not staged.
    """
    check_all_staged(runs)
    outcomes = []
    for prepared in runs:
        started(prepared)
        path = prepared.run.path
        if not prepared.resume:
            set_aside(path)
        begin = time.monotonic()
        code = submit(prepared)
        reason = (prepared.run.read_result() or {}).get("reason")
        outcomes.append(Outcome(path, code, time.monotonic() - begin, reason))
        ended(outcomes[-1])
    return outcomes


def prepare_again(run: PlannedRun, path: Path) -> Prepared:
    """Prepare a missing run: resume it if it kept its state, else start again."""
    return prepare(run.job, path, resume=RunDir(path).state.exists())


def check_all_staged(runs: Sequence[Prepared]) -> None:
    """Raise UsageError if the data of one of ``runs`` is not staged."""
    for run in runs:
        if run.job.train is not None:
            check_staged(run.job.train.data, run.job.train.data_args)


def set_aside(path: Path) -> Path | None:
    """Rename the directory of a failed or interrupted attempt, which stays in the report.

    Returns the new path; None if there was no attempt: a run whose submission came to nothing has only what was asked.
    Raises InUse for an attempt that is at work.
    """
    if not path.exists() or _was_never_submitted(RunDir(path)):
        return None
    number = 1
    while (aside := path.with_name(f"{path.name}~{number}")).exists():
        number += 1
    move(path, aside, job_lives)
    return aside


def _was_never_submitted(run: RunDir) -> bool:
    """Return whether there is nothing in a run directory but what a submission writes before the scheduler answers."""
    prepared = {run.spec, run.job_script, run.job, lock_file(run.path)}
    return not (read_json(run.job) or {}).get("job_id") and set(run.path.iterdir()) <= prepared
