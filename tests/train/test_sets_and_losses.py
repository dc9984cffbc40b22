"""Every data set with its own network, losses, class weights, rates by epoch and by layer, and every layer by name."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hpcnn.machine.smoke import weights
from hpcnn.rundir.layout import RunDir
from hpcnn.specs.complete import complete
from hpcnn.specs.train import TrainSpec
from hpcnn.util.errors import UsageError
from hpcnn.util.files import read_lines
from tests.train.launching import Train

keras = pytest.importorskip("keras")

DIGITS = TrainSpec(
    model="scinet-dense-tanh",
    model_args={"numnodes": 8},
    samples=200,
    test_samples=100,
    optimizer="sgd",
    learning_rate=0.1,
    pixel_scale="unit",
    batch_size=100,
    epochs=1,
    checkpoint=True,
)
OWN = replace(DIGITS, model="own:ridge", model_args={"strength": 0.0})


def last_weights(run: RunDir) -> dict[str, np.ndarray]:
    return weights(max(run.checkpoints.glob("epoch-*.keras")))


def same(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> bool:
    return all(np.allclose(one[name], other[name], atol=1e-6) for name in one)


# Data sets.


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Small sets in Keras's formats, whose answers can be found: a word of its own for each class, a linear price."""
    random = np.random.default_rng(3)

    def texts(count: int, classes: int) -> tuple[np.ndarray, np.ndarray]:
        y = random.integers(0, classes, count)
        x = np.empty(count, object)
        for number, label in enumerate(y):
            x[number] = [*random.integers(1, 40, 9).tolist(), 50 + int(label), 50 + int(label)]
        return x, y

    (x, y), (x_test, y_test) = texts(400, 2), texts(100, 2)
    np.savez(tmp_path / "imdb.npz", x_train=x, y_train=y, x_test=x_test, y_test=y_test)
    x, y = texts(1000, 46)
    np.savez(tmp_path / "reuters.npz", x=x, y=y)
    for name, features, unit in (("boston_housing", 13, 10.0), ("california_housing", 8, 50_000.0)):
        table = random.normal(5, 3, (500, features))
        np.savez(tmp_path / f"{name}.npz", x=table, y=unit * (3 + 0.1 * (table[:, 0] - table[:, 1])))
    for name, shape, classes in (("cifar10", (32, 32, 3), 10), ("cifar100", (32, 32, 3), 100)):
        x, y = random.integers(0, 256, (100, *shape), np.uint8), np.arange(100)[::-1] % classes
        np.savez(tmp_path / f"{name}.npz", x_train=x, y_train=y, x_test=x, y_test=y)
    monkeypatch.setenv("HPCNN_DATA", str(tmp_path))
    return tmp_path


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("data", "model", "options"),
    [
        ("imdb", "imdb-embedding", {"batch_size": 40, "epochs": 20, "data_args": {"length": 11}}),
        (
            "reuters",
            "reuters-dense",
            {"batch_size": 40, "epochs": 20, "learning_rate": 0.005, "data_args": {"words": 120}},
        ),
    ],
)
def test_texts_are_learnt(data: str, model: str, options: dict[str, object], train: Train) -> None:
    spec = TrainSpec(data=data, **options)  # type: ignore[arg-type]
    assert spec.model == model
    result = train(spec).read_result() or {}
    assert result["test"]["accuracy"] > 0.9


@pytest.mark.usefixtures("folder")
def test_a_convolution_over_words_learns_too(train: Train) -> None:
    spec = TrainSpec(model="imdb-conv1d", data="imdb", data_args={"length": 11}, batch_size=40, epochs=5)
    assert (train(spec).read_result() or {})["test"]["accuracy"] > 0.9


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(("data", "unit"), [("boston_housing", 10.0), ("california_housing", 0.5)])
def test_prices_are_predicted(data: str, unit: float, train: Train) -> None:
    run = train(TrainSpec(data=data, epochs=40))
    test = (run.read_result() or {})["test"]
    assert set(test) == {"loss", "mae"}
    assert test["mae"] < 0.25 * unit  # the prices' own deviation is 0.42 of it
    lines = list(read_lines(run.epochs(0)))
    assert set(lines[-1]["metrics"]) == {"mae"}
    assert lines[-1]["validation"]["loss"] < lines[0]["validation"]["loss"]


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("data", ["cifar10", "cifar100"])
def test_photographs_have_a_network(data: str, train: Train) -> None:
    arguments = {"numfm": 2, "numnodes": 8}
    run = train(TrainSpec(data=data, model_args=arguments, epochs=1))
    assert RunDir(run.path).read_result()["status"] == "completed"  # type: ignore[index]


