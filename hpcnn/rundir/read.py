"""Read one run directory into dictionaries: a row of facts, and a row for each epoch and rank.

A damaged file is named in the column ``problem``; the other files are read all the same. Must not import pandas or a
room that reports.
"""

from __future__ import annotations

import re
import shlex
from collections import Counter
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from hpcnn.rundir.layout import SCHEMA_VERSION, RunDir
from hpcnn.rundir.usage import usage_columns
from hpcnn.util.files import parse_json, read_bytes, read_json
from hpcnn.util.host import facts_by_rank
from hpcnn.util.text import first_few, visible
from hpcnn.util.types import Json

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

Row = dict[str, Json]

# Options of "train" with a column of the same name. The others get a column train_<option>, except the devices of a
# process, which follow from the world size.
_TRAIN = ("model", "data", "samples", "strategy", "precision", "batch_size", "seed")
_IMPLIED = ("devices",)
_RESOURCES = ("nodes", "ntasks", "cpus_per_task")
_WORK = ("flops_training", "bytes_per_sample", "bytes_per_step")
_RESULT = ("exit_code", "reason", "epochs", "seconds_total", "seconds_to_target", "finished_at")
# SLURM_JOB_CPUS_PER_NODE is 16(x2),8: so many CPUs on each of two nodes, and of a third (sbatch(1)).
_CPUS_OF_NODES = re.compile(r"(\d{1,9})(?:\(x(\d{1,9})\))?")
_EPOCH = (
    "seconds_total",
    "seconds_compute",
    "seconds_communication",
    "seconds_input",
    "seconds_other",
    "seconds_evaluation",
    "seconds_since_start",
    "samples",
    "steps",
    "loss",
    "learning_rate",
    "resumed",
    "profiled",
    "steps_timed",
    "step_seconds_mean",
    "step_seconds_variance",
    "step_skewness",
    "step_seconds_sum_of_maxima",
)


# Epochs that are named as lost, and how far they are looked for.
_MOST_NAMED, _MOST_EPOCHS = 6, 100_000


class RunRecord(NamedTuple):
    """The rows of one run directory: JSON values by the names of the columns of ``load``."""

    run: Row
    epochs: list[Row]


def read_run(path: Path) -> RunRecord:
    """Read the run directory ``path``; a missing or damaged file raises no error.

    ``status`` is that of result.json, "unfinished" without this file, and "unreadable" for a damaged one. The options
    of provenance.json, where every open one is filled, replace those of spec.json.
    """
    directory = RunDir(path)
    problems: list[str] = []
    spec = _read_object(directory.spec, problems)
    provenance = _read_object(directory.provenance, problems)
    result = _read_object(directory.result, problems)
    files = directory.epoch_files()
    epochs = [row for rank, file in files for row in _read_epochs(file, rank, problems)]
    of_nodes = directory.node_files()
    epochs += [row for _, file in of_nodes for row in _read_epochs(file, None, problems)]

    run: Row = {"path": str(path), "run": path.name, "status": _status(result)}
    run |= _spec_columns(spec or {}, _object((provenance or {}).get("train")))
    run |= _provenance_columns(provenance or {}, run) | _result_columns(result or {})
    run |= _held_columns(spec or {}, provenance or {}, run)
    said = [(row["rank"], row.pop("usage")) for row in epochs]
    run |= usage_columns(said, facts_by_rank((provenance or {}).get("hosts")))
    if (job := _read_object(directory.job, problems)) is not None:
        run["job_id"] = job.get("job_id")
    if spec is None:
        problems.append(f"{directory.spec.name}: missing")
    if isinstance(note := (result or {}).get("note"), str):
        problems.append(note)
    if run["status"] == "completed":
        if provenance is None:
            problems.append(f"{directory.provenance.name}: missing")
        asked = run["ntasks"]
        ranks = len({row["rank"] for row in epochs}) if of_nodes else len(files)
        done = run["epochs"] if type(run["epochs"]) is int else 0
        problems += _incomplete_epochs(epochs, asked if isinstance(asked, int) else ranks, done)
    elif run["reason"] is None:
        run["reason"] = _failure(directory)
    run["problem"] = "; ".join(problems) or None
    return RunRecord({key: value if key == "path" else _shown(value) for key, value in run.items()}, epochs)


