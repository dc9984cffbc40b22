"""Who this rank is: ``init`` meets the other ranks as ``hpcnn.init`` does; the facts about them are Horovod's own."""

from __future__ import annotations

from typing import Any

from hpcnn.horovod.refused import all_ranks_only
from hpcnn.parallel.devices import device_name
from hpcnn.train.script import Run
from hpcnn.train.script import init as open_run
from hpcnn.util.errors import UsageError
from hpcnn.util.tf_import import import_tensorflow

try:
    import_tensorflow()
    import horovod.tensorflow as horovod
except ImportError as error:
    raise ImportError(
        f"hpcnn.horovod needs TensorFlow and Horovod ({error}). Build Horovod with containers/build-horovod.sh; "
        "`hpcnn doctor` says what is missing."
    ) from error

__all__ = [
    "Adasum",
    "Average",
    "Compression",
    "Sum",
    "ccl_built",
    "cross_rank",
    "cross_size",
    "cuda_built",
    "current_run",
    "ddl_built",
    "global_process_set",
    "gloo_built",
    "gloo_enabled",
    "horovod",
    "init",
    "is_initialized",
    "local_rank",
    "local_size",
    "mpi_built",
    "mpi_enabled",
    "mpi_threads_supported",
    "nccl_built",
    "rank",
    "rocm_built",
    "shutdown",
    "size",
    "start_timeline",
    "stop_timeline",
]

Adasum, Average, Compression, Sum = horovod.Adasum, horovod.Average, horovod.Compression, horovod.Sum
global_process_set = horovod.global_process_set
is_initialized = horovod.is_initialized
size, rank = horovod.size, horovod.rank
local_size, local_rank = horovod.local_size, horovod.local_rank
cross_size, cross_rank = horovod.cross_size, horovod.cross_rank
mpi_threads_supported, mpi_enabled, mpi_built = horovod.mpi_threads_supported, horovod.mpi_enabled, horovod.mpi_built
gloo_enabled, gloo_built = horovod.gloo_enabled, horovod.gloo_built
nccl_built, ddl_built, ccl_built = horovod.nccl_built, horovod.ddl_built, horovod.ccl_built
cuda_built, rocm_built = horovod.cuda_built, horovod.rocm_built
start_timeline, stop_timeline = horovod.start_timeline, horovod.stop_timeline

_run: Run | None = None


def init(comm: Any = None, process_sets: Any = None) -> None:
    """Meet the other ranks, as ``hpcnn.init("horovod")`` does. A second call does nothing.

    Raises RunError when the world size is not what the job asked for. From here on, an uncaught exception on any rank
    ends the whole job; what ``BroadcastGlobalVariablesCallback`` sees of the training goes into the run directory.
    """
    global _run
    for argument, value in (("comm", comm), ("process_sets", process_sets)):
        if value:
            all_ranks_only("hvd.init", argument)
    if _run is None:
        _let_gpus_grow()
        _run = open_run("horovod")
        _note_that_ranks_met(_run)
    elif not is_initialized():
        horovod.init()


def shutdown() -> None:
    """Leave the other ranks; ``init`` meets them again."""
    horovod.shutdown()


def current_run() -> Run:
    """Return this rank's run. Raises UsageError before ``init``."""
    if _run is None:
        raise UsageError("hpcnn.horovod: call hvd.init() first")
    return _run


def _let_gpus_grow() -> None:
    """Let the memory of every GPU grow.

    Scripts for Horovod say so themselves after ``init``, of all GPUs of the node. By then TensorFlow has started, and
    takes the settings that it has already, but no new ones.
    """
    import tensorflow as tf

    for gpu in tf.config.list_physical_devices("GPU"):
        tf.config.experimental.set_memory_growth(gpu, True)


def _note_that_ranks_met(run: Run) -> None:
    """Write who takes part, which a script without ``BroadcastGlobalVariablesCallback`` would leave out."""
    if run._fits.context:
        run._fits.context.record.provenance(device_name())