@pytest.mark.usefixtures("folder")
def test_a_regression_has_no_accuracy_to_reach(train: Train) -> None:
    with pytest.raises(UsageError, match=r"--target-accuracy: 0.9 .* housing-dense on boston_housing.* are mae"):
        train(TrainSpec(data="boston_housing", epochs=1, target_accuracy=0.9))


def test_an_uncompiled_network_of_ones_own_predicts_two_numbers(train: Train) -> None:
    spec = TrainSpec(model="own:uncompiled_regression", data="own:planes", learning_rate=0.3, batch_size=30, epochs=20)
    assert (train(spec).read_result() or {})["test"]["mae"] < 0.01


@pytest.mark.parametrize("precision", ["float32", "float16"])
def test_numbers_of_words_are_never_rounded(precision: str, train: Train) -> None:
    spec = TrainSpec(
        model="own:word_numbers", data="own:sentences", precision=precision, learning_rate=1e-9, batch_size=8, epochs=1
    )
    assert (train(spec).read_result() or {})["test"]["mae"] < 1e-4  # 1 part in 5000 for a number that is off by one


def test_more_words_than_the_network_has_are_refused(train: Train) -> None:
    spec = TrainSpec(model="own:word_numbers", data="own:sentences", data_args={"largest": 5000}, epochs=1)
    with pytest.raises(UsageError, match=r"layer 'embedding' has 5000 words, and the data numbers them up to 5000"):
        train(spec)


# Several inputs and outputs.


def test_two_inputs_and_two_outputs_are_learnt_with_their_own_losses(train: Train) -> None:
    run = train(TrainSpec(model="scinet-two-inputs", data="halves", model_args={"numfm": 4, "numnodes": 30}, epochs=8))
    test = (run.read_result() or {})["test"]
    assert set(test) == {"loss", "digit_loss", "odd_loss", "digit_accuracy", "odd_accuracy"}
    assert test["loss"] == pytest.approx(test["digit_loss"] + 0.2 * test["odd_loss"], rel=1e-5)
    assert test["digit_accuracy"] > 0.85
    assert test["odd_accuracy"] > 0.75


def test_a_tuple_of_arrays_trains_as_a_dictionary_does(train: Train) -> None:
    one, other = (
        last_weights(train(TrainSpec(model="own:two_inputs", data=data, batch_size=100, epochs=2, checkpoint=True)))
        for data in ("own:halves", "own:halves_as_tuples")
    )
    assert same(one, other)


def test_a_fit_of_keras_gives_the_same_losses(train: Train) -> None:
    from tests.user import own

    (x, y), test = own.halves()
    run = train(TrainSpec(model="own:two_inputs", data="own:halves", batch_size=333, epochs=2))
    keras.utils.set_random_seed(TrainSpec.seed)
    model = own.two_inputs({"upper": (14, 28, 1), "lower": (14, 28, 1)}, {"digit": 10, "odd": 2})
    labels = [keras.utils.to_categorical(y["digit"], 10), y["odd"]]
    model.fit(x, labels, batch_size=333, epochs=2, verbose=0)
    labels = [keras.utils.to_categorical(test[1]["digit"], 10), test[1]["odd"]]
    # in one batch: Keras's mean of an output's loss is over batches, whatever their size
    theirs = model.evaluate(test[0], labels, batch_size=120, verbose=0)
    mine = (run.read_result() or {})["test"]
    assert list(mine.values())[:3] == pytest.approx(theirs[:3], abs=1e-5)


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        (
            {"model": "own:two_fixed_inputs"},
            "--model, --data: the model has 2 inputs, the data has one array of features",
        ),
        ({"model": "scinet-two-inputs"}, "--model: scinet-two-inputs cannot be built with input_shape=(28, 28, 1)"),
        ({"model": "scinet-cnn1", "data": "halves"}, "input shape: {'upper': (14, 28, 1), 'lower': (14, 28, 1)}"),
        (
            {"model": "own:two_fixed_inputs", "data": "own:halves_of_other_names"},
            "the model has the inputs upper, lower; the features of the data: top, bottom",
        ),
        (
            {"model": "own:two_fixed_inputs", "data": "own:halves_of_other_labels"},
            "the model has the outputs digit, odd; the labels of the data: digit, even",
        ),
    ],
)
def test_a_network_for_other_inputs_is_refused(spec: dict[str, str], words: str, train: Train) -> None:
    with pytest.raises(UsageError) as caught:
        train(TrainSpec(**spec, epochs=1))  # type: ignore[arg-type]
    assert words in str(caught.value)


