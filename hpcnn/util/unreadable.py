"""The exceptions of libraries that read a damaged file. Must not import any other room."""

from __future__ import annotations

import struct
import tokenize
import zipfile
import zlib

# What NumPy, zipfile and h5py raise for a file that is damaged, or is not of the kind.
UNREADABLE = (
    *(OSError, EOFError, ValueError, KeyError, TypeError, IndexError, OverflowError, RuntimeError, SyntaxError),
    *(zipfile.BadZipFile, zlib.error, struct.error, tokenize.TokenError, AttributeError),
)
