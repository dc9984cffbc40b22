"""Write runs to an MLflow store: settings as parameters, metrics by epoch, the files of the record as artefacts.

MLflow is imported when runs are written, and nothing else of hpcnn imports it.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpcnn.rundir.layout import RunDir
from hpcnn.rundir.read import read_run
from hpcnn.rundir.settings import plain, settings_of
from hpcnn.specs.software import without_secrets
from hpcnn.util.errors import HpcnnError, UsageError
from hpcnn.util.extras import optional_module
from hpcnn.util.files import file_sha256, is_own_file, read_json, read_lines
from hpcnn.util.text import visible
from hpcnn.util.types import Json

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

# The states of MLflow's runs. A run without a result may still be at work.
_STATES = {"completed": "FINISHED", "failed": "FAILED", "interrupted": "KILLED", "unreadable": "FAILED"}
_SECONDS = ("seconds_total", "seconds_compute", "seconds_communication", "seconds_input", "seconds_evaluation")
# Tags by which a later export finds a run, and sees whether its record has changed.
_PLACE, _DIGEST = "hpcnn.run_dir", "hpcnn.record"
# What MLflow takes: characters of a name, length of a value, entries of one call.
_UNUSUAL = re.compile(r"[^\w\-. :/]")
_LONGEST, _METRICS, _PARAMETERS = 5000, 1000, 100
# Files that people look at, besides the record. Networks and TensorBoard's logs may be large, and stay where they are.
_FILES, _FOLDERS = (".json", ".jsonl", ".sh", ".out"), ("plots", "exported")
_LIVE = ("owner-", "progress", ".")


@dataclass(frozen=True)
class Metric:
    """One number: of an epoch (``step``), at a time in milliseconds since 1970."""

    name: str
    value: float
    step: int
    at: int


@dataclass(frozen=True)
class Content:
    """What MLflow is told of one run. files: each with its folder below the run's artefacts."""

    experiment: str
    name: str
    state: str
    started: int
    ended: int | None
    parameters: dict[str, str]
    tags: dict[str, str]
    metrics: list[Metric]
    files: list[tuple[Path, str]]


def content_of(run: RunDir) -> Content:
    """Return what MLflow is told of a run. Reads its record, and runs none of its code."""
    row, epochs = read_run(run.path)
    spec = _record(run.spec)
    # the options of a training with the values of those that were left open
    train = {**_table(spec, "train"), **_table(_record(run.provenance), "train")}
    settings = settings_of({**spec, "train": train, "software": without_secrets(_table(spec, "software"))})
    started, ended = _started(run), _milliseconds(row["finished_at"])
    files = _files(run)
    tags = {_PLACE: str(run.path), _DIGEST: _digest(files), "hpcnn.status": str(row["status"])}
    facts = {"hpcnn.version": "hpcnn", "hpcnn.host": "host", "hpcnn.device": "device", "hpcnn.job_id": "job_id"}
    tags |= {tag: str(row[column]) for tag, column in facts.items() if row.get(column) is not None}
    tags |= {f"hpcnn.{key}": str(row[key]) for key in ("reason", "problem") if row.get(key)}
    return Content(
        experiment=_named(row["study"] or row["name"] or run.path.parent.name),
        name=run.path.name,
        state=_STATES.get(str(row["status"]), "RUNNING"),
        started=started,
        ended=ended,
        parameters={_named(key): visible(plain(value))[:_LONGEST] for key, value in settings.items() if key != "name"},
        tags={key: value[:_LONGEST] for key, value in tags.items()},
        metrics=_metrics(row, epochs, started, ended or started),
        files=files,
    )


def _record(file: Path) -> dict[str, Json]:
    """Return a file of the record; empty where it is missing or damaged, which ``read_run`` says."""
    try:
        return read_json(file) or {}
    except OSError:
        return {}


def _table(record: Mapping[str, Json], key: str) -> dict[str, Json]:
    value = record.get(key)
    return value if isinstance(value, dict) else {}


def _metrics(row: Mapping[str, Json], epochs: Sequence[Mapping[str, Json]], started: int, ended: int) -> list[Metric]:
    """Return the metrics of each epoch, and those of the test set.

    An epoch takes as long as its slowest rank. Losses and metrics are the same on all ranks: those of the first count.
    """
    found: list[Metric] = []
    by_epoch: dict[int, list[Mapping[str, Json]]] = {}
    for record in epochs:
        by_epoch.setdefault(int(record["epoch"]), []).append(record)
    for epoch, records in sorted(by_epoch.items()):
        first = min(records, key=lambda record: int(record["rank"]))
        slowest = max(records, key=lambda record: _number(record["seconds_total"]) or 0.0)
        values = {key: slowest[key] for key in _SECONDS}
        values |= {key: first[key] for key in ("loss", "learning_rate")}
        for key, value in first.items():
            if key.startswith(("metric_", "validation_")):
                values[key.removeprefix("metric_")] = value
        seconds, samples = _number(slowest["seconds_total"]), [_number(record["samples"]) for record in records]
        if seconds and None not in samples:
            values["images_per_second"] = sum(filter(None, samples)) / seconds
        at = started + round(1000 * (_number(first["seconds_since_start"]) or 0.0))
        found += _of(values, epoch, at)
    last = max(by_epoch, default=0)
    return found + _of({key: row[key] for key in ("test_loss", "test_accuracy")}, last, ended)


def _of(values: Mapping[str, Json], step: int, at: int) -> list[Metric]:
    numbers = ((_named(key), _number(value)) for key, value in values.items())
    return [Metric(name, value, step, at) for name, value in numbers if value is not None]


def _number(value: Json) -> float | None:
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def _named(text: Json) -> str:
    return _UNUSUAL.sub("_", str(text))[:200]


