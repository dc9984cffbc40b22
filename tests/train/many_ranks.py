"""A program of many ranks on one machine, as if they were on several nodes of ``PER_NODE`` ranks each.

``python -m tests.train.many_ranks FOLDER WHAT``: ``record`` writes the record of a training without a network, in which
the ranks meet as those of a user's script do; ``dies`` is the same, and one rank is killed in the third epoch;
``differs``: one rank does another number of batches; ``fails``: all ranks raise an error at once; ``train`` trains a
tiny network. All but the last do without TensorFlow.
"""

from __future__ import annotations

import os
import signal
import sys
from dataclasses import replace

from hpcnn.parallel.mpi import world
from hpcnn.parallel.processes import ManyProcesses
from hpcnn.parallel.serial import SingleReplica
from hpcnn.rundir.layout import RunDir
from hpcnn.train import record
from hpcnn.train.agreement import meet
from hpcnn.train.failure import end_failed
from hpcnn.train.record import Record
from tests.train.cases import MOMENTUM

PER_NODE, EPOCHS, ODD_ONE = 8, 3, 37


class Ranks(ManyProcesses, SingleReplica):
    """Ranks that MPI connects, without devices."""

    name = "horovod"

    def __init__(self) -> None:
        comm = world()
        self.connect(comm, comm.Split(comm.Get_rank() // PER_NODE, comm.Get_rank()))
        self.size = self.processes


def main(folder: str, what: str) -> None:
    if what == "train":
        train(folder)
        return
    strategy = Ranks()
    try:
        keep_record(folder, strategy, what)
    except BaseException as error:
        end_failed(RunDir(folder), strategy, error)
        raise


def keep_record(folder: str, strategy: Ranks, what: str) -> None:
    kept = Record(folder, strategy)
    kept.spec({"name": "x", "resources": {"ntasks": strategy.processes}, "train": {}})
    kept.provenance("CPU", train={})
    odd = strategy.rank == ODD_ONE
    for epoch in range(1, EPOCHS + 1):
        meet(strategy, f"begins epoch {epoch}")
        if epoch == EPOCHS and what == "fails":
            raise RuntimeError("all at once")
        if epoch == EPOCHS and what == "dies" and odd:
            os.kill(os.getpid(), signal.SIGKILL)
        meet(strategy, f"has trained epoch {epoch}", batches=17 if odd and what == "differs" else 16)
        kept.epoch({"epoch": epoch, "seconds_total": 1.0, "samples": 1, "steps": 16})
    strategy.barrier()
    kept.finish("completed", epochs=EPOCHS)


def train(folder: str) -> None:
    from hpcnn.parallel import open_strategy
    from hpcnn.parallel.base import TaskEnvironment
    from hpcnn.train.session import train_under

    record.FEW_RANKS = PER_NODE  # so that 16 ranks are many
    strategy = open_strategy("horovod", TaskEnvironment(cpus_per_task=1))
    train_under(strategy, replace(MOMENTUM, strategy="horovod", checkpoint=False), folder)


if __name__ == "__main__":
    main(*sys.argv[1:])
