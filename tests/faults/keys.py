"""Give hostile values to every key of every file that a user writes or hpcnn records, drawn by Hypothesis.

The commands that read the file may refuse it, with a message. Scripts that they print are run.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from hpcnn.search.spec import Options, SearchFile
from hpcnn.sites.profile import Site
from hpcnn.specs.resources import Resources
from hpcnn.specs.software import SoftwareSpec
from hpcnn.specs.study import StudySpec
from hpcnn.specs.train import AugmentSpec, TrainSpec
from tests.faults.values import HOSTILE, LINES_OF_BASH, said_wrong

SLURM = "generic-slurm"
RUN_FILES = ("spec.json", "result.json", "provenance.json", "job.json", "epochs.rank00000.jsonl", "events.jsonl")
_texts = st.sampled_from(HOSTILE) | st.text(max_size=20)
_numbers = st.integers() | st.floats() | st.sampled_from([0, 1, -1, 2**62, 2**63 - 1, 10**9, 10**18])
_values = st.recursive(
    st.none() | st.booleans() | _numbers | _texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_texts, inner, max_size=3),
    max_leaves=6,
)


@dataclass(frozen=True)
class File:
    """A kind of file: its path, a content, the keys of each table ("" is the outermost), and commands that read it."""

    name: str
    base: dict[str, Any]
    keys: dict[str, tuple[str, ...]]
    commands: tuple[tuple[str, ...], ...]


def _of(*specs: type) -> tuple[str, ...]:
    return tuple(field.name for spec in specs for field in fields(spec) if field.name not in LINES_OF_BASH)


_TABLES = {
    "train": _of(TrainSpec),
    "train.augment": _of(AugmentSpec),
    "train.model_args": ("units",),
    "resources": _of(Resources),
    "resources.sbatch": ("comment", "gres"),
    "software": _of(SoftwareSpec),
    "software.env": ("A", "PATH"),
}
_TRAIN = {"model": "scinet-beach", "data": "beach", "epochs": 2}
_DRY = ("submit", "--dry-run", "--run-dir", "run", "--site")

FILES: dict[str, File] = {
    "a study": File(
        "study.toml",
        {"name": "own", "train": _TRAIN, "axes": {"learning_rate": [0.1, 0.2]}},
        {"": _of(StudySpec), **_TABLES, "axes": (*_of(TrainSpec, Resources), "model.units", "augment.zoom")},
        (
            ("study", "run", "study.toml", "--dry-run"),
            ("study", "submit", "study.toml", "--site", SLURM, "--dry-run", "--scripts"),
        ),
    ),
    "a study of a program": File(
        "study.toml",
        {"name": "own", "program": ["true"], "axes": {"ntasks": [1, 2]}},
        {"": _of(StudySpec), "train": ("strategy", "batch_size", "samples"), "axes": _of(Resources)}
        | {key: names for key, names in _TABLES.items() if not key.startswith("train")},
        (
            ("study", "run", "study.toml", "--dry-run"),
            ("study", "submit", "study.toml", "--site", SLURM, "--dry-run", "--scripts"),
        ),
    ),
    "a search": File(
        "search.toml",
        {"name": "own", "search": {"method": "grid"}, "train": _TRAIN, "space": {"learning_rate": [0.1, 0.2]}},
        {"": _of(SearchFile), "search": _of(Options), **_TABLES, "space": (*_of(TrainSpec), "model.units")},
        (
            ("search", "run", "search.toml", "--dry-run"),
            ("search", "submit", "search.toml", "--site", SLURM, "--dry-run"),
        ),
    ),
    "a site": File(
        "config/sites/own.toml",
        {"scheduler": "slurm"},
        {"": _of(Site), "environment": ("A", "PATH"), "environment_gpu": ("A",), "sources": _of(Site)},
        (
            ("sites", "check", "config/sites/own.toml"),
            ("sites", "show", "own", "--origin"),
            (*_DRY, "own", "--", "true"),
            (*_DRY, "own", "--nodes", "2", "--gpus-per-node", "1", "--model", "scinet-cnn1"),
            ("interact", "--site", "own", "--dry-run"),
        ),
    ),
    "defaults": File(
        "hpcnn.toml",
        {"account": "a"},
        {"": (*_of(TrainSpec, Resources, SoftwareSpec), "runs", "site", "webhook"), **_TABLES},
        (("config",), (*_DRY, "local", "--", "true"), (*_DRY, SLURM)),
    ),
}


def _run_file(name: str) -> File:
    reading = ("status runs/run", "runs runs", "scaling-report runs --format csv", "logs runs/run")
    again = ("resume", "runs/run", "--dry-run")
    return File(f"runs/run/{name}", {}, {}, (*(tuple(words.split()) for words in reading), again))


FILES |= {name: _run_file(name) for name in RUN_FILES}


def campaign(name: str, place: Path, count: int, number: int) -> tuple[int, list[str]]:
    """Try so many contents of a kind of file; return how many were tried, and what was wrong. number: the seed."""
    file, folder = FILES[name], place / "keys"
    wrong: list[str] = []
    tried = 0

    @seed(number)
    @settings(
        max_examples=count,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(st.data())
    def attempt(data: st.DataObject) -> None:
        nonlocal tried
        tried += 1
        shutil.rmtree(folder, ignore_errors=True)
        (folder / file.name).parent.mkdir(parents=True)
        content = _content(file, place, folder, data.draw)
        (folder / file.name).write_bytes(content.encode("utf-8", "surrogatepass"))
        with _in(folder):
            for words in file.commands:
                if said := said_wrong(words):
                    wrong.append(f"{name}: {' '.join(words)}: {said}: {content[:600]!r}")

    attempt()
    return tried, wrong


@contextlib.contextmanager
def _in(folder: Path) -> Any:
    before = Path.cwd(), os.environ.get("HPCNN_CONFIG")
    os.chdir(folder)
    os.environ["HPCNN_CONFIG"] = str(folder / "config")
    try:
        yield
    finally:
        os.chdir(before[0])
        os.environ["HPCNN_CONFIG"] = before[1] or ""


def _content(file: File, place: Path, folder: Path, draw: Callable[[Any], Any]) -> str:
    """Return the content of a file in which some keys have other values; some of the keys are none."""
    if file.keys:
        table = json.loads(json.dumps(file.base))
        for _ in range(draw(st.integers(1, 2))):
            section = draw(st.sampled_from(sorted(file.keys)))
            key = draw(st.sampled_from(file.keys[section]) | _texts)
            holder = table
            for part in filter(None, section.split(".")):
                holder = holder.setdefault(part, {}) if isinstance(holder, dict) else {}
            if isinstance(holder, dict):
                holder[key] = draw(_values)
        return _toml(table)
    run = folder / "runs" / "run"
    shutil.copytree(place / "oracle", run, dirs_exist_ok=True)
    job_record = {"schema": 1, "job_id": None, "site": "local", "submitted_at": "2026-01-01T00:00:00Z"}
    (run / "job.json").write_text(json.dumps(job_record))
    if not (run / "spec.json").read_text().count('"site": "'):
        own = json.loads((run / "spec.json").read_text())
        job = {"site": "local", "name": "a", "resources": {"ntasks": 1}, "software": {"env": {}}, "program": None}
        (run / "spec.json").write_text(json.dumps({**own, **job, "seal": None}))
    lines = (folder / file.name).read_text().splitlines() if file.name.endswith("l") else []
    number = draw(st.integers(0, len(lines) - 1)) if lines else 0
    record = json.loads(lines[number] if lines else (folder / file.name).read_text())
    for _ in range(draw(st.integers(1, 2))):
        holder, key = draw(st.sampled_from(list(_places(record))))
        holder[key if not isinstance(key, str) or draw(st.booleans()) else draw(_texts)] = draw(_values)
    return "\n".join([*lines[:number], json.dumps(record), *lines[number + 1 :]])


def _places(record: Any) -> Any:
    items = record.items() if isinstance(record, dict) else enumerate(record) if isinstance(record, list) else ()
    for key, value in items:
        yield record, key
        yield from _places(value)


def _toml(value: Any, *, outer: bool = True) -> str:
    """Write a value as TOML has it; what TOML lacks, as a string."""
    if outer:
        return "".join(f"{json.dumps(key)} = {_toml(item, outer=False)}\n" for key, item in value.items())
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {_toml(item, outer=False)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_toml(item, outer=False) for item in value) + "]"
    if isinstance(value, float) and not math.isfinite(value):
        return "nan" if math.isnan(value) else "inf" if value > 0 else "-inf"
    return '"null"' if value is None else json.dumps(value)
