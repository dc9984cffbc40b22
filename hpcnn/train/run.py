"""One rank's training from a spec to a closed record: what ``hpcnn train`` calls.

Read top-down: ``train`` opens the strategy and makes sure the record is closed whatever happens; ``train_under`` is the
work, which may be done several times in one process.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from hpcnn.parallel import open_strategy
from hpcnn.parallel.base import Strategy, TaskEnvironment
from hpcnn.parallel.devices import device_name, threads
from hpcnn.rundir.layout import RunDir
from hpcnn.specs.fields import to_mapping
from hpcnn.specs.train import TrainSpec
from hpcnn.train.failure import end_failed
from hpcnn.train.state import Position
from hpcnn.util.tf_import import without_extras
from hpcnn.zoo.registry import in_numpy

if TYPE_CHECKING:
    from hpcnn.train.assemble import Assembled
    from hpcnn.train.loop import Loop, Progress
    from hpcnn.train.profiler import Profile
    from hpcnn.train.record import Record

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
            from hpcnn.train.numpy.run import train_in_numpy

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
    from hpcnn.rundir.layout import STOPPED_EXIT_STATUS
    from hpcnn.specs.complete import complete
    from hpcnn.train.assemble import assemble, facts
    from hpcnn.train.callbacks import callbacks_of
    from hpcnn.train.console import devices_line, epoch_line, first_line, resumed_line, stopped_line
    from hpcnn.train.loop import Loop
    from hpcnn.train.profiler import Profile
    from hpcnn.train.record import Record
    from hpcnn.train.state import load, save, values_of
    from hpcnn.train.stop import StopRequest

    full = complete(spec)
    assert full.epochs is not None
    strategy.communicates = full.communication
    tell: Say = say if strategy.is_chief else lambda line: None
    state = load(RunDir(run_dir).state, strategy, to_mapping(full)) if resume else None
    start = state.position if state else None
    record = Record(run_dir, strategy, resume=resume, go_on=start)
    record.spec(
        {"name": full.model, "site": None, "resources": {"ntasks": strategy.processes}, "train": to_mapping(spec)}
    )
    made = assemble(full, strategy, state, record.event)
    profile = Profile(full.profile, record.run, strategy) if full.profile else None
    hosts = record.provenance(
        device_name(),
        train=to_mapping(full),
        global_batch_size=made.batch,
        samples=made.samples,
        threads=threads(),
        model=facts(full, made),
    )
    tell(first_line(full, strategy, made.model, made.samples, made.batch))
    tell(devices_line(hosts))
    if start:
        tell(resumed_line(start))

    def keep(position: Position) -> None:
        values = values_of(made.model) if strategy.is_chief else []
        save(record.run.state, values, strategy, position, to_mapping(full))

    with StopRequest(record.run.stop, strategy) as stop:
        loop = Loop(
            made.model,
            strategy,
            made.steps,
            record,
            stop,
            samples=made.samples,
            test_samples=made.data.test_samples,
            batch_size=made.batch,
            seed=full.seed,
            profile=profile,
        )
        record.event("init_stop")
        reached = loop.fit(
            full.epochs,
            start=start,
            keep=keep if resume else lambda position: None,
            callbacks=[*made.callbacks, *callbacks_of(full, record.run, strategy)],
            evaluate=full.evaluate,
            target_accuracy=full.target_accuracy,
            report=lambda line: tell(epoch_line(line, full.epochs or 0)),
        )
        if reached.stopped:
            keep(reached.stopped)
            reason = stopped_line(reached.stopped, made.steps_per_epoch, stop.reason())
            record.finish("interrupted", exit_code=STOPPED_EXIT_STATUS, reason=reason, epochs=reached.stopped.epoch - 1)
            if strategy.is_chief:
                record.run.stop.unlink(missing_ok=True)
            tell(reason)
            return False
        _complete(full, strategy, made, loop, reached, record, profile, tell)
    return True


def _complete(
    full: TrainSpec,
    strategy: Strategy,
    made: Assembled,
    loop: Loop,
    reached: Progress,
    record: Record,
    profile: Profile | None,
    tell: Say,
) -> None:
    """Test what was trained, close the record, and say how it went."""
    from hpcnn.train.console import ceiling_line, last_line, profile_line

    test = (reached.test or loop.evaluate()) if full.communication else None
    training_set = loop.evaluate_training() if full.evaluate_training else None
    if strategy.is_chief:
        record.run.state.unlink(missing_ok=True)
    record.finish(
        "completed",
        exit_code=0,
        reason=None,
        epochs=reached.epochs,
        training=full.communication,
        test=test,
        test_samples=made.data.test_samples,
        training_set=training_set,
        target_accuracy=full.target_accuracy,
        seconds_to_target=reached.seconds_to_target,
    )
    if profile is not None:
        tell(profile_line(profile.epoch, record.run.path))
    if training_set:
        tell(last_line(training_set, made.samples, of="training set"))
    tell(last_line(test, made.data.test_samples) if test else ceiling_line(strategy))
