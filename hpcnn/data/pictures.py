"""Convert image files to the form of a data set's images, so that a network trained on these can label them.

The conversion repeats the steps by which the data set was made; see ``FORMS``. Needs Pillow. Must not import models.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from hpcnn.data.dataset import PIXEL_MAX, DataSet
from hpcnn.data.sources import DIGITS_MAX, digits_pixels
from hpcnn.util.errors import UsageError
from hpcnn.util.extras import optional_module
from hpcnn.util.types import Array

if TYPE_CHECKING:
    from PIL.Image import Image

FORMS = ("mnist", "digits", "fashion", "resize")

# LeCun's: the digit fits a box of 20x20 within the field of 28x28.
_BOX_SHARE = 20 / 28
# A photograph is brought to this size first: its strokes stay many pixels wide, and its noise is averaged out.
_LONGEST_SIDE = 280
# From this size on, strokes are wide enough for a median over 3x3 pixels to take out single ones alone.
_LARGE = 56
# A part of the ink smaller than this share of the largest part is dirt.
_DIRT = 0.05
# Less contrast than this between ink and paper, in grey levels, is an empty sheet.
_LEAST_CONTRAST = 20.0


def form_of(data: DataSet) -> str:
    """Return the form, one of FORMS, of a data set's images; ``mnist`` for a user's own grey images."""
    own = {"digits": "digits", "fashion_mnist": "fashion"}
    if data.name in own:
        return own[data.name]
    return "resize" if len(data.input_shape) == 3 and data.input_shape[2] == 3 else "mnist"


def read_pictures(files: Sequence[str | os.PathLike[str]], data: DataSet, form: str | None = None) -> Array:
    """Read image files as samples like those of ``data``: (N, rows, columns, channels), uint8 if it has uint8.

    form: one of FORMS, default ``form_of(data)``.

    mnist: ink on paper, either of them the darker. The ink is separated from the paper by its grey level (N. Otsu,
    IEEE Trans. SMC 9 (1979) 62), cut out, fitted into 20x20 pixels preserving its aspect ratio, and placed with its
    centre of mass in the centre of 28x28, bright on dark: Y. LeCun, C. Cortes and C. Burges, "The MNIST database of
    handwritten digits"; LeCun et al., Proc. IEEE 86 (1998) 2278, section III.A. In fields of another size, in the same
    proportion.
    digits: the same, fitted into 32x32, whose blocks of 4x4 are counted (E. Alpaydin and C. Kaynak, UCI, 1998), then as
    ``sources.read_digits``. How these authors placed a digit is not stated: its centre of mass in the centre brought
    more of the test images back than the middle of its box did.
    fashion: trimmed, the longest side brought to 28, centred, bright on dark, grey levels kept (H. Xiao et al.,
    arXiv:1708.07747, section 2).
    resize: the largest middle part with the field's proportions, resized; nothing is inverted.

    Raises UsageError, naming the file, for one that cannot be read, is no image, or shows nothing; and for a data set
    whose samples are no images.
    """
    chosen = form or form_of(data)
    shape = data.input_shape
    if not (len(shape) == 2 or (len(shape) == 3 and shape[2] in (1, 3))):
        raise UsageError(f"data set {data.name!r}: its samples, of shape {shape}, are no images")
    if chosen == "digits" and shape[:2] != (28, 28):
        raise UsageError(f"--form: 'digits' is a form of 28x28 images; those of data set {data.name!r} have {shape}")
    images = []
    for file in files:
        try:
            images.append(_in_form(_read(file), chosen, shape))
        except UsageError as error:
            raise UsageError(f"{os.fspath(file)}: {error}") from error
    pixels = np.stack(images)
    return pixels if data.x_test.dtype == np.uint8 else _like(pixels, data.x_test)


def _read(file: str | os.PathLike[str]) -> Image:
    """Read an image, rotated as its camera recorded, transparent parts on white."""
    library = optional_module("PIL.Image", "reading image files", "report")
    operations = optional_module("PIL.ImageOps", "reading image files", "report")
    try:
        with library.open(file) as opened:
            upright = operations.exif_transpose(opened)
            if upright.mode.startswith("I;16"):  # 16 bits of grey, of which Pillow would cut off the upper ones
                upright = library.fromarray((np.asarray(upright, np.float64) / 257).astype(np.uint8))
            paper = library.new("RGBA", upright.size, "white")
            paper.alpha_composite(upright.convert("RGBA"))
            image: Image = paper.convert("RGB")
            return image
    except library.UnidentifiedImageError:
        raise UsageError("this is no image that Pillow can read (PNG, JPEG, TIFF, BMP, ...)") from None
    except library.DecompressionBombError as error:
        raise UsageError(str(error)) from error
    except (OSError, SyntaxError, ValueError) as error:  # Pillow's words for a file that is cut off or damaged
        raise UsageError(f"cannot be read: {getattr(error, 'strerror', None) or error}") from error


def _in_form(image: Image, form: str, shape: tuple[int, ...]) -> Array:
    """Return one image in one of FORMS, uint8 of ``shape``."""
    rows, columns = shape[:2]
    if form == "resize":
        operations = optional_module("PIL.ImageOps", "reading image files", "report")
        fitted = operations.fit(image if shape[2:] == (3,) else image.convert("L"), (columns, rows))
        return np.asarray(fitted, np.uint8).reshape(shape)
    if form == "digits":
        ink, _ = _cut(*_ink(image))
        cells = _placed(_fitted(ink, 32, 32), 32, 32, by_mass=True).reshape(8, 4, 8, 4).mean(axis=(1, 3))
        field = digits_pixels(cells[np.newaxis] * DIGITS_MAX)[0]
    else:
        ink, grey = _cut(*_ink(image))
        by_mass = form == "mnist"
        share = _BOX_SHARE if by_mass else 1.0
        fitted = _fitted(ink if by_mass else grey, round(rows * share), round(columns * share))
        field = np.rint(_placed(fitted, rows, columns, by_mass=by_mass) * PIXEL_MAX).astype(np.uint8)
    return np.broadcast_to(field.reshape(rows, columns, *[1] * (len(shape) - 2)), shape)


def _ink(image: Image) -> tuple[Array, Array, Array]:
    """Separate ink from paper: return ink (0..1), difference to the paper (0..1) and mask, each (rows, columns).

    The grey level of the paper is a plane through the picture's border: light may fall in from one side. Ink is darker
    or brighter than the paper.
    """
    from scipy import ndimage

    small = image.convert("L")
    small.thumbnail((_LONGEST_SIDE, _LONGEST_SIDE))
    grey = np.asarray(small, np.float64)
    if min(grey.shape) >= _LARGE:
        grey = ndimage.median_filter(grey, 3)
    difference = grey - _paper(grey)
    if (np.clip(-difference, 0, None) ** 2).sum() > (np.clip(difference, 0, None) ** 2).sum():
        difference = -difference
    difference = np.clip(difference, 0, None)
    threshold = _otsu(difference)
    mask = difference > threshold
    if not mask.any() or mask.all() or difference[mask].mean() - difference[~mask].mean() < _LEAST_CONTRAST:
        raise UsageError("there is nothing on it that stands out from its border")
    parts, _ = ndimage.label(mask, structure=np.ones((3, 3)))
    sizes = np.bincount(parts.ravel())
    sizes[0] = 0
    mask = (sizes >= _DIRT * sizes.max())[parts]
    level = float(np.median(difference[mask]))
    near = ndimage.binary_dilation(mask, structure=np.ones((3, 3)))  # the grey edge of a stroke belongs to it
    return np.clip(difference / level, 0, 1) * near, difference / PIXEL_MAX, mask


def _paper(grey: Array) -> Array:
    """Return the grey level of the paper at every pixel: a plane fitted to the border without its outliers."""
    rows, columns = np.indices(grey.shape)
    width = max(round(min(grey.shape) * 0.05), 1)
    border = np.ones(grey.shape, bool)
    border[width:-width, width:-width] = False
    terms = np.stack([np.ones(grey.shape), rows / grey.shape[0], columns / grey.shape[1]], axis=-1)
    plane = np.full(grey.shape, np.median(grey[border]))
    for _ in range(2):  # a stroke that runs into the border is no paper
        distance = np.abs(grey - plane)
        taken = border & (distance <= 3 * np.median(distance[border]) + 1)
        plane = terms @ np.linalg.lstsq(terms[taken], grey[taken], rcond=None)[0]
    return np.asarray(plane)


def _otsu(values: Array) -> float:
    """Return Otsu's threshold, which splits ``values`` into two groups with the least variance within them."""
    counts, edges = np.histogram(values, bins=256)
    middles = (edges[:-1] + edges[1:]) / 2
    below, above = np.cumsum(counts), np.cumsum(counts[::-1])[::-1]
    mean_below = np.cumsum(counts * middles) / np.maximum(below, 1)
    mean_above = (np.cumsum((counts * middles)[::-1]) / np.maximum(np.cumsum(counts[::-1]), 1))[::-1]
    between = below[:-1] * above[1:] * (mean_below[:-1] - mean_above[1:]) ** 2
    return float(edges[1 + int(between.argmax())])


