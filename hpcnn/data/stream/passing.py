"""A user's ``tf.data.Dataset``: elements that come one after another, and have the numbers in which they come.

Must not import TensorFlow: what there is of it, the user has imported.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np

from hpcnn.data.stream.source import BadSample, Indices, Slice, Source, Spec
from hpcnn.data.structure import is_structure
from hpcnn.util.errors import UsageError

# What to do with several inputs or outputs.
IN_MEMORY = "Several inputs or outputs are arrays in memory: return ({'a': x1, 'b': x2}, y) for training and for test"
_COUNTED = ".apply(tf.data.experimental.assert_cardinality(N))"
# Elements around a bad one that are kept.
_KEPT = 4096
# Datasets that give what they are given, or as many elements: where one of batches is below, they have batches too.
_SAME_ELEMENTS = ("Shuffle", "Prefetch", "Cache", "Take", "Skip", "Repeat", "Options", "Map", "Shard", "Filter")


class Passing(Source):
    """A ``tf.data.Dataset`` of known length, read in its own order from its begin to its end, again and again.

    Whoever asks for a number gets the element that comes at this place: elements in between are passed over, and an
    earlier number begins the dataset anew. So every rank goes through all of it, and keeps what the plan gives it. A
    dataset that shuffles by itself has another order each time it begins, the same on all ranks that have begun it as
    often: each epoch rewinds it on every rank.
    """

    threads = 1
    sequential = True

    def __init__(self, name: str, dataset: Any) -> None:
        self._name, self._dataset = name, dataset
        element = dataset.element_spec
        if not isinstance(element, tuple) or len(element) not in (2, 3) or any(map(is_structure, element)):
            raise UsageError(
                f"--data: the elements of {name} are {_what(element)}; expected (x, y) or (x, y, weights), each one "
                f"array. {IN_MEMORY}"
            )
        _check_shapes(name, [_shape_of(name, part) for part in element], dataset)
        self._count = int(dataset.cardinality())
        if self._count < 0:
            length, instead = ("infinite", ".take(N)") if self._count == -1 else ("unknown", _COUNTED)
            raise UsageError(
                f"--data: {name} returned a tf.data.Dataset of {length} length, so an epoch has no end; tell its "
                f"length: dataset{instead}"
            )
        self.x, self.y, *weights = (Spec(tuple(part.shape), np.dtype(part.dtype.as_numpy_dtype)) for part in element)
        self.w = weights[0] if weights else None
        self._lock = threading.Lock()
        self._elements: Iterator[Any] = iter(())
        self._at = self._count  # the number of the next element: nothing has begun
        self._kept: dict[int, Any] = {}

    def __len__(self) -> int:
        return self._count

    def read(self, indices: Indices) -> Slice:
        """Return the elements with these numbers, and begin anew where they lie behind.

        After a bad one, the elements around it are kept: whoever forgives asks for each again, and another beginning
        would be another order.
        """
        with self._lock:
            if len(indices) > 1:
                self._kept.clear()
            found: dict[int, Any] = {}
            for index in map(int, np.unique(indices)):
                found[index] = self._kept[index] if index in self._kept else self._element(index)
                if isinstance(found[index], BadSample):
                    self._kept.update(found)
                    raise found[index]
            if self._kept:
                self._kept.update(found)
                while len(self._kept) > _KEPT:
                    del self._kept[next(iter(self._kept))]
        elements = [found[int(index)] for index in indices]
        return tuple(np.stack(parts) for parts in zip(*elements, strict=True))

    def rewind(self) -> None:
        """Let the next element be one of a dataset that has begun anew."""
        with self._lock:
            self._elements, self._at = iter(()), self._count
            self._kept.clear()

    def where(self, index: int) -> str:
        """Return which element it is."""
        return f"{self._name}, element {index}"

    def _element(self, index: int) -> Any:
        """Return an element, or the BadSample that says why it cannot be made."""
        if index < self._at:
            self._elements, self._at = self._dataset.as_numpy_iterator(), 0
        while self._at <= index:
            element = self._next()
        return element

    def _next(self) -> Any:
        number, self._at = self._at, self._at + 1
        try:
            return next(self._elements)
        except StopIteration:
            raise UsageError(
                f"--data: {self._name} has ended after {number} elements; its length says {self._count}"
            ) from None
        except Exception as error:
            if type(error).__module__.partition(".")[0] != "tensorflow":
                raise
            return BadSample(number, self.where(number), f"cannot be made: {_text(error)}")


def _text(error: Exception) -> str:
    """Return what TensorFlow says of an element, without the names of its own operations."""
    text = re.sub(r"\{\{.*?\}\}\s*|\s*\[Op:\w+\].*", "", str(getattr(error, "message", error)), flags=re.DOTALL)
    return " ".join(text.split())


def _what(element: Any) -> str:
    if isinstance(element, dict):
        return f"dictionaries of {', '.join(map(str, element))}"
    if isinstance(element, tuple):
        return "tuples of " + ", ".join("several arrays" if is_structure(part) else "an array" for part in element)
    return "single arrays"


def _shape_of(name: str, part: Any) -> tuple[int | None, ...]:
    if type(part).__name__ != "TensorSpec" or part.shape.rank is None:
        raise UsageError(
            f"--data: the elements of {name} are {part}; expected tensors of one shape: x.to_tensor(shape=...) of a "
            "ragged one, tf.sparse.to_dense(x), tf.ensure_shape(x, ...)"
        )
    return tuple(part.shape)


def _check_shapes(name: str, shapes: list[tuple[int | None, ...]], dataset: Any) -> None:
    """Raise UsageError for batches, and for samples that have no shape in common."""
    firsts = [shape[:1] for shape in shapes]
    batches = all(firsts) and len(set(firsts)) == 1 and (firsts[0] == (None,) or _is_batched(dataset))
    if batches:
        raise UsageError(
            f"--data: the elements of {name} have shapes {shapes}, which are batches; return samples, and their number "
            f"N: dataset.unbatch(){_COUNTED}"
        )
    if any(size is None for shape in shapes for size in shape):
        raise UsageError(
            f"--data: the elements of {name} have shapes {shapes}; expected samples of one shape: resize or pad them, "
            "and say it by tf.ensure_shape"
        )


def _is_batched(dataset: Any) -> bool:
    """Return whether the elements of a dataset are batches: one of its last transformations has made them."""
    while True:
        kind = type(dataset).__name__
        if "Batch" in kind and "Unbatch" not in kind:
            return True
        inputs = dataset._inputs() if hasattr(dataset, "_inputs") else []
        if len(inputs) != 1 or "FlatMap" in kind or not any(word in kind for word in _SAME_ELEMENTS):
            return False
        dataset = inputs[0]
