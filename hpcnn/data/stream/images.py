"""Read ``images:DIR``: JPEG and PNG files, a folder a class, decoded by TensorFlow's own operations.

``DIR/train/CLASS/FILE`` and ``DIR/test/CLASS/FILE``, or ``DIR/CLASS/FILE``, of which some are split off. The order is
a fixed one by chance, so that the first samples are of every class. With the two folders ``images`` and ``masks`` in
the place of classes, each picture has a PNG of the same name in ``masks``: its grey values are the classes of pixels.
"""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from hpcnn.data.copies import copy_of
from hpcnn.data.stream.decode import Decoder, scaled
from hpcnn.data.stream.heads import HEAD_BYTES, READ, Head, head_of
from hpcnn.data.stream.masks import decoded_mask, mask_of, why_no_mask
from hpcnn.data.stream.source import BadSample, Indices, Source, Spec
from hpcnn.util.errors import UsageError
from hpcnn.util.text import first_few
from hpcnn.util.tf_import import import_tensorflow
from hpcnn.util.types import Array
from hpcnn.zoo.forms import PARTS, Location

SUFFIXES = (".jpg", ".jpeg", ".png")
_OTHERS = (".avif", ".bmp", ".gif", ".heic", ".jfif", ".jp2", ".tif", ".tiff", ".webp")
_WITH_MASKS = ("images", "masks")
# What archives and file servers add to folders.
_NO_CLASSES = ("__MACOSX", "@eaDir", "lost+found")
# So many pictures are looked at before a training: whether there is colour, and what is to be told.
_LOOKED_AT = 64

# What is told of pictures whose pixels are not read as people see them.
_REMARKS = {
    "rotated": "have a camera's rotation (Exif), which is not applied: pixels are read as they are stored",
    "16 bits": "have 16 bits a channel, of which the upper 8 are read",
    "transparent": "have transparency, which is left out",
    "grey": "are grey among pictures in colour, and get three equal channels",
    "CMYK": "are in CMYK, which is converted to red, green and blue without a profile",
}


def open_images(
    location: Location, size: tuple[int, int] | None, seed: int, channels: int | None = None
) -> tuple[Source, Source | None]:
    """Return training and test pictures; no test pictures where they are to be split off.

    size: (height, width) to which pictures are scaled; None if all have that of the first. seed: of their order.
    channels: 1 or 3 to make all pictures grey or coloured; None for colour where any is in colour.
    """
    folders = location.files(location.training)
    test = location.files(location.test)
    if len(folders) != 1 or len(test) > 1 or not folders[0].is_dir():
        raise UsageError(f"--data: images:{','.join(location.training)} is not valid; expected images:DIR, one folder")
    if not test and all((folders[0] / part).is_dir() for part in PARTS):
        folders, test = [folders[0] / "train"], [folders[0] / "test"]
    classes = _classes(folders[0])
    if test and (others := [name for name in _classes(test[0]) if name not in classes]):
        raise UsageError(
            f"--data: {test[0]} has folders of classes that {folders[0]} has not: {first_few([*map(repr, others)])}"
        )
    kind = Masked if classes == list(_WITH_MASKS) else Pictures
    train = kind(folders[0], classes, size, seed, channels)
    height, width, depth = train.x.shape
    # a test picture in colour is refused where no training picture is
    asked = depth if channels is not None or depth == 3 else None
    return train, kind(test[0], classes, size or (height, width), seed, asked, depth) if test else None


def _classes(folder: Path) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            names = sorted(entry.name for entry in entries if entry.is_dir() and not _is_hidden(entry.name))
    except OSError as error:
        raise UsageError(f"--data: {folder} cannot be read: {error.strerror}") from error
    if not names:
        raise UsageError(f"--data: {folder} has no folders; expected one for each class, with its pictures")
    return names


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name in _NO_CLASSES


