"""Submit the workers of a search to Slurm: one job array, whose tasks train trials until none is left."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from hpcnn.jobs.checks import check_request, warnings_of
from hpcnn.jobs.launch import cpus_of
from hpcnn.jobs.sbatch import directives, file_name, quoted
from hpcnn.jobs.script import module_lines, render_workers
from hpcnn.jobs.setup import setup_lines
from hpcnn.jobs.submission import close, recover, submit_recorded
from hpcnn.jobs.submit import hpcnn_command
from hpcnn.rundir.layout import RunDir, new_run_id
from hpcnn.scheduler import batch_scheduler, scheduler_of
from hpcnn.scheduler.api import NoAnswer
from hpcnn.search.spec import Search
from hpcnn.sites.load import load_site
from hpcnn.sites.profile import Site
from hpcnn.specs.fields import from_mapping
from hpcnn.specs.job import JobSpec
from hpcnn.specs.train import TrainSpec
from hpcnn.util.errors import UsageError
from hpcnn.util.files import read_json, write_text
from hpcnn.zoo.catalogue import FOLDER_VARIABLE

# Variables that workers need, and that `sbatch --export=NONE`, the default of some sites, would not pass on.
_HANDED_ON = (FOLDER_VARIABLE, "HPCNN_CONFIG")


@dataclass(frozen=True)
class Workers:
    """The job of the workers: the folder of its script and log, the script, and the number of calls of sbatch.

    workers: of each call. warnings: what the user should be told of it.
    """

    folder: Path
    site: Site
    script: str
    calls: int
    workers: int
    warnings: tuple[str, ...]


def workers(search: Search, folder: Path, site_name: str, count: int) -> Workers:
    """Return the job of ``count`` workers. Writes nothing. Raises UsageError for what the site cannot give."""
    site = load_site(site_name)
    check_request(search.resources, site)
    scheduler = scheduler_of(site.scheduler)
    if not scheduler.queues:
        raise UsageError(f"--site: site {site.name} has no scheduler to submit to; `hpcnn search run` searches here")
    place = folder / "workers" / new_run_id()
    resources, gpu = search.resources, bool(search.resources.gpus_per_node)
    cpus = cpus_of(site, resources)
    asked = directives(search.name, resources, site, str(RunDir(place).log), cpus)
    has_arrays = site.arrays and scheduler.has_arrays
    if has_arrays:
        log = file_name(str(place), "/log-%a.out")
        asked = [word for word in asked if not word.startswith("--output=")]
        asked += [f"--array=0-{count - 1}", f"--output={quoted('output', log)}"]
    script = render_workers(
        " ".join(f"{search.name}: {count} {'worker' if count == 1 else 'workers'}, site {site.name}".split()),
        asked,
        directory=str(Path.cwd()),
        modules=module_lines(site, search.software, gpu),
        bin=str(Path(hpcnn_command()[0]).parent),
        environment={key: str(Path(os.environ[key]).absolute()) for key in _HANDED_ON if os.environ.get(key)},
        setup=setup_lines(site, search.software),
        command=[*hpcnn_command(), "search", "work", str(folder), "--site", site.name],
    )
    calls, of_each = (1, count) if has_arrays else (count, 1)
    return Workers(place, site, script, calls, of_each, _warnings(search, site))


def _warnings(search: Search, site: Site) -> tuple[str, ...]:
    """Return what is to be said of the job of each trial, which has all GPUs of its worker."""
    train = from_mapping(TrainSpec, search.train)
    return warnings_of(JobSpec(search.name, site.name, search.resources, train=train, software=search.software))


def submit(job: Workers, options: Sequence[str] = ()) -> list[str]:
    """Submit the workers; return the ids of the jobs.

    Raises HpcnnError with the scheduler's words where it refuses, NoAnswer where it may have accepted some. The caller
    holds the lock of ``submitting_lock``.
    """
    ids = []
    for number in range(job.calls):
        place = job.folder if number == 0 else job.folder.with_name(f"{job.folder.name}-{number}")
        write_text(place / "job.sh", job.script, executable=True)
        ids.append(submit_recorded(place / "job.sh", place / "job.json", job.site, options, {"workers": job.workers}))
    return ids


def submitting_lock(folder: Path) -> Path:
    """Return the folder of the lock for submitting workers of a search."""
    return folder / "locks" / "submitting"


def settle(folder: Path) -> dict[str, int]:
    """Find the workers of submissions that were interrupted; return job id -> number of workers.

    Raises NoAnswer where such workers may be in the queue: they would be submitted twice. The caller holds the lock of
    ``submitting_lock``.
    """
    result = recover(_records(folder))
    if result.in_doubt:
        one = result.in_doubt[0]
        raise NoAnswer(f"workers of {one.record.parent}: {one.reason}; nothing is submitted, they could be there twice")
    close(result.unanswered)
    records = [read_json(file) or {} for file in result.found]
    return {str(record["job_id"]): int(record.get("workers") or 1) for record in records}


def queued(folder: Path) -> int:
    """Return how many workers of a search are waiting or running in the queue. Raises NoAnswer."""
    from hpcnn.rundir.find import find

    if next(_records(folder), None) is None:
        return 0
    lost = recover(_records(folder)).in_doubt
    if lost:
        raise NoAnswer(lost[0].reason)
    ids = {job.job_id for job in find([str(folder / "workers")])}
    alive = [job for job, state in batch_scheduler().queue().items() if state.alive]
    return sum(job.partition("_")[0] in ids for job in alive)


def _records(folder: Path) -> Iterator[Path]:
    return (folder / "workers").glob("*/job.json")
