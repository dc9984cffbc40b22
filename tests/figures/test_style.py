"""One look for all figures: a palette for colour-blind readers, series that differ, names drawn as they are."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

pytest.importorskip("matplotlib", reason="figures need matplotlib: pip install 'hpcnn[report]'")

from hpcnn.figures import style
from hpcnn.figures.style import COLOURS, SERIES

Numbers = npt.NDArray[np.float64]


def luminance(colour: str) -> float:
    """Return the relative luminance of #rrggbb (WCAG 2.2)."""
    return float(np.dot([0.2126, 0.7152, 0.0722], linear(colour)))


def linear(colour: str) -> Numbers:
    parts = np.array([int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)])
    return np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)


def contrast(one: str, other: str) -> float:
    """Return the contrast of two colours, 1 to 21 (WCAG 2.2)."""
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("mode", [0, 1], ids=["light", "dark"])
def test_colours_stand_out_from_the_page(mode: int) -> None:
    for name in (*SERIES, "ink", "muted"):
        least = 3.0 if name in SERIES else 4.5
        assert contrast(COLOURS[name][mode], COLOURS["page"][mode]) >= least, name


# What dichromats see of linear RGB: F. Viénot, H. Brettel, J. D. Mollon, Color Research and Application 24, 243 (1999).
SEEN = {
    "all": np.eye(3),
    "protanopia": np.array([[0.1124, 0.8876, 0.0], [0.1124, 0.8876, 0.0], [0.0040, -0.0040, 1.0]]),
    "deuteranopia": np.array([[0.2928, 0.7072, 0.0], [0.2928, 0.7072, 0.0], [-0.0223, 0.0223, 1.0]]),
}


def lab(rgb: Numbers) -> Numbers:
    """Return CIELAB (D65) of linear RGB."""
    matrix = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    x, y, z = np.cbrt(np.clip(matrix @ np.clip(rgb, 0, 1) / (0.9505, 1.0, 1.089), 0.0089, None))
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("mode", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize("sight", SEEN)
def test_the_first_three_series_are_told_apart_by_colour_alone(mode: int, sight: str) -> None:
    seen = {name: lab(SEEN[sight] @ linear(COLOURS[name][mode])) for name in SERIES[:3]}
    for one, other in itertools.combinations(seen, 2):
        assert np.linalg.norm(seen[one] - seen[other]) > 15, (one, other)


def test_no_colour_stands_for_two_things() -> None:
    assert len({colour.light for colour in COLOURS.values()}) == len(COLOURS)


def test_fifty_six_series_look_different() -> None:
    looks = [style.look(number) for number in range(56)]
    assert len({(colour, marker) for colour, marker, _ in looks}) == 56
    assert len({colour for colour, *_ in looks[:7]}) == 7


@pytest.mark.parametrize("name", [*SERIES, "muted", "faint"])
def test_dark_text_can_be_read_on_a_tint(name: str) -> None:
    assert style.tint(name, 1.0) == COLOURS[name].light
    assert style.tint(name, 0.0) == "#ffffff"
    assert contrast(style.INK, style.tint(name)) >= 7


def test_a_title_with_dollars_is_drawn_as_it_is(tmp_path: Path) -> None:
    figure = style.styled(style.figure_with_title)(4.0, 3.0, r"run $\frac{x$ of 7$")
    style.save(figure, tmp_path / "figure.png")
    assert figure.get_suptitle() == r"run $\frac{x$ of 7$"
    (title,) = figure.texts
    assert not title.get_parse_math()


def test_a_figure_leaves_the_settings_of_matplotlib_alone() -> None:
    import matplotlib as mpl

    before = dict(mpl.rcParams)
    figure, (axes,) = style.styled(style.figure_for_page)()
    style.rendered(figure, "svg")
    assert axes.xaxis.label.get_color() == style.INK
    assert dict(mpl.rcParams) == before


def test_a_logarithmic_axis_has_ticks_as_plain_numbers() -> None:
    figure, (axes,) = style.styled(style.figure_for_page)()
    style.log_axis(axes, 0.0001, 0.1, "x")
    style.log_axis(axes, 1.0, 1200.0)
    style.rendered(figure, "svg")
    assert [label.get_text() for label in axes.get_xticklabels()] == ["0.0001", "0.001", "0.01", "0.1"]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["1", "10", "100", "1,000"]
