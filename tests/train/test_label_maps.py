"""A class for each pixel, and images to predict: what Keras's own train_on_batch makes of the same global batches."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from hpcnn.data.dataset import DataSet
from hpcnn.data.registry import load_of
from hpcnn.machine.smoke import weights
from hpcnn.parallel.serial import SingleReplica
from hpcnn.specs.train import TrainSpec
from hpcnn.train.augment import augmentation_of, change_of_labels
from hpcnn.train.class_weights import class_counts, class_weights
from hpcnn.train.feed import Form, place
from hpcnn.train.maps import Maps
from hpcnn.train.order import epoch_order
from hpcnn.util.errors import UsageError
from hpcnn.util.files import read_lines
from tests.train.cases import CASES, MAPS, MAPS_STREAMED
from tests.train.launching import USER, Train
from tests.user import own_maps

keras = pytest.importorskip("keras")

SPEC = replace(MAPS, epochs=2)


def close(run: Any, model: Any) -> None:
    theirs = sorted(model.get_weights(), key=np.size)
    mine = sorted(weights(max(run.networks().values())).values(), key=np.size)
    assert max(float(np.abs(a - b).max()) for a, b in zip(mine, theirs, strict=True)) < 1e-6


def by_keras(spec: TrainSpec, x: Any, y: Any, of_pixels: Any, model: Any) -> list[float]:
    """Train with Keras's train_on_batch on hpcnn's global batches; return the mean loss of each epoch's batches."""
    found = []
    assert spec.batch_size is not None
    for epoch in range(1, (spec.epochs or 0) + 1):
        order, losses = epoch_order(len(x), spec.seed, epoch), []
        for first in range(0, len(x), spec.batch_size):
            batch = order[first : first + spec.batch_size]
            own_weights = None if of_pixels is None else of_pixels[batch]
            result = model.train_on_batch(x[batch], y[batch], sample_weight=own_weights, return_dict=True)
            losses.append(result["loss"])
            model.reset_metrics()
        sizes = [min(spec.batch_size, len(x) - first) for first in range(0, len(x), spec.batch_size)]
        found.append(float(np.average(losses, weights=sizes)))
    return found


def lines_of(run: Any) -> list[dict[str, Any]]:
    return list(read_lines(run.epochs(0)))


@pytest.mark.parametrize("case", ["maps", MAPS_STREAMED, "channel"])
def test_maps_train_as_with_keras_and_its_ignored_class(case: str, train: Train) -> None:
    spec = replace(SPEC, data_args={"form": "channel"}) if case == "channel" else replace(CASES[case], epochs=2)
    run = train(spec)
    (x, y), (x_test, y_test) = own_maps.maps()
    keras.utils.set_random_seed(spec.seed)
    model = own_maps.segmenter(x.shape[1:], 3)
    model.compile(keras.optimizers.SGD(0.1), keras.losses.SparseCategoricalCrossentropy(ignore_class=255))
    share = np.array([(y == one).sum() for one in range(3)]) / (y != 255).sum()
    of_class = np.append(1 / np.sqrt(share), np.ones(253))
    losses = by_keras(spec, x / 255, y, of_class[y], model)
    close(run, model)
    lines = lines_of(run)
    assert [line["loss"] for line in lines] == pytest.approx(losses, rel=1e-5)

    given = model.predict(x_test / 255, verbose=0).argmax(-1)
    valid = y_test != 255
    table = np.array([[((y_test == a) & (given == b)).sum() for b in range(3)] for a in range(3)])
    assert lines[-1]["validation"]["accuracy"] == pytest.approx((given == y_test)[valid].mean())
    metric = keras.metrics.MeanIoU(3, ignore_class=255)
    metric.update_state(y_test, given)
    assert lines[-1]["validation"]["mean_iou"] == pytest.approx(float(metric.result()), rel=1e-5)
    dice = [2 * table[c, c] / (table[c].sum() + table[:, c].sum()) for c in range(3)]
    assert lines[-1]["validation"]["dice"] == pytest.approx(np.mean(dice), rel=1e-5)


def test_the_loss_of_a_user_that_ignores_a_class_and_weights_of_pixels(train: Train) -> None:
    spec = replace(CASES["maps-ignored-by-keras"], epochs=2, data_args={"weights": True})
    run = train(spec)
    (x, y, of_pixels), _ = own_maps.maps(weights=True)
    keras.utils.set_random_seed(spec.seed)
    model = own_maps.segmenter_that_ignores(x.shape[1:], 3)
    by_keras(spec, x / 255, y, of_pixels, model)
    close(run, model)
    assert any("mean_io_u" in name for name in lines_of(run)[0]["metrics"])


