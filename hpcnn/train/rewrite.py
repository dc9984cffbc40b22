"""Faster ways to compute what a network's layers compute, taken while its training step is traced.

``rewritten(model)`` is a context: inside, the layers of a functional or sequential Keras model call other operations of
TensorFlow that give the same numbers sooner; outside, and in what is saved, the model is as the user made it. What each
rewrite leaves equal is said with it. docs/speed.md shows what they gain. Must not know data, ranks or clocks.
"""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import chain
from typing import Any

import keras
import tensorflow as tf

from hpcnn.util.types import KerasModel, Layer, Tensor

# Functions that never decrease, so that the largest of their values is the value of the largest.
_MONOTONE = ("relu", "leaky_relu", "elu", "selu", "tanh", "sigmoid")

# Set to 0 to compute everything as Keras does: to compare, or should a rewrite ever be suspected.
SWITCH = "HPCNN_REWRITE"


def enabled() -> bool:
    """Return whether rewrites are wanted (``HPCNN_REWRITE``, default 1)."""
    return os.environ.get(SWITCH, "1") != "0"


@contextmanager
def rewritten(model: KerasModel) -> Iterator[None]:
    """Let the model's layers compute in the faster way inside the context."""
    with ExitStack() as changes:
        if enabled():
            layers = list(model._flatten_layers(include_self=True, recursive=True))
            for pool, before in _pooled(layers):
                _activate_after_pooling(changes, pool, before)
            for layer in layers:
                if type(layer) is keras.layers.Dropout and layer.rate > 0 and not is_altered(layer):
                    _drop_by_few_bits(changes, layer)
        yield


def _pooled(layers: list[Layer]) -> Iterator[tuple[Layer, Layer]]:
    """Yield each max pooling and what activates right before it, where activated values go nowhere else."""
    models = {id(graph): graph for graph in (getattr(layer, "_functional", layer) for layer in layers)}
    graphs: list[Layer] = [graph for graph in models.values() if hasattr(graph, "_nodes_by_depth")]
    calls: dict[int, list[Any]] = defaultdict(list)  # by layer: in how many places a model, or a model in it, calls it
    uses: Counter[int] = Counter()  # by tensor: how many take it
    for graph in graphs:
        uses.update(id(tensor) for tensor in keras.tree.flatten(graph.outputs))
        for node in chain.from_iterable(graph._nodes_by_depth.values()):
            calls[id(node.operation)].append(node)
            uses.update(id(tensor) for tensor in node.input_tensors)

    def only_source(layer: Layer) -> Tensor:
        """Return the layer whose output ``layer`` alone takes, and takes alone; None where there is none."""
        if len(calls[id(layer)]) != 1 or len(calls[id(layer)][0].input_tensors) != 1:
            return None
        tensor = calls[id(layer)][0].input_tensors[0]
        source = tensor._keras_history.operation
        return source if uses[id(tensor)] == len(calls[id(source)]) == 1 else None

    for pool in layers:
        if type(pool) is keras.layers.MaxPooling2D and not _is_watched(pool):
            before = only_source(pool)
            if before is not None and _activation(before) is not None:
                yield pool, before


def _activation(layer: Layer) -> Callable[[Tensor], Tensor] | None:
    """Return the monotone function that the layer applies to each value at the end, None for any other layer."""
    if _is_watched(layer):
        return None
    if type(layer) in (keras.layers.ReLU, keras.layers.LeakyReLU):
        apply: Callable[[Tensor], Tensor] = layer.call
        return apply
    if type(layer) in (keras.layers.Conv2D, keras.layers.Activation):
        name = getattr(layer.activation, "__name__", "")
        if name in _MONOTONE and layer.activation is getattr(keras.activations, name):
            function: Callable[[Tensor], Tensor] = layer.activation
            return function
    return None


def _is_watched(layer: Layer) -> bool:
    """Return whether something besides the next layer sees or changes what the layer computes.

    A regularizer of its activated values, or what ``is_altered`` finds.
    """
    return getattr(layer, "activity_regularizer", None) is not None or is_altered(layer)


