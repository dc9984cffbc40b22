"""Imports TensorFlow without its start-up notes, which no variable turns off; any other line is let through.

The notes are written straight to file descriptor 2, before TensorFlow's own log filter works. And without what Keras
imports on the way for its own extras, where nobody can use them.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
import tempfile
from collections.abc import Iterator

_NOISE = ("All log messages before absl::InitializeLog", "oneDNN custom operations are on")

# What Keras 3 imports, if it is there, for pictures of data sets, data frames in `fit`, and wrappers of its models.
_EXTRAS = ("matplotlib", "pandas", "sklearn")


def import_tensorflow() -> None:
    """Import TensorFlow. Raises ImportError where it is not installed."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    with without_notes():
        importlib.import_module("tensorflow")


@contextlib.contextmanager
def without_notes() -> Iterator[None]:
    """Keep TensorFlow's start-up notes from standard error while the block runs; other lines follow after it."""
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as notes:
        os.dup2(notes.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(kept, 2)
            os.close(kept)
            notes.seek(0)
            for line in notes.read().decode(errors="replace").splitlines():
                if not any(noise in line for noise in _NOISE):
                    print(line, file=sys.stderr)


@contextlib.contextmanager
def without_extras() -> Iterator[None]:
    """Keep Keras, imported while the block runs, from importing ``_EXTRAS``: a thousand modules, half of its time.

    Keras takes them for not installed, for as long as the process lives; everybody else can import them afterwards.
    """
    hidden = [name for name in _EXTRAS if name not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]  # None: an import raises ModuleNotFoundError
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]