def _read_object(file: Path, problems: list[str]) -> Row | None:
    """Return the object in ``file``: None for a missing file, {} for an unreadable one, with a problem noted."""
    try:
        record = read_json(file)
    except OSError as error:
        problems.append(f"{file.name}: {error.strerror}")
        return {}
    if record is None:
        if not file.exists():
            return None
        problems.append(f"{file.name}: not a whole JSON object")
        return {}
    schema = record.get("schema")
    if not isinstance(schema, int):
        problems.append(f"{file.name}: schema {schema!r} is not a version")
        return {}
    if schema > SCHEMA_VERSION:
        problems.append(f"{file.name}: schema {schema} is newer than this hpcnn reads ({SCHEMA_VERSION})")
        return {}
    return record


def _read_epochs(file: Path, rank: int | None, problems: list[str]) -> Iterable[Row]:
    """Return one row for each epoch of a rank: the last record of an epoch that was recorded twice.

    rank: whose file it is; None for that of a node, whose records say of which rank they are.
    """
    try:
        text = read_bytes(file).decode(errors="replace")
    except OSError as error:
        problems.append(f"{file.name}: {error.strerror}")
        return []
    lines = [line for line in text.split("\n") if line.strip()]
    records = [_epoch_record(line, rank) for line in lines]
    if damaged := records.count(None):
        cut_off = damaged == 1 and records[-1] is None
        what = "the last line is cut off" if cut_off else f"{damaged} of {len(lines)} lines are unreadable"
        problems.append(f"{file.name}: {what}")
    rows: dict[tuple[int, int], Row] = {}
    for record in filter(None, records):
        epoch, of_rank = record["epoch"], record["rank"] if rank is None else rank
        key = (of_rank, epoch)
        if key in rows:
            problems.append(f"{file.name}: epoch {epoch} is recorded more than once, the last one counts")
        rows[key] = {"epoch": epoch, "rank": of_rank} | {key: record.get(key) for key in (*_EPOCH, "usage")}
        rows[key] |= _prefixed("metric_", record.get("metrics"))
        rows[key] |= _prefixed("validation_", record.get("validation"))
    return [rows[key] for key in sorted(rows)] if rank is None else rows.values()


def _epoch_record(line: str, rank: int | None) -> Row | None:
    """Return the record in one line, or None for a line without a whole record of an epoch, or of which rank it is."""
    try:
        record = parse_json(line)
    except ValueError:
        return None
    if not isinstance(record, dict):
        return None
    epoch, own = record.get("epoch"), record.get("rank") if rank is None else rank
    whole = type(epoch) is int and 1 <= epoch < 2**63 and type(own) is int and 0 <= own < 2**63
    return record if whole else None


def _incomplete_epochs(epochs: list[Row], processes: int, done: int) -> list[str]:
    """Return a problem for epochs, of ``done`` or more, that not all ``processes`` of the run recorded."""
    recorded = Counter(row["epoch"] for row in epochs)
    lacking = sorted(epoch for epoch, count in recorded.items() if count != processes)
    if recorded and not lacking:  # lines that a power cut took, but not the state after them
        lost = (epoch for epoch in range(1, min(done, _MOST_EPOCHS) + 1) if epoch not in recorded)
        lacking = list(islice(lost, _MOST_NAMED))
    if not lacking:
        return []
    names = first_few(lacking, _MOST_NAMED - 1)
    return [f"epoch {names}: not recorded by each of {processes} processes, left out"]


def _status(result: Row | None) -> str:
    if result is None:
        return "unfinished"
    status = result.get("status")
    return status if isinstance(status, str) else "unreadable"


def _failure(directory: RunDir) -> Json:
    """Return the reason of the first failing rank, for a run whose record was never closed."""
    try:
        return next((failure.get("reason") for failure in directory.failures()), None)
    except OSError:
        return None


def _spec_columns(spec: Row, done: Mapping[str, Json]) -> Row:
    """Return the columns of spec.json; the options in ``done``, of provenance.json, replace those of the spec."""
    stated = {key: value for key, value in _object(spec.get("stated")).items() if key in _TRAIN}
    train, resources = {**stated, **_object(spec.get("train")), **done}, _object(spec.get("resources"))
    program = spec.get("program")
    row: Row = {key: spec.get(key) for key in ("study", "kind", "name", "repeat", "site", "hpcnn")}
    row |= {key: train.get(key) for key in _TRAIN} | {key: resources.get(key) for key in _RESOURCES}
    row["program"] = shlex.join(map(str, program)) if isinstance(program, list) else program
    row |= _prefixed("point_", spec.get("point"))
    # an empty table or list was not given: the same row as from a version of hpcnn without this option
    own = {key: value for key, value in train.items() if key not in (*_TRAIN, *_IMPLIED) and value not in ({}, [])}
    return row | _prefixed("train_", own)


