"""Pictures are decoded a slice at a time: each as by itself, also while every thread of TensorFlow's waits for them."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest

from hpcnn.data.registry import load
from hpcnn.data.stream.opened import Options
from hpcnn.data.stream.source import Source
from hpcnn.data.stream.streamed import source_of
from hpcnn.train.reader import Reader

SIZE = (9, 7)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of 40 JPEG and PNG files, half of them of ``SIZE``, half larger."""
    import tensorflow as tf

    folder = tmp_path_factory.mktemp("pictures")
    draw = np.random.default_rng(1)
    for number in range(40):
        picture = draw.integers(0, 256, (*(SIZE if number % 2 else (20, 31)), 3), dtype=np.uint8)
        png = number % 3 == 0
        file = folder / f"class{number % 2}" / f"{number}.{'png' if png else 'jpg'}"
        file.parent.mkdir(exist_ok=True)
        file.write_bytes((tf.io.encode_png if png else tf.io.encode_jpeg)(picture).numpy())
    return folder


def source(folder: Path) -> Source:
    return source_of(load(f"images:{folder}", options=Options(SIZE)).x_train)


def test_a_slice_is_the_pictures_one_by_one_in_the_order_that_was_asked_for(pictures: Path) -> None:
    import tensorflow as tf

    ours = source(pictures)
    order = np.random.default_rng(2).permutation(len(ours))
    for row, index in zip(ours.read(order)[0], order, strict=True):
        picture = tf.io.decode_image(Path(ours.where(int(index))).read_bytes())
        if picture.shape[:2] != SIZE:
            picture = tf.cast(tf.round(tf.image.resize(picture, SIZE)), tf.uint8)
        assert np.array_equal(row, picture.numpy())


def test_slices_come_while_every_thread_of_steps_waits_for_one(pictures: Path) -> None:
    import tensorflow as tf

    reader = Reader(source(pictures), 2)
    waiting = 4 * (tf.config.threading.get_inter_op_parallelism_threads() or 16)

    @tf.function
    def step() -> list[tf.Tensor]:
        return [
            tf.numpy_function(lambda index: reader.read(index)[1], [np.array([number % 32])], tf.int64)
            for number in range(waiting)
        ]

    reader.expect(np.array([number % 32]) for number in range(waiting))
    found: list[tf.Tensor] = []
    thread = threading.Thread(target=lambda: found.extend(step()), daemon=True)
    thread.start()
    thread.join(60)
    reader.close()
    assert len(found) == waiting
