"""Damaged files: the exceptions of libraries that read one, and a check of archives. Must not import any other room."""

from __future__ import annotations

import os
import struct
import tokenize
import zipfile
import zlib

# What NumPy, zipfile and h5py raise for a file that is damaged, or is not of the kind.
UNREADABLE = (
    *(OSError, EOFError, ValueError, KeyError, TypeError, IndexError, OverflowError, RuntimeError, SyntaxError),
    *(zipfile.BadZipFile, zlib.error, struct.error, tokenize.TokenError, AttributeError),
)


def check_archive(file: str | os.PathLike[str]) -> None:
    """Raise one of UNREADABLE for a zip archive, such as a ``.keras`` file, that is damaged.

    Keras lets h5py move about in the archive, and nobody compares checksums then, from Python 3.13 on.
    """
    with zipfile.ZipFile(file) as archive:
        if (damaged := archive.testzip()) is not None:
            raise zipfile.BadZipFile(f"{damaged}: its checksum is another one")
