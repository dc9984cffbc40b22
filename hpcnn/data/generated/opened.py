"""Open a generated set by its name: as many training and test samples as are asked for, none of them stored."""

from __future__ import annotations

from collections.abc import Mapping

from hpcnn.data.generated import climate, synthetic
from hpcnn.data.stream.opened import Options, assembled_set
from hpcnn.data.stream.streamed import StreamedSet
from hpcnn.util.errors import bad_value
from hpcnn.util.types import Json
from hpcnn.zoo.synthetic import is_synthetic


def open_generated(
    name: str, arguments: Mapping[str, Json], samples: int | None, test_samples: int | None, options: Options
) -> StreamedSet:
    """Return a generated set of so many samples; None: its own numbers. Raises UsageError for wrong options."""
    for option, count in (("--samples", samples), ("--test-samples", test_samples)):
        if count is not None and count < 1:
            raise bad_value(option, count, "at least 1")
    if options.image_size:
        raise bad_value("--image-size", "x".join(map(str, options.image_size)), f"no value with {name}")
    if is_synthetic(name):
        train, test, facts = synthetic.sources(name, arguments, samples, test_samples)
    else:
        train, test, facts = climate.sources(arguments, samples, test_samples)
    return assembled_set(name, train, test, {"classes": train.classes}, options, **facts)
