"""Make a data set for networks with several inputs and outputs: images cut into halves, with two labels."""

from __future__ import annotations

from hpcnn.data.dataset import DataSet
from hpcnn.util.errors import unknown_value
from hpcnn.util.types import Array

# The sets of ten digits (or kinds of clothing), one channel.
WHOLE = ("digits", "mnist", "fashion_mnist")


def check_whole(of: str) -> None:
    """Raise UsageError for a data set without images to cut."""
    if of not in WHOLE:
        raise unknown_value("--data-arg of", of, WHOLE)


def cut(data: DataSet) -> DataSet:
    """Return images cut into ``upper`` and ``lower``, (N, H/2, W, C), with labels ``digit`` and ``odd`` (0 or 1)."""

    def features(x: Array) -> dict[str, Array]:
        middle = x.shape[1] // 2
        return {"upper": x[:, :middle], "lower": x[:, middle:]}

    def labels(y: Array) -> dict[str, Array]:
        return {"digit": y, "odd": y % 2}

    return DataSet(
        "halves",
        features(data.x_train),
        labels(data.y_train),
        features(data.x_test),
        labels(data.y_test),
        classes={"digit": data.classes, "odd": 2},
        description=f"the upper and the lower half of each image of {data.name}, with two labels",
        source=data.source,
        notes=(*data.notes, f"of {data.name}"),
    )
