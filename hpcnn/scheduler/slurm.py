"""Slurm's commands: sbatch, squeue, sacct, scancel. Knows jobs by their ids, and nothing of what they run.

A job that neither squeue nor sacct knows is *unknown*, never completed: both forget, and many clusters keep no
accounts.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from hpcnn.scheduler import parse
from hpcnn.scheduler.parse import JobState
from hpcnn.scheduler.states import ALIVE, UNKNOWN
from hpcnn.util.errors import HpcnnError, UsageError

_INHERITED = ("SLURM_", "SBATCH_", "SRUN_", "SALLOC_", "PMIX_", "PMI_", "OMPI_", "PRTE_")
# What tells Slurm's commands which cluster they talk to; all else would leak one job's settings into the next.
_KEPT = ("SLURM_CONF",)


def clean_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment for sbatch: without what a surrounding job's variables would change in the new one.

    An inherited SLURM_CPU_BIND, say, silently binds all ranks of a job submitted from inside another to its cores.
    """
    return {key: value for key, value in environment.items() if key in _KEPT or not key.startswith(_INHERITED)}


def submit(script: Path, options: Sequence[str] = ()) -> str:
    """Hand a script to sbatch; return the job id. Raises HpcnnError with sbatch's own words where it refuses."""
    output = _slurm(["sbatch", "--parsable", *options, str(script)], clean_environment(os.environ))
    return parse.job_id(output)


def would_start(script: Path, options: Sequence[str] = ()) -> str:
    """Return what ``sbatch --test-only`` says: when and where the job would start. Submits nothing."""
    command = ["sbatch", "--test-only", *options, str(script)]
    done = _run(command, clean_environment(os.environ))
    text = (done.stderr + done.stdout).strip()
    if done.returncode:
        raise HpcnnError(f"sbatch refuses the job: {_plain(text)}")
    return _plain(text)


def query(jobs: Sequence[str], queue: Mapping[str, JobState] | None = None) -> dict[str, JobState]:
    """Return the state of each job: one call of squeue for all, then one of sacct for those it has forgotten.

    The id of an array stands for all of its tasks. queue: what ``in_queue()`` has just said, where that is known.
    """
    if not jobs:
        return {}
    if queue is None:
        try:
            queue = in_queue()
        except HpcnnError:  # squeue is not required: sacct may know
            queue = {}
    known = dict(queue)
    forgotten = {name for job in jobs for name in _tasks_of(job, known) or [job] if not _alive(known.get(name))}
    if forgotten and shutil.which("sacct"):
        arrays = ",".join(sorted({job.partition("_")[0] for job in forgotten}))  # short, whatever the number of tasks
        fields = f"--format={parse.SACCT_FIELDS}"
        accounts = _run(["sacct", "--noheader", "--parsable2", "--allocations", "--jobs", arrays, fields])
        if accounts.returncode == 0:
            told = parse.sacct(accounts.stdout)
            # accounts lag behind: they are believed about the end of a job, or where squeue knows nothing
            known |= {job: state for job, state in told.items() if job not in queue or not _alive(state)}
            known |= {job: state for job, state in queue.items() if _alive(state)}
    return {job: _state(job, known) for job in jobs}


def in_queue() -> dict[str, JobState]:
    """Return all of the user's jobs that squeue knows, tasks of arrays one by one. Raises HpcnnError where it fails."""
    # squeue fails as a whole if one id is too old for it, so it is asked for all of the user's jobs.
    words = ["squeue", "--noheader", "--array", "--user", _user(), "--states=all", "-o", parse.SQUEUE_FORMAT]
    return parse.squeue(_slurm(words, dict(os.environ)))


def _state(job: str, known: Mapping[str, JobState]) -> JobState:
    tasks = _tasks_of(job, known)
    if tasks:  # a line of the array itself, where sacct has one, is older than they are
        return parse.together(job, [known[task] for task in tasks])
    return known.get(job, JobState(job, UNKNOWN, UNKNOWN))


def _tasks_of(job: str, known: Mapping[str, JobState]) -> list[str]:
    return [] if "_" in job else [task for task in known if task.startswith(f"{job}_")]


def _alive(state: JobState | None) -> bool:
    return state is not None and state.status in ALIVE


def energies(jobs: Sequence[str]) -> dict[str, float]:
    """Return the joules of each job whose energy the site measured. Raises UsageError without Slurm's commands."""
    if not jobs:
        return {}
    words = ["sacct", "--noheader", "--parsable2", "--jobs", ",".join(jobs), f"--format={parse.ENERGY_FIELDS}"]
    return parse.energies(_slurm(words, dict(os.environ)))


def cancel(jobs: Sequence[str]) -> None:
    """Cancel jobs; a job that has ended already is no error."""
    if jobs:
        _slurm(["scancel", *parse.shortened(jobs)], dict(os.environ))


def largest_array() -> int | None:
    """Return Slurm's MaxArraySize, which every index of an array stays below (0: no arrays); None if it cannot be told.

    slurm.conf(5), "MaxArraySize".
    """
    if shutil.which("scontrol") is None:
        return None
    for line in _run(["scontrol", "show", "config"]).stdout.splitlines():
        key, _, value = line.partition("=")
        if key.strip() == "MaxArraySize" and value.strip().isdigit():
            return int(value)
    return None


def available() -> bool:
    """Whether this machine has Slurm's commands."""
    return shutil.which("sbatch") is not None


def _slurm(command: Sequence[str], environment: dict[str, str]) -> str:
    done = _run(command, environment)
    if done.returncode:
        raise HpcnnError(f"{command[0]} refuses: {_plain(done.stderr or done.stdout)}")
    return done.stdout


def _run(command: Sequence[str], environment: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise UsageError(f"{command[0]} is not on this machine: it has no Slurm (use --site local)") from error


def _user() -> str:
    import getpass

    return getpass.getuser()


def _plain(text: str) -> str:
    """Return Slurm's message without the command's name before each line."""
    lines = [line.split("error: ", 1)[-1].removeprefix("sbatch: ") for line in text.strip().splitlines()]
    return "; ".join(line for line in lines if line)
