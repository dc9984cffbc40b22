"""The record of the allreduce benchmark, ``allreduce.json``: every message's time with its interval, the fitted link.

Its top level has ``alpha_seconds`` and ``beta_bytes_per_second``, which ``hpcnn predict --network`` reads: those of MPI
if it was measured, since Horovod's latency is mostly its cycle time.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import NamedTuple, TypedDict

from hpcnn.machine.bench.fit import CONFIDENCE, RingFit, fit_ring
from hpcnn.machine.bench.messages import Message
from hpcnn.machine.bench.sizes import size_text
from hpcnn.rundir.layout import SCHEMA_VERSION
from hpcnn.version import __version__

BACKENDS = ("mpi", "horovod")


class LinkRow(TypedDict):
    """The fitted link of one backend."""

    backend: str
    alpha_seconds: float
    alpha_seconds_low: float
    alpha_seconds_high: float
    beta_bytes_per_second: float
    beta_bytes_per_second_low: float
    beta_bytes_per_second_high: float
    fit_error: float


class TimeRow(TypedDict):
    """The times of one message by one backend; no interval for too few repeats."""

    backend: str
    kind: str
    name: str
    tensors: int
    bytes: int
    repeats: int
    seconds_median: float
    seconds_low: float | None
    seconds_high: float | None
    coverage: float | None
    bytes_per_second: float


class AllreduceRecord(LinkRow):
    """The content of ``allreduce.json``; the link at its top level is the first of ``links``."""

    schema: int
    hpcnn: str
    model: str
    ranks: int
    nodes: int
    hosts: list[str]
    mpi_version: str
    confidence: float
    links: list[LinkRow]
    times: list[TimeRow]


class Timing(NamedTuple):
    """The times of one message by one backend: the seconds of each repeat on its slowest rank."""

    backend: str
    message: Message
    seconds: list[float]


def result(measured: Sequence[Timing], model: str, hosts: Sequence[str], mpi_version: str) -> AllreduceRecord:
    """Return the whole record. ``hosts`` has the host of each rank."""
    ranks, backends = len(hosts), [name for name in BACKENDS if any(m.backend == name for m in measured)]
    links = [_link(name, fit(measured, name, ranks)) for name in backends]
    first = links[0]
    return {
        "schema": SCHEMA_VERSION,
        "hpcnn": __version__,
        "model": model,
        "ranks": ranks,
        "nodes": len(set(hosts)),
        "hosts": list(hosts),
        "mpi_version": mpi_version,
        **first,
        "confidence": CONFIDENCE,
        "links": links,
        "times": [row(m) for m in measured],
    }


def fit(measured: Sequence[Timing], backend: str, ranks: int) -> RingFit:
    """Fit the ring model to the sweep of one backend."""
    points = [m for m in measured if m.backend == backend and m.message.kind == "sweep"]
    return fit_ring([m.message.size for m in points], [median(m.seconds) for m in points], ranks)


def row(measured: Timing) -> TimeRow:
    """Return the row of one message: its median over repeats, in seconds, and the exact interval of that median."""
    from hpcnn.stats.medians import median_interval

    message, interval = measured.message, median_interval(measured.seconds)
    middle = median(measured.seconds)
    return {
        "backend": measured.backend,
        "kind": message.kind,
        "name": message.name,
        "tensors": len(message.numbers),
        "bytes": message.size,
        "repeats": len(measured.seconds),
        "seconds_median": middle,
        "seconds_low": interval.low if interval else None,
        "seconds_high": interval.high if interval else None,
        "coverage": interval.coverage if interval else None,
        "bytes_per_second": message.size / middle,
    }


def line(measured: Timing) -> str:
    """Format one message as a line for the log."""
    message = measured.message
    what = f"{message.kind} {message.name}".strip()
    return f"{measured.backend}: {what}: {size_text(message.size)} in {1e6 * median(measured.seconds):.4g} us"


def _link(backend: str, fit: RingFit) -> LinkRow:
    return {
        "backend": backend,
        "alpha_seconds": fit.alpha.value,
        "alpha_seconds_low": fit.alpha.low,
        "alpha_seconds_high": fit.alpha.high,
        "beta_bytes_per_second": fit.beta.value,
        "beta_bytes_per_second_low": fit.beta.low,
        "beta_bytes_per_second_high": fit.beta.high,
        "fit_error": fit.error,
    }