class Pictures(Source):
    """Pictures of one folder a class, uint8 (height, width, channels). Labels are the numbers of the folders' names.

    channels: 1 or 3, to which all are converted; None for colour where any of those that are looked at has it. Then a
    picture in colour is refused among grey ones. depth: channels that they must have, None for any.
    """

    cheap_labels = True
    worthwhile = 256  # to build a pipeline of tf.data takes as long as to decode some ten pictures

    def __init__(
        self,
        folder: Path,
        classes: list[str],
        size: tuple[int, int] | None,
        seed: int,
        channels: int | None = None,
        depth: int | None = None,
    ) -> None:
        import_tensorflow()
        self._folder, self._names = folder, classes
        self._copy = copy_of(folder)  # what is read
        self._prefixes = [os.fsencode(self._copy / name) + b"/" for name in classes]
        self.classes = len(classes)
        found = [_scanned(self._copy / name) for name in classes]
        counts = [len(entries.pictures) for entries in found]
        if not sum(counts):
            nested = next((name for entries in found for name in entries.folders), None)
            hint = f"; pictures in folders within them, such as {nested}, are not read" if nested else ""
            raise UsageError(f"--data: no picture ({', '.join(SUFFIXES)}) in the folders of {folder}{hint}")
        # Bytes in one array: ten million names as Python's texts would take a gigabyte.
        names = np.array([os.fsencode(name) for entries in found for name in sorted(entries.pictures)])
        order = np.random.RandomState(seed).permutation(len(names))
        self._files, self._labels = names[order], np.repeat(np.arange(len(classes)), counts)[order]
        heads = [self._head(index) for index in range(min(len(names), _LOOKED_AT))]
        height, width = next(((head.height, head.width) for head in heads if head.height), (0, 0))
        if size is None and not height:
            raise UsageError(f"--data: {self.where(0)} {_no_picture(heads[0])}; --image-size HxW needs no first one")
        in_colour = any(head.channels >= 3 for head in heads)
        self._channels = channels or depth or (3 if in_colour else 1)
        self._grey_alone = channels is None and self._channels == 1
        self._size = size
        self.x = Spec((*(size or (height, width)), self._channels), np.dtype(np.uint8))
        self.y = Spec((), np.dtype(np.int64))
        self._decoder = Decoder(self.x.shape, self._decoded, None if size is None else "bilinear")
        self.notes = (*self._of_folders(found), *self._of_heads(heads))

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
        return str(self._folder / self._name(index))

    def remarks(self, indices: Indices) -> Counter[str]:
        """Return of how many of these pictures each thing is to be told."""
        found = Counter(kind for index in indices for kind in self._of_head(self._head(int(index))))
        return Counter({_REMARKS[kind]: count for kind, count in found.items()})

    def _of_folders(self, found: list[_Entries]) -> list[str]:
        """Return what is told of files and folders that are not read."""
        notes = []
        others = sorted(name for entries in found for name in entries.others)
        if others:
            example = self._folder / Path(others[0]).relative_to(self._copy)
            notes.append(f"left out: {len(others)} files that are neither JPEG nor PNG, {example} for one")
        nested = sorted(name for entries in found for name in entries.folders)
        if nested:
            example = self._folder / Path(nested[0]).relative_to(self._copy)
            notes.append(f"left out: {len(nested)} folders within those of classes, {example} for one")
        if hidden := sum(entries.hidden for entries in found):
            notes.append(f"left out: {hidden} hidden pictures (their names begin with a dot)")
        if beside := len(_scanned(self._folder).pictures):
            notes.append(f"left out: {beside} pictures beside the folders of classes")
        empty = [name for name, entries in zip(self._names, found, strict=True) if not entries.pictures]
        if empty and self.classes:
            notes.append(f"no picture in {first_few([*map(repr, empty)])} of {self._folder}, which count as classes")
        return notes

    def _of_heads(self, heads: list[Head]) -> list[str]:
        """Return what is told of the pictures that were looked at."""
        looked = f"{len(heads)} pictures" + (" that were looked at" if len(heads) < len(self) else "")
        notes = []
        for kind, words in _REMARKS.items():
            of_kind = [index for index, head in enumerate(heads) if kind in self._of_head(head)]
            if of_kind:
                notes.append(f"{len(of_kind)} of {looked} {words}; {self.where(of_kind[0])} for one")
        return notes

    def _of_head(self, head: Head) -> list[str]:
        """Return which of ``_REMARKS`` are to be told of a picture."""
        found = {
            "rotated": head.orientation != 1,
            "16 bits": head.bits == 16,
            "transparent": head.form == "PNG" and head.channels in (2, 4),
            "grey": self._channels == 3 and head.is_grey,
            "CMYK": head.form == "JPEG" and head.channels == 4,
        }
        return [kind for kind, told in found.items() if told]

    def _paths(self, indices: Indices) -> list[bytes]:
        """Return the files of pictures, without the cost of a ``Path`` for each."""
        both = zip(self._labels[indices].tolist(), self._files[indices].tolist(), strict=True)
        return [self._prefixes[label] + name for label, name in both]

    def _name(self, index: int) -> Path:
        """Return the name of a picture within its folder."""
        return Path(self._names[int(self._labels[index])], os.fsdecode(bytes(self._files[index])))

    def _head(self, index: int) -> Head:
        """Return what the head of a picture says; nothing of a file that cannot be read."""
        try:
            with (self._copy / self._name(index)).open("rb") as file:
                head = head_of(content := file.read(HEAD_BYTES))
                return head if head.height or len(content) < HEAD_BYTES else head_of(content + file.read())
        except OSError:
            return Head("")

    def _decoded(self, content: Any) -> Any:
        import tensorflow as tf

        _check_form(content)
        # the operation for JPEG takes PNG, too
        if not self._grey_alone:
            return tf.io.decode_jpeg(content, channels=self._channels)
        picture = tf.io.decode_jpeg(content, channels=0)  # as many as the file has
        tf.debugging.Assert(tf.shape(picture)[2] <= 2, ["in colour"])
        return picture[..., :1]

    def _picture(self, index: int) -> Array:
        """Return one picture, as the decoder of whole slices gives it. Raises BadSample with what is wrong with it."""
        import tensorflow as tf

        content = _read(self._copy / self._name(index), index, self.where(index))
        head = head_of(content)
        if head.form not in READ:
            raise BadSample(index, self.where(index), _no_picture(head))
        if self._grey_alone and head.channels >= 3:
            raise BadSample(index, self.where(index), _COLOURED)
        with tf.device("/CPU:0"):
            try:
                picture = tf.io.decode_jpeg(content, channels=self._channels)
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
        self,
        folder: Path,
        classes: list[str],
        size: tuple[int, int] | None,
        seed: int,
        channels: int | None = None,
        depth: int | None = None,
    ) -> None:
        super().__init__(folder, [_WITH_MASKS[0]], size, seed, channels, depth)
        self.classes = None
        self.y = Spec(self.x.shape[:2], np.dtype(np.uint8))
        self._masks = Decoder((*self.y.shape, 1), decoded_mask, None if size is None else "nearest")

    def labels(self, indices: Indices) -> Array:
        """Return the maps alone."""
        found = _all(self._masks, [os.fsencode(self._copy / self._mask_name(int(index))) for index in indices])
        return np.stack([self._mask(int(index)) for index in indices]) if found is None else found[..., 0]

    def _mask_name(self, index: int) -> Path:
        return Path(_WITH_MASKS[1], f"{self._name(index).stem}.png")

    def _mask(self, index: int) -> Array:
        """Return one map, as the decoder of whole slices gives it. Raises BadSample with what is wrong with it."""
        import tensorflow as tf

        where = str(self._folder / self._mask_name(index))
        content = _read(self._copy / self._mask_name(index), index, where)
        if reason := why_no_mask(head_of(content)):
            raise BadSample(index, where, reason)
        with tf.device("/CPU:0"):
            try:
                mask = mask_of(content)
            except tf.errors.InvalidArgumentError as error:
                raise BadSample(index, where, f"cannot be decoded: {str(error).splitlines()[0][-200:]}") from error
            if mask is None:
                reason = "is in colour, and colours are no classes; write the classes as a grey PNG"
                raise BadSample(index, where, reason)
            if self._size is not None and tuple(mask.shape[:2]) != self._size:
                mask = scaled(mask, self._size, "nearest")
        classes: Array = mask.numpy()[..., 0]
        if classes.shape != self.y.shape:
            raise BadSample(index, where, f"is {classes.shape[0]}x{classes.shape[1]} pixels, unlike its picture")
        return classes


