"""Measure the ceilings of a machine by TensorFlow: the program of ``hpcnn bench machine``.

``python -m hpcnn.machine.bench.machine --threads 1 --threads 8``, started by the job script, writes ``machine.json``
into the run directory. Two ceilings make a roofline (Williams, Waterman and Patterson, CACM 52(4), 65, 2009):
operations per second of a matrix product, by precision, and bytes per second between processor and memory. TensorFlow's
threads are set once per process, so each number of threads has a process of its own.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import socket
import time
from collections.abc import Callable, Sequence

from hpcnn.parallel.base import TaskEnvironment
from hpcnn.rundir.layout import SCHEMA_VERSION, RunDir
from hpcnn.train.failure import end_failed
from hpcnn.util.files import write_json
from hpcnn.util.host import cpu_model
from hpcnn.util.types import Json
from hpcnn.version import __version__

PRECISIONS = ("float32", "bfloat16")
_REPEATS, _SECONDS_OF_REPEATS = 5, 0.3  # at least
# Rows of square matrices, until a product takes too long; the fastest product is the ceiling.
_SIZES = (512, 1024, 2048, 4096, 8192)
_SECONDS_OF_A_PRODUCT = 0.1
# Two arrays of 512 MiB: beyond the caches of most processors, as STREAM asks for (4 times the cache each).
_TRIAD_NUMBERS = 2**27
_NUMBERS_MOVED, _BYTES_OF_A_NUMBER = 3, 4


def main(words: Sequence[str] | None = None) -> None:
    """Measure with each number of threads in turn. An exception closes the record of the run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, action="append")
    asked = parser.parse_args(words)
    run = RunDir(os.environ["HPCNN_RUN_DIR"])
    try:
        write_json(run.machine, measure(asked.threads), folders=False)
    except BaseException as error:
        end_failed(run, None, error)
        raise


def measure(threads: Sequence[int] | None = None) -> dict[str, Json]:
    """Measure, and return the whole record. ``threads``: numbers of threads; by default 1 and all cores of the task."""
    from hpcnn.parallel.devices import available_cores

    cores = TaskEnvironment.read(os.environ).cpus_per_task or available_cores()
    ceilings = []
    with multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1) as pool:
        for found in pool.imap(ceiling, sorted(set(threads or (1, cores)))):
            ceilings.append(found)
            print(line(found), flush=True)
            if found["device"] != "CPU":
                break  # on a GPU the threads of the processor change nothing
    return {
        "schema": SCHEMA_VERSION,
        "hpcnn": __version__,
        "host": socket.gethostname(),
        "cpu_model": cpu_model(),
        "cores": cores,
        "ceilings": ceilings,
    }


def ceiling(threads: int) -> dict[str, Json]:
    """Measure one process with this number of threads, or one GPU if there is one: the best of the repeats."""
    from hpcnn.parallel.devices import device_name, set_threads, use_one_gpu
    from hpcnn.util.tf_import import import_tensorflow

    import_tensorflow()
    device = use_one_gpu(0)
    set_threads(TaskEnvironment(cpus_per_task=threads))
    import tensorflow as tf

    with tf.device(device):
        rates = {f"{name}_flops_per_second": _product(name) for name in PRECISIONS}
        return {"device": device_name(), "threads": threads, **rates, "bytes_per_second": _triad()}


def line(found: dict[str, Json]) -> str:
    """Format one measurement as a line for the log."""
    rates = ", ".join(f"{name} {found[f'{name}_flops_per_second'] / 1e9:.4g} GFLOP/s" for name in PRECISIONS)
    return f"{found['device']}, {found['threads']} threads: {rates}, memory {found['bytes_per_second'] / 1e9:.4g} GB/s"


def _product(precision: str) -> float:
    """Return operations per second of the fastest matrix product, 2 n^3 operations for n rows."""
    import tensorflow as tf

    best = 0.0
    for size in _SIZES:
        one, other = (tf.ones([size, size], precision) for _ in range(2))
        seconds = _fastest(lambda one=one, other=other: tf.linalg.matmul(one, other)[0, 0].numpy())  # type: ignore[misc]
        best = max(best, 2 * size**3 / seconds)
        if seconds > _SECONDS_OF_A_PRODUCT / 8:  # the next one takes eight times as long
            break
    return best


def _triad() -> float:
    """Return bytes per second of a = a - s b on arrays in memory, a step of descent: 2 numbers read, 1 written.

    STREAM's triad (McCalpin, IEEE TCCA Newsletter, 1995) in place: a is read before it is written, so that no write
    fetches memory that is not counted.
    """
    import tensorflow as tf

    a, b = tf.Variable(tf.zeros([_TRIAD_NUMBERS])), tf.ones([_TRIAD_NUMBERS])

    def update() -> None:
        tf.raw_ops.ResourceApplyGradientDescent(var=a.handle, alpha=0.5, delta=b)
        a[0].numpy()

    return _NUMBERS_MOVED * _BYTES_OF_A_NUMBER * _TRIAD_NUMBERS / _fastest(update)


def _fastest(operation: Callable[[], object]) -> float:
    """Return the seconds of the fastest repeat of an operation, after one to warm up."""
    operation()
    seconds: list[float] = []
    while len(seconds) < _REPEATS or sum(seconds) < _SECONDS_OF_REPEATS:
        begin = time.perf_counter()
        operation()
        seconds.append(time.perf_counter() - begin)
    return min(seconds)


if __name__ == "__main__":
    main()
