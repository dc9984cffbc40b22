"""Training images beside their augmented versions, epoch by epoch."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np

from hpcnn.data.registry import load_of
from hpcnn.figures.networks.samples import GREY_MAP, as_picture, check_images, without_ticks
from hpcnn.figures.style import figure_with_title, styled
from hpcnn.specs.train import TrainSpec
from hpcnn.train.trained import short
from hpcnn.util.errors import UsageError
from hpcnn.util.tf_import import import_tensorflow

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_EPOCHS = 8


@styled
def draw(spec: TrainSpec, name: str = "", *, count: int = 4) -> Figure:
    """Return the first ``count`` training images of a complete spec, and each as the first 8 epochs change it.

    name: comes first in the title. Raises UsageError for a spec that changes no images.
    """
    import_tensorflow()
    from hpcnn.train.augment import augmentation_of
    from hpcnn.train.feed import Form, pixel_factor, place

    data = load_of(spec)
    check_images(data)
    count = min(count, len(data.x_train))
    devices = ("/CPU:0",)
    spec = dataclasses.replace(spec, pixel_scale="unit")
    change = augmentation_of(spec, data, data.x_train, devices)
    if change is None:
        raise UsageError(f"{name or '--augment: '}no image is changed; expected --augment rotation=10, say")
    images = dataclasses.replace(
        place(data.x_train[:count], data.y_train[:count], devices, Form(pixel_factor(data, "unit"))), change=change
    )
    changed = []
    for epoch in range(_EPOCHS):
        change.on_epoch_begin(epoch)
        change.on_train_batch_begin(0)
        changed.append(images.gather(0, np.arange(count))[0].numpy())
    options = ", ".join(
        f"{key}={value:.3g}" if isinstance(value, float) else f"{key}={value}" for key, value in spec.augment.items()
    )
    figure = figure_with_title(
        (1 + _EPOCHS) * 1.0,
        count * 1.05 + 1.1,
        f"{name}{short(spec.data)} as the training sees it",
        f"Left, images of the set; then the same images in epochs 1 to {_EPOCHS}, with seed {spec.seed}: {options}.",
    )
    panels = figure.subplots(count, 1 + _EPOCHS, squeeze=False)
    originals = dataclasses.replace(images, change=None).gather(0, np.arange(count))[0].numpy()
    for column, pictures in enumerate((originals, *changed)):
        panels[0, column].set_title(f"epoch {column}" if column else "image")
        for row, picture in enumerate(pictures):
            axes = without_ticks(panels[row, column])
            axes.imshow(as_picture(picture), cmap=GREY_MAP, vmin=originals.min(), vmax=originals.max())
    return figure
