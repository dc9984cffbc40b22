"""How many operations a model does on one sample, and how many bytes it moves: counted from the shapes of its layers.

What is counted are the multiplications and additions of matrix products and convolutions, two operations each: a lower
bound of the work, and what a peak in FLOP/s is measured with (Chowdhery et al., 2022, arXiv:2204.02311, appendix B:
"model FLOPs utilization"; Narayanan et al., 2021, arXiv:2104.04473, appendix). Biases, activations, pooling, dropout
and normalization are left out of the operations by that convention, though not out of the bytes. A layer that is
neither known to multiply nor known not to is named. Knows nothing of time, ranks or machines.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

Shape = tuple[int | None, ...]

# Layers without a matrix product, by the name of their class: each value is read, and written as often as it comes out.
_ELEMENTWISE = (
    "Activation",
    "ActivityRegularization",
    "Add",
    "AlphaDropout",
    "Average",
    "AveragePooling1D",
    "AveragePooling2D",
    "AveragePooling3D",
    "BatchNormalization",
    "CenterCrop",
    "Concatenate",
    "Cropping1D",
    "Cropping2D",
    "Dropout",
    "ELU",
    "GaussianDropout",
    "GaussianNoise",
    "GlobalAveragePooling1D",
    "GlobalAveragePooling2D",
    "GlobalAveragePooling3D",
    "GlobalMaxPooling1D",
    "GlobalMaxPooling2D",
    "GlobalMaxPooling3D",
    "GroupNormalization",
    "LayerNormalization",
    "LeakyReLU",
    "MaxPooling1D",
    "MaxPooling2D",
    "MaxPooling3D",
    "Maximum",
    "Minimum",
    "Multiply",
    "Normalization",
    "PReLU",
    "Permute",
    "ReLU",
    "RepeatVector",
    "Rescaling",
    "Softmax",
    "SpatialDropout1D",
    "SpatialDropout2D",
    "Subtract",
    "UpSampling1D",
    "UpSampling2D",
    "ZeroPadding1D",
    "ZeroPadding2D",
)
# Layers that give the same memory another name.
_VIEWS = ("Flatten", "Identity", "InputLayer", "Reshape")


@dataclass
class Work:
    """What one model does.

    forward, training: operations for one sample, of a forward pass and of a training step: forward, gradient of the
    weights, gradient of the inputs. values, weights: numbers that a training step reads and writes, for each sample
    (inputs and outputs of the layers) and once a step (weights and their gradients); times the bytes of a number they
    are the traffic of a machine whose caches hold nothing from one layer to the next. unknown: layers that could not
    be counted, as ``name (class)``; with one of them all the numbers are too small.
    """

    forward: int = 0
    training: int = 0
    values: int = 0
    weights: int = 0
    unknown: list[str] = field(default_factory=list)

    def facts(self, precision: str) -> dict[str, Any]:
        """Return the work as the record of a run has it; numbers are None where a layer is unknown.

        precision: of ``spec.PRECISIONS``, which says how many bytes a number has.
        """
        size = 4 if precision == "float32" else 2
        known = not self.unknown
        return {
            "flops_forward": self.forward if known else None,
            "flops_training": self.training if known else None,
            "bytes_per_sample": self.values * size if known else None,
            "bytes_per_step": self.weights * size if known else None,
            "not_counted": self.unknown,
        }


def work_of(model: Any) -> Work:
    """Return the work of a built Keras model; a model whose layers are called by code of its own is unknown."""
    work = Work()
    trained: set[int] = set()  # tensors on the way of a gradient to some weight
    for operation, inputs, outputs in _calls(model):
        carries = any(id(tensor) in trained for tensor in inputs)
        if _trained(operation) or carries:
            trained.update(id(tensor) for tensor in outputs)
        _add(work, operation, [t.shape[1:] for t in inputs], [t.shape[1:] for t in outputs], carries)
    return work


def _calls(model: Any) -> Iterator[tuple[Any, list[Any], list[Any]]]:
    """Yield each call of a layer in the model's graph, with its input and output tensors, in the order of the flow.

    A model that is no graph is one call, without tensors.
    """
    import keras

    graph = getattr(model, "_functional", None) or model  # Sequential keeps its graph there
    nodes = getattr(graph, "_nodes_by_depth", None)
    if nodes is None:
        yield model, [], []
        return
    for depth in sorted(nodes, reverse=True):
        for node in nodes[depth]:
            yield node.operation, keras.tree.flatten(node.input_tensors), keras.tree.flatten(node.output_tensors)


def _add(work: Work, layer: Any, inputs: list[Shape], outputs: list[Shape], carries: bool) -> None:
    """Add one call of a layer. carries: whether its inputs depend on trained weights, and so need a gradient."""
    kind = type(layer).__name__
    if kind in _VIEWS:
        return
    product = _PRODUCTS.get(kind)
    known = product is not None or kind in _ELEMENTWISE
    if not known or not outputs or any(size is None for shape in (*inputs, *outputs) for size in shape):
        work.unknown.append(f"{layer.name} ({kind})")
        return
    moved = sum(_size(shape) for shape in (*inputs, *outputs))
    weights = sum(_numbers(weight.shape) for weight in getattr(layer, "weights", []))
    passes = 1 + (product is not None and _trained(layer)) + carries
    if product is not None:
        operations = 2 * product(layer, inputs[0], outputs[0])
        work.forward += operations
        work.training += passes * operations
    work.values += passes * moved
    work.weights += passes * weights


def _trained(operation: Any) -> bool:
    """Whether it has weights that are trained; functions of ``keras.ops`` in a graph have none."""
    return bool(getattr(operation, "trainable_weights", []))


def _size(shape: Shape) -> int:
    return math.prod(size or 0 for size in shape)


def _numbers(kernel_shape: Any) -> int:
    return math.prod(int(size) for size in kernel_shape)


def _dense(layer: Any, inputs: Shape, outputs: Shape) -> int:
    """Multiplications of a Dense layer: every input value of a row with every output value of it."""
    return _size(outputs) * int(inputs[-1] or 0)


def _convolution(layer: Any, inputs: Shape, outputs: Shape) -> int:
    """Multiplications of a convolution: for each output value the kernel times the channels of its group."""
    return _size(outputs) * _numbers(layer.kernel.shape[:-1])  # kernel: (*size, channels / groups, filters)


def _depthwise(layer: Any, inputs: Shape, outputs: Shape) -> int:
    """Multiplications of a depthwise convolution: each output value sees one channel."""
    return _size(outputs) * _numbers(layer.kernel.shape[:-2])


def _transposed(layer: Any, inputs: Shape, outputs: Shape) -> int:
    """Multiplications of a transposed convolution: each input value times the kernel, for every filter."""
    return _size(inputs) * _numbers(layer.kernel.shape[:-1])  # kernel: (*size, filters, channels)


_PRODUCTS: dict[str, Callable[[Any, Shape, Shape], int]] = {
    "Dense": _dense,
    "Conv1D": _convolution,
    "Conv2D": _convolution,
    "Conv3D": _convolution,
    "DepthwiseConv1D": _depthwise,
    "DepthwiseConv2D": _depthwise,
    "Conv1DTranspose": _transposed,
    "Conv2DTranspose": _transposed,
    "Conv3DTranspose": _transposed,
}