def _provenance_columns(provenance: Row, asked: Row) -> Row:
    """Return the columns of provenance.json, completed by those of the spec."""
    hosts = facts_by_rank(provenance.get("hosts"))
    names = {host.get("host") for host in hosts}
    devices = [host.get("device") for host in hosts] + _list(provenance.get("devices"))
    model, versions = _object(provenance.get("model")), _object(provenance.get("versions"))
    return {
        "world_size": provenance.get("world_size"),
        "nodes": _first(asked["nodes"], len(names) or None),
        "samples": _first(provenance.get("samples"), asked["samples"]),
        "batch_size": _first(provenance.get("global_batch_size"), asked["batch_size"]),
        "model": _first(asked["model"], model.get("name")),
        "parameters": model.get("parameters"),
        "trainable": model.get("trainable"),
        "tensors": _first(model.get("messages"), model.get("tensors")),
        "allreduce_bytes": model.get("allreduce_bytes"),
        **{key: model.get(key) for key in _WORK},
        "threads": provenance.get("threads"),
        "host": _distinct(names, ","),
        "host_cores": max((host["cores"] for host in hosts if type(host.get("cores")) is int), default=None),
        "host_gpus": _gpus_of_a_host(hosts),
        "cpu_model": _distinct((host.get("cpu_model") for host in hosts), " + "),
        "device": _distinct(map(_device_name, devices), " + "),
        "hpcnn": _first(asked["hpcnn"], versions.get("hpcnn")),
        **_prefixed("version_", versions),
    }


def _gpus_of_a_host(hosts: Sequence[Mapping[str, Json]]) -> int | None:
    """Return the most GPUs that the ranks of one host see: those that one rank sees, or one a rank where each has one.

    None on hosts without GPUs.
    """
    seen: dict[Json, list[int]] = {}
    for host in hosts:
        gpus = [name for name in _list(host.get("devices")) if "GPU" in str(name)]
        if gpus:
            seen.setdefault(str(host.get("host")), []).append(len(gpus))
    return max((max(len(counts), *counts) for counts in seen.values()), default=None)


def _held_columns(spec: Row, provenance: Row, run: Row) -> Row:
    """Return the cores and GPUs that the job held, as far as Slurm or the spec says so.

    Several runs may share an allocation that was not made for them, and they have the site "local": what Slurm says of
    it says nothing of one of them.
    """
    resources, slurm = _object(spec.get("resources")), _object(provenance.get("slurm"))
    own = slurm if run["site"] != "local" else {}
    nodes = run["nodes"] if isinstance(run["nodes"], int) else 1
    of_node = _first(_whole(own.get("SLURM_GPUS_ON_NODE")), resources.get("gpus_per_node"))
    cores = [_CPUS_OF_NODES.fullmatch(part) for part in str(own.get("SLURM_JOB_CPUS_PER_NODE", "")).split(",")]
    counts = [int(found[1]) * int(found[2] or 1) for found in cores if found]
    return {
        "cores_held": sum(counts) if counts and len(counts) == len(cores) else None,
        "gpus_held": of_node * nodes if isinstance(of_node, int) else None,
    }


def _whole(value: Json) -> int | None:
    return int(value) if str(value).isdecimal() else None


def _result_columns(result: Row) -> Row:
    """Return the columns of result.json."""
    test = _object(result.get("test"))
    row = {key: result.get(key) for key in _RESULT}
    return row | {"test_accuracy": test.get("accuracy"), "test_loss": test.get("loss")}


def _shown(value: Json) -> Json:
    """Return a value in which no text can steer a terminal."""
    if isinstance(value, str):
        return visible(value)
    if isinstance(value, list):
        return [_shown(item) for item in value]
    if isinstance(value, dict):
        return {visible(str(key)): _shown(item) for key, item in value.items()}
    return value


def _first(*values: Json) -> Json:
    """Return the first value that is not None."""
    return next((value for value in values if value is not None), None)


def _device_name(device: Json) -> Json:
    return device.get("name") if isinstance(device, dict) else device


def _distinct(names: Iterable[Json], separator: str) -> str | None:
    """Return the distinct names, sorted, in one text."""
    return separator.join(sorted({str(name) for name in names if name})) or None


def _prefixed(prefix: str, values: Json) -> Row:
    return {f"{prefix}{key}": value for key, value in _object(values).items()}


def _object(value: Json) -> Mapping[str, Json]:
    return value if isinstance(value, dict) else {}


def _list(value: Json) -> list[Json]:
    return value if isinstance(value, list) else []
