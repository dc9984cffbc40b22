"""Changes training images inside the compiled step: tone, colour, one warp, noise, anew in every epoch.

Labels that are maps or images are mirrored and warped with them; what changes values leaves them alone.

``augment_random.py`` draws the numbers; this module applies them. Must not know the loop: as one
of Keras's callbacks it hears the epoch.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import keras
import tensorflow as tf

from hpcnn.data.dataset import DataSet
from hpcnn.specs.fields import from_mapping
from hpcnn.specs.train import AugmentSpec, TrainSpec
from hpcnn.train.augment_random import COLUMNS, noise_count, noise_pictures, sample_draws
from hpcnn.train.feed import pixel_factor
from hpcnn.util.errors import UsageError
from hpcnn.util.types import Tensor

# Draws of the images of a step: name of a column -> uniform numbers of [0, 1), one an image.
Draws = dict[str, Tensor]


def augmentation_of(spec: TrainSpec, data: DataSet, fed: Tensor, devices: Sequence[str]) -> Augmentation | None:
    """Return what changes the training images of a complete spec; None where nothing is to be changed.

    fed: the training samples as the network takes them, (N, ...). Raises UsageError for samples that are no images, and
    for a change of colours without colours.
    """
    options = from_mapping(AugmentSpec, spec.augment, "--augment: ")
    if not changes(options):
        return None
    shape = _image_shape(options, data)
    factor = pixel_factor(data, spec.pixel_scale) or 1.0
    low, high = (0.0, 255.0 * factor) if data.x_train.dtype == "uint8" else (data.x_train.min(), data.x_train.max())
    channels_first = tuple(fed.shape[1:]) != shape and tuple(fed.shape[1:]) == (shape[2], *shape[:2])
    return Augmentation(options, shape, len(fed), spec.seed, devices, (float(low), float(high)), channels_first)


def change_of_labels(
    augmentation: Augmentation, data: DataSet
) -> Callable[[Tensor, Tensor, Tensor, Tensor], tuple[Tensor, Tensor]] | None:
    """Return what moves labels with their images, and weights of pixels; None for labels without pixels.

    Raises UsageError for labels with pixels that have no place in an image.
    """
    if data.is_structured or len(data.y_train.shape) < 3 or not augmentation.moves:
        return None
    axes = len(data.y_train.shape)
    if axes != (3 if data.is_map else 4) and not (data.regression and axes == 3):
        raise UsageError(
            f"--augment: the labels of {data.name!r}, of shape {data.y_train.shape[1:]}, are no maps or images that "
            "could be turned with the samples; brightness, contrast, gamma and noise leave labels as they are"
        )
    beyond = float(data.ignore_label or 0) if data.is_map else 0.0
    smooth = data.regression

    def change(replica: Tensor, y: Tensor, weights: Tensor, indices: Tensor) -> tuple[Tensor, Tensor]:
        moved = augmentation.of_labels(replica, y, indices, beyond=beyond, smooth=smooth)
        if weights is not None and len(weights.shape) > 1:
            weights = augmentation.of_labels(replica, weights, indices, beyond=0.0, smooth=False)
        return moved, weights

    return change


def changes(options: AugmentSpec) -> bool:
    """Whether these options change anything."""
    other = options.flip != "none" or options.noise > 0
    return other or _moves(options) or _tones(options) or _colours(options)


def _moves(options: AugmentSpec) -> bool:
    return any((options.rotation, options.zoom, options.translation))


def _tones(options: AugmentSpec) -> bool:
    return any((options.brightness, options.contrast, options.gamma))


def _colours(options: AugmentSpec) -> bool:
    return any((options.hue, options.saturation, options.value))


def _image_shape(options: AugmentSpec, data: DataSet) -> tuple[int, int, int]:
    shape = data.input_shape
    if len(shape) == 2:
        shape = (*shape, 1)
    if len(shape) != 3:
        raise UsageError(f"--augment: the samples of {data.name!r}, of shape {shape}, are no images")
    if _colours(options) and shape[2] != 3:
        raise UsageError(
            f"--augment: hue, saturation and value need images in red, green and blue; those of {data.name!r} have "
            f"{shape[2]} channel{'s' if shape[2] > 1 else ''}"
        )
    return shape[0], shape[1], shape[2]


class Augmentation(keras.callbacks.Callback):  # type: ignore[misc]
    """Changes images as an AugmentSpec says. ``on_epoch_begin`` and ``on_train_batch_begin`` come before the first."""

    def __init__(
        self,
        options: AugmentSpec,
        image_shape: tuple[int, int, int],
        samples: int,
        seed: int,
        devices: Sequence[str] = ("/CPU:0",),
        pixel_range: tuple[float, float] = (0.0, 1.0),
        channels_first: bool = False,
    ) -> None:
        """Make room for an epoch's draws on every device.

        image_shape: (rows, columns, channels). pixel_range: smallest and largest value of a pixel. channels_first:
        whether samples come as (channels, rows, columns); else they may come flat.
        """
        super().__init__()
        self._options, self._shape, self._samples, self._seed = options, image_shape, samples, seed
        self._low, self._range = pixel_range[0], (pixel_range[1] - pixel_range[0]) or 1.0
        self._channels_first = channels_first
        self._epoch = self._drawn = 0
        self._pictures = noise_count(image_shape) if options.noise else 0
        self._draws, self._noise = [], []
        for device in devices:
            with tf.device(device):
                self._draws.append(tf.Variable(tf.zeros((samples, len(COLUMNS))), trainable=False))
                self._noise.append(tf.Variable(tf.zeros((self._pictures, *image_shape)), trainable=False))

    @property
    def moves(self) -> bool:
        """Whether pixels change their places."""
        return self._options.flip != "none" or _moves(self._options)

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Note the epoch, which Keras counts from 0."""
        self._epoch = epoch + 1

    def on_train_batch_begin(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """Draw what an epoch needs before its first step, on the epoch's clock."""
        if self._drawn == self._epoch:
            return
        self._drawn = self._epoch
        draws = sample_draws(self._samples, self._seed, self._epoch)
        for table in self._draws:
            table.assign(draws)
        if self._pictures:
            pictures = noise_pictures(self._shape, self._seed, self._epoch)
            for table in self._noise:
                table.assign(pictures)

    def __call__(self, replica: Tensor, x: Tensor, indices: Tensor) -> Tensor:
        """*graph*: return the samples ``x``, whose numbers are ``indices``, changed; in the same shape and type."""
        draws = dict(zip(COLUMNS, tf.unstack(tf.gather(self._draws[replica], indices), axis=1), strict=True))
        images = tf.cast(x, tf.float32)
        images = tf.transpose(images, (0, 2, 3, 1)) if self._channels_first else images
        images = tf.reshape(images, (-1, *self._shape))
        if _tones(self._options) or _colours(self._options):
            images = self._in_unit(images, lambda unit: self._recolour(self._tone(unit, draws), draws))
        images = self._mirror(images, draws)
        if _moves(self._options):
            images = self._move(images, draws, self._low)
        if self._options.noise:
            images = self._add_noise(images, draws, self._noise[replica])
        images = tf.transpose(images, (0, 3, 1, 2)) if self._channels_first else images
        return tf.cast(tf.reshape(images, tf.shape(x)), x.dtype)

    def of_labels(self, replica: Tensor, y: Tensor, indices: Tensor, *, beyond: float, smooth: bool) -> Tensor:
        """*graph*: return maps (N, H, W) or images (N, H, W, C) moved and mirrored as the samples of these numbers are.

        beyond: what comes in from beyond the edges where the fill is constant. smooth: interpolate between neighbours,
        else take the nearest, as for classes.
        """
        draws = dict(zip(COLUMNS, tf.unstack(tf.gather(self._draws[replica], indices), axis=1), strict=True))
        images = tf.cast(y if len(y.shape) == 4 else y[..., tf.newaxis], tf.float32)
        images = self._mirror(images, draws)
        if _moves(self._options):
            images = self._move(images, draws, beyond, "BILINEAR" if smooth else "NEAREST")
        return tf.cast(tf.reshape(images, tf.shape(y)), y.dtype)

    def _in_unit(self, images: Tensor, change: Callable[[Tensor], Tensor]) -> Tensor:
        """Change images whose pixels are brought to 0..1 for it."""
        return change((images - self._low) / self._range) * self._range + self._low

    def _tone(self, images: Tensor, draws: Draws) -> Tensor:
        """Contrast about each image's mean, gamma, brightness; pixels are 0..1 and stay so."""
        options = self._options
        if options.contrast:
            mean = tf.reduce_mean(images, axis=(1, 2, 3), keepdims=True)
            factor = 1 + self._tone_of("contrast", draws)
            images = tf.clip_by_value(mean + (images - mean) * factor, 0.0, 1.0)
        if options.gamma:
            images = tf.pow(images, 1 + self._tone_of("gamma", draws))
        if options.brightness:
            images = tf.clip_by_value(images + self._tone_of("brightness", draws), 0.0, 1.0)
        return images

    def _tone_of(self, key: str, draws: Draws) -> Tensor:
        most = getattr(self._options, key)
        share = _up_to(most, draws[key], draws[f"{key}_gate"], self._options.tone_probability)
        return share[:, None, None, None]

    def _recolour(self, images: Tensor, draws: Draws) -> Tensor:
        """Turn hue, and add to saturation and value; pixels are 0..1 and stay so."""
        options = self._options
        if not _colours(options):
            return images
        most = (options.hue, options.saturation, options.value)
        shifts = [
            _up_to(limit, draws[key], draws["colour_gate"], options.colour_probability)[:, None, None]
            for limit, key in zip(most, ("hue", "saturation", "value"), strict=True)
        ]
        hue, saturation, value = tf.unstack(tf.image.rgb_to_hsv(images), axis=-1)
        hue = tf.math.floormod(hue + shifts[0], 1.0)
        saturation = tf.clip_by_value(saturation + shifts[1], 0.0, 1.0)
        value = tf.clip_by_value(value + shifts[2], 0.0, 1.0)
        return tf.image.hsv_to_rgb(tf.stack((hue, saturation, value), axis=-1))

    def _mirror(self, images: Tensor, draws: Draws) -> Tensor:
        """Mirror one image in two along each axis that the flip names."""
        for axis, key, name in ((1, "mirror_rows", "vertical"), (2, "mirror_columns", "horizontal")):
            if self._options.flip in (name, "both"):
                chosen = (draws[key] < 0.5)[:, None, None, None]
                images = tf.where(chosen, tf.reverse(images, (axis,)), images)
        return images

    def _move(self, images: Tensor, draws: Draws, beyond: float, interpolation: str = "BILINEAR") -> Tensor:
        """Turn, zoom and move images: one affine map of the pixels' places, interpolated once.

        The output's pixel p shows the input at R (p - c - t) / z + c: c the centre, t the translation, z the zoom and R
        the rotation, as (x, y) with y downwards.
        """
        options, (rows, columns) = self._options, images.shape[1:3]
        gate, probability = draws["move_gate"], options.move_probability
        angle = _up_to(math.radians(options.rotation), draws["rotation"], gate, probability)
        zoom = 1 + _up_to(options.zoom, draws["zoom"], gate, probability)
        x = (columns - 1) / 2 + _up_to(options.translation * columns, draws["right"], gate, probability)
        y = (rows - 1) / 2 + _up_to(options.translation * rows, draws["down"], gate, probability)
        cos, sin, nothing = tf.cos(angle) / zoom, tf.sin(angle) / zoom, tf.zeros_like(angle)
        x_shift = (columns - 1) / 2 - cos * x - sin * y
        y_shift = (rows - 1) / 2 + sin * x - cos * y
        return tf.raw_ops.ImageProjectiveTransformV3(
            images=images,
            transforms=tf.stack((cos, sin, x_shift, -sin, cos, y_shift, nothing, nothing), axis=1),
            output_shape=(rows, columns),
            fill_value=beyond,
            interpolation=interpolation,
            fill_mode=options.fill.upper(),
        )

    def _add_noise(self, images: Tensor, draws: Draws, pictures: Tensor) -> Tensor:
        number = tf.cast(draws["noise_picture"] * self._pictures, tf.int32)
        deviation = tf.where(draws["noise_sign"] < 0.5, -1.0, 1.0) * (self._options.noise * self._range)
        noisy = images + tf.gather(pictures, number) * deviation[:, None, None, None]
        return tf.clip_by_value(noisy, self._low, self._low + self._range)


def _up_to(most: float, draw: Tensor, gate: Tensor, probability: float) -> Tensor:
    """*graph*: return numbers uniform between minus and plus ``most``; 0 where the gate is shut."""
    return tf.where(gate < probability, (2 * draw - 1) * most, 0.0)
