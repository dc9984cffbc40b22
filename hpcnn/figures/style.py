"""The look of every figure: one palette, markers, font sizes, axes, titles and legends; and figures as files.

Colours are the hues of Okabe and Ito (Color Universal Design, 2008; B. Wong, Nature Methods 8, 441, 2011), darkened
for a light page and lightened for a dark one to a contrast of 3:1 at least (WCAG 2.2, 1.4.11). No colour carries a
meaning alone: series differ in marker and dashes too, so that a print in grey can be read.

Figures are made without pyplot: they need no display and leave no global state. Must not import ``scaling``,
``networks`` or ``search``, which draw; imports matplotlib only to draw.
"""

from __future__ import annotations

import functools
import io
import textwrap
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, ParamSpec, TypeAlias, TypeVar

from hpcnn.util.errors import UsageError
from hpcnn.util.files import write_bytes
from hpcnn.util.text import significant

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

# Of a line: its name, or the lengths of strokes and gaps after an offset.
Dashes: TypeAlias = "str | tuple[int, tuple[float, ...]]"
# Of a legend within its axes.
Place: TypeAlias = Literal["best", "upper left", "upper right", "lower left"]
_OUTSIDE: dict[str, Literal["outside upper center", "outside lower center"]] = {
    "upper": "outside upper center",
    "lower": "outside lower center",
}

P = ParamSpec("P")
R = TypeVar("R")


class Colour(NamedTuple):
    """A colour of the palette: figures are drawn with ``light``, and a dark page shows ``dark`` in its place."""

    light: str
    dark: str


# By name, since the report's style sheet refers to colours by these names.
COLOURS = {
    "blue": Colour("#0072b2", "#56b4e9"),
    "vermillion": Colour("#d55e00", "#f28e4b"),
    "green": Colour("#00875f", "#35c795"),
    "purple": Colour("#a8517f", "#e39cc4"),
    "orange": Colour("#a87200", "#f0c14b"),
    "ink": Colour("#1b1f24", "#e6e9ed"),
    "muted": Colour("#59636e", "#a3acb6"),
    "faint": Colour("#dde1e6", "#343b44"),
    "page": Colour("#fffffe", "#14181d"),
}

# Text and outlines; lines to compare with and notes; the grid; the page itself.
INK, MUTED, FAINT, PAGE = (COLOURS[name].light for name in ("ink", "muted", "faint", "page"))
# What was measured; and what to look at first: a mistake, the best trial, a prediction.
MAIN, ACCENT = COLOURS["blue"].light, COLOURS["vermillion"].light

# Several series: hues that stand out from the page. More than these take ink and grey, then other markers.
SERIES = ("blue", "vermillion", "green", "purple", "orange")
_CYCLE = (*SERIES, "ink", "muted")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
DASHES: tuple[Dashes, ...] = ("-", (0, (5, 1.5)), (0, (1.5, 1.5)), (0, (6, 1.5, 1.5, 1.5)), (0, (3, 3)))

# Inches, of a figure on a page: its text is 9 points high, to be read where the page is as narrow as a telephone.
WIDTH, HEIGHT = 5.0, 3.5
SMALL_TEXT = 8
# Characters; four labels that are shorter have room side by side.
_SHORT_LABEL = 14
_TITLE_TEXT, _SUBTITLE_TEXT = 11, 9
_TITLE_CHARACTERS_PER_INCH = 10.4
_DOTS_PER_INCH = 150

_SETTINGS: dict[Any, Any] = {
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.labelsize": 9,
    "legend.fontsize": SMALL_TEXT,
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
    "text.color": INK,
    "text.parse_math": False,  # a name of a run with $ in it is a name
    "axes.facecolor": "none",
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": FAINT,
    "grid.linewidth": 0.7,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.major.size": 3,
    "ytick.major.size": 3,
    "legend.frameon": False,
    "pdf.fonttype": 42,
}
# Without dates, the same figure is the same file whenever it is made.
_METADATA: dict[str, dict[str, Any]] = {
    "svg": {"Date": None},
    "pdf": {"CreationDate": None},
    "png": {"Software": None},
}


class Look(NamedTuple):
    """How one series differs from the others."""

    colour: str
    marker: str
    dashes: Dashes


def look(number: int) -> Look:
    """Return the look of the series ``number``, from 0; the first 56 differ in colour or marker."""
    colour = COLOURS[_CYCLE[number % len(_CYCLE)]].light
    return Look(colour, _MARKERS[number % len(_MARKERS)], DASHES[number % len(DASHES)])


def tint(name: str, share: float = 0.4) -> str:
    """Return ``share`` of a colour of the palette mixed with white: for areas with dark text on them."""
    parts = bytes.fromhex(COLOURS[name].light.removeprefix("#"))
    return "#" + bytes(round(255 - share * (255 - part)) for part in parts).hex()


@contextmanager
def settings(salt: str = "hpcnn", *, outlines: bool = False) -> Iterator[None]:
    """Let matplotlib draw and write figures with hpcnn's settings.

    salt: makes the names within an SVG repeatable and its own. outlines: write an SVG's text as outlines, which look
    the same where the font is missing, not as text, which can be searched and read aloud and takes the page's font.
    """
    import matplotlib as mpl

    svg: dict[Any, Any] = {"svg.hashsalt": salt, "svg.fonttype": "path" if outlines else "none"}
    with mpl.rc_context({**_SETTINGS, **svg}):
        yield


