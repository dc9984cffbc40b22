"""Display the progress of runs: on a terminal what moves, a bar or a last line; elsewhere a line for each run."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

import click

from hpcnn.cli.output import say_folded
from hpcnn.util.table import console, width
from hpcnn.util.text import in_one_line

_SECONDS_BETWEEN_LOOKS = 0.5


class LastLine:
    """A line on standard error, below all that is printed, that says where the training in ``run`` stands.

    Without a terminal, and where ``quiet``, there is none. Lines of output go through ``echo``, to standard output.
    """

    def __init__(self, run: Path, *, quiet: bool = False) -> None:
        self._run = run
        self._shown = sys.stderr.isatty() and not quiet
        self._text = ""
        self._ended = threading.Event()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._keep_up, daemon=True)

    def __enter__(self) -> LastLine:
        if self._shown:
            self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._ended.set()
        if self._shown:
            self._thread.join()
            self._draw("")

    def echo(self, line: str) -> None:
        """Print a line of output above it, on a terminal folded at its spaces."""
        with self._lock:
            self._draw("")
            say_folded(line)

    def _keep_up(self) -> None:
        while not self._ended.wait(_SECONDS_BETWEEN_LOOKS):
            text = _where(self._run)
            with self._lock:
                self._draw(text)

    def _draw(self, text: str) -> None:
        if self._shown and (text or self._text):
            # \r and ESC [ K: from the beginning of the line, clear it (ECMA-48, "CR", "EL")
            click.echo(f"\r\x1b[K{text[: width(err=True) - 1]}", nl=False, err=True)
            self._text = text


def _where(run: Path | None) -> str:
    from hpcnn.rundir.layout import RunDir
    from hpcnn.rundir.progress import standing

    found = None if run is None else standing(RunDir(run))
    return "" if found is None else found.text()


class Progress:
    """Count runs as they end, on standard error."""

    def __init__(self, count: int) -> None:
        from rich.console import Group, RenderableType
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
        from rich.progress import Progress as Bar
        from rich.progress import TimeRemainingColumn as Remaining
        from rich.text import Text

        self._run: Path | None = None
        self._console = console(stderr=True)
        self._count, self._done = count, 0
        progress = self

        class WithRun(Bar):
            """The bar, and below it where the run stands."""

            def get_renderable(self) -> RenderableType:
                return Group(super().get_renderable(), Text(_where(progress._run), no_wrap=True))

        self._bar = WithRun(
            TextColumn("{task.description}", markup=False),
            BarColumn(20),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            Remaining(),
            console=self._console,
            disable=not self._console.is_terminal,
            # one run takes minutes: the estimate must include the first ones
            speed_estimate_period=24 * 3600.0,
        )
        self._task = self._bar.add_task("", total=count)

    def __enter__(self) -> Progress:
        self._bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.stop()

    def started(self, name: str, run: Path | None = None) -> None:
        """Show the name of the running one, and where the training in its run directory stands."""
        self._run = run
        self._bar.update(self._task, description=name)

    def ended(self, name: str, how: str) -> None:
        """Count one, and print how it ended."""
        self._done += 1
        self._bar.update(self._task, advance=1)
        line = f"[{self._done}/{self._count}] {in_one_line(name)}  {in_one_line(how)}"
        self._console.print(line, markup=False, soft_wrap=True)
