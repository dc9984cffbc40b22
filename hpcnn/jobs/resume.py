"""Resume a training that was cut off: make a job of its run directory again, for ``submit`` or ``enqueue``."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from hpcnn.jobs.submission import check_job_has_ended
from hpcnn.jobs.submit import Prepared, prepare
from hpcnn.rundir.find import run_of
from hpcnn.rundir.layout import RunDir
from hpcnn.rundir.trust import check_trusted
from hpcnn.specs.fields import from_mapping, to_mapping
from hpcnn.specs.job import JobSpec
from hpcnn.specs.resources import Resources
from hpcnn.specs.software import SoftwareSpec, without_secrets
from hpcnn.specs.train import TrainSpec
from hpcnn.util.errors import UsageError
from hpcnn.util.files import read_json
from hpcnn.util.types import Json
from hpcnn.util.user_code import own_code


def prepare_again(target: str, resources: Mapping[str, Json], *, trust: bool = False) -> Prepared:
    """Return the job of a run directory or job id, prepared to resume. resources: those that change.

    trust: also of a run that is not the user's own. Raises UsageError for such a run otherwise, for one that has
    completed, is still in the queue, or was never submitted by hpcnn, and NoAnswer where the scheduler does not say
    whether it is still in the queue: the training would run twice.
    """
    run = run_of(target)
    job = job_of(run)
    train = {} if job.train is None else to_mapping(job.train)
    check_trusted(run, [*own_code(train), *job.program] or ["its options, modules and variables"], trust=trust)
    if (run.read_result() or {}).get("status") == "completed":
        raise UsageError(f"{run.path}: this run has completed")
    check_job_has_ended(
        run,
        "Resume it on a machine where the scheduler answers; if you know that the job has ended, remove "
        f"{run.job.name} from the run directory",
    )
    changed = from_mapping(Resources, {**_given(job.resources), **resources})
    return prepare(dataclasses.replace(job, resources=changed), run.path, resume=True)


def job_of(run: RunDir) -> JobSpec:
    """Return the job spec of a run directory. Raises UsageError where hpcnn did not submit the run."""
    spec = read_json(run.spec)
    if not spec or "site" not in spec or not spec["site"]:
        raise UsageError(f"{run.path}: hpcnn did not submit this run ({run.spec.name} names no site)")
    where = f"{run.spec}: "
    return JobSpec(
        spec["name"],
        spec["site"],
        from_mapping(Resources, spec["resources"], where),
        from_mapping(TrainSpec, spec["train"], where) if spec.get("train") else None,
        tuple(spec.get("program") or ()),
        from_mapping(SoftwareSpec, without_secrets(spec.get("software") or {}), where),
        study=spec.get("study"),
        kind=spec.get("kind"),
        point=spec.get("point") or {},
        repeat=spec.get("repeat") or 1,
    )


def _given(resources: Resources) -> dict[str, Json]:
    """Return the resources as keys and values, without what ``ntasks_per_node`` and ``gpus_per_task`` imply."""
    values = {key: value for key, value in vars(resources).items() if value is not None}
    if resources.ntasks_per_node is not None:
        del values["ntasks"]
    if resources.gpus_per_task is not None:
        del values["gpus_per_node"]
    return values
