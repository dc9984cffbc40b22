"""Time allreduces by mpi4py and by Horovod: the program of every rank of ``hpcnn bench allreduce``.

``python -m hpcnn.machine.bench.ranks``, started by the job script. Rank 0 prints a line per message and writes
``allreduce.json`` into the run directory. Horovod starts last: its thread would share a core with MPI's.
"""

from __future__ import annotations

import argparse
import os
import socket
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from hpcnn.machine.bench.clock import slowest_seconds
from hpcnn.machine.bench.messages import Message, model_messages, sweep_messages
from hpcnn.machine.bench.result import Timing, line, result
from hpcnn.machine.bench.sizes import sweep
from hpcnn.parallel.base import Strategy, TaskEnvironment, check_world_size
from hpcnn.parallel.launcher import launched_by
from hpcnn.parallel.mpi import library, world
from hpcnn.rundir.layout import RunDir
from hpcnn.train.failure import end_failed
from hpcnn.util.errors import RunError
from hpcnn.util.files import write_json
from hpcnn.util.types import Array, Tensor

if TYPE_CHECKING:
    from hpcnn.parallel.mpi import Communicator

Operations: TypeAlias = Iterator[tuple[Message, Callable[[int], None]]]


def main(words: Sequence[str] | None = None) -> None:
    """Measure as one rank. An exception ends all ranks."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True)
    parser.add_argument("--sizes", required=True)
    parser.add_argument("--repeats", type=int, required=True)
    parser.add_argument("--backend", action="append", required=True)
    asked = parser.parse_args(words)
    run = RunDir(os.environ["HPCNN_RUN_DIR"])
    try:
        measure(run, asked.model, sweep(asked.sizes), asked.repeats, asked.backend)
    except BaseException as error:
        end_failed(run, None, error)
        raise


def measure(run: RunDir, model: str, sizes: list[int], repeats: int, backends: Sequence[str]) -> None:
    """Measure every message by every backend in turn; rank 0 writes the result."""
    launched = launched_by(os.environ)
    # before MPI starts: some MPI libraries forbid starting processes afterwards
    messages = [*sweep_messages(sizes), *model_messages(model)] if launched is None or launched.rank == 0 else []
    comm, task = world(), TaskEnvironment.read(os.environ)
    check_world_size(task.world_size, comm.Get_size(), comm.Get_rank(), "mpi")
    chief = comm.Get_rank() == 0
    messages = comm.bcast(messages)
    hosts = comm.gather(socket.gethostname())
    measured = []
    for backend in backends:
        for message, operation in OPERATIONS[backend](messages, comm, task):
            found = Timing(backend, message, slowest_seconds(operation, comm, repeats))
            measured.append(found)
            if chief:
                print(line(found), flush=True)
    if hosts is not None:  # rank 0
        write_json(run.allreduce, result(measured, model, hosts, library()), folders=False)


def by_mpi(messages: Sequence[Message], comm: Communicator, task: TaskEnvironment) -> Operations:
    """Yield each message with its allreduce in host memory by mpi4py; a model's tensors as one message."""
    for message in messages:
        own = np.ones(sum(message.numbers), np.float32)
        summed = np.empty_like(own)

        def operation(count: int, own: Array = own, summed: Array = summed) -> None:
            for _ in range(count):
                comm.Allreduce(own, summed)

        operation(1)
        _check_sum(summed, comm.Get_size())
        yield message, operation


def by_horovod(messages: Sequence[Message], comm: Communicator, task: TaskEnvironment) -> Operations:
    """Yield each message with its allreduce as in a training step: one operation per tensor, inside the graph."""
    from hpcnn.parallel import open_strategy

    strategy = open_strategy("horovod", task)
    for number, message in enumerate(messages):
        yield message, _steps(strategy, message, f"message.{number}")


def _steps(strategy: Strategy, message: Message, name: str) -> Callable[[int], None]:
    """Return a function that sums a message's tensors a given number of times by the strategy."""
    import tensorflow as tf

    @tf.function(autograph=False)  # type: ignore[untyped-decorator]
    def steps(count: Tensor, *tensors: Tensor) -> Tensor:
        def step(number: Tensor, *summed: Tensor) -> tuple[Tensor, ...]:
            return number + 1, *strategy.reduce(summed, name)

        _, *summed = tf.while_loop(lambda number, *_: number < count, step, (tf.constant(0), *tensors))
        return tf.concat([tensor[:1] for tensor in summed], 0)  # TensorFlow prunes operations without a consumer

    with tf.device(strategy.devices[0]):
        ones = [tf.ones([numbers]) for numbers in message.numbers]
        zeros = [tf.zeros([numbers]) for numbers in message.numbers]  # zeros stay zero in every sum
    _check_sum(steps(tf.constant(1), *ones).numpy(), strategy.size)
    return lambda count: steps(tf.constant(count), *zeros).numpy()


def _check_sum(found: Array, ranks: int) -> None:
    """Raise RunError unless ones were summed over all ranks: the benchmark would time something else."""
    if not (found == ranks).all():
        raise RunError(f"an allreduce of ones over {ranks} ranks gave {found[found != ranks][0]}: it does not reduce")


OPERATIONS = {"mpi": by_mpi, "horovod": by_horovod}

if __name__ == "__main__":
    main()
