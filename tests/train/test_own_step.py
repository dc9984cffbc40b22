"""A model's own steps under hpcnn train: what they record, what is refused, and that a trial leaves no trace."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from hpcnn.data.registry import load
from hpcnn.parallel.serial import SingleReplica
from hpcnn.specs.complete import complete
from hpcnn.util.errors import UsageError
from hpcnn.util.files import read_lines
from tests.train.launching import Train
from tests.train.test_sameness import OWN

keras = pytest.importorskip("keras")
tf = pytest.importorskip("tensorflow")

from hpcnn.train.assemble import _on_devices  # noqa: E402
from hpcnn.train.metrics import Metrics  # noqa: E402
from hpcnn.train.own_step import OwnStep, has_own_step  # noqa: E402
from hpcnn.train.plan import epoch_order  # noqa: E402
from hpcnn.train.setup import make_model, prepare_keras  # noqa: E402
from tests.user import own, own_steps  # noqa: E402


class TwoAlike(SingleReplica):
    """Two replicas that compute the same."""

    size = 2

    def reduce(self, tensors: Any, name: str = "gradient") -> list[Any]:
        return [2 * tensor for tensor in tensors]


def prepared(name: str, **arguments: Any) -> tuple[Any, Any]:
    """Return a user's model, compiled, and the training data on its device."""
    spec = complete(replace(OWN, model=f"tests.user.own_steps:{name}", model_args=arguments))
    data = load(spec.data, samples=spec.samples)
    prepare_keras(spec)
    model = make_model(spec, SingleReplica(), data, 7)
    return model, _on_devices(spec, model, data, SingleReplica())[0]


def test_what_the_step_returns_is_recorded_over_the_whole_epoch(train: Train) -> None:
    run = train(replace(OWN, model="own_steps:own_step", epochs=1, learning_rate=0.0, checkpoint=False))
    (line,) = read_lines(run.epochs(0))
    data = load(OWN.data, samples=OWN.samples, test_samples=OWN.test_samples)
    keras.utils.set_random_seed(OWN.seed)
    model = own_steps.own_step(data.input_shape, data.classes)
    predicted = model.predict(data.x_train / 255.0, verbose=0)
    likelihood = predicted[np.arange(len(predicted)), data.y_train.ravel()]
    assert line["metrics"]["raw"] == pytest.approx(-np.log(likelihood).mean(), rel=1e-4)
    assert line["metrics"]["size"] == pytest.approx(np.abs(predicted).mean(), rel=1e-4)
    assert line["metrics"]["accuracy"] == pytest.approx((predicted.argmax(axis=1) == data.y_train.ravel()).mean())
    assert line["loss"] is None  # no "loss" among what the step returns
    assert set(line["validation"]) == {"accuracy", "loss", "size"}  # what Keras's test step returns
    assert line["seconds_compute"] > 0


def test_several_networks_train_and_are_not_evaluated(train: Train) -> None:
    run = train(replace(OWN, model="own_steps:two_networks", epochs=3))
    lines = list(read_lines(run.epochs(0)))
    assert lines[-1]["metrics"]["first_loss"] < 0.8 * lines[0]["metrics"]["first_loss"]
    assert set(lines[0]["metrics"]) == {"first_loss", "second_loss"}
    assert [line["validation"] for line in lines] == [None] * 3
    assert (run.read_result() or {})["test"] is None
    notes = [event["value"] for event in read_lines(run.events) if event["key"] == "note"]
    assert "no test: the model has neither a test_step() nor a call() of its own" in notes


@pytest.mark.parametrize("name", ["own_step", "two_networks"])
def test_the_trial_leaves_no_trace(name: str) -> None:
    model, data = prepared(name)
    before = [variable.numpy() for variable in model.variables]
    OwnStep(model, data, TwoAlike())
    metrics = {id(v) for metric in model.metrics for v in metric.variables}
    after = {id(v): v.numpy() for v in model.variables if id(v) not in metrics}
    for variable, value in zip(model.variables, before, strict=False):
        if id(variable) in after:
            assert np.array_equal(after[id(variable)], value)
    assert "apply" not in vars(model.optimizer)


@pytest.mark.parametrize("dropout", [0.0, 0.3])
@pytest.mark.parametrize("kind", ["mean", "sum"])
def test_the_rule_of_the_gradients_is_found(kind: str, dropout: float) -> None:
    model, data = prepared("own_step", kind=kind, dropout=dropout)
    assert OwnStep(model, data, TwoAlike()).rules == [kind]


def test_gradients_that_do_not_add_up_are_refused_with_several_ranks_alone() -> None:
    model, data = prepared("own_step", kind="all but class 9")
    OwnStep(model, data, SingleReplica())
    with pytest.raises(UsageError, match=r"train_step\(\) of OwnStep: the gradients of a batch are neither"):
        OwnStep(model, data, TwoAlike())


def test_a_metric_that_cannot_be_added_up_is_refused() -> None:
    model, data = prepared("own_step")
    model.size = own.Largest("largest")
    model.size.update_state = lambda values: own.Largest.update_state(model.size, None, values)
    with pytest.raises(UsageError, match=r"metric 'largest' .* cannot be added up over steps and ranks"):
        OwnStep(model, data, SingleReplica())


