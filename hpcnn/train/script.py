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
import contextlib
import os
import sys
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np

from hpcnn.parallel import open_strategy
from hpcnn.parallel.base import Strategy, TaskEnvironment, exit_without_finalize
from hpcnn.parallel.launcher import forget_the_shells_task, launched_by
from hpcnn.rundir.layout import RefusedRunDir, RunDir
from hpcnn.specs.train import usual_strategy
from hpcnn.train.context import Context, Fits
from hpcnn.train.failure import end_failed
from hpcnn.train.session import finish_completed, finish_stopped, open_context, owned
from hpcnn.train.shards import shard_arrays, shard_batches, shard_dataset
from hpcnn.util.errors import HpcnnError, UsageError, bad_value, unknown_value
from hpcnn.util.types import Array, Optimizer

if TYPE_CHECKING:
    import keras

    from hpcnn.train.own_loop import Epoch

_STRATEGIES = ("serial", "horovod")
# The run of this process, once ``init`` has been called, until it is closed.
_open_runs: list[Run] = []


def init(strategy: str | None = None, run_dir: str | os.PathLike[str] | None = None) -> Run:
    """Meet the other ranks and return this rank's context. Call it before TensorFlow makes its first tensor.

    strategy: ``serial`` or ``horovod``; open, what the job script says, else horovod if a launcher started several
        ranks. (For MirroredStrategy and MultiWorkerMirroredStrategy, bring the model to ``hpcnn train`` instead.)
    run_dir: where ``callbacks()`` writes the record; open, what the job script says, else no record is kept.

    A second call returns the same context. Raises RunError when the world size is not what the job asked for. From here
    on, an uncaught exception on any rank ends the whole job.
    """
    folder = run_dir or os.environ.get("HPCNN_RUN_DIR")
    if _open_runs and _open_runs[-1].run_dir == (os.fspath(folder) if folder else None):
        return _open_runs[-1]
    forget_the_shells_task(os.environ)
    launched = launched_by(os.environ)
    name = strategy or os.environ.get("HPCNN_STRATEGY") or usual_strategy(launched.size if launched else 1)
    if name not in _STRATEGIES:
        raise unknown_value("strategy", name, _STRATEGIES)
    try:
        opened = open_strategy(name, TaskEnvironment.read(os.environ))
    except Exception as error:
        end_failed(RunDir(folder) if folder else None, None, error)
        raise
    _open_runs.append(Run(opened, os.fspath(folder) if folder else None))
    return _open_runs[-1]


