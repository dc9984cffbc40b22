"""The layers of a network whose output is a stack of maps, and their outputs for images.

For the figures of feature maps and of patches. Draws nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hpcnn.util.errors import UsageError, unknown_value

if TYPE_CHECKING:
    from hpcnn.train.trained import Trained
    from hpcnn.util.types import Array, Layer


def map_layers(trained: Trained) -> dict[str, Layer]:
    """Return the layers whose output is (rows, columns, maps), by name in the order of the network.

    Raises UsageError for a network without any, and for one that Keras does not know as a graph of layers.
    """
    if not getattr(trained.model, "inputs", None):
        raise UsageError(
            f"{trained.spec.model}: Keras does not know its layers' outputs; expected a Sequential or functional model"
        )
    layers = {layer.name: layer for layer in trained.model.layers if _outputs_maps(layer)}
    if not layers:
        raise UsageError(f"{trained.spec.model}: none of its layers gives maps; this needs a network with convolutions")
    return layers


def one_layer(trained: Trained, name: str) -> Layer:
    """Return the layer of ``map_layers`` that ``name`` names. Raises UsageError, with the valid names."""
    layers = map_layers(trained)
    if name not in layers:
        raise unknown_value("--layer", name, layers)
    return layers[name]


def last_convolution(trained: Trained) -> Layer:
    """Return the last convolution of the network, else its last layer with maps."""
    layers = list(map_layers(trained).values())
    return next((layer for layer in reversed(layers) if "Conv" in type(layer).__name__), layers[-1])


def outputs(trained: Trained, layers: list[Layer], samples: Array) -> list[Array]:
    """Return the maps that each of ``layers`` gives for samples, (N, rows, columns, maps) each."""
    import keras

    network = keras.Model(trained.model.inputs, [layer.output for layer in layers])
    found = network(trained.inputs(samples), training=False)
    return [np.asarray(maps, np.float32) for maps in (found if isinstance(found, (list, tuple)) else [found])]


def _outputs_maps(layer: Layer) -> bool:
    if type(layer).__name__ == "InputLayer":
        return False
    try:
        return len(layer.output.shape) == 4
    except AttributeError:  # several outputs, or none that Keras knows
        return False
