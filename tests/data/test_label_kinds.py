"""What labels are by their type, shape and values, in memory and on disk; and weights of pixels."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hpcnn.data.dataset import DataSet
from hpcnn.data.given import data_set_of
from hpcnn.data.registry import load
from hpcnn.data.stream.opened import Options, in_memory
from hpcnn.data.stream.streamed import StreamedSet, source_of
from hpcnn.util.errors import UsageError

SHAPE = (6, 4, 5)
X = np.random.default_rng(1).random((*SHAPE, 3), np.float32)
MAP = np.random.default_rng(2).integers(0, 3, SHAPE).astype(np.uint8)
WITH_HOLES = np.where(MAP == 0, 255, MAP).astype(np.uint8)
ONE_HOT = np.eye(3, dtype=np.float32)[MAP]
SEVERAL = np.random.default_rng(3).integers(0, 2, (*SHAPE, 4))
BYTES = np.random.default_rng(4).integers(0, 256, (*SHAPE, 2)).astype(np.uint8)


@pytest.mark.parametrize(
    ("labels", "kind", "classes", "outputs", "dtype", "shape"),
    [
        (MAP, "map", 3, 3, "uint8", SHAPE),
        (MAP[..., None].astype(np.int64), "map", 3, 3, "int32", SHAPE),
        (MAP > 0, "map", 2, 2, "uint8", SHAPE),
        (MAP[:, 0, :, None], "map", 3, 3, "uint8", (6, 5, 1)),
        (ONE_HOT, "map", 3, 3, "uint8", SHAPE),
        (ONE_HOT.astype(np.uint8), "map", 3, 3, "uint8", SHAPE),
        (SEVERAL, "several labels", 0, 4, "int8", (*SHAPE, 4)),
        (BYTES, "images", 0, 2, "uint8", (*SHAPE, 2)),
        (X.astype(np.float64), "numbers", 0, 3, "float32", (*SHAPE, 3)),
        (X[..., 0], "numbers", 0, 1, "float32", SHAPE),
        (X[:, :3, 0, :2].reshape(6, 6), "numbers", 0, 6, "float32", (6, 6)),
    ],
)
def test_the_kind_of_labels(
    labels: Any, kind: str, classes: int, outputs: int, dtype: str, shape: Any, tmp_path: Path
) -> None:
    data = DataSet("mine", X, labels, X, labels)
    np.save(tmp_path / "x.npy", X)
    np.save(tmp_path / "y.npy", labels)
    pair = tuple(np.load(tmp_path / f"{kind}.npy", mmap_mode="r") for kind in "xy")
    on_disk = data_set_of("mine:load", (pair, pair))
    assert isinstance(on_disk, StreamedSet)
    for one in (data, dataclasses.replace(data), on_disk, in_memory(on_disk)):
        assert (one.kind, one.classes, one.outputs) == (kind, classes, outputs)
        assert (one.y_train.dtype, one.y_train.shape) == (np.dtype(dtype), shape)
        assert np.array_equal(np.asarray(one.y_train), data.y_train)
    assert not data.is_map or np.array_equal(data.y_train.reshape(-1), np.asarray(MAP_OF(labels)).reshape(-1))


def MAP_OF(labels: Any) -> Any:
    """The right classes, computed another way."""
    return np.einsum("nhwc,c->nhw", labels, np.arange(3)) if labels.shape[1:] == (4, 5, 3) else labels


def test_features_are_their_own_images_to_predict() -> None:
    pixels = BYTES[..., 0]
    data = DataSet("mine", pixels, pixels, pixels, pixels)
    assert (data.kind, data.y_train.shape, data.y_train.dtype) == ("images", (*SHAPE, 1), np.uint8)
    assert dataclasses.replace(data, x_train=data.x_train[:3], y_train=data.y_train[:3]).kind == "images"
    assert DataSet("mine", X, X, X, X).kind == "numbers"


def test_a_label_that_is_ignored_is_no_class() -> None:
    data = DataSet("mine", X, WITH_HOLES, X, WITH_HOLES, ignore_label=255)
    assert data.classes == 3
    with pytest.raises(UsageError, match=r"expected labels from 0 to 2, found 1 to 255; --ignore-label N leaves"):
        DataSet("mine", X, WITH_HOLES, X, WITH_HOLES, classes=3)
    negative = np.where(MAP == 2, -1, MAP.astype(np.int16))
    assert DataSet("mine", X, negative, X, negative, ignore_label=-1).classes == 2
    with pytest.raises(UsageError, match="--ignore-label: 255 is not valid; expected no value with data set 'mine'"):
        DataSet("mine", X, MAP[:, 0, 0], X, MAP[:, 0, 0], ignore_label=255)


def _maps(*values: int, dtype: str = "uint8") -> np.ndarray:
    """Return six maps in which each of these labels occurs."""
    return np.resize(np.array(values, dtype), (6, 4, 5))


@pytest.mark.parametrize(
    ("values", "dtype", "ignore", "words"),
    [
        ((*range(21), 255), "uint8", None, r"0 to 20, and 255, .*: --ignore-label 255 leaves them out; .*classes=256"),
        (
            (*range(21), 254, 255),
            "uint8",
            None,
            "0 to 20, and 254 and 255: one label can be ignored; write the same one",
        ),
        ((*range(21), 254, 255), "uint8", 255, "0 to 20, and 254: one label can be ignored; write the same one"),
        ((0, 255), "uint8", None, r"where 255 is the class of what is shown, write 1 for it \(y // 255\)"),
        ((0, 1, 65535), "uint16", None, "0 to 1, and 65535, .*: --ignore-label 65535"),
        ((0, 1, 255), "int64", None, "0 to 1, and 255, .*: --ignore-label 255"),
    ],
)
def test_a_largest_label_that_is_no_class_is_refused_with_the_option_to_give(
    values: tuple[int, ...], dtype: str, ignore: int | None, words: str, tmp_path: Path
) -> None:
    y = _maps(*values, dtype=dtype)
    x = np.zeros((*y.shape, 1), np.float32)
    with pytest.raises(UsageError, match=words):
        data_set_of("mine:load", ((x, y), (x, y)), Options(ignore_label=ignore))
    with pytest.raises(UsageError, match=words):
        data_set_of("mine:load", DataSet("mine", x, y, x, y), Options(ignore_label=ignore))
    for part in ("train", "test"):
        np.save(tmp_path / f"x_{part}.npy", x)
        np.save(tmp_path / f"y_{part}.npy", y)
    with pytest.raises(UsageError, match=words):
        load(f"npy:{tmp_path}", options=Options(ignore_label=ignore))
    count = int(y.max()) + 1
    if ignore is None:  # whoever says that it is a class is believed
        assert data_set_of("mine:load", DataSet("mine", x, y, x, y, classes=count)).classes == count
        assert load(f"npy:{tmp_path}", arguments={"classes": count}).classes == count
    good = max(value for value in values if value < 254) + 1
    if (values[-1], ignore) == (255, None) and 254 not in values:
        given = DataSet("mine", x, y, x, y)
        assert data_set_of("mine:load", given, Options(ignore_label=255)).classes == max(good, 2)
        assert load(f"npy:{tmp_path}", options=Options(ignore_label=255)).classes == max(good, 2)


@pytest.mark.parametrize("values", [range(256), (0, 7, 253, 254), (0, 1, 100)])
def test_labels_that_may_well_be_classes_pass(values: Any, tmp_path: Path) -> None:
    y = np.resize(np.array([*values], np.uint8), (6, 8, 8))
    x = np.zeros((*y.shape, 1), np.float32)
    assert DataSet("mine", x, y, x, y).without_doubt().classes == max(values) + 1
    for part in ("train", "test"):
        np.save(tmp_path / f"x_{part}.npy", x)
        np.save(tmp_path / f"y_{part}.npy", y)
    assert load(f"npy:{tmp_path}").classes == max(values) + 1


@pytest.mark.parametrize("y", [_maps(1, 2, 3), np.array([1, 2, 3] * 4)])
def test_whoever_counts_classes_from_1_is_told(y: np.ndarray, tmp_path: Path) -> None:
    x = np.zeros((len(y), *y.shape[1:], 1), np.float32)
    note = (
        "no label is 0: they are 1 to 3, and a class 0 that never occurs is counted; subtract 1 for classes from 0 on"
    )
    data = DataSet("mine", x, y, x, y)
    assert (data.classes, data.told) == (4, (note,))
    assert DataSet("mine", x, y - 1, x, y - 1).told == ()
    for part in ("train", "test"):
        np.save(tmp_path / f"x_{part}.npy", x)
        np.save(tmp_path / f"y_{part}.npy", y)
    assert load(f"npy:{tmp_path}").told == (note,)


def test_a_negative_label_is_named_with_the_option_to_give(tmp_path: Path) -> None:
    y = _maps(-1, 0, 1, dtype="int16")
    x = np.zeros((*y.shape, 1), np.float32)
    with pytest.raises(UsageError, match="found -1 to 1; --ignore-label -1 leaves pixels of the label -1 out"):
        DataSet("mine", x, y, x, y)
    for part in ("train", "test"):
        np.save(tmp_path / f"x_{part}.npy", x)
        np.save(tmp_path / f"y_{part}.npy", y)
    with pytest.raises(UsageError, match="a label is -1, below 0; --ignore-label -1 leaves such pixels out"):
        source_of(load(f"npy:{tmp_path}").x_train).read(np.arange(2))


def test_the_ignored_label_reaches_files_and_functions(tmp_path: Path) -> None:
    options = Options(ignore_label=255)
    file = tmp_path / "maps.npz"
    np.savez(file, x_train=X, y_train=WITH_HOLES, x_test=X, y_test=WITH_HOLES, weights_train=np.ones(SHAPE))
    data = load(str(file), options=options)
    assert data.classes == 3
    assert data.train_weights is not None
    assert data.train_weights.shape == SHAPE
    assert data.test_weights is None
    assert data_set_of("mine:load", ((X, WITH_HOLES), (X, WITH_HOLES)), options).classes == 3
    assert data_set_of("mine:load", DataSet("mine", X, WITH_HOLES, X, WITH_HOLES), options).classes == 3


@pytest.mark.parametrize("shape", [(6,), SHAPE, (*SHAPE, 1)])
def test_weights_of_samples_and_pixels(shape: Any, tmp_path: Path) -> None:
    weights = np.arange(np.prod(shape)).reshape(shape) / 7
    flat = shape[:3]
    data = DataSet("mine", X, MAP, X, MAP, train_weights=weights)
    assert data.train_weights is not None
    assert data.train_weights.shape == flat
    for part in ("train", "test"):
        for name, array in (("x", X), ("y", MAP), ("weights", weights)):
            np.save(tmp_path / f"{name}_{part}.npy", array)
    on_disk = load(f"npy:{tmp_path}")
    assert isinstance(on_disk, StreamedSet)
    _, _, w = source_of(on_disk.x_train).read(np.array([4, 1]))
    assert np.array_equal(w, weights.reshape(flat)[[4, 1]].astype(np.float32))
    read = in_memory(on_disk)
    assert read.test_weights is not None
    assert np.array_equal(read.test_weights, data.train_weights)


def test_weights_of_another_shape_are_refused() -> None:
    with pytest.raises(UsageError, match=r"one number for each of the 6 samples, shape \(6,\), or for each pixel"):
        DataSet("mine", X, MAP, X, MAP, train_weights=np.ones((6, 4)))


class WithWeights:
    """A user's own source of maps with weights of pixels."""

    classes = 3

    def __len__(self) -> int:
        return 6

    def read(self, indices: Any) -> Any:
        return X[indices], WITH_HOLES[indices], np.full((len(indices), *SHAPE[1:]), 2)


