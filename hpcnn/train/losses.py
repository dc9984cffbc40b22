"""Losses by name: Keras's, the negative log-likelihood, and a user's own function."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from hpcnn.models.applications import is_application
from hpcnn.util.errors import bad_value
from hpcnn.util.types import KerasModel, Tensor
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

    true: class numbers, (N,), or those of pixels. PyTorch's ``nll_loss``; with a log-softmax, the sparse categorical
    cross-entropy.
    """
    import keras

    places = (-1,) if len(predicted.shape) == 2 else keras.ops.shape(predicted)[:-1]
    classes = keras.ops.one_hot(keras.ops.reshape(true, places), predicted.shape[-1], dtype=predicted.dtype)
    return -keras.ops.sum(classes * predicted, axis=-1)


def check_loss(spec: TrainSpec, data: DataSet) -> None:
    """Raise UsageError for a loss that would take labels of this kind for something else."""
    if data.multi_label and spec.loss in _ONE_CLASS:
        raise bad_value(
            "--loss", spec.loss, f"binary_crossentropy with data set {data.name!r}, which has several labels a sample"
        )
    if data.is_map and spec.loss in _NO_MAPS:
        raise bad_value(
            "--loss",
            spec.loss,
            f"a cross-entropy with data set {data.name!r}, which has a class for each pixel; images to predict are "
            "floats (y / 255)",
        )


# Losses of one class a sample, which would take several labels for something else; and those that take no maps.
_ONE_CLASS = ("categorical_crossentropy", "sparse_categorical_crossentropy", "negative_log_likelihood")
_NO_MAPS = ("mean_squared_error", "mean_absolute_error")


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
