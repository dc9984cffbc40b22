"""Data on the devices, in the form that a model and its loss want it.

The whole set stays resident on every device, integer pixels as bytes: 60,000 MNIST images take 47 MB. Scaling and
one-hot labels are done a slice at a time inside the compiled step, where they cost next to nothing. What a model of
several inputs or outputs takes is a structure (``data/structure.py``), here as everywhere.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import keras
import tensorflow as tf

from hpcnn.data.dataset import DataSet
from hpcnn.data.structure import is_structure, leaves, map_structure
from hpcnn.train.maps import Maps
from hpcnn.train.plan import Block
from hpcnn.util.errors import UsageError
from hpcnn.util.types import KerasModel, Tensor


@dataclass(frozen=True)
class Form:
    """What a slice goes through on its way into the model and the loss.

    factor: what features are multiplied by (1/255 for unit pixels), or None.
    tokens: features are integers that number words, and stay integers.
    one_hot: the number of classes of labels that the loss wants one-hot, else None; a structure like the labels.
    class_weights: a weight for each class, shape (classes,), or None: what each sample's loss is multiplied by.
    maps: labels are the classes of pixels; None for other labels.
    target_factor, target_shape: what images to predict are multiplied by, and the shape of one that the model gives; or
    None.
    """

    factor: float | None = None
    tokens: bool = False
    one_hot: Any = None
    class_weights: Any = None
    maps: Maps | None = None
    target_factor: float | None = None
    target_shape: tuple[int, ...] | None = None

    def features(self, x: Tensor) -> Tensor:
        """*graph*: return one array of features as the model wants it."""
        if self.tokens:
            return x
        if self.factor is not None:
            return tf.cast(x, tf.float32) * self.factor
        return x if x.dtype.is_floating else tf.cast(x, tf.float32)

    def targets(self, y: Tensor) -> Tensor:
        """*graph*: return labels as numbers: the classes of pixels, or pixels to predict in the model's shape."""
        if self.maps is not None:
            return tf.cast(y, tf.int32)
        if self.target_factor is not None:
            y = tf.cast(y, tf.float32) * self.target_factor
        return y if self.target_shape is None else tf.reshape(y, (-1, *self.target_shape))

    def weights(self, y: Tensor, own: Tensor) -> Tensor:
        """*graph*: return what the loss of each sample, or of each pixel, is multiplied by; None for nothing.

        own: the weights that the set gives its samples or pixels, or None. y: as ``targets`` returns it.
        """
        if own is not None and len(own.shape) == 1 and not is_structure(y) and len(y.shape) > 2:
            own = tf.reshape(own, (-1, *[1] * (len(y.shape) - 1)))
        factors = [] if own is None else [own]
        if self.class_weights is not None:
            factors.append(tf.gather(self.class_weights, self.maps.known(y) if self.maps is not None else y))
        if self.maps is not None and self.maps.ignore is not None:
            factors.append(self.maps.valid(y))
        return reduce(tf.multiply, factors) if factors else None


