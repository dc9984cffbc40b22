"""Say how a job that its limits ended goes on: the command that resumes it with more time or memory."""

from __future__ import annotations

import re
import shlex

from hpcnn.jobs.resume import job_of
from hpcnn.rundir.layout import RunDir
from hpcnn.rundir.memory import OUT_OF_MEMORY
from hpcnn.scheduler.api import JobState
from hpcnn.sites.load import load_site
from hpcnn.sites.profile import Site
from hpcnn.specs.job import JobSpec
from hpcnn.util.errors import UsageError
from hpcnn.util.walltime import seconds_of, walltime

_TIMES_MORE = 2


def next_step(run: RunDir | None, state: JobState) -> str | None:
    """Return the command that resumes a job which its time limit or its memory has ended; None for any other job."""
    result = (run.read_result() if run else None) or {}
    if run is None or state.may_be_alive or result.get("status") == "completed":
        return None
    reason = str(result.get("reason") or "")
    memory = state.ran_out_of_memory or OUT_OF_MEMORY in reason
    time = not memory and (state.timed_out or (result.get("status") == "interrupted" and "time limit" in reason))
    if not (memory or time):
        return None
    try:
        job = job_of(run)
        site = load_site(job.site)
    except UsageError:
        return None
    option = ["--mem", _more_memory(job, site)] if memory else ["--time", _more_time(job, site)]
    return shlex.join(["hpcnn", "resume", state.job_id, *option])


def _more_time(job: JobSpec, site: Site) -> str:
    """Return twice the time that the job had, or the longest that the site gives."""
    seconds = _TIMES_MORE * seconds_of(job.resources.time or site.time or "1:00:00")
    return walltime(min(seconds, seconds_of(site.time_max)) if site.time_max else seconds)


def _more_memory(job: JobSpec, site: Site) -> str:
    """Return twice the memory that the job had on each node; the word MEMORY where hpcnn does not know it."""
    asked = job.resources.mem or (site.memory_gpu if job.resources.gpus_per_node else site.memory)
    match = re.fullmatch(r"(\d+)(.*)", asked)
    return f"{_TIMES_MORE * int(match[1])}{match[2]}" if match and int(match[1]) else "MEMORY"
