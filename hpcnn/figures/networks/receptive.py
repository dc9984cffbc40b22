"""The receptive field of a layer: the part of the image on which one value of its output depends. Draws nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from hpcnn.util.errors import UsageError

if TYPE_CHECKING:
    from hpcnn.util.types import Layer, Tensor

# Each of their values depends on those at the same place alone.
_PLACE_BY_PLACE = (
    *("InputLayer", "Activation", "ReLU", "LeakyReLU", "ELU", "PReLU", "Softmax", "Identity", "Rescaling"),
    *("Dropout", "SpatialDropout2D", "GaussianDropout", "GaussianNoise", "AlphaDropout", "BatchNormalization"),
    *("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum", "Concatenate"),
)
_WINDOWS = ("Conv2D", "DepthwiseConv2D", "SeparableConv2D", "MaxPooling2D", "AveragePooling2D")


class Field(NamedTuple):
    """Along one axis, value p of a layer depends on pixels p * jump + low to p * jump + high, both included."""

    jump: int
    low: int
    high: int

    def of(self, position: int) -> tuple[int, int]:
        """Return the first pixel and the one after the last; both may lie beyond the image, in its padding."""
        return position * self.jump + self.low, position * self.jump + self.high + 1


def receptive_field(layer: Layer) -> tuple[Field, Field]:
    """Return the receptive field of a layer along rows and columns.

    After V. Dumoulin and F. Visin, arXiv:1603.07285, section 2.4 for sizes; a stack of windows adds up as there. Of
    several branches, it is the union of theirs. Raises UsageError for a layer whose windows hpcnn does not know.
    """
    rows, columns = (_field(layer.output, axis, {}) for axis in (0, 1))
    return rows, columns


def _field(tensor: Tensor, axis: int, known: dict[int, Field]) -> Field:
    layer, node, _ = tensor._keras_history
    if id(tensor) not in known:
        inputs = [_field(parent, axis, known) for parent in layer._inbound_nodes[node].input_tensors]
        before = _union(inputs) if inputs else Field(1, 0, 0)
        known[id(tensor)] = _through(layer, axis, before)
    return known[id(tensor)]


def _union(fields: list[Field]) -> Field:
    return Field(fields[0].jump, min(field.low for field in fields), max(field.high for field in fields))


def _through(layer: Layer, axis: int, before: Field) -> Field:
    kind = type(layer).__name__
    if kind in _PLACE_BY_PLACE:
        return before
    if kind == "ZeroPadding2D":
        return before._replace(
            low=before.low - before.jump * layer.padding[axis][0],
            high=before.high - before.jump * layer.padding[axis][0],
        )
    if kind not in _WINDOWS:
        raise UsageError(f"layer {layer.name} ({kind}): hpcnn does not know what part of the image it sees")
    window = layer.pool_size if "Pooling" in kind else layer.kernel_size
    dilation = 1 if "Pooling" in kind else layer.dilation_rate[axis]
    extent, stride = (window[axis] - 1) * dilation + 1, layer.strides[axis]
    size = layer.input.shape[1 + axis]
    skipped = 0
    if layer.padding == "same":
        skipped = max((-(-size // stride) - 1) * stride + extent - size, 0) // 2
    low = before.low - before.jump * skipped
    return Field(before.jump * stride, low, low + before.jump * (extent - 1) + before.high - before.low)
