"""How every picture looks: colours, markers, sizes, axes.

Colours are the hues of Okabe and Ito (Color Universal Design, 2008; B. Wong, Nature Methods 8, 441, 2011), darkened
for a light page and lightened for a dark one to a contrast of 3:1 at least (WCAG 2.2, 1.4.11). No colour says anything
alone: series differ in marker and dashes too. Must not know what is drawn.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from hpcnn.util.text import significant

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

# Name: (on a light page, on a dark page). Figures are drawn with the first; a page may exchange them by name.
COLOURS = {
    "blue": ("#0072b2", "#56b4e9"),
    "vermillion": ("#d55e00", "#f28e4b"),
    "green": ("#00875f", "#35c795"),
    "purple": ("#a8517f", "#e39cc4"),
    "orange": ("#a87200", "#f0c14b"),
    "ink": ("#1b1f24", "#e6e9ed"),
    "muted": ("#59636e", "#a3acb6"),
    "faint": ("#dde1e6", "#343b44"),
    "page": ("#fffffe", "#14181d"),
}
SERIES = ("blue", "vermillion", "green", "purple", "orange")
MARKERS = ("o", "s", "^", "D", "v")
DASHES: tuple[Any, ...] = ("-", (0, (5, 1.5)), (0, (1.5, 1.5)), (0, (6, 1.5, 1.5, 1.5)), (0, (3, 3)))
PARTS = {"compute": "blue", "communication": "vermillion", "input": "green", "other": "muted"}

# Inches. Text is 9 points high, so that it can be read where the picture is as narrow as a telephone.
WIDTH, HEIGHT = 5.0, 3.5
_SETTINGS: dict[Any, Any] = {
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.labelsize": 9,
    "legend.fontsize": 8,
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
    "svg.fonttype": "none",  # text stays text: it can be searched, read aloud, and follows the page's font
    "pdf.fonttype": 42,
    "text.parse_math": False,  # a name of a run with $ in it is a name
    "axes.unicode_minus": True,
}


def light(name: str) -> str:
    """Return a colour as figures are drawn with it."""
    return COLOURS[name][0]


@contextmanager
def settings(salt: str = "") -> Iterator[None]:
    """Draw, or write, with these settings; ``salt`` makes the names within an SVG repeatable and its own."""
    import matplotlib as mpl

    with mpl.rc_context({**_SETTINGS, "svg.hashsalt": salt or "hpcnn"}):
        yield


def figure(width: float = WIDTH, height: float = HEIGHT, panels: int = 1) -> tuple[Any, Any]:
    """Return an empty figure without a background, and its ``panels``, one below the other."""
    from matplotlib.figure import Figure

    drawn = Figure(figsize=(width, height), layout="constrained", facecolor="none")
    axes = drawn.subplots(panels, 1, squeeze=False, sharex=True)[:, 0]
    for panel in axes:
        panel.set_facecolor("none")
        panel.grid(True, color=light("faint"), linewidth=0.7)
        panel.set_axisbelow(True)
        panel.tick_params(which="both", colors=light("ink"), length=3)
        for side, spine in panel.spines.items():
            spine.set_visible(side in ("left", "bottom"))
            spine.set_color(light("muted"))
    return drawn, axes


def label(panel: Any, x: str | None = None, y: str | None = None) -> None:
    """Name the axes, in the colour of text."""
    if x:
        panel.set_xlabel(x, color=light("ink"))
    if y:
        panel.set_ylabel(y, color=light("ink"))


def legend(panel: Any, **options: Any) -> None:
    """Add a legend where there is something to tell apart."""
    if panel.get_legend_handles_labels()[1]:
        panel.legend(frameon=False, labelcolor=light("ink"), **options)


def legend_above(figure: Any, panel: Any) -> None:
    """Add the legend of ``panel`` above all panels, where it covers nothing."""
    handles, labels = panel.get_legend_handles_labels()
    columns = 4 if max(map(len, labels), default=0) < 14 else 2
    place: dict[str, Any] = {"loc": "outside upper center", "ncols": columns, "handlelength": 1.6}
    figure.legend(handles, labels, frameon=False, labelcolor=light("ink"), **place)


def rank_axis(panel: Any, ranks: Sequence[int]) -> None:
    """Make x logarithmic, with ticks at the measured numbers of ranks alone: at most eight, the ends among them."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    panel.set_xscale("log")
    panel.xaxis.set_major_locator(FixedLocator(thinned(sorted(set(ranks)), 8)))
    panel.xaxis.set_minor_locator(NullLocator())
    panel.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    if len(set(ranks)) == 1:
        panel.set_xlim(ranks[0] / 2, ranks[0] * 2)


def log_axis(panel: Any, low: float, high: float, axis: str = "y") -> None:
    """Make an axis logarithmic from ``low`` to ``high`` (both above 0) and a little beyond, with ticks as people count.

    axis: ``x`` or ``y``.
    """
    from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullLocator

    low, high = low / 1.15, high * 1.15
    panel.set(**{f"{axis}scale": "log", f"{axis}lim": (low, high)})
    for subs in ((1.0,), (1.0, 2.0, 5.0), (1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 7.0)):
        ticks = [tick for tick in LogLocator(subs=subs).tick_values(low, high) if low <= tick <= high]
        if len(ticks) >= 3:
            break
    drawn = getattr(panel, f"{axis}axis")
    drawn.set_major_locator(FixedLocator(ticks))
    drawn.set_minor_locator(NullLocator())
    drawn.set_major_formatter(FuncFormatter(lambda value, _: plain(value)))


def plain(value: float) -> str:
    """Return a tick's number without zeros at its end: 0.5, 2, 1,000."""
    text = significant(value)
    return text.rstrip("0").rstrip(".") if "." in text else text


def thinned(values: Sequence[Any], most: int) -> list[Any]:
    """Return at most ``most`` of ``values``, evenly chosen, the first and the last among them."""
    if len(values) <= most:
        return list(values)
    step = (len(values) - 1) / (most - 1)
    return [values[round(number * step)] for number in range(most)]


def apart(names: Sequence[str]) -> list[str]:
    """Return ``names`` with a number after each that occurs more than once: two bars of one name would be one bar."""
    counts = [names[: at + 1].count(name) for at, name in enumerate(names)]
    return [name if names.count(name) == 1 else f"{name} ({at})" for name, at in zip(names, counts, strict=True)]
