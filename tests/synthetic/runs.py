"""Synthetic run directories with numbers that can be checked by hand, written as a real run writes them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from hpcnn.rundir.layout import SCHEMA_VERSION, RunDir
from hpcnn.util.files import LineWriter, write_json

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

WARMUP_SECONDS = 100.0


def write_run(
    path: Path,
    *,
    seconds: Sequence[float | Sequence[float]] = (10.0, 10.0),
    ranks: int = 1,
    study: str | None = "scale",
    kind: str | None = "strong",
    strategy: str = "horovod",
    samples: int = 1000,
    batch_size: int = 100,
    status: str | None = "completed",
    accuracy: float | None = 0.9,
    train: Mapping[str, Any] | None = None,
    processes: int | None = None,
    cpu_model: str = "Model C CPU",
    device: str | None = "CPU",
    accuracies: Sequence[float] | None = None,
    **spec: Any,
) -> RunDir:
    """Write a run of ``ranks`` replicas in ``processes`` processes (one each, unless told otherwise).

    seconds: of each epoch after the warm-up, which takes WARMUP_SECONDS: one number, or one a process.
    Of each epoch, half is compute, a quarter communication and a tenth input. status None: no result.json.
    accuracies: on the test set after each epoch, the warm-up one first; 0.6 unless told otherwise.
    """
    processes = ranks if processes is None else processes
    run = RunDir(path)
    run.create()
    asked = {
        "model": "cnn",
        "data": "digits",
        "samples": samples,
        "strategy": strategy,
        "precision": "float32",
    }
    job = {
        "schema": SCHEMA_VERSION,
        "name": "job",
        "site": "local",
        "study": study,
        "kind": kind,
        "point": {"ntasks": processes},
        "repeat": 1,
        "resources": {"nodes": 1, "ntasks": processes, "cpus_per_task": 1},
        "train": {**asked, "batch_size": batch_size, "epochs": 1 + len(seconds), "seed": 1, **(train or {})},
        "program": None,
        "hpcnn": "0.1.0",
    }
    write_json(run.spec, {**job, **spec})
    hosts = [{"host": "c1", "rank": rank, "cpu_model": cpu_model, "device": device} for rank in range(processes)]
    facts = {"hosts": hosts, "devices": [device], "versions": {"hpcnn": "0.1.0", "keras": "3.15.1"}}
    facts |= {
        "world_size": ranks,
        "global_batch_size": batch_size,
        "model": {"parameters": 10, "trainable": 9},
    }
    write_json(run.provenance, {"schema": SCHEMA_VERSION, **facts})
    for rank in range(processes):
        lines = LineWriter(run.epochs(rank))
        for epoch, measured in enumerate([WARMUP_SECONDS, *seconds], 1):
            own = measured if isinstance(measured, (int, float)) else measured[rank]
            record = epoch_record(epoch, rank, own, samples // processes)
            if accuracies is not None:
                record["validation"] = {"loss": 0.7, "accuracy": accuracies[epoch - 1]}
            lines.write(record)
        lines.close()
    if status is not None:
        test = None if accuracy is None else {"loss": 0.5, "accuracy": accuracy}
        code = 0 if status == "completed" else 1
        reason = None if status == "completed" else "out of memory"
        run.write_result(status, exit_code=code, reason=reason, test=test, epochs=1 + len(seconds))
    return run


def epoch_record(epoch: int, rank: int, seconds: float, samples: int) -> dict[str, Any]:
    """Return one line of an epoch file."""
    return {
        "epoch": epoch,
        "rank": rank,
        "seconds_total": seconds,
        "seconds_compute": seconds * 0.5,
        "seconds_communication": seconds * 0.25,
        "seconds_input": seconds * 0.1,
        "seconds_other": seconds * 0.15,
        "seconds_evaluation": 1000.0,
        "samples": samples,
        "steps": 10,
        "loss": 1.0 / epoch,
        "metrics": {"accuracy": 0.5},
        "validation": {"loss": 0.7, "accuracy": 0.6},
        "learning_rate": 0.01,
    }


@pytest.fixture(scope="session")
def run_at() -> Callable[..., RunDir]:
    """Return ``write_run``."""
    return write_run


@pytest.fixture
def run_in(tmp_path: Path) -> Callable[..., RunDir]:
    """Return ``write_run`` for the directory <tmp_path>/scale/<run id>."""
    return lambda name, **facts: write_run(tmp_path / "scale" / name, **facts)