def test_a_loss_that_is_divided_by_the_weights(train: Train) -> None:
    spec = replace(CASES["by-weight"], epochs=2)
    run = train(spec)
    (x, y, of_pixels), _ = own_maps.maps(weights=True)
    keras.utils.set_random_seed(spec.seed)
    model = own_maps.segmenter_by_weight(x.shape[1:], 3)
    by_keras(spec, x / 255, y, of_pixels, model)
    close(run, model)


def test_one_hot_maps(train: Train) -> None:
    spec = replace(SPEC, data_args={"form": "one-hot"}, ignore_label=None, class_weight={}, optimizer="sgd")
    run = train(replace(spec, loss="categorical_crossentropy"))
    (x, y), _ = own_maps.maps("one-hot")
    keras.utils.set_random_seed(spec.seed)
    model = own_maps.segmenter(x.shape[1:], 3)
    model.compile(keras.optimizers.SGD(0.1), "categorical_crossentropy", metrics=["accuracy"])
    by_keras(spec, x / 255, y, None, model)
    close(run, model)
    sparse = train(spec)
    close(sparse, model)
    assert lines_of(sparse)[-1]["validation"] == pytest.approx(lines_of(run)[-1]["validation"])


@pytest.mark.parametrize("loss", ["mean_squared_error", "binary_crossentropy"])
@pytest.mark.parametrize("form", ["floats", "same", "dense"])
def test_images_to_predict(form: str, loss: str, train: Train) -> None:
    data = {"form": form} if form == "same" else {}
    spec = replace(CASES["images"], epochs=1, loss=loss, pixel_scale="unit", data_args=data)
    run = train(replace(spec, model_args={"dense": True} if form == "dense" else {}))
    (x, y), _ = own_maps.pictures()
    keras.utils.set_random_seed(spec.seed)
    model = own_maps.autoencoder(x.shape[1:], 1)
    model.compile(keras.optimizers.SGD(1.0), loss)
    losses = by_keras(spec, y, y, None, model)
    close(run, model)
    assert [line["loss"] for line in lines_of(run)] == pytest.approx(losses, rel=1e-5)
    assert set(lines_of(run)[0]["metrics"]) == {"mae"}


