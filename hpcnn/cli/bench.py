"""``hpcnn bench``: benchmarks of the machine, run as jobs."""

from __future__ import annotations

import click

from hpcnn.cli.bench_job import job_of, job_options, result_of
from hpcnn.cli.bench_machine import machine_command
from hpcnn.cli.choice import Choice
from hpcnn.cli.grouped import GroupedCommand, WholeSentences
from hpcnn.cli.options import option_name
from hpcnn.machine.bench import sizes as message_sizes
from hpcnn.specs.job import JobSpec, check_ranks
from hpcnn.util.errors import bad_value
from hpcnn.util.table import Column, emit
from hpcnn.util.types import Json

BACKENDS = {"mpi": ("mpi",), "horovod": ("horovod",), "both": ("mpi", "horovod")}


@click.group(cls=WholeSentences, epilog="\b\nExample:\n  hpcnn bench allreduce --ntasks 2")
def command() -> None:
    """Measure the machine, without training."""


command.add_command(machine_command)


@command.command(
    "allreduce",
    cls=GroupedCommand,
    epilog=(
        "\b\nExamples:\n"
        "  hpcnn bench allreduce --ntasks 2 --output link.json\n"
        "  hpcnn bench allreduce --site narval --nodes 2 --ntasks-per-node 4 --time 10 --wait"
    ),
)
@click.option("--model", default="scinet-cnn1", show_default=True, help="Network whose gradients are sent too.")
@click.option(
    "--sizes",
    default=message_sizes.DEFAULT,
    show_default=True,
    metavar="A..B",
    help="Sweep of message sizes in bytes: the powers of two from A to B.",
)
@click.option("--repeats", type=click.IntRange(1), default=20, show_default=True, help="Measurements of each message.")
@click.option(
    "--backend",
    type=Choice(list(BACKENDS)),
    default="both",
    show_default=True,
    help="Who sends: MPI itself, or Horovod.",
)
@job_options("allreduce")
def allreduce_command(
    model: str,
    sizes: str,
    repeats: int,
    backend: str,
    site: str,
    output: str | None,
    name: str,
    run_dir: str | None,
    dry_run: bool,
    wait: bool,
    fmt: str,
    **options: object,
) -> None:
    """Measure what summing gradients over ranks costs, and fit latency and bandwidth.

    MPI sums, and Horovod, as in a training step. Each message is timed many times; a time is that of the slowest
    rank, and the table has its median with the exact interval of the median. The run directory gets allreduce.json,
    which `hpcnn predict --network` reads.
    """
    from hpcnn.zoo.registry import check_name

    check_name(model)
    _check_sizes(sizes)
    job = _job(site, name, options, ["--model", model, "--sizes", sizes, "--repeats", str(repeats)], BACKENDS[backend])
    result = result_of(job, lambda run: run.allreduce, run_dir=run_dir, output=output, dry_run=dry_run, wait=wait)
    _print(result, fmt)


def _check_sizes(text: str) -> None:
    from hpcnn.machine.bench.fit import SIZES_NEEDED

    count = len(message_sizes.sweep(text))
    if count < SIZES_NEEDED:
        raise bad_value("--sizes", text, f"at least {SIZES_NEEDED} powers of two: {count} are too few for a fit")


def _job(site: str, name: str, options: dict[str, object], words: list[str], backends: tuple[str, ...]) -> JobSpec:
    chosen = [word for backend in backends for word in ("--backend", backend)]
    job = job_of(site, name, options, ("python", "-m", "hpcnn.machine.bench.ranks", *words, *chosen))
    check_ranks(job.resources, None, option_name)
    if job.resources.ntasks < 2:
        raise bad_value("--ntasks", job.resources.ntasks, "at least 2: one rank has nobody to reduce with")
    return job


def _print(result: dict[str, Json], fmt: str) -> None:
    """Print the result: a table for people, the whole record as JSON, or the times as CSV."""
    import json

    from hpcnn.machine.bench.sizes import size_text

    if fmt == "json":
        click.echo(json.dumps(result, indent=2))
        return

    def microseconds(seconds: float) -> str:
        return f"{1e6 * seconds:,.4g}" if seconds < 1e-2 else f"{1e6 * seconds:,.0f}"

    columns = [
        Column("backend", "backend"),
        Column("kind", "message"),
        Column("name", ""),
        Column("tensors", "tensors", right=True),
        Column("bytes", "size", size_text, right=True),
        Column("seconds_median", "time (us)", microseconds, right=True),
        Column("seconds_low", "from", microseconds, right=True),
        Column("seconds_high", "to", microseconds, right=True),
        Column("bytes_per_second", "MB/s", lambda rate: f"{rate / 1e6:,.4g}", right=True),
    ]
    title = f"allreduce on {result['ranks']} ranks, {result['nodes']} {'node' if result['nodes'] == 1 else 'nodes'}"
    emit(result["times"], fmt, columns, title=f"{title}; {result['mpi_version']}")
    for link in result["links"]:
        click.echo(_link_line(link, result["confidence"]), err=fmt != "table")


def _link_line(link: dict[str, Json], confidence: float) -> str:
    alpha = (1e6 * link[f"alpha_seconds{end}"] for end in ("", "_low", "_high"))
    beta = (1e-9 * link[f"beta_bytes_per_second{end}"] for end in ("", "_low", "_high"))
    return (
        "{}: alpha {:.3g} us ({:.3g} to {:.3g}), beta {:.3g} GB/s ({:.3g} to {:.3g}), {:.0%} interval; "
        "the ring model is off by {:.0%} (median over the sizes)"
    ).format(link["backend"], *alpha, *beta, confidence, link["fit_error"])
