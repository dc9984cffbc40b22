"""Learning rates that change: by epoch, over a warm-up, and from layer to layer. Made of Keras's own schedules.

A schedule counts the optimizer's steps, which a state keeps: a resumed training goes on with the same rates.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

from hpcnn.specs.schedule import parse_schedule
from hpcnn.util.errors import bad_value, unknown_value
from hpcnn.util.loss_scaling import unscaled
from hpcnn.util.types import Json, KerasModel, Optimizer, Tensor, Variable

if TYPE_CHECKING:
    import keras


# How an optimizer changes one variable: gradient, variable, learning rate.
UpdateStep: TypeAlias = "Callable[[Tensor, Variable, Tensor], Any]"


def schedule(text: str, rate: float, steps: int, epochs: int) -> keras.optimizers.schedules.LearningRateSchedule:
    """Return Keras's schedule for ``text``, beginning at ``rate``; ``steps`` are those of an epoch.

    ``step`` is PyTorch's StepLR, ``milestones`` its MultiStepLR. ``cosine`` is I. Loshchilov and F. Hutter,
    arXiv:1608.03983, without restarts. Raises UsageError for what is no schedule.
    """
    import keras

    kind, whole, gamma = parse_schedule(text)
    schedules = keras.optimizers.schedules
    if kind == "cosine":
        return schedules.CosineDecay(rate, epochs * steps, alpha=gamma)
    if kind == "milestones":
        # The boundary is the last step at the old rate.
        edges = [epoch * steps - 1 for epoch in whole]
        return schedules.PiecewiseConstantDecay(edges, [rate * gamma**n for n in range(len(edges) + 1)])
    return schedules.ExponentialDecay(rate, whole[0] * steps, gamma, staircase=kind == "step")


def warmed_up(after: Any, start: float, peak: float, steps: int) -> Any:
    """Return a schedule that grows from ``start`` to ``peak`` by the same amount each of ``steps`` steps.

    After them it is ``after``, a rate or a schedule that counts from the first step too, as in Goyal et al. (2017),
    arXiv:1706.02677, section 2.2.
    """
    import keras

    growth = keras.optimizers.schedules.PolynomialDecay(start, steps, peak, power=1.0)
    if not isinstance(after, keras.optimizers.schedules.LearningRateSchedule):
        return growth

    class WarmUp(keras.optimizers.schedules.LearningRateSchedule):  # type: ignore[misc]
        def __call__(self, step: Tensor) -> Tensor:
            """Return the rate at a step."""
            return keras.ops.where(step < steps, growth(step), after(step))

        def get_config(self) -> dict[str, Json]:
            """Return what it was made of; a saved network is loaded without its optimizer."""
            return {"steps": steps, "start": start, "peak": peak}

    return WarmUp()


def set_layer_rates(model: KerasModel, factors: Mapping[str, Json]) -> None:
    """Make the model's optimizer, which is built, multiply the learning rate of each layer's weights by its factor.

    Raises UsageError for a layer the model has not, and for what is no factor.
    """
    if not factors:
        return
    layers = {layer.name: layer for layer in model._flatten_layers(include_self=False) if layer.trainable_weights}
    by_variable: dict[str, float] = {}
    for name, factor in factors.items():
        if name not in layers:
            raise unknown_value("--layer-lr", name, layers)
        if isinstance(factor, bool) or not isinstance(factor, (int, float)) or not 0 <= factor < float("inf"):
            raise bad_value("--layer-lr", f"{name}={factor}", "a factor of at least 0")
        by_variable |= {variable.path: float(factor) for variable in layers[name].trainable_weights}
    # not the loss scaling of float16
    optimizer: Optimizer = unscaled(model.optimizer)
    of_number = [by_variable.get(variable.path, 1.0) for variable in model.trainable_variables]
    optimizer.update_step = _scaled(optimizer, optimizer.update_step, of_number)


def _scaled(optimizer: Optimizer, update: UpdateStep, factors: list[float]) -> UpdateStep:
    def update_step(gradient: Tensor, variable: Variable, learning_rate: Tensor) -> Any:
        return update(gradient, variable, learning_rate * factors[optimizer._get_variable_index(variable)])

    return update_step


def control_layer_rates(model: KerasModel, trust: float | None) -> None:
    """Make the model's optimizer, which is built, take no larger rate for a kernel than its norms allow; None: any.

    LARC: the rate is at most ``trust`` x norm of the weights / norm of the gradient, so that no step changes a layer by
    more than a share of it (Y. You, I. Gitman and B. Ginsburg, arXiv:1708.03888; clipped as in T. Kurth et al., SC18).
    Weights of one axis (biases, normalizations) keep the rate: they begin with 0, where the limit would hold them.
    """
    if trust is None:
        return
    from keras import ops

    optimizer: Optimizer = unscaled(model.optimizer)
    update = optimizer.update_step

    def update_step(gradient: Tensor, variable: Variable, learning_rate: Tensor) -> Any:
        if len(variable.shape) > 1:
            weights, change = ops.norm(ops.reshape(variable, (-1,))), ops.norm(ops.reshape(gradient, (-1,)))
            limit = trust * weights / ops.maximum(change, 1e-30)
            known = ops.logical_and(weights > 0, change > 0)
            learning_rate = ops.where(known, ops.minimum(learning_rate, limit), learning_rate)
        return update(gradient, variable, learning_rate)

    optimizer.update_step = update_step
