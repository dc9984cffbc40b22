"""Several arrays as one: what a network with several inputs or outputs takes, as a dictionary or a tuple of arrays.

One array is the simplest nest. No deeper ones: a value of the dictionary or the tuple is an array. Needs no TensorFlow.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any


def is_nest(value: Any) -> bool:
    """Say whether this is several arrays (or what was made of each) and not one."""
    return isinstance(value, (dict, tuple))


def leaves(nest: Any) -> list[Any]:
    """Return the arrays of a nest, in its order."""
    if isinstance(nest, dict):
        return list(nest.values())
    return list(nest) if isinstance(nest, tuple) else [nest]


def named(nest: Any, name: str) -> Iterator[tuple[str, Any]]:
    """Yield every array with what errors call it: ``x_train``, or ``x_train['top']``, or ``x_train[0]``."""
    if isinstance(nest, dict):
        yield from ((f"{name}[{key!r}]", value) for key, value in nest.items())
    elif isinstance(nest, tuple):
        yield from ((f"{name}[{number}]", value) for number, value in enumerate(nest))
    else:
        yield name, nest


def map_nest(function: Callable[..., Any], nest: Any, *others: Any) -> Any:
    """Return a nest like the first of what ``function`` gives for each array of it and those of the ``others``."""
    if isinstance(nest, dict):
        return {key: function(value, *(other[key] for other in others)) for key, value in nest.items()}
    if isinstance(nest, tuple):
        return tuple(function(*values) for values in zip(nest, *others, strict=True))
    return function(nest, *others)


def several_shapes(shape: Any) -> bool:
    """Say whether this is a nest of shapes and not one: a shape too is a tuple, but of numbers."""
    return isinstance(shape, dict) or any(isinstance(part, tuple) for part in shape)
