"""``hpcnn profile``: show the operations of a run's recorded steps, and join the traces of all ranks."""

from __future__ import annotations

import json
from pathlib import Path

import click

from hpcnn.cli.output import format_option
from hpcnn.util.errors import UsageError, not_there
from hpcnn.util.table import Column, emit
from hpcnn.util.types import Json


@click.command(epilog="\b\nExample:\n  hpcnn profile runs/first --top 5")
@click.argument("run", type=click.Path(path_type=Path))
@click.option(
    "--top",
    type=click.IntRange(1),
    default=10,
    show_default=True,
    metavar="N",
    help="Operations of each kind to show, by self time.",
)
@format_option
def command(run: Path, top: int, fmt: str) -> None:
    """Show what `hpcnn train --profile` recorded in the run directory RUN.

    Prints where the recorded steps' seconds went and the operations with the largest self times, over all ranks.
    Writes trace.json.gz there, all ranks on one clock: open it with https://ui.perfetto.dev or chrome://tracing.
    """
    from hpcnn.rundir.layout import RunDir
    from hpcnn.trace.chrome import align_clocks, read, write
    from hpcnn.trace.operations import KINDS, table

    directory = RunDir(run)
    if not run.is_dir():
        raise not_there("RUN", str(run), "a run directory")
    traces = [read(file) for _, file in directory.traces()]
    if not traces:
        raise UsageError(f"RUN: {str(run)!r} holds no recorded steps; train with --profile N")
    try:
        write(directory.all_traces, align_clocks(traces))
    except OSError as error:
        raise UsageError(f"RUN: {str(directory.all_traces)!r} cannot be written: {error.strerror}") from error
    rows = table(traces)
    shown = [row for kind in KINDS for row in [r for r in rows if r["kind"] == kind][:top]]
    facts = [trace.facts for trace in traces]
    if fmt == "json":
        record = {"trace": str(directory.all_traces), "ranks": facts, "operations": shown}
        click.echo(json.dumps(record, indent=2, allow_nan=False))
        return
    emit(shown, fmt, _COLUMNS, title=_title(facts))
    for line in (_shares_line(facts), f"trace of all ranks: {directory.all_traces}"):
        click.echo(line, err=fmt != "table")


def _milliseconds(seconds: float) -> str:
    return f"{1e3 * seconds:,.3f}"


_COLUMNS = [
    Column("kind", "kind"),
    Column("type", "type"),
    Column("count", "count", right=True),
    Column("seconds", "self time (ms)", _milliseconds, right=True),
    Column("share", "share of kind", "{:.1%}".format, right=True),
    Column("seconds_per_step", "ms/step and rank", _milliseconds, right=True),
]


def _title(facts: list[dict[str, Json]]) -> str:
    from hpcnn.util.text import counted

    first = facts[0]
    steps = f"{counted(first['steps'], 'step')} of epoch {first['epoch']}"
    return f"{steps}, from step {first['first_step']} on; {counted(len(facts), 'rank')}, {first['strategy']}"


def _shares_line(facts: list[dict[str, Json]]) -> str:
    """Return the shares of the slowest rank's seconds, divided as in the report."""
    slowest = max(facts, key=lambda rank: rank["seconds"])
    parts = {name: slowest[f"seconds_{name}"] / slowest["seconds"] for name in ("input", "compute", "communication")}
    parts["other"] = max(1 - sum(parts.values()), 0.0)
    words = ", ".join(f"{name} {share:.1%}" for name, share in parts.items())
    return f"{_milliseconds(slowest['seconds'])} ms on the slowest rank ({slowest['rank']}): {words}"
