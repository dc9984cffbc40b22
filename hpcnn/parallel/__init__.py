"""Data-parallel strategies: one file each, all behind the protocol in ``base.py``.

No other room imports mpi4py or tf.distribute, nor, but for ``horovod/``, Horovod. Must not import models, data sets,
run directories or commands.
"""

from __future__ import annotations

import os

from hpcnn.parallel.base import Strategy, TaskEnvironment
from hpcnn.parallel.devices import start_devices
from hpcnn.parallel.launcher import forget_the_shells_task
from hpcnn.specs.train import STRATEGIES
from hpcnn.util.errors import RunError, unknown_value
from hpcnn.util.tf_import import import_tensorflow


def open_strategy(name: str, task: TaskEnvironment) -> Strategy:
    """Start the strategy ``name`` in this process: set up devices and threads, and connect to the other ranks.

    Must run before TensorFlow has created any tensor. Raises RunError if the number of ranks differs from the requested
    one (``task.world_size``), or if TensorFlow sees no GPU although the job requested some.
    """
    forget_the_shells_task(os.environ)
    try:
        import_tensorflow()
    except ImportError as error:
        raise RunError(f"training needs TensorFlow ({error}): pip install 'hpcnn[cpu]' or 'hpcnn[gpu]'") from error
    strategy = _open(name, task)
    start_devices()
    if task.gpus_per_node and not any("GPU" in device for device in strategy.devices):
        raise RunError(
            f"rank {strategy.rank}: the job asked for GPUs ({task.gpus_per_node} a node), and TensorFlow sees none. "
            "`hpcnn doctor` in the same environment says why: no GPU here, a TensorFlow for CPUs, or missing libraries"
        )
    return strategy


def _open(name: str, task: TaskEnvironment) -> Strategy:
    if name == "serial":
        from hpcnn.parallel.serial import Serial

        return Serial(task)
    if name == "mirrored":
        from hpcnn.parallel.mirrored import Mirrored

        return Mirrored(task)
    if name == "multiworker":
        from hpcnn.parallel.multiworker import MultiWorker

        return MultiWorker(task)
    if name == "horovod":
        from hpcnn.parallel.horovod import Horovod

        return Horovod(task)
    raise unknown_value("--strategy", name, STRATEGIES)
