"""A figure with its title, alternative text and caption, and its files. Draws nothing itself."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hpcnn.figures.style import rendered
from hpcnn.util.files import write_bytes

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from matplotlib.figure import Figure

# Values of each series that an alternative text lists; the table has all.
MOST_LISTED = 10

FORMATS = ("png", "svg", "pdf")
_DOTS_PER_INCH = 200


@dataclass(frozen=True)
class Plot:
    """One figure.

    name: of its files, unique in a report. title: a line. alt: what it shows, with the numbers, for readers who cannot
    see it. figure: matplotlib's. caption: how to read it, and what was left out. group: the table that it belongs to.
    """

    name: str
    title: str
    alt: str
    figure: Figure = field(repr=False)
    caption: str = ""
    group: str = ""


def listed(label: str, values: Sequence[str]) -> str:
    """Return "label: 1 rank 3.2 s, 2 ranks 1.7 s" for an alternative text, at most MOST_LISTED values."""
    more = f", and {len(values) - MOST_LISTED} more" if len(values) > MOST_LISTED else ""
    return f"{label}: {', '.join(values[:MOST_LISTED])}{more}"


def save(plots: Iterable[Plot], folder: Path) -> list[Path]:
    """Write each figure as PNG, SVG and PDF, on white, into ``folder``; return the files."""
    files = []
    for plot in plots:
        for form in FORMATS:
            file = folder / f"{plot.name}.{form}"
            content = rendered(plot.figure, form, salt=plot.name, dpi=_DOTS_PER_INCH, facecolor="white")
            write_bytes(file, content)
            files.append(file)
    return files
