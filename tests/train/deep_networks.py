"""One step of deep networks with synchronized batch normalization.

``python -m tests.train.deep_networks STRATEGY FOLDER`` writes FOLDER/rankN.npz: the weights after the step as
``NETWORK/NUMBER``. The strategy ``float64`` is Keras's own ``train_on_batch`` in double precision from the same
weights, the oracle.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import numpy as np

from hpcnn.parallel import open_strategy
from hpcnn.parallel.base import TaskEnvironment
from hpcnn.specs.complete import complete
from hpcnn.specs.train import TrainSpec
from hpcnn.train.plan import blocks, epoch_order

NETWORKS = ("MobileNetV3Small", "ResNet50", "DenseNet121")


def spec_of(network: str, strategy: str) -> TrainSpec:
    """Return a training of one step. Dropout is off: its masks differ between replicas by design."""
    dropout = {"dropout_rate": 0.0} if network.startswith("MobileNetV3") else {}
    asked = TrainSpec(
        model=f"keras.applications:{network}",
        model_args=dropout,
        data="own:photographs",
        batch_size=32,
        epochs=1,
        optimizer="sgd",
        learning_rate=0.01,
        strategy=strategy,
        sync_batch_norm=True,
        seed=3,
    )
    return complete(asked)


def main(name: str, folder: str) -> None:
    double = name == "float64"
    strategy = open_strategy("serial" if double else name, TaskEnvironment(cpus_per_task=1))
    found: dict[str, Any] = {}
    for network in NETWORKS:
        weights = _in_double_precision(network) if double else _by_hpcnn(network, strategy)
        found |= {f"{network}/{number}": weight for number, weight in enumerate(weights)}
    Path(folder).mkdir(parents=True, exist_ok=True)
    np.savez(Path(folder) / f"rank{strategy.rank}.npz", **found)


def _by_hpcnn(network: str, strategy: Any) -> list[Any]:
    import keras

    from hpcnn.train.assemble import assemble

    keras.backend.clear_session()
    spec = spec_of(network, strategy.name)
    assembled = assemble(spec, strategy, None, lambda *facts: None, lambda line: None)
    for block in blocks(
        epoch_order(assembled.samples, spec.seed, 1), assembled.batch, strategy.size, strategy.replicas
    ):
        assembled.steps.train(block, assembled.steps.no_sums())
        assembled.steps.synchronize(block)
    return [weight.numpy() for weight in assembled.model.weights]


def _in_double_precision(network: str) -> list[Any]:
    import keras

    from hpcnn.data.registry import load
    from hpcnn.parallel.serial import SingleReplica
    from hpcnn.train.setup import make_model, prepare_keras

    spec, data = spec_of(network, "serial"), load("own:photographs")
    keras.backend.clear_session()
    prepare_keras(spec)
    first = make_model(spec, SingleReplica(), data, 1).get_weights()  # type: ignore[attr-defined]
    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("float64")
    keras.backend.clear_session()
    model: Any = getattr(keras.applications, network)(
        weights=None, input_shape=data.input_shape, classes=data.classes, **spec.model_args
    )
    model.set_weights([weight.astype(np.float64) for weight in first])
    model.compile(keras.optimizers.SGD(spec.learning_rate), "sparse_categorical_crossentropy")
    order = epoch_order(len(data.y_train), spec.seed, 1)
    model.train_on_batch(data.x_train[order].astype(np.float64), data.y_train[order])
    keras.config.set_floatx("float32")
    return [weight.numpy() for weight in model.weights]


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    main(*sys.argv[1:])
