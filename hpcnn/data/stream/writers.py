"""Write the parts of a data set in one form: a class a form, whose chunks each have their place."""

from __future__ import annotations

import json
import shutil
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from hpcnn.data.stream.parquet import SHAPE_KEY
from hpcnn.data.stream.source import Source, Spec
from hpcnn.util.errors import UsageError
from hpcnn.util.extras import optional_module
from hpcnn.util.types import Array


class Writer(ABC):
    """Writes chunks of the parts ``train`` and ``test`` to one path."""

    def __init__(
        self, path: Path, sources: Mapping[str, Source], chunk: int, *, fresh: bool, classes: int | None
    ) -> None:
        self.path, self.sources, self.chunk, self.classes = path, sources, chunk, classes
        if fresh:
            _remove(path)
        self.begin(fresh=fresh)

    @abstractmethod
    def begin(self, *, fresh: bool) -> None:
        """Make the files, or (not fresh) open what an earlier command has begun."""

    @abstractmethod
    def write(self, part: str, first: int, x: Array, y: Array) -> None:
        """Write the samples from number ``first`` on; they are on disk when it returns."""

    def close(self) -> None:  # noqa: B027
        """Close the files, where they stay open between chunks."""


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


class Npy(Writer):
    """x_train.npy and so on in a folder."""

    def begin(self, *, fresh: bool) -> None:
        """Make the files at their full size, or open them."""
        self.path.mkdir(exist_ok=True)
        self._arrays = {
            (part, kind): np.lib.format.open_memmap(
                self.path / f"{kind}_{part}.npy",
                "w+" if fresh else "r+",
                spec.dtype if fresh else None,
                (len(source), *spec.shape) if fresh else None,
            )
            for part, source in self.sources.items()
            for kind, spec in _specs(source)
        }

    def write(self, part: str, first: int, x: Array, y: Array) -> None:
        """Write the samples from number ``first`` on."""
        for kind, rows in (("x", x), ("y", y)):
            array = self._arrays[part, kind]
            array[first : first + len(rows)] = rows
            array.flush()


class Named(Writer):
    """Arrays x_train and so on in chunks: of HDF5 and Zarr."""

    _group: Any

    def write(self, part: str, first: int, x: Array, y: Array) -> None:
        """Write the samples from number ``first`` on."""
        for kind, rows in (("x", x), ("y", y)):
            self._group[f"{kind}_{part}"][first : first + len(rows)] = rows

    def _chunks(self, source: Source, spec: Spec) -> tuple[int, ...]:
        return (min(self.chunk, len(source)), *spec.shape)


class Hdf5(Named):
    """Arrays in chunks in one HDF5 file."""

    def begin(self, *, fresh: bool) -> None:
        """Make the file, or open it."""
        h5py = optional_module("h5py", "writing h5", "data")
        try:
            self._group = h5py.File(self.path, "w" if fresh else "r+")
        except OSError as error:
            raise UsageError(f"DEST: {self.path} cannot be gone on with: {error}; --force writes it anew") from error
        if fresh:
            for part, source in self.sources.items():
                for kind, spec in _specs(source):
                    shape, chunks = (len(source), *spec.shape), self._chunks(source, spec)
                    self._group.create_dataset(f"{kind}_{part}", shape, spec.dtype, chunks=chunks)

    def write(self, part: str, first: int, x: Array, y: Array) -> None:
        """Write the samples from number ``first`` on."""
        super().write(part, first, x, y)
        self._group.flush()

    def close(self) -> None:
        """Close the file."""
        self._group.close()


class Zarr(Named):
    """Arrays in chunks in one group of Zarr."""

    def begin(self, *, fresh: bool) -> None:
        """Make the group, or open it."""
        zarr = optional_module("zarr", "writing zarr", "data")
        self._group = zarr.open_group(str(self.path), mode="w" if fresh else "r+")
        if fresh:
            make = getattr(self._group, "create_array", None) or self._group.create_dataset  # Zarr 3, Zarr 2
            for part, source in self.sources.items():
                for kind, spec in _specs(source):
                    shape, chunks = (len(source), *spec.shape), self._chunks(source, spec)
                    make(f"{kind}_{part}", shape=shape, dtype=spec.dtype, chunks=chunks)


