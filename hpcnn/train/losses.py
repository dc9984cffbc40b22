"""Losses by name: Keras's, the negative log-likelihood, and a user's own function; and weights of classes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from hpcnn.models.applications import is_application
from hpcnn.util.errors import bad_value
from hpcnn.util.types import Array, Json, KerasModel, Tensor
from hpcnn.util.user_code import import_function

if TYPE_CHECKING:
    from hpcnn.data.dataset import DataSet
    from hpcnn.specs.train import TrainSpec


def loss_of(name: str) -> str | Callable[..., Tensor]:
    """Return what Keras compiles a model with: its own name, or a function of (true, predicted).

    Raises UsageError for a function that cannot be imported.
    """
    if ":" in name:
        return import_function("--loss", name)
    return negative_log_likelihood if name == "negative_log_likelihood" else name


def negative_log_likelihood(true: Tensor, predicted: Tensor) -> Tensor:
    """Return -log p of each sample's class, (N,), from log-probabilities (N, classes), as a log-softmax gives them.

    true: class numbers, (N,). PyTorch's ``nll_loss``; with a log-softmax, the sparse categorical cross-entropy.
    """
    import keras

    classes = keras.ops.one_hot(keras.ops.reshape(true, (-1,)), predicted.shape[-1], dtype=predicted.dtype)
    return -keras.ops.sum(classes * predicted, axis=-1)


def class_weights(given: Mapping[str, Json], data: DataSet) -> Array | None:
    """Return the weight of each class, float32 (classes,), 1 where none is given; None where none is given at all.

    What a sample's loss is multiplied by. The mean stays one over the samples of the global batch, as in Keras's
    ``fit(class_weight=...)``: it is not divided by the sum of the weights.

    Raises UsageError for data without one label of classes, a class there is not, and what is no weight.
    """
    if not given:
        return None
    if data.is_structured or data.regression or data.multi_label:
        what = (
            "several arrays" if data.is_structured else "a number to predict" if data.regression else "several labels"
        )
        raise bad_value("--class-weight", _text(given), f"no value with data set {data.name!r}, which has {what}")
    weights = np.ones(data.classes, np.float32)
    for key, weight in given.items():
        if not key.isdecimal() or int(key) >= data.classes:
            raise bad_value("--class-weight", _text(given), f"class numbers from 0 to {data.classes - 1}")
        if isinstance(weight, bool) or not isinstance(weight, (int, float)) or not 0 <= weight < float("inf"):
            raise bad_value("--class-weight", f"{key}={weight}", "a weight of at least 0")
        weights[int(key)] = weight
    return weights


# Losses of one class a sample, which would take several labels for something else.
_ONE_CLASS = ("categorical_crossentropy", "sparse_categorical_crossentropy", "negative_log_likelihood")


def check_loss(spec: TrainSpec, data: DataSet) -> None:
    """Raise UsageError for a loss of one class a sample with data of several labels a sample."""
    if data.multi_label and spec.loss in _ONE_CLASS:
        raise bad_value(
            "--loss", spec.loss, f"binary_crossentropy with data set {data.name!r}, which has several labels a sample"
        )


def check_output(spec: TrainSpec, model: KerasModel, data: DataSet) -> None:
    """Raise UsageError where a network of keras.applications ends in another function than the loss is for.

    Keras trains such a network without an error. A user's own function and its loss are the user's.
    """
    if not is_application(spec.model) or data.is_structured or ":" in (spec.loss or ""):
        return
    activation = getattr(getattr(model.layers[-1], "activation", None), "__name__", None)
    fits = ("linear", "relu") if data.regression else ("sigmoid",) if data.multi_label else ("softmax", "sigmoid")
    if activation is not None and activation not in fits:
        what = "numbers to predict" if data.regression else "several labels a sample" if data.multi_label else "classes"
        raise bad_value("--model-arg classifier_activation", activation, f"{' or '.join(fits)} for data of {what}")


def _text(pairs: Mapping[str, Json]) -> str:
    return " ".join(f"{key}={value}" for key, value in pairs.items())
