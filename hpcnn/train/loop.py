"""The training loop: epochs, calls of the compiled steps, Keras's callbacks, the clock and the record.

Read top-down: ``fit`` is one epoch after another; ``_train_epoch`` is what the epoch's clock measures.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np

from hpcnn.parallel.devices import device_name, threads
from hpcnn.rundir.progress import ProgressWriter
from hpcnn.specs.complete import complete
from hpcnn.specs.fields import to_mapping
from hpcnn.specs.train import TrainSpec
from hpcnn.train import callbacks
from hpcnn.train.agreement import check_same_weights
from hpcnn.train.assemble import assemble, facts
from hpcnn.train.bad_samples import bad_samples, own_bad_samples, remember
from hpcnn.train.console import ceiling_line, devices_line, epoch_line, first_line, last_line, profile_line
from hpcnn.train.context import Context, Progress, Results
from hpcnn.train.metrics import Sums
from hpcnn.train.order import InFileOrder
from hpcnn.train.plan import Block, blocks
from hpcnn.train.profiler import Profile
from hpcnn.train.state import Position, values_of
from hpcnn.train.watch import Watch
from hpcnn.util.files import read_json
from hpcnn.util.loss_scaling import unscaled
from hpcnn.util.types import Array, Json

if TYPE_CHECKING:
    import keras

# Steps in one call of TensorFlow. Between calls Keras's batch callbacks run and the ranks agree whether to stop; a call
# costs well under a millisecond, so more steps would gain nothing. Slow steps make shorter calls: whoever asks a run to
# stop gives it seconds only (slurm.conf(5), KillWait: 30).
STEPS_PER_CALL = 64
_FIRST_CALL = 4
_SECONDS_PER_CALL = 2.0


class _Stopped(Exception):  # no error: how an epoch ends that was asked to stop
    def __init__(self, position: Position) -> None:
        super().__init__()
        self.position = position


class Loop:
    """Trains one Keras model under one strategy: the ``Training`` of ``session.py`` for networks of Keras."""

    def __init__(self, spec: TrainSpec) -> None:
        """Resolve the spec. Raises UsageError for an option that could have no effect."""
        self.spec = complete(spec)
        self._call_steps = _FIRST_CALL
        self._bad = 0  # bad samples that were told
        self._traced = False  # the first call's seconds are mostly TensorFlow's tracing

    def assemble(self, context: Context) -> None:
        """Load the data, build and compile the network, and record what is trained on what."""
        spec, record = self.spec, context.record
        self.context, self.strategy, self.record = context, context.strategy, record
        watch = Watch(spec) if context.strategy.is_chief and spec.cache != "local-disk" else None
        self.assembled = assemble(spec, context.strategy, context.state, record.event, self._note, context.run.path)
        self.watch = watch.only_if_read(self.assembled.data) if watch else None
        self.model, self.steps = self.assembled.model, self.assembled.steps
        if context.strategy.is_chief:
            remember(self.assembled.data, context.start.bad)
        self.live: ProgressWriter | None = None
        if context.strategy.is_chief:
            self.live = ProgressWriter(context.run, spec.epochs or 0, self.steps_per_epoch(), self.assembled.batch)
        self.profile = Profile(spec.profile, context.run, context.strategy) if spec.profile else None
        earlier = read_json(context.run.provenance) if context.state else None
        hosts = record.provenance(
            device_name(),
            train=to_mapping(spec),
            global_batch_size=self.assembled.batch,
            samples=self.assembled.samples,
            threads=threads(),
            model=facts(spec, self.assembled, context.strategy, earlier),
        )
        optimizers = self.steps.optimizers
        context.log(
            first_line(spec, context.strategy, self.model, optimizers, self.assembled.samples, self.assembled.batch)
        )
        if context.strategy.is_chief:
            context.log(devices_line(hosts))

    def _note(self, line: str) -> None:
        """Say a line aloud, and record it."""
        self.context.log(line)
        self.record.event("note", line)

    def fit(self) -> Progress:
        """Train epoch by epoch, until the last one, a callback, the target or a request to stop ends the training.

        Keras's callbacks run on every rank; their batch-level methods are called once a call of TensorFlow.
        """
        import keras

        spec, start, epochs = self.spec, self.context.start, self.spec.epochs or 0
        own = callbacks.callbacks_of(spec, self.context.run, self.strategy)
        hooks = keras.callbacks.CallbackList(
            [*self.assembled.callbacks, *own], model=self.model, epochs=epochs, steps=self.steps_per_epoch()
        )
        progress = Progress(start.epoch - 1)
        self.model.stop_training = False
        hooks.on_train_begin()
        self.record.event("run_start")
        begun = time.monotonic() - start.elapsed
        for epoch in range(start.epoch, epochs + 1):
            try:
                line = self._epoch(epoch, hooks, start if epoch == start.epoch else Position(epoch))
            except _Stopped as stopped:
                progress.stopped = stopped.position
                break
            progress.epochs = epoch
            progress.test = line["validation"] or {}
            line["seconds_since_start"] = time.monotonic() - begun
            self.record.epoch(line)
            self.context.log(epoch_line(line, epochs))
            if self.watch and (changed := self.watch.changed()):
                self._note(changed)
            target = spec.target_accuracy
            reached = target is not None and progress.test.get("accuracy", 0.0) >= target
            if reached:
                progress.seconds_to_target = time.monotonic() - begun
                self.record.event("target_reached", target, epoch=epoch)
            if self._someone_stops(reached):
                break
            if self.context.keeps_state:
                bad = own_bad_samples(self.assembled.data)
                self.context.keep(Position(epoch + 1, elapsed=self.record.elapsed, bad=bad), self.values())
        if progress.stopped is None and progress.epochs:
            self._finish_weights(progress)
        hooks.on_train_end()
        if self.live:
            self.live.close()
        return progress

    def _finish_weights(self, progress: Progress) -> None:
        """Let the optimizer set the final weights as Keras's ``fit`` does: the moving averages, with ``use_ema``."""
        for optimizer in map(unscaled, self.steps.optimizers):
            if optimizer.use_ema:
                optimizer.finalize_variable_values(optimizer._trainable_variables)
                progress.test = {}  # what was evaluated are other weights

    def values(self) -> list[Array]:
        """Return the values of every variable on rank 0, which writes them; nothing on other ranks."""
        return values_of(self.model) if self.strategy.is_chief else []

    def steps_per_epoch(self) -> int:
        """Return the number of steps of an epoch."""
        return self.assembled.steps_per_epoch

    def results(self, progress: Progress) -> Results:
        """Evaluate what was trained: on the test set, and on the training set where the spec asks for it."""
        spec, samples = self.spec, self.assembled.samples
        test_samples = self.assembled.data.test_samples
        test = (progress.test or self.evaluate()) if spec.communication and self.steps.tests else None
        training_set = self.evaluate_training() if spec.evaluate_training and self.steps.tests else None
        lines = [profile_line(self.profile.epoch, self.context.run.path)] if self.profile else []
        lines += [last_line(training_set, samples, of="training set")] if training_set else []
        if self.steps.tests:
            lines += [last_line(test, test_samples) if test else ceiling_line(self.strategy)]
        return Results(test, test_samples, training_set, spec.communication, lines)

    def evaluate(self) -> dict[str, float]:
        """Return loss and metrics of the whole test set, the same on every rank."""
        return self._evaluated("test", self.assembled.data.test_samples, self.steps.test)

    def evaluate_training(self) -> dict[str, float]:
        """Return loss and metrics of the whole training set, as ``evaluate`` does: without dropout."""
        return self._evaluated("training", self.assembled.samples, self.steps.test_on_training_set)

    def _evaluated(self, part: str, samples: int, test: Callable[[Block, Sums], Sums]) -> dict[str, float]:
        sums = self.steps.no_sums()
        batch = self.assembled.test_batch
        for block in blocks(InFileOrder(samples), batch, self.strategy.size, self.strategy.replicas):
            self.steps.expect(part, block)
            sums = test(block, sums)
        return self._logs(sums)

    def _epoch(self, epoch: int, hooks: keras.callbacks.CallbackList, start: Position) -> dict[str, Json]:
        """Train one epoch, or what is left of it; evaluate, run the callbacks; return the epoch's record."""
        hooks.on_epoch_begin(epoch - 1)
        self.record.event("epoch_start", epoch)
        sums, seconds = self._train_epoch(epoch, hooks, start)
        jitter = self.steps.times.of_epoch(self.strategy)
        logs = self._logs(sums)
        check_same_weights(self.model, self.strategy)
        bad = bad_samples(self.assembled.data, self.strategy, self.spec.skip_bad)
        if len(bad) > self._bad:
            self._bad = len(bad)
            self._note(f"bad samples so far: {len(bad)}, the last of them {max(bad)}: {bad[max(bad)]}")
        validation, seconds_evaluation = None, None
        if self.spec.evaluate and self.steps.tests:
            begin = time.monotonic()
            self.record.event("eval_start", epoch)
            validation = self.evaluate()
            seconds_evaluation = time.monotonic() - begin
            self.record.event("eval_stop", epoch, **validation)
        rate = float(np.asarray(self.steps.optimizers[0].learning_rate))
        all_logs = {**logs, **{f"val_{key}": value for key, value in (validation or {}).items()}}
        hooks.on_epoch_end(epoch - 1, all_logs)
        self.record.event("epoch_stop", epoch)
        waiting, computing, communicating = (float(part) for part in sums.seconds)
        return {
            "epoch": epoch,
            "seconds_total": seconds,
            "seconds_input": waiting,
            "seconds_compute": computing,
            "seconds_communication": communicating,
            "seconds_other": max(seconds - waiting - computing - communicating, 0.0),
            "seconds_evaluation": seconds_evaluation,
            "samples": int(sums.samples),
            "steps": self.steps_per_epoch(),
            "loss": logs.get("loss"),
            "metrics": {key: value for key, value in logs.items() if key != "loss"},
            "validation": validation,
            "learning_rate": rate,
            **jitter,
            **({"resumed": True} if start.resumed else {}),
            **({"bad_samples": len(bad)} if bad else {}),
            **({"profiled": True} if self.profile and self.profile.epoch == epoch else {}),
        }

    def _train_epoch(self, epoch: int, hooks: keras.callbacks.CallbackList, start: Position) -> tuple[Sums, float]:
        """Do every step of one epoch; return this process's sums and its wall time by the monotonic clock.

        Of an epoch that an earlier attempt has begun, sums and time go on where it stopped.
        """
        self.strategy.barrier()  # so that a rank's time is not the lateness of another's callbacks
        earlier, *flat = start.partial or (0.0,)
        sums, done = self.steps.no_sums(), start.step
        if flat:
            sums = sums.filled(flat)
        begin = time.monotonic() - earlier
        for call, whole in self._calls(epoch, start.step):
            called = time.monotonic()
            hooks.on_train_batch_begin(done)
            before, sums = sums, self._train(call, epoch, done, sums)
            if whole:
                self.steps.synchronize(call)
            done += call.steps
            if not self._traced:
                in_graph, tracing = float((sums.seconds - before.seconds).sum()), self.steps.seconds_tracing
                parts = {"seconds_in_graph": in_graph, "seconds_tracing": tracing}
                self.record.event("first_call", time.monotonic() - called, steps=call.steps, **parts)
            hooks.on_train_batch_end(done - 1, self._own_logs(sums))
            if self.live:
                self.live.done(epoch, done)
            stops, seconds = self.context.stop.agreed(time.monotonic() - called)
            if stops:
                if not whole:
                    self.steps.synchronize(call)
                partial = (time.monotonic() - begin, *sums.flat())
                bad = own_bad_samples(self.assembled.data)
                raise _Stopped(Position(epoch, done, partial, self.record.elapsed, bad=bad))
            if self._traced:
                self._call_steps = min(max(int(_SECONDS_PER_CALL * call.steps / seconds), 1), STEPS_PER_CALL)
            self._traced = True
        return sums, time.monotonic() - begin

    def _calls(self, epoch: int, skip: int) -> Iterator[tuple[Block, bool]]:
        """Yield the steps of an epoch after the first ``skip``, as many at a time as one call is to do.

        With each, whether it ends STEPS_PER_CALL steps of a block, or the block: at the same steps in every run,
        however fast it is.
        """
        order = self.assembled.order(self.spec, epoch)
        for block in blocks(order, self.assembled.batch, self.strategy.size, self.strategy.replicas):
            first = min(skip, block.steps)
            skip -= first
            self.steps.expect("training", block, first)
            while first < block.steps:
                to_mark = STEPS_PER_CALL - first % STEPS_PER_CALL
                call = block.part(first, first + (self._to_profile(block) or min(self._call_steps, to_mark)))
                first += call.steps
                yield call, call.steps >= to_mark or first >= block.steps

    def _train(self, call: Block, epoch: int, done: int, sums: Sums) -> Sums:
        """Do the steps of one call; record them if ``--profile`` asked for steps and none were recorded yet."""
        if self.profile is None or self._to_profile(call) is None:
            return self.steps.train(call, sums)
        return self.profile.record(lambda so_far: self.steps.train(call, so_far), sums, epoch, done, call.steps)

    def _to_profile(self, block: Block) -> int | None:
        """Return how many steps of a block are to be recorded next: none while tracing, nor of a smaller last batch."""
        whole = self._traced and block.batch == self.assembled.batch
        return self.profile.steps if self.profile is not None and whole else None

    def _logs(self, sums: Sums) -> dict[str, float]:
        """Return loss and metrics over all ranks."""
        return self._own_logs(sums.over_processes(self.strategy))

    def _own_logs(self, sums: Sums) -> dict[str, float]:
        results = self.steps.results(sums.state)
        return {"loss": sums.loss / max(sums.samples, 1.0), **results} if self.steps.sums_loss else results

    def _someone_stops(self, reached: bool) -> bool:
        """Return whether any rank wants to stop. Then all must, or the others would wait for it for ever."""
        wants = bool(self.model.stop_training) or reached
        return bool(self.strategy.reduce_metrics([float(wants)])[0])
