"""What pictures show is what the network says: order, counts, weights, places, areas."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from hpcnn.data.registry import load
from hpcnn.figures.networks import boundary, confusion, curves, digits, features, filters, layers, patches
from hpcnn.figures.networks.maps import map_layers, one_layer, outputs
from hpcnn.figures.networks.receptive import receptive_field
from hpcnn.rundir.read import read_run
from hpcnn.train.trained import Trained, as_probabilities, open_trained
from hpcnn.util.errors import UsageError


def texts(figure: Any) -> list[str]:
    """Return the texts in all axes of a figure."""
    return [text.get_text() for axes in figure.axes for text in axes.texts]


def title(figure: Any) -> str:
    return " ".join(figure.get_suptitle().split())


def test_the_network_is_that_of_the_run_and_sees_what_it_was_tested_on(digits_network: Trained) -> None:
    kept = keras.models.load_model(digits_network.run.networks()[2])
    data = load("digits")
    expected = kept.predict(data.x_test / np.float32(255), verbose=0)
    np.testing.assert_allclose(digits_network.probabilities(data.x_test), expected, atol=1e-6)
    recorded = read_run(digits_network.run.path).run["test_accuracy"]
    assert (expected.argmax(axis=1) == data.y_test).mean() == pytest.approx(recorded)
    assert digits_network.recorded_accuracy == pytest.approx(recorded)


def test_an_earlier_epoch_is_another_network(digits_run: Path, digits_network: Trained) -> None:
    first = open_trained(digits_run, 1)
    assert first.epoch == 1
    accuracy = (first.probabilities(first.data.x_test).argmax(axis=1) == first.data.y_test).mean()
    assert accuracy == pytest.approx(first.recorded_accuracy)
    assert accuracy != digits_network.recorded_accuracy


def test_the_mistakes_come_first_the_surest_at_the_very_front() -> None:
    labels = np.array([0, 1, 0, 1])
    probabilities = np.array([[0.6, 0.4], [0.9, 0.1], [0.55, 0.45], [0.7, 0.3]])
    assert digits.mistakes_first(labels, probabilities).tolist() == [1, 3, 2, 0]


def test_digits_names_every_mistake_and_frames_it(digits_network: Trained) -> None:
    given = digits_network.probabilities(digits_network.data.x_test).argmax(axis=1)
    labels = digits_network.data.y_test
    mistakes = int((given != labels).sum())
    assert 0 < mistakes < 50
    figure = digits.draw(digits_network, count=50)
    shown = texts(figure)
    assert len(shown) == len(figure.axes[0].images) == 50
    expected = sorted(f"{g}, is {r}" for g, r in zip(given, labels, strict=True) if g != r)
    assert sorted(shown[:mistakes]) == expected
    assert all(text.isdecimal() for text in shown[mistakes:])
    frames = [frame.get_linewidth() for frame in figure.axes[0].patches]
    assert min(frames[:mistakes]) > max(frames[mistakes:])
    assert (
        title(figure)
        == f"digits-run: psc-cnn-dropout on digits, epoch 2: {1 - mistakes / 360:.2%} of 360 test images right"
    )


def test_the_matrix_counts_every_sample_and_its_recall_is_right(digits_network: Trained) -> None:
    given = digits_network.probabilities(digits_network.data.x_test).argmax(axis=1)
    labels = digits_network.data.y_test
    counts = confusion.matrix(labels, given, 10)
    for row in range(10):
        assert counts[row].tolist() == [int(((labels == row) & (given == column)).sum()) for column in range(10)]
    figure = confusion.draw(digits_network)
    written = {text.get_position(): text.get_text() for text in figure.axes[0].texts}
    assert written == {(c, r): str(counts[r, c]) for r in range(10) for c in range(10) if counts[r, c]}
    recalls = [label.get_text() for label in figure.axes[0].child_axes[0].get_yticklabels()]
    assert recalls == [f"{(given[labels == row] == row).mean():.1%}" for row in range(10)]


def test_a_class_without_samples_has_no_recall() -> None:
    assert np.isnan(confusion.recall(np.array([[3, 1], [0, 0]])))[1]


def test_filters_are_the_weights_of_the_first_layer(digits_network: Trained) -> None:
    name, kernels = filters.first_filters(digits_network)
    kernel = np.asarray(digits_network.model.layers[0].kernel)
    assert (name, kernels.shape) == ("conv2d", (32, 3, 3, 1))
    np.testing.assert_array_equal(kernels[7, :, :, 0], kernel[:, :, 0, 7])
    figure = filters.draw(digits_network, count=5)
    drawn = [axes.images[0].get_array() for axes in figure.axes if axes.images]
    assert len(drawn) == 5
    np.testing.assert_array_equal(drawn[4], kernel[:, :, 0, 4])


def test_neurons_of_a_dense_layer_are_laid_out_as_the_images_they_see(train_kept: Callable[..., Path]) -> None:
    words = ("--model", "scinet-dense-tanh", "--samples", 100, "--epochs", 1, "--pixel-scale", "unit", "--checkpoint")
    path = train_kept("dense", *words)
    dense = open_trained(path)
    name, kernels = filters.first_filters(dense)
    assert (name, kernels.shape) == ("hidden", (30, 28, 28, 1))
    image = dense.data.x_test[0] / 255
    layer = dense.model.layers[0]
    at_once = np.tanh((kernels * image).sum(axis=(1, 2, 3)) + np.asarray(layer.bias))
    assert np.abs(at_once).min() < 0.9
    np.testing.assert_allclose(np.asarray(layer(dense.inputs(dense.data.x_test[:1])))[0], at_once, atol=1e-5)
    with pytest.raises(UsageError, match="convolutions"):
        patches.draw(dense)


def test_feature_maps_are_the_outputs_of_the_layers(digits_network: Trained) -> None:
    image = digits_network.data.x_test[3]
    figure = features.draw(digits_network, image, "test image 3", layer="conv2d")
    drawn = [axes.images[0].get_array() for axes in figure.axes if axes.images]
    expected = np.asarray(digits_network.model.layers[0](image[np.newaxis] / np.float32(255)))[0]
    assert len(drawn) == 1 + 32
    np.testing.assert_allclose(np.stack(drawn[1:], axis=-1), expected, atol=1e-6)
    label = digits_network.probabilities(image[np.newaxis])[0].argmax()
    assert f"test image 3, labelled {label} with probability" in title(figure)


def test_a_receptive_field_is_what_a_change_of_the_image_reaches() -> None:
    keras.utils.set_random_seed(2)
    inputs = keras.Input((31, 29, 1))
    x = keras.layers.Conv2D(3, (3, 5), strides=2, padding="same")(inputs)
    x = keras.layers.BatchNormalization()(x)
    x = keras.layers.AveragePooling2D(2)(x)
    skipped = keras.layers.Conv2D(3, 1)(x)
    x = keras.layers.Conv2D(3, 3, dilation_rate=2, padding="same")(x)
    joined = keras.layers.Add()([x, skipped])
    joined = keras.layers.ZeroPadding2D(1)(joined)
    last = keras.layers.Conv2D(2, (2, 3), strides=(1, 2))
    model = keras.Model(inputs, last(joined))
    image = np.random.default_rng(0).normal(size=(31, 29)).astype(np.float32)
    rows, columns = receptive_field(last)
    before = np.asarray(model(image[np.newaxis, ..., np.newaxis]))[0]
    for position in ((0, 0), (3, 1), (before.shape[0] - 1, before.shape[1] - 1)):
        changed = []
        for axis in (0, 1):
            reached = set()
            for pixel in range(image.shape[axis]):
                other = image.copy()
                other[(slice(None),) * axis + (pixel,)] += 1
                after = np.asarray(model(other[np.newaxis, ..., np.newaxis]))[0]
                if np.abs(after[position] - before[position]).max() > 1e-6:
                    reached.add(pixel)
            changed.append((min(reached), max(reached) + 1))
        found = [field.of(place) for field, place in zip((rows, columns), position, strict=True)]
        inside = [(max(start, 0), min(stop, size)) for (start, stop), size in zip(found, image.shape, strict=True)]
        assert inside == changed


def test_patches_are_those_with_the_largest_output_and_give_it_again(digits_network: Trained) -> None:
    layer = one_layer(digits_network, "conv2d_1")
    best = patches.top_places(digits_network, layer, 4)
    (maps,) = outputs(digits_network, [layer], digits_network.data.x_test)
    for number, places in enumerate(best):
        largest = maps[..., number].max(axis=(1, 2))
        assert [value for value, *_ in places] == pytest.approx(sorted(largest, reverse=True)[:9])
        assert len({sample for _, sample, _, _ in places}) == 9
        value, sample, row, column = places[0]
        patch = patches.cut(digits_network.data.x_test[sample], receptive_field(layer), (row, column))
        assert patch.shape == (5, 5, 1)
        alone = np.zeros((1, 28, 28, 1), np.uint8)
        alone[0, :5, :5] = patch
        assert outputs(digits_network, [layer], alone)[0][0, 0, 0, number] == pytest.approx(value, abs=1e-5)


def test_a_patch_that_goes_beyond_the_image_keeps_its_size(own_run: Path) -> None:
    colours = open_trained(own_run)
    fields = receptive_field(one_layer(colours, "joined"))
    image = colours.data.x_test[0]
    corner = patches.cut(image, fields, (0, 9))
    assert corner.shape == (5, 5, 3)
    np.testing.assert_array_equal(corner[2:, :3], image[:3, 7:])
    assert (corner[:2] == image.min()).all()


def test_a_layer_of_a_users_own_has_no_known_field(own_run: Path) -> None:
    colours = open_trained(own_run)
    with pytest.raises(UsageError, match=r"layer doubled \(Doubled\): hpcnn does not know"):
        patches.draw(colours, layer="doubled")
    assert list(map_layers(colours)) == ["one", "two", "joined", "pool", "doubled"]


def test_logits_become_probabilities_and_a_custom_layer_comes_back(own_run: Path) -> None:
    colours = open_trained(own_run)
    logits = np.asarray(colours.model(colours.inputs(colours.data.x_test)), np.float64)
    powers = np.exp(logits)
    found = colours.probabilities(colours.data.x_test)
    np.testing.assert_allclose(found, powers / powers.sum(axis=1, keepdims=True), rtol=1e-5)
    assert (found.argmax(axis=1) == colours.data.y_test).mean() == pytest.approx(colours.recorded_accuracy)


def test_outputs_of_sigmoids_are_divided_by_their_sum(digits_network: Trained) -> None:
    outputs_ = np.zeros((2, 10))
    outputs_[0, 3], outputs_[0, 4] = 0.9, 0.3
    found = as_probabilities(outputs_, digits_network)
    assert (found[0, 3], found[0, 4]) == (pytest.approx(0.75), pytest.approx(0.25))
    assert not found[1].any()
    with pytest.raises(UsageError, match="not one number for each of 10 classes"):
        as_probabilities(np.zeros((2, 3)), digits_network)


def test_layers_shows_all_layers_with_their_shares(digits_network: Trained) -> None:
    shown = texts(layers.draw(digits_network.model, "a title"))
    for text in ("conv2d_1", "24 × 24 × 64", "1.5 %  (18,496)", "98.3 %  (1,179,776)", "< 0.1 %  (320)", "9216"):
        assert text in shown


def test_layers_draws_an_arrow_for_every_connection_of_two_branches(own_run: Path) -> None:
    model = open_trained(own_run).model
    names = [layer.name for layer in model.layers]
    edges = [(names[source], names[target]) for source, target in layers._edges(model)]
    assert {("one", "joined"), ("two", "joined"), ("joined", "pool"), ("flat", "last")} <= set(edges)
    assert len(edges) == 8


def test_curves_are_the_recorded_epochs(digits_run: Path, own_run: Path) -> None:
    figure = curves.draw([digits_run])
    rows = sorted(read_run(digits_run).epochs, key=lambda row: row["epoch"])
    for axes, keys in zip(
        figure.axes, (("metric_accuracy", "validation_accuracy"), ("loss", "validation_loss")), strict=True
    ):
        for line, key in zip(axes.lines, keys, strict=True):
            assert line.get_xdata().tolist() == [1, 2]
            assert line.get_ydata().tolist() == [row[key] for row in rows]
    assert title(figure) == f"digits-run: psc-cnn-dropout on digits: test accuracy {rows[1]['validation_accuracy']:.2%}"
    both = curves.draw([digits_run, own_run])
    labels = [text.get_text() for text in both.legends[0].get_texts()]
    assert [label.rpartition(": ")[2] for label in labels] == ["training", "test"] * 2
    assert labels[0].startswith("model psc-cnn-dropout, ")
    assert labels[0].rpartition(": ")[0] == labels[1].rpartition(": ")[0] != labels[2].rpartition(": ")[0]
    colours = [line.get_color() for line in both.axes[0].lines]
    assert colours[0] == colours[1] != colours[2] == colours[3]


def test_the_boundary_of_one_neuron_is_where_its_sum_is_zero(train_kept: Callable[..., Path], own_run: Path) -> None:
    path = train_kept(
        "plane", *("--model", "own_images:plane", "--data", "own_images:halves", "--epochs", 20, "--checkpoint")
    )
    neuron = open_trained(path)
    plane = boundary._plane_of(neuron)
    (w1, w2), bias = np.asarray(neuron.model.layers[0].kernel)[:, 0], float(neuron.model.layers[0].bias[0])
    expected = w1 * plane.x + w2 * plane.y + bias > 0
    assert (plane.predictions == expected).mean() > 0.9999
    assert 0.2 < expected.mean() < 0.8
    assert title(boundary.draw(path)).startswith(
        "plane: own_images:plane on own_images:halves, epoch 20: test accuracy"
    )
