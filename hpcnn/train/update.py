"""The optimizer's step in one pass over the weights, where TensorFlow has an operation for all of it.

Keras writes the rules of SGD, Adam and RMSprop as several operations, each of which reads and writes the whole weight.
TensorFlow's fused operations compute the same rules, to rounding. Everything around them (schedules, clipping, loss
scaling, weight decay, averages) stays Keras's. Must not know networks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf

from hpcnn.train.rewrite import enabled
from hpcnn.train.tensors import plain
from hpcnn.util.loss_scaling import unscaled
from hpcnn.util.types import Optimizer, Tensor, Variable

Rule = Callable[[Optimizer, Tensor, Variable, Tensor], bool]


def fuse(optimizer: Optimizer) -> bool:
    """Make the optimizer's ``update_step`` use a fused operation where there is one for it; return whether it does.

    Under ``tf.distribute``, whose variables have a copy on each device, Keras's own rule stays.
    """
    optimizer = unscaled(optimizer)
    rule = _rule(optimizer)
    if rule is None or not enabled() or "update_step" in vars(optimizer):
        return False
    as_keras_does = optimizer.update_step

    def update_step(gradient: Tensor, variable: Variable, learning_rate: Tensor) -> None:
        if isinstance(gradient, tf.IndexedSlices) or not rule(optimizer, gradient, variable, learning_rate):
            as_keras_does(gradient, variable, learning_rate)

    object.__setattr__(optimizer, "update_step", update_step)
    if not _handles(*optimizer.variables):
        return False
    update_all = optimizer._backend_update_step

    def read_rate_once(gradients: Sequence[Tensor], variables: Sequence[Variable], learning_rate: Any) -> None:
        update_all(gradients, variables, tf.convert_to_tensor(learning_rate))

    object.__setattr__(optimizer, "_backend_update_step", read_rate_once)
    return True


def _rule(optimizer: Optimizer) -> Rule | None:
    """Return the fused rule; none for a class that has a rule of its own."""
    own = type(optimizer).update_step
    if own is keras.optimizers.SGD.update_step:
        return _sgd
    if own is keras.optimizers.Adam.update_step and not optimizer.amsgrad:
        return _adam
    if own is keras.optimizers.RMSprop.update_step and optimizer.momentum and not optimizer.centered:
        return _rmsprop
    return None


def _sgd(optimizer: Optimizer, gradient: Tensor, variable: Variable, learning_rate: Tensor) -> bool:
    """*graph*: w -= rate g; with momentum v = momentum v - rate g, w += v (or Nesterov's form)."""
    rate = tf.cast(learning_rate, variable.dtype)
    if not optimizer.momentum:
        handles = _handles(variable)
        if handles:
            tf.raw_ops.ResourceApplyGradientDescent(var=handles[0], alpha=rate, delta=gradient)
        return bool(handles)
    handles = _handles(variable, optimizer.momentums[optimizer._get_variable_index(variable)])
    if handles:
        tf.raw_ops.ResourceApplyKerasMomentum(
            var=handles[0],
            accum=handles[1],
            lr=rate,
            grad=gradient,
            momentum=tf.constant(optimizer.momentum, variable.dtype),
            use_nesterov=optimizer.nesterov,
        )
    return bool(handles)


def _adam(optimizer: Optimizer, gradient: Tensor, variable: Variable, learning_rate: Tensor) -> bool:
    """*graph*: Adam's rule, Kingma and Ba (2015), arXiv:1412.6980, the form before section 2.1."""
    index = optimizer._get_variable_index(variable)
    handles = _handles(variable, optimizer._momentums[index], optimizer._velocities[index])
    if handles:
        step = tf.cast(keras.ops.add(optimizer.iterations, 1), variable.dtype)
        beta_1, beta_2 = (tf.constant(beta, variable.dtype) for beta in (optimizer.beta_1, optimizer.beta_2))
        tf.raw_ops.ResourceApplyAdam(
            var=handles[0],
            m=handles[1],
            v=handles[2],
            beta1_power=beta_1**step,
            beta2_power=beta_2**step,
            lr=tf.cast(learning_rate, variable.dtype),
            beta1=beta_1,
            beta2=beta_2,
            epsilon=tf.constant(optimizer.epsilon, variable.dtype),
            grad=gradient,
        )
    return bool(handles)


def _rmsprop(optimizer: Optimizer, gradient: Tensor, variable: Variable, learning_rate: Tensor) -> bool:
    """*graph*: RMSprop's rule with momentum; TensorFlow has no operation for the one without.

    The centered rule stays Keras's: its difference of two averages makes much of the last digits.
    """
    index = optimizer._get_variable_index(variable)
    handles = _handles(variable, optimizer._velocities[index], optimizer._momentums[index])
    if handles:
        constants = {"rho": optimizer.rho, "momentum": optimizer.momentum, "epsilon": optimizer.epsilon}
        tf.raw_ops.ResourceApplyRMSProp(
            **{name: tf.constant(value, variable.dtype) for name, value in constants.items()},
            **dict(zip(("var", "ms", "mom"), handles, strict=True)),
            lr=tf.cast(learning_rate, variable.dtype),
            grad=gradient,
        )
    return bool(handles)


def _handles(*variables: Any) -> list[Any]:
    """Return the resources of plain variables; nothing where one is a strategy's, with a copy on each device."""
    own = [plain(variable) for variable in variables]
    distributed = any(hasattr(variable, "values") for variable in own)
    return [] if distributed else [variable.handle for variable in own]
