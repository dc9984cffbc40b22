"""Make the job of a trial: the shared fields, replaced by the trial's own parameters. Pure."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Mapping

from hpcnn.search.sampling import lecture_epochs
from hpcnn.search.space import short
from hpcnn.search.spec import Search
from hpcnn.specs.command_line import ALWAYS_OF_TRAINING, options_of
from hpcnn.specs.fields import from_mapping
from hpcnn.specs.job import JobSpec
from hpcnn.specs.resources import Resources
from hpcnn.specs.train import TrainSpec
from hpcnn.util.types import Json


def train_of(search: Search, point: Mapping[str, Json]) -> TrainSpec:
    """Return the training of the trial at a point. Raises UsageError for values that contradict each other."""
    fields = {**search.train, "model_args": dict(search.train.get("model_args", {}))}
    for key, value in point.items():
        section, _, name = key.partition(".")
        (fields["model_args"] if section == "model" else fields)[name] = value
    return from_mapping(TrainSpec, fields, f"{search.name}, {point_text(point)}: ")


def job_of(search: Search, point: Mapping[str, Json], site: str, resources: Resources) -> JobSpec:
    """Return the job of the trial at a point."""
    return JobSpec(
        search.name,
        site,
        resources,
        train_of(search, point),
        software=search.software,
        study=search.name,
        point={short(key): value for key, value in point.items()},
    )


def point_text(point: Mapping[str, Json]) -> str:
    """Format a point: ``numnodes=16, optimizer=adam``."""
    return ", ".join(f"{short(key)}={value_text(value)}" for key, value in point.items())


def value_text(value: Json) -> str:
    """Format a value for tables: a number with at most four digits."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def train_command(search: Search, point: Mapping[str, Json], site: str) -> str:
    """Return the command that trains a point once more, with all epochs of the lecture if the search used fewer."""
    spec = train_of(search, point)
    if "train.epochs" not in point and spec.epochs is not None:
        spec = dataclasses.replace(spec, epochs=max(spec.epochs, lecture_epochs(spec.model)))
    where = ["--run-dir", f"runs/{search.name}-best"]
    training = options_of(spec, ALWAYS_OF_TRAINING)
    needs = [*options_of(search.resources), *options_of(search.software)]
    if site == "local" and not needs:
        return shlex.join(["hpcnn", "train", *where, *training])
    return shlex.join(["hpcnn", "submit", "--site", site, *where, *needs, *training])
