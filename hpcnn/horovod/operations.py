"""Horovod's operations on single values, with the arguments that its Keras interface gives them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NoReturn

import tensorflow as tf

from hpcnn.horovod.ranks import Average, Compression, horovod
from hpcnn.horovod.refused import refuse_argument
from hpcnn.train.tensors import plain
from hpcnn.util.types import Tensor


def allreduce(
    value: Any,
    name: str | None = None,
    average: bool | None = None,
    prescale_factor: float = 1.0,
    postscale_factor: float = 1.0,
    op: Any = None,
    compression: Any = Compression.none,
) -> Tensor:
    """Return the mean of the ranks' values, all of one shape; ``op=hvd.Sum`` or ``average=False``: their sum."""
    return horovod.allreduce(
        tf.convert_to_tensor(value),
        name=name,
        average=average,
        prescale_factor=prescale_factor,
        postscale_factor=postscale_factor,
        op=op,
        compression=compression,
    )


def allgather(value: Any, name: str | None = None) -> Tensor:
    """Return the rows of all ranks, in the order of the ranks. They may differ in their number of rows."""
    return horovod.allgather(tf.convert_to_tensor(value), name=name)


def broadcast(value: Any, root_rank: int, name: str | None = None) -> Tensor:
    """Return the value of rank ``root_rank``."""
    return horovod.broadcast(tf.convert_to_tensor(value), root_rank, name=name)


def reducescatter(value: Any, name: str | None = None, op: Any = Average) -> Tensor:
    """Return this rank's part of the rows of the ranks' mean (or ``op=hvd.Sum``)."""
    return horovod.reducescatter(tf.convert_to_tensor(value), name=name, op=op)


def broadcast_variables(variables: Sequence[Any], root_rank: int) -> None:
    """Give variables of Keras or TensorFlow the values that they have on rank ``root_rank``."""
    horovod.broadcast_variables([plain(variable) for variable in variables], root_rank=root_rank)


def broadcast_global_variables(root_rank: int) -> NoReturn:
    """Raise UsageError: TensorFlow 2 keeps no list of all variables, and Horovod's own function refuses it too."""
    refuse_argument(
        "hvd.broadcast_global_variables",
        f"root_rank={root_rank}",
        "TensorFlow 2 keeps no list of all variables; give BroadcastGlobalVariablesCallback to fit(), or call "
        "hvd.broadcast_variables(model.weights, root_rank)",
    )
