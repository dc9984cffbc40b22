"""Parse the output of Slurm's commands; the formats that they are asked for stand here too. Must not run a command.

squeue and sacct are asked for a header line. It tells the answer that there is no job from no answer at all.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Iterator
from dataclasses import replace

from hpcnn.scheduler.api import JobState, QueueFull, Refused
from hpcnn.scheduler.states import status_of
from hpcnn.util.errors import HpcnnError
from hpcnn.util.exit_status import by_signal

# `|` occurs in none of these fields; the array job id before the job id makes `12_3` of an array's tasks.
SQUEUE_FORMAT = "%i|%T|%r|%M|%N|%S"
# The script may hold any character, `|` and line breaks too, so it comes last; %F is the id of the whole array.
SCRIPT_FORMAT = "%F|%T|%o"
SACCT_FIELDS = "JobID,State,Elapsed,NodeList,ExitCode"
ENERGY_FIELDS = "JobID,ConsumedEnergyRaw"
# What sacct says where slurm.conf has AccountingStorageType=accounting_storage/none: there are no accounts to ask.
ACCOUNTS_DISABLED = "accounting storage is disabled"
# What squeue says, with exit status 0 and an empty table, where the cluster has no account of this user.
INVALID_USER = "Invalid user"
# What sbatch says of a controller that could not take the job (slurm_errno.c): nothing was submitted then.
_PASSING = (
    "Resource temporarily unavailable",
    "temporarily unable to accept job",
    "Unable to contact slurm controller (connect failure)",
    "backup controller in standby mode",
    "Configuration changing",
)
# Of a limit on the number of jobs in the queue, of the user, an account or a QOS.
_QUEUE_FULL = ("MaxSubmitJob", "Job violates accounting/QOS policy (job submit limit")
_NO_VALUE = 2**64 - 2
# What sbatch says where it has sent a job and got no answer (slurm_errno.h); Slurm may have accepted the job.
_SENT = re.compile(
    r"timed out|zero bytes were transmitted|(send|receive|shutdown) failure|connection reset|broken pipe"
    r"|unexpected message|transport endpoint",
    re.IGNORECASE,
)
# Of the indices of an array: 3, 3-5, 1-7:2.
_RANGE = re.compile(r"(\d+)(?:-(\d+)(?::([1-9]\d*))?)?")


class UnreadableError(ValueError):
    """The output of a command is not the table that it was asked for."""


def job_id(sbatch_output: str) -> str:
    """Return the job id that ``sbatch --parsable`` printed (``123`` or ``123;cluster``) among other lines.

    Raises UnreadableError without one.
    """
    for line in reversed(sbatch_output.splitlines()):
        word = line.strip().split(";")[0]
        if word.isdigit():
            return word
    raise UnreadableError(f"it printed no job id: {_cut(sbatch_output)}")


def may_be_accepted(message: str) -> bool:
    """Return whether Slurm may have accepted a job, after a failure of sbatch with this message."""
    return _SENT.search(message) is not None


def scripts(output: str) -> dict[str, list[JobState]]:
    """Return script -> its jobs, each array once, from ``squeue -o SCRIPT_FORMAT``. Raises UnreadableError."""
    head, _, rows = output.partition("|COMMAND\n")
    if head.splitlines()[-1:] != ["ARRAY_JOB_ID|STATE"]:
        raise UnreadableError(f"it printed {_cut(output)}" if output.strip() else "it printed nothing")
    found: dict[str, dict[str, JobState]] = {}
    for row in re.split(r"^(?=\d+\|[A-Z_,]+\|)", rows, flags=re.MULTILINE):
        if row.strip():
            job, state, script = row.removesuffix("\n").split("|", 2)
            jobs = found.setdefault(script, {})
            new = JobState(job, status_of(state), state)
            if job not in jobs or new.alive:  # an array is alive as long as one of its tasks is
                jobs[job] = new
    return {script: list(jobs.values()) for script, jobs in found.items()}


def refusal(error: HpcnnError) -> HpcnnError:
    """Return an error of sbatch as what it means: QueueFull, Refused, or itself.

    An answer that was lost on its way ("Socket timed out on send/recv operation") is no refusal: the job may be in the
    queue, and would run twice.
    """
    if any(words in str(error) for words in _QUEUE_FULL):
        return QueueFull(str(error))
    if any(words in str(error) for words in _PASSING):
        return Refused(str(error))
    return error


def squeue(output: str) -> dict[str, JobState]:
    """Return job id -> state from ``squeue -o SQUEUE_FORMAT``. Raises UnreadableError for anything else."""
    found = {}
    for identity, state, reason, elapsed, nodes, start in rows_of(output, columns=6):
        job = JobState(identity, status_of(state), state, reason, elapsed, nodes, start)
        found[identity] = _in_doubt(job) if job.unknown else job
    return found


def _in_doubt(job: JobState) -> JobState:
    """Return a job whose state is a word of a newer Slurm: it is in the queue, so it may run."""
    return replace(job, no_answer=f"squeue says {job.state}, which hpcnn does not know", queue_answered=False)


def sacct(output: str) -> dict[str, JobState]:
    """Return job id -> state from ``sacct --parsable2 --allocations --format SACCT_FIELDS``.

    Tasks of an array that have not started share one line (``12_[3-5]``), which goes on naming those that have.
    Raises UnreadableError for anything else.
    """
    found: dict[str, JobState] = {}
    shared: dict[str, JobState] = {}
    for identity, state, elapsed, nodes, code in rows_of(output, columns=5):
        for job in tasks(identity):
            (found if job == identity else shared)[job] = JobState(
                job, status_of(state), state, elapsed=elapsed, nodes=nodes, exit_code=_exit_code(code)
            )
    return {**shared, **found}


def rows_of(output: str, columns: int) -> Iterator[list[str]]:
    """Yield the fields of each line below the header line. Raises UnreadableError where there is none.

    Lines before the header are a site's own (a greeting in a wrapper script). A line below it that is no row could hide
    a job, so it makes the output unreadable.
    """
    header_seen = False
    for line in output.splitlines():
        fields = [field.strip() for field in line.split("|")]
        is_row = len(fields) == columns
        if not header_seen:
            header_seen = is_row and fields[0].upper() == "JOBID"
        elif is_row and fields[0][:1].isdigit():
            yield fields
        elif line.strip():
            raise UnreadableError(f"it printed {_cut(line)}")
    if not header_seen:
        raise UnreadableError(f"it printed {_cut(output)}" if output.strip() else "it printed nothing")


def _cut(text: str) -> str:
    """Return a text as part of a message: in quotes, with its first words."""
    return repr(textwrap.shorten(text, 80, placeholder=" ..."))


def tasks(identity: str) -> list[str]:
    """Return the ids of an array's tasks for ``12_[0,3-5%2]`` or ``12_[1-7:2]``; any other id by itself."""
    match = re.fullmatch(r"(\d+)_\[([\d,:-]+)(?:%\d+)?\]", identity)
    parts = [_RANGE.fullmatch(part) for part in match[2].split(",") if part] if match else []
    if match is None or None in parts:
        return [identity]
    return [
        f"{match[1]}_{n}"
        for part in parts
        if part is not None
        for n in range(int(part[1]), int(part[2] or part[1]) + 1, int(part[3] or 1))
    ]


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
    """Return one state for the tasks of an array: running or pending while one of them is, else the worst."""
    counts: dict[str, int] = {}
    found = list(states)
    for state in found:
        counts[state.state] = counts.get(state.state, 0) + 1
    order = ("running", "pending", "unknown", "failed", "interrupted", "completed")
    status = min((state.status for state in found), key=order.index)
    in_doubt = next((state for state in found if not state.queue_answered), None)
    whole = JobState(array, status, ", ".join(f"{count} {state}" for state, count in counts.items()))
    return replace(whole, no_answer=in_doubt.no_answer, queue_answered=False) if in_doubt else whole


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
    """Return the exit status for sacct's ``code:signal``."""
    code, _, number = text.partition(":")
    if not code.isdigit():
        return None
    return by_signal(int(number)) if number.isdigit() and int(number) else int(code)
