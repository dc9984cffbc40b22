"""Which layer alone gives another what it takes, in the graphs of a functional or sequential model."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable
from itertools import chain
from typing import Any

import keras

from hpcnn.util.types import Layer


def sources(layers: list[Layer]) -> Callable[[Layer], Layer | None]:
    """Return a function of a layer: the layer whose output it alone takes, and takes alone; None where there is none.

    layers: those of a model and of the models in it, these included.
    """
    models = {id(graph): graph for graph in (getattr(layer, "_functional", layer) for layer in layers)}
    graphs: list[Layer] = [graph for graph in models.values() if hasattr(graph, "_nodes_by_depth")]
    calls: dict[int, list[Any]] = defaultdict(list)  # by layer: in how many places a model, or a model in it, calls it
    uses: Counter[int] = Counter()  # by tensor: how many take it
    for graph in graphs:
        uses.update(id(tensor) for tensor in keras.tree.flatten(graph.outputs))
        for node in chain.from_iterable(graph._nodes_by_depth.values()):
            calls[id(node.operation)].append(node)
            uses.update(id(tensor) for tensor in node.input_tensors)

    def only_source(layer: Layer) -> Layer | None:
        if len(calls[id(layer)]) != 1 or len(calls[id(layer)][0].input_tensors) != 1:
            return None
        tensor = calls[id(layer)][0].input_tensors[0]
        source: Layer = tensor._keras_history.operation
        return source if uses[id(tensor)] == len(calls[id(source)]) == 1 else None

    return only_source
