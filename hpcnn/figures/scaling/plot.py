"""A picture with its words, and its files. Must not know what is drawn."""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from hpcnn.figures.scaling.style import settings
from hpcnn.util.files import write_bytes

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

# Values that an alternative text spells out for each series; the table has all.
SPOKEN = 10

FORMATS = ("png", "svg", "pdf")
_DOTS_PER_INCH = 200


@dataclass(frozen=True)
class Plot:
    """One picture.

    name: of its files, unique in a report. title: a line. alt: what it shows, with the numbers, for who cannot see it.
    figure: matplotlib's. caption: how to read it, and what was left out. group: of which table it is.
    """

    name: str
    title: str
    alt: str
    figure: Any = field(repr=False)
    caption: str = ""
    group: str = ""


def spoken(label: str, values: Sequence[str]) -> str:
    """Return "label: 1 rank 3.2 s, 2 ranks 1.7 s", at most SPOKEN values of it."""
    more = f", and {len(values) - SPOKEN} more" if len(values) > SPOKEN else ""
    return f"{label}: {', '.join(values[:SPOKEN])}{more}"


def written(plot: Plot, form: str, **options: Any) -> bytes:
    """Return a picture as a file of the format ``form``; the same picture gives the same bytes."""
    none = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}.get(form, {})
    content = io.BytesIO()
    with settings(plot.name), warnings.catch_warnings():
        # a name in a script that the font lacks: boxes in the PNG, the name itself in the SVG
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        plot.figure.savefig(content, format=form, dpi=_DOTS_PER_INCH, metadata=none, **options)
    return content.getvalue()


def save(plots: Iterable[Plot], folder: Path) -> list[Path]:
    """Write each picture as PNG, SVG and PDF, on white, into ``folder``; return the files."""
    files = []
    for plot in plots:
        for form in FORMATS:
            file = folder / f"{plot.name}.{form}"
            write_bytes(file, written(plot, form, facecolor="white"))
            files.append(file)
    return files
