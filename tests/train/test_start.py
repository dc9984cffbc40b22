"""Trainings that start from a file's weights, and layers that are not trained: the same as Keras's own ``fit``."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hpcnn.machine.smoke import weights
from hpcnn.rundir.layout import RunDir
from hpcnn.specs.train import TrainSpec
from hpcnn.util.errors import UsageError
from hpcnn.util.files import read_json, read_lines
from tests.train.launching import Train
from tests.user import own

keras = pytest.importorskip("keras")

SHAPE = (28, 28, 1)
# One step over all samples: their order does not matter.
ONE_STEP = TrainSpec(
    model="own:ridge",
    model_args={"strength": 0.0},
    samples=200,
    test_samples=100,
    optimizer="sgd",
    learning_rate=0.1,
    batch_size=200,
    epochs=1,
    checkpoint=True,
    loss="sparse_categorical_crossentropy",
)


def saved(model: Any, file: Path) -> str:
    (model.save if file.suffix == ".keras" else model.save_weights)(file)
    return str(file)


def another(build: Callable[..., Any], *arguments: Any) -> Any:
    """Return a network with other initial weights than a training's, and with moving averages that moved."""
    keras.utils.set_random_seed(99)
    model = build(SHAPE, *arguments)
    for weight in model.weights:
        weight.assign(weight + 0.1)
    return model


def in_float64(build: Callable[..., Any], model: Any, *arguments: Any) -> Any:
    """Return a network with these weights that computes in float64, to see which digits of float32 are right."""
    keras.backend.clear_session()
    keras.config.set_dtype_policy("float64")
    try:
        exact = build(SHAPE, *arguments)
    finally:
        keras.config.set_dtype_policy("float32")
    exact.set_weights(model.get_weights())
    return exact


def fitted(model: Any, spec: TrainSpec = ONE_STEP) -> Any:
    """Return the network after Keras's own fit."""
    from hpcnn.data.registry import load

    data = load("digits", samples=spec.samples)
    model.compile(keras.optimizers.SGD(0.1), "sparse_categorical_crossentropy")
    model.fit(data.x_train / 255, data.y_train, batch_size=spec.batch_size, epochs=spec.epochs, verbose=0)
    return model


def same_as(run: RunDir, model: Any, tmp_path: Path, tolerance: float = 1e-6) -> None:
    """Assert that a run ended with a network's weights, by their paths in a file."""
    expected = weights(Path(saved(model, tmp_path / "expected.keras")))
    found = weights(max(run.networks().values()))
    names = [name for name in expected if "seed_generator" not in name]
    assert names
    for name in names:
        np.testing.assert_allclose(found[name], expected[name], rtol=0, atol=tolerance, err_msg=name)


@pytest.mark.parametrize("suffix", [".keras", ".weights.h5"])
def test_a_training_goes_on_from_the_weights_of_a_file(suffix: str, train: Train, tmp_path: Path) -> None:
    model = another(own.ridge, 10, 0.0)
    file = saved(model, tmp_path / f"start{suffix}")
    run = train(replace(ONE_STEP, weights=file))
    same_as(run, fitted(model), tmp_path)
    record = read_json(run.provenance) or {}
    sha256 = hashlib.sha256(Path(file).read_bytes()).hexdigest()
    assert record["model"]["weights"] == {"file": file, "sha256": sha256, "except": []}
    assert record["train"]["weights"] == file
    notes = [event["value"] for event in read_lines(run.events) if event["key"] == "note"]
    assert notes == [f"starting from {file} (SHA-256 {sha256})"]


def test_a_run_s_own_checkpoint_is_a_start(train: Train, tmp_path: Path) -> None:
    """Also one of a compiled network: its optimizer's variables are left alone."""
    first = train(replace(ONE_STEP, model="own:compiled", model_args={}, optimizer=None, loss=None, learning_rate=None))
    file = first.networks()[1]
    with zipfile.ZipFile(file) as archive:
        assert "model.weights.h5" in archive.namelist()
    second = train(replace(ONE_STEP, weights=str(file)))
    keras.backend.clear_session()
    model = own.ridge(SHAPE, 10, 0.0)
    model.load_weights(file)
    same_as(second, fitted(model), tmp_path)


def test_an_average_of_the_weights_begins_at_the_file_s(train: Train, tmp_path: Path) -> None:
    """The optimizer copies the weights when it is built: they must be the file's by then."""
    model = another(own.ridge, 10)
    file = saved(model, tmp_path / "start.weights.h5")
    spec = replace(ONE_STEP, model="own:averaged", model_args={}, optimizer=None, loss=None, learning_rate=1e-9)
    run = train(replace(spec, weights=file))
    result = run.read_result() or {}
    from hpcnn.data.registry import load

    data = load("digits", test_samples=100)
    model.compile(loss="sparse_categorical_crossentropy")
    assert result["test"]["loss"] == pytest.approx(
        float(model.evaluate(data.x_test / 255, data.y_test, verbose=0)), rel=1e-4
    )


