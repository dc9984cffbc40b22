"""What hpcnn trains is what Keras would train, or it is refused: the user's own steps, options, metrics and losses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from hpcnn.data.registry import load
from hpcnn.parallel.serial import SingleReplica
from hpcnn.rundir.layout import RunDir
from hpcnn.specs.complete import complete
from hpcnn.specs.train import TrainSpec
from hpcnn.train.plan import epoch_order
from hpcnn.util.errors import UsageError
from hpcnn.util.files import read_lines
from tests.train.cases import MOMENTUM
from tests.train.launching import Train

keras = pytest.importorskip("keras")

from hpcnn.train import loop, sameness  # noqa: E402
from hpcnn.train.assemble import _on_devices  # noqa: E402
from hpcnn.train.metrics import Metrics  # noqa: E402
from hpcnn.train.setup import make_model, prepare_keras  # noqa: E402

OWN = replace(
    MOMENTUM, model_args={}, optimizer=None, momentum=None, learning_rate=None, batch_size=50, checkpoint=False
)
Weights = list[np.ndarray[Any, Any]]


@pytest.fixture
def trained_weights(train: Train, monkeypatch: pytest.MonkeyPatch) -> Callable[[TrainSpec], tuple[RunDir, Weights]]:
    """Return a function that trains and returns the run and the weights at the end."""

    class Last(keras.callbacks.Callback):  # type: ignore[misc]
        def on_train_end(self, logs: Any = None) -> None:
            self.weights = self.model.get_weights()

    def run(spec: TrainSpec) -> tuple[RunDir, Weights]:
        last = Last()
        monkeypatch.setattr("hpcnn.train.callbacks.callbacks_of", lambda *facts: [last])
        return train(spec), last.weights

    return run


def by_keras(spec: TrainSpec) -> Any:
    """Return the model of a spec, trained by Keras's own ``train_on_batch`` on the same batches."""
    full, data = complete(spec), load(spec.data, samples=spec.samples)
    keras.backend.clear_session()
    prepare_keras(full)
    model = make_model(full, SingleReplica(), data, 7)
    x = data.x_train.astype(np.float32) / 255
    for epoch in range(1, (spec.epochs or 0) + 1):
        order = epoch_order(len(x), spec.seed, epoch)
        for first in range(0, len(x), spec.batch_size or 0):
            batch = order[first : first + (spec.batch_size or 0)]
            model.train_on_batch(x[batch], data.y_train[batch])
    return model


@pytest.mark.parametrize("model", ["own_steps:watched", "own:averaged", "own:summed", "own_steps:own_step"])
def test_one_rank_trains_as_keras_does(model: str, trained_weights: Callable[..., Any]) -> None:
    """A penalty on activated values, averages of the weights at the end, a loss that is a sum."""
    compiled = {} if model != "own_steps:watched" else {"optimizer": "sgd", "learning_rate": 0.02}
    spec = replace(OWN, model=model, **compiled)
    run, found = trained_weights(spec)
    expected = by_keras(spec)
    before = [weight.numpy() for weight in expected.weights]
    expected.optimizer.finalize_variable_values(expected.trainable_variables)
    for ours, keras_s in zip(found, expected.weights, strict=True):
        np.testing.assert_allclose(ours, keras_s.numpy(), rtol=0, atol=1e-5)
    if model == "own:averaged":
        assert max(np.abs(a - b.numpy()).max() for a, b in zip(before, expected.weights, strict=True)) > 1e-3
        data = load(spec.data, test_samples=spec.test_samples)
        score = expected.evaluate(data.x_test / 255.0, data.y_test, verbose=0, return_dict=True)
        assert run.read_result()["test"] == pytest.approx(score, rel=1e-4)  # type: ignore[index]


@pytest.mark.parametrize("name", ["make_train_function", "make_test_function", "fit"])
def test_every_method_that_would_be_passed_by_is_refused(name: str) -> None:
    inherited = type("Between", (keras.Model,), {name: lambda self, *args: None})
    model = type("Own", (inherited,), {})()
    with pytest.raises(UsageError, match=rf"Own has a {name}\(\) of its own"):
        sameness.check_methods(model)
    replaced = keras.Sequential()
    object.__setattr__(replaced, name, lambda *args: None)
    with pytest.raises(UsageError, match=rf"{name}\(\)"):
        sameness.check_methods(replaced)


@pytest.mark.parametrize("base", [keras.Model, keras.Sequential])
def test_a_loss_of_the_user_s_own_is_no_step(base: Any) -> None:
    sameness.check_methods(base())
    sameness.check_methods(type("Own", (base,), {"compute_loss": lambda self, *args, **more: 0.0})())


def test_options_that_change_no_number_are_said_to_have_no_effect(train: Train) -> None:
    run = train(replace(OWN, model="own:compiled_with", model_args={"kind": "how"}, epochs=1))
    notes = [event["value"] for event in read_lines(run.events) if event["key"] == "note"]
    (note,) = notes
    assert note.startswith("without effect: steps_per_execution=4, jit_compile=True of the model's compile()")


