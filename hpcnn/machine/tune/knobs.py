"""The settings to tune, and the values to try, by the resources of a job. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from hpcnn.interconnect.allreduce import CYCLE_SECONDS, FUSION_BYTES
from hpcnn.parallel.base import FACTORS, GROUPED, INTER_OP, INTRA_OP

STRATEGIES = ("serial", "horovod")


@dataclass(frozen=True)
class Knob:
    """One environment variable: its meaning in a few words, its default, and the values to try."""

    variable: str
    words: str
    default: str
    values: tuple[str, ...]

    def candidates(self, settings: Mapping[str, str]) -> tuple[str, ...]:
        """Return the values that differ from the one in ``settings``."""
        now = settings.get(self.variable, self.default)
        return tuple(value for value in self.values if not same(value, now))


def same(one: str, other: str) -> bool:
    """Return whether two values are the same number (``0.10`` and ``0.1``), or the same text."""
    try:
        return float(one) == float(other)
    except ValueError:
        return one == other


def knobs(strategy: str, ntasks: int, cpus_per_task: int) -> list[Knob]:
    """Return the knobs for a job, the most effective first.

    The order and the values are those that changed the speed of the lectures' networks by more than a few per cent
    (two ranks on two cores: twice the images/s from the first three together). One rank has no communication to tune.
    """
    return [*(_horovod() if strategy == "horovod" and ntasks > 1 else []), *_threads(cpus_per_task)]


def _horovod() -> list[Knob]:
    """Return the knobs of Horovod and Open MPI.

    Sources: Open MPI's FAQ ("running jobs", degraded performance mode); Horovod's docs/autotune.rst and
    tensor-fusion.rst.
    """
    fusion = str(FUSION_BYTES)
    return [
        Knob("OMPI_MCA_mpi_yield_when_idle", "waiting ranks give up their core", "0", ("0", "1")),
        Knob(
            "HOROVOD_CYCLE_TIME",
            "ms between Horovod's looks for gradients",
            f"{1000 * CYCLE_SECONDS:g}",
            ("0.1", "1", "5"),
        ),
        Knob(FACTORS, "wide dense layers by factors", "1", ("0", "1")),
        Knob(GROUPED, "all gradients in one operation", "auto", ("auto", "0", "1")),
        Knob("HOROVOD_FUSION_THRESHOLD", "bytes that Horovod sends at once", fusion, ("0", str(2**20), fusion)),
    ]


def _threads(cores: int) -> list[Knob]:
    """Return the knobs of TensorFlow's threads."""
    values = ("1", "2") if cores == 1 else ("0.5", "1", "2")
    return [
        Knob(INTER_OP, "threads between operations, for each core", "1", values),
        Knob(INTRA_OP, "threads within an operation, for each core", "1", values),
    ]
