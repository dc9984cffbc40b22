"""For a user's own script: what makes a plain Keras program one rank of many, in a few lines.

::

    import hpcnn

    run = hpcnn.init()                                    # before any TensorFlow tensor
    x_train, y_train = run.shard(x_train, y_train)        # this rank's part
    model.compile(optimizer=run.distribute(keras.optimizers.SGD(0.01)), ...)
    model.fit(x_train, y_train, batch_size=128 // run.size, callbacks=run.callbacks(), verbose=run.verbose)

Start it with ``hpcnn submit --ntasks 2 -- python my_script.py``, or alone: then it is a rank of one.
"""

from __future__ import annotations

import atexit
import os
import sys
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING

import numpy as np

from hpcnn.parallel import open_strategy
from hpcnn.parallel.base import Strategy, TaskEnvironment
from hpcnn.parallel.launcher import launched_by
from hpcnn.rundir.layout import RunDir
from hpcnn.specs.train import usual_strategy
from hpcnn.train.context import Context, Fits
from hpcnn.train.failure import end_failed
from hpcnn.train.session import finish_completed, finish_stopped, open_context
from hpcnn.util.errors import HpcnnError, UsageError, unknown_value
from hpcnn.util.types import Array, Optimizer

if TYPE_CHECKING:
    import keras

_STRATEGIES = ("serial", "horovod")


def init(strategy: str | None = None, run_dir: str | os.PathLike[str] | None = None) -> Run:
    """Meet the other ranks and return this rank's context. Call it before TensorFlow makes its first tensor.

    strategy: ``serial`` or ``horovod``; open, what the job script says, else horovod if a launcher started several
        ranks. (For MirroredStrategy and MultiWorkerMirroredStrategy, bring the model to ``hpcnn train`` instead.)
    run_dir: where ``callbacks()`` writes the record; open, what the job script says, else no record is kept.

    Raises RunError when the world size is not what the job asked for. From here on, an uncaught exception on any rank
    ends the whole job.
    """
    launched = launched_by(os.environ)
    name = strategy or os.environ.get("HPCNN_STRATEGY") or usual_strategy(launched.size if launched else 1)
    if name not in _STRATEGIES:
        raise unknown_value("strategy", name, _STRATEGIES)
    folder = run_dir or os.environ.get("HPCNN_RUN_DIR")
    try:
        opened = open_strategy(name, TaskEnvironment.read(os.environ))
    except Exception as error:
        end_failed(RunDir(folder) if folder else None, None, error)
        raise
    return Run(opened, os.fspath(folder) if folder else None)


class Run:
    """One rank of a run: who it is, and what makes Keras's ``fit`` work on all of them together."""

    def __init__(self, strategy: Strategy, run_dir: str | None) -> None:
        self._strategy = strategy
        self._samples: int | None = None
        self.run_dir = run_dir
        sys.excepthook = self._end_job
        self._fits = Fits(_open(run_dir, strategy))
        atexit.register(self._close)

    @property
    def rank(self) -> int:
        """Number of this rank, 0-based."""
        return self._strategy.rank

    @property
    def size(self) -> int:
        """World size: the number of ranks."""
        return self._strategy.size

    @property
    def local_rank(self) -> int:
        """Number of this rank among those of its node."""
        return self._strategy.local_rank

    @property
    def is_chief(self) -> bool:
        """Whether this is rank 0, which prints and saves for all."""
        return self._strategy.is_chief

    @property
    def verbose(self) -> int:
        """Keras's ``verbose``: 2 on rank 0, 0 elsewhere."""
        return 2 if self.is_chief else 0

    def shard(self, *arrays: Array, seed: int = 1) -> tuple[Array, ...]:
        """Return this rank's part of arrays of N samples each, the same samples of every array.

        All ranks get the same number of samples, so that they do the same number of steps: where N does not divide
        evenly, the first few samples of a common shuffled order are seen by two ranks. Raises UsageError for arrays
        of different lengths, or fewer samples than ranks.
        """
        lengths = {len(array) for array in arrays}
        if len(lengths) != 1:
            raise UsageError(f"shard: the arrays have different lengths ({', '.join(map(str, sorted(lengths)))})")
        count = lengths.pop()
        if count < self.size:
            raise UsageError(f"shard: {count} samples cannot be divided among {self.size} ranks")
        if self.size == 1:
            self._samples = count
            return arrays
        order = np.random.Generator(np.random.Philox(key=[seed, 0])).permutation(count)
        each = -(-count // self.size)
        own = np.sort(np.resize(order, each * self.size)[self.rank :: self.size])
        self._samples = each
        return tuple(array[own] for array in arrays)

    def distribute(self, optimizer: Optimizer) -> Optimizer:
        """Return the Keras 3 optimizer, changed so that every step applies the gradients' mean over all ranks.

        It stays of its own class, so a saved model loads without hpcnn. Under mixed_float16 it is first wrapped in
        Keras's LossScaleOptimizer, so that all ranks skip the same steps.
        """
        from hpcnn.train.keras_fit import average_gradients

        return average_gradients(optimizer, self._strategy)

    def callbacks(self, *own: keras.callbacks.Callback, samples: int | None = None) -> list[keras.callbacks.Callback]:
        """Return the callbacks for ``fit``: hpcnn's first, then ``own``.

        hpcnn's callback gives all ranks rank 0's initial weights, averages logs and batch-normalisation statistics over
        the ranks, checks after each epoch that all hold the same weights, and writes the run directory.

        own: callbacks that decide (EarlyStopping) belong to every rank; those that write, to rank 0 only.
        samples: training samples of this rank, if they did not come from ``shard``.
        """
        from hpcnn.train.keras_fit import recorder

        return [recorder(self._strategy, self._fits, samples or self._samples), *own]

    def _close(self) -> None:
        """Close the record when the script ends; how it ended is the launcher's to say (`hpcnn record finish`)."""
        fits = self._fits
        if fits.context is None:
            return
        if fits.stopped:
            reason = f"{fits.stopped}; its state is kept: hpcnn resume goes on there"
            finish_stopped(fits.context, reason, epochs=fits.epochs)
        else:
            finish_completed(fits.context, epochs=fits.epochs, test=fits.validation)

    def _end_job(self, kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        """Be Python's last exception handler: say what happened, then end the job for all ranks."""
        atexit.unregister(self._close)
        end_failed(RunDir(self.run_dir) if self.run_dir else None, self._strategy, error)
        if isinstance(error, HpcnnError):
            print(f"Error: {error}", file=sys.stderr, flush=True)
        else:
            sys.__excepthook__(kind, error, trace)


def _open(run_dir: str | None, strategy: Strategy) -> Context | None:
    """Open the record of a script: anew, or where an earlier attempt of its job stopped."""
    if run_dir is None:
        return None
    resume = os.environ.get("HPCNN_RESUME") == "1"
    return open_context(strategy, run_dir, {}, lambda line: print(line, flush=True), resume=resume)


__all__: Sequence[str] = ("Run", "init")
