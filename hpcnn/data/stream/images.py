"""Read ``images:DIR``: JPEG and PNG files, a folder a class, decoded by TensorFlow's own operations.

``DIR/train/CLASS/FILE`` and ``DIR/test/CLASS/FILE``, or ``DIR/CLASS/FILE``, of which some are split off. The order is
a fixed one by chance, so that the first samples are of every class. With the two folders ``images`` and ``masks`` in
the place of classes, each picture has a PNG of the same name in ``masks``: its grey values are the classes of pixels.
"""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import Any

import numpy as np

from hpcnn.data.stream.decode import Decoder, scaled
from hpcnn.data.stream.source import BadSample, Indices, Source, Spec
from hpcnn.util.errors import UsageError
from hpcnn.util.tf_import import import_tensorflow
from hpcnn.util.types import Array
from hpcnn.zoo.forms import Location

SUFFIXES = (".jpg", ".jpeg", ".png")
_OTHERS = (".bmp", ".gif", ".jfif", ".tif", ".tiff", ".webp")
_PARTS = ("train", "test")
_WITH_MASKS = ("images", "masks")
_PALETTE = b"\x03"  # the colour type of a PNG, its byte 25


def open_images(location: Location, size: tuple[int, int] | None, seed: int) -> tuple[Source, Source | None]:
    """Return training and test pictures; no test pictures where they are to be split off.

    size: (height, width) to which pictures are scaled; None if all have that of the first. seed: of their order.
    """
    folders = location.files(location.training)
    test = location.files(location.test)
    if len(folders) != 1 or len(test) > 1 or not folders[0].is_dir():
        raise UsageError(f"--data: images:{','.join(location.training)} is not valid; expected images:DIR, one folder")
    if not test and all((folders[0] / part).is_dir() for part in _PARTS):
        folders, test = [folders[0] / "train"], [folders[0] / "test"]
    classes = _classes(folders[0])
    unknown = sorted(set(_classes(test[0])) - set(classes)) if test else []
    if unknown:
        raise UsageError(f"--data: {test[0]} has folders that {folders[0]} lacks: {', '.join(unknown)}")
    kind = Masked if classes == list(_WITH_MASKS) else Pictures
    train = kind(folders[0], classes, size, seed)
    height, width, channels = train.x.shape
    return train, kind(test[0], classes, size or (height, width), seed, channels) if test else None


def _classes(folder: Path) -> list[str]:
    names = sorted(entry.name for entry in os.scandir(folder) if entry.is_dir() and not entry.name.startswith("."))
    if not names:
        raise UsageError(f"--data: {folder} has no folders; expected one for each class, with its pictures")
    return names


class Pictures(Source):
    """Pictures of one folder a class, uint8 (height, width, channels). Labels are the numbers of the folders' names.

    channels: 1 or 3; None for those of the first picture.
    """

    cheap_labels = True
    worthwhile = 256  # to build a pipeline of tf.data takes as long as to decode some ten pictures

    def __init__(
        self, folder: Path, classes: list[str], size: tuple[int, int] | None, seed: int, channels: int | None = None
    ) -> None:
        import_tensorflow()
        self._folder, self._names = folder, classes
        self._prefixes = [os.fsencode(folder / name) + b"/" for name in classes]
        self.classes = len(classes)
        found = [sorted(_pictures(folder / name)) for name in classes]
        others = [entry for name in classes for entry in _of_other_forms(folder / name)]
        if others:
            self.notes = (f"left out: {len(others)} files that are neither JPEG nor PNG, {others[0]} for one",)
        counts = [len(names) for names in found]
        if not sum(counts):
            raise UsageError(f"--data: no picture ({', '.join(SUFFIXES)}) in the folders of {folder}")
        # Bytes in one array: ten million names as Python's texts would take a gigabyte.
        names = np.array([os.fsencode(name) for names in found for name in names])
        order = np.random.RandomState(seed).permutation(len(names))
        self._files, self._labels = names[order], np.repeat(np.arange(len(classes)), counts)[order]
        first = self._content(0)
        height, width, depth = _size_of(first) or (0, 0, 0)
        if size is None and not height:
            raise UsageError(
                f"--data: {self.where(0)} cannot be read as a picture; --image-size HxW needs no first one"
            )
        # grey with transparency has 2 channels, colour with transparency 4: without it they are 1 and 3
        self._channels = channels or (1 if depth in (1, 2) else 3)
        self._size = size
        self.x = Spec((*(size or (height, width)), self._channels), np.dtype(np.uint8))
        self.y = Spec((), np.dtype(np.int64))
        self._decoder = Decoder(self.x.shape, self._decoded, None if size is None else "bilinear")

    def __len__(self) -> int:
        return len(self._files)

    def read(self, indices: Indices) -> tuple[Array, Array]:
        """Return pictures and labels of these samples."""
        found = _all(self._decoder, self._paths(indices))
        if found is None:  # one of them is bad: which one, and why
            found = np.stack([self._picture(int(index)) for index in indices])
        return found, self.labels(indices)

    def labels(self, indices: Indices) -> Array:
        """Return the labels alone."""
        found: Array = self._labels[indices]
        return found

    def where(self, index: int) -> str:
        """Return the file of a picture."""
        return str(self._path(index))

    def _paths(self, indices: Indices) -> list[bytes]:
        """Return the files of pictures, without the cost of a ``Path`` for each."""
        both = zip(self._labels[indices].tolist(), self._files[indices].tolist(), strict=True)
        return [self._prefixes[label] + name for label, name in both]

    def _path(self, index: int) -> Path:
        label: int = int(self._labels[index])
        return self._folder / self._names[label] / os.fsdecode(bytes(self._files[index]))

    def _decoded(self, content: Any) -> Any:
        import tensorflow as tf

        # The operation for JPEG takes PNG too, and any form with the number of channels that is asked for.
        return tf.io.decode_jpeg(content, channels=self._channels)

    def _content(self, index: int) -> bytes:
        return _read(self._path(index), index)

    def _picture(self, index: int) -> Array:
        """Return one picture, as the decoder of whole slices gives it. Raises BadSample with what is wrong with it."""
        import tensorflow as tf

        with tf.device("/CPU:0"):
            try:
                content = self._content(index)
                picture = self._decoded(content)
            except tf.errors.InvalidArgumentError as error:
                reason = str(error).splitlines()[0].split("}} ")[-1]
                raise BadSample(index, self.where(index), f"cannot be decoded: {reason[:200]}") from error
            if self._size is not None and tuple(picture.shape[:2]) != self._size:
                picture = scaled(picture, self._size, "bilinear")
        pixels: Array = picture.numpy()
        if pixels.shape != self.x.shape:
            sizes = "x".join(map(str, pixels.shape[:2])), "x".join(map(str, self.x.shape[:2]))
            raise BadSample(index, self.where(index), f"is {sizes[0]} pixels; expected {sizes[1]} (or --image-size)")
        return pixels


