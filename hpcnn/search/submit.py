"""Submit the workers of a search to Slurm: one job array, whose tasks train trials until none is left."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hpcnn.jobs.checks import check_request
from hpcnn.jobs.launch import cpus_of
from hpcnn.jobs.patience import submit_patiently
from hpcnn.jobs.sbatch import directives, quoted
from hpcnn.jobs.script import modules, render_workers
from hpcnn.jobs.submit import hpcnn_command, job_record
from hpcnn.rundir.layout import RunDir, new_run_id
from hpcnn.scheduler import batch_scheduler, scheduler_of
from hpcnn.search.spec import Search
from hpcnn.sites.load import load_site
from hpcnn.sites.profile import Site
from hpcnn.util.errors import UsageError
from hpcnn.util.files import write_json, write_text
from hpcnn.zoo.catalogue import FOLDER_VARIABLE

# Variables that workers need, and that `sbatch --export=NONE`, the default of some sites, would not pass on.
_HANDED_ON = (FOLDER_VARIABLE, "HPCNN_CONFIG")


@dataclass(frozen=True)
class Workers:
    """The job of the workers: the folder of its script and log, the script, and the number of calls of sbatch."""

    folder: Path
    site: Site
    script: str
    calls: int


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
        log = str(place).replace("%", "%%") + "/log-%a.out"  # sbatch(1), "filename pattern"
        asked = [word for word in asked if not word.startswith("--output=")]
        asked += [f"--array=0-{count - 1}", f"--output={quoted('output', log)}"]
    script = render_workers(
        " ".join(f"{search.name}: {count} {'worker' if count == 1 else 'workers'}, site {site.name}".split()),
        asked,
        directory=str(Path.cwd()),
        modules=modules(site, search.software, gpu),
        bin=str(Path(hpcnn_command()[0]).parent),
        environment={key: str(Path(os.environ[key]).absolute()) for key in _HANDED_ON if os.environ.get(key)},
        command=[*hpcnn_command(), "search", "work", str(folder), "--site", site.name],
    )
    return Workers(place, site, script, 1 if has_arrays else count)


def submit(job: Workers, options: Sequence[str] = ()) -> list[str]:
    """Submit the workers; return the ids of the jobs. Raises HpcnnError with the scheduler's words where it refuses."""
    script = job.folder / "job.sh"
    write_text(script, job.script, mode=0o755)
    ids = [submit_patiently(scheduler_of(job.site.scheduler), script, options) for _ in range(job.calls)]
    for number, job_id in enumerate(ids):
        place = job.folder if number == 0 else job.folder.with_name(f"{job.folder.name}-{number}")
        write_json(place / "job.json", job_record(job_id, job.site.name))
    return ids


def queued(folder: Path) -> int:
    """Return how many workers of a search are waiting or running in the queue. Raises NoAnswer."""
    from hpcnn.rundir.find import find

    place = folder / "workers"
    if next(place.glob("*/job.json"), None) is None:
        return 0
    ids = {job.job_id for job in find([str(place)])}
    alive = [job for job, state in batch_scheduler().queue().items() if state.alive]
    return sum(job.partition("_")[0] in ids for job in alive)
