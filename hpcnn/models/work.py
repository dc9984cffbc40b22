"""Count a model's operations and bytes for one sample, from the shapes of its layers.

Operations are the multiplications and additions of matrix products and convolutions, two each: a lower bound of the
work, and the convention by which a peak in FLOP/s is measured (Chowdhery et al., 2022, arXiv:2204.02311, appendix B:
"model FLOPs utilization"; Narayanan et al., 2021, arXiv:2104.04473, appendix). By that convention the operations leave
out biases, activations, pooling, dropout and normalization; the bytes include them. Layers of unknown classes are
named.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias, TypedDict

if TYPE_CHECKING:
    import keras

Shape: TypeAlias = tuple[int | None, ...]

# Layers without a matrix product, by the name of their class: they read each input and write each output.
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
    "CustomScaleLayer",  # of keras.applications, as are LayerScale and StochasticDepth
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
    "LayerScale",
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
    "StochasticDepth",
    "Subtract",
    "UpSampling1D",
    "UpSampling2D",
    "ZeroPadding1D",
    "ZeroPadding2D",
)
# Layers that write values and read them again, besides their inputs and outputs.
_IN_TWO_STEPS = ("SeparableConv1D", "SeparableConv2D")
# Layers that move no data.
_VIEWS = ("Flatten", "Identity", "InputLayer", "Reshape")


class WorkFacts(TypedDict):
    """The work in the record of a run; numbers are None if a layer is unknown."""

    flops_forward: int | None
    flops_training: int | None
    bytes_per_sample: int | None
    bytes_per_step: int | None
    not_counted: list[str]


@dataclass
class Work:
    """The operations and memory traffic of one model.

    forward, training: operations for one sample, of a forward pass and of a training step: forward, gradient of the
    weights, gradient of the inputs. values, weights: numbers that a training step reads and writes, for each sample
    (inputs and outputs of the layers) and once per step (weights and their gradients); times the bytes of a number they
    are the traffic of a machine whose caches keep nothing from one layer to the next. unknown: layers that could not be
    counted, as ``name (class)``; with one of them all the numbers are too small.
    """

    forward: int = 0
    training: int = 0
    values: int = 0
    weights: int = 0
    unknown: list[str] = field(default_factory=list)

    def facts(self, precision: str) -> WorkFacts:
        """Return the work for the record of a run.

        precision: one of PRECISIONS, which decides the bytes of a number.
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


def work_of(model: keras.Model) -> Work:
    """Count the work of a built Keras model; a model that calls its layers by its own code is unknown."""
    work = Work()
    graph = _graph_of(model)
    if graph is None:
        _add(work, model, [], [], carries=False)
    else:
        _add_graph(work, graph, [False] * len(graph.inputs))
    return work


def _graph_of(operation: keras.Operation) -> Any:
    """Return the graph of a functional or sequential model, None for anything else."""
    graph = getattr(operation, "_functional", None) or operation  # Sequential keeps its graph there
    return graph if hasattr(graph, "_nodes_by_depth") else None


def _add_graph(work: Work, graph: Any, carried: Iterable[bool]) -> list[bool]:
    """Add every call of a layer in a graph, in topological order, those of models inside of it too.

    carried: for each input of the graph, whether it depends on trained weights. Returns the same of its outputs.
    """
    import keras

    trained = {id(tensor) for tensor, carries in zip(graph.inputs, carried, strict=True) if carries}
    for depth in sorted(graph._nodes_by_depth, reverse=True):
        for node in graph._nodes_by_depth[depth]:
            inputs, outputs = (keras.tree.flatten(part) for part in (node.input_tensors, node.output_tensors))
            carries = [id(tensor) in trained for tensor in inputs]
            inner = _graph_of(node.operation)
            if inner is not None:
                given = _add_graph(work, inner, carries)
            else:
                _add(work, node.operation, [t.shape[1:] for t in inputs], [t.shape[1:] for t in outputs], any(carries))
                given = [_trained(node.operation) or any(carries)] * len(outputs)
            trained.update(id(tensor) for tensor, depends in zip(outputs, given, strict=True) if depends)
    return [id(tensor) in trained for tensor in graph.outputs]


def _add(work: Work, layer: keras.Operation, inputs: list[Shape], outputs: list[Shape], carries: bool) -> None:
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
    if kind in _IN_TWO_STEPS:
        moved += 2 * _between(layer, outputs[0])
    weights = sum(_numbers(weight.shape) for weight in getattr(layer, "weights", []))
    passes = 1 + (product is not None and _trained(layer)) + carries
    if product is not None:
        operations = 2 * product(layer, inputs[0], outputs[0])
        work.forward += operations
        work.training += passes * operations
        if kind in _IN_TWO_STEPS and _trained(layer) and not carries:  # the second step's inputs need a gradient
            work.training += 2 * _between(layer, outputs[0]) * int(layer.pointwise_kernel.shape[-1])
    work.values += passes * moved
    work.weights += passes * weights


def _trained(operation: keras.Operation) -> bool:
    """Return whether an operation has trainable weights; functions of ``keras.ops`` in a graph have none."""
    return bool(getattr(operation, "trainable_weights", []))


def _size(shape: Shape) -> int:
    return math.prod(size or 0 for size in shape)


def _numbers(kernel_shape: Iterable[int]) -> int:
    return math.prod(int(size) for size in kernel_shape)


def _dense(layer: keras.Layer, inputs: Shape, outputs: Shape) -> int:
    """Return the multiplications of a Dense layer: each input value of a row with each of its output values."""
    return _size(outputs) * int(inputs[-1] or 0)


def _convolution(layer: keras.Layer, inputs: Shape, outputs: Shape) -> int:
    """Return the multiplications of a convolution: for each output value the kernel times the channels of its group."""
    return _size(outputs) * _numbers(layer.kernel.shape[:-1])  # kernel: (*size, channels / groups, filters)


def _depthwise(layer: keras.Layer, inputs: Shape, outputs: Shape) -> int:
    """Return the multiplications of a depthwise convolution: for each output value the kernel on one channel."""
    return _size(outputs) * _numbers(layer.kernel.shape[:-2])


def _separable(layer: keras.Layer, inputs: Shape, outputs: Shape) -> int:
    """Return the multiplications of a depthwise convolution and of the 1 x 1 convolution on what it gives."""
    kernel, filters = layer.depthwise_kernel.shape, layer.pointwise_kernel.shape[-1]
    return _between(layer, outputs) * int(_numbers(kernel[:-2]) + filters)


def _between(layer: keras.Layer, outputs: Shape) -> int:
    """Return the values that a separable convolution writes between its two steps."""
    channels, filters = layer.pointwise_kernel.shape[-2:]
    return _size(outputs) // int(filters) * int(channels)


def _transposed(layer: keras.Layer, inputs: Shape, outputs: Shape) -> int:
    """Return the multiplications of a transposed convolution: each input value times the kernel, for every filter."""
    return _size(inputs) * _numbers(layer.kernel.shape[:-1])  # kernel: (*size, filters, channels)


_PRODUCTS: dict[str, Callable[[keras.Layer, Shape, Shape], int]] = {
    "Dense": _dense,
    "Conv1D": _convolution,
    "Conv2D": _convolution,
    "Conv3D": _convolution,
    "DepthwiseConv1D": _depthwise,
    "DepthwiseConv2D": _depthwise,
    "SeparableConv1D": _separable,
    "SeparableConv2D": _separable,
    "Conv1DTranspose": _transposed,
    "Conv2DTranspose": _transposed,
    "Conv3DTranspose": _transposed,
}
