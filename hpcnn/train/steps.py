"""The compiled part: many training or evaluation steps in one call of TensorFlow.

The data stays on the device; a call gets a table of sample numbers, gathers each step's slice, and loops inside the
graph. One trace serves every call, the smaller last batch included. The strategy's protocol is in
``parallel/base.py``.

Each step takes the time four times, from inside the graph: when the slice is gathered (input), when this replica's own
gradients are ready, when the summed ones are (the difference is *exposed* communication: waiting for slower ranks
included, what overlaps with back-propagation not), and at the end. A timestamp waits for its operands and nothing waits
for it, so measuring moves nothing. tf.timestamp reads the wall clock: it serves for shares, never for the epoch's
total. Of each step, the graph keeps how long this process worked since the last sum of gradients (``jitter.py``).
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any

import numpy as np
import tensorflow as tf

from hpcnn.parallel.base import Strategy
from hpcnn.parallel.devices import optimize_once
from hpcnn.parallel.serial import SingleReplica
from hpcnn.train.beside import beside
from hpcnn.train.factors import Factors, factored_layers
from hpcnn.train.feed import Resident
from hpcnn.train.jitter import StepTimes
from hpcnn.train.metrics import Metrics, Sums
from hpcnn.train.order import InFileOrder
from hpcnn.train.own_step import OwnStep
from hpcnn.train.plan import Block
from hpcnn.train.rewrite import rewrites, rewritten
from hpcnn.train.tensors import dense, sum_present, when
from hpcnn.train.update import fuse
from hpcnn.util.tf_import import without_collections
from hpcnn.util.types import Array, KerasModel, Tensor

# Seconds of tracing from which on an evaluation is traced beside the first steps.
_SLOW = 1.0


class Steps:
    """Compiled training and evaluation of one model under one strategy."""

    def __init__(
        self,
        model: KerasModel,
        strategy: Strategy,
        training: Resident,
        test: Resident | None,
        batch_size: int,
        own: OwnStep | None = None,
    ) -> None:
        """own: the model's own step, which takes the place of hpcnn's."""
        self._model, self._strategy, self._training = model, strategy, training.unchanged()
        self._fed = {"training": training, "test": test}
        self._own = own
        self.times = StepTimes()
        self.factored = [] if own else factored_layers(model, strategy, batch_size)
        self._metrics: Any = own or Metrics(model, training, strategy)
        self._statistics = moving_statistics(model)
        self._synchronize = tf.function(
            lambda weights: strategy.synchronize(self._statistics, weights), autograph=False
        )
        self.optimizers = own.optimizers if own else [model.optimizer]
        self._fused = Counter(name for optimizer in self.optimizers for name in fuse(optimizer))
        self._train = self._compile(self._own_train_step if own else self._train_step, training)
        self._test = self._compile(self._test_function(), test) if test is not None and self.tests else None
        self._retest: Callable[..., Any] | None = None
        self.seconds_tracing: float | None = None  # of the training step, in Python

    def train(self, block: Block, sums: Sums) -> Sums:
        """Do the steps of a block and return this process's sums, which go on from those so far."""
        if self.seconds_tracing is not None:
            return self._call(self._train, block, sums)
        begin = time.monotonic()
        self._train.get_concrete_function()
        self.seconds_tracing = time.monotonic() - begin
        with beside(self._prepare_test) if self._is_slow_to_trace() else nullcontext():
            return self._call(self._train, block, sums)

    def test(self, block: Block, sums: Sums) -> Sums:
        """Evaluate the batches of a block and return this process's sums, which go on from those so far."""
        assert self._test is not None
        return self._call(self._test, block, sums)

    def test_on_training_set(self, block: Block, sums: Sums) -> Sums:
        """Evaluate batches of the training set as it is, as ``test`` does those of the test set."""
        if self._retest is None:
            self._retest = self._compile(self._test_function(), self._training)
        return self._call(self._retest, block, sums)

    def expect(self, part: str, block: Block, first: int = 0) -> None:
        """Announce the steps of a block from number ``first`` on. part: ``training`` or ``test``."""
        data = self._fed[part]
        if data is not None:
            data.expect(block, first)

    def synchronize(self, block: Block) -> None:
        """Average over the replicas what batch normalisation gathered in steps of this block.

        A moving average is linear in what it averages, so one average after many steps equals one after each, as long
        as the replicas' shares of the batch stay the same; they do within a block. To rounding: so the caller does it
        after the same steps each time.
        """
        if self._statistics:
            self._synchronize([tf.constant(weight, tf.float32) for weight in block.weights])

    def no_sums(self) -> Sums:
        """Return the sums of no step."""
        return Sums(0.0, 0.0, np.zeros(3), [np.zeros(shape) for shape in self._metrics.shapes])

    def results(self, state: Sequence[Array]) -> dict[str, float]:
        """Return the metrics' values for summed states."""
        found: dict[str, float] = self._metrics.results(state)
        return found

    @property
    def sums_loss(self) -> bool:
        """Return whether steps sum the loss: one of the model's own has it among its results, or has none."""
        return self._own is None

    @property
    def tests(self) -> bool:
        """Return whether the model can be evaluated: one of several networks without a test step cannot."""
        return self.no_test is None

    @property
    def no_test(self) -> str | None:
        """Return why the model cannot be evaluated, None where it can."""
        return self._own.no_test if self._own else None

    @property
    def rewrites(self) -> dict[str, int]:
        """Return which rewrites the steps take, by name, and in how many places.

        The layers of a model with a step of its own stay as they are.
        """
        of_layers = {} if self._own else rewrites(self._model)
        return {**of_layers, **self._fused}

    @property
    def metrics(self) -> list[str]:
        """Return the metrics' names."""
        return list(self.results(self.no_sums().state))

    def _is_slow_to_trace(self) -> bool:
        """Return whether an evaluation should be traced while TensorFlow optimizes and computes the first steps.

        Not where that would make them wait, nor under ``tf.distribute``, which has a state of its own for each thread.
        """
        alone = isinstance(self._strategy, SingleReplica) and self._strategy.communicates
        return alone and self._own is None and (self.seconds_tracing or 0.0) > _SLOW

    def _prepare_test(self) -> None:
        """Trace the evaluation, and let TensorFlow optimize it, by evaluating nothing."""
        if self._test is not None:
            optimize_once()
            nothing = Block(InFileOrder(0), 0, 0, 1, self._strategy.size, tuple(self._strategy.replicas))
            self._call(self._test, nothing, self.no_sums())

    def _call(self, function: Callable[..., Any], block: Block, sums: Sums) -> Sums:
        tables = [tf.constant(table) for table in block.indices]
        weights = [tf.constant(weight, tf.float32) for weight in block.weights]
        so_far = [tf.constant(part, tf.float64) for part in (sums.loss, *sums.state)]
        try:
            seconds, work, loss, *state = function(tables, weights, so_far)
        except tf.errors.OpError as error:
            for data in self._fed.values():
                if data is not None and (failure := data.failure()) is not None:
                    raise failure from error
            raise
        if function is self._train:
            self.times.add(block, work.numpy())
        samples = sum(t.shape[1] for t, w in zip(block.indices, block.weights, strict=True) if w) * block.steps
        return Sums(
            float(loss), sums.samples + samples, sums.seconds + seconds.numpy(), [part.numpy() for part in state]
        )

    def _compile(self, step: Callable[..., Any], data: Resident) -> Any:
        """Return a function of (tables, weights, sums) that does every step and adds what the replicas return."""
        strategy = self._strategy
        replicas = len(strategy.replicas)
        table = tf.TensorSpec([None, None], tf.int32)
        weight = tf.TensorSpec([], tf.float32)
        start = [tf.TensorSpec(shape, tf.float64) for shape in ((), *self._metrics.shapes)]

        # Without AutoGraph: it would rewrite the strategy's and the model's own Python, to no use.
        @tf.function(input_signature=[[table] * replicas, [weight] * replicas, start], autograph=False)  # type: ignore[untyped-decorator]
        def steps(tables: Tensor, weights: Tensor, so_far: list[Tensor]) -> tuple[Tensor, ...]:
            def step_and_add(
                number: Tensor, seconds: Tensor, ended: Tensor, work: Any, sums: list[Tensor]
            ) -> tuple[Tensor, Tensor, Tensor, Any, list[Tensor]]:
                own = []
                for loss, times, state in strategy.run(step, (data, number, tables, weights)):
                    seconds += times[:3] / replicas
                    own.append(times)
                    sums = [a + tf.cast(b, tf.float64) for a, b in zip(sums, (loss, *state), strict=True)]
                # between two sums of gradients a replica works alone, except while it waits for them
                done = tf.stack([times[3] for times in own])
                work = work.write(number, done - ended - tf.stack([times[2] for times in own]))
                return number + 1, seconds, done, work, sums

            count = tf.shape(tables[0])[0]
            began = tf.timestamp()
            with tf.control_dependencies([began]):  # the loop begins when its inputs are there, each on its own
                first = tf.identity(tf.constant(0))
            work = tf.TensorArray(tf.float64, count, element_shape=[replicas])
            layers = self._own.traced() if self._own else rewritten(self._model)
            with without_collections(), strategy.undivided_losses(), layers:
                _, seconds, _, work, sums = tf.while_loop(
                    lambda number, *_: number < count,
                    step_and_add,
                    (first, tf.zeros(3, tf.float64), tf.fill([replicas], began), work, list(so_far)),
                )
            return (seconds, work.stack(), *sums)

        return steps

    def _train_step(
        self, data: Resident, number: Tensor, tables: Tensor, weights: Tensor
    ) -> tuple[Tensor, Tensor, list[Tensor]]:
        model, strategy = self._model, self._strategy
        replica = strategy.local_replica()
        weight = weights[replica]
        start = tf.timestamp()
        with tf.control_dependencies([start]):
            indices = tables[replica][number]
            x, y, sample_weights = data.gather(replica, indices)
        gathered = when(tf.nest.flatten([x, y]))
        with tf.control_dependencies([gathered]):  # or a lone inter-op thread may read the clock after the forward pass
            x = tf.nest.map_structure(tf.identity, x)
        in_loss = self._metrics.weights_in_loss(strategy, y, sample_weights, weight)
        factors = Factors(strategy, self.factored)
        with tf.GradientTape() as tape:
            with factors.kept():
                predicted = model(x, training=True)
            loss, losses = self._mean_loss(x, y, predicted, in_loss, weight, training=True)
            scaled = model.optimizer.scale_loss(loss * weight)
        variables = model.trainable_variables
        own = [dense(g) for g in tape.gradient(scaled, [v.value for v in variables])]
        ready = when([*own, *factors.own])
        gradients = factors.add_to(sum_present(strategy, own), variables)
        summed = when(gradients)
        model.optimizer.apply(gradients, variables)
        count = self._count(indices, weight)
        state = self._metrics.of_batch(y, predicted, sample_weights, losses, count)
        # The end of the step is the start of the next: what the optimizer takes is the rest of the total.
        times = tf.stack([gathered - start, ready - gathered, summed - ready, summed])
        return loss * count, times, state

    def _test_step(
        self, data: Resident, number: Tensor, tables: Tensor, weights: Tensor
    ) -> tuple[Tensor, Tensor, list[Tensor]]:
        replica = self._strategy.local_replica()
        weight = weights[replica]
        indices = tables[replica][number]
        x, y, sample_weights = data.gather(replica, indices)
        predicted = self._model(x, training=False)
        in_loss = self._metrics.weights_in_loss(self._strategy, y, sample_weights, weight)
        loss, losses = self._mean_loss(x, y, predicted, in_loss, weight, training=False)
        count = self._count(indices, weight)
        state = self._metrics.of_batch(y, predicted, sample_weights, losses, count)
        return loss * count, tf.zeros(4, tf.float64), state

    def _own_train_step(
        self, data: Resident, number: Tensor, tables: Tensor, weights: Tensor
    ) -> tuple[Tensor, Tensor, list[Tensor]]:
        """Do a step by the model's own ``train_step``; what its gradients wait for is communication."""
        assert self._own is not None
        replica = self._strategy.local_replica()
        start = tf.timestamp()
        with tf.control_dependencies([start]):
            indices = tables[replica][number]
            x, y, sample_weights = data.gather(replica, indices)
        gathered = when(tf.nest.flatten([x, y]))
        with tf.control_dependencies([gathered]):
            x = tf.nest.map_structure(tf.identity, x)
        done = self._own.train(x, y, sample_weights, weights[replica])
        waiting = tf.add_n([summed - ready for ready, summed in done.waited])
        summed = done.waited[-1][1]
        times = tf.stack([gathered - start, summed - gathered - waiting, waiting, summed])
        return tf.constant(0.0), times, done.state

    def _own_test_step(
        self, data: Resident, number: Tensor, tables: Tensor, weights: Tensor
    ) -> tuple[Tensor, Tensor, list[Tensor]]:
        assert self._own is not None
        replica = self._strategy.local_replica()
        indices = tables[replica][number]
        done = self._own.test(*data.gather(replica, indices), weights[replica])
        return tf.constant(0.0), tf.zeros(4, tf.float64), done.state

    def _test_function(self) -> Callable[..., Any]:
        return self._own_test_step if self._own else self._test_step

    def _count(self, indices: Tensor, share: Tensor) -> Tensor:
        return tf.cast(tf.size(indices), tf.float32) * tf.sign(share)

    def _mean_loss(
        self, x: Tensor, y: Tensor, predicted: Tensor, weights: Tensor, share: Tensor, *, training: bool
    ) -> tuple[Tensor, list[Tensor]]:
        """Return this replica's loss, in float32, of which the global batch's is the mean over samples.

        share: the slice's share of the global batch. With it, the loss of each output where there are several. The loss
        is that of the slice, penalties included. Where losses add up in another way than by shares, what is no penalty
        is multiplied by its part of the sum and divided by the share: the mean of that is the sum of the parts.
        """
        loss, losses = self._metrics.loss(x, y, predicted, weights, training=training)
        loss = tf.cast(loss, tf.float32)
        part = self._metrics.part_of_sum(self._strategy, weights, share)
        if part is not None:
            extra = [self._model._aggregate_additional_loss(penalty) for penalty in self._model.losses]
            penalty = tf.add_n([tf.cast(one, tf.float32) for one in extra]) if extra else tf.constant(0.0)
            return tf.math.divide_no_nan((loss - penalty) * part, share) + penalty, losses
        return loss, losses


def moving_statistics(model: KerasModel) -> list[Tensor]:
    """Return the variables that training changes without gradients: batch normalisation's moving averages.

    Frozen layers are left out (they do not move), and so are the states of random generators, which are not weights.
    """
    layers = model._flatten_layers(include_self=False, recursive=True)
    own = [v for layer in layers if layer.trainable for v in getattr(layer, "_non_trainable_variables", [])]
    weights = {id(v) for v in model.non_trainable_weights}
    return [v.value for v in own if id(v) in weights]
