"""From a TrainSpec to a compiled Keras model: precision, seed, network, optimizer, loss.

``specs/complete.py`` has filled what the user left open. Takes of the ranks only their number, and of the data only
its shape.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from hpcnn.data.dataset import DataSet
from hpcnn.data.structure import is_structure_of_shapes, leaves, map_structure
from hpcnn.models.registry import build
from hpcnn.parallel.base import Strategy
from hpcnn.specs.complete import OWN_MODEL
from hpcnn.specs.train import TrainSpec
from hpcnn.train.losses import loss_of
from hpcnn.train.maps import gives_classes, has_table
from hpcnn.train.own_step import has_own_compile, has_own_step
from hpcnn.train.own_step_trial import has_call
from hpcnn.train.rates import control_layer_rates, schedule, set_layer_rates, warmed_up
from hpcnn.train.sameness import check_methods, check_optimizer, options_without_effect
from hpcnn.train.start import prepare_start
from hpcnn.train.state import optimizers_of
from hpcnn.util.errors import UsageError, bad_value
from hpcnn.util.types import Json, KerasModel, Optimizer
from hpcnn.zoo.registry import is_zoo, recipe

# What tells how good a regression is: Keras's mean of |true - predicted|, under a short name.
_MAE = "mae"
# With several labels a sample: the share of all labels that are right.
_OF_LABELS = "binary_accuracy"


def prepare_keras(spec: TrainSpec) -> None:
    """Seed Python, NumPy and TensorFlow, and set the precision. Before the model is built."""
    import keras

    if keras.config.backend() != "tensorflow":
        raise UsageError(f"KERAS_BACKEND: {keras.config.backend()!r} is not valid here; hpcnn trains with 'tensorflow'")
    keras.utils.set_random_seed(spec.seed)
    policy = "float32" if spec.precision == "float32" else f"mixed_{spec.precision}"
    keras.config.set_dtype_policy(policy)


def build_network(spec: TrainSpec, input_shape: Any, outputs: Any) -> KerasModel:
    """Build the network of a spec for samples of this shape, with the weights it starts from and layers frozen.

    It is not compiled by hpcnn yet.

    input_shape, outputs: as ``DataSet`` has them, dictionaries or tuples for several inputs or labels.
    """
    model: KerasModel = build(
        spec.model,
        input_shape=_input_shape(spec.model, input_shape),
        classes=outputs if not is_zoo(spec.model) or outputs != recipe(spec.model).classes else None,
        arguments=spec.model_args,
    )
    if not model.built and (has_call(model) or not has_own_step(model)):
        one = not is_structure_of_shapes(input_shape)
        model.build((None, *input_shape) if one else map_structure(lambda shape: (None, *shape), input_shape))
    prepare_start(model, spec)
    return model


def make_model(
    spec: TrainSpec, strategy: Strategy, data: DataSet, steps: int, say: Callable[[str], object] = lambda line: None
) -> KerasModel:
    """Build and compile the model inside the strategy's scope. ``spec`` is complete; ``steps`` is those of an epoch.

    say: takes a line for people about options of the user's that have no effect.

    A user's model that comes compiled keeps its own losses, their weights, its metrics and optimizer unless the spec
    names others.
    """
    with strategy.scope():
        model = build_network(spec, data.input_shape, data.outputs)
        _check_words(model, data)
        check_methods(model)
        unused = options_without_effect(model)
        if unused:
            say(f"without effect: {', '.join(unused)} of the model's compile(): hpcnn compiles its own steps")
        if spec.sync_batch_norm:
            _synchronize_batch_norm(model, strategy)
        if has_own_step(model):
            return _as_it_comes(model, spec, strategy)
        if has_own_compile(model):
            _with_its_own_compile(model, spec, strategy)
            return model
        own = model.optimizer if getattr(model, "compiled", False) else None
        if own is not None and spec.optimizer is None:
            optimizer = _adjusted(own, spec)
        else:
            optimizer = make_optimizer(spec, steps)
        if own is not None and spec.loss is None:
            options = _own_losses(model, data)
        else:
            options = {"loss": loss_of(spec.loss or _guess_loss(model, data)), "metrics": _metrics_for(model, data)}
        scales = {} if own is None else {"auto_scale_loss": _of_compile(model, "auto_scale_loss", True)}
        model.compile(optimizer=optimizer, **options, **scales, jit_compile=False)
        _prepare_optimizer(model, spec, strategy)
    return model


def _prepare_optimizer(model: KerasModel, spec: TrainSpec, strategy: Strategy) -> None:
    check_optimizer(model.optimizer, strategy.size, strategy.name)
    model.optimizer.build(model.trainable_variables)
    set_layer_rates(model, spec.layer_lr)
    control_layer_rates(model, spec.larc)
    strategy.prepare_optimizer(model.optimizer)


def _with_its_own_compile(model: KerasModel, spec: TrainSpec, strategy: Strategy) -> None:
    """Take a model whose ``compile`` is its own as its function compiled it: hpcnn does not know its options."""
    name = type(model).__name__
    if not getattr(model, "compiled", False):
        raise UsageError(f"--model: {name} has a compile() of its own: call it in the model's function")
    for option, value in (("--optimizer", spec.optimizer), ("--loss", spec.loss)):
        if value is not None:
            raise bad_value(option, value, f"no value with {name}, which has a compile() of its own")
    _adjusted(model.optimizer, spec)
    _prepare_optimizer(model, spec, strategy)


def _as_it_comes(model: KerasModel, spec: TrainSpec, strategy: Strategy) -> KerasModel:
    """Return a model that computes its own step, compiled as its function compiled it.

    Raises UsageError for options that would change it.
    """
    name = type(model).__name__
    if not getattr(model, "compiled", False):
        raise UsageError(f"--model: {name} has a step of its own: compile it in its function")
    for option, value in (
        ("--optimizer", spec.optimizer),
        ("--loss", spec.loss),
        ("--layer-lr", spec.layer_lr or None),
        ("--larc", spec.larc),
    ):
        if value is not None:
            raise bad_value(option, value, f"no value with {name}, which has a step of its own")
    optimizers = optimizers_of(model)
    if len(optimizers) == 1:
        _adjusted(optimizers[0], spec)
    elif spec.learning_rate is not None or lr_factor(spec) != 1:
        raise UsageError(
            f"--learning-rate, --lr-scaling: {name} has {len(optimizers)} optimizers; set their rates in its function"
        )
    for optimizer in optimizers:
        check_optimizer(optimizer, strategy.size, strategy.name)
    return model


def make_optimizer(spec: TrainSpec, steps: int) -> Optimizer:
    """Return the optimizer (SGD by default) with its scaled learning rate, and its warm-up if there is one.

    Warm-up, after Goyal et al. (2017), arXiv:1706.02677, section 2.2: the rate grows by the same amount each step, from
    the unscaled one to the scaled one. A recipe's ``lr_drops`` apply to the scaled rate.
    """
    import keras

    name = spec.optimizer or "sgd"
    cls = keras.optimizers.get({"class_name": name, "config": {}}).__class__
    base = spec.learning_rate if spec.learning_rate is not None else float(cls().learning_rate)
    factor = lr_factor(spec)
    rate: Any = base * factor
    if spec.lr_schedule is not None:
        assert spec.epochs is not None
        rate = schedule(spec.lr_schedule, base * factor, steps, spec.epochs)
    if spec.warmup_epochs and factor > 1:
        rate = warmed_up(rate, base, base * factor, max(round(spec.warmup_epochs * steps), 1))
    drops = lr_drops(spec)
    if drops:
        last_steps = [epoch * steps - 1 for epoch in drops]
        rates = [base * factor, *(base * factor * share for share in drops.values())]
        rate = keras.optimizers.schedules.PiecewiseConstantDecay(last_steps, rates)
    arguments: dict[str, Json] = {"learning_rate": rate, "name": name}
    if spec.momentum:
        if spec.optimizer not in (None, "sgd", "rmsprop"):
            raise bad_value("--momentum", spec.momentum, f"no value with --optimizer {spec.optimizer}")
        arguments["momentum"] = spec.momentum
    return cls(**arguments)


def lr_drops(spec: TrainSpec) -> Mapping[int, float]:
    """Return the lecture's schedule, epochs done -> share of the learning rate; it goes with the lecture's optimizer.

    Raises UsageError for a warm-up besides: a rate has one schedule.
    """
    if not is_zoo(spec.model) or spec.optimizer != recipe(spec.model).optimizer or spec.lr_schedule is not None:
        return {}
    drops = recipe(spec.model).lr_drops
    if drops and spec.warmup_epochs:
        raise bad_value("--warmup-epochs", spec.warmup_epochs, f"no value with {spec.model}, which has a schedule")
    return drops


def lr_factor(spec: TrainSpec) -> float:
    """Return what the learning rate is multiplied by: k, or sqrt(k), where k = global batch / the lecture's batch.

    The linear rule is Goyal et al. (2017), arXiv:1706.02677; the square root keeps the variance of the step.
    """
    if spec.lr_scaling == "none":
        return 1.0
    reference = recipe(spec.model).batch_size if is_zoo(spec.model) else OWN_MODEL["batch_size"]
    assert spec.batch_size is not None
    ratio: float = spec.batch_size / reference
    return ratio if spec.lr_scaling == "linear" else math.sqrt(ratio)


def _adjusted(optimizer: Optimizer, spec: TrainSpec) -> Optimizer:
    """Return the optimizer that a user's model was compiled with, with the learning rate that the spec asks for."""
    only_ours = {"momentum": spec.momentum, "warmup-epochs": spec.warmup_epochs, "lr-schedule": spec.lr_schedule}
    for option, value in ((f"--{name}", value) for name, value in only_ours.items()):
        if value:
            raise bad_value(option, value, "no value with the optimizer of the model's own compile(); add --optimizer")
    factor = lr_factor(spec)
    if spec.learning_rate is not None or factor != 1:
        base = float(optimizer.learning_rate) if spec.learning_rate is None else spec.learning_rate
        try:
            optimizer.learning_rate = base * factor
        except TypeError as error:  # Keras's word for an optimizer that has a schedule
            raise bad_value(
                "--learning-rate", base * factor, "no value with the schedule of the model's own compile()"
            ) from error
    return optimizer


