"""Random images in every form of data on disk, and an epoch of slices of each that nobody computes with."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from hpcnn.data.dataset import DataSet
from hpcnn.data.registry import load
from hpcnn.data.stream.convert import convert
from hpcnn.data.stream.opened import Options
from hpcnn.data.stream.streamed import source_of
from hpcnn.train.order import order_of
from hpcnn.train.plan import blocks
from hpcnn.train.reader import Reader
from inputs.common import BATCH, CHUNK

FORMS = ("npy", "h5", "zarr", "tfrecord", "parquet")
WHOLE = "h5, one piece"


def written(folder: Path, samples: int, shape: tuple[int, ...], forms: Sequence[str]) -> dict[str, str]:
    """Write random images of ten classes in some forms, and HDF5 in one piece; return the names of the data sets."""
    import h5py

    draw = np.random.default_rng(1)
    train, test = ((draw.integers(0, 256, (n, *shape), np.uint8), np.arange(n) % 10) for n in (samples, 160))
    data = DataSet("random", *train, *test)
    folder.mkdir()
    names = {form: f"{form}:{folder / form}" for form in forms}
    for name in names.values():
        convert(data, name, CHUNK)
    with h5py.File(folder / "whole.h5", "w") as file:
        for key in ("x_train", "y_train", "x_test", "y_test"):
            file[key] = getattr(data, key)
    return {"npy": names.pop("npy"), WHOLE: f"h5:{folder / 'whole.h5'}", **names}


def order_to_read(chunk: int) -> str:
    """Return ``--shuffle`` as users of a form in chunks are told to give it."""
    return f"block:{chunk}" if chunk > 1 else "global"


def reading(name: str, size: tuple[int, int] | None = None) -> Callable[[], float]:
    """Return what reads an epoch of slices as a training does, and returns samples a second."""
    source = source_of(load(name, options=Options(size)).x_train)
    shuffle = order_to_read(source.chunk)

    def run() -> float:
        begin = time.perf_counter()
        reader = Reader(source, source.threads or len(os.sched_getaffinity(0)))
        slices = [
            row for block in blocks(order_of(len(source), 1, 1, shuffle), BATCH, 1, (0,)) for row in block.indices[0]
        ]
        reader.expect(iter(slices))
        for indices in slices:
            reader.read(indices)
        reader.close()
        return len(source) / (time.perf_counter() - begin)

    return run
