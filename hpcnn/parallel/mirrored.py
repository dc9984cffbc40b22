"""MirroredStrategy: one process with all GPUs of one node, or with logical CPU devices."""

from __future__ import annotations

import os

from hpcnn.parallel.base import TaskEnvironment, check_world_size
from hpcnn.parallel.devices import set_threads, use_all_gpus
from hpcnn.parallel.launcher import launched_by
from hpcnn.parallel.tf_distribute import TfDistribute


class Mirrored(TfDistribute):
    """One process with all devices of this node."""

    name = "mirrored"

    def __init__(self, task: TaskEnvironment) -> None:
        import tensorflow as tf

        launched = launched_by(os.environ)
        found, rank = (launched.size, launched.rank) if launched else (1, 0)
        check_world_size(1, found, rank, self.name, one_process=True)
        check_world_size(task.world_size, 1, 0, self.name)
        devices = use_all_gpus(task.devices)
        set_threads(task)
        # NCCL has no CPU kernels; on CPU all reductions give identical sums, and this one needs no tuning.
        on_gpu = devices[0].startswith("/GPU")
        reduction = None if on_gpu else tf.distribute.ReductionToOneDevice()
        super().__init__(tf.distribute.MirroredStrategy(devices, cross_device_ops=reduction), devices)
