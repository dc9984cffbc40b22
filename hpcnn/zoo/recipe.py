"""A recipe: one network of a lecture, with all settings of its training there.

Pure data. Must not import Keras, nor the rooms that build or train models.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Literal, get_args

from hpcnn.util.types import Json

Optimizer = Literal["sgd", "adam", "rmsprop", "adadelta"]
Loss = Literal[
    "mean_squared_error", "binary_crossentropy", "categorical_crossentropy", "sparse_categorical_crossentropy"
]
Framework = Literal["keras", "numpy"]
PixelScale = Literal["raw", "unit"]

OPTIMIZERS: tuple[str, ...] = get_args(Optimizer)
LOSSES: tuple[str, ...] = get_args(Loss)
PIXEL_SCALES: tuple[str, ...] = get_args(PixelScale)

# Results that a lecture may report. Losses and accuracies are the last epoch's unless `slips` states otherwise.
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
    arguments: Mapping[str, Json]
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
    """The results that the lecture reports, by a name of REPORTED; empty if it reports none."""
    slips: tuple[str, ...]
    """Known errors of the lecture, and every value above that it does not state, with its source."""
    augment: Mapping[str, Json] = field(default_factory=dict)
    """Data augmentation, by the keys of ``AugmentSpec``."""
    lr_drops: Mapping[int, float] = field(default_factory=dict)
    """Number of epochs -> factor of ``learning_rate`` from then on."""
    framework: Framework = "keras"
    """What the factory returns: a Keras model, or a network in NumPy (``hpcnn.models.numpy``)."""

    def as_dict(self) -> dict[str, Json]:
        """Return every field as JSON values."""
        return {f.name: _plain(getattr(self, f.name)) for f in fields(self)}


def _plain(value: Json) -> Json:
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value