def test_a_head_of_another_size_keeps_its_own_weights(train: Train, tmp_path: Path) -> None:
    start = another(own.dropped, 4)
    file = saved(start, tmp_path / "start.keras")
    spec = replace(ONE_STEP, model="own:dropped", model_args={}, learning_rate=1e-12)
    with pytest.raises(UsageError) as caught:
        train(replace(spec, weights=file))
    assert "layer 'head': 8x10, 10 in the network, 8x4, 4 in the file. A layer that is to keep" in str(caught.value)
    run = train(replace(spec, weights=file, weights_except=("he*",)))
    keras.backend.clear_session()
    keras.utils.set_random_seed(spec.seed)
    expected = own.dropped(SHAPE, 10)
    expected.get_layer("hidden").set_weights(start.get_layer("hidden").get_weights())
    same_as(run, expected, tmp_path)
    assert (read_json(run.provenance) or {})["model"]["weights"]["except"] == ["he*"]


def test_layers_that_only_the_file_has_are_left_out_by_name(tmp_path: Path) -> None:
    from hpcnn.train.start import prepare_start

    layers = keras.layers
    longer = keras.Sequential([*another(own.dropped, 10).layers, layers.Dense(2, name="tail")])
    longer.build((None, *SHAPE))
    spec = replace(ONE_STEP, weights=saved(longer, tmp_path / "longer.weights.h5"))
    model = own.dropped(SHAPE, 10)
    with pytest.raises(UsageError, match="layer 'tail': 10x2, 2 in the file, and the network has no such layer"):
        prepare_start(model, spec)
    prepare_start(model, replace(spec, weights_except=("tail",)))
    for mine, theirs in zip(model.get_weights(), longer.get_weights(), strict=False):
        assert np.array_equal(mine, theirs)


def test_the_seed_and_not_the_file_decides_dropout(tmp_path: Path) -> None:
    from hpcnn.train.start import prepare_start

    start = another(own.dropped, 10)
    file = saved(start, tmp_path / "start.weights.h5")
    keras.utils.set_random_seed(1)
    model = own.dropped(SHAPE, 10)
    (generator,) = model.layers[2]._seed_generators
    before = generator.state.numpy()
    assert not np.array_equal(before, start.layers[2]._seed_generators[0].state.numpy())
    prepare_start(model, replace(ONE_STEP, weights=file))
    assert np.array_equal(generator.state.numpy(), before)
    assert np.array_equal(model.layers[1].get_weights()[0], start.layers[1].get_weights()[0])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"model_args": {"strength": 0.5}, "weights": "other.keras"},
            "layer 'dense': 784x16, 16 in the network, 784x7",
        ),
        ({"weights": "longer.keras"}, "layer 'dense_2': 10x3, 3 in the file, and the network has no such layer"),
        ({"weights": "shorter.keras"}, "layer 'dense_1': 16x10, 10 in the network, nothing in the file"),
        ({"weights": "text.keras"}, "cannot be read as weights that Keras 3 wrote"),
        ({"weights": "text.weights.h5"}, "cannot be read as weights that Keras 3 wrote"),
        ({"weights": "none.keras"}, "--weights: there is no file '"),
        ({"weights": "old.h5"}, "expected a file that ends in .keras or .weights.h5 (load an older .h5 file in Keras"),
        ({"weights": "start.keras", "weights_except": ("dense2",)}, "--weights-except: 'dense2' is no layer of this"),
        (
            {"freeze": ("dens", "x*")},
            "--freeze: 'dens' is no layer of this network; did you mean 'dense' or 'dense_1'?",
        ),
        ({"freeze": ("*",)}, "--freeze: * leaves nothing of own:ridge to train"),
    ],
)
def test_what_does_not_fit_is_said(changes: dict[str, Any], words: str, train: Train, tmp_path: Path) -> None:
    keras.backend.clear_session()
    name = changes.get("weights", "")
    file = tmp_path / name
    layers = keras.layers
    sizes = {"other.keras": (7, 10), "longer.keras": (16, 10, 3), "shorter.keras": (16,), "start.keras": (16, 10)}
    if name in sizes:
        saved(keras.Sequential([keras.Input(SHAPE), layers.Flatten(), *map(layers.Dense, sizes[name])]), file)
    elif name.startswith("text"):
        file.write_text("no such thing")
    keras.backend.clear_session()
    if name:
        changes = {**changes, "weights": str(file)}
    with pytest.raises(UsageError) as caught:
        train(replace(ONE_STEP, **changes))
    assert words in str(caught.value)


