"""StudySpec to jobs: every point, every repeat, in the order in which they are to run. Pure."""

from __future__ import annotations

import hashlib
import itertools
import json
import re
from dataclasses import dataclass
from typing import Any

from hpcnn.errors import UsageError
from hpcnn.spec import JobSpec, Resources, StudySpec, TrainSpec, from_mapping, to_mapping


@dataclass(frozen=True)
class PlannedRun:
    """One run of a study: its folder's name, and its job."""

    run_id: str
    job: JobSpec


def expand(study: StudySpec, site: str) -> list[PlannedRun]:
    """Return the runs of a study: all points of the first repeat, then all of the second, and so on.

    Repeats are interleaved so that a machine that slows down in the course of an hour does not slow one point only.
    Raises UsageError naming the point that cannot be.
    """
    points = [{**fixed, **axis} for fixed in study.points or ({},) for axis in _product(study.axes)]
    runs = [_planned(study, site, point, repeat) for repeat in range(1, study.repeats + 1) for point in points]
    twice = {run.run_id for run in runs if sum(other.run_id == run.run_id for other in runs) > 1}
    if twice:
        raise UsageError(f"{study.name}: two points of the study are the same run ({', '.join(sorted(twice))})")
    return runs


def _product(axes: dict[str, list[Any]]) -> list[dict[str, Any]]:
    return [dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())]


def _planned(study: StudySpec, site: str, point: dict[str, Any], repeat: int) -> PlannedRun:
    tables: dict[str, dict[str, Any]] = {"train": dict(study.train), "resources": dict(study.resources)}
    tables["train"]["model_args"] = dict(study.train.get("model_args", {}))
    for key, value in point.items():
        section, _, name = key.partition(".")
        (tables["train"]["model_args"] if section == "model" else tables[section])[name] = value
    seeds = study.seeds
    base_seed = int(tables["train"].get("seed", 1))
    tables["train"]["seed"] = seeds[(repeat - 1) % len(seeds)] if seeds else base_seed + repeat - 1
    where = f"{study.name}, point {_slug(point) or 'base'}: "
    resources = from_mapping(Resources, tables["resources"], where)
    train = None
    if not study.program:
        train = from_mapping(TrainSpec, tables["train"], where)
        if study.kind == "weak":
            train = _per_rank(train, resources)
    try:
        job = JobSpec(study.name, site, resources, train, study.program, study.name, study.kind, _short(point), repeat)
    except UsageError as error:
        raise UsageError(f"{where}{error}") from error
    return PlannedRun(f"{_slug(point) or 'base'}-r{repeat:02d}-{_digest(job)}", job)


def _per_rank(train: TrainSpec, resources: Resources) -> TrainSpec:
    """Return the spec of a weak-scaling point: ``samples`` and ``batch_size`` of the file are those of one rank."""
    if train.samples is None or train.batch_size is None:
        raise UsageError("a weak-scaling study needs [train] samples and batch_size: those of one rank")
    ranks = max(resources.ntasks, train.devices or 1)
    values = {**to_mapping(train), "samples": train.samples * ranks, "batch_size": train.batch_size * ranks}
    return from_mapping(TrainSpec, values)


def _short(point: dict[str, Any]) -> dict[str, Any]:
    """Return a point with its axes named as people say them: ``ntasks``, ``dropout``."""
    return {key.partition(".")[2]: value for key, value in point.items()}


def _slug(point: dict[str, Any]) -> str:
    """Return a point as part of a folder name: ``ntasks=2,strategy=horovod``."""
    text = ",".join(f"{key}={value}" for key, value in _short(point).items())
    return re.sub(r"[^A-Za-z0-9_.,=+-]+", "_", text)[:120]


def _digest(job: JobSpec) -> str:
    """Return six characters that change with anything that decides the run's numbers: an edited study reruns."""
    facts = to_mapping(job)
    content = {key: facts[key] for key in ("train", "resources", "program", "kind", "repeat")}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:6]
