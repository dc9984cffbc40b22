"""``hpcnn.scratch.boundary``, the documented name for the decision boundary of a network in NumPy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hpcnn.train.numpy.surface import Boundary as Boundary
    from hpcnn.train.numpy.surface import boundary as boundary

__all__ = ["Boundary", "boundary"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'hpcnn.scratch' has no attribute {name!r}")
    from hpcnn.train.numpy import surface

    return getattr(surface, name)
