"""Gradients of wide dense layers from what the ranks gather, instead of from sums of what each of them multiplied.

The gradient of a dense layer's kernel is a product, inputs^T (batch x rows) times gradients of the outputs (batch x
columns). Where the global batch is small beside the kernel, the two factors are far smaller than the product: PSC's
network with dropout has a kernel of 9216 x 128, 4.7 MB, and factors of 1.2 MB at the global batch of 32. So each
replica gathers everybody's factors and multiplies once, instead of summing everybody's products; the result is the same
sum in another order. Each replica multiplies the whole batch then, and not its slice: that is what it costs.

Sources: P. Xie et al., "Lighter-communication distributed machine learning via sufficient factor broadcasting" (UAI
2016); H. Zhang et al., "Poseidon" (USENIX ATC 2017), section 3.2, for choosing layer by layer. Imports no strategy by
name, and nothing of data or time.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import keras
import tensorflow as tf

from hpcnn.parallel.base import Strategy
from hpcnn.parallel.buckets import Size
from hpcnn.parallel.devices import threads
from hpcnn.train.rewrite import change, enabled, is_altered
from hpcnn.util.types import KerasModel, Layer, Tensor, Variable

# What gathering must save: factors of a quarter of what an allreduce moves, which is twice the kernel.
_SAVING = 4
# Multiplying the whole batch takes about as long as an allreduce of the kernel at some global batch for each core of a
# task: 2 B M N operations at 50 GFLOP/s a core, against the 8 M N bytes that an allreduce moves at 5 GB/s. Well below.
_BATCH_PER_CORE = 32


def pays(rows: int, columns: int, batch: int, cores: int) -> bool:
    """Return whether a kernel (rows x columns) is better exchanged as factors; cores are those of a task."""
    factors, summed = batch * (rows + columns), 2 * rows * columns
    return _SAVING * factors <= summed and batch <= _BATCH_PER_CORE * cores


def factored_layers(model: KerasModel, strategy: Strategy, batch: int) -> list[Layer]:
    """Return the dense layers of a model whose kernels' gradients are to be gathered, at this global batch size."""
    if not (strategy.gathers and strategy.communicates and enabled()):
        return []
    layers = model._flatten_layers(include_self=True, recursive=True)
    return [
        layer
        for layer in layers
        if type(layer) is keras.layers.Dense and layer.built and layer.trainable
        if not is_altered(layer)
        if pays(layer._kernel.shape[0], layer._kernel.shape[1], batch, threads())
    ]


def allreduce_bytes(trainable: int, layers: Sequence[Layer], batch: int) -> int:
    """Return what the ranks exchange in a step, as the bytes of an allreduce that moves as much.

    trainable: weights of the model. layers: those with factors. A gradient has 4 bytes a number. Of n bytes gathered in
    all a rank gets (p-1)/p n, half of what an allreduce of n bytes moves.
    """
    summed = trainable - sum(int(math.prod(layer._kernel.shape)) for layer in layers)
    ends = sum(int(sum(layer._kernel.shape) * tf.as_dtype(layer.compute_dtype).size) for layer in layers)
    return 4 * summed + batch * ends // 2


def messages(strategy: Strategy, model: KerasModel, layers: Sequence[Layer]) -> int | None:
    """Return how many sums of gradients a step asks for, as small ones are joined; None where TensorFlow divides them.

    layers: those with factors, whose kernels' gradients are not summed.
    """
    gathered = {id(layer._kernel) for layer in layers}
    summed = [v for v in model.trainable_variables if id(v) not in gathered]
    sizes = [Size(math.prod(v.shape) * tf.as_dtype(v.dtype).size, v.dtype) for v in summed]
    found = strategy.messages(sizes)
    return None if found is None else len(found)


class Factors:
    """The factors of one step, as it is traced: of each call of a layer, the inputs and the outputs' gradients."""

    def __init__(self, strategy: Strategy, layers: Sequence[Layer]) -> None:
        self._strategy, self._layers = strategy, layers
        self._graph = tf.compat.v1.get_default_graph()
        self._factors: dict[int, list[tuple[Tensor, Tensor]]] = {}  # by kernel

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Let the layers keep their factors inside the context, and leave the product to ``add_to``."""
        with ExitStack() as changes:
            for layer in self._layers:
                self._keep(changes, layer)
            yield

    @property
    def own(self) -> list[Tensor]:
        """The gradients of the layers' outputs that this replica has computed."""
        return [gradient for pairs in self._factors.values() for _, gradient in pairs]

    def add_to(self, gradients: Sequence[Tensor], variables: Sequence[Variable]) -> list[Tensor]:
        """*graph*: return summed gradients with those of the kept factors, which hold all replicas' samples.

        A kernel may also have a gradient that was summed: of a weight penalty, or of a use that is no dense layer.
        """
        pairs = enumerate(zip(gradients, variables, strict=True))
        return [self._with_product(gradient, variable, number) for number, (gradient, variable) in pairs]

    def _with_product(self, gradient: Tensor, variable: Variable, number: int) -> Tensor:
        for use, (inputs, upstream) in enumerate(self._factors.get(id(variable), [])):
            name = f"factor.{number:04d}.{use}"
            rows = self._strategy.concatenate(inputs, f"{name}.inputs")
            gradients = self._strategy.concatenate(upstream, f"{name}.gradients")
            product = tf.cast(tf.matmul(rows, gradients, transpose_a=True), variable.dtype)
            gradient = product if gradient is None else gradient + product
        return gradient

    def _keep(self, changes: ExitStack, layer: Layer) -> None:
        as_keras_does = layer.call

        def call(inputs: Tensor, *args: Any, **kwargs: Any) -> Tensor:
            # A layer inside a function of the user's own is traced in another graph: its tensors cannot leave it.
            if len(inputs.shape) != 2 or tf.compat.v1.get_default_graph() is not self._graph:
                return as_keras_does(inputs, *args, **kwargs)
            outputs = self._product(inputs, layer)
            outputs = keras.ops.add(outputs, layer.bias) if layer.bias is not None else outputs
            return layer.activation(outputs) if layer.activation is not None else outputs

        change(changes, layer, "call", call)

    def _product(self, inputs: Tensor, layer: Layer) -> Tensor:
        """*graph*: return inputs times kernel; on the way back, keep what the kernel's gradient is the product of."""

        @tf.custom_gradient  # type: ignore[untyped-decorator]
        def product(inputs: Tensor, kernel: Tensor) -> Tensor:
            def gradient(upstream: Tensor) -> Tensor:
                self._factors.setdefault(id(layer._kernel), []).append((inputs, upstream))
                return tf.matmul(upstream, kernel, transpose_b=True), None

            return tf.matmul(inputs, kernel), gradient

        return product(inputs, tf.convert_to_tensor(layer.kernel))