class Files(Writer):
    """A folder with a file for each chunk, ``train-00000.SUFFIX`` and so on."""

    suffix = ""

    def begin(self, *, fresh: bool) -> None:
        """Make the folder."""
        if any(len(source.y.shape) > 1 for source in self.sources.values()):
            raise UsageError(f"DEST: {self.suffix} takes labels of samples; npy:, h5: and zarr: take those of pixels")
        self.path.mkdir(exist_ok=True)

    def write(self, part: str, first: int, x: Array, y: Array) -> None:
        """Write the chunk that begins with number ``first`` into its file."""
        file = self.path / f"{part}-{first // self.chunk:05d}.{self.suffix}"
        unfinished = file.with_name(f".{file.name}.tmp")
        self.write_file(unfinished, x, y)
        unfinished.replace(file)

    @abstractmethod
    def write_file(self, file: Path, x: Array, y: Array) -> None:
        """Write one chunk."""


class TfRecord(Files):
    """Files of records; each has the array's bytes, its shape and its type, and the label."""

    suffix = "tfrecord"

    def write_file(self, file: Path, x: Array, y: Array) -> None:
        """Write a record for each sample."""
        tf = optional_module("tensorflow", "writing tfrecord")
        train = tf.train

        def numbers(values: Array) -> Any:
            flat = np.ravel(values)
            if flat.dtype.kind == "f":
                return train.Feature(float_list=train.FloatList(value=flat))
            return train.Feature(int64_list=train.Int64List(value=flat))

        def content(value: bytes) -> Any:
            return train.Feature(bytes_list=train.BytesList(value=[value]))

        shape, dtype = numbers(np.array(x.shape[1:], np.int64)), content(x.dtype.str.encode())
        with tf.io.TFRecordWriter(str(file)) as writer:
            for features, label in zip(x, y, strict=True):
                named = {"x": content(features.tobytes()), "x_shape": shape, "x_dtype": dtype, "y": numbers(label)}
                writer.write(train.Example(features=train.Features(feature=named)).SerializeToString())


class Parquet(Files):
    """Files of one row group each: a list of numbers and a label in each row."""

    suffix = "parquet"

    def write_file(self, file: Path, x: Array, y: Array) -> None:
        """Write a row for each sample."""
        arrow = optional_module("pyarrow", "writing parquet", "data")
        parquet = optional_module("pyarrow.parquet", "writing parquet", "data")

        def column(rows: Array) -> Any:
            values = arrow.array(np.ravel(rows))
            length = int(np.prod(rows.shape[1:], dtype=np.int64))
            return values if rows.ndim == 1 else arrow.FixedSizeListArray.from_arrays(values, length)

        table = arrow.table({"x": column(x), "y": column(y)})
        table = table.replace_schema_metadata({SHAPE_KEY: json.dumps(x.shape[1:])})
        parquet.write_table(table, file, row_group_size=max(len(x), 1))


class Images(Writer):
    """PNG files, ``train/CLASS/NUMBER.png``: nothing of a picture is lost."""

    def begin(self, *, fresh: bool) -> None:
        """Make the folders."""
        source = self.sources["train"]
        if source.x.dtype != np.uint8 or len(source.x.shape) != 3 or source.x.shape[2] not in (1, 3):
            raise UsageError(
                f"DEST: images are uint8 of shape (H, W, 1 or 3); these are {source.x.dtype} {source.x.shape}"
            )
        if self.classes is None:
            raise UsageError("DEST: images need one class a sample")
        self._digits = len(str(self.classes - 1))
        for part in self.sources:
            for number in range(self.classes):
                (self.path / part / f"{number:0{self._digits}d}").mkdir(parents=True, exist_ok=True)

    def write(self, part: str, first: int, x: Array, y: Array) -> None:
        """Write a file for each sample."""
        tf = optional_module("tensorflow", "writing images")
        for number, (picture, label) in enumerate(zip(x, y, strict=True), first):
            file = self.path / part / f"{int(label):0{self._digits}d}" / f"{number:08d}.png"
            file.write_bytes(tf.io.encode_png(picture).numpy())


def _specs(source: Source) -> tuple[tuple[str, Spec], ...]:
    return ("x", source.x), ("y", source.y)


WRITERS: dict[str, type[Writer]] = {
    "npy": Npy,
    "h5": Hdf5,
    "zarr": Zarr,
    "tfrecord": TfRecord,
    "parquet": Parquet,
    "images": Images,
}
