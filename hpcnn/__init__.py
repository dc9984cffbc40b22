"""hpcnn: train Keras convolutional networks on HPC clusters.

The names below are the public interface for a user's own script. They are resolved on first use, so that
``import hpcnn`` costs nothing on a login node and never imports TensorFlow by itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from hpcnn.api import Run as Run
    from hpcnn.api import init as init

_LAZY = {"init": "hpcnn.api", "Run": "hpcnn.api", "report": "hpcnn"}

__all__ = ["Run", "__version__", "init"]


def __getattr__(name: str) -> Any:
    import importlib

    if name == "report":
        return importlib.import_module("hpcnn.report")
    if name in _LAZY:
        return getattr(importlib.import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'hpcnn' has no attribute {name!r}")
