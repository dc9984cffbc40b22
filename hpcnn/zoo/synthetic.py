"""``synthetic:SHAPE``: samples by chance, for measuring without any file. The words of its name and of its options.

Facts alone: the samples are made by ``hpcnn.data.generated``.
"""

from __future__ import annotations

from collections.abc import Mapping

from hpcnn.util.errors import bad_value, unknown_value
from hpcnn.util.types import Json

PREFIX = "synthetic"
FORM = "synthetic:HxWxC"

# Samples where neither --samples nor --test-samples says how many.
TRAINING, TEST = 1024, 128

# Options of --data-arg with their defaults, and the least value of those that are numbers.
OPTIONS: dict[str, int] = {"classes": 10, "seed": 1, "maps": False}
_LEAST = {"classes": 2, "seed": 0}
# The class of a pixel is a byte.
_MOST_OF_MAPS = 256


def is_synthetic(name: str) -> bool:
    """Return whether the name of a data set is ``synthetic:...``."""
    return name.startswith(f"{PREFIX}:")


def shape_of(name: str) -> tuple[int, ...]:
    """Return the shape of one sample of ``synthetic:224x224x3``. Raises UsageError for anything but sizes."""
    sizes = name.partition(":")[2].split("x")
    if not all(size.isdecimal() and int(size) for size in sizes):
        raise bad_value("--data", name, f"{FORM}, such as synthetic:224x224x3, or synthetic:784 for 784 numbers")
    return tuple(int(size) for size in sizes)


def check_name(name: str, given: Mapping[str, Json]) -> None:
    """Raise UsageError for a shape, an option or a value that there is not."""
    shape, options = shape_of(name), options_of(given)
    if options["maps"] and len(shape) != 3:
        raise bad_value("--data-arg maps", "true", f"false with {name}: a class for each pixel needs {FORM}")
    if options["maps"] and options["classes"] > _MOST_OF_MAPS:
        raise bad_value("--data-arg classes", options["classes"], f"at most {_MOST_OF_MAPS} with maps=true")


def options_of(given: Mapping[str, Json]) -> dict[str, int]:
    """Return the options, the defaults replaced by ``given``. Raises UsageError for others, and for wrong values."""
    for key, value in given.items():
        if key not in OPTIONS:
            raise unknown_value(f"--data-arg of {PREFIX} data", key, OPTIONS)
        if key == "maps":
            if not isinstance(value, bool):
                raise bad_value("--data-arg maps", value, "true or false")
        elif isinstance(value, bool) or not isinstance(value, int) or value < _LEAST[key]:
            raise bad_value(f"--data-arg {key}", value, f"a whole number from {_LEAST[key]} on")
    return {**OPTIONS, **given}
