"""One rank's training from a spec to a closed record: what ``hpcnn train`` calls.

Read top-down: ``train`` opens the strategy and makes sure the record is closed whatever happens; ``train_under`` is the
work, which may be done several times in one process.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Callable

from hpcnn.models.registry import in_numpy
from hpcnn.parallel import open_strategy
from hpcnn.parallel.base import Strategy, TaskEnvironment
from hpcnn.parallel.devices import device_name, threads
from hpcnn.quiet import without_extras
from hpcnn.rundir import RunDir
from hpcnn.spec import TrainSpec, to_mapping
from hpcnn.train.failure import end_failed
from hpcnn.train.state import Position

Say = Callable[[str], None]


def train(spec: TrainSpec, run_dir: str, say: Say = print, *, resume: bool = False) -> bool:
    """Train as rank whatever-this-is; write the record; raise HpcnnError with a message when it cannot be done.

    say: prints a line for people; called on rank 0 only. resume: go on from the state that an earlier attempt left, if
    there is one, and keep one after every epoch. Returns False for a training that was asked to stop before its end.
    """
    RunDir(run_dir).create(resume=resume)  # a finished run is refused before anything heavy is loaded
    strategy: Strategy | None = None
    try:
        if in_numpy(spec.model):
            from hpcnn.scratch.run import train_in_numpy

            return train_in_numpy(spec, run_dir, say, resume=resume)
        task = TaskEnvironment.read(os.environ, spec.devices, traced=bool(spec.profile))
        with contextlib.nullcontext() if has_own_code(spec) else without_extras():
            strategy = open_strategy(spec.strategy, task)
        return train_under(strategy, spec, run_dir, say, resume=resume)
    except BaseException as error:
        end_failed(RunDir(run_dir), strategy, error)
        raise


def has_own_code(spec: TrainSpec) -> bool:
    """Whether functions of the user's run in this process, which may use any part of Keras."""
    return ":" in spec.model or ":" in spec.data


def train_under(strategy: Strategy, spec: TrainSpec, run_dir: str, say: Say = print, *, resume: bool = False) -> bool:
    """Train under an open strategy and write the record; whatever goes wrong is raised."""
    from hpcnn.data.registry import load
    from hpcnn.models.work import work_of
    from hpcnn.train.augment import augmentation_of
    from hpcnn.train.callbacks import callbacks_of
    from hpcnn.train.console import (
        ceiling_line,
        devices_line,
        epoch_line,
        first_line,
        last_line,
        profile_line,
        resumed_line,
        stopped_line,
    )
    from hpcnn.train.dropout import draw_own_masks
    from hpcnn.train.feed import Form, fit_shape, one_hot_sizes, pixel_factor, place, sample_shape
    from hpcnn.train.loop import Loop
    from hpcnn.train.losses import class_weights
    from hpcnn.train.plan import steps_per_epoch
    from hpcnn.train.profile import Profile
    from hpcnn.train.record import Record
    from hpcnn.train.setup import check_batch, check_target, complete, make_model, prepare_keras, trainable_parameters
    from hpcnn.train.state import load as load_state
    from hpcnn.train.state import save, values_of
    from hpcnn.train.steps import Steps
    from hpcnn.train.stop import EXIT_STATUS, StopRequest

    full = complete(spec)
    assert full.batch_size is not None
    assert full.epochs is not None
    strategy.communicates = full.communication
    state = load_state(RunDir(run_dir).state, strategy, to_mapping(full)) if resume else None
    start = state.position if state else None
    record = Record(run_dir, strategy, resume=resume, go_on=start)
    record.spec(
        {
            "name": full.model,
            "site": None,
            "resources": {"ntasks": strategy.processes},
            "train": to_mapping(spec),
        }
    )
    data = load(
        full.data,
        arguments=full.data_args,
        samples=full.samples,
        test_samples=full.test_samples,
        expand=full.expand,
        seed=full.seed,
    )
    record.event("data_stop")
    prepare_keras(full)
    samples, batch = data.samples, min(full.batch_size, data.samples)
    check_batch(full, samples, strategy.size)
    model = make_model(full, strategy, data, steps_per_epoch(samples, batch))
    draw_own_masks(model, strategy)
    if state:
        state.restore(model)
    strategy.broadcast([v.value for v in model.weights] + [v.value for v in model.optimizer.variables])
    record.event("model_stop")
    form = Form(pixel_factor(data, full.pixel_scale), data.tokens, one_hot_sizes(model, data.classes))
    shape = sample_shape(model, data)
    weighted = dataclasses.replace(form, class_weights=class_weights(full.class_weight, data))
    training = place(fit_shape(data.x_train, shape), data.y_train, strategy.devices, weighted)
    test = place(fit_shape(data.x_test, shape), data.y_test, strategy.devices, form)
    augmentation = augmentation_of(full, data, training.features[0], strategy.devices)
    steps = Steps(model, strategy, dataclasses.replace(training, change=augmentation), test)
    check_target(full, steps.metrics)
    profile = Profile(full.profile, record.run, strategy) if full.profile else None
    hosts = record.provenance(
        device_name(),
        train=to_mapping(full),
        global_batch_size=batch,
        samples=samples,
        threads=threads(),
        model={
            "parameters": model.count_params(),
            "trainable": trainable_parameters(model),
            "tensors": len(model.trainable_weights),
            "name": full.model,
            **work_of(model).facts(full.precision),
        },
    )
    if strategy.is_chief:
        say(first_line(full, strategy, model, samples, batch))
        say(devices_line(hosts))
        if start:
            say(resumed_line(start))

    def keep(position: Position) -> None:
        values = values_of(model) if strategy.is_chief else []
        save(record.run.state, values, strategy, position, to_mapping(full))

    with StopRequest(record.run.stop, strategy) as stop:
        loop = Loop(
            model,
            strategy,
            steps,
            record,
            stop,
            samples=samples,
            test_samples=data.test_samples,
            batch_size=batch,
            seed=full.seed,
            profile=profile,
        )
        record.event("init_stop")
        reached = loop.fit(
            full.epochs,
            start=start,
            keep=keep if resume else lambda position: None,
            callbacks=[*([augmentation] if augmentation else []), *callbacks_of(full, record.run, strategy)],
            evaluate=full.evaluate,
            target_accuracy=full.target_accuracy,
            report=(lambda line: say(epoch_line(line, full.epochs or 0))) if strategy.is_chief else lambda line: None,
        )
        if reached.stopped:
            keep(reached.stopped)
            reason = stopped_line(reached.stopped, steps_per_epoch(samples, batch), stop.reason())
            record.finish("interrupted", exit_code=EXIT_STATUS, reason=reason, epochs=reached.stopped.epoch - 1)
            if strategy.is_chief:
                record.run.stop.unlink(missing_ok=True)
                say(reason)
            return False
        test_results = (reached.test or loop.evaluate()) if full.communication else None
        training_results = loop.evaluate_training() if full.evaluate_training else None
    if strategy.is_chief:
        record.run.state.unlink(missing_ok=True)
    record.finish(
        "completed",
        exit_code=0,
        reason=None,
        epochs=reached.epochs,
        training=full.communication,
        test=test_results,
        test_samples=data.test_samples,
        training_set=training_results,
        target_accuracy=full.target_accuracy,
        seconds_to_target=reached.seconds_to_target,
    )
    if strategy.is_chief:
        if profile is not None:
            say(profile_line(profile.epoch, record.run.path))
        if training_results:
            say(last_line(training_results, samples, of="training set"))
        say(last_line(test_results, data.test_samples) if test_results else ceiling_line(strategy))
    return True
