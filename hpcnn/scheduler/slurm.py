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

from hpcnn.errors import HpcnnError, UsageError
from hpcnn.scheduler import parse
from hpcnn.scheduler.parse import JobState
from hpcnn.scheduler.states import UNKNOWN

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


def query(jobs: Sequence[str]) -> dict[str, JobState]:
    """Return the state of each job: one call of squeue for all, then one of sacct for those it has forgotten."""
    if not jobs:
        return {}
    # squeue fails as a whole if one id is too old for it, so it is asked for all of the user's jobs instead.
    done = _run(["squeue", "--noheader", "--array", "--user", _user(), "--states=all", "-o", parse.SQUEUE_FORMAT])
    known = parse.squeue(done.stdout) if done.returncode == 0 else {}
    forgotten = [job for job in jobs if job not in known or known[job].status not in ("pending", "running")]
    if forgotten and shutil.which("sacct"):
        fields = f"--format={parse.SACCT_FIELDS}"
        words = ["sacct", "--noheader", "--parsable2", "--allocations", "--jobs", ",".join(forgotten), fields]
        accounts = _run(words)
        if accounts.returncode == 0:
            known.update({job: state for job, state in parse.sacct(accounts.stdout).items() if job in forgotten})
    return {job: known.get(job, JobState(job, UNKNOWN, UNKNOWN)) for job in jobs}


def cancel(jobs: Sequence[str]) -> None:
    """Cancel jobs; a job that has ended already is no error."""
    if jobs:
        _slurm(["scancel", *jobs], dict(os.environ))


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
