"""Data on the devices, in the form that a model and its loss want it.

The whole set stays resident on every device, integer pixels as bytes: 60,000 MNIST images take 47 MB. Scaling and
one-hot labels are done a slice at a time inside the compiled step, where they cost next to nothing.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf

from hpcnn.data.dataset import DataSet
from hpcnn.errors import UsageError


@dataclass(frozen=True)
class Resident:
    """A data set on every local device: features and labels, one copy a device.

    factor: what features are multiplied by on the way into the model (1/255 for unit pixels), or None.
    one_hot: number of classes if the loss wants one-hot labels, else None.
    change: what is done to the samples last, given (replica, x, indices), or None (``augment.Augmentation``).
    """

    features: tuple[Any, ...]
    labels: tuple[Any, ...]
    factor: float | None
    one_hot: int | None
    change: Callable[[Any, Any, Any], Any] | None = None

    def unchanged(self) -> Resident:
        """Return the same samples without what is done to them last."""
        return dataclasses.replace(self, change=None)

    def gather(self, replica: Any, indices: Any) -> tuple[Any, Any]:
        """Return the samples ``indices`` as the model and the loss want them."""
        x = tf.gather(self.features[replica], indices)
        y = tf.gather(self.labels[replica], indices)
        if self.factor is not None:
            x = tf.cast(x, tf.float32) * self.factor
        elif not x.dtype.is_floating:
            x = tf.cast(x, tf.float32)
        if self.change is not None:
            x = self.change(replica, x, indices)
        if self.one_hot is not None:
            y = tf.one_hot(y, self.one_hot)
        return x, y


def pixel_factor(data: DataSet, pixel_scale: str | None) -> float | None:
    """Return what features are multiplied by for a ``pixel_scale`` of ``spec.PIXEL_SCALES``; None for nothing."""
    return 1.0 / data.pixel_scale if pixel_scale == "unit" and data.pixel_scale != 1.0 else None


def place(x: Any, y: Any, devices: Sequence[str], factor: float | None, one_hot: int | None) -> Resident:
    """Copy a data set to every local device."""
    features, labels = [], []
    for device in devices:
        with tf.device(device):
            features.append(tf.constant(x))
            labels.append(tf.constant(y))
    return Resident(tuple(features), tuple(labels), factor, one_hot)


def sample_shape(model: Any, data: DataSet) -> tuple[int | None, ...]:
    """Return the shape of one sample as the model takes it; a subclassed model does not tell, and takes the data's."""
    shape: tuple[int | None, ...] = getattr(model, "input_shape", (None, *data.input_shape))[1:]
    return shape


def fit_shape(x: Any, shape: Sequence[int | None]) -> Any:
    """Return the samples reshaped to a model's input (28x28x1 to 784, say) where the number of features allows.

    A model that wants the channels first gets them first.

    Raises UsageError naming both shapes where it does not.
    """
    if any(size is None for size in shape):
        if len(shape) == x.ndim - 1:
            return x
    elif x.ndim == 4 and tuple(shape) == (x.shape[3], *x.shape[1:3]):
        return x.transpose(0, 3, 1, 2)
    elif math.prod(int(size or 0) for size in shape) == math.prod(x.shape[1:]):
        return x.reshape(len(x), *shape)
    raise UsageError(
        f"--model, --data: the model takes samples of shape {tuple(shape)}, the data has {tuple(x.shape[1:])}"
    )


def wants_one_hot(model: Any, classes: int) -> bool:
    """Whether integer labels must become one-hot: one of Keras's own losses compares one output a class.

    Sparse losses take the integers, and a user's own loss function gets the labels as the data has them.
    """
    loss = model.loss
    if isinstance(loss, str):
        name = loss
    elif isinstance(loss, keras.losses.Loss):
        name = loss.name
    else:
        return False
    shape = model.output_shape
    return isinstance(shape, tuple) and shape[-1] == classes and "sparse" not in name
