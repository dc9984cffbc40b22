"""Refuse what a job cannot be given, and warn of what it would waste, before anything is written or submitted."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from hpcnn.scheduler import scheduler_of
from hpcnn.sites.profile import Site
from hpcnn.specs.job import JobSpec
from hpcnn.specs.resources import Resources
from hpcnn.util.errors import UsageError, bad_value
from hpcnn.util.secret_names import secrets_in_words
from hpcnn.util.walltime import seconds_of

# sbatch(1), "--mem": a number with [K|M|G|T]; Slurm takes small letters and a B behind it, too.
_MEMORY = re.compile(r"\d+[KMGT]?B?", re.IGNORECASE)


def check_request(resources: Resources, site: Site) -> None:
    """Raise UsageError for a time or memory that is none, and for a time outside the site's limits."""
    for name in ("mem", "mem_per_cpu", "mem_per_gpu"):
        given = getattr(resources, name)
        if given and not _MEMORY.fullmatch(given):
            option = f"--{name.replace('_', '-')}"
            raise bad_value(option, given, "megabytes, or a whole number with K, M, G or T behind it: 16G")
    if not resources.time:
        return
    seconds = seconds_of(resources.time)
    if seconds == 0:
        raise bad_value("--time", resources.time, "more than 0: how long the job may take")
    if site.time_max and seconds > seconds_of(site.time_max):
        raise bad_value("--time", resources.time, f"at most {site.time_max}, the longest of site {site.name}")
    if site.time_min and seconds < seconds_of(site.time_min):
        raise bad_value("--time", resources.time, f"at least {site.time_min}, the shortest of site {site.name}")


def warnings_of(job: JobSpec) -> tuple[str, ...]:
    """Return what is to be said aloud of a job: ranks that share a GPU, GPUs that nobody uses, secrets in its words."""
    return (*_of_gpus(job), *_of_secrets(job))


def _of_secrets(job: JobSpec) -> tuple[str, ...]:
    found = list(dict.fromkeys(secrets_in_words([*job.program, *job.software.setup])))
    if not found:
        return ()
    return (
        f"the words of the job hold what looks like a secret ({', '.join(found)}): they stand in the job script, the "
        "record and the report, and all users of a node see the words of a program. `--env NAME` without a value, and "
        "--env-file, hand a secret to the job without a trace",
    )


def _of_gpus(job: JobSpec) -> tuple[str, ...]:
    gpus = job.resources.gpus_per_node
    if not gpus:
        return ()
    ranks = -(-job.resources.ntasks // job.resources.nodes)
    if ranks > gpus:
        return (
            f"{ranks} ranks of a node share {gpus} {'GPU' if gpus == 1 else 'GPUs'}, and one rank drives one GPU: "
            f"ask for --ntasks-per-node {gpus}, or for as many GPUs as ranks",
        )
    if job.train and job.train.strategy == "mirrored":
        used, cure = job.train.devices or gpus, "--devices"
    elif job.train or ranks > 1:
        used, cure = ranks, "--ntasks-per-node"
    else:
        return ()  # one process of a user's own may well use all of them
    if used >= gpus:
        return ()
    rest = "ask for 1 GPU" if used == 1 else f"ask for {used} GPUs"
    return (f"{gpus - used} of the {gpus} GPUs of each node would be idle: {rest}, or give {cure} {gpus}",)


def check_program(job: JobSpec, site: Site, directory: Path, path: str) -> None:
    """Raise UsageError for a program that is not there: the first word, or the script that Python is to run.

    path: where commands are looked for. Containers and modules bring commands that nobody sees from here, and a site
    with a queue has compute nodes with commands of their own; a script is where the job starts.
    """
    if not job.program or job.software.container:
        return
    first = job.program[0]
    known_here = scheduler_of(site.scheduler).this_machine_only and not (site.modules or job.software.module)
    if known_here and "$" not in first and not _is_there(first, directory, path):
        raise UsageError(f"program: {first!r} is not there: no such command or file")
    script = job.program[1] if len(job.program) > 1 and Path(first).name.startswith("python") else ""
    if script.endswith(".py") and not (directory / script).is_file():
        raise UsageError(f"program: there is no file {script!r} in {directory}")


def _is_there(command: str, directory: Path, path: str) -> bool:
    if "/" in command:
        return (directory / command).exists()
    return shutil.which(command, path=path) is not None