def _input_shape(model: str, data_shape: Any) -> Any:
    """Return the input shape to build with; None for the lecture's own where the data fits it."""
    if not is_zoo(model):
        return data_shape
    own = recipe(model).input_shape
    if is_structure_of_shapes(own) or is_structure_of_shapes(data_shape):
        return data_shape
    if math.prod(own) == math.prod(data_shape):
        return None
    return data_shape if len(own) == len(data_shape) else (math.prod(data_shape),)


def _metrics_for(model: KerasModel, data: DataSet) -> list[str]:
    """Return Keras's metrics for data of this kind. What is counted pixel by pixel is hpcnn's (``maps.py``)."""
    if data.is_map and has_table(_shape_of(model), data.classes):
        return []
    return [_MAE if data.regression else _OF_LABELS if data.multi_label else "accuracy"]


def _predicts_images(data: DataSet) -> bool:
    return data.regression and len(data.y_train.shape) > 2


def _shape_of(model: KerasModel) -> tuple[int | None, ...]:
    """Return the shape of a single output; a shape that fits nothing where there is no such thing."""
    shape = getattr(model, "output_shape", None)
    return shape if isinstance(shape, tuple) else (None,)


def _own_losses(model: KerasModel, data: DataSet) -> dict[str, Any]:
    """Return the options of ``compile()`` that say what a user's compiled model minimizes and measures."""
    weighted = _of_compile(model, "weighted_metrics", None)
    usual = _metrics_for(model, data) if data.is_map or _predicts_images(data) else ["accuracy"]
    return {
        "loss": model.loss,
        "loss_weights": _of_compile(model, "loss_weights", None),
        "metrics": _of_compile(model, "metrics", None) or ([] if weighted else usual),
        "weighted_metrics": weighted,
    }


