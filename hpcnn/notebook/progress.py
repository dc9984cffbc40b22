"""The progress of a training on the screen: in a notebook its last line, elsewhere all lines as they come."""

from __future__ import annotations

import html
import sys
from pathlib import Path
from types import TracebackType
from typing import Protocol


class _Display(Protocol):
    """An output of a notebook that a later one replaces, as IPython's DisplayHandle."""

    def display(self, line: _Line, /) -> None: ...
    def update(self, line: _Line, /) -> None: ...


class Progress:
    """Shows lines while it is open, unless ``shown`` is False."""

    def __init__(self, run_dir: Path, *, shown: bool) -> None:
        self._run_dir = run_dir
        self._shown = shown
        self._display = _notebook_display() if shown else None

    def __enter__(self) -> Progress:
        if self._display is not None:
            self._display.display(_Line(f"{self._run_dir}: starting"))
        elif self._shown:
            print(f"run directory: {self._run_dir}", flush=True)
        return self

    def __exit__(
        self, error: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._display is not None:
            ended = "ended" if error is None else "interrupted"
            self._display.update(_Line(f"{self._run_dir}: {ended}"))

    def line(self, text: str) -> None:
        """Show one line of the log."""
        if self._display is not None:
            self._display.update(_Line(text))
        elif self._shown:
            print(text, flush=True)


class _Line:
    """A line of text as a notebook shows it, in place of the one before."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return self._text

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(self._text)}</pre>"


def _notebook_display() -> _Display | None:
    """Return IPython's handle of an output that a later one replaces; None outside a notebook's kernel."""
    ipython = sys.modules.get("IPython")  # a kernel has imported it; nobody else needs it
    shell = ipython.get_ipython() if ipython is not None else None
    if getattr(shell, "kernel", None) is None:
        return None
    from IPython.display import DisplayHandle

    return DisplayHandle()  # type: ignore[no-untyped-call]
