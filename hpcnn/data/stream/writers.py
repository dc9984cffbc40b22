"""Write the parts of a data set in one form: a class a form, whose chunks each have their place."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from hpcnn.data.stream.parquet import SHAPE_KEY
from hpcnn.data.stream.source import Slice, Source, Spec
from hpcnn.util.errors import UsageError
from hpcnn.util.extras import optional_module
from hpcnn.util.files import TEMPORARY, WriteError, replacing
from hpcnn.util.types import Array

# What HDF5 itself writes besides the arrays of a small file.
_HDF5_OWN = 1 << 16
# How names of arrays begin: features, labels, weights in the loss.
_KINDS = ("x", "y", "weights")


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
    def write(self, part: str, first: int, arrays: Slice) -> None:
        """Write features, labels (and weights) of the samples from number ``first`` on: on disk when it returns."""

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
        self._arrays: dict[tuple[str, str], Any] = {}
        for part, source in self.sources.items():
            for kind, spec in _specs(source):
                file = self.path / f"{kind}_{part}.npy"
                shape = (len(source), *spec.shape)
                self._arrays[part, kind] = self._made(file, spec.dtype, shape) if fresh else _opened(file)

    def _made(self, file: Path, dtype: Any, shape: tuple[int, ...]) -> Array:
        """Make a file with all the room that it needs: in memory that has none on disk, a write would be a SIGBUS."""
        try:
            array: Array = np.lib.format.open_memmap(file, "w+", dtype, shape)
            with file.open("r+b") as opened:
                os.posix_fallocate(opened.fileno(), 0, file.stat().st_size)
        except OSError as error:
            _remove(self.path)
            raise WriteError(file, error) from error
        return array

    def write(self, part: str, first: int, arrays: Slice) -> None:
        """Write the samples from number ``first`` on."""
        for kind, rows in zip(_KINDS, arrays, strict=False):
            array = self._arrays[part, kind]
            array[first : first + len(rows)] = rows
            array.flush()


class Named(Writer):
    """Arrays x_train and so on in chunks: of HDF5 and Zarr."""

    _group: Any

    def write(self, part: str, first: int, arrays: Slice) -> None:
        """Write the samples from number ``first`` on."""
        for kind, rows in zip(_KINDS, arrays, strict=False):
            self._group[f"{kind}_{part}"][first : first + len(rows)] = rows

    def _chunks(self, source: Source, spec: Spec) -> tuple[int, ...]:
        return (min(self.chunk, len(source)), *spec.shape)


class Hdf5(Named):
    """Arrays in chunks in one HDF5 file."""

    def begin(self, *, fresh: bool) -> None:
        """Make the file, or open it."""
        h5py = optional_module("h5py", "writing h5", "data")
        self._check_room()
        if fresh:
            with self._explained():
                self._group = h5py.File(self.path, "w")
                self._make_arrays()
            return
        try:
            self._group = h5py.File(self.path, "r+")
        except OSError as error:
            raise UsageError(f"DEST: {self.path} cannot be gone on with: {error}; --force writes it anew") from error

    def _check_room(self) -> None:
        """Raise WriteError where the disk is too small: HDF5 says it late, and prints tracebacks of its own."""
        needed = sum(len(source) * spec.bytes for source in self.sources.values() for _, spec in _specs(source))
        there = self.path.stat().st_size if self.path.exists() else 0
        disk = os.statvfs(self.path.parent)
        if needed + _HDF5_OWN - there > disk.f_bavail * disk.f_frsize:
            raise WriteError(self.path, OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))

    def _make_arrays(self) -> None:
        for part, source in self.sources.items():
            for kind, spec in _specs(source):
                shape, chunks = (len(source), *spec.shape), self._chunks(source, spec)
                self._group.create_dataset(f"{kind}_{part}", shape, spec.dtype, chunks=chunks)

    def write(self, part: str, first: int, arrays: Slice) -> None:
        """Write the samples from number ``first`` on."""
        with self._explained():
            super().write(part, first, arrays)
            self._group.flush()

    def close(self) -> None:
        """Close the file."""
        with self._explained():
            self._group.close()

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        """Raise WriteError for what HDF5 cannot write, which h5py raises as one or another error."""
        try:
            yield
        except (OSError, RuntimeError) as error:
            # HDF5 tries it again with each of its objects that goes, and Python would print each failure
            sys.unraisablehook = lambda unraisable: None
            raise WriteError(self.path, error if isinstance(error, OSError) else OSError(str(error))) from error


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
        """Make the folder, or remove what a command that was killed has left half."""
        _check_unweighted(self.suffix, self.sources)
        if any(len(source.y.shape) > 1 for source in self.sources.values()):
            raise UsageError(f"DEST: {self.suffix} takes labels of samples; npy:, h5: and zarr: take those of pixels")
        self.path.mkdir(exist_ok=True)
        for left in self.path.glob(f".*{TEMPORARY}"):
            left.unlink(missing_ok=True)

    def write(self, part: str, first: int, arrays: Slice) -> None:
        """Write the chunk that begins with number ``first`` into its file."""
        x, y = arrays
        file = self.path / f"{part}-{first // self.chunk:05d}.{self.suffix}"
        with replacing(file, durable=False) as unfinished:
            self.write_file(unfinished, x, y)

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
        try:
            with tf.io.TFRecordWriter(str(file)) as writer:
                for features, label in zip(x, y, strict=True):
                    named = {"x": content(features.tobytes()), "x_shape": shape, "x_dtype": dtype, "y": numbers(label)}
                    writer.write(train.Example(features=train.Features(feature=named)).SerializeToString())
        except tf.errors.OpError as error:
            full = isinstance(error, tf.errors.ResourceExhaustedError)
            raise OSError(errno.ENOSPC if full else errno.EIO, error.message) from error


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
        _check_unweighted("images", self.sources)
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

    def write(self, part: str, first: int, arrays: Slice) -> None:
        """Write a file for each sample."""
        x, y = arrays
        tf = optional_module("tensorflow", "writing images")
        for number, (picture, label) in enumerate(zip(x, y, strict=True), first):
            file = self.path / part / f"{int(label):0{self._digits}d}" / f"{number:08d}.png"
            try:
                file.write_bytes(tf.io.encode_png(picture).numpy())
            except OSError as error:
                raise WriteError(file, error) from error


def _opened(file: Path) -> Array:
    array: Array = np.lib.format.open_memmap(file, "r+")
    return array


def _specs(source: Source) -> tuple[tuple[str, Spec], ...]:
    specs = (source.x, source.y, *([source.w] if source.w else []))
    return tuple(zip(_KINDS, specs, strict=False))


def _check_unweighted(form: str, sources: Mapping[str, Source]) -> None:
    if any(source.w for source in sources.values()):
        raise UsageError(f"DEST: {form} has no place for weights of samples; npy:, h5: and zarr: have")


WRITERS: dict[str, type[Writer]] = {
    "npy": Npy,
    "h5": Hdf5,
    "zarr": Zarr,
    "tfrecord": TfRecord,
    "parquet": Parquet,
    "images": Images,
}