class Run:
    """One rank of a run: who it is, and what makes Keras's ``fit`` work on all of them together."""

    def __init__(self, strategy: Strategy, run_dir: str | None) -> None:
        self._strategy = strategy
        self._samples: int | None = None
        self._models: list[keras.Model] = []
        self._meetings = 0
        self.run_dir = run_dir
        self._owner = contextlib.ExitStack()
        sys.excepthook = self._end_job
        if run_dir is not None:
            RunDir(run_dir).create(resume=_resumes())
            self._owner.enter_context(owned(run_dir))
        self._fits = Fits(
            _open(run_dir, strategy), batch_size=_stated("HPCNN_BATCH_SIZE"), samples=_stated("HPCNN_SAMPLES")
        )
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

    def shard(self, *data: Any, seed: int = 1) -> Any:
        """Return this rank's part of the training data: as many samples or batches as every other rank has.

        data: arrays of N samples each, and the tuple returned has the same samples of every array; where N does not
        divide evenly, two ranks see the first few of a common shuffled order (``seed``). Or one ``tf.data.Dataset`` or
        ``keras.utils.PyDataset`` with the same elements on every rank, of which this one gets every ``size``-th
        (``train/shards.py``). Raises UsageError for what cannot be divided.
        """
        import keras
        import tensorflow as tf

        if len(data) == 1 and isinstance(data[0], tf.data.Dataset):
            return shard_dataset(data[0], self.rank, self.size)
        if len(data) == 1 and isinstance(data[0], keras.utils.PyDataset):
            return shard_batches(data[0], self.rank, self.size)
        for one in data:
            if not hasattr(one, "__len__") or not hasattr(one, "__getitem__"):
                raise UsageError(
                    f"shard: a {type(one).__name__} is neither an array of samples, nor one tf.data.Dataset, nor one "
                    "keras.utils.PyDataset; divide it yourself, by run.rank and run.size"
                )
        arrays = shard_arrays([np.asarray(one) for one in data], self.rank, self.size, seed)
        self._samples = len(arrays[0])
        self._fits.samples = self._fits.samples or len(data[0])
        return arrays

    def distribute(self, optimizer: Optimizer | str) -> Optimizer:
        """Return the Keras 3 optimizer, changed so that every step applies the gradients' mean over all ranks.

        It stays of its own class, so a saved model loads without hpcnn. Before its first update it gives all ranks
        rank 0's weights and its own state, and at the end of the process the ranks compare the weights. Under
        mixed_float16 it is first wrapped in Keras's LossScaleOptimizer, so that all ranks skip the same steps.

        optimizer: or the name of one, ``"adam"``. Raises UsageError for a name that Keras does not know.
        """
        from hpcnn.train.distribute import average_gradients

        return average_gradients(optimizer, self._strategy, self._fits)

    def callbacks(
        self, *own: keras.callbacks.Callback, samples: int | None = None, batch_size: int | None = None
    ) -> list[keras.callbacks.Callback]:
        """Return the callbacks for ``fit``: hpcnn's first, then ``own``.

        hpcnn's callback gives all ranks rank 0's initial weights, averages logs and batch-normalisation statistics over
        the ranks, checks after each epoch that all hold the same weights, and writes the run directory.

        own: callbacks that decide (EarlyStopping) belong to every rank; those that write, to rank 0 only.
        samples: training samples of this rank, if they did not come from ``shard``.
        batch_size: the global batch size, which a scaling study compares.
        """
        from hpcnn.train.keras_fit import recorder

        self._state_work(samples, batch_size)
        return [recorder(self._strategy, self._fits, self._samples), *own]

    def epoch(self, samples: int | None = None, steps: int | None = None, batch_size: int | None = None) -> Epoch:
        """Return one epoch of a training loop of your own: ``with run.epoch(samples=n) as epoch: ...``.

        It has a clock, and a line in the record: ``epoch.log(loss=..., val_accuracy=...)`` says what stands there. At
        its end the ranks check that they hold the same weights. All ranks must enter and leave it together.

        samples, steps: that this rank trains on in the epoch. batch_size: the global batch size.
        """
        from hpcnn.train.own_loop import Epoch

        self._state_work(samples, batch_size)
        return Epoch(self._strategy, self._fits, self._models, self._samples, steps)

    def broadcast(self, *things: Any) -> None:
        """Give every rank rank 0's values of models, optimizers and variables, before a loop of your own.

        Raises UsageError for anything else, and for a model that is not built.
        """
        from hpcnn.train.tensors import plain

        variables = [variable for thing in things for variable in self._variables_of(thing)]
        self._meet("broadcasts", variables=[list(variable.shape) for variable in variables])
        self._strategy.broadcast([plain(variable) for variable in variables])

    def check(self, *things: Any) -> None:
        """Raise RunError, naming the ranks, where models, optimizers or variables differ from rank 0's."""
        from hpcnn.train.agreement import checksum

        self._meet("checks", weights=checksum(v for thing in things for v in self._variables_of(thing)))

    def mean(self, value: Any) -> Any:
        """Return the mean over all ranks of a number, of an array, or of each value of a dictionary."""
        if isinstance(value, Mapping):
            return {name: self.mean(value[name]) for name in sorted(value)}
        own = np.asarray(value)
        self._meet("averages", shape=own.shape)
        mean = self._strategy.reduce_metrics(own.ravel()).reshape(own.shape) / self.size
        return float(mean) if mean.ndim == 0 else mean.astype(own.dtype if own.dtype.kind == "f" else np.float64)

    def gather(self, value: Any) -> Array:
        """Return every rank's value of a number or an array, by rank: shape (size, ...), the same on every rank.

        Raises UsageError where the ranks' arrays have different shapes.
        """
        own = np.asarray(value)
        self._meet("gathers", shape=own.shape)
        return np.stack(self._strategy.share(self._strategy.collect(own)))

    def _meet(self, what: str, **facts: Any) -> None:
        from hpcnn.train.agreement import meet

        self._meetings += 1
        meet(self._strategy, f"{what} (its meeting {self._meetings})", **facts)

    def _variables_of(self, thing: Any) -> list[Any]:
        import keras
        import tensorflow as tf

        if isinstance(thing, (keras.Variable, tf.Variable)):
            return [thing]
        if isinstance(thing, keras.optimizers.Optimizer):
            return list(thing.variables)
        if isinstance(thing, keras.Model):
            if not thing.built:
                raise UsageError(f"model {thing.name!r} has no weights yet: build it, or call it once, before")
            if all(thing is not model for model in self._models):
                self._models.append(thing)
            return [*thing.weights, *_state_of(thing)]
        raise UsageError(f"a {type(thing).__name__} is neither a model, nor an optimizer, nor a variable")

    def _state_work(self, samples: int | None, batch_size: int | None) -> None:
        """Note what a training works on: the scaling table compares it."""
        for name, value in (("samples", samples), ("batch_size", batch_size)):
            if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
                raise bad_value(name, value, "a whole number of at least 1")
        self._samples = samples or self._samples
        stated = self._fits.batch_size
        if stated is not None and batch_size is not None and batch_size != stated:
            raise bad_value("batch_size", batch_size, f"{stated}, the global batch size that was stated before")
        self._fits.batch_size = batch_size or stated

    def _close(self) -> None:
        """Close the record when the script ends; how it ended is the launcher's to say (`hpcnn record finish`)."""
        fits = self._fits
        _open_runs.clear()
        if not fits.stopped:
            self._compare_at_the_end()
        if fits.context is None:
            return
        with self._owner:
            self._close_record(fits, fits.context)

    def _close_record(self, fits: Fits, context: Context) -> None:
        if fits.stopped:
            reason = f"{fits.stopped}; its state is kept: hpcnn resume goes on there"
            finish_stopped(context, reason, epochs=fits.epochs)
        else:
            finish_completed(context, epochs=fits.epochs, test=fits.validation)

    def _compare_at_the_end(self) -> None:
        """Compare what the ranks' distributed optimizers have trained; end the job where it differs."""
        if self.size == 1 or not self._fits.optimizers:
            return
        from hpcnn.train.agreement import meet
        from hpcnn.train.own_loop import weights_of

        try:
            self._strategy.join()  # a rank that still trains goes on without this one, to where it is named
            meet(self._strategy, "has come to its end", weights=weights_of(self._fits))
        except HpcnnError as error:
            end_failed(RunDir(self.run_dir) if self.run_dir else None, self._strategy, error)

    def _end_job(self, kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        """Be Python's last exception handler: say what happened, then end the job for all ranks."""
        atexit.unregister(self._close)
        with self._owner:
            end_failed(RunDir(self.run_dir) if self.run_dir else None, self._strategy, error)
        if isinstance(error, HpcnnError):
            print(f"Error: {error}", file=sys.stderr, flush=True)
            if isinstance(error, RefusedRunDir):  # before anything was done; Python's own status would be 1
                exit_without_finalize(error.exit_code)
        else:
            sys.__excepthook__(kind, error, trace)


def _state_of(model: keras.Model) -> list[Any]:
    """Return the variables of a compiled model's optimizer, as far as there are any."""
    optimizer = getattr(model, "optimizer", None)
    return list(optimizer.variables) if optimizer is not None and optimizer.built else []


def _stated(variable: str) -> int | None:
    """Return what the job states of this program, None where it states nothing."""
    return int(os.environ.get(variable) or 0) or None


def _open(run_dir: str | None, strategy: Strategy) -> Context | None:
    """Open the record of a script: anew, or where an earlier attempt of its job stopped."""
    if run_dir is None:
        return None
    return open_context(strategy, run_dir, {}, lambda line: print(line, flush=True), resume=_resumes())


def _resumes() -> bool:
    return os.environ.get("HPCNN_RESUME") == "1"


__all__: Sequence[str] = ("Run", "init")
