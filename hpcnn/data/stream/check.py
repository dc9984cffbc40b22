"""Read all samples of a data set and say which are bad: ``hpcnn data check``."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from hpcnn.data.dataset import DataSet
from hpcnn.data.labels import CLASSES, MAP, counted
from hpcnn.data.stream.bulk import slices
from hpcnn.data.stream.convert import sources_of
from hpcnn.data.stream.streamed import StreamedSet, bad_of
from hpcnn.util.types import Array


@dataclass(frozen=True)
class Checked:
    """What was found in one part. bad: number of a sample -> where it is and why. counts: samples of each class.

    remarks: what people are to be told of samples -> of how many.
    """

    part: str
    samples: int
    bytes: int
    seconds: float
    low: float
    high: float
    counts: Array | None
    bad: dict[int, str]
    remarks: dict[str, int]


def check(data: DataSet, progress: Callable[[str, int, int], None] = lambda part, done, count: None) -> list[Checked]:
    """Read every sample of both parts. progress: called with part, samples that are done, and samples in all."""
    found = []
    for part, source in sources_of(data).items():
        begin, low, high = time.monotonic(), float("inf"), float("-inf")
        remarks = Counter[str]()
        counts = np.zeros(int(data.classes), np.int64) if data.kind in (CLASSES, MAP) else None
        for first, (x, y, *_) in slices(source):
            low, high = min(low, float(x.min())), max(high, float(x.max()))
            if counts is not None:
                counts += counted(y, len(counts), data.ignore_label)
            remarks += source.remarks(np.arange(first, first + len(x)))
            progress(part, first + len(x), len(source))
        bad = bad_of(source) if isinstance(data, StreamedSet) else {}
        size = len(source) * (source.x.bytes + source.y.bytes)
        found.append(Checked(part, len(source), size, time.monotonic() - begin, low, high, counts, bad, dict(remarks)))
    return found