def _cut(ink: Array, grey: Array, mask: Array) -> tuple[Array, Array]:
    """Return ink and grey levels within the bounding box of the mask."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    box = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return ink[box], grey[box]


def _fitted(values: Array, rows: int, columns: int) -> Array:
    """Resize values (0..1) to fit into rows x columns, with their aspect ratio."""
    library = optional_module("PIL.Image", "reading image files", "report")
    factor = min(rows / values.shape[0], columns / values.shape[1])
    size = tuple(max(round(side * factor), 1) for side in values.shape)
    image = library.fromarray(values.astype(np.float32))
    resized = image.resize((size[1], size[0]), library.Resampling.BILINEAR)  # which averages where it shrinks
    return np.clip(np.asarray(resized, np.float64), 0, 1)


def _placed(values: Array, rows: int, columns: int, *, by_mass: bool) -> Array:
    """Place values in the middle of a field of zeros, by their centre of mass or by that of their bounding box.

    The middle of 28 is pixel 14, counted from 0: in all images of MNIST the centre of mass rounds to it.
    """
    field = np.zeros((rows, columns))
    corner = []
    for axis, (size, extent) in enumerate(zip((rows, columns), values.shape, strict=True)):
        weights = values.sum(axis=1 - axis)
        centre = (weights @ np.arange(extent) / weights.sum()) if by_mass else extent / 2
        corner.append(int(np.clip(np.floor(size / 2 - centre + 0.5), 0, size - extent)))
    field[corner[0] : corner[0] + values.shape[0], corner[1] : corner[1] + values.shape[1]] = values
    return field


def _like(pixels: Array, samples: Array) -> Array:
    """Convert bytes to the range of a user's own floats: 0..1, or 0..255."""
    scale = 1.0 if samples.max() > 1 else PIXEL_MAX
    converted: Array = (pixels / scale).astype(samples.dtype)
    return converted
