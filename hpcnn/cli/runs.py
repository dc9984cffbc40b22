"""``hpcnn runs``: a table of many runs, with the settings in which they differ and what they reached."""

from __future__ import annotations

import click

from hpcnn.cli.next import no_runs
from hpcnn.cli.output import format_option, say_closed
from hpcnn.util.table import Column, emit, note
from hpcnn.util.types import Json

# Of a run's own, and no setting that a reader compares.
_NOT_SHOWN = ("name", "study", "repeat", "seed")


@click.command(
    epilog="\b\nExamples:\n  hpcnn runs\n  hpcnn runs runs/strong_scaling runs/first --format csv > runs.csv"
)
@click.argument("runs", metavar="[RUN]...", nargs=-1)
@click.option("--last", type=click.IntRange(1), metavar="N", help="The newest N runs.")
@format_option
def command(runs: tuple[str, ...], last: int | None, fmt: str) -> None:
    """Show runs side by side: run directories, or folders of runs; without any, the runs folder.

    The newest comes first. A setting that all of them share is said once, above the table; the others are its columns.
    """
    from hpcnn.rundir.find import runs_of
    from hpcnn.rundir.live import reached
    from hpcnn.rundir.settings import differing, plain, settings_of, words
    from hpcnn.util.files import read_json
    from hpcnn.util.text import shown_path

    found = runs_of(runs, closed=say_closed)[:last]
    if fmt == "table" and not found:
        no_runs()
        return
    specs = [read_json(run.spec) or {} for run in found]
    settings = [settings_of(spec) for spec in specs]
    own = [{key: value for key, value in one.items() if key not in _NOT_SHOWN} for one in differing(settings)]
    rows: list[dict[str, Json]] = []
    for run, spec, differs in zip(found, specs, own, strict=True):
        state = reached(run, spec)
        result = run.read_result() or {}
        rows.append(
            {
                "run": shown_path(run.path),
                **differs,
                "status": result.get("status"),
                "epochs_done": state.epochs,
                "images_per_second": state.images_per_second,
                "test_accuracy": state.accuracy,
            }
        )
    if fmt == "table":
        same = {key: value for key, value in settings[0].items() if key not in (*own[0], *_NOT_SHOWN)}
        note(f"In all {len(rows)} runs: {words(same)}" if len(rows) > 1 else words(same))
    varying = list(own[0]) if own else []
    columns = [
        Column("run", "run"),
        *(Column(key, key.replace("_", " "), plain) for key in varying),
        Column("status", "status"),
        Column("epochs_done", "done", right=True),
        Column("images_per_second", "images/s", "{:,.0f}".format, right=True),
        Column("test_accuracy", "accuracy", "{:.2%}".format, right=True),
    ]
    emit(rows, fmt, columns)