def styled(draw: Callable[P, R]) -> Callable[P, R]:
    """Decorate a function that draws: its figure has hpcnn's settings."""

    @functools.wraps(draw)
    def draw_styled(*args: P.args, **keywords: P.kwargs) -> R:
        with settings():
            return draw(*args, **keywords)

    return draw_styled


def figure_with_title(width: float, height: float, title: str, subtitle: str = "") -> Figure:
    """Return an empty white figure of so many inches below a title, which is folded to its width."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=_DOTS_PER_INCH, facecolor="white")
    figure.set_layout_engine("constrained", w_pad=0.08, h_pad=0.08)
    figure.suptitle(_folded(title, int(width * _TITLE_CHARACTERS_PER_INCH)), fontsize=_TITLE_TEXT, fontweight="bold")
    if subtitle:
        characters = int(width * _TITLE_CHARACTERS_PER_INCH * _TITLE_TEXT / _SUBTITLE_TEXT)
        figure.supxlabel(_folded(subtitle, characters), fontsize=_SUBTITLE_TEXT, color=MUTED)
    return figure


def _folded(text: str, width: int) -> str:
    """Return a text in as few lines of at most ``width`` characters as it needs, of about the same length."""
    count = len(textwrap.wrap(text, width))
    tries = (textwrap.wrap(text, narrower) for narrower in range(len(text) // max(count, 1), width + 1))
    return "\n".join(next((lines for lines in tries if len(lines) == count), textwrap.wrap(text, width)))


def figure_for_page(height: float = HEIGHT, panels: int = 1) -> tuple[Figure, list[Axes]]:
    """Return an empty figure without a background, whose title is on the page, and its panels from top to bottom."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, height), layout="constrained", facecolor="none")
    return figure, list(figure.subplots(panels, 1, squeeze=False, sharex=True)[:, 0])


def whole_numbers(*axes: Axis) -> None:
    """Put ticks at whole numbers alone: for epochs, ranks and trials."""
    from matplotlib.ticker import MaxNLocator

    for axis in axes:
        axis.set_major_locator(MaxNLocator("auto", integer=True, steps=[1, 2, 5, 10]))


def log_axis(axes: Axes, low: float, high: float, axis: str = "y") -> None:
    """Make an axis ("x" or "y") logarithmic from ``low`` to ``high``, both above 0, and a little beyond.

    Its ticks are at powers of ten, or, where these are fewer than three, at rounder numbers between them too.
    """
    from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullLocator

    low, high = low / 1.15, high * 1.15
    axes.set(**{f"{axis}scale": "log", f"{axis}lim": (low, high)})
    for subs in ((1.0,), (1.0, 2.0, 5.0), (1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 7.0)):
        ticks = [tick for tick in LogLocator(subs=subs).tick_values(low, high) if low <= tick <= high]
        if len(ticks) >= 3:
            break
    drawn = axes.xaxis if axis == "x" else axes.yaxis
    drawn.set_major_locator(FixedLocator(ticks))
    drawn.set_minor_locator(NullLocator())
    drawn.set_major_formatter(FuncFormatter(lambda value, _: _without_zeros(value)))


def _without_zeros(value: float) -> str:
    """Return a tick's number without zeros at its end: 0.5, 2, 1,000."""
    text = significant(value)
    return text.rstrip("0").rstrip(".") if "." in text else text


def legend(axes: Axes, place: Place = "best", *, framed: bool = False) -> None:
    """Add a legend where something has a name; framed: with a frame, where it lies above points."""
    if axes.get_legend_handles_labels()[1]:
        axes.legend(loc=place, frameon=framed, facecolor=PAGE)


def legend_outside(figure: Figure, axes: Axes, side: Literal["upper", "lower"] = "upper") -> None:
    """Add the legend of ``axes`` above or below all panels, where it covers nothing."""
    handles, labels = axes.get_legend_handles_labels()
    columns = 4 if max(map(len, labels), default=0) < _SHORT_LABEL else 2
    figure.legend(handles, labels, loc=_OUTSIDE[side], ncols=columns, handlelength=1.6)


def rendered(
    figure: Figure,
    form: str,
    *,
    salt: str = "hpcnn",
    outlines: bool = False,
    dpi: float = _DOTS_PER_INCH,
    facecolor: str = "auto",
) -> bytes:
    """Return a figure as the content of a file: the same figure gives the same bytes.

    form: "png", "svg" or "pdf". salt, outlines: as of ``settings``. facecolor: the background, if not the figure's.
    """
    content = io.BytesIO()
    with settings(salt, outlines=outlines), warnings.catch_warnings():
        # a name in a script that the font lacks: boxes in the PNG, the name itself in the SVG
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        figure.savefig(content, format=form, dpi=dpi, metadata=_METADATA[form], facecolor=facecolor)
    return content.getvalue()


def save(figure: Figure, file: Path) -> None:
    """Write a figure whole, in the format of the file's suffix. UsageError where it cannot be written."""
    content = rendered(figure, file.suffix[1:].lower(), outlines=True)
    try:
        write_bytes(file, content)
    except OSError as error:
        raise UsageError(f"{str(file)!r} cannot be written: {error.strerror}") from error
