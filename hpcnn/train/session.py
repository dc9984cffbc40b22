"""One rank's training from a spec to a closed record: what ``hpcnn train`` calls. Read top-down.

``train`` opens the strategy and closes the record whatever happens. ``train_under`` is the whole of one training, and
may be called several times in one process; the work between its lines is in ``loop.py`` (Keras) or ``numpy/run.py``.
``open_context``, ``finish_stopped`` and ``finish_completed`` open and close the record for users' scripts too
(``script.py``). Imports Keras and TensorFlow only once the strategy has set them up.
"""

from __future__ import annotations

import contextlib
import os
from typing import Protocol

from hpcnn.parallel import open_strategy
from hpcnn.parallel.base import Strategy, TaskEnvironment
from hpcnn.parallel.launcher import launched_by
from hpcnn.rundir.layout import STOPPED_EXIT_STATUS, RunDir
from hpcnn.rundir.owner import own
from hpcnn.scheduler import job_lives
from hpcnn.specs.fields import to_mapping
from hpcnn.specs.train import TrainSpec
from hpcnn.train.console import resumed_line, stopped_line
from hpcnn.train.context import Context, Log, Progress, Results
from hpcnn.train.failure import end_failed
from hpcnn.train.record import Record
from hpcnn.train.state import load
from hpcnn.train.stop import StopRequest
from hpcnn.util.tf_import import without_extras
from hpcnn.util.types import Array, Json
from hpcnn.util.user_code import own_code
from hpcnn.zoo.registry import in_numpy


def train(spec: TrainSpec, run_dir: str, log: Log = print, *, resume: bool = False) -> bool:
    """Run this rank's share of a training, write its record, and return whether it came to its end.

    log: prints a line for people; called on rank 0 only. resume: go on from the state that an earlier attempt left, if
    there is one, and write the state after every epoch. Returns False for a training that was asked to stop before its
    end. Raises HpcnnError for a spec, data or a machine with which the training cannot be done.
    """
    RunDir(run_dir).create(resume=resume)  # a finished run is refused before anything heavy is loaded
    with owned(run_dir):
        return _train(spec, run_dir, log, resume=resume)


def owned(run_dir: str | os.PathLike[str]) -> contextlib.AbstractContextManager[None]:
    """Return a context in which rank 0 owns the run directory. Raises InUse where another attempt is at work there.

    The other ranks meet rank 0 before they write: one that is refused takes them with it.
    """
    launched = launched_by(os.environ)
    return own(run_dir, job_lives) if launched is None or launched.rank == 0 else contextlib.nullcontext()


def _train(spec: TrainSpec, run_dir: str, log: Log, *, resume: bool) -> bool:
    strategy: Strategy | None = None
    try:
        if in_numpy(spec.model):
            from hpcnn.train.numpy.run import one_process

            with one_process(spec) as strategy:
                return train_under(strategy, spec, run_dir, log, resume=resume)
        task = TaskEnvironment.read(os.environ, spec.devices, traced=bool(spec.profile))
        with contextlib.nullcontext() if has_own_code(spec) else without_extras():
            strategy = open_strategy(spec.strategy, task)
        return train_under(strategy, spec, run_dir, log, resume=resume)
    except BaseException as error:
        end_failed(RunDir(run_dir), strategy, error)
        raise


def has_own_code(spec: TrainSpec) -> bool:
    """Return whether functions of the user's run in this process, which may use any part of Keras."""
    return ":" in spec.model or bool(own_code({"data": spec.data}))


class Training(Protocol):
    """One training of one network. A session calls its methods once each, in this order; all ranks do."""

    spec: TrainSpec
    """The resolved spec: every open field is filled."""

    def assemble(self, context: Context) -> None:
        """Load the data, build the network, take up an earlier attempt's state, and record what is trained on what."""

    def fit(self) -> Progress:
        """Train to the last epoch, to the target accuracy, or until the ranks are asked to stop."""

    def values(self) -> list[Array]:
        """Return the values of every variable that a later attempt needs."""

    def steps_per_epoch(self) -> int:
        """Return the number of steps of an epoch."""

    def results(self, progress: Progress) -> Results:
        """Evaluate what was trained."""


def train_under(strategy: Strategy, spec: TrainSpec, run_dir: str, log: Log = print, *, resume: bool = False) -> bool:
    """Train under an open strategy, from a spec to a closed record. Arguments and result as of ``train``.

    Whatever goes wrong is raised, and leaves the record open.
    """
    training = _training_of(spec)
    strategy.communicates = training.spec.communication
    context = open_context(strategy, run_dir, to_mapping(training.spec), log, resume=resume)
    asked = {"name": training.spec.model, "site": None, "resources": {"ntasks": strategy.processes}}
    context.record.spec({**asked, "train": to_mapping(spec)})
    training.assemble(context)
    if context.state:
        context.log(resumed_line(context.start))
    with context.stop:
        context.record.event("init_stop")
        progress = training.fit()
        if progress.stopped:
            context.keep(progress.stopped, training.values())
            reason = stopped_line(progress.stopped, training.steps_per_epoch(), context.stop.reason())
            finish_stopped(context, reason, epochs=progress.stopped.epoch - 1)
            return False
        results = training.results(progress)
        finish_completed(
            context,
            epochs=progress.epochs,
            training=results.training,
            test=results.test,
            test_samples=results.test_samples,
            training_set=results.training_set,
            target_accuracy=training.spec.target_accuracy,
            seconds_to_target=progress.seconds_to_target,
        )
    for line in results.lines:
        context.log(line)
    return True


def _training_of(spec: TrainSpec) -> Training:
    """Return the training of a spec, by the framework in which its network is written."""
    if in_numpy(spec.model):
        from hpcnn.train.numpy.run import NumpyTraining

        return NumpyTraining(spec)
    from hpcnn.train.loop import Loop

    return Loop(spec)


def open_context(
    strategy: Strategy, run_dir: str | os.PathLike[str], train: dict[str, Json], log: Log, *, resume: bool
) -> Context:
    """Open the record: anew, or (``resume``) where an earlier attempt stopped. All ranks must call it.

    train: the resolved spec, which an earlier attempt must share. Raises UsageError for a run that is finished, for the
    state of another training, and for a run that was cut off and is not to be resumed.
    """
    state = load(RunDir(run_dir).state, strategy, train) if resume else None
    go_on = state.position if state else None
    record = Record(run_dir, strategy, resume=resume, go_on=go_on, own_program=not train)
    on_rank_0: Log = log if strategy.is_chief else lambda line: None
    stop = StopRequest(record.run.stop, strategy)
    return Context(strategy, record, stop, state, keeps_state=resume, train=train, log=on_rank_0)


def finish_stopped(context: Context, reason: str, epochs: int) -> None:
    """Close the record of a training that was asked to stop, and whose state is on disk."""
    context.record.finish("interrupted", exit_code=STOPPED_EXIT_STATUS, reason=reason, epochs=epochs)
    if context.strategy.is_chief:
        context.run.stop.unlink(missing_ok=True)
    context.log(reason)


def finish_completed(context: Context, **facts: Json) -> None:
    """Close the record of a training that came to its end. Its state goes last: until then a kill loses nothing."""
    context.record.finish("completed", exit_code=0, reason=None, **facts)
    if context.strategy.is_chief:
        context.run.stop.unlink(missing_ok=True)  # a request that came after the last step
        context.run.state.unlink(missing_ok=True)
