"""Import TensorFlow without its start-up messages, and Keras without its optional packages.

No variable turns those messages off: TensorFlow writes them to file descriptor 2 before its own log filter works. All
other lines on standard error are kept.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import sys
import tempfile
from collections.abc import Iterator

from hpcnn.util.host import processor_has

# TensorFlow turns its oneDNN operations on only where the processor has instructions for neural networks (AVX-512 VNNI,
# AMX); on older ones with AVX2 they are faster too (docs/decisions/048-onednn-on-older-processors.md).
ONEDNN = "TF_ENABLE_ONEDNN_OPTS"

_NOISE = ("All log messages before absl::InitializeLog", "oneDNN custom operations are on")

# Packages that Keras 3 imports if they are installed: for pictures, data frames in `fit` and wrappers of its models.
_EXTRAS = ("matplotlib", "pandas", "sklearn")


def import_tensorflow() -> None:
    """Import TensorFlow. Raises ImportError where it is not installed."""
    if "tensorflow" in sys.modules:
        return
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    if processor_has("avx2"):
        os.environ.setdefault(ONEDNN, "1")
    with without_startup_messages(), without_collections():
        importlib.import_module("tensorflow")
    gc.freeze()  # what it has made stays until the end: each later collection would look at half a million objects


@contextlib.contextmanager
def without_collections() -> Iterator[None]:
    """Let Python's garbage collector rest while the block makes what stays.

    That is an eighth of the seconds of TensorFlow's import.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


@contextlib.contextmanager
def without_startup_messages() -> Iterator[None]:
    """Hide TensorFlow's start-up messages on standard error while the block runs; other lines follow after it."""
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
    """Import Keras in the block without ``_EXTRAS``: a thousand modules, half of its import time.

    Keras takes these packages for missing until the process ends; other code can import them after the block.
    """
    hidden = [name for name in _EXTRAS if name not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]  # None: an import raises ModuleNotFoundError
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]