def test_a_source_of_a_user_gives_maps_and_weights() -> None:
    data = data_set_of("mine:load", (WithWeights(), WithWeights()), Options(ignore_label=255))
    assert (data.kind, data.classes) == ("map", 3)
    _, y, w = source_of(data.x_train).read(np.array([2]))
    assert np.array_equal(y[0], WITH_HOLES[2])
    assert w.dtype == np.float32
    bad = data_set_of("mine:load", (WithWeights(), WithWeights()))  # 255 is a class no file has
    with pytest.raises(
        UsageError,
        match="a label is 255, outside 0 to 2; --ignore-label 255 leaves such pixels out, --data-arg classes=256",
    ):
        source_of(bad.x_train).read(np.array([2]))


def test_maps_are_never_expanded(tmp_path: Path) -> None:
    file = tmp_path / "maps.npz"
    np.savez(file, x_train=X, y_train=MAP, x_test=X, y_test=MAP)
    assert load(str(file), samples=4).y_train.shape == (4, *SHAPE[1:])
    with pytest.raises(UsageError, match=r"labels of pixels are never expanded; --augment changes both"):
        load(str(file), samples=7)


def test_a_folder_of_pictures_with_a_folder_of_masks(tmp_path: Path) -> None:
    tf = pytest.importorskip("tensorflow")
    for part in ("train", "test"):
        for kind in ("images", "masks"):
            (tmp_path / part / kind).mkdir(parents=True)
        for number in range(4):
            picture = np.full((8, 6, 3), 50 * number, np.uint8)
            mask = np.full((8, 6, 1), number % 3, np.uint8)
            mask[0] = 255
            (tmp_path / part / "images" / f"{number}.png").write_bytes(tf.io.encode_png(picture).numpy())
            (tmp_path / part / "masks" / f"{number}.png").write_bytes(tf.io.encode_png(mask).numpy())
    data = load(f"images:{tmp_path}", options=Options(ignore_label=255))
    assert (data.kind, data.classes, data.y_train.shape) == ("map", 3, (4, 8, 6))
    x, y = source_of(data.x_train).read(np.arange(4))
    assert np.array_equal(y[:, 5, 5], x[:, 5, 5, 0] // 50 % 3)
    assert (y[:, 0] == 255).all()
    small = load(f"images:{tmp_path}", options=Options(image_size=(4, 3), ignore_label=255))
    assert set(np.unique(source_of(small.x_train).read(np.arange(4))[1])) <= {0, 1, 2, 255}
    (tmp_path / "train" / "masks" / "2.png").unlink()
    with pytest.raises(UsageError, match=r"masks/2\.png\): cannot be read: No such file"):
        source_of(data.x_train).read(np.arange(4))
