"""Says how far a build is: which stage, since when, and the last line of its output.

On a terminal in one line that changes; elsewhere one line a stage. Knows the builder's words, not how it is run.
"""

from __future__ import annotations

import re
import time
from types import TracebackType
from typing import Any

import click

# The stages that no line of the definition names: those of Apptainer itself.
_STAGES = (
    (re.compile(r"^==> (.+)"), r"\1"),
    (re.compile(r"^INFO:\s+Starting build"), "the base system"),
    (re.compile(r"^INFO:\s+Creating SIF file"), "packing the image"),
    (re.compile(r"^INFO:\s+(Adding testscript|Running testscript)"), "the image's own tests"),
)
_NOISE = re.compile(r"^\+ |^\s*$")


def stage_of(line: str) -> str | None:
    """Return the stage that begins with this line of the builder's output; None for any other line."""
    for pattern, name in _STAGES:
        found = pattern.match(line)
        if found:
            return found.expand(name)
    return None


class Progress:
    """A context in which ``line`` takes the builder's output."""

    def __init__(self, console: Any) -> None:
        """console: a rich console for standard error."""
        self._console = console
        self._start = time.monotonic()
        self._stage = ""
        self._bar: Any = None
        self._task: Any = None

    def __enter__(self) -> Progress:
        """Start the display on a terminal."""
        if self._console.is_terminal:
            from rich.progress import Progress as Bar
            from rich.progress import SpinnerColumn, TextColumn, TimeElapsedColumn
            from rich.table import Column

            columns = [SpinnerColumn(), TimeElapsedColumn(), TextColumn("[bold]{task.description}")]
            last = TextColumn("{task.fields[last]}", markup=False, table_column=Column(no_wrap=True, ratio=1))
            self._bar = Bar(*columns, last, console=self._console, transient=True, expand=True)
            self._task = self._bar.add_task("starting", total=None, last="")
            self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Remove the display."""
        if self._bar is not None:
            self._bar.stop()

    def line(self, text: str) -> None:
        """Show a line of output, and the stage that it begins."""
        stage = stage_of(text)
        if stage and stage != self._stage:
            self._stage = stage
            if self._bar is not None:
                self._bar.update(self._task, description=stage, last="")
            else:
                click.echo(f"{time.monotonic() - self._start:5.0f} s  {stage}", err=True)
        elif self._bar is not None and not _NOISE.match(text):
            self._bar.update(self._task, last=text.strip())
