"""Display the progress of a build: its stage, the elapsed time, and the last line of its output.

On a terminal as one line that changes, elsewhere one line per stage. Must not import the build.
"""

from __future__ import annotations

import re
import time
from types import TracebackType
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress as Bar
    from rich.progress import TaskID

# Line of the builder's output -> stage: those that the definition prints, and those of Apptainer itself.
_STAGES = (
    (re.compile(r"^==> (.+)"), r"\1"),
    (re.compile(r"^INFO:\s+Starting build"), "the base system"),
    (re.compile(r"^INFO:\s+Creating SIF file"), "packing the image"),
    (re.compile(r"^INFO:\s+(Adding testscript|Running testscript)"), "the image's own tests"),
)
_NOISE = re.compile(r"^\+ |^\s*$")


def stage_of(line: str) -> str | None:
    """Return the stage that a line of the builder's output begins; None for any other line."""
    for pattern, name in _STAGES:
        found = pattern.match(line)
        if found:
            return found.expand(name)
    return None


class Progress:
    """A context that displays the builder's output, which ``line`` receives."""

    def __init__(self, console: Console) -> None:
        """Display on ``console``, for standard error."""
        self._console = console
        self._start = time.monotonic()
        self._stage = ""
        self._bar: tuple[Bar, TaskID] | None = None

    def __enter__(self) -> Progress:
        """Start the display on a terminal."""
        if self._console.is_terminal:
            from rich.progress import Progress as Bar
            from rich.progress import SpinnerColumn, TextColumn, TimeElapsedColumn
            from rich.table import Column

            columns = [SpinnerColumn(), TimeElapsedColumn(), TextColumn("[bold]{task.description}")]
            last = TextColumn("{task.fields[last]}", markup=False, table_column=Column(no_wrap=True, ratio=1))
            bar = Bar(*columns, last, console=self._console, transient=True, expand=True)
            self._bar = bar, bar.add_task("starting", total=None, last="")
            bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Remove the display."""
        if self._bar is not None:
            self._bar[0].stop()

    def line(self, text: str) -> None:
        """Display a line of output, and the stage that it begins."""
        stage = stage_of(text)
        if stage and stage != self._stage:
            self._stage = stage
            if self._bar is not None:
                bar, task = self._bar
                bar.update(task, description=stage, last="")
            else:
                click.echo(f"{time.monotonic() - self._start:5.0f} s  {stage}", err=True)
        elif self._bar is not None and not _NOISE.match(text):
            bar, task = self._bar
            bar.update(task, last=text.strip())
