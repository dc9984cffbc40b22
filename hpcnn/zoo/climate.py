"""The words of data set ``climate``: its channels, its classes, and the options that say how large its maps are.

Facts alone: the maps are made by ``hpcnn.data.generated.climate``.
"""

from __future__ import annotations

from collections.abc import Mapping

from hpcnn.util.errors import UsageError, bad_value
from hpcnn.util.types import Json

# Rows and columns at full size: a grid of 25 km, as the climate work has it.
FULL = (768, 1152)

# What CAM5, the atmosphere of the climate work, calls these fields; their units, and what they are.
CHANNELS = {
    "TMQ": ("kg/m2", "water vapour in the whole column"),
    "U850": ("m/s", "eastward wind at 850 hPa"),
    "V850": ("m/s", "northward wind at 850 hPa"),
    "UBOT": ("m/s", "eastward wind at the lowest level"),
    "VBOT": ("m/s", "northward wind at the lowest level"),
    "QREFHT": ("kg/kg", "humidity near the ground"),
    "PS": ("Pa", "pressure at the ground"),
    "PSL": ("Pa", "pressure at sea level"),
    "T200": ("K", "temperature at 200 hPa"),
    "T500": ("K", "temperature at 500 hPa"),
    "PRECT": ("m/s", "precipitation"),
    "TS": ("K", "temperature of the ground"),
    "TREFHT": ("K", "temperature near the ground"),
    "Z1000": ("m", "height of 1000 hPa"),
    "Z200": ("m", "height of 200 hPa"),
    "ZBOT": ("m", "height of the lowest level"),
}
CLASSES = ("background", "tropical cyclone", "atmospheric river")

# Options of --data-arg with their defaults; height and width replace the fraction.
OPTIONS: dict[str, Json] = {"fraction": "1/8", "height": None, "width": None, "seed": 1, "standardize": True}

# Rows of a map at least: with fewer, a cyclone is no pixel.
_LEAST = 16


def size_of(options: Mapping[str, Json]) -> tuple[int, int]:
    """Return rows and columns of a map. Raises UsageError for what is no size, and for wrong values of other options.

    ``options``: those of OPTIONS, all of them.
    """
    if not isinstance(options["standardize"], bool):
        raise bad_value("--data-arg standardize", options["standardize"], "true or false")
    _check_whole("seed", options["seed"], 0)
    if options["height"] is None and options["width"] is None:
        return _of_fraction(options["fraction"])
    for key in ("height", "width"):
        if options[key] is None:
            raise UsageError(f"--data-arg {key}: no value is not valid; expected a number beside the other's.")
        _check_whole(key, options[key], _LEAST)
    return options["height"], options["width"]


def _of_fraction(value: Json) -> tuple[int, int]:
    from fractions import Fraction

    try:
        fraction = Fraction(str(value))
    except (ValueError, ZeroDivisionError):
        fraction = Fraction(0)
    sizes = [size * fraction for size in FULL]
    if not all(size.denominator == 1 and _LEAST <= size <= full for size, full in zip(sizes, FULL, strict=True)):
        expected = f"a part of {FULL[0]} x {FULL[1]} such as 1/8 or 0.125, in whole numbers from {_LEAST} on"
        raise bad_value("--data-arg fraction", value, expected)
    return int(sizes[0]), int(sizes[1])


def _check_whole(key: str, value: Json, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise bad_value(f"--data-arg {key}", value, f"a whole number from {least} on")
