"""Synthetic runs whose seconds are given part by part, so that what a diagnosis must say of them is known."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hpcnn.rundir.layout import RunDir
from hpcnn.util.files import write_json, write_text
from tests.synthetic.runs import write_run

Parts = Mapping[str, float]

EVEN: Parts = {"compute": 1.0, "input": 0.0, "communication": 0.0, "other": 0.0}


def write_parts(
    path: Path,
    parts: Sequence[Parts],
    *,
    epochs: int = 3,
    steps: int = 100,
    tensors: int | None = None,
    trainable: int = 1_000_000,
    hosts: Sequence[str] = (),
    cores: Sequence[Sequence[int]] = (),
    threads: int = 1,
    **facts: Any,
) -> RunDir:
    """Write a run with one rank for each of ``parts``: the seconds of compute, input, communication, other.

    A rank's total is the sum of its parts. hosts, cores: of each rank (one host, a core each). epochs: measured ones.
    """
    ranks = len(parts)
    run = write_run(path, ranks=ranks, seconds=[0.0] * epochs, **facts)
    for rank, part in enumerate(parts):
        records = [json.loads(line) for line in run.epochs(rank).read_text(encoding="utf-8").splitlines()]
        for record in records:
            record |= {f"seconds_{name}": seconds for name, seconds in part.items()}
            record |= {"seconds_total": sum(part.values()), "steps": steps}
        write_text(run.epochs(rank), "".join(json.dumps(record) + "\n" for record in records))
    amend(
        run,
        hosts=[
            {
                "rank": rank,
                "host": hosts[rank] if hosts else "c1",
                "cpu_model": "Model C CPU",
                "device": "CPU",
                "cores_allowed": list(cores[rank]) if cores else [rank],
                "threads": {"OMP_NUM_THREADS": str(threads)},
            }
            for rank in range(ranks)
        ],
        model={"parameters": trainable, "trainable": trainable, "tensors": tensors},
    )
    return run


def amend(run: RunDir, **facts: Any) -> None:
    """Change facts of a run's provenance."""
    write_json(run.provenance, {**json.loads(run.provenance.read_text(encoding="utf-8")), **facts})


def rank(**parts: float) -> Parts:
    """Return the parts of one rank; what is not given takes no time."""
    return {**EVEN, "compute": 0.0, **parts}