def _started(run: RunDir) -> int:
    """Return when a run began: its first event, else when its oldest file was written; in milliseconds."""
    try:
        first = next(iter(read_lines(run.events)), {}) if run.events.exists() else {}
    except OSError:
        first = {}
    at = _milliseconds(first.get("time"))
    return at if at is not None else round(1000 * min((file.stat().st_mtime for file, _ in _files(run)), default=0.0))


def _milliseconds(time: Json) -> int | None:
    """Return a time as the record has it, 2026-11-30T14:03:31Z, in milliseconds since 1970."""
    try:
        return round(1000 * datetime.fromisoformat(str(time).replace("Z", "+00:00")).timestamp())
    except ValueError:
        return None


def _files(run: RunDir) -> list[tuple[Path, str]]:
    """Return the record, the script and the log of a run, its pictures and its exported networks; nothing by a link."""
    kept_secrets = (run.spec.name, run.job_script.name) if _has_secrets(run) else ()
    own = [(file, "") for file in sorted(run.path.iterdir()) if file.suffix in _FILES and file.name not in kept_secrets]
    for name in _FOLDERS:
        if not (folder := run.path / name).is_symlink():
            own += [(file, file.parent.relative_to(run.path).as_posix()) for file in sorted(folder.rglob("*"))]
    return [(file, folder) for file, folder in own if is_own_file(file) and not file.name.startswith(_LIVE)]


def _has_secrets(run: RunDir) -> bool:
    """Return whether a run's spec and script hold secrets, as hpcnn 0.1 wrote them there."""
    software = _table(_record(run.spec), "software")
    return without_secrets(software) != software


def _digest(files: Iterable[tuple[Path, str]]) -> str:
    sums = [f"{folder}/{file.name} {file_sha256(file)}" for file, folder in files]
    return hashlib.sha256("\n".join(sums).encode()).hexdigest()


def write_runs(store: str, runs: Iterable[RunDir]) -> Iterator[tuple[RunDir, str]]:
    """Write runs to the store of ``uri_of(store)``, and yield each with ``new``, ``replaced`` or ``unchanged``.

    A run that is there stays if its record has not changed, and is replaced if it has. Raises HpcnnError without
    MLflow, and where the store cannot be used.
    """
    mlflow = optional_module("mlflow", "hpcnn export --mlflow", "mlflow")
    entities: Any = optional_module("mlflow.entities", "hpcnn export --mlflow", "mlflow")
    logging.getLogger("mlflow").setLevel(logging.WARNING)  # it would tell of each table that it makes
    uri, artefacts = uri_of(store)
    if uri.startswith("file:"):  # later versions of MLflow 3 ask for it
        os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")
    try:
        client = mlflow.MlflowClient(tracking_uri=uri)
        for run in runs:
            yield run, _write(client, entities, content_of(run), artefacts)
    except (mlflow.exceptions.MlflowException, OSError, ImportError) as error:
        reason = str(error).strip() or type(error).__name__
        raise HpcnnError(f"--mlflow: {store!r}: {reason.splitlines()[0]}") from error


def uri_of(store: str) -> tuple[str, str | None]:
    """Return the address of a store for MLflow, and the folder of new experiments' artefacts if MLflow has no own.

    A folder is one of MLflow's file store if it has such experiments; in any other one, the store is a file of SQLite.
    """
    if re.match(r"[a-z][a-z0-9+-]*:", store):
        return store, None
    folder = Path(store).absolute()
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"--mlflow: {store!r} is no folder; a file of SQLite is named sqlite:///{folder}")
    if any(folder.glob("*/meta.yaml")):
        return folder.as_uri(), None
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"--mlflow: {store!r} cannot be made: {error.strerror}") from error
    return f"sqlite:///{folder / 'mlflow.db'}", (folder / "artifacts").as_uri()


def _write(client: Any, entities: Any, content: Content, artefacts: str | None) -> str:
    """Write one run, and return whether it is ``new``, ``replaced`` or ``unchanged``."""
    experiment = client.get_experiment_by_name(content.experiment)
    if experiment is None:
        folder = f"{artefacts}/{content.experiment}" if artefacts else None
        identity = client.create_experiment(content.experiment, artifact_location=folder)
    else:
        identity = experiment.experiment_id
    place = json.dumps(content.tags[_PLACE])
    before = client.search_runs([identity], filter_string=f"tags.`{_PLACE}` = {place}")
    if any(run.data.tags.get(_DIGEST) == content.tags[_DIGEST] for run in before):
        return "unchanged"
    _write_new(client, entities, content, identity)
    for run in before:
        client.delete_run(run.info.run_id)
    return "replaced" if before else "new"


def _write_new(client: Any, entities: Any, content: Content, experiment: str) -> None:
    # The digest comes last: an export that was cut off is replaced by the next one.
    tags = {key: value for key, value in content.tags.items() if key != _DIGEST}
    new = client.create_run(experiment, start_time=content.started, tags=tags, run_name=content.name).info.run_id
    parameters = [entities.Param(key, value) for key, value in content.parameters.items()]
    for start in range(0, len(parameters), _PARAMETERS):
        client.log_batch(new, params=parameters[start : start + _PARAMETERS])
    metrics = [entities.Metric(one.name, one.value, one.at, one.step) for one in content.metrics]
    for start in range(0, len(metrics), _METRICS):
        client.log_batch(new, metrics=metrics[start : start + _METRICS])
    for file, folder in content.files:
        client.log_artifact(new, str(file), folder or None)
    if content.state != "RUNNING":
        client.set_terminated(new, content.state, content.ended)
    client.set_tag(new, _DIGEST, content.tags[_DIGEST])
