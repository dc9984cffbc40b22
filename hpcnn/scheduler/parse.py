"""Reads what Slurm's commands print. Pure: text in, values out; the formats asked for are here too."""

from __future__ import annotations

from dataclasses import dataclass

from hpcnn.errors import HpcnnError
from hpcnn.scheduler.states import status_of

# `|` occurs in none of these fields; the array job id before the job id makes `12_3` of an array's tasks.
SQUEUE_FORMAT = "%i|%T|%r|%M|%N|%S"
SACCT_FIELDS = "JobID,State,Elapsed,NodeList,ExitCode"


@dataclass(frozen=True)
class JobState:
    """What Slurm knows of one job. ``status`` is hpcnn's word for it, ``state`` Slurm's own.

    exit_code: 128 + signal for a job that a signal ended; None as long as squeue is all that knows of the job.
    """

    job_id: str
    status: str
    state: str
    reason: str = ""
    elapsed: str = ""
    nodes: str = ""
    start: str = ""
    exit_code: int | None = None


def job_id(sbatch_output: str) -> str:
    """Return the job id that ``sbatch --parsable`` printed (``123`` or ``123;cluster``), whatever else it said.

    Raises HpcnnError where there is none.
    """
    for line in reversed(sbatch_output.splitlines()):
        word = line.strip().split(";")[0]
        if word.isdigit():
            return word
    raise HpcnnError(f"sbatch printed no job id: {sbatch_output.strip()!r}")


def squeue(output: str) -> dict[str, JobState]:
    """Return job id -> state from ``squeue --noheader -o SQUEUE_FORMAT``."""
    found = {}
    for line in output.splitlines():
        fields = [field.strip() for field in line.split("|")]
        if len(fields) == 6:
            identity, state, reason, elapsed, nodes, start = fields
            found[identity] = JobState(identity, status_of(state), state, reason, elapsed, nodes, start)
    return found


def sacct(output: str) -> dict[str, JobState]:
    """Return job id -> state from ``sacct --noheader --parsable2 --allocations --format SACCT_FIELDS``."""
    found = {}
    for line in output.splitlines():
        fields = [field.strip() for field in line.split("|")]
        if len(fields) == 5:
            identity, state, elapsed, nodes, code = fields
            found[identity] = JobState(
                identity, status_of(state), state, elapsed=elapsed, nodes=nodes, exit_code=_exit_code(code)
            )
    return found


def _exit_code(text: str) -> int | None:
    """Return one number for sacct's ``code:signal``."""
    code, _, number = text.partition(":")
    if not code.isdigit():
        return None
    return 128 + int(number) if number.isdigit() and int(number) else int(code)
