"""Run Slurm's commands: sbatch, squeue, sacct, scancel. Must not read scripts or logs.

squeue is asked first, and sacct for jobs that have left the queue. A job that neither knows is *unknown*, never
completed. Where a command gives no answer, ``JobState.no_answer`` has the reason.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from hpcnn.scheduler import bash, parse, usages
from hpcnn.scheduler.api import JobState, NoAnswer, Queue, Usage
from hpcnn.scheduler.dependency import dependency
from hpcnn.scheduler.parse import UnreadableError
from hpcnn.scheduler.states import UNKNOWN
from hpcnn.util.capture import captured
from hpcnn.util.errors import HpcnnError, UsageError
from hpcnn.util.files import write_text

T = TypeVar("T")

# Longer than Slurm's own commands try to reach a daemon: 10 s for squeue, 45 s for sacct.
SECONDS_TO_ANSWER = 60.0

_INHERITED = ("SLURM_", "SBATCH_", "SRUN_", "SALLOC_", "PMIX_", "PMI_", "OMPI_", "PRTE_")
# A user's own defaults for Slurm's commands, which would change what they print: states, formats, users, partitions.
_DEFAULTS = ("SQUEUE_", "SACCT_", "SCANCEL_", "SINFO_", "SCONTROL_")
# What tells Slurm's commands which cluster they talk to; all else would leak one job's settings into the next.
_KEPT = ("SLURM_CONF",)

# The tasks of an array that wait or were cancelled share a line of sacct, which would be cut off after 64 characters.
_WHOLE = {"SLURM_BITSTR_LEN": "0"}


class Slurm:
    """Jobs in Slurm's queue."""

    queues = True
    this_machine_only = False
    writes_directives = True
    has_arrays = True

    def run(self, script: Path, log: Path, on_line: Callable[[str], None] | None = None) -> int:
        """Run a script by bash, within the allocation that this process is in; its ``srun`` starts the ranks there."""
        return bash.run(script, log, on_line)

    def submit(self, script: Path, options: Sequence[str] = (), keep_open: Sequence[int] = ()) -> str:
        """Submit a script by sbatch; return the job id.

        sbatch has a session of its own, so that neither Ctrl-C nor the end of the terminal cuts it off halfway. Raises
        HpcnnError with sbatch's own words where it refuses, NoAnswer where Slurm may have accepted the job. The
        error is Refused where the reason passes, and QueueFull at a limit of jobs.
        """
        command = ["sbatch", "--parsable", *options, str(script)]
        done = _run(command, clean_environment(os.environ), None, keep_open=keep_open, own_session=True)
        text = _plain(done.stderr or done.stdout)
        if done.returncode < 0 or (done.returncode and parse.may_be_accepted(text)):
            raise NoAnswer(f"no answer from sbatch: {text or f'signal {-done.returncode} ended it'}")
        if done.returncode:
            raise parse.refusal(HpcnnError(f"sbatch refuses: {text}"))
        try:
            return parse.job_id(done.stdout)
        except UnreadableError as error:
            raise NoAnswer(f"no answer from sbatch: {error}") from error

    def submitted(self, scripts: Sequence[str]) -> dict[str, list[JobState]]:
        """Return the user's jobs by script, whose path squeue shows as sbatch was given it. Raises NoAnswer."""
        words = ["squeue", "--all", f"--user={os.getuid()}", "--states=all", "-o", parse.SCRIPT_FORMAT]
        found = _answer(words, parse.scripts)
        # a path that is no UTF-8 comes from squeue with its bytes replaced
        return {script: found.get(os.fsencode(script).decode(errors="replace"), []) for script in scripts}

    def would_start(self, script: str, options: Sequence[str] = ()) -> str:
        """Return when and where a job would start, as ``sbatch --test-only`` says."""
        with tempfile.TemporaryDirectory(prefix="hpcnn-") as folder:
            file = Path(folder) / "job.sh"
            write_text(file, script, durable=False)
            command = ["sbatch", "--test-only", *options, str(file)]
            done = _run(command, clean_environment(os.environ), SECONDS_TO_ANSWER)
        text = _plain(done.stderr + done.stdout)
        if done.returncode:
            raise HpcnnError(f"sbatch refuses the job: {text}")
        return text

    def query(self, jobs: Sequence[str], queue: Queue | None = None) -> dict[str, JobState]:
        """Return the state of each job: one call of squeue for all, then one of sacct for those it has forgotten."""
        if not jobs:
            return {}
        queue_silence = accounts_silence = ""
        if queue is None:
            try:
                queue = self.queue()
            except NoAnswer as error:
                queue, queue_silence = {}, str(error)
        known = dict(queue)
        forgotten = {name for job in jobs for name in _tasks_of(job, known) or [job] if not _is_alive(known.get(name))}
        if forgotten:
            try:
                accounts = _accounts(forgotten)
            except NoAnswer as error:
                accounts, accounts_silence = {}, str(error)
            # accounts lag behind: they are believed about the end of a job, or where squeue knows nothing
            known |= {job: state for job, state in accounts.items() if not (job in queue and state.alive)}
            known |= {job: state for job, state in queue.items() if state.alive}
        return {job: _with_silence(_state(job, known), queue_silence, accounts_silence) for job in jobs}

    def cancel(self, jobs: Sequence[str]) -> None:
        """Cancel jobs by scancel, which ignores those that have ended."""
        if jobs:
            _output(["scancel", *parse.shortened(jobs)], clean_environment(os.environ), SECONDS_TO_ANSWER)

    def current_job(self, environment: Mapping[str, str]) -> str | None:
        """Return the id of the job that a process with this environment runs in, as squeue prints it."""
        array, task = environment.get("SLURM_ARRAY_JOB_ID"), environment.get("SLURM_ARRAY_TASK_ID")
        return f"{array}_{task}" if array and task else environment.get("SLURM_JOB_ID") or None

    def environment(self, inherited: Mapping[str, str]) -> dict[str, str]:
        """Return the environment without what a surrounding job has set."""
        return clean_environment(inherited)

    def available(self) -> bool:
        """Whether this machine has Slurm's commands."""
        return shutil.which("sbatch") is not None

    def queue(self) -> dict[str, JobState]:
        """Return all jobs of the user that squeue knows, tasks of arrays one by one. Raises NoAnswer."""
        # squeue fails as a whole if one id is too old for it, so it is asked for all of the user's jobs. --all: for
        # those in hidden partitions, too.
        words = ["squeue", "--all", "--array", f"--user={os.getuid()}", "--states=all", "-o", parse.SQUEUE_FORMAT]
        return _answer(words, parse.squeue)

    def after(self, jobs: str) -> list[str]:
        """Return sbatch's options for a job that starts after ``jobs``, and is removed where it never can."""
        return [f"--dependency={dependency(jobs)}", "--kill-on-invalid-dep=yes"]

    def array_limit(self) -> int | None:
        """Return Slurm's MaxArraySize (slurm.conf(5)); None without an answer of scontrol."""
        if shutil.which("scontrol") is None:
            return None
        try:
            config = _run(["scontrol", "show", "config"], clean_environment(os.environ), SECONDS_TO_ANSWER).stdout
        except NoAnswer:
            return None
        for line in config.splitlines():
            key, _, value = line.partition("=")
            if key.strip() == "MaxArraySize" and value.strip().isdigit():
                return int(value)
        return None

    def energies(self, jobs: Sequence[str]) -> dict[str, float]:
        """Return the joules of each job whose energy sacct knows. Raises UsageError without Slurm's commands."""
        if not jobs:
            return {}
        words = ["sacct", "--noheader", "--parsable2", "--jobs", ",".join(jobs), f"--format={parse.ENERGY_FIELDS}"]
        return parse.energies(_output(words, clean_environment(os.environ), SECONDS_TO_ANSWER))

    def usage(self, jobs: Sequence[str]) -> dict[str, Usage]:
        """Return what each job had and used, of those that sacct knows, tasks of arrays one by one. Raises NoAnswer."""
        if not jobs:
            return {}
        arrays = ",".join(sorted({job.partition("_")[0] for job in jobs}))
        words = ["sacct", "--parsable2", "--jobs", arrays, f"--format={usages.FIELDS}"]
        found = _answer(words, usages.parse)
        return {job: used for job, used in found.items() if {job, job.partition("_")[0]} & set(jobs)}