def test_weighted_metrics_have_the_weights_of_the_classes(train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = replace(OWN, model="own:compiled_with", model_args={"kind": "weighted"}, epochs=1, class_weight={"3": 9})
    line = next(iter(read_lines(train(spec).epochs(0))))
    assert line["metrics"]["weighted"] != pytest.approx(line["metrics"]["accuracy"], abs=1e-3)
    assert line["validation"]["weighted"] == pytest.approx(line["validation"]["accuracy"], abs=1e-6)


def test_a_metric_that_makes_its_state_late_is_right(trained_weights: Callable[..., Any]) -> None:
    spec = replace(OWN, model="own:compiled_with", model_args={"kind": "f1"}, epochs=1)
    run, found = trained_weights(spec)
    model = by_keras(replace(spec, epochs=0))
    model.set_weights(found)
    data = load(spec.data, test_samples=spec.test_samples)
    y = np.eye(10)[data.y_test]
    expected = keras.metrics.F1Score("macro")
    expected.update_state(y, model.predict(data.x_test / 255.0, verbose=0))
    assert run.read_result()["test"]["f1_score"] == pytest.approx(float(expected.result()), abs=1e-5)  # type: ignore[index]


def test_a_metric_whose_state_is_no_sum_is_refused_by_name(train: Train) -> None:
    with pytest.raises(UsageError, match=r"--model: metric 'largest' \(Largest\) cannot be added up"):
        train(replace(OWN, model="own:compiled_with", model_args={"kind": "maximum"}))


@pytest.mark.parametrize(
    "option", [{"gradient_accumulation_steps": 2}, {"use_ema": True, "ema_overwrite_frequency": 3}]
)
@pytest.mark.parametrize("scaled", [False, True])
def test_an_optimizer_that_tf_distribute_cannot_apply_is_refused(option: dict[str, Any], scaled: bool) -> None:
    optimizer = keras.optimizers.SGD(**option)
    optimizer = keras.optimizers.LossScaleOptimizer(optimizer) if scaled else optimizer
    with pytest.raises(UsageError, match=r"--strategy: mirrored with 2 replicas .*; use --strategy horovod"):
        sameness.check_optimizer(optimizer, 2, "mirrored")
    sameness.check_optimizer(optimizer, 1, "mirrored")
    sameness.check_optimizer(optimizer, 2, "horovod")


# How the loss of a batch follows from those of its parts.

LOSSES = {
    "a mean": (keras.losses.SparseCategoricalCrossentropy(), sameness.MEAN),
    "a sum": (keras.losses.SparseCategoricalCrossentropy(reduction="sum"), sameness.SUM),
    "a function of one loss a sample": (lambda y, p: keras.ops.square(p[:, 0] - 1), sameness.MEAN),
    "a function of their mean": (lambda y, p: keras.ops.mean(keras.ops.square(p)), sameness.MEAN),
    "a function of their sum": (lambda y, p: keras.ops.sum(keras.ops.square(p)), sameness.SUM),
    "a mean without a class": (keras.losses.SparseCategoricalCrossentropy(ignore_class=9), None),
    "a root": (lambda y, p: keras.ops.sqrt(keras.ops.mean(keras.ops.square(p[:, 0]))), None),
    "a spread": (lambda y, p: keras.ops.std(p[:, 0]), None),
}


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("penalty", [0.0, 0.1])
def test_the_rule_of_a_loss_is_found_or_it_is_refused(name: str, penalty: float) -> None:
    loss, rule = LOSSES[name]
    keras.utils.set_random_seed(1)
    l2 = keras.regularizers.L2(penalty)
    model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(10, "softmax", kernel_regularizer=l2)])
    model.compile(loss=loss)
    random = np.random.default_rng(2)
    x, y = random.normal(size=(60, 8)).astype("float32"), random.integers(0, 10, 60)
    trial = sameness.Trial(x, y, None, 60, model(x))

    def loss_of(part: sameness.Trial) -> Any:
        return model.compute_loss(part.x, part.y, part.predicted, None)

    if rule is not None:
        assert sameness.rule_of_loss(model, trial, loss_of, 2) == rule
        return
    with pytest.raises(UsageError, match=r"the loss of 60 samples is .* 2 replicas would train something else"):
        sameness.rule_of_loss(model, trial, loss_of, 2)


def test_masked_values_count_in_the_trial_as_in_training() -> None:
    """The mask travels with the predictions: a mean over what is not masked is neither rule, and on one rank right."""
    spec = complete(replace(OWN, model="tests.user.own:masking", data="tests.user.own:padded", samples=None))
    data = load(spec.data)
    keras.backend.clear_session()
    prepare_keras(spec)
    model = make_model(spec, SingleReplica(), data, 7)
    training = _on_devices(spec, model, data, SingleReplica())[0]
    assert Metrics(model, training, SingleReplica()).rule == sameness.MEAN
    with pytest.raises(UsageError, match=r"the loss of 60 samples is .* 2 replicas would train something else"):
        Metrics(model, training, type("Two", (SingleReplica,), {"size": 2})())


def test_a_loss_that_ignores_a_class_is_right_on_one_rank(train: Train) -> None:
    assert (train(replace(OWN, model="own:ignoring", epochs=1)).read_result() or {})["status"] == "completed"


def test_the_same_run_has_the_same_record_however_fast_it_is(
    trained_weights: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """How many steps a call has follows timing; sums must not."""
    spec = replace(MOMENTUM, batch_size=3, checkpoint=False)
    records, weights = [], []
    for first, seconds in ((1, 1e-9), (7, 1e9)):
        monkeypatch.setattr(loop, "_FIRST_CALL", first)
        monkeypatch.setattr(loop, "_SECONDS_PER_CALL", seconds)
        run, found = trained_weights(spec)
        lines = list(read_lines(run.epochs(0)))
        records.append([{key: line[key] for key in ("loss", "metrics", "validation")} for line in lines])
        weights.append(found)
    assert records[0] == records[1]
    assert all(np.array_equal(a, b) for a, b in zip(*weights, strict=True))
