"""Train every row of the table of options: ``python -m tests.train.option_trainings STRATEGY FOLDER``.

Writes FOLDER/rankN.npz: the final weights of each row as ``ROW/NUMBER``, and ``ROW/refused`` with the reason where a
row is refused. The strategy ``keras`` is Keras's own ``train_on_batch`` on the same batches.
"""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from hpcnn.parallel import open_strategy
from hpcnn.parallel.base import Strategy, TaskEnvironment
from hpcnn.specs.complete import complete
from hpcnn.specs.train import TrainSpec
from hpcnn.train.plan import blocks, epoch_order
from hpcnn.util.errors import UsageError
from hpcnn.util.loss_scaling import unscaled

# 50 samples in batches of 15: neither the batches nor the last smaller one divide evenly by 2. Four steps.
SPEC = TrainSpec(model="options:build", data="digits", samples=50, test_samples=10, batch_size=15, epochs=1, seed=3)


def main(name: str, folder: str) -> None:
    by_keras = name == "keras"
    task = TaskEnvironment(cpus_per_task=1, devices=2 if name == "mirrored" else None)
    strategy = open_strategy("serial" if by_keras else name, task)
    import keras
    from options import LONG, NORMALIZED, OPTIMIZED, OPTIONS

    left = set() if os.environ.get("HPCNN_TEST_LONG") else LONG.get(name, set())
    found: dict[str, Any] = {}
    for row in OPTIONS if name not in ("mirrored", "multiworker") else OPTIMIZED:
        if row in left:
            continue
        keras.backend.clear_session()
        spec = complete(
            replace(SPEC, strategy=strategy.name, model_args={"row": row}, sync_batch_norm=row in NORMALIZED)
        )
        try:
            weights = _as_keras_does(spec) if by_keras else _as_hpcnn_does(spec, strategy)
            found |= {f"{row}/{number}": weight for number, weight in enumerate(weights)}
        except UsageError as error:
            found[f"{row}/refused"] = str(error)
    Path(folder).mkdir(parents=True, exist_ok=True)
    np.savez(Path(folder) / f"rank{strategy.rank}.npz", **found)


def _as_hpcnn_does(spec: TrainSpec, strategy: Strategy) -> list[Any]:
    from hpcnn.train.assemble import assemble

    assembled = assemble(spec, strategy, None, lambda *facts: None, lambda line: None)
    sums = assembled.steps.no_sums()
    for epoch in range(1, (spec.epochs or 0) + 1):
        order = epoch_order(assembled.samples, spec.seed, epoch)
        for block in blocks(order, assembled.batch, strategy.size, strategy.replicas):
            sums = assembled.steps.train(block, sums)
    return _finished(assembled.model)


def _as_keras_does(spec: TrainSpec) -> list[Any]:
    from hpcnn.data.registry import load
    from hpcnn.parallel.serial import SingleReplica
    from hpcnn.train.feed import one_hot_sizes
    from hpcnn.train.setup import make_model, prepare_keras

    data = load(spec.data, samples=spec.samples, test_samples=spec.test_samples)
    prepare_keras(spec)
    model: Any = make_model(replace(spec, sync_batch_norm=False), SingleReplica(), data, 3)
    model.run_eagerly = True  # the same numbers, without tracing a step for each row
    y = data.y_train
    if one_hot_sizes(model, data.classes):
        y = np.eye(data.classes, dtype=np.float32)[y.ravel()]
    for epoch in range(1, (spec.epochs or 0) + 1):
        order = epoch_order(len(y), spec.seed, epoch)
        for first in range(0, len(y), spec.batch_size or 0):
            rows = order[first : first + (spec.batch_size or 0)]
            model.train_on_batch(data.x_train[rows].astype(np.float32) / 255, y[rows])
    return _finished(model)


def _finished(model: Any) -> list[Any]:
    optimizer: Any = unscaled(model.optimizer)
    if optimizer.use_ema:
        optimizer.finalize_variable_values(model.trainable_variables)
    return [weight.numpy() for weight in model.weights]


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    main(*sys.argv[1:])
