"""How ranks share the work: one file a strategy, all behind the small protocol of ``base.py``.

Nothing outside this package imports Horovod, mpi4py or tf.distribute, and nothing in it knows of models, data sets,
run directories or commands.
"""

from __future__ import annotations

from hpcnn.parallel.base import Strategy, TaskEnvironment
from hpcnn.parallel.devices import start_devices
from hpcnn.specs.train import STRATEGIES
from hpcnn.util.errors import RunError, unknown_value
from hpcnn.util.tf_import import import_tensorflow


def open_strategy(name: str, task: TaskEnvironment) -> Strategy:
    """Start the strategy ``name`` in this process: set up devices and threads, and meet the other ranks.

    Must come before TensorFlow has created any tensor. Raises RunError when the ranks that were asked for
    (``task.world_size``) are not the ranks that are there, or TensorFlow sees none of the GPUs that were asked for.
    """
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
