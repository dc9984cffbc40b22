"""Expand a study into jobs: every point and every repeat, in the order of running. Pure."""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import json
import math
import random
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hpcnn.specs.fields import check_field, from_mapping, hints, to_mapping
from hpcnn.specs.job import JobSpec
from hpcnn.specs.resources import Resources
from hpcnn.specs.software import SoftwareSpec
from hpcnn.specs.stated import Stated
from hpcnn.specs.study import StudySpec
from hpcnn.specs.train import TrainSpec
from hpcnn.study.read import OF_PROGRAMS, TABLES
from hpcnn.util.errors import UsageError
from hpcnn.util.types import Json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from _typeshed import DataclassInstance

# Fields that decide when a run may start and how long it may take, but not its numbers: a run that hit its time limit
# is the same run with a longer one.
_NO_NUMBERS = (
    *("account", "qos", "time", "mem", "mem_per_cpu", "mem_per_gpu", "requeue", "requeue_limit"),
    *("notify", "mail_user", "mail_type"),
)
# The fields of the first version. Other fields are left out at their defaults, so that finished runs keep their names
# when a new version of hpcnn adds a field.
_FIRST = (
    "account batch_size checkpoint constraint cpus_per_task data devices epochs evaluate gpu_type "
    "gpus_per_node learning_rate loss lr_scaling mem model model_args momentum nodes ntasks ntasks_per_node "
    "optimizer partition pixel_scale precision qos requeue samples sbatch_options seed strategy "
    "sync_batch_norm target_accuracy tensorboard test_samples time warmup_epochs"
)


# More runs than these have no place in a folder, and none in a table.
MOST_RUNS = 100_000


@dataclass(frozen=True)
class PlannedRun:
    """One run of a study: its folder's name, and its job."""

    run_id: str
    job: JobSpec


def expand(study: StudySpec, site: str) -> list[PlannedRun]:
    """Return the runs of a study: all points of the first repeat, then all of the second, and so on.

    Repeats are interleaved so that a machine that becomes slower within an hour affects all points.
    Raises UsageError, naming the point, for invalid values and for a run that is there twice.
    """
    count = study.repeats * max(len(study.points), 1) * math.prod(map(len, study.axes.values()))
    if count > MOST_RUNS:
        raise UsageError(
            f"{study.name}: its axes, points and repeats make {count:,} runs; expected at most {MOST_RUNS:,}. Make "
            "several studies of it"
        )
    points = [{**fixed, **axis} for fixed in study.points or ({},) for axis in _product(study.axes)]
    runs: dict[str, PlannedRun] = {}
    for repeat in range(1, study.repeats + 1):
        for point in points:
            run = _planned(study, site, point, repeat)
            first = runs.setdefault(_content(run.job), run)
            if first is not run:
                raise UsageError(f"{study.name}: {run.run_id} is the same run as {first.run_id}; leave one out")
    return list(runs.values())


def shuffled(runs: Sequence[PlannedRun], seed: int) -> list[PlannedRun]:
    """Return runs in the order of their repeats, the points of each repeat in an order that ``seed`` decides."""
    chance = random.Random(seed)
    order = {id(run): chance.random() for run in runs}
    return sorted(runs, key=lambda run: (run.job.repeat, order[id(run)]))


# Keys that the name of a run has always come from; later ones count where they are given.
_FIRST_OF_SOFTWARE = ("container", "bind", "module", "env")


def _product(axes: dict[str, list[Json]]) -> list[dict[str, Json]]:
    return [dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())]


def _planned(study: StudySpec, site: str, point: dict[str, Json], repeat: int) -> PlannedRun:
    tables: dict[str, dict[str, Json]] = {
        "train": dict(study.train),
        "resources": dict(study.resources),
        "software": dict(study.software),
    }
    for name in TABLES.values():
        tables["train"][name] = dict(study.train.get(name, {}))
    for key, value in point.items():
        section, _, name = key.partition(".")
        (tables["train"][TABLES[section]] if section in TABLES else tables[section])[name] = value
    where = f"{study.name}, point {_slug(point) or 'base'}: "
    resources = from_mapping(Resources, tables["resources"], f"{where}[resources] ")
    software = from_mapping(SoftwareSpec, tables["software"], f"{where}[software] ")
    train = None if study.program else _train(study, tables["train"], resources, repeat, where)
    stated = _stated(study, tables["train"], resources, where) if study.program else Stated()
    try:
        job = JobSpec(
            study.name,
            site,
            resources,
            train,
            study.program,
            software,
            study=study.name,
            kind=study.kind,
            point=_short(point),
            repeat=repeat,
            stated=stated,
        )
    except UsageError as error:
        raise UsageError(f"{where}{error}") from error
    return PlannedRun(f"{_slug(point) or 'base'}-r{repeat:02d}-{_digest(job)}", job)


