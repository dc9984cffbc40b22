"""A recipe: one network of a lecture with all it takes to train it as the lecture did.

Pure data. It must not import Keras, and it knows neither how a model is built nor how one is trained.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal, get_args

Optimizer = Literal["sgd", "adam", "rmsprop", "adadelta"]
Loss = Literal[
    "mean_squared_error", "binary_crossentropy", "categorical_crossentropy", "sparse_categorical_crossentropy"
]
Framework = Literal["keras", "numpy"]
PixelScale = Literal["raw", "unit"]

OPTIMIZERS: tuple[str, ...] = get_args(Optimizer)
LOSSES: tuple[str, ...] = get_args(Loss)
PIXEL_SCALES: tuple[str, ...] = get_args(PixelScale)

# What a lecture may report of a run. Losses and accuracies are the last epoch's unless `slips` says else.
REPORTED = (
    "train_loss",
    "train_accuracy",
    "validation_loss",
    "validation_accuracy",
    "test_loss",
    "test_accuracy",
    "seconds_per_epoch",
)

# Sentences that several recipes need among their `slips`.
SGD_BY_NAME = "Not from the lecture: learning rate 0.01, Keras's default for SGD, which it uses by name."
ADAM_BY_NAME = "Not from the lecture: learning rate 0.001, Keras's default for Adam, which it uses by name."
RMSPROP_BY_NAME = "Not from the lecture: learning rate 0.001, Keras's default for RMSprop, which it uses as is."
NO_HARDWARE = "The hardware behind the seconds per epoch is not stated."
COLAB_GPU = "The seconds per epoch are from a Colab GPU whose model is not stated."


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """One network of a lecture and its training, every default of the framework written out."""

    id: str
    title: str
    source: str
    """The lecture, in words."""
    input_shape: tuple[int, ...] | Mapping[str, tuple[int, ...]]
    """Shape of one sample, without the batch axis: (pixels,) or (rows, columns, channels); by name for several."""
    classes: int | Mapping[str, int]
    """Classes, or numbers to predict; by name for several labels."""
    parameters: int
    """All weights, moving averages of batch normalization included."""
    trainable: int
    factory: str
    """``package.module:function`` of the factory."""
    arguments: Mapping[str, Any]
    """The factory's keywords with the lecture's values."""
    data: str
    """Name of the data set."""
    samples: int | None
    """How many training images, the first ones in the data set's original order; None is all of them."""
    test_samples: int | None
    """The same for the test images."""
    pixel_scale: PixelScale
    """``raw`` is 0..255 as stored, ``unit`` is divided by 255."""
    optimizer: Optimizer
    learning_rate: float
    momentum: float
    """Of SGD; 0 for the others."""
    loss: Loss | None
    """None for a network that its factory compiles, with a loss for each output."""
    batch_size: int
    epochs: int
    reported: Mapping[str, float]
    """What the lecture says came out, by a name of REPORTED; empty where it says nothing."""
    slips: tuple[str, ...]
    """Known errors of the lecture; every value above that it does not state, with where it is from."""
    augment: Mapping[str, Any] = field(default_factory=dict)
    """How training images are changed, by the keys of ``spec.AugmentSpec``."""
    lr_drops: Mapping[int, float] = field(default_factory=dict)
    """After so many epochs, the learning rate is ``learning_rate`` times this."""
    framework: Framework = "keras"
    """What the factory gives: a Keras model, or a network written out in NumPy (``hpcnn.train.numpy``)."""

    def as_dict(self) -> dict[str, Any]:
        """Return every field in plain lists and dictionaries, as JSON knows them."""
        return {f.name: _plain(getattr(self, f.name)) for f in fields(self)}


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value