def test_a_step_that_gives_no_gradients_to_an_optimizer_of_the_model_is_refused() -> None:
    model, data = prepared("own_step")
    model.train_step = lambda data: {"raw": tf.constant(1.0)}
    with pytest.raises(UsageError, match="gives no gradients to an optimizer that is an attribute of the model"):
        OwnStep(model, data, SingleReplica())


def test_an_optimizer_that_begins_after_the_trial_is_refused() -> None:
    """By a count of steps, say: how its gradients add up was never tried."""
    model, data = prepared("two_networks")
    both = model.train_step

    def second_from_now_on(batch: Any) -> Any:
        if not tf.executing_eagerly():
            return both(batch)
        with tf.GradientTape() as tape:
            wrong = tf.reduce_mean(tf.square(model.first(batch[0])))
        model.first_optimizer.apply(tape.gradient(wrong, model.first.weights), model.first.weights)
        return {"first_loss": wrong}

    model.train_step = second_from_now_on
    with pytest.raises(UsageError, match=r"an optimizer \(adam.*\) that it did not use in its first step"):
        OwnStep(model, data, TwoAlike())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"optimizer": "adam"}, "--optimizer: 'adam' is not valid; expected no value with OwnStep"),
        ({"loss": "mean_squared_error"}, "--loss: 'mean_squared_error' is not valid; expected no value with OwnStep"),
        (
            {"model": "own_steps:two_networks", "learning_rate": 0.1},
            "--learning-rate, --lr-scaling: TwoNetworks has 3 opt",
        ),
    ],
)
def test_options_that_would_change_the_step_are_refused(options: Any, message: str, train: Train) -> None:
    with pytest.raises(UsageError, match=message.replace("(", r"\(")):
        train(replace(OWN, **{"model": "own_steps:own_step", **options}))


@pytest.mark.parametrize("seen", [0.5, 2.0])
def test_a_step_that_knows_of_replicas_is_refused(seen: float) -> None:
    """Its gradients in a replica are half of those alone, as of ``tf.nn.compute_average_loss``, or their sum."""
    model, data = prepared("own_step")

    class Divided(TwoAlike):
        def reduce(self, tensors: Any, name: str = "gradient") -> list[Any]:
            return [seen * tensor for tensor in super().reduce(tensors)]

    with pytest.raises(UsageError, match=rf"train_step\(\) of OwnStep gives gradients {seen:g} times those"):
        OwnStep(model, data, Divided())


def test_a_loss_that_knows_of_replicas_is_refused() -> None:
    model, data = prepared("loss_by_hand")

    class Divided(TwoAlike):
        def run(self, function: Any, args: Any) -> list[Any]:
            return [part / 2 for part in super().run(function, args)]

    with pytest.raises(UsageError, match=r"is [\d.]+ in one of 2 replicas .*, and [\d.]+ alone"):
        Metrics(model, data, Divided())


def test_the_trial_draws_from_no_generator() -> None:
    model, data = prepared("own_step", dropout=0.3)
    (generator,) = (layer.seed_generator for layer in model.layers if isinstance(layer, keras.layers.Dropout))
    before = generator.state.numpy()
    OwnStep(model, data, SingleReplica())
    assert np.array_equal(generator.state.numpy(), before)


def test_a_mean_over_batches_is_one_over_the_steps(train: Train) -> None:
    """As in ``fit``: 333 samples in batches of 100 are four steps, of which the last counts as much as the others."""
    run = train(replace(OWN, model="own_steps:of_the_guide", epochs=1, learning_rate=1e-12, checkpoint=False))
    (line,) = read_lines(run.epochs(0))
    data = load(OWN.data, samples=OWN.samples, test_samples=OWN.test_samples)
    keras.utils.set_random_seed(OWN.seed)
    model = own_steps.of_the_guide(data.classes)
    predicted = model.predict(data.x_train / 255.0, verbose=0)
    order, batch = epoch_order(data.samples, OWN.seed, 1), OWN.batch_size
    each = -np.log(predicted[np.arange(len(predicted)), data.y_train.ravel()])[order]
    losses = [each[first : first + batch].mean() for first in range(0, len(each), batch)]
    assert line["loss"] == pytest.approx(np.mean(losses), rel=1e-5)
    assert abs(np.mean(losses) - each.mean()) > 1e-4
    assert line["metrics"]["accuracy"] == pytest.approx((predicted.argmax(axis=1) == data.y_train.ravel()).mean())


def test_options_are_refused_with_a_compile_of_the_models_own(train: Train) -> None:
    with pytest.raises(UsageError, match=r"expected no value with LossByHand, which has a compile\(\) of its own"):
        train(replace(OWN, model="own_steps:loss_by_hand", optimizer="adam"))


def test_a_model_with_a_loss_of_its_own_has_no_step_of_its_own() -> None:
    assert not has_own_step(type("Own", (keras.Model,), {"compute_loss": lambda self, **more: 0.0})())
    assert has_own_step(type("Own", (keras.Model,), {"compute_metrics": lambda self, *args: {}})())
