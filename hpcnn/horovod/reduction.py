"""How a step's gradients are combined over the ranks: what the arguments of ``DistributedOptimizer`` say."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import tensorflow as tf

from hpcnn.horovod.ranks import Average, Sum, horovod
from hpcnn.parallel.buckets import buckets
from hpcnn.parallel.joined import size_of, sum_in_buckets
from hpcnn.train.tensors import dense as as_table
from hpcnn.train.tensors import plain
from hpcnn.util.types import Tensor, Variable

Groups: TypeAlias = int | Sequence[Sequence[Variable]] | None


@dataclass(frozen=True)
class Reduction:
    """Means (or sums) of gradients over the ranks, each as soon as it is ready.

    name: the beginning of the operations' names, the same on all ranks: by it Horovod knows which tensors belong
        together. It must not be the optimizer's own name, which counts the optimizers that a rank has made.
    predivide: gradients are divided by it before they are summed, and multiplied by it after.
    sparse_as_dense: whether gradients of some rows of a table are summed as whole tables.
    groups: the number of groups whose gradients are reduced together, or lists of their variables; None: small ones of
        a network of many are joined (``parallel/buckets.py``) where sums are meant, and others are reduced one by one.
    """

    name: str
    op: Any
    compression: Any
    predivide: float
    sparse_as_dense: bool
    groups: Groups
    device_dense: str
    device_sparse: str

    def __call__(self, gradients: Sequence[Tensor], variables: Sequence[Variable]) -> list[Tensor]:
        """*graph*: return the combined gradients; a variable without one stays without."""
        reduced = list(gradients)
        dense: dict[int, Tensor] = {}
        for number, gradient in enumerate(gradients):
            if isinstance(gradient, tf.IndexedSlices) and not self.sparse_as_dense:
                reduced[number] = self._rows(gradient, f"{self.name}.{number:04d}")
            elif gradient is not None:
                dense[number] = as_table(gradient)
        if not self.groups and self.op in (Average, Sum):  # Adasum's way of adding is one of whole gradients
            for number, gradient in zip(dense, self._in_buckets(list(dense.values()), list(dense)), strict=True):
                reduced[number] = gradient
            return reduced
        for group in self._grouped(dense, variables):
            for number, gradient in zip(group, self._together([dense[n] for n in group], group[0]), strict=True):
                reduced[number] = gradient
        return reduced

    def _in_buckets(self, gradients: Sequence[Tensor], numbers: Sequence[int]) -> list[Tensor]:
        if horovod.size() == 1:  # as Horovod does; XLA may then compile the step
            return list(gradients)

        def allreduce(tensor: Tensor, first: int) -> Tensor:
            return horovod.allreduce(tensor, name=f"{self.name}.{numbers[first]:04d}", **self._how())

        return sum_in_buckets(gradients, buckets([size_of(gradient) for gradient in gradients]), allreduce)

    def _together(self, gradients: Sequence[Tensor], number: int) -> list[Tensor]:
        if horovod.size() == 1:  # as Horovod does; XLA may then compile the step
            return list(gradients)
        name = f"{self.name}.{number:04d}"
        if len(gradients) == 1:
            return [horovod.allreduce(gradients[0], name=name, **self._how())]
        return list(horovod.grouped_allreduce(list(gradients), name=name, **self._how()))

    def _how(self) -> dict[str, Any]:
        return {
            "op": self.op,
            "compression": self.compression,
            "prescale_factor": 1.0 / self.predivide,
            "postscale_factor": self.predivide,
            "device_dense": self.device_dense,
        }

    def _rows(self, gradient: Tensor, name: str) -> Tensor:
        """Gather the rows that the ranks' batches touched, and add up those of the same row.

        Keras's rules take a row for complete: Adam would square the parts of a row, and not their sum.
        """
        values, indices = gradient.values, gradient.indices
        if horovod.size() > 1:
            with tf.device(self.device_sparse):
                values = horovod.allgather(values, name=f"{name}.values")
                indices = horovod.allgather(indices, name=f"{name}.indices")
        if self.op == Average:
            values /= tf.cast(horovod.size(), values.dtype)
        rows, place = tf.unique(indices)
        summed = tf.math.unsorted_segment_sum(values, place, tf.size(rows))
        return tf.IndexedSlices(summed, rows, gradient.dense_shape)

    def _grouped(self, dense: Mapping[int, Tensor], variables: Sequence[Variable]) -> Iterator[list[int]]:
        """Divide the numbers of gradients into groups: Horovod takes tensors of one type together."""
        for group in self._asked(list(dense), variables):
            types: dict[Any, list[int]] = {}
            for number in group:
                types.setdefault(dense[number].dtype, []).append(number)
            yield from types.values()

    def _asked(self, numbers: Sequence[int], variables: Sequence[Variable]) -> list[list[int]]:
        if not self.groups:
            return [[number] for number in numbers]
        if isinstance(self.groups, int):
            return [part.tolist() for part in np.array_split(np.array(numbers, int), self.groups) if len(part)]
        group_of = {_identity(v): number for number, group in enumerate(self.groups) for v in group}
        groups: dict[tuple[str, int], list[int]] = {}
        for number in numbers:
            variable = _identity(variables[number])
            key = ("group", group_of[variable]) if variable in group_of else ("alone", variable)
            groups.setdefault(key, []).append(number)
        return list(groups.values())


def _identity(variable: Any) -> int:
    """Return what a variable of Keras and the variable of TensorFlow in it have in common."""
    return id(plain(variable))
