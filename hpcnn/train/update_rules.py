"""The rules of optimizers for which TensorFlow has one operation, and that operation for each. Must not know networks.

Each is Keras's rule, with its epsilon in the same place.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf

from hpcnn.train.tensors import plain
from hpcnn.util.types import Optimizer, Tensor

Step = Callable[[Tensor, Any, Tensor], object]
"""*graph*: from gradient, TensorFlow's variable of a weight and learning rate to the next weight, which is written."""


@dataclass(frozen=True)
class Rule:
    """A rule. step: makes the steps of weights of one type; is_linear: it uses learning rate times gradient alone."""

    step: Callable[[Optimizer, Any], Step]
    is_linear: bool = False


def rule_of(optimizer: Optimizer) -> Rule | None:
    """Return the rule of an optimizer; none for a class that has one of its own, or that TensorFlow has not."""
    if "update_step" in vars(optimizer):
        return None
    own = type(optimizer).update_step
    if own is keras.optimizers.SGD.update_step:
        return Rule(_momentum if optimizer.momentum else _descent, is_linear=True)
    if own is keras.optimizers.Adam.update_step:
        return Rule(_amsgrad if optimizer.amsgrad else _adam)
    if own is keras.optimizers.Adamax.update_step:
        return Rule(_adamax)
    if own is keras.optimizers.Adadelta.update_step:
        return Rule(_adadelta)
    if own is keras.optimizers.RMSprop.update_step and not optimizer.centered:
        # The centered rule's difference of two averages makes much of the last digits.
        return Rule(_rmsprop if optimizer.momentum else _without_momentum(optimizer))
    return None


def _descent(optimizer: Optimizer, dtype: Any) -> Step:
    """w -= rate g."""
    return lambda gradient, variable, rate: tf.raw_ops.ResourceApplyGradientDescent(
        var=variable.handle, alpha=rate, delta=gradient
    )


def _momentum(optimizer: Optimizer, dtype: Any) -> Step:
    """v = momentum v - rate g, w += v; or Nesterov's form."""
    momentum = tf.constant(optimizer.momentum, dtype)

    def step(gradient: Tensor, variable: Any, rate: Tensor) -> None:
        tf.raw_ops.ResourceApplyKerasMomentum(
            var=variable.handle,
            accum=_handle(optimizer, optimizer.momentums, variable),
            lr=rate,
            grad=gradient,
            momentum=momentum,
            use_nesterov=optimizer.nesterov,
        )

    return step


def _adam(optimizer: Optimizer, dtype: Any) -> Step:
    """Adam's rule, Kingma and Ba (2015), arXiv:1412.6980, the form before section 2.1."""
    same = {**_powers(optimizer, dtype, "beta1_power", "beta2_power"), **_betas(optimizer, dtype)}

    def step(gradient: Tensor, variable: Any, rate: Tensor) -> None:
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=_handle(optimizer, optimizer._momentums, variable),
            v=_handle(optimizer, optimizer._velocities, variable),
            lr=rate,
            grad=gradient,
            **same,
        )

    return step


def _amsgrad(optimizer: Optimizer, dtype: Any) -> Step:
    """Adam with the largest of all velocities, Reddi et al. (2018), arXiv:1904.09237."""
    same = {**_powers(optimizer, dtype, "beta1_power", "beta2_power"), **_betas(optimizer, dtype)}

    def step(gradient: Tensor, variable: Any, rate: Tensor) -> None:
        tf.raw_ops.ResourceApplyAdamWithAmsgrad(
            var=variable.handle,
            m=_handle(optimizer, optimizer._momentums, variable),
            v=_handle(optimizer, optimizer._velocities, variable),
            vhat=_handle(optimizer, optimizer._velocity_hats, variable),
            lr=rate,
            grad=gradient,
            **same,
        )

    return step


