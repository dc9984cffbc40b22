"""The optimizer's step in few passes over the weights, where TensorFlow has operations for that.

Keras writes the rules of its optimizers, weight decay, clipping and averages of weights as several operations each, and
each of these reads and writes the whole weight. Here they are one, or as few as can be; learning rate and powers are
computed once, not once a weight. The numbers are equal to rounding. Schedules and loss scaling stay Keras's. Must not
know networks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf

from hpcnn.train.rewrite import enabled
from hpcnn.train.tensors import plain
from hpcnn.train.update_rules import Rule, Step, rule_of
from hpcnn.util.loss_scaling import unscaled
from hpcnn.util.types import Optimizer, Tensor, Variable

_RULE = "optimizer in one pass"


def fuse(optimizer: Optimizer) -> list[str]:
    """Let the optimizer compute in fewer passes; return the names of what it computes otherwise than Keras.

    Under ``tf.distribute``, whose variables have a copy on each device, and for what a class computes by methods of its
    own, everything stays Keras's.
    """
    optimizer = unscaled(optimizer)
    distributed = any(hasattr(plain(variable), "values") for variable in optimizer.variables)
    if not enabled() or distributed or "_backend_update_step" in vars(optimizer):
        return []
    passes = _Passes(optimizer, rule_of(optimizer))
    instead: dict[str, tuple[Callable[..., Any], str, bool]] = {
        "_backend_update_step": (passes.update, _RULE, passes.rule is not None),
        "_clip_gradients": (passes.clip, "clipping in few passes", _clips(optimizer)),
        "_apply_weight_decay": (passes.decay, "weight decay in few passes", optimizer.weight_decay is not None),
        "_update_model_variables_moving_average": (passes.average, "averages in few passes", optimizer.use_ema),
    }
    taken = []
    for method, (replacement, name, is_used) in instead.items():
        if is_used and getattr(type(optimizer), method) is getattr(keras.optimizers.Optimizer, method):
            object.__setattr__(optimizer, method, replacement)
            taken.append(name)
    passes.scales_rate = _RULE in taken
    return taken


def _clips(optimizer: Optimizer) -> bool:
    return any((limit or 0.0) > 0 for limit in (optimizer.clipnorm, optimizer.global_clipnorm, optimizer.clipvalue))


class _Passes:
    """What takes the place of some methods of one optimizer. scales_rate: ``update`` is one of them."""

    def __init__(self, optimizer: Optimizer, rule: Rule | None) -> None:
        self._optimizer, self.rule = optimizer, rule
        self._clip_as_keras, self._update_as_keras = optimizer._clip_gradients, optimizer.update_step
        self.scales_rate = False
        self._scales: Sequence[Tensor] | None = None  # from `clip` to the `update` that Keras calls next

    def update(self, gradients: Sequence[Tensor], variables: Sequence[Variable], learning_rate: Any) -> None:
        """*graph*: apply the rule to each weight; to one whose gradient is sparse as Keras does."""
        assert self.rule is not None
        scales, self._scales = self._scales or [None] * len(gradients), None
        rate = tf.convert_to_tensor(learning_rate)
        steps: dict[str, tuple[Step, Tensor]] = {}  # what is the same for all weights of a type
        for gradient, variable, scale in zip(gradients, map(plain, variables), scales, strict=True):
            if isinstance(gradient, tf.IndexedSlices):
                self._update_as_keras(gradient, variable, rate)
                continue
            dtype = variable.dtype.base_dtype
            if dtype.name not in steps:
                steps[dtype.name] = self.rule.step(self._optimizer, dtype), tf.cast(rate, dtype)
            step, own = steps[dtype.name]
            step(tf.cast(gradient, dtype), variable, own if scale is None else own * tf.cast(scale, dtype))

    def clip(self, gradients: Sequence[Tensor]) -> Sequence[Tensor]:
        """*graph*: clip the gradients, or leave it to the learning rate where the rule multiplies the two."""
        optimizer = self._optimizer
        if any(gradient is None or isinstance(gradient, tf.IndexedSlices) for gradient in gradients):
            clipped: Sequence[Tensor] = self._clip_as_keras(gradients)
            return clipped
        if optimizer.clipnorm and optimizer.clipnorm > 0:
            scales = [_scale_to(tf.sqrt(2 * tf.nn.l2_loss(g)), optimizer.clipnorm) for g in gradients]
        elif optimizer.global_clipnorm and optimizer.global_clipnorm > 0:
            norm = tf.sqrt(2 * tf.add_n([tf.cast(tf.nn.l2_loss(g), gradients[0].dtype) for g in gradients]))
            scale = _scale_to(norm, optimizer.global_clipnorm) + (norm - norm)  # NaN for an infinite norm
            scales = [scale] * len(gradients)
        else:
            limit = optimizer.clipvalue
            return [tf.raw_ops.ClipByValue(t=g, clip_value_min=-limit, clip_value_max=limit) for g in gradients]
        if self.scales_rate and self.rule is not None and self.rule.is_linear:
            self._scales = scales
            return gradients
        return [g * tf.cast(scale, g.dtype) for g, scale in zip(gradients, scales, strict=True)]

    def decay(self, variables: Sequence[Variable]) -> None:
        """*graph*: let weights decay by learning rate times decay."""
        decayed = [plain(variable) for variable in variables if self._optimizer._use_weight_decay(variable)]
        rate = tf.convert_to_tensor(self._optimizer.learning_rate)
        for dtype in {variable.dtype.base_dtype for variable in decayed}:
            share = tf.cast(rate, dtype) * tf.cast(self._optimizer.weight_decay, dtype)
            for variable in decayed:
                if variable.dtype.base_dtype == dtype:
                    variable.assign_sub(variable * share)

    def average(self, variables: Sequence[Variable]) -> None:
        """*graph*: move the averages of the weights, in the first step to the weights themselves."""
        optimizer = self._optimizer
        is_later = tf.cast(tf.not_equal(tf.convert_to_tensor(optimizer.iterations), 0), tf.float64)
        share = 1.0 - is_later * optimizer.ema_momentum
        for variable, average in zip(variables, optimizer._model_variables_moving_average, strict=True):
            if average is not None:
                kept = plain(average)
                tf.raw_ops.ResourceApplyGradientDescent(
                    var=kept.handle, alpha=tf.cast(share, kept.dtype), delta=kept - plain(variable)
                )


def _scale_to(norm: Tensor, limit: float) -> Tensor:
    """*graph*: return what a gradient of this norm is multiplied by so that its norm is at most the limit."""
    return limit / tf.maximum(norm, tf.constant(limit, norm.dtype))