def test_weights_of_classes_follow_from_their_shares(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(USER)
    alone = SingleReplica()
    for data in (load_of(MAPS), load_of(CASES[MAPS_STREAMED])):
        counts = class_counts(data, alone)
        (_, y), _ = own_maps.maps()
        assert counts.tolist() == [(y == one).sum() for one in range(3)]
        share = counts / counts.sum()
        root, balanced = (class_weights({word: True}, data, alone) for word in ("sqrt", "balanced"))
        assert root == pytest.approx(share**-0.5)
        assert balanced == pytest.approx(1 / (3 * share))
        assert class_weights({"none": True}, data, alone) is None


def augmented(spec: TrainSpec, data: DataSet) -> Any:
    """Return the first 20 training samples as the first epoch sees them: features, labels, weights."""
    form = Form(maps=Maps(3, 255) if data.is_map else None)
    augmentation = augmentation_of(spec, data, data.x_train, ("/CPU:0",))
    assert augmentation is not None
    augmentation.on_epoch_begin(0)
    augmentation.on_train_batch_begin(0)
    fed = place(data.x_train, data.y_train, ("/CPU:0",), form, data.train_weights)
    fed = replace(fed, change=augmentation, change_labels=change_of_labels(augmentation, data))
    return [None if part is None else np.asarray(part) for part in fed.gather(0, np.arange(20))]


TURNED = {"rotation": 30.0, "zoom": 0.2, "translation": 0.1, "flip": "both"}


def test_augmentation_turns_maps_and_weights_of_pixels_with_their_images() -> None:
    """The values of the image are the classes, and so are the weights: all three agree after the change."""
    classes = np.kron(np.random.default_rng(5).integers(0, 3, (20, 6, 6)), np.ones((4, 4))).astype(np.uint8)
    data = DataSet(
        "mine",
        classes[..., None] / 2,
        classes,
        classes[..., None] / 2,
        classes,
        ignore_label=255,
        train_weights=classes,
    )
    x, y, w = augmented(replace(SPEC, augment={"flip": "both"}), data)
    assert np.array_equal(x[..., 0] * 2, y)
    assert np.array_equal(w, y)
    assert (y != classes).any(axis=(1, 2)).mean() > 0.5
    x, y, w = augmented(replace(SPEC, augment={**TURNED, "brightness": 0.0}), data)
    assert set(np.unique(y)) <= {0, 1, 2}
    assert (np.rint(x[..., 0] * 2) == y).mean() > 0.93  # the image is interpolated, a class is the nearest pixel's
    assert np.array_equal(w, y)
    assert (y != classes).mean() > 0.2
    _, y, _ = augmented(replace(SPEC, augment={**TURNED, "fill": "constant", "translation": 0.4}), data)
    assert set(np.unique(y)) == {0, 1, 2, 255}
    toned = SPEC.augment | {"brightness": 0.3, "contrast": 0.2, "noise": 0.1}
    x, y, _ = augmented(replace(SPEC, augment=toned), data)
    assert np.array_equal(y, classes)
    assert not np.allclose(x[..., 0] * 2, classes, atol=0.1)


def test_augmentation_moves_images_to_predict_and_leaves_their_values() -> None:
    x = np.random.default_rng(6).random((20, 12, 10, 2), np.float32)
    data = DataSet("mine", x, x, x, x)
    moved, target, _ = augmented(replace(SPEC, augment=TURNED), data)
    assert np.allclose(moved, target, atol=1e-6)
    noisy, target, _ = augmented(replace(SPEC, augment={"noise": 0.2}), data)
    assert np.array_equal(target, x)
    assert not np.allclose(noisy, x, atol=0.05)


def test_a_picture_of_maps_has_the_overlap_that_the_run_recorded(train: Train) -> None:
    pytest.importorskip("matplotlib")
    from hpcnn.figures.networks import segmentation
    from hpcnn.train.trained import open_trained

    run = train(SPEC)
    trained = open_trained(run.path)
    recorded = lines_of(run)[-1]["validation"]
    figure = segmentation.draw(trained, count=3)
    assert f"{recorded['mean_iou']:.3f}" in figure.get_suptitle()
    assert f"{recorded['accuracy']:.2%}" in figure.get_supxlabel()
    assert [len(axes.images) for axes in figure.axes] == [*[1] * 9, 0]
    legend = figure.axes[-1].get_legend()
    words = [text.get_text() for text in legend.get_texts()]
    assert [word[:2] for word in words[:3]] == ["0:", "1:", "2:"]
    assert words[3] == "does not count"
    of_classes = [float(word.split()[1]) for word in words[:3]]
    assert np.mean(of_classes) == pytest.approx(recorded["mean_iou"], abs=1e-3)
    truth = figure.axes[1].images[0].get_array()
    number = int(figure.axes[0].get_ylabel().split()[1])
    labels = trained.data.y_test[number]
    assert np.array_equal(
        np.asarray(truth), np.vstack([segmentation.class_colours(3), np.ones(3)])[np.minimum(labels, 3)]
    )
    with pytest.raises(UsageError, match="--channel: 1 is not valid; expected 0 to 0"):
        segmentation.draw(trained, channel=1)
    with pytest.raises(UsageError, match="`hpcnn plot segmentation` shows maps"):
        trained.probabilities(trained.data.x_test)


def test_two_classes_by_one_output(train: Train) -> None:
    """As Keras's own binary cross-entropy with an axis of channels, with weights of pixels."""
    spec = replace(
        SPEC, data="own_maps:two_classes", model_args={"classes": 1, "activation": "sigmoid"}, ignore_label=None
    )
    run = train(replace(spec, class_weight={}, epochs=1))
    (x, y, of_pixels), (x_test, y_test, _) = own_maps.two_classes()
    keras.utils.set_random_seed(spec.seed)
    model = own_maps.segmenter(x.shape[1:], 1, "sigmoid")
    model.compile(keras.optimizers.SGD(0.1), "binary_crossentropy")
    by_keras(replace(spec, epochs=1), x / 255, y[..., None], of_pixels, model)
    close(run, model)
    given = model.predict(x_test / 255, verbose=0)[..., 0] > 0.5
    assert lines_of(run)[-1]["validation"]["accuracy"] == pytest.approx((given == y_test).mean())


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"data": "own_maps:pictures"},
            "--ignore-label: 255 is not valid; expected no value with data set 'own_maps:pictures'",
        ),
        ({"loss": "mean_squared_error"}, "which has a class for each pixel; images to predict are floats"),
        ({"class_weight": {"sqrt": True, "2": 3}}, "expected sqrt, balanced, none or a file alone"),
        ({"class_weight": {"root": True}}, "expected CLASS=WEIGHT, sqrt, balanced, none, or a file of JSON"),
        ({"class_weight": {"3": 2}}, "--class-weight: '3=2' is not valid; expected class numbers from 0 to 2"),
        ({"model": "own_maps:autoencoder"}, "For classes, end the model in one output for each class of a pixel"),
        ({"data": "digits"}, "--ignore-label: 255 is not valid; expected no value with digits"),
    ],
)
def test_what_cannot_be_is_said(changes: dict[str, Any], words: str, train: Train) -> None:
    with pytest.raises(UsageError) as caught:
        train(replace(SPEC, **changes))
    assert words in str(caught.value)
