"""Read ``tfrecord:FILES[#x,y]``: records by number, by an index of their places that is made once.

A record is a ``tf.train.Example``. The feature y is one number; x is a JPEG or PNG, numbers, or the bytes of an array
whose shape (feature ``x_shape``) and type (``x_dtype``) stand beside it, as ``hpcnn data convert`` writes them. The
form of records: length (8 bytes), its CRC (4), content, its CRC (4), as tensorflow.org/tutorials/load_data/tfrecord
says.
"""

from __future__ import annotations

import contextlib
import os
import threading
from pathlib import Path
from typing import Any

import numpy as np

from hpcnn.data.copies import copy_of
from hpcnn.data.stream.source import BadSample, Indices, Source, Spec
from hpcnn.util.errors import UsageError
from hpcnn.util.files import write_bytes
from hpcnn.util.text import first_few
from hpcnn.util.tf_import import import_tensorflow
from hpcnn.util.types import Array
from hpcnn.zoo.forms import INDEX_SUFFIX, SUFFIXES, Location

_HEAD, _TAIL = 12, 4


def open_tfrecord(location: Location) -> tuple[Source, Source | None]:
    """Return training and test samples; no test samples where they are to be split off."""
    names = location.names or ("x", "y")
    files, test = (
        [file for file in part if not file.name.endswith(INDEX_SUFFIX)]
        for part in location.parts(SUFFIXES[location.form])
    )
    return Records(files, names), Records(test, names) if test else None


class Records(Source):
    """Records of several files, one after another."""

    def __init__(self, files: list[Path], names: tuple[str, ...]) -> None:
        import_tensorflow()
        self._files, self._names = files, names
        self._copies = [copy_of(file) for file in files]
        try:
            places = [index_of(file, copy) for file, copy in zip(files, self._copies, strict=True)]
        except OSError as error:
            raise UsageError(f"--data: {error.filename} cannot be read: {error.strerror}") from error
        empty = [str(file) for file, found in zip(files, places, strict=True) if not len(found)]
        if empty:
            self.notes = (f"no record in {first_few(empty)}",)
        self._starts = np.cumsum([0, *map(len, places)])
        self._places = np.concatenate(places)
        if not len(self._places):
            raise UsageError(f"--data: no record in {', '.join(map(str, files))}")
        self._open = threading.local()
        x, y = self._decoded(0)
        self.x, self.y = Spec(x.shape, x.dtype), Spec(y.shape, y.dtype)

    def __len__(self) -> int:
        return len(self._places)

    def read(self, indices: Indices) -> tuple[Array, Array]:
        """Return features and labels of these samples."""
        x = np.empty((len(indices), *self.x.shape), self.x.dtype)
        y = np.empty((len(indices), *self.y.shape), self.y.dtype)
        for row, index in enumerate(map(int, indices)):
            features, label = self._decoded(index)
            for kind, one, spec in (("features", features, self.x), ("a label", label, self.y)):
                if (one.shape, one.dtype) != (spec.shape, spec.dtype):
                    what = f"has {kind} of {one.dtype} {one.shape}; the first has {spec.dtype} {spec.shape}"
                    raise BadSample(index, self.where(index), what)
            x[row], y[row] = features, label
        return x, y

    def where(self, index: int) -> str:
        """Return the file of a record, and its number there."""
        file = self._file(index)
        return f"{self._files[file]}, record {index - int(self._starts[file])}"

    def _file(self, index: int) -> int:
        return int(np.searchsorted(self._starts, index, side="right")) - 1

    def _content(self, index: int) -> bytes:
        file = self._file(index)
        handles: dict[int, Any] = self._open.__dict__.setdefault("handles", {})  # one position a thread and file
        if file not in handles:
            handles[file] = self._copies[file].open("rb")
        start, length = map(int, self._places[index])
        handles[file].seek(start)
        return bytes(handles[file].read(length))

    def _decoded(self, index: int) -> tuple[Array, Array]:
        import tensorflow as tf

        try:
            features = tf.train.Example.FromString(self._content(index)).features.feature
            missing = [name for name in self._names if name not in features]
            if missing:
                found = ", ".join(sorted(features)) or "nothing"
                raise UsageError(f"--data: {self.where(index)} lacks {', '.join(missing)}; it has {found} (#x,y)")
            return _features(features, self._names[0]), _label(features, self._names[1])
        except UsageError:
            raise
        except OSError as error:
            raise BadSample(index, self.where(index), f"cannot be read: {error.strerror}") from error
        except Exception as error:  # protobuf's and TensorFlow's own classes
            raise BadSample(index, self.where(index), f"cannot be decoded: {str(error)[:200]}") from error


def _features(features: Any, name: str) -> Array:
    """Return the features of a record: an array with its shape, a picture, or a row of numbers."""
    import tensorflow as tf

    value = features[name]
    if not value.bytes_list.value:
        return _numbers(value, name)
    content = value.bytes_list.value[0]
    if f"{name}_shape" in features:
        shape = tuple(features[f"{name}_shape"].int64_list.value)
        dtype = features[f"{name}_dtype"].bytes_list.value[0].decode()
        return np.frombuffer(content, dtype).reshape(shape)
    with tf.device("/CPU:0"):
        picture: Array = tf.io.decode_image(content, expand_animations=False).numpy()
    return picture


def _label(features: Any, name: str) -> Array:
    found = _numbers(features[name], name)
    return found[0] if len(found) == 1 else found


def _numbers(value: Any, name: str) -> Array:
    numbers = value.float_list.value or value.int64_list.value
    if not numbers:
        raise ValueError(f"{name} has no numbers, but {'bytes' if value.bytes_list.value else 'nothing'}")
    return np.asarray(numbers, np.float32 if value.float_list.value else np.int64)


def index_of(file: Path, copy: Path) -> Array:
    """Return (place, length) of the content of every record, from ``FILE.index.npy``, which is made where it can be.

    copy: what is read to make it, the file or its copy on this node's disk. An index is made anew where the file is
    younger or of another size than it says.
    """
    size = file.stat().st_size
    kept = file.with_name(file.name + INDEX_SUFFIX)
    with contextlib.suppress(OSError, ValueError, EOFError):
        if kept.stat().st_mtime_ns >= file.stat().st_mtime_ns:
            found: Array = np.load(kept, allow_pickle=False)
            if found.ndim == 2 and (not len(found) or int(found[-1].sum()) + _TAIL == size):
                return found
    places: list[tuple[int, int]] = []
    with copy.open("rb") as stream:
        position = 0
        while position < size:
            head = stream.read(8)
            length = int.from_bytes(head, "little")
            if len(head) < 8 or position + _HEAD + length + _TAIL > size:
                raise UsageError(f"--data: {file}: record {len(places)} is cut off, or the file is no TFRecord file")
            places.append((position + _HEAD, length))
            position += _HEAD + length + _TAIL
            stream.seek(position)
    made = np.array(places, np.int64).reshape(-1, 2)
    with contextlib.suppress(OSError):  # a folder that is not one's own
        _keep(kept, made)
    return made


def _keep(file: Path, index: Array) -> None:
    import io

    content = io.BytesIO()
    np.save(content, index)
    if os.access(file.parent, os.W_OK):
        write_bytes(file, content.getvalue(), folders=False)
