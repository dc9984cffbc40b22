"""``weights.npz`` of a run: the best weights by name, and the network that they belong to, made again.

Must not know training.
"""

from __future__ import annotations

import io
import os

import numpy as np

from hpcnn.models.numpy.networks import Network, Weights
from hpcnn.models.registry import build_numpy
from hpcnn.rundir.layout import RunDir
from hpcnn.specs.fields import from_mapping
from hpcnn.specs.train import TrainSpec
from hpcnn.util.errors import UsageError
from hpcnn.util.files import read_json, write_bytes
from hpcnn.util.types import Json
from hpcnn.util.unreadable import UNREADABLE


def save(run: RunDir, weights: Weights) -> None:
    """Write the weights of a run, whole."""
    content = io.BytesIO()
    np.savez(content, **weights)  # type: ignore[arg-type]
    write_bytes(run.weights, content.getvalue(), folders=False)


def load(run_dir: str | os.PathLike[str]) -> tuple[TrainSpec, Network]:
    """Return what a run trained, and its network with the weights that it kept.

    Raises UsageError for a directory that holds no training of a network in NumPy that has ended.
    """
    run = RunDir(run_dir)
    provenance: dict[str, Json] = read_json(run.provenance) or {}
    try:
        with np.load(run.weights, allow_pickle=False) as content:
            weights = {name: content[name] for name in content.files}
    except FileNotFoundError:
        model = (provenance.get("train") or {}).get("model")
        what = f", which trained {model}," if model else ""
        raise UsageError(
            f"run directory {str(run.path)!r}{what} has no {run.weights.name}: only a finished training of a network "
            "in NumPy (hpcnn models: scinet-neuron, scinet-hidden) leaves one"
        ) from None
    except (MemoryError, *UNREADABLE) as error:
        raise UsageError(f"{str(run.weights)!r} cannot be read: {error}") from error
    if "train" not in provenance:
        raise UsageError(f"{str(run.provenance)!r} does not say what was trained")
    spec = from_mapping(TrainSpec, provenance["train"], f"{run.provenance.name}: ")
    return spec, network_of(spec, weights)


def network_of(spec: TrainSpec, weights: Weights) -> Network:
    """Return the network of a complete spec with these weights. Their shapes say how many inputs and outputs it has."""
    first, *_, last = weights.values()
    outputs = len(last)
    network: Network = build_numpy(
        spec.model,
        input_shape=(first.shape[-1],),
        classes=outputs if outputs > 1 else 2,
        arguments=spec.model_args,
        loss=spec.loss,
        seed=spec.seed,
    )
    if {k: w.shape for k, w in weights.items()} != {k: w.shape for k, w in network.weights.items()}:
        raise UsageError(f"the weights are not those of {spec.model} with these arguments")
    network.weights = weights
    return network
