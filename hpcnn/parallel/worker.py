"""Starts a rank of a user's ``tf.distribute`` script: with a ``TF_CONFIG`` that names all workers and itself.

TensorFlow's own tutorial ("Multi-worker training with Keras", section "TF_CONFIG") has a person write that variable on
each machine. Here each rank takes a free port of its host, writes its address into a folder of the run directory, and
waits for those of the others. Files, because the program may meet its ranks by MPI itself, which can be done only once.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NoReturn

from hpcnn.parallel.addresses import free_address, tf_config
from hpcnn.parallel.launcher import forget_the_shells_task, launched_by
from hpcnn.util.errors import RunError
from hpcnn.util.files import make_folder, write_text
from hpcnn.util.text import first_few

_MOST_SECONDS, _FIRST_PAUSE, _LONGEST_PAUSE = 300.0, 0.02, 1.0


def run_as_worker(program: Sequence[str], environment: Mapping[str, str]) -> NoReturn:
    """Replace this process by the program, with TF_CONFIG and, of several ranks on a node, with one GPU for each.

    Raises RunError where the ranks do not find each other.
    """
    environment = dict(environment)
    forget_the_shells_task(environment)
    launched = launched_by(environment)
    rank, size = (launched.rank, launched.size) if launched else (0, 1)
    asked = int(environment.get("HPCNN_WORLD_SIZE") or size)
    if asked != size:
        raise RunError(f"{asked} ranks were asked for, and the launcher started {size} (this is rank {rank})")
    own = {**environment}
    if environment.get("HPCNN_RENDEZVOUS"):
        workers = meet(Path(environment["HPCNN_RENDEZVOUS"]), rank, size, free_address(environment))
        own["TF_CONFIG"] = tf_config(workers, rank)
    own.update(_one_gpu(environment, launched.local_rank if launched else 0))
    try:
        os.execvpe(program[0], list(program), own)
    except OSError as error:
        raise RunError(f"{program[0]}: cannot be started ({error.strerror})") from error


def meet(folder: Path, rank: int, size: int, address: str, seconds: float = _MOST_SECONDS) -> list[str]:
    """Write this rank's address into the folder, and return those of all ranks, by rank, once they are there.

    Rank 0 reads them and writes one list, which the others wait for: each looks for one file, not for those of all.
    Raises RunError, naming the ranks that are missing, after so many seconds.
    """
    make_folder(folder)
    write_text(folder / f"rank{rank}", address, folders=False)
    everybody = folder / "all"
    end, pause = time.monotonic() + seconds, _FIRST_PAUSE
    while _missing(folder, size) if rank == 0 else not everybody.exists():
        if time.monotonic() > end:
            missing = _missing(folder, size) or [0]
            raise RunError(
                f"rank {rank} waited {seconds:g} s for rank {first_few(missing)} in {folder}: they have not started"
            )
        time.sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE)
    if rank == 0:
        files = [folder / f"rank{number}" for number in range(size)]
        write_text(everybody, "\n".join(file.read_text(encoding="utf-8") for file in files), folders=False)
        for file in files:
            file.unlink()
    return everybody.read_text(encoding="utf-8").split("\n")


def _missing(folder: Path, size: int) -> list[int]:
    names = {file.name for file in folder.iterdir()}
    return [number for number in range(size) if f"rank{number}" not in names]


def _one_gpu(environment: Mapping[str, str], local_rank: int) -> dict[str, str]:
    """Return CUDA_VISIBLE_DEVICES for one of several ranks on a node with GPUs; nothing for the only rank there."""
    gpus, tasks = environment.get("HPCNN_GPUS_PER_NODE"), environment.get("HPCNN_TASKS_PER_NODE")
    if not gpus or tasks in (None, "1"):
        return {}
    visible = environment.get("CUDA_VISIBLE_DEVICES") or ",".join(map(str, range(int(gpus))))
    numbers = visible.split(",")
    return {"CUDA_VISIBLE_DEVICES": numbers[local_rank % len(numbers)]}