def is_altered(layer: Layer) -> bool:
    """Return whether a layer computes otherwise than its class: a replaced ``call``, quantized kernels, LoRA."""
    return (
        "call" in vars(layer)
        or getattr(layer, "quantization_mode", None) is not None
        or getattr(layer, "lora_enabled", False)
    )


def _activate_after_pooling(changes: ExitStack, pool: Layer, before: Layer) -> None:
    """Pool first and activate what is left, a quarter of the values for 2 x 2; sum the bias's gradient over them too.

    The largest of monotone values is the value of the largest, so outputs are equal bit by bit. Gradients too, to
    rounding, except where rounding makes two activated values equal that were not before: they go to the first of the
    two in one way, to the larger in the other.
    """
    activate, pooling = _activation(before), pool.call
    assert activate is not None
    if type(before) is not keras.layers.Conv2D:
        change(changes, before, "call", lambda inputs, *args, **kwargs: inputs)
        change(changes, pool, "call", lambda *args, **kwargs: activate(pooling(*args, **kwargs)))
        return
    form = "NHWC" if before.data_format == "channels_last" else "NCHW"

    def convolve(inputs: Tensor) -> Tensor:
        convolved = before.convolution_op(inputs, before.kernel)
        return tf.nn.bias_add(convolved, tf.stop_gradient(before.bias), form) if before.use_bias else convolved

    def pool_and_activate(*args: Any, **kwargs: Any) -> Tensor:
        pooled = pooling(*args, **kwargs)
        return activate(_give_gradient(pooled, before.bias, form) if before.use_bias else pooled)

    change(changes, before, "call", convolve)
    change(changes, pool, "call", pool_and_activate)


def _give_gradient(pooled: Tensor, bias: Tensor, form: str) -> Tensor:
    """*graph*: return ``pooled``, which contains the bias already, and let the bias have its gradient from there."""

    @tf.custom_gradient  # type: ignore[untyped-decorator]
    def contains(pooled: Tensor, bias: Tensor) -> Tensor:
        def gradient(upstream: Tensor) -> Tensor:
            return upstream, tf.reduce_sum(upstream, [0, 1, 2] if form == "NHWC" else [0, 2, 3])

        return tf.identity(pooled), gradient

    return contains(pooled, tf.convert_to_tensor(bias))


def _drop_by_few_bits(changes: ExitStack, layer: Layer) -> None:
    """Draw 8 random bits a value (16 where the rate is no multiple of 1/256) instead of 32.

    Drawing takes longer than anything else of dropout. Masks differ from Keras's, their distribution does not: a rate
    of sixteen bits is off by at most 1/131072.
    """
    if layer.noise_shape is not None:
        return
    bits = 8 if float(layer.rate * 256).is_integer() else 16
    dtype = tf.uint8 if bits == 8 else tf.uint16
    dropped = min(max(round(layer.rate * 2**bits), 1), 2**bits - 1)

    def drop(inputs: Tensor, training: bool = False) -> Tensor:
        if not training:
            return inputs
        count, a_word = tf.size(inputs), 32 // bits
        words = tf.random.stateless_uniform(
            [(count + a_word - 1) // a_word], layer.seed_generator.next(), None, None, tf.uint32
        )
        drawn = tf.reshape(tf.bitcast(words, dtype), [-1])[:count]
        kept = tf.reshape(drawn >= tf.constant(dropped, dtype), tf.shape(inputs))
        return inputs * (tf.cast(kept, inputs.dtype) * tf.constant(1 / (1 - layer.rate), inputs.dtype))

    change(changes, layer, "call", drop)


def change(changes: ExitStack, layer: Layer, name: str, value: Any) -> None:
    """Set an attribute of a layer past Keras's tracking, until the context ends."""
    own = name in vars(layer)
    before = vars(layer).get(name)
    object.__setattr__(layer, name, value)
    changes.callback(object.__setattr__, layer, name, before) if own else changes.callback(
        object.__delattr__, layer, name
    )
