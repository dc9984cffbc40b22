"""MultiWorkerMirroredStrategy: one process per node (or GPU), gradients summed by TensorFlow's own collectives.

TensorFlow reads every worker's address from TF_CONFIG. The workers exchange addresses through MPI: each takes a free
port of its own host, so that two jobs on one node never connect to each other.
"""

from __future__ import annotations

import os

from hpcnn.parallel.addresses import free_address, tf_config
from hpcnn.parallel.base import TaskEnvironment, check_world_size
from hpcnn.parallel.devices import set_threads, use_one_gpu
from hpcnn.parallel.launcher import launched_by
from hpcnn.parallel.mpi import library, world
from hpcnn.parallel.processes import ManyProcesses
from hpcnn.parallel.tf_distribute import TfDistribute


class MultiWorker(ManyProcesses, TfDistribute):
    """Workers started by mpirun or srun, one replica each."""

    name = "multiworker"

    def __init__(self, task: TaskEnvironment) -> None:
        import tensorflow as tf

        launched = launched_by(os.environ)
        self.connect(world())
        self.mpi_version = library()
        self.local_rank = launched.local_rank if launched else 0
        check_world_size(task.world_size, self.processes, self.rank, self.name)
        check_world_size(launched.size if launched else None, self.processes, self.rank, self.name)
        device = use_one_gpu(self.local_rank)
        set_threads(task)
        workers = self.share(self.collect(free_address(os.environ)))  # TensorFlow wants every worker to know all
        os.environ["TF_CONFIG"] = tf_config(workers, self.rank)
        super().__init__(tf.distribute.MultiWorkerMirroredStrategy(), [device])