def _of_compile(model: KerasModel, option: str, default: Any) -> Any:
    """Return an option as a user's model was compiled with it.

    get_compile_config() has texts where a metric is the user's own object.
    """
    return model._compile_config.config.get(option, default)


def _check_words(model: KerasModel, data: DataSet) -> None:
    """Raise UsageError for an embedding with too few words: on a GPU it would give zeros, without an error."""
    if not data.tokens:
        return
    import keras

    largest = max(int(part.max()) for part in (*leaves(data.x_train), *leaves(data.x_test)))
    for layer in model._flatten_layers(include_self=False):
        if isinstance(layer, keras.layers.Embedding) and layer.input_dim <= largest:
            raise UsageError(
                f"--model-arg, --data-arg: layer {layer.name!r} has {layer.input_dim} words, and the data numbers them "
                f"up to {largest}; give the model more words, or the data fewer"
            )


def _guess_loss(model: KerasModel, data: DataSet) -> str:
    """Return the loss for an uncompiled user's model.

    It is a cross-entropy for one output a class, or for one of two classes of pixels, and the quadratic loss for
    numbers.
    """
    shape = getattr(model, "output_shape", None)
    if isinstance(shape, (list, dict)):
        raise UsageError(
            f"--model: the model has {len(shape)} outputs; compile it in its function, with a loss for each of them"
        )
    if data.regression:
        return "mean_squared_error"
    if data.multi_label:
        return "binary_crossentropy"
    if isinstance(shape, tuple) and shape[-1] == data.classes:
        return "sparse_categorical_crossentropy"
    if data.is_map and gives_classes(_shape_of(model), data.classes):
        return "binary_crossentropy"
    if data.is_map:
        raise UsageError(
            f"--loss: the model has outputs of shape {shape} and the labels are maps of {data.classes} classes, so "
            "hpcnn cannot tell the loss. For classes, end the model in one output for each class of a pixel; if the "
            "labels are images to predict, give them as floats (y / 255)"
        )
    raise UsageError(
        f"--loss: the model has outputs of shape {shape} for {data.classes} classes, so hpcnn cannot tell the loss; "
        "compile the model in its function, or give --loss"
    )


