"""The teaching end of ``hpcnn train``: the networks of SciNet's 2017 lecture, written out in NumPy.

No framework: the formulas of the lecture are the code. Nothing here imports TensorFlow or Keras. The names below are
resolved on first use, so that importing this package does not import NumPy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hpcnn.train.numpy.surface import Boundary as Boundary
    from hpcnn.train.numpy.surface import boundary as boundary

__all__ = ["Boundary", "boundary"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'hpcnn.train.numpy' has no attribute {name!r}")
    from hpcnn.train.numpy import surface

    return getattr(surface, name)
