"""A training that was cut off, made a job again: from its run directory to what ``submit`` and ``enqueue`` take."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from hpcnn.jobs.submit import Prepared, prepare
from hpcnn.rundir.find import run_of
from hpcnn.rundir.layout import RunDir
from hpcnn.scheduler import slurm
from hpcnn.specs.fields import from_mapping
from hpcnn.specs.job import JobSpec
from hpcnn.specs.resources import Resources
from hpcnn.specs.software import SoftwareSpec
from hpcnn.specs.train import TrainSpec
from hpcnn.util.errors import UsageError
from hpcnn.util.files import read_json


def prepare_again(target: str, resources: Mapping[str, Any]) -> Prepared:
    """Return the job of a run directory or job id, ready to go on. resources: what is asked for differently now.

    Raises UsageError for a run that has completed, is still in the queue, or was never submitted by hpcnn.
    """
    run = run_of(target)
    job = job_of(run)
    if (run.read_result() or {}).get("status") == "completed":
        raise UsageError(f"{run.path}: this run has completed")
    record = read_json(run.job)
    if record and slurm.available():
        state = slurm.query([str(record["job_id"])])[str(record["job_id"])]
        if state.status in ("pending", "running"):
            raise UsageError(f"{run.path}: its job {state.job_id} is still {state.status}")
    changed = from_mapping(Resources, {**_given(job.resources), **resources})
    return prepare(dataclasses.replace(job, resources=changed), run.path, resume=True)


def job_of(run: RunDir) -> JobSpec:
    """Return the job that a run directory was made for. Raises UsageError where there is none that can be read."""
    spec = read_json(run.spec)
    if not spec or "site" not in spec or not spec["site"]:
        raise UsageError(f"{run.path}: {run.spec.name} is not that of a job that hpcnn submitted")
    where = f"{run.spec}: "
    return JobSpec(
        spec["name"],
        spec["site"],
        from_mapping(Resources, spec["resources"], where),
        from_mapping(TrainSpec, spec["train"], where) if spec.get("train") else None,
        tuple(spec.get("program") or ()),
        from_mapping(SoftwareSpec, spec.get("software") or {}, where),
        study=spec.get("study"),
        kind=spec.get("kind"),
        point=spec.get("point") or {},
        repeat=spec.get("repeat") or 1,
    )


def _given(resources: Resources) -> dict[str, Any]:
    """Return the resources without the tasks in all where they follow from those of each node."""
    values = {key: value for key, value in vars(resources).items() if value is not None}
    if resources.ntasks_per_node is not None:
        del values["ntasks"]
    return values
