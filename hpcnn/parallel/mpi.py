"""mpi4py for what is not a gradient: small facts of every rank, and barriers.

Only ranks that a launcher started under MPI may call this; importing mpi4py initialises MPI.
"""

from __future__ import annotations

from typing import Any

from hpcnn.errors import RunError


def world() -> Any:
    """Return MPI.COMM_WORLD. Raises RunError where mpi4py or an MPI library is missing."""
    try:
        from mpi4py import MPI
    except (ImportError, RuntimeError) as error:
        raise RunError(
            f"mpi4py cannot load an MPI library ({error}). `hpcnn doctor` says what this machine has."
        ) from error
    return MPI.COMM_WORLD


def library() -> str:
    """Return the first line of the MPI library's own version text."""
    from mpi4py import MPI

    return str(MPI.Get_library_version()).strip().split("\n")[0].rstrip("\x00").split(", package")[0]
