"""Horovod's Keras interface for Keras 3: ``import hpcnn.horovod as hvd`` in a script that was written for Horovod.

The names, their arguments and what they mean are those of ``horovod.tensorflow.keras`` and ``horovod.keras``, whose own
layer reduces nothing on Keras 3 (docs/decisions/002-no-horovod-keras.md). What cannot be had is refused by name. The
tensor operations are Horovod's. This module needs Horovod and TensorFlow: import it in a job, not on a login node.
"""

from __future__ import annotations

from typing import NoReturn

from hpcnn.horovod import callbacks
from hpcnn.horovod.operations import (
    allgather,
    allreduce,
    broadcast,
    broadcast_global_variables,
    broadcast_variables,
    reducescatter,
)
from hpcnn.horovod.optimizer import DistributedOptimizer, load_model
from hpcnn.horovod.ranks import (
    Adasum,
    Average,
    Compression,
    Sum,
    ccl_built,
    cross_rank,
    cross_size,
    cuda_built,
    ddl_built,
    global_process_set,
    gloo_built,
    gloo_enabled,
    init,
    is_initialized,
    local_rank,
    local_size,
    mpi_built,
    mpi_enabled,
    mpi_threads_supported,
    nccl_built,
    rank,
    rocm_built,
    shutdown,
    size,
    start_timeline,
    stop_timeline,
)
from hpcnn.horovod.refused import refuse

__all__ = [
    "Adasum",
    "Average",
    "Compression",
    "DistributedOptimizer",
    "Sum",
    "allgather",
    "allreduce",
    "broadcast",
    "broadcast_global_variables",
    "broadcast_variables",
    "callbacks",
    "ccl_built",
    "cross_rank",
    "cross_size",
    "cuda_built",
    "ddl_built",
    "global_process_set",
    "gloo_built",
    "gloo_enabled",
    "init",
    "is_initialized",
    "load_model",
    "local_rank",
    "local_size",
    "mpi_built",
    "mpi_enabled",
    "mpi_threads_supported",
    "nccl_built",
    "rank",
    "reducescatter",
    "rocm_built",
    "shutdown",
    "size",
    "start_timeline",
    "stop_timeline",
]


def __getattr__(name: str) -> NoReturn:
    refuse(__name__, name)
