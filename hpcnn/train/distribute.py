"""The optimizer of a user's script, changed so that all ranks train one network: ``run.distribute`` of ``script.py``.

Must not know callbacks or records.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from hpcnn.parallel.base import Strategy
from hpcnn.train.agreement import checksum
from hpcnn.train.context import Fits
from hpcnn.train.tensors import dense, sum_present
from hpcnn.util.errors import bad_value
from hpcnn.util.types import Optimizer, Tensor, Variable


def average_gradients(optimizer: Optimizer | str, strategy: Strategy, fits: Fits) -> Optimizer:
    """Return the optimizer with an ``apply`` that first averages the gradients over all ranks.

    ``apply`` is what Keras 3's trainer calls, at the outermost optimizer: under loss scaling every rank must see the
    summed gradients before it decides whether they are finite, or one rank would skip a step that the others wait in.
    Before its first update it gives all ranks rank 0's weights and optimizer state.

    optimizer: also what ``compile`` takes, ``"adam"``. Raises UsageError for a name that Keras does not know.
    """
    optimizer = _optimizer_of(optimizer)
    if keras.config.dtype_policy().name == "mixed_float16" and not _scales_loss(optimizer):
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
    name = f"gradient.{len(fits.optimizers)}"  # steps of two optimizers may be under way at the same time
    fits.optimizers.append(optimizer)
    apply = optimizer.apply
    equal = False

    @tf.autograph.experimental.do_not_convert  # type: ignore[untyped-decorator]
    def average_and_apply(grads: Sequence[Tensor], trainable_variables: Sequence[Variable] | None = None) -> Any:
        nonlocal equal
        if not equal and strategy.size > 1:  # while the step is traced, so before its first gradient is computed
            variables = optimizer._trainable_variables if trainable_variables is None else trainable_variables
            _make_equal(optimizer, list(variables), strategy)
            equal = True
        # Dense with one rank too: Keras applies rows of an embedding that occur twice in a batch one after the other.
        summed = sum_present(strategy, [dense(g) for g in grads], name)
        return apply([None if g is None else g / strategy.size for g in summed], trainable_variables)

    optimizer.apply = average_and_apply
    return optimizer


def _optimizer_of(optimizer: Optimizer | str) -> Optimizer:
    try:
        return keras.optimizers.get(optimizer)
    except (ValueError, TypeError) as error:
        valid = "a Keras optimizer, or the name of one: sgd, adam, rmsprop, ..."
        raise bad_value("distribute", optimizer, valid) from error


def _make_equal(optimizer: Optimizer, variables: Sequence[Variable], strategy: Strategy) -> None:
    """Give all ranks rank 0's weights and optimizer state.

    In a loop that nothing traces, the first gradients are there already. Where they came from different weights, rank 0
    says so: all ranks end with the same weights, and the first step is not that of one process.
    """
    gradients_are_there = tf.executing_eagerly()
    with tf.init_scope():
        if not optimizer.built:
            optimizer.build(variables)
        least, greatest = strategy.extremes([checksum(variables)])
        if gradients_are_there and strategy.is_chief and least < greatest:
            warnings.warn(
                "hpcnn: the ranks computed their first gradients from different weights; call run.broadcast(model) "
                "before the loop",
                stacklevel=2,
            )
        strategy.broadcast([v.value for v in [*variables, *optimizer.variables]])


def _scales_loss(optimizer: Optimizer) -> bool:
    return isinstance(optimizer, keras.optimizers.LossScaleOptimizer)
