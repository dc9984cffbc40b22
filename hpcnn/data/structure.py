"""Structures of arrays, for networks with several inputs or outputs: one array, or a dictionary or tuple of arrays.

A structure has one level: the values of the dictionary or tuple, its leaves, are arrays, or shapes, numbers or tensors.
Must not import TensorFlow.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

# One value, a dictionary or a tuple. The network decides at run time which of them: an honest Any by name.
Structure: TypeAlias = Any
Leaf: TypeAlias = Any
# The names of the arrays in Keras's own data files.
KEYS = ("x_train", "y_train", "x_test", "y_test")
# Those of the weights of samples, or of pixels, of a user's own file.
WEIGHTS = ("weights_train", "weights_test")


def is_structure(value: Structure) -> bool:
    """Return whether ``value`` is a dictionary or a tuple of arrays, and not a single array."""
    return isinstance(value, (dict, tuple))


def leaves(structure: Structure) -> list[Leaf]:
    """Return the leaves of a structure, in its order."""
    if isinstance(structure, dict):
        return list(structure.values())
    return list(structure) if isinstance(structure, tuple) else [structure]


def named_leaves(structure: Structure, name: str) -> Iterator[tuple[str, Leaf]]:
    """Yield every leaf with its name in errors: ``x_train``, ``x_train['top']`` or ``x_train[0]``."""
    if isinstance(structure, dict):
        yield from ((f"{name}[{key!r}]", value) for key, value in structure.items())
    elif isinstance(structure, tuple):
        yield from ((f"{name}[{number}]", value) for number, value in enumerate(structure))
    else:
        yield name, structure


def map_structure(function: Callable[..., Leaf], structure: Structure, *others: Structure) -> Structure:
    """Apply ``function`` to each leaf of a structure and the same leaves of ``others``; return a structure like it."""
    if isinstance(structure, dict):
        return {key: function(value, *(other[key] for other in others)) for key, value in structure.items()}
    if isinstance(structure, tuple):
        return tuple(function(*values) for values in zip(structure, *others, strict=True))
    return function(structure, *others)


def is_structure_of_shapes(shape: Structure) -> bool:
    """Return whether ``shape`` is a dictionary or tuple of shapes, and not a single shape: a tuple of numbers."""
    return isinstance(shape, dict) or any(isinstance(part, tuple) for part in shape)
