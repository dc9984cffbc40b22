"""One trial as a job: the shared fields, and the trial's own parameters over them. Pure."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Mapping
from typing import Any

from hpcnn.render import Place, toml_text, train_command
from hpcnn.search.draw import lecture_epochs
from hpcnn.search.space import short
from hpcnn.search.spec import Search
from hpcnn.spec import JobSpec, Resources, SoftwareSpec, TrainSpec, from_mapping, given


def train_of(search: Search, point: Mapping[str, Any]) -> TrainSpec:
    """Return what the trial at a point trains. Raises UsageError for values that do not go together."""
    fields = {**search.train, "model_args": dict(search.train.get("model_args", {}))}
    for key, value in point.items():
        section, _, name = key.partition(".")
        (fields["model_args"] if section == "model" else fields)[name] = value
    return from_mapping(TrainSpec, fields, f"{search.name}, {text(point)}: ")


def job_of(search: Search, point: Mapping[str, Any], site: str, resources: Resources) -> JobSpec:
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


def text(point: Mapping[str, Any]) -> str:
    """Return a point in words: ``numnodes=16, optimizer=adam``."""
    return ", ".join(f"{short(key)}={value_text(value)}" for key, value in point.items())


def value_text(value: Any) -> str:
    """Return a value as tables have it: a number with four digits at most."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def again(search: Search, point: Mapping[str, Any], site: str) -> str:
    """Return the command that trains a point again: with all epochs of the lecture where the search took fewer."""
    spec = train_of(search, point)
    if "train.epochs" not in point and spec.epochs is not None:
        spec = dataclasses.replace(spec, epochs=max(spec.epochs, lecture_epochs(spec.model)))
    run_dir = f"runs/{search.name}-best"
    trains = train_command(spec, Place(run_dir, ".", "", ("hpcnn",), {}))
    needs = [*_options(search.resources), *_options(search.software)]
    if site == "local" and not needs:
        return shlex.join(trains)
    return shlex.join(["hpcnn", "submit", "--site", site, *trains[2:4], *needs, *trains[4:]])


def _options(spec: Resources | SoftwareSpec) -> list[str]:
    words = []
    for key, value in given(spec).items():
        option = "--" + key.replace("_", "-")
        if isinstance(value, bool):
            words.append(option)
        elif isinstance(value, dict):
            option = "--sbatch-option" if key == "sbatch_options" else option
            words += [word for name, item in value.items() for word in (option, f"{name}={_plain(item)}")]
        elif isinstance(value, tuple):
            words += [word for item in value for word in (option, item)]
        else:
            words += [option, str(value)]
    return words


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else toml_text(value)
