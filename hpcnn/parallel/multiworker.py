"""MultiWorkerMirroredStrategy: one process per node (or GPU), gradients summed by TensorFlow's own collectives.

TensorFlow reads every worker's address from TF_CONFIG. The workers exchange addresses through MPI: each takes a free
port of its own host, so that two jobs on one node never connect to each other.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np

from hpcnn.parallel.addresses import free_address, tf_config
from hpcnn.parallel.base import TaskEnvironment, check_world_size
from hpcnn.parallel.devices import set_threads, use_one_gpu
from hpcnn.parallel.launcher import launched_by
from hpcnn.parallel.mpi import library, world
from hpcnn.parallel.tf_distribute import TfDistribute
from hpcnn.util.types import Json, Vector


class MultiWorker(TfDistribute):
    """Workers started by mpirun or srun, one replica each."""

    name = "multiworker"

    def __init__(self, task: TaskEnvironment) -> None:
        import tensorflow as tf

        launched = launched_by(os.environ)
        self._comm = world()
        self.mpi_version = library()
        self.rank, self.processes = self._comm.Get_rank(), self._comm.Get_size()
        self.local_rank = launched.local_rank if launched else 0
        check_world_size(task.world_size, self.processes, self.rank, self.name)
        check_world_size(launched.size if launched else None, self.processes, self.rank, self.name)
        device = use_one_gpu(self.local_rank)
        set_threads(task)
        workers = self._comm.allgather(free_address(os.environ))
        os.environ["TF_CONFIG"] = tf_config(workers, self.rank)
        super().__init__(tf.distribute.MultiWorkerMirroredStrategy(), [device])

    def gather(self, values: Sequence[float]) -> Vector:
        """Return one row per worker."""
        return np.asarray(self._comm.allgather(list(values)), dtype=np.float64)

    def gather_facts(self, facts: dict[str, Json]) -> list[dict[str, Json]]:
        """Return every worker's facts, by rank."""
        return list(self._comm.allgather(facts))

    def barrier(self) -> None:
        """Wait for every worker."""
        self._comm.Barrier()
