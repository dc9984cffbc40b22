"""hpcnn: train Keras convolutional networks on HPC clusters.

The names below are the public interface: ``init`` for a user's own script, ``run`` for a notebook. They are resolved on
first use, so that ``import hpcnn`` costs nothing on a login node and never imports TensorFlow by itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hpcnn.version import __version__

if TYPE_CHECKING:
    from hpcnn.notebook.result import Result as Result
    from hpcnn.notebook.run import run as run
    from hpcnn.train.script import Run as Run
    from hpcnn.train.script import init as init

_LAZY = {
    "init": "hpcnn.train.script",
    "Run": "hpcnn.train.script",
    "run": "hpcnn.notebook.run",
    "Result": "hpcnn.notebook.result",
    "report": "hpcnn",
}

__all__ = ["Result", "Run", "__version__", "init", "run"]


def __getattr__(name: str) -> Any:
    import importlib

    if name == "report":
        return importlib.import_module("hpcnn.report")
    if name in _LAZY:
        return getattr(importlib.import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'hpcnn' has no attribute {name!r}")
