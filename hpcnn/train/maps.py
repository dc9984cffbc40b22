"""What a class for each pixel adds to a step: pixels that count for nothing, and metrics from one table of counts.

All sums are totals, which steps, replicas and ranks may be added up in: a mean over classes is taken at the end.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf

from hpcnn.parallel.base import Strategy
from hpcnn.stats.overlap import dice, iou, mean_of_classes, share_right
from hpcnn.util.types import Array, KerasModel, Tensor

# A table of more would be megabytes in each step.
_MOST_CLASSES = 1000


@dataclass(frozen=True)
class Maps:
    """Labels that are maps.

    classes: of a pixel. ignore: the label of pixels that count for nothing, or None. one_hot: the loss gets them
    one-hot, with zeros for pixels that are ignored.
    """

    classes: int
    ignore: int | None = None
    one_hot: bool = False

    def integers(self, y: Tensor) -> Tensor:
        """*graph*: return labels as integers, of those that the loss gets."""
        if not self.one_hot:
            return y
        classes = tf.argmax(y, axis=-1, output_type=tf.int32)
        return classes if self.ignore is None else tf.where(tf.reduce_sum(y, axis=-1) > 0, classes, self.ignore)

    def valid(self, y: Tensor) -> Tensor:
        """*graph*: return 1 for pixels that count and 0 for others, float32, for labels as integers."""
        assert self.ignore is not None
        return tf.cast(tf.not_equal(y, tf.cast(self.ignore, y.dtype)), tf.float32)

    def for_loss(self, y: Tensor, predicted: Tensor) -> Tensor:
        """*graph*: return labels as the loss takes them: in the shape of a single output too.

        Without an axis of channels, Keras would take the last places for channels, and its losses the mean over them.
        """
        y = y if self.one_hot else self.known(y)
        single = not isinstance(predicted, (dict, list, tuple)) and predicted.shape[-1] == 1
        return y[..., tf.newaxis] if single and len(predicted.shape) == len(y.shape) + 1 else y

    def known(self, y: Tensor) -> Tensor:
        """*graph*: return integers with some class in the place of the ignored one, which a loss cannot take."""
        if self.ignore is None:
            return y
        other = 1 if self.ignore == 0 else 0
        return tf.where(tf.equal(y, tf.cast(self.ignore, y.dtype)), tf.cast(other, y.dtype), y)


def over_valid(strategy: Strategy, valid: Tensor, share: Tensor) -> Tensor:
    """*graph*: return the pixels of the global batch divided by those of them that count.

    With weights times this, a mean over all pixels is one over those that count, as Keras's own for ``ignore_class``.
    valid: 1 or 0 for each pixel of a slice. share: its share of the global batch, 0 where it is a stand-in.
    """
    own = tf.stack([tf.cast(tf.size(valid), tf.float32), tf.reduce_sum(valid)]) * tf.sign(share)
    everyones, counting = tf.unstack(strategy.reduce([own], "valid")[0])
    return tf.math.divide_no_nan(everyones, counting)


class Confusion:
    """Counts of pixels by their class and by the class that the network gives them, as (classes, classes) of a step.

    Rows are right classes. Pixels that are ignored are not counted.
    """

    names = ("accuracy", "mean_iou", "dice")

    def __init__(self, maps: Maps, threshold: float) -> None:
        """threshold: above which one output for two classes is the second class."""
        self._maps, self._threshold = maps, threshold

    @property
    def shape(self) -> tuple[int, int]:
        """The shape of the table."""
        return self._maps.classes, self._maps.classes

    def of_batch(self, y: Tensor, predicted: Tensor) -> Tensor:
        """*graph*: return the table of a batch, in double precision. y: as the loss gets it."""
        count = self._maps.classes
        given = classes_given(predicted, self._threshold)
        right = tf.reshape(tf.cast(self._maps.integers(y), tf.int32), [-1])
        pair = right * count + tf.reshape(given, [-1])
        if self._maps.ignore is not None:  # beyond the table
            pair = tf.where(tf.equal(right, self._maps.ignore), count * count, pair)
        counts = tf.raw_ops.DenseBincount(
            input=pair, size=tf.constant(count * count), weights=tf.constant([], tf.int32), binary_output=False
        )
        return tf.reshape(tf.cast(counts, tf.float64), self.shape)

    def results(self, table: Array) -> dict[str, float]:
        """Return the metrics of summed tables."""
        values = (share_right(table), mean_of_classes(iou(table)), mean_of_classes(dice(table)))
        return dict(zip(self.names, values, strict=True))


def confusion_of(maps: Maps | None, model: KerasModel) -> Confusion | None:
    """Return what counts the pixels of a model with one output a class, or one for two; None for another model."""
    shape = getattr(model, "output_shape", None)
    if maps is None or not isinstance(shape, tuple) or not has_table(shape, maps.classes):
        return None
    return Confusion(maps, threshold_of(model.loss))


def threshold_of(loss: Any) -> float:
    """Return above which number one output for two classes is the second class: 0 for logits, else one half."""
    keywords = [getattr(one, "_fn_kwargs", None) or {} for one in keras.tree.flatten(loss)]
    return 0.0 if any(one.get("from_logits") for one in keywords) else 0.5


def classes_given(predicted: Tensor, threshold: float) -> Tensor:
    """*graph*: return the class of each pixel, int32, from one output a class or from one for two."""
    if predicted.shape[-1] == 1:
        return tf.cast(predicted[..., 0] > tf.cast(threshold, predicted.dtype), tf.int32)
    return tf.argmax(predicted, axis=-1, output_type=tf.int32)


def has_table(output_shape: Sequence[int | None], classes: int) -> bool:
    """Return whether pixels are counted in a table for a model with such outputs."""
    return classes <= _MOST_CLASSES and gives_classes(output_shape, classes)


def gives_classes(output_shape: Sequence[int | None], classes: int) -> bool:
    """Return whether outputs are one for each class of a pixel, or one for two classes."""
    return output_shape[-1] == classes or (output_shape[-1] == 1 and classes == 2)
