"""``hpcnn top``: watch runs as they go, of a study or all."""

from __future__ import annotations

import shutil
import sys
import time
from typing import TYPE_CHECKING, NamedTuple

import click

from hpcnn.cli.output import say_closed
from hpcnn.util.table import Column
from hpcnn.util.types import Json

if TYPE_CHECKING:
    from pathlib import Path

    from hpcnn.rundir.layout import RunDir

# Between two looks at the files of the runs, and between two questions to the scheduler, which others ask too.
_SECONDS, _SECONDS_OF_QUEUE = 2.0, 20.0
# Lines of the terminal that are not rows: title, heading, what is below, and the cursor's.
_OTHER_LINES = 8
# To the second screen of a terminal and back (xterm, "Alternate Screen Buffer"), and an empty screen.
_OTHER_SCREEN, _FIRST_SCREEN, _EMPTY = "\x1b[?1049h", "\x1b[?1049l", "\x1b[H\x1b[2J"


@click.command(epilog="\b\nExamples:\n  hpcnn top\n  hpcnn top runs/strong_scaling --once")
@click.argument("runs", metavar="[RUN]...", nargs=-1)
@click.option("--once", is_flag=True, help="Look once, and end.")
def command(runs: tuple[str, ...], once: bool) -> None:
    """Watch runs: their states, epochs, images/s, test accuracy and time left; run directories or folders of runs.

    Without any: the runs folder. What runs comes first, then what waits, then the newest. Ends with Ctrl-C; without a
    terminal it looks once.
    """
    watch(runs, once=once)


def watch(targets: tuple[str, ...], *, once: bool = False) -> None:
    """Show runs until the user ends it, or once."""
    from hpcnn.rundir.find import runs_of

    if once or not sys.stdout.isatty():
        _show(_states(runs_of(targets, closed=say_closed)))
        return
    seen, asked = _states(runs_of(targets, closed=_later)), time.monotonic()
    click.echo(_OTHER_SCREEN, nl=False)
    try:
        while True:
            click.echo(_EMPTY, nl=False)
            _show(seen, shutil.get_terminal_size().lines)
            time.sleep(_SECONDS)
            if time.monotonic() - asked >= _SECONDS_OF_QUEUE:
                seen, asked = _states(runs_of(targets, closed=_later)), time.monotonic()
    except KeyboardInterrupt:
        pass
    finally:
        click.echo(_FIRST_SCREEN, nl=False)
    _show(_states(runs_of(targets, closed=say_closed)))


class _Seen(NamedTuple):
    """The runs with their states, and why the scheduler does not say more of some of them."""

    states: list[tuple[RunDir, str]]
    silence: str


def _show(seen: _Seen, height: int | None = None) -> None:
    """Print the table, of as many rows as the terminal has room for."""
    from hpcnn.util.table import emit, note

    rows = _rows(seen.states)
    shown = rows if height is None else rows[: max(height - _OTHER_LINES, 1)]
    emit(shown, "table", _columns(rows), title=_title(rows))
    if seen.silence:
        note(seen.silence)
    if len(rows) > len(shown):
        click.echo(f"{len(rows) - len(shown)} more; Ctrl-C shows all")


def _later(_: str) -> None:
    """Say nothing of a run that was left out: that is said at the end, on the screen that stays."""


def _states(runs: list[RunDir]) -> _Seen:
    """Return the runs with their states: what runs first, then what waits, then the rest, the newest first."""
    from hpcnn.rundir.live import shows_life
    from hpcnn.study.states import look

    found, silence = [], ""
    for state in look([run.path for run in runs]):
        silence = silence or state.no_answer
        unasked = state.job_id is None or bool(state.no_answer)
        lives = not state.recorded and unasked and shows_life(state.run)
        found.append((state.run, "running" if lives else state.status))
    order = {"running": 0, "pending": 1}
    return _Seen(sorted(found, key=lambda item: order.get(item[1], 2)), silence)


def _rows(states: list[tuple[RunDir, str]]) -> list[dict[str, Json]]:
    from hpcnn.rundir.live import reached
    from hpcnn.util.files import read_json
    from hpcnn.util.text import shown_path

    rows = []
    for run, status in states:
        if status == "running" and run.result.exists():
            status = str((run.read_result() or {}).get("status"))
        found = reached(run, read_json(run.spec) or {})
        now = found.now if status == "running" else None
        rows.append(
            {
                "run": shown_path(_short(run.path)),
                "status": status,
                "epoch": f"{now.epoch if now else found.epochs}/{found.asked or '?'}",
                "step": f"{now.step}/{now.steps}" if now else None,
                "images_per_second": found.images_per_second,
                "accuracy": found.accuracy,
                "left": now.seconds_left if now else None,
            }
        )
    return rows


def _short(path: Path) -> Path:
    """Return a path below the runs folder without that folder."""
    from hpcnn.rundir.layout import runs_folder

    folder = runs_folder()
    return path.relative_to(folder) if folder in path.parents else path


def _columns(rows: list[dict[str, Json]]) -> list[Column]:
    from hpcnn.util.walltime import walltime

    columns = [
        Column("run", "run"),
        Column("status", "status"),
        Column("epoch", "epoch", right=True),
        Column("step", "step", right=True),
        Column("images_per_second", "images/s", "{:,.0f}".format, right=True),
        Column("accuracy", "accuracy", "{:.2%}".format, right=True),
        Column("left", "left", lambda seconds: walltime(round(seconds)), right=True),
    ]
    return [column for column in columns if column.key != "left" or any(row["left"] is not None for row in rows)]


def _title(rows: list[dict[str, Json]]) -> str:
    counts: dict[str, int] = {}
    for row in rows:
        counts[row["status"]] = counts.get(row["status"], 0) + 1
    return f"{len(rows)} runs: " + ", ".join(f"{count} {status}" for status, count in counts.items())