def clean_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment for Slurm's commands, without variables that would change what they do or print.

    Those are what a surrounding job has set, and a user's defaults for squeue, sacct and the others. An inherited
    SLURM_CPU_BIND, say, silently binds all ranks of a job submitted from inside another to its cores.
    """
    foreign = (*_INHERITED, *_DEFAULTS)
    return {key: value for key, value in environment.items() if key in _KEPT or not key.startswith(foreign)}


def _accounts(jobs: set[str]) -> dict[str, JobState]:
    """Return what sacct knows of jobs; nothing where there is no sacct, or the cluster keeps no accounts.

    Raises NoAnswer.
    """
    if shutil.which("sacct") is None:
        return {}
    arrays = ",".join(sorted({job.partition("_")[0] for job in jobs}))  # short, whatever the number of tasks
    words = ["sacct", "--parsable2", "--allocations", "--jobs", arrays, f"--format={parse.SACCT_FIELDS}"]
    try:
        return _answer(words, parse.sacct)
    except NoAnswer as error:
        if parse.ACCOUNTS_DISABLED in str(error):
            return {}
        raise


def _state(job: str, known: Mapping[str, JobState]) -> JobState:
    tasks = _tasks_of(job, known)
    if tasks:  # a line of the array itself, where sacct has one, is older than they are
        return parse.together(job, [known[task] for task in tasks])
    return known.get(job, JobState(job, UNKNOWN, UNKNOWN))


def _with_silence(state: JobState, queue: str, accounts: str) -> JobState:
    """Return a state with the reason why it is uncertain, where squeue or sacct gave no answer."""
    if queue:
        return replace(state, no_answer=queue, queue_answered=False)
    return replace(state, no_answer=accounts) if accounts and state.unknown else state


def _tasks_of(job: str, known: Mapping[str, JobState]) -> list[str]:
    return [] if "_" in job else [task for task in known if task.startswith(f"{job}_")]


def _is_alive(state: JobState | None) -> bool:
    return state is not None and state.alive


def _answer(command: Sequence[str], read: Callable[[str], T]) -> T:
    """Run a command and parse its output by ``read``. Raises NoAnswer where it fails or its output is unreadable."""
    try:
        done = _run(command, {**clean_environment(os.environ), **_WHOLE}, SECONDS_TO_ANSWER)
        if done.returncode == 0 and parse.INVALID_USER not in done.stderr:
            return read(done.stdout)
        why = _plain(done.stderr or done.stdout) or f"exit status {done.returncode}"
    except UsageError:
        why = f"{command[0]} is not on this machine"
    except parse.UnreadableError as error:
        why = str(error)
    raise NoAnswer(f"no answer from {command[0]}: {why}")


def _output(command: Sequence[str], environment: dict[str, str], seconds: float) -> str:
    """Return the output of a command. Raises HpcnnError with the command's message where it fails."""
    done = _run(command, environment, seconds)
    if done.returncode:
        raise HpcnnError(f"{command[0]} refuses: {_plain(done.stderr or done.stdout)}")
    return done.stdout


def _run(
    command: Sequence[str],
    environment: dict[str, str],
    seconds: float | None,
    *,
    keep_open: Sequence[int] = (),
    own_session: bool = False,
) -> subprocess.CompletedProcess[str]:
    """Run a command of Slurm to its end. Raises UsageError without Slurm, NoAnswer for one that cannot run or hangs."""
    try:
        return captured(command, environment, seconds, keep_open=keep_open, own_session=own_session)
    except FileNotFoundError as error:
        raise UsageError(f"{command[0]} is not on this machine: it has no Slurm (use --site local)") from error
    except OSError as error:
        raise NoAnswer(f"no answer from {command[0]}: {error.strerror}") from error
    except subprocess.TimeoutExpired as error:
        raise NoAnswer(f"no answer from {command[0]}: none within {error.timeout:g} s") from error


def _plain(text: str) -> str:
    """Return Slurm's message without the command's name before each line."""
    lines = [line.split("error: ", 1)[-1].removeprefix("sbatch: ") for line in text.strip().splitlines()]
    return "; ".join(line for line in lines if line)