class Masked(Pictures):
    """Pictures of the folder ``images``; their labels are maps, the grey values of PNGs in ``masks``."""

    def __init__(
        self, folder: Path, classes: list[str], size: tuple[int, int] | None, seed: int, channels: int | None = None
    ) -> None:
        super().__init__(folder, [_WITH_MASKS[0]], size, seed, channels)
        self.classes = None
        self.y = Spec(self.x.shape[:2], np.dtype(np.uint8))
        self._masks = Decoder((*self.y.shape, 1), _decoded_mask, None if size is None else "nearest")

    def labels(self, indices: Indices) -> Array:
        """Return the maps alone."""
        found = _all(self._masks, [os.fsencode(self._mask_path(int(index))) for index in indices])
        return np.stack([self._mask(int(index)) for index in indices]) if found is None else found[..., 0]

    def _mask_path(self, index: int) -> Path:
        return self._folder / _WITH_MASKS[1] / f"{self._path(index).stem}.png"

    def _mask(self, index: int) -> Array:
        import tensorflow as tf

        path = self._mask_path(index)
        content = _read(path, index)
        if content[25:26] == _PALETTE:
            reason = "is a PNG with a palette, whose colours are no classes; write the classes as a grey PNG"
            raise BadSample(index, str(path), reason)
        with tf.device("/CPU:0"):
            try:
                mask = tf.io.decode_png(content, channels=1)
            except tf.errors.InvalidArgumentError as error:
                raise BadSample(index, str(path), f"cannot be decoded: {str(error).splitlines()[0][-200:]}") from error
            if self._size is not None and tuple(mask.shape[:2]) != self._size:
                mask = scaled(mask, self._size, "nearest")
        classes: Array = mask.numpy()[..., 0]
        if classes.shape != self.y.shape:
            raise BadSample(index, str(path), f"is {classes.shape[0]}x{classes.shape[1]} pixels, unlike its picture")
        return classes


def _all(decoder: Decoder, files: list[bytes]) -> Array | None:
    """Return the pictures in these files; None if any of them is bad."""
    import tensorflow as tf

    try:
        return decoder(files)
    except tf.errors.OpError:
        return None


def _decoded_mask(content: Any) -> Any:
    import tensorflow as tf

    tf.debugging.Assert(tf.strings.substr(content, 25, 1) != _PALETTE, ["a palette"])
    return tf.io.decode_png(content, channels=1)


def _read(path: Path, index: int) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise BadSample(index, str(path), f"cannot be read: {error.strerror}") from error


def _pictures(folder: Path) -> list[str]:
    if not folder.is_dir():
        return []
    with os.scandir(folder) as entries:
        return [entry.name for entry in entries if entry.name.lower().endswith(SUFFIXES)]


def _of_other_forms(folder: Path) -> list[str]:
    """Return the files that are pictures by their names, of forms that are not read."""
    if not folder.is_dir():
        return []
    return sorted(str(path) for path in folder.iterdir() if path.suffix.lower() in _OTHERS)


def _size_of(content: bytes) -> tuple[int, int, int] | None:
    """Return height, width and channels as the head of a PNG or JPEG file has them; None for anything else."""
    if content[:8] == b"\x89PNG\r\n\x1a\n" and len(content) > 26:
        width, height = struct.unpack(">II", content[16:24])
        return height, width, {0: 1, 2: 3, 3: 3, 4: 2, 6: 4}.get(content[25], 3)
    position = 2
    while content[:2] == b"\xff\xd8" and position + 10 < len(content):
        marker, length = content[position + 1], int.from_bytes(content[position + 2 : position + 4], "big")
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):  # a start of frame
            height, width, channels = struct.unpack(">HHB", content[position + 5 : position + 10])
            return height, width, channels
        position += 2 + length
    return None