# Losses.


def test_the_negative_log_likelihood_of_a_log_softmax_is_the_sparse_cross_entropy(train: Train) -> None:
    sparse = train(replace(OWN, loss="sparse_categorical_crossentropy"))
    own = train(replace(OWN, model="own:log_probabilities", model_args={}, loss="negative_log_likelihood"))
    assert same(last_weights(sparse), last_weights(own))
    accuracies = [(run.read_result() or {})["test"]["accuracy"] for run in (sparse, own)]
    assert accuracies[0] == accuracies[1] > 0.2


def test_a_loss_of_ones_own_is_the_one_that_is_minimised(train: Train) -> None:
    mine, keras_own = train(replace(OWN, loss="own:quadratic")), train(replace(OWN, loss="mean_squared_error"))
    assert same(last_weights(mine), last_weights(keras_own))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"loss": "own:no_such_loss"}, "--loss: 'own:no_such_loss': module 'own' has no function 'no_such_loss'"),
        ({"class_weight": {"10": 2}}, "--class-weight: '10=2' is not valid; expected class numbers from 0 to 9"),
        ({"class_weight": {"one": 2}}, "--class-weight: 'one=2' is not valid; expected class numbers"),
        ({"class_weight": {"1": -1}}, "--class-weight: '1=-1' is not valid; expected a weight of at least 0"),
        ({"layer_lr": {"hiden": 1}}, "--layer-lr: 'hiden' is not known. Did you mean 'hidden'?"),
        ({"layer_lr": {"hidden": -1}}, "--layer-lr: 'hidden=-1' is not valid; expected a factor of at least 0"),
        ({"lr_schedule": "step:2"}, "--lr-schedule: 'step:2' is not valid; expected step:N:GAMMA"),
        ({"lr_schedule": "milestones:3,2:0.1"}, "--lr-schedule: 'milestones:3,2:0.1'"),
        ({"lr_schedule": "cosine:2"}, "--lr-schedule: 'cosine:2'"),
        ({"lr_schedule": "exponential:x"}, "--lr-schedule: 'exponential:x'"),
    ],
)
def test_what_cannot_be_is_said(changes: dict[str, object], words: str, train: Train) -> None:
    with pytest.raises(UsageError) as caught:
        train(replace(DIGITS, **changes))  # type: ignore[arg-type]
    assert words in str(caught.value)


def test_class_weights_are_those_of_a_fit_of_keras(train: Train) -> None:
    from hpcnn.data.registry import load
    from tests.user import own

    data = load("digits", samples=200)
    run = train(replace(OWN, batch_size=200, class_weight={"3": 5, "7": 0.25}, loss="sparse_categorical_crossentropy"))
    keras.utils.set_random_seed(OWN.seed)
    model = own.ridge((28, 28, 1), 10, 0.0)
    model.compile(keras.optimizers.SGD(0.1), "sparse_categorical_crossentropy")
    every = dict.fromkeys(range(10), 1.0)
    model.fit(data.x_train / 255, data.y_train, batch_size=200, class_weight={**every, 3: 5.0, 7: 0.25}, verbose=0)
    theirs = sorted(model.get_weights(), key=np.size)
    mine = sorted((v for name, v in last_weights(run).items() if name.startswith("layers/")), key=np.size)
    assert all(np.allclose(a, b, atol=1e-6) for a, b in zip(mine, theirs, strict=True))


# Learning rates.


