"""The addresses of TensorFlow's workers, and the variable that names them. Must not import TensorFlow or MPI."""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping, Sequence

from hpcnn.parallel.launcher import launched_by


def free_address(environment: Mapping[str, str]) -> str:
    """Return ``host:port`` with a port that is free on this host now."""
    own = "127.0.0.1" if _one_node(environment) else _own_name(environment)
    with socket.socket() as probe:
        probe.bind(("", 0))
        return f"{environment.get('HPCNN_HOST') or own}:{probe.getsockname()[1]}"


def tf_config(workers: Sequence[str], rank: int) -> str:
    """Return the value of TF_CONFIG of one worker. workers: ``host:port`` of every rank."""
    return json.dumps({"cluster": {"worker": list(workers)}, "task": {"type": "worker", "index": rank}})


def _own_name(environment: Mapping[str, str]) -> str:
    """Return the name by which other workers reach this host, on the fast network if the site has a suffix for it."""
    suffix = environment.get("HPCNN_HOST_SUFFIX")
    return f"{socket.gethostname().split('.')[0]}{suffix}" if suffix else socket.gethostname()


def _one_node(environment: Mapping[str, str]) -> bool:
    """Return whether all workers run on one node: by Open MPI's mpirun, by Hydra, or by srun."""
    launched = launched_by(environment)
    names = ("OMPI_COMM_WORLD_LOCAL_SIZE", "MPI_LOCALNRANKS", "SLURM_TASKS_PER_NODE")
    local_size = next((environment[name] for name in names if environment.get(name)), None)
    return launched is None or local_size == str(launched.size)