def test_nothing_of_a_file_is_executed(train: Train, tmp_path: Path) -> None:
    """A Lambda layer of a stranger's network: its code stays in the file."""
    marker = tmp_path / "executed"
    layers = keras.layers

    def evil(x: Any, path: str = str(marker)) -> Any:
        Path(path).touch()
        return x

    model = keras.Sequential(
        [keras.Input(SHAPE), layers.Flatten(), layers.Lambda(evil), layers.Dense(16), layers.Dense(10)]
    )
    file = saved(model, tmp_path / "stranger.keras")
    marker.unlink()
    train(replace(ONE_STEP, weights=file))
    assert not marker.exists()


def test_an_attempt_that_goes_on_needs_no_file(train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from hpcnn.parallel.serial import SingleReplica
    from hpcnn.train.session import train_under

    file = Path(saved(another(own.ridge, 10, 0.0), tmp_path / "start.keras"))
    spec = replace(ONE_STEP, samples=60, batch_size=20, weights=str(file), freeze=("dense",))
    whole = train(spec)
    run = RunDir(tmp_path / "stopped")
    run.create()
    run.stop.write_text("a test")
    keras.backend.clear_session()
    assert not train_under(SingleReplica(), spec, str(run.path), log=lambda line: None, resume=True)
    told = (read_json(run.provenance) or {})["model"]["weights"]
    file.unlink()
    keras.backend.clear_session()
    assert train_under(SingleReplica(), spec, str(run.path), log=lambda line: None, resume=True)
    record = read_json(run.provenance) or {}
    assert record["model"]["weights"] == told
    assert record["model"]["frozen"] == ["dense"]
    one, other = (weights(max(each.networks().values())) for each in (whole, run))
    assert all(np.array_equal(one[name], other[name]) for name in one)


# Layers that are not trained.


def test_a_frozen_layer_is_as_in_a_fit_of_keras(train: Train, tmp_path: Path) -> None:
    """Batch normalisation there computes from its moving averages, and they do not move; the other one's do.

    In float64: the first one's gamma is 3.6e-5 off in a fit in float32, because of the bias before it, and 2e-6 here.
    """
    model = another(own.normalized, 10)
    file = saved(model, tmp_path / "start.weights.h5")
    spec = replace(ONE_STEP, model="own:normalized", model_args={}, epochs=2, weights=file)
    run = train(replace(spec, freeze=("conv*", "batch_norm*_1")))
    model = in_float64(own.normalized, model, 10)
    frozen, trained = [model.layers[0], model.layers[5]], model.layers[1]
    assert [type(layer).__name__ for layer in (*frozen, trained)] == ["Conv2D", *2 * ["BatchNormalization"]]
    for layer in frozen:
        layer.trainable = False
    before = [weight.numpy() for layer in (*frozen, trained) for weight in layer.weights]
    whole = model.count_params()
    same_as(run, fitted(model, spec), tmp_path, tolerance=1e-5)
    after = [weight.numpy() for layer in (*frozen, trained) for weight in layer.weights]
    still = [np.array_equal(one, other) for one, other in zip(before, after, strict=True)]
    assert still == [*6 * [True], *4 * [False]]
    record = (read_json(run.provenance) or {})["model"]
    assert record["frozen"] == ["conv2d", "batch_normalization_1"]
    assert record["trainable"] == sum(int(np.prod(w.shape)) for w in model.trainable_weights)
    assert record["tensors"] == len(model.trainable_weights)
    assert record["parameters"] == whole


def test_a_network_in_the_network_is_frozen_whole(train: Train, tmp_path: Path) -> None:
    start = another(own.with_base, 10)
    file = saved(start, tmp_path / "start.weights.h5")
    run = train(replace(ONE_STEP, model="own:with_base", model_args={}, weights=file, freeze=("base",)))
    start.get_layer("base").trainable = False
    same_as(run, fitted(start), tmp_path)
    record = (read_json(run.provenance) or {})["model"]
    assert record["trainable"] == 6 * 10 + 10
    assert "inner" in record["frozen"]
    assert "head" not in record["frozen"]


def test_the_rewritten_layers_train_the_same_with_the_first_of_them_frozen(
    train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """psc-cnn1 has a convolution before a pooling, which hpcnn computes in another way."""
    spec = replace(
        ONE_STEP,
        model="psc-cnn1",
        model_args={"numfm": 4, "numnodes": 8},
        optimizer=None,
        learning_rate=0.01,
        loss=None,
        pixel_scale="unit",
        freeze=("conv2d",),
    )
    one = weights(max(train(spec).networks().values()))
    monkeypatch.setenv("HPCNN_REWRITE", "0")
    other = weights(max(train(spec).networks().values()))
    assert one.keys() == other.keys()
    for name in one:
        np.testing.assert_allclose(one[name], other[name], atol=1e-6, err_msg=name)
