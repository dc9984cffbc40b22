"""The table of ``hpcnn status --efficiency``: what jobs used of what they had."""

from __future__ import annotations

from collections.abc import Sequence

import click

from hpcnn.jobs.efficiency import next_time
from hpcnn.rundir.find import Job
from hpcnn.scheduler import batch_scheduler
from hpcnn.scheduler.api import Usage
from hpcnn.util.table import Column, emit
from hpcnn.util.types import Json
from hpcnn.util.walltime import walltime


def show(jobs: Sequence[Job], fmt: str) -> None:
    """Print a row for each job that the accounts know. Raises NoAnswer where there are no accounts to ask."""
    used = batch_scheduler().usage([job.job_id for job in jobs])
    runs = {job.job_id: str(job.run.path) for job in jobs if job.run}
    rows = [_row(usage, runs.get(name)) for name, usage in used.items()]
    columns = [
        Column("job_id", "job", right=True),
        Column("slurm_state", "Slurm"),
        Column("time_share", "time", show=_percent, right=True),
        Column("time", "of limit", right=True),
        Column("cpu_share", "cores", show=_percent, right=True),
        Column("cpus", "of", right=True),
        Column("memory_share", "memory", show=_percent, right=True),
        Column("memory_asked_bytes", "of", show=_gib, right=True),
        *([Column("gpu_share", "GPUs", show=_percent, right=True)] if any(row["gpus"] for row in rows) else []),
        *([Column("gpus", "of", right=True)] if any(row["gpus"] for row in rows) else []),
        Column("next_time", "next time", show=lambda advice: "; ".join(advice)),
    ]
    emit(rows, fmt, columns)
    unknown = [job.job_id for job in jobs if not any(name.partition("_")[0] == job.job_id for name in used)]
    missing = [name for name in unknown if name not in used]
    if missing:
        click.echo(f"the accounts of Slurm do not know: {', '.join(missing)}", err=True)


def _row(usage: Usage, run: str | None) -> dict[str, Json]:
    limit = walltime(usage.time_limit) if usage.time_limit else None
    return {
        "job_id": usage.job_id,
        "slurm_state": usage.state,
        "elapsed_seconds": usage.elapsed,
        "time_limit_seconds": usage.time_limit,
        "time": limit,
        "time_share": usage.time_share,
        "cpus": usage.cpus,
        "cpu_seconds": usage.cpu_seconds,
        "cpu_share": usage.cpu_share,
        "memory_used_bytes": usage.memory_used,
        "memory_asked_bytes": usage.memory_asked,
        "memory_share": usage.memory_share,
        "gpus": usage.gpus,
        "gpu_share": usage.gpu_share,
        "next_time": next_time(usage),
        "run": run,
    }


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _gib(size: int) -> str:
    return f"{size / 2**30:.3g} GiB"