@dataclass(frozen=True)
class Resident:
    """A data set on every local device: features and labels, one copy a device.

    weights: what the loss of each sample, (N,), or of each pixel is multiplied by, one copy a device, or None.
    change: what is done to the samples last, given (replica, x, indices), or None (``augment.Augmentation``).
    change_labels: what is done with them to labels, and to weights, that have pixels: given (replica, labels, weights,
    indices), or None.
    """

    features: tuple[Tensor, ...]
    labels: tuple[Tensor, ...]
    form: Form
    weights: tuple[Tensor, ...] | None = None
    change: Callable[[Tensor, Tensor, Tensor], Tensor] | None = None
    change_labels: Callable[[Tensor, Tensor, Tensor, Tensor], tuple[Tensor, Tensor]] | None = None

    def unchanged(self) -> Resident:
        """Return the same samples for an evaluation: without what is done to them last and without class weights.

        The samples' own weights stay, as in Keras's ``evaluate(sample_weight=...)``.
        """
        form = dataclasses.replace(self.form, class_weights=None)
        return dataclasses.replace(self, form=form, change=None, change_labels=None)

    def gather(self, replica: Tensor, indices: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the samples ``indices`` as the model and the loss want them, and their weights in the loss or None."""
        x, y, weights = self._slice(replica, indices)
        x = map_structure(self.form.features, x)
        if self.change is not None:
            x = self.change(replica, x, indices)
        if self.change_labels is not None:
            y, weights = self.change_labels(replica, y, weights, indices)
        if not is_structure(y):
            y = self.form.targets(y)
        weights = self.form.weights(y, weights)
        classes = self.form.one_hot
        if classes is not None:
            y = map_structure(lambda part, size: part if size is None else tf.one_hot(part, size), y, classes)
        return _as_keras(x), _as_keras(y), weights

    def expect(self, block: Block, first: int) -> None:
        """Hear which steps come next: those of a block from number ``first`` on. What is resident needs no time."""

    def failure(self) -> BaseException | None:
        """Return why samples could not be read, if that ended a step."""
        return None

    def _slice(self, replica: Tensor, indices: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return features and labels as the set has them, and the samples' own weights or None."""
        x, y = (
            map_structure(lambda part: tf.gather(part, indices), of[replica]) for of in (self.features, self.labels)
        )
        return x, y, None if self.weights is None else tf.gather(self.weights[replica], indices)


def pixel_factor(data: DataSet, pixel_scale: str | None) -> float | None:
    """Return what features are multiplied by for a ``pixel_scale`` of ``spec.PIXEL_SCALES``; None for nothing."""
    return 1.0 / data.pixel_scale if pixel_scale == "unit" and data.pixel_scale != 1.0 else None


def place(x: Tensor, y: Tensor, devices: Sequence[str], form: Form, sample_weights: Tensor = None) -> Resident:
    """Copy a data set to every local device. sample_weights: of each sample in the loss, (N,), or None."""
    features, labels, weights = [], [], []
    for device in devices:
        with tf.device(device):
            features.append(map_structure(tf.constant, x))
            labels.append(map_structure(tf.constant, y))
            if sample_weights is not None:
                weights.append(tf.constant(sample_weights))
    return Resident(tuple(features), tuple(labels), form, tuple(weights) or None)


def sample_shape(model: KerasModel, data: DataSet) -> Any:
    """Return the shape of one sample as the model takes it; a subclassed model does not tell, and takes the data's.

    Raises UsageError where the model has other inputs than the data.
    """
    shape: Any = getattr(model, "input_shape", None)
    if shape is None:
        return data.input_shape
    if not is_structure(data.x_train):
        if isinstance(shape, (list, dict)):
            raise UsageError(f"--model, --data: the model has {len(shape)} inputs, the data has one array of features")
        return shape[1:]
    names = [tensor.name for tensor in model.inputs]
    shapes = {tensor.name: tuple(tensor.shape[1:]) for tensor in model.inputs}
    if isinstance(data.x_train, dict) and set(data.x_train) == set(names):
        return {name: shapes[name] for name in data.x_train}
    if isinstance(data.x_train, tuple) and len(data.x_train) == len(names):
        return tuple(shapes[name] for name in names)
    given = ", ".join(data.x_train) if isinstance(data.x_train, dict) else f"{len(data.x_train)} arrays"
    raise UsageError(f"--model, --data: the model has the inputs {', '.join(names)}; the features of the data: {given}")


def fit_shape(x: Tensor, shape: Any) -> Tensor:
    """Return the samples reshaped to a model's input (28x28x1 to 784, say) where the number of features allows.

    A model that wants the channels first gets them first.

    Raises UsageError naming both shapes where it does not.
    """
    return map_structure(_fit_shape, x, shape) if is_structure(x) else _fit_shape(x, shape)


def _fit_shape(x: Tensor, shape: Sequence[int | None]) -> Tensor:
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


def target_shape(model: KerasModel, data: DataSet) -> tuple[int, ...] | None:
    """Return the shape in which a model gives the images to predict, where it has as many numbers in another one."""
    shape = getattr(model, "output_shape", None)
    if not data.regression or len(data.y_train.shape) < 3 or not isinstance(shape, tuple):
        return None
    own, given = tuple(data.y_train.shape[1:]), tuple(shape[1:])
    if own == given or any(size is None for size in given) or math.prod(own) != math.prod(given):
        return None
    weights = data.train_weights
    if weights is not None and weights.ndim > 1 and len(given) < 2:
        raise UsageError(
            f"--model, --data: {data.name!r} has weights of pixels, and the model gives images as {given[0]} numbers "
            "in a row; let it end in a Reshape to the images' shape, or give weights of samples, shape (N,)"
        )
    return given


def one_hot_sizes(model: KerasModel, classes: Any, *, came_so: bool = False) -> Any:
    """Return the number of classes of each label array that must become one-hot, None for the others.

    classes: a structure like the labels; 0 for the targets of a regression. came_so: the user's labels were one-hot, as
    a loss of the user's own expects them. Raises UsageError where the model has other outputs than the data has labels.
    """
    if not is_structure(classes):
        shape = getattr(model, "output_shape", None)  # one of several networks has none
        wants = wants_one_hot(model.loss, shape if isinstance(shape, tuple) else (), classes)
        wants = wants or (came_so and "sparse" not in name_of_loss(model.loss))
        return classes if wants else None
    names, shapes = list(getattr(model, "output_names", [])), model.output_shape
    if isinstance(shapes, dict):
        names, shapes = list(shapes), list(shapes.values())
    keys = list(classes) if isinstance(classes, dict) else names
    if len(leaves(classes)) != len(names) or set(keys) != set(names):
        given = ", ".join(classes) if isinstance(classes, dict) else f"{len(classes)} arrays"
        raise UsageError(
            f"--model, --data: the model has the outputs {', '.join(names)}; the labels of the data: {given}"
        )
    sizes = []
    for key, count in zip(keys, leaves(classes), strict=True):
        number = names.index(key)
        loss = model.loss
        if isinstance(loss, dict):
            loss = loss.get(key)
        elif isinstance(loss, (list, tuple)):
            loss = loss[number]
        sizes.append(count if wants_one_hot(loss, shapes[number], count) else None)
    return dict(zip(keys, sizes, strict=True)) if isinstance(classes, dict) else tuple(sizes)


def wants_one_hot(loss: Tensor, output_shape: Sequence[int | None], classes: int) -> bool:
    """Whether integer labels must become one-hot: one of Keras's own losses compares one output a class.

    Sparse losses take the integers, and a user's own loss function gets the labels as the data has them.
    """
    if not isinstance(loss, (str, keras.losses.Loss)):
        return False
    return len(output_shape) > 0 and output_shape[-1] == classes and "sparse" not in name_of_loss(loss)


def name_of_loss(loss: Any) -> str:
    """Return the name of a loss, of a user's own function too."""
    return loss if isinstance(loss, str) else str(getattr(loss, "name", getattr(loss, "__name__", "")))


def _as_keras(nest: Any) -> Any:
    """Return several arrays as Keras has them: its functional models take and give lists, not tuples."""
    return list(nest) if isinstance(nest, tuple) else nest
