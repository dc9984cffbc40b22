"""``hpcnn bench machine``: the ceilings of a machine, measured by a job."""

from __future__ import annotations

import json

import click

from hpcnn.cli.bench_job import job_of, job_options, result_of
from hpcnn.cli.grouped import GroupedCommand
from hpcnn.util.errors import bad_value
from hpcnn.util.table import Column, emit


@click.command(
    "machine",
    cls=GroupedCommand,
    epilog=(
        "\b\nExamples:\n"
        "  hpcnn bench machine --output machine.json\n"
        "  hpcnn bench machine --site narval --cpus-per-task 64 --threads 16 --threads 64 --time 5 --wait"
    ),
)
@click.option(
    "--threads",
    type=click.IntRange(1),
    multiple=True,
    metavar="N",
    help="Threads to measure with; may be repeated.  [default: 1 and all cores of the task]",
)
@job_options("machine")
def machine_command(
    threads: tuple[int, ...],
    site: str,
    output: str | None,
    name: str,
    run_dir: str | None,
    dry_run: bool,
    wait: bool,
    fmt: str,
    **options: object,
) -> None:
    """Measure the ceilings of a machine: operations and bytes a second.

    TensorFlow multiplies matrices in float32 and bfloat16, and copies memory, with a number of threads or on one GPU;
    the best of some repeats counts. The run directory gets machine.json, which `hpcnn scaling-report --machine`
    reads.
    """
    words = [word for number in threads for word in ("--threads", str(number))]
    job = job_of(site, name, options, ("python", "-m", "hpcnn.machine.bench.machine", *words))
    if job.resources.ntasks != 1:
        raise bad_value("--ntasks", job.resources.ntasks, "1: one process measures, with the threads of --threads")
    result = result_of(job, lambda run: run.machine, run_dir=run_dir, output=output, dry_run=dry_run, wait=wait)
    if fmt == "json":
        click.echo(json.dumps(result, indent=2))
        return
    emit(result["ceilings"], fmt, _COLUMNS, title=f"ceilings of {result['host']}: {result['cpu_model']}")


def _billions(rate: float) -> str:
    return f"{rate / 1e9:,.4g}"


_COLUMNS = [
    Column("device", "device"),
    Column("threads", "threads", right=True),
    Column("float32_flops_per_second", "float32 GFLOP/s", _billions, right=True),
    Column("bfloat16_flops_per_second", "bfloat16 GFLOP/s", _billions, right=True),
    Column("bytes_per_second", "memory GB/s", _billions, right=True),
]
