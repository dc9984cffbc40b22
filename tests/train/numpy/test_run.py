"""``hpcnn train`` with a network in NumPy: the record of any run, its weights, and going on after a stop."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from hpcnn.report import load
from hpcnn.rundir.layout import RunDir
from hpcnn.rundir.progress import ProgressWriter
from hpcnn.specs.train import TrainSpec
from hpcnn.train.numpy import weights as scratch_weights
from hpcnn.train.numpy.run import features
from hpcnn.train.numpy.surface import boundary
from hpcnn.train.session import train
from hpcnn.util.errors import RunError, UsageError
from hpcnn.util.files import read_lines
from tests.docs.test_contents import (
    OF_PROFILED_RUNS,
    OF_REMARKABLE_RUNS,
    OF_RESUMED_RUNS,
    documented,
    keys_in,
    records,
)

CIRCLES = {"model": "scinet-hidden", "data": "circles", "epochs": 50}


@pytest.fixture(scope="module")
def circles(tmp_path_factory) -> RunDir:
    """A short training on circles, with a target that it reaches."""
    path = tmp_path_factory.mktemp("runs") / "circles"
    assert train(TrainSpec(**CIRCLES, target_accuracy=0.01), str(path), lambda line: None)
    assert train(TrainSpec(**CIRCLES, target_accuracy=1.0), str(path.with_name("whole")), lambda line: None)
    return RunDir(path.with_name("whole"))


def trained(path: Path, **options: object) -> tuple[RunDir, list[str]]:
    lines: list[str] = []
    assert train(TrainSpec(**{**CIRCLES, **options}), str(path), lines.append)
    return RunDir(path), lines


def kept(run: RunDir) -> dict[str, np.ndarray]:
    with np.load(run.weights, allow_pickle=False) as content:
        return dict(content)


def test_the_record_has_the_documented_keys(circles):
    of_submit = {"hpcnn", "program", "software", "study", "kind", "point", "repeat", "stated"}
    for name, file in {
        "spec.json": circles.spec,
        "provenance.json": circles.provenance,
        "epochs.rankNNNNN.jsonl": circles.epochs(0),
        "events.jsonl": circles.events,
        "result.json": circles.result,
    }.items():
        missing = of_submit if file == circles.spec else {"threads"}  # of TensorFlow
        missing |= {
            key for key in documented(name) if key.startswith("step_") or key == "steps_timed"
        }  # of hpcnn's loop
        missing |= OF_RESUMED_RUNS | OF_PROFILED_RUNS | OF_REMARKABLE_RUNS
        assert keys_in(records(file)) == documented(name) - missing


def test_the_record_is_one_that_the_report_reads(circles):
    tables = load(circles.path)
    run = tables.runs.iloc[0]
    assert (run["model"], run["data"], run["strategy"], run["status"]) == (
        "scinet-hidden",
        "circles",
        "serial",
        "completed",
    )
    assert (run["samples"], run["batch_size"]) == (400, 400)
    assert len(tables.epochs) == 50


def test_the_result_is_that_of_the_kept_weights(circles):
    from hpcnn.data.registry import load as load_data

    spec, network = scratch_weights.load(circles.path)
    data = load_data("circles")
    assert (spec.learning_rate, spec.loss, spec.batch_size) == (0.01, "binary_crossentropy", 400)
    assert all(w.dtype == np.float32 for w in network.weights.values())
    said = network.classes(network.forward(features(data.x_test, 1.0)))
    result = circles.read_result()
    assert result["test"]["accuracy"] == pytest.approx((said == data.y_test).mean())
    on_training = (network.classes(network.forward(features(data.x_train, 1.0))) == data.y_train).mean()
    accuracies = [line["metrics"]["accuracy"] for line in read_lines(circles.epochs(0))]
    assert on_training == pytest.approx(max(accuracies))


def test_a_target_ends_it(tmp_path):
    run, _ = trained(tmp_path / "run", target_accuracy=0.01)
    assert run.read_result()["epochs"] == 1
    assert run.read_result()["seconds_to_target"] > 0


def test_the_lines_for_people(tmp_path):
    _, lines = trained(tmp_path / "run")
    assert lines[0] == (
        "scinet-hidden (52 parameters) on circles, 400 samples, batch size 400, gradient descent in NumPy, "
        "learning rate 0.01, float32"
    )
    assert [line.split()[1] for line in lines if line.startswith("epoch")] == [
        f"{n}/50" for n in (1, 5, 10, 15, 20, 25, 30, 35, 40, 45, 50)
    ]
    assert lines[-2].startswith("best weights: of epoch ")
    assert lines[-1].startswith("test: loss ")


def test_while_it_trains_it_says_where_it_stands(tmp_path, monkeypatch):
    said = []
    monkeypatch.setattr(ProgressWriter, "_write", lambda self, text: said.append(json.loads(text)))
    monkeypatch.setattr("hpcnn.rundir.progress._SECONDS", 0.0)
    run, _ = trained(tmp_path / "run", epochs=2, batch_size=100)
    where = [(one["epoch"], one["epochs"], one["step"], one["steps"]) for one in said]
    assert where == [(epoch, 2, step, 4) for epoch in (1, 2) for step in (1, 2, 3, 4)]
    assert said[0]["images_per_second"] is None
    assert said[-1]["images_per_second"] > 0
    assert not run.progress.exists()


def test_a_seed_fixes_the_weights(tmp_path):
    first, again, other = (kept(trained(tmp_path / str(n), seed=seed)[0]) for n, seed in enumerate((1, 1, 2)))
    assert all((first[name] == again[name]).all() for name in first)
    assert not np.allclose(first["w1"], other["w1"])


def test_without_evaluation_the_result_has_a_test_all_the_same(tmp_path):
    run, _ = trained(tmp_path / "run", evaluate=False)
    assert {line["validation"] for line in read_lines(run.epochs(0))} == {None}
    assert 0 < run.read_result()["test"]["accuracy"] < 1


def test_a_stopped_training_goes_on_as_if_nothing_had_happened(tmp_path, circles):
    run = RunDir(tmp_path / "run")
    run.create()
    run.stop.write_text("the time limit is near\n")
    spec = TrainSpec(**CIRCLES, target_accuracy=1.0)
    assert not train(spec, str(run.path), lambda line: None)
    assert run.read_result()["status"] == "interrupted"
    assert "the time limit is near" in run.read_result()["reason"]
    assert not run.stop.exists()
    assert not run.weights.exists()
    lines: list[str] = []
    assert train(spec, str(run.path), lines.append, resume=True)
    assert "going on in epoch 2 after step 0" in lines
    assert not run.state.exists()
    epochs = list(read_lines(run.epochs(0)))
    assert [line["epoch"] for line in epochs] == list(range(1, 51))
    assert [line["epoch"] for line in epochs if line.get("resumed")] == [2]
    whole, resumed = kept(circles), kept(run)
    assert all((whole[name] == resumed[name]).all() for name in whole)
    assert run.read_result()["test"] == circles.read_result()["test"]


def test_a_state_of_other_options_is_refused(tmp_path):
    run = RunDir(tmp_path / "run")
    run.create()
    run.stop.touch()
    assert not train(TrainSpec(**CIRCLES), str(run.path), lambda line: None)
    with pytest.raises(UsageError, match="--seed: 2 is not valid; expected 1, with which the run began"):
        train(TrainSpec(**CIRCLES, seed=2), str(run.path), lambda line: None, resume=True)


def test_ranks_of_a_launcher_are_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("HPCNN_WORLD_SIZE", "2")
    with pytest.raises(RunError, match="2 ranks were asked for, but strategy 'serial' found 1"):
        train(TrainSpec(**CIRCLES), str(tmp_path / "run"))
    assert RunDir(tmp_path / "run").read_result()["status"] == "failed"


def test_a_neuron_cannot_tell_ten_classes_apart(tmp_path):
    with pytest.raises(UsageError, match=r"scinet-neuron cannot be built .* one output tells 2 classes apart, not 10"):
        train(TrainSpec(model="scinet-neuron", data="digits"), str(tmp_path / "run"))


@pytest.mark.parametrize(("pixel_scale", "divisor"), [(None, 255), ("unit", 255), ("raw", 1)])
def test_digits_are_divided_by_255_unless_raw_is_asked(pixel_scale, divisor, tmp_path):
    from hpcnn.data.registry import load as load_data
    from hpcnn.models.registry import build_numpy
    from hpcnn.train.numpy.descent import score

    options = {"model": "scinet-hidden-mnist", "data": "digits", "samples": 50, "epochs": 1, "learning_rate": 1e-9}
    run, _ = trained(tmp_path / "run", pixel_scale=pixel_scale, **options)
    data, network = load_data("digits", samples=50), build_numpy("scinet-hidden-mnist")
    passed = network.forward(data.x_train.reshape(50, 784) / divisor)
    (line,) = read_lines(run.epochs(0))
    assert line["loss"] == pytest.approx(score(network, passed, data.y_train).loss, rel=1e-4)


class TestBoundary:
    def test_is_what_the_network_says_on_a_grid_around_the_points(self, circles):
        found = boundary(circles.path, grid=40)
        assert found.x.shape == found.y.shape == found.predictions.shape == (40, 40)
        assert set(np.unique(found.predictions)) <= {0, 1}
        assert found.points.shape == (400, 2)
        assert found.labels.shape == (400,)
        for axis, points in ((found.x, found.points[:, 0]), (found.y, found.points[:, 1])):
            assert axis.min() < points.min() < points.max() < axis.max()
        assert (np.diff(found.x, axis=1) > 0).all()
        assert (np.diff(found.y, axis=0) > 0).all()
        _, network = scratch_weights.load(circles.path)
        place = np.array([[found.x[7, 30], found.y[7, 30]]])
        assert found.predictions[7, 30] == network.classes(network.forward(place))[0]

    def test_of_one_neuron_is_a_straight_line(self, tmp_path):
        run, _ = trained(tmp_path / "run", model="scinet-neuron", data="blobs", epochs=3000)
        found = boundary(run.path, grid=50)
        weights = kept(run)
        line = found.x * weights["w"][0] + found.y * weights["w"][1] + weights["b"][0] > 0
        assert (found.predictions == line).all()
        assert 0 < line.mean() < 1

    def test_needs_points_in_the_plane(self, tmp_path):
        run, _ = trained(tmp_path / "run", model="scinet-hidden-mnist", data="digits", samples=50, epochs=1)
        with pytest.raises(UsageError, match=r"digits has \(28, 28, 1\)"):
            boundary(run.path)

    def test_says_what_a_folder_without_weights_is(self, tmp_path):
        with pytest.raises(UsageError, match=r"has no weights\.npz: only a finished training of a network in NumPy"):
            boundary(tmp_path)


def test_several_tasks_are_refused_before_anything_is_written(tmp_path, in_process: Callable):
    done = in_process(
        "submit", "--run-dir", tmp_path / "run", "--ntasks", 2, "--model", "scinet-hidden", "--data", "circles"
    )
    assert done.returncode == 2
    assert done.stderr.startswith("Error: --strategy: 'horovod' is not valid; expected 'serial' with scinet-hidden")
    assert not (tmp_path / "run").exists()


def test_its_layers_are_shown(in_process: Callable):
    done = in_process("models", "show", "scinet-hidden", "--format", "json")
    assert [(row["name"], row["output_shape"], row["parameters"]) for row in json.loads(done.stdout)] == [
        ("hidden", [10], 30),
        ("output", [2], 22),
    ]


@pytest.mark.parametrize(
    ("model", "data", "train_accuracy", "test_accuracy"),
    [("scinet-neuron", "blobs", 0.872, 0.88), ("scinet-hidden", "circles", 0.860, 0.73)],
)
def test_the_lectures_accuracies(model, data, train_accuracy, test_accuracy, tmp_path):
    assert best_and_test(tmp_path, model=model, data=data) == (
        pytest.approx(train_accuracy, abs=0.05),
        pytest.approx(test_accuracy, abs=0.05),
    )


@pytest.mark.slow
@pytest.mark.realdata
def test_l2_lowers_training_and_raises_test_accuracy_on_500_digits(tmp_path):
    """In 2,500 steps of 3.2e-4, where the lecture takes 20,000 of 4e-5: the same descent in an eighth of the time."""
    options = {"data": "mnist", "samples": 500, "test_samples": 100, "epochs": 2500, "learning_rate": 3.2e-4}
    plain = best_and_test(tmp_path / "plain", model="scinet-hidden-mnist", **options)
    penalized = best_and_test(tmp_path / "l2", model="scinet-hidden-mnist-l2", **options)
    assert plain[0] == pytest.approx(0.988, abs=0.015)
    assert penalized[0] == pytest.approx(0.932, abs=0.035)
    assert penalized[1] == pytest.approx(0.87, abs=0.06)
    assert penalized[0] < plain[0]
    assert penalized[1] > plain[1] + 0.05


def best_and_test(path: Path, **options: object) -> tuple[float, float]:
    """Train as the lecture did; return the best training accuracy, and the test accuracy of those weights."""
    run, _ = trained(path / "run", **{"epochs": None, **options}, evaluate=False)
    best = max(line["metrics"]["accuracy"] for line in read_lines(run.epochs(0)))
    return best, run.read_result()["test"]["accuracy"]