def _synchronize_batch_norm(model: KerasModel, strategy: Strategy) -> None:
    """Make every BatchNormalization use the statistics of the global batch."""
    from hpcnn.train.sync_batch_norm import synchronize

    synchronize(model, strategy)


def check_target(spec: TrainSpec, metrics: Iterable[str]) -> None:
    """Raise UsageError for a target accuracy that no metric of the network can reach: of a regression, say."""
    if spec.target_accuracy is not None and "accuracy" not in metrics:
        raise bad_value(
            "--target-accuracy",
            spec.target_accuracy,
            f"no value with {spec.model} on {spec.data}, whose metrics are {', '.join(metrics) or 'none'}",
        )


def trainable_parameters(model: KerasModel) -> int:
    """Return the number of trainable weights."""
    return sum(math.prod(v.shape) for v in model.trainable_weights)


def check_batch(spec: TrainSpec, samples: int, size: int) -> None:
    """Raise UsageError where the global batch cannot be divided among the replicas."""
    assert spec.batch_size is not None
    batch = min(spec.batch_size, samples)
    if batch < size:
        raise bad_value("--batch-size", batch, f"at least one sample for each of the {size} replicas")
    last = samples % batch
    if spec.sync_batch_norm and 0 < last < size:
        raise bad_value(
            "--samples",
            samples,
            f"with --sync-batch-norm a last batch of at least {size} samples, one a replica (it has {last})",
        )
