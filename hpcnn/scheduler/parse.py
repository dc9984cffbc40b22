"""Reads what Slurm's commands print. Pure: text in, values out; the formats asked for are here too."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from hpcnn.scheduler.states import status_of
from hpcnn.util.errors import HpcnnError

# `|` occurs in none of these fields; the array job id before the job id makes `12_3` of an array's tasks.
SQUEUE_FORMAT = "%i|%T|%r|%M|%N|%S"
SACCT_FIELDS = "JobID,State,Elapsed,NodeList,ExitCode"
ENERGY_FIELDS = "JobID,ConsumedEnergyRaw"
_NO_VALUE = 2**64 - 2


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
    """Return job id -> state from ``sacct --noheader --parsable2 --allocations --format SACCT_FIELDS``.

    Tasks of an array that have not started share one line (``12_[3-5]``), which goes on naming those that have.
    """
    found: dict[str, JobState] = {}
    shared: dict[str, JobState] = {}
    for line in output.splitlines():
        fields = [field.strip() for field in line.split("|")]
        if len(fields) == 5:
            identity, state, elapsed, nodes, code = fields
            for job in tasks(identity):
                (found if job == identity else shared)[job] = JobState(
                    job, status_of(state), state, elapsed=elapsed, nodes=nodes, exit_code=_exit_code(code)
                )
    return {**shared, **found}


def tasks(identity: str) -> list[str]:
    """Return the ids of an array's tasks for ``12_[0,3-5%2]``; any other id, or one that is cut off, by itself."""
    match = re.fullmatch(r"(\d+)_\[([\d,-]+)(?:%\d+)?\]", identity)
    if match is None:
        return [identity]
    ranges = (part.partition("-") for part in match[2].split(",") if part)
    return [f"{match[1]}_{n}" for first, _, last in ranges for n in range(int(first), int(last or first) + 1)]


def shortened(jobs: Iterable[str]) -> list[str]:
    """Return job ids with the tasks of each array as one word: ``12_[0,3-5]``, which scancel(1) takes as it stands."""
    arrays: dict[str, list[int]] = {}
    for job in dict.fromkeys(jobs):
        array, _, task = job.partition("_")
        arrays.setdefault(array, []).extend([int(task)] if task.isdigit() else [])
    return [_one_word(array, sorted(numbers)) for array, numbers in arrays.items()]


def _one_word(array: str, numbers: list[int]) -> str:
    if len(numbers) < 2:
        return "_".join([array, *map(str, numbers)])
    ranges: list[list[int]] = []
    for number in numbers:
        if ranges and number == ranges[-1][1] + 1:
            ranges[-1][1] = number
        else:
            ranges.append([number, number])
    return f"{array}_[{','.join(str(a) if a == b else f'{a}-{b}' for a, b in ranges)}]"


def together(array: str, states: Iterable[JobState]) -> JobState:
    """Return one state for the tasks of an array: running or pending while one of them is, else that of the worst."""
    counts: dict[str, int] = {}
    found = list(states)
    for state in found:
        counts[state.state] = counts.get(state.state, 0) + 1
    order = ("running", "pending", "unknown", "failed", "interrupted", "completed")
    status = min((state.status for state in found), key=order.index)
    return JobState(array, status, ", ".join(f"{count} {state}" for state, count in counts.items()))


def energies(output: str) -> dict[str, float]:
    """Return job id -> joules from ``sacct --noheader --parsable2 --format ENERGY_FIELDS``.

    The job's own line sums its steps up (sacct(1), ConsumedEnergyRaw). One without a number, with 0, or with Slurm's
    "no value" (slurm.h, NO_VAL64) was not measured.
    """
    found = {}
    for line in output.splitlines():
        identity, _, joules = (field.strip() for field in line.partition("|"))
        if "." not in identity and joules.isdigit() and 0 < int(joules) < _NO_VALUE:
            found[identity] = float(joules)
    return found


def _exit_code(text: str) -> int | None:
    """Return one number for sacct's ``code:signal``."""
    code, _, number = text.partition(":")
    if not code.isdigit():
        return None
    return 128 + int(number) if number.isdigit() and int(number) else int(code)