@pytest.mark.parametrize(
    ("schedule", "rates"),
    [
        # the rate after an epoch, which is the next step's
        ("step:2:0.1", [0.1, 0.01, 0.01, 0.001]),
        ("milestones:1,3:0.5", [0.05, 0.05, 0.025, 0.025]),
        ("exponential:0.5", [0.05, 0.025, 0.0125, 0.00625]),
        ("cosine", [0.1 * (1 + np.cos(np.pi * epoch / 4)) / 2 for epoch in (1, 2, 3, 4)]),
        ("cosine:0.5", [0.05 + 0.05 * (1 + np.cos(np.pi * epoch / 4)) / 2 for epoch in (1, 2, 3, 4)]),
    ],
)
def test_rates_by_epoch(schedule: str, rates: list[float]) -> None:
    from hpcnn.train.setup import make_optimizer

    steps = 2
    optimizer, found = make_optimizer(complete(replace(DIGITS, epochs=4, lr_schedule=schedule)), steps), []
    for epoch in (1, 2, 3, 4):
        optimizer.iterations.assign(epoch * steps)
        found.append(float(optimizer.learning_rate))
    assert found == pytest.approx(rates, rel=1e-5, abs=1e-8)


def test_a_warm_up_comes_before_a_schedule(train: Train) -> None:
    # the lecture's batch is 128: a batch of 100 would make the rate smaller, and there is no warm-up down
    spec = replace(DIGITS, samples=512, batch_size=256, epochs=4, checkpoint=False, evaluate=False)
    run = train(replace(spec, lr_scaling="linear", warmup_epochs=2, lr_schedule="step:3:0.1"))
    rates = [line["learning_rate"] for line in read_lines(run.epochs(0))]
    assert rates == pytest.approx([0.15, 0.2, 0.02, 0.02], rel=1e-5)


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_a_layers_factor_multiplies_its_rate(optimizer: str, train: Train) -> None:
    """With one step, what a weight moves by is proportional to its rate, for every optimizer."""
    spec = replace(DIGITS, batch_size=200, optimizer=optimizer, learning_rate=0.01)
    start = last_weights(train(replace(spec, layer_lr={"hidden": 0, "output": 0})))
    whole, half = (last_weights(train(replace(spec, layer_lr={"hidden": factor}))) for factor in (1, 0.5))
    for name, value in start.items():
        if name.startswith("layers/"):
            moved, expected = half[name] - value, whole[name] - value
            assert np.abs(expected).max() > 1e-4
            assert np.allclose(moved, expected * (0.5 if "hidden" in name or "dense/" in name else 1), atol=2e-7)


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_layer_wise_control_limits_the_rate_of_kernels(optimizer: str) -> None:
    """A kernel's rate is the smaller one of the optimizer's and trust x |w| / |g|; a bias keeps the optimizer's."""
    from hpcnn.train.rates import control_layer_rates

    def changed(trust: float | None) -> list[np.ndarray]:
        keras.utils.set_random_seed(1)
        model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
        model.compile(keras.optimizers.get({"class_name": optimizer, "config": {"learning_rate": 0.1}}), "mse")
        model.optimizer.build(model.trainable_variables)
        control_layer_rates(model, trust)
        before = [weight.numpy() for weight in model.trainable_variables]
        model.optimizer.apply([keras.ops.convert_to_tensor(gradient) for gradient in gradients])
        return [weight.numpy() - old for weight, old in zip(model.trainable_variables, before, strict=True)]

    gradients = [np.full((4, 3), 2.0, np.float32), np.full(3, 2.0, np.float32)]
    keras.utils.set_random_seed(1)
    kernel = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)]).weights[0].numpy()
    ratio = np.linalg.norm(kernel) / np.linalg.norm(gradients[0])
    free, held, loose = changed(None), changed(0.01), changed(1e3)
    assert 0.01 * ratio < 0.1
    assert np.allclose(held[0], free[0] * 0.01 * ratio / 0.1, rtol=1e-4)
    assert np.allclose(held[1], free[1])
    assert np.allclose(loose[0], free[0])


# Layers and activations.


def test_every_layer_and_activation_of_the_lectures_trains(train: Train) -> None:
    spec = replace(OWN, model="own:every_layer", model_args={}, loss="negative_log_likelihood", samples=100)
    run = train(replace(spec, learning_rate=0.01, epochs=2))
    first, last = (weights(run.checkpoints / f"epoch-00{epoch}.keras") for epoch in (1, 2))
    assert all(np.isfinite(value).all() for value in last.values())
    layers = {name.rsplit("/vars", 1)[0] for name in first if name.startswith("layers/")}
    assert len(layers) == 13  # three convolutions, batch normalisation, a dense layer for each activation, the last
    for layer in layers:
        assert any((first[name] != last[name]).any() for name in first if name.startswith(layer + "/")), layer
