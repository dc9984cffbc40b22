"""Summarize the layers of a model as rows: shapes, parameters and each layer's share of them.

Must not import trainings, figures or commands.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hpcnn.util.errors import UsageError
from hpcnn.util.types import Json

if TYPE_CHECKING:
    import keras

    from hpcnn.models.numpy.networks import Network


def layer_rows(model: keras.Model) -> list[dict[str, Json]]:
    """Return one row per layer: name, type, output shape without the batch axis, parameters, share in percent.

    Raises UsageError for a model without an input shape, which has no weights yet.
    """
    if not model.built:
        raise UsageError(
            f"model {model.name!r} has no input shape: start it with keras.Input, or let the function that "
            "builds it take input_shape"
        )
    total = model.count_params()
    return [
        {
            "name": layer.name,
            "type": type(layer).__name__,
            "output_shape": _output_shape(layer),
            "parameters": layer.count_params(),
            "share_percent": round(100 * layer.count_params() / total, 2) if total else 0.0,
        }
        for layer in model.layers
    ]


def numpy_rows(network: Network) -> list[dict[str, Json]]:
    """Return the rows of ``layer_rows`` for a network in NumPy."""
    rows = []
    for name, weights in network.layers.items():
        sizes = [network.weights[weight].size for weight in weights]
        rows.append(
            {
                "name": name,
                "type": "Dense (sigmoid)",
                "output_shape": [sizes[-1]],  # one bias per output
                "parameters": sum(sizes),
                "share_percent": round(100 * sum(sizes) / network.parameters, 2),
            }
        )
    return rows


def _output_shape(layer: keras.Layer) -> Json:
    """Return the shape of a layer's output, a list of shapes for several outputs, None if Keras has none."""
    import keras

    try:
        shapes = [list(tensor.shape[1:]) for tensor in keras.tree.flatten(layer.output)]
    except AttributeError:  # a layer of a subclassed model has no symbolic output
        return None
    return shapes[0] if len(shapes) == 1 else shapes


def shape_text(shape: Json) -> str:
    """Format a shape as 28x28x1, an unknown size as a question mark, several shapes as a list."""
    if isinstance(shape, dict):
        return ", ".join(shape_text(one) for one in shape.values())
    if shape and isinstance(shape[0], list):
        return ", ".join(shape_text(one) for one in shape)
    return "x".join("?" if size is None else str(size) for size in shape) or "scalar"
