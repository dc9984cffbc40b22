"""The common part of MirroredStrategy and MultiWorkerMirroredStrategy: replicas of ``tf.distribute``.

Keras 3's ``fit`` fails under the multi-worker strategy, so the training loop calls ``Strategy.run`` itself, through
this module.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

from hpcnn.parallel.buckets import Size
from hpcnn.parallel.processes import OneProcess
from hpcnn.util.errors import RunError
from hpcnn.util.loss_scaling import unscaled
from hpcnn.util.types import Optimizer, Tensor, Variable

if TYPE_CHECKING:
    import tensorflow as tf


class TfDistribute(OneProcess):
    """The replicas of one ``tf.distribute.Strategy``, in one or several processes."""

    name = "tf.distribute"
    local_rank = 0
    communicates = True
    gathers = False
    mpi_version: str | None = None

    def __init__(self, strategy: tf.distribute.Strategy, devices: Sequence[str]) -> None:
        self._strategy = strategy
        self.devices: Sequence[str] = tuple(devices)
        self.size = int(strategy.num_replicas_in_sync)

    @property
    def replicas(self) -> Sequence[int]:
        """Return the global indices of this process's replicas: those of lower ranks come first."""
        first = self.rank * len(self.devices)
        return tuple(range(first, first + len(self.devices)))

    def scope(self) -> AbstractContextManager[object]:
        """Return the strategy's scope: variables made in it are mirrored."""
        scope: AbstractContextManager[object] = self._strategy.scope()
        return scope

    def prepare_optimizer(self, optimizer: Optimizer) -> None:
        """Keep Keras's optimizer from reducing gradients that ``reduce`` has reduced.

        Keras 3 reduces inside ``apply`` but clips and unscales before that, on each replica's own part; reducing first
        makes clipping and loss scaling act on the whole gradient, as they do in one process.
        """
        inner = unscaled(optimizer)
        if not hasattr(inner, "_all_reduce_sum_gradients"):
            raise RunError(
                f"optimizer {type(inner).__name__!r} of this Keras version reduces gradients in a way hpcnn does "
                f"not know, and would do it twice under strategy {self.name!r}"
            )
        inner._all_reduce_sum_gradients = list

    @contextlib.contextmanager
    def undivided_losses(self) -> Iterator[None]:
        """Let Keras's losses be those of a replica's own samples inside the context."""
        from keras.src.losses import loss as of_keras

        names = ("scale_loss_for_distribution", "unscale_loss_for_distribution")
        dividing = {name: getattr(of_keras, name) for name in names}
        for name in names:
            setattr(of_keras, name, lambda value: value)
        try:
            yield
        finally:
            for name, function in dividing.items():
                setattr(of_keras, name, function)

    def run(self, function: Callable[..., Tensor], args: tuple[Tensor, ...]) -> list[Tensor]:
        """Call the function on every local replica; return one result per replica."""
        import tensorflow as tf

        with _without_advice():
            results = self._strategy.run(function, args=args)
        local = self._strategy.experimental_local_results
        flat = [local(part) for part in tf.nest.flatten(results)]
        count = len(self.devices)
        return [tf.nest.pack_sequence_as(_first(results), [part[i] for part in flat]) for i in range(count)]

    def local_replica(self) -> int | Tensor:
        """Return the running replica's index among this process's."""
        import tensorflow as tf

        context = tf.distribute.get_replica_context()
        if context is None:  # a model called outside `run`: any replica will do
            return 0
        number = context.replica_id_in_sync_group
        static = tf.get_static_value(number)
        return (number if static is None else int(static)) - self.replicas[0]

    def reduce(self, tensors: Sequence[Tensor], name: str = "gradient") -> list[Tensor]:
        """Sum each tensor over all replicas."""
        if not self.communicates:
            return list(tensors)
        import tensorflow as tf

        context = tf.distribute.get_replica_context()
        return list(context.all_reduce(tf.distribute.ReduceOp.SUM, list(tensors)))

    def messages(self, sizes: Sequence[Size]) -> list[list[int]] | None:
        """Return None: TensorFlow divides the tensors among messages."""
        return None

    def concatenate(self, tensor: Tensor, name: str) -> Tensor:
        """Return all replicas' rows."""
        import tensorflow as tf

        return tf.distribute.get_replica_context().all_gather(tensor, axis=0)

    def synchronize(self, variables: Sequence[Variable], weights: Sequence[Tensor]) -> None:
        """Average the variables over the replicas.

        Keras 3 creates batch normalisation's moving averages without an aggregation, so each replica keeps its own, and
        only this method averages them.
        """
        if not self.communicates:
            return
        import tensorflow as tf

        def average() -> None:
            weight = weights[self.local_replica()]
            shares = [variable * tf.cast(weight, variable.dtype) for variable in variables]
            for variable, value in zip(variables, self.reduce(shares), strict=True):
                variable.assign(value)

        self._strategy.run(average)

    def broadcast(self, variables: Sequence[Variable]) -> None:
        """Do nothing: tf.distribute copies the chief's initial values to every replica."""

    def join(self) -> None:
        """Do nothing: hpcnn's own loop gives all replicas the same number of steps."""

    def timeline(self, file: Path) -> AbstractContextManager[None]:
        """Record nothing: the reductions are TensorFlow operations, which TensorFlow's own profiler records."""
        return contextlib.nullcontext()


@contextlib.contextmanager
def _without_advice() -> Iterator[None]:
    """Hide TensorFlow's word that ``run`` without a ``tf.function`` is slow: a trial does it once."""
    import tensorflow as tf

    logger = tf.get_logger()
    level = logger.level
    logger.setLevel("ERROR")
    try:
        yield
    finally:
        logger.setLevel(level)


def _first(results: Tensor) -> Tensor:
    """Return the structure of one replica's results."""
    import tensorflow as tf

    return tf.nest.map_structure(lambda _: 0, results)