_COLOURED = (
    "is in colour, unlike the others that were looked at (--data-arg channels=3 reads all in colour, channels=1 makes "
    "all grey)"
)


def _check_form(content: Any) -> None:
    """*graph*: fail for what is neither JPEG nor PNG: TensorFlow decodes some of it, whatever its name says."""
    import tensorflow as tf

    tf.debugging.Assert(tf.reduce_any(tf.strings.substr(content, 0, 2) == [b"\xff\xd8", b"\x89P"]), ["no picture"])


def _no_picture(head: Head) -> str:
    """Return what is wrong with a file that is none of the forms that are read, or that is cut off in its head."""
    if head.form in READ:
        return f"is a {head.form} that is cut off or damaged"
    if not head.form:
        return "cannot be read as a picture: it is empty, damaged, or of no form that is known"
    return f"is of the form {head.form}, whatever its name says; JPEG and PNG are read: convert it, or leave it out"


def _all(decoder: Decoder, files: list[bytes]) -> Array | None:
    """Return the pictures in these files; None if any of them is bad."""
    import tensorflow as tf

    try:
        return decoder(files)
    except tf.errors.OpError:
        return None


def _read(path: Path, index: int, where: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise BadSample(index, where, f"cannot be read: {error.strerror}") from error


@dataclass
class _Entries:
    """What is in one folder. pictures: names. others, folders: paths of what is not read. hidden: pictures."""

    pictures: list[str] = field(default_factory=list)
    others: list[str] = field(default_factory=list)
    folders: list[str] = field(default_factory=list)
    hidden: int = 0


def _scanned(folder: Path) -> _Entries:
    """Return what is in a folder; nothing of one that is not there. Raises UsageError for one that cannot be read."""
    found = _Entries()
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                name = entry.name.lower()
                is_picture = name.endswith(SUFFIXES)
                if _is_hidden(entry.name):
                    found.hidden += is_picture
                elif is_picture and not entry.is_dir():
                    found.pictures.append(entry.name)
                elif name.endswith(_OTHERS):
                    found.others.append(entry.path)
                elif entry.is_dir():
                    found.folders.append(entry.path)
    except FileNotFoundError:
        return found
    except OSError as error:
        raise UsageError(f"--data: {folder} cannot be read: {error.strerror}") from error
    return found
