"""Weights of samples, and several labels a sample: what Keras's own fit and evaluate make of them."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from hpcnn.machine.smoke import weights
from hpcnn.specs.train import TrainSpec
from hpcnn.util.errors import UsageError
from hpcnn.util.files import read_lines
from tests.train.launching import Train
from tests.user import own

keras = pytest.importorskip("keras")

SPEC = TrainSpec(
    model="own:ridge",
    model_args={"strength": 0.01},
    data="own:weighted",
    optimizer="sgd",
    learning_rate=0.1,
    loss="sparse_categorical_crossentropy",
    batch_size=333,
    epochs=3,
    checkpoint=True,
    evaluate_training=True,
)
LABELS = replace(
    SPEC, model="own:for_several_labels", model_args={}, data="own:several_labels", loss=None, batch_size=153
)


def close(run: Any, model: Any) -> None:
    theirs = sorted(model.get_weights(), key=np.size)
    mine = weights(max(run.networks().values()))
    assert all(np.allclose(a, b, atol=1e-6) for a, b in zip(sorted(mine.values(), key=np.size), theirs, strict=True))


def test_weights_of_samples_are_those_of_a_fit_of_keras(train: Train) -> None:
    run = train(SPEC)
    (x, y, w), (x_test, y_test, w_test) = own.weighted()
    keras.utils.set_random_seed(SPEC.seed)
    model = own.ridge((28, 28, 1), 10, 0.01)
    model.compile(keras.optimizers.SGD(0.1), SPEC.loss, metrics=["accuracy"])
    test = (x_test / 255, y_test, w_test)
    history = model.fit(x / 255, y, sample_weight=w, validation_data=test, batch_size=333, epochs=3, verbose=0).history
    close(run, model)
    lines = list(read_lines(run.epochs(0)))
    assert [line["loss"] for line in lines] == pytest.approx(history["loss"], rel=1e-5)
    assert [line["metrics"]["accuracy"] for line in lines] == pytest.approx(history["accuracy"])
    assert [line["validation"]["loss"] for line in lines] == pytest.approx(history["val_loss"], rel=1e-5)
    assert [line["validation"]["accuracy"] for line in lines] == pytest.approx(history["val_accuracy"])
    result = run.read_result() or {}
    on_training = model.evaluate(x / 255, y, sample_weight=w, batch_size=333, verbose=0)
    assert result["training_set"]["loss"] == pytest.approx(on_training[0], rel=1e-5)
    unweighted = model.evaluate(x_test / 255, y_test, verbose=0)
    assert abs(unweighted[0] - lines[-1]["validation"]["loss"]) > 1e-3  # else equality would say nothing


def test_the_same_where_only_the_training_samples_have_weights(train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    training, (x_test, y_test, _) = own.weighted()
    monkeypatch.setattr(own, "weighted", lambda: (training, (x_test, y_test)))
    monkeypatch.setitem(sys.modules, "own", own)
    run = train(replace(SPEC, epochs=1))
    keras.utils.set_random_seed(SPEC.seed)
    model = own.ridge((28, 28, 1), 10, 0.01)
    model.compile(keras.optimizers.SGD(0.1), SPEC.loss)
    model.fit(training[0] / 255, training[1], sample_weight=training[2], batch_size=333, verbose=0)
    close(run, model)
    result = run.read_result() or {}
    assert result["test"]["loss"] == pytest.approx(model.evaluate(x_test / 255, y_test, verbose=0), rel=1e-5)


def test_weights_of_classes_multiply_those_of_samples(train: Train) -> None:
    run = train(replace(SPEC, epochs=1, class_weight={"3": 4}))
    (x, y, w), _ = own.weighted()
    keras.utils.set_random_seed(SPEC.seed)
    model = own.ridge((28, 28, 1), 10, 0.01)
    model.compile(keras.optimizers.SGD(0.1), SPEC.loss)
    model.fit(x / 255, y, sample_weight=np.where(y == 3, 4 * w, w), batch_size=333, verbose=0)
    close(run, model)


def test_a_network_in_numpy_has_no_weights_of_samples(train: Train) -> None:
    with pytest.raises(
        UsageError, match="expected a set without weights of samples, with scinet-hidden-mnist in NumPy"
    ):
        train(TrainSpec(model="scinet-hidden-mnist", data="own:weighted", epochs=1))


# Several labels a sample.


def test_several_labels_are_those_of_a_fit_of_keras(train: Train) -> None:
    run = train(LABELS)
    (x, y), (x_test, y_test) = own.several_labels()
    keras.utils.set_random_seed(LABELS.seed)
    model = own.for_several_labels((2,), 3)
    model.compile(keras.optimizers.SGD(0.1), "binary_crossentropy", metrics=["binary_accuracy"])
    history = model.fit(x, y, validation_data=(x_test, y_test), batch_size=153, epochs=3, verbose=0).history
    close(run, model)
    lines = list(read_lines(run.epochs(0)))
    assert set(lines[0]["metrics"]) == {"binary_accuracy"}
    assert [line["loss"] for line in lines] == pytest.approx(history["loss"], rel=1e-5)
    for name in ("loss", "binary_accuracy"):
        assert [line["validation"][name] for line in lines] == pytest.approx(history[f"val_{name}"], rel=1e-5)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"loss": "sparse_categorical_crossentropy"},
            "expected binary_crossentropy with data set 'own:several_labels'",
        ),
        (
            {"loss": "categorical_crossentropy"},
            "--loss: 'categorical_crossentropy' is not valid; expected binary_cross",
        ),
        ({"class_weight": {"1": 2}}, "no value with data set 'own:several_labels', which has several labels"),
        ({"target_accuracy": 0.9}, "--target-accuracy: 0.9"),
    ],
)
def test_what_cannot_be_with_several_labels_is_said(changes: dict[str, Any], words: str, train: Train) -> None:
    with pytest.raises(UsageError) as caught:
        train(replace(LABELS, **changes))
    assert words in str(caught.value)