def _adamax(optimizer: Optimizer, dtype: Any) -> Step:
    """Adam's rule by the largest gradient, section 7.1 of the same paper."""
    same = {**_powers(optimizer, dtype, "beta1_power"), **_betas(optimizer, dtype)}

    def step(gradient: Tensor, variable: Any, rate: Tensor) -> None:
        tf.raw_ops.ResourceApplyAdaMax(
            var=variable.handle,
            m=_handle(optimizer, optimizer._m, variable),
            v=_handle(optimizer, optimizer._u, variable),
            lr=rate,
            grad=gradient,
            **same,
        )

    return step


def _adadelta(optimizer: Optimizer, dtype: Any) -> Step:
    """Adadelta's rule, Zeiler (2012), arXiv:1212.5701, times the learning rate."""
    same = {"rho": tf.constant(optimizer.rho, dtype), "epsilon": tf.constant(optimizer.epsilon, dtype)}

    def step(gradient: Tensor, variable: Any, rate: Tensor) -> None:
        tf.raw_ops.ResourceApplyAdadelta(
            var=variable.handle,
            accum=_handle(optimizer, optimizer._accumulated_grads, variable),
            accum_update=_handle(optimizer, optimizer._accumulated_delta_vars, variable),
            lr=rate,
            grad=gradient,
            **same,
        )

    return step


def _rmsprop(optimizer: Optimizer, dtype: Any) -> Step:
    """The gradient over the root of its mean square, with momentum: Hinton's lecture 6e (2012)."""
    return _by_mean_square(optimizer, dtype, lambda variable: _handle(optimizer, optimizer._momentums, variable))


def _without_momentum(optimizer: Optimizer) -> Callable[[Optimizer, Any], Step]:
    """Return the same without momentum: TensorFlow's operation writes one in any case, here to where nobody reads it.

    Weights of one shape share that place. It holds what each weight moved by, and 0 of it goes into the next.
    """
    places: dict[tuple[tuple[int, ...], str], Any] = {}
    for variable in map(plain, optimizer._trainable_variables):
        key = (tuple(variable.shape), variable.dtype.name)
        if key not in places:
            places[key] = tf.Variable(tf.zeros(variable.shape, variable.dtype), trainable=False)

    def step(optimizer: Optimizer, dtype: Any) -> Step:
        return _by_mean_square(
            optimizer, dtype, lambda variable: places[tuple(variable.shape), variable.dtype.name].handle
        )

    return step


def _by_mean_square(optimizer: Optimizer, dtype: Any, place: Callable[[Any], Any]) -> Step:
    constants = {"rho": optimizer.rho, "momentum": optimizer.momentum, "epsilon": optimizer.epsilon}
    same = {name: tf.constant(value, dtype) for name, value in constants.items()}

    def step(gradient: Tensor, variable: Any, rate: Tensor) -> None:
        tf.raw_ops.ResourceApplyRMSProp(
            var=variable.handle,
            ms=_handle(optimizer, optimizer._velocities, variable),
            mom=place(variable),
            lr=rate,
            grad=gradient,
            **same,
        )

    return step


def _handle(optimizer: Optimizer, slots: list[Any], variable: Any) -> Any:
    """Return the resource of what an optimizer keeps for a weight."""
    return plain(slots[optimizer._get_variable_index(variable)]).handle


def _powers(optimizer: Optimizer, dtype: Any, *names: str) -> dict[str, Tensor]:
    """*graph*: return beta_1 and beta_2 to the power of the step's number, as many as there are names."""
    number = tf.cast(tf.convert_to_tensor(optimizer.iterations) + 1, dtype)
    betas = (optimizer.beta_1, optimizer.beta_2)
    return {name: tf.constant(beta, dtype) ** number for name, beta in zip(names, betas, strict=False)}


def _betas(optimizer: Optimizer, dtype: Any) -> dict[str, Tensor]:
    values = {"beta1": optimizer.beta_1, "beta2": optimizer.beta_2, "epsilon": optimizer.epsilon}
    return {name: tf.constant(value, dtype) for name, value in values.items()}