def _train(study: StudySpec, table: dict[str, Json], resources: Resources, repeat: int, where: str) -> TrainSpec:
    """Return the training of a run: each repeat has its own seed, and a weak-scaling point grows with its ranks."""
    base = check_field(TrainSpec, "seed", table.get("seed", TrainSpec.seed), f"{where}[train] seed")
    seed = study.seeds[(repeat - 1) % len(study.seeds)] if study.seeds else base + repeat - 1
    train = from_mapping(TrainSpec, {**table, "seed": seed}, f"{where}[train] ")
    return _per_rank(train, resources, where) if study.kind == "weak" else train


def _stated(study: StudySpec, table: dict[str, Json], resources: Resources, where: str) -> Stated:
    """Return what the study states of its program; of a weak-scaling point, its ranks times what is given for one."""
    given = {key: table[key] for key in OF_PROGRAMS if key in table}
    stated = from_mapping(Stated, {**given, "independent": study.independent}, f"{where}[train] ")
    if study.kind != "weak" or stated.batch_size is None:
        return stated
    samples = None if stated.samples is None else stated.samples * resources.ntasks
    return dataclasses.replace(stated, batch_size=stated.batch_size * resources.ntasks, samples=samples)


def _per_rank(train: TrainSpec, resources: Resources, where: str) -> TrainSpec:
    """Scale ``samples`` and ``batch_size``, which the file gives for one rank, by the number of ranks."""
    if train.samples is None or train.batch_size is None:
        raise UsageError(f"{where}a weak-scaling study needs [train] samples and batch_size: those of one rank")
    ranks = max(resources.ntasks, train.devices or 1)
    return dataclasses.replace(train, samples=train.samples * ranks, batch_size=train.batch_size * ranks)


def _short(point: dict[str, Json]) -> dict[str, Json]:
    """Return a point with the short names of its axes: ``ntasks``, ``dropout``.

    A keyword of the model with the name of a field keeps its section: ``model.optimizer``.
    """
    fields = {*hints(TrainSpec), *hints(Resources), *hints(SoftwareSpec)}
    split = ((key, *key.split(".", 1), value) for key, value in point.items())
    return {
        key if section in ("model", "data") and name in fields else name: value for key, section, name, value in split
    }


def _slug(point: dict[str, Json]) -> str:
    """Return a point as part of a folder name: ``ntasks=2,strategy=horovod``."""
    text = ",".join(f"{key}={value}" for key, value in _short(point).items())
    return re.sub(r"[^A-Za-z0-9_.,=+-]+", "_", text)[:120]


def _digest(job: JobSpec) -> str:
    """Return six characters of a hash of all that decides the run's numbers, so that an edited study reruns."""
    return hashlib.sha256(_content(job).encode()).hexdigest()[:6]


def _content(job: JobSpec) -> str:
    """Return all that decides a run's numbers, times included, as one text."""
    facts = to_mapping(job)
    content = {key: facts[key] for key in ("site", "train", "resources", "program", "kind", "repeat")}
    content["train"] = _deciding(TrainSpec, facts["train"])
    content["resources"] = _deciding(Resources, facts["resources"])
    if job.software != SoftwareSpec():
        content["software"] = {k: value for k, value in facts["software"].items() if k in _FIRST_OF_SOFTWARE or value}
    if job.stated != Stated():
        content["stated"] = facts["stated"]
    return json.dumps(content, sort_keys=True, default=str)


def _deciding(cls: type[DataclassInstance], table: dict[str, Json] | None) -> dict[str, Json] | None:
    """Return the fields of a spec that decide numbers; later fields only if they differ from their defaults."""
    if table is None:
        return None
    default = to_mapping(cls())
    plain = {key: default[key] if key in _NO_NUMBERS else value for key, value in table.items()}
    return {key: value for key, value in plain.items() if key in _FIRST.split() or value != default[key]}
