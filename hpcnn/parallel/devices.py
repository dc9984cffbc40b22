"""Set up TensorFlow's devices and threads for one process, once, before the first tensor.

Must not import any strategy.
"""

from __future__ import annotations

import os

from hpcnn.parallel.base import TaskEnvironment
from hpcnn.util.tf_import import without_startup_messages


def start_devices() -> None:
    """Create TensorFlow's devices now, which fixes their settings."""
    import tensorflow as tf

    with without_startup_messages():
        tf.config.list_logical_devices()
        tf.zeros([])
    optimize_once()


def optimize_once() -> None:
    """Let TensorFlow go over a traced graph once instead of twice, and without passes that are for GPUs, on CPUs.

    The second time changed nothing and took a third of the time; memory is swapped, and the axes of images are put in
    another order, on GPUs only. For functions that this thread calls. TensorFlow has no public name for these options;
    where another version has other names, it goes over graphs as it does by itself.
    """
    import tensorflow as tf

    if tf.config.list_physical_devices("GPU"):
        return
    try:
        from tensorflow.core.protobuf.rewriter_config_pb2 import RewriterConfig
        from tensorflow.python.eager.context import context

        options = context().function_call_options
        config = type(context().config).FromString(options.config_proto_serialized)
        config.graph_options.rewrite_options.meta_optimizer_iterations = RewriterConfig.ONE
        config.graph_options.rewrite_options.memory_optimization = RewriterConfig.NO_MEM_OPT
        config.graph_options.rewrite_options.layout_optimizer = RewriterConfig.OFF
        options.config_proto_serialized = config
    except (AttributeError, ImportError):
        return


def available_cores() -> int:
    """Return the number of processor cores in this process's affinity mask, not in the machine."""
    return len(os.sched_getaffinity(0))


def set_threads(task: TaskEnvironment) -> None:
    """Set TensorFlow's threads within and between operations: one per core of the task, or a multiple of that.

    The job may set the multiple (``hpcnn tune``). TensorFlow's own default counts the machine's cores: a rank with one
    core would run two operations at once, and a "1-core" base case would use more. With two cores, one inter-op thread
    alone halves the speed (one-convolution network, batch 128: 18,000 instead of 35,000 images/s).
    """
    import tensorflow as tf

    cores = task.cpus_per_task or available_cores()
    tf.config.threading.set_intra_op_parallelism_threads(max(round(cores * task.intra_op_per_core), 1))
    tf.config.threading.set_inter_op_parallelism_threads(max(round(cores * task.inter_op_per_core), 1))


def use_one_gpu(local_rank: int) -> str:
    """Pin this process to the GPU of its local rank, or to the CPU; return the TensorFlow device name.

    A scheduler may show each process its own GPU only; then the process takes that one.
    """
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    if not gpus:
        return "/CPU:0"
    gpu = gpus[local_rank % len(gpus)]
    tf.config.set_visible_devices(gpu, "GPU")
    tf.config.experimental.set_memory_growth(gpu, True)
    return "/GPU:0"


def use_all_gpus(devices: int | None) -> list[str]:
    """Make all GPUs (or the first ``devices``) visible, or ``devices`` logical CPUs on a machine without GPUs.

    Returns the device names. Logical CPU devices share the cores: they serve to test the strategy, not for speed.
    """
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")[:devices]
    if gpus:
        tf.config.set_visible_devices(gpus, "GPU")
        for gpu in gpus:
            tf.config.experimental.set_memory_growth(gpu, True)
        return [f"/GPU:{number}" for number in range(len(gpus))]
    count = devices or 1
    if count > 1:
        cpu = tf.config.list_physical_devices("CPU")[0]
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * count)
    return [f"/CPU:{number}" for number in range(count)]


def threads() -> int:
    """Return the number of threads of one operation in this process."""
    import tensorflow as tf

    return int(tf.config.threading.get_intra_op_parallelism_threads()) or available_cores()


def device_name() -> str:
    """Return the name of the GPU that this process uses, or ``CPU``."""
    import tensorflow as tf

    gpus = tf.config.get_visible_devices("GPU")
    if not gpus:
        return "CPU"
    return str(tf.config.experimental.get_device_details(gpus[0]).get("device_name", "GPU"))
