"""``hpcnn study status``: show the progress of a study, from its records and one query of Slurm."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING

import click

from hpcnn.cli import top
from hpcnn.cli.grouped import GroupedCommand
from hpcnn.cli.output import format_option, say
from hpcnn.cli.study_options import folder_of, read_study, study_options
from hpcnn.util.errors import UsageError
from hpcnn.util.table import Column, emit
from hpcnn.util.types import Json

if TYPE_CHECKING:
    from pathlib import Path

    from hpcnn.study.states import RunState


@click.command(
    "status",
    cls=GroupedCommand,
    epilog=(
        "\b\nExamples:\n"
        "  hpcnn study status strong_scaling --site narval\n"
        "  hpcnn study status runs/strong_scaling --each"
    ),
)
@click.argument("study")
@click.option("--site", default=None, help="Site profile.  [default: that of the runs that are there]")
@study_options
@click.option("--each", is_flag=True, help="A row for each run instead of one for each point.")
@click.option("--watch", is_flag=True, help="Show the runs live, as `hpcnn top` does.")
@click.option("--check", is_flag=True, help="Exit with status 1 unless all runs are completed.")
@format_option
def command(
    study: str,
    site: str | None,
    folder: str | None,
    changes: tuple[str, ...],
    each: bool,
    watch: bool,
    check: bool,
    fmt: str,
    **options: object,
) -> None:
    """Show what became of the runs of STUDY: its file, with the changes it was run with, or the folder of its runs.

    A file says which runs are missing; a folder shows those that are there.
    """
    from pathlib import Path

    from hpcnn.study.states import look, with_causes

    if Path(study).is_dir():
        points = _points_in(Path(study), site, changes, options)
        title = str(Path(study).absolute())
    else:
        points, title = _points_of(study, site, folder, changes, options)
    if watch:
        top.watch(tuple(str(path) for path in points if path.exists()))
        return
    states = with_causes(look(points))
    rows = _by_run(states, points) if each else _by_point(states, points)
    emit(rows, fmt, _columns(rows, states, each), title=f"{title}: {_counts(states)}")
    if fmt == "table" and not each:
        _print_reasons(states)
    if check and any(state.status != "completed" for state in states):
        sys.exit(1)


def _points_of(
    file: str, site: str | None, folder: str | None, changes: tuple[str, ...], options: dict[str, object]
) -> tuple[dict[Path, str], str]:
    """Return run directory -> point for all runs of a study file, and a title."""
    from hpcnn.sites.load import load_site
    from hpcnn.study.expand import expand

    study = read_study(file, changes, options)
    place = folder_of(study, folder)
    name = site or _site_in(place)
    load_site(name)
    points = {place / run.run_id: _name(run.job.point) for run in expand(study, name)}
    return points, f"{study.name} ({study.kind}) in {place}"


def _site_in(place: Path) -> str:
    """Return the site of the runs in a folder. Raises UsageError if they have several."""
    from hpcnn.study.states import runs_in

    found = sorted({str(_spec(path).get("site")) for path in runs_in(place)})
    if len(found) > 1:
        raise UsageError(f"--site: {place} holds runs of {', '.join(found)}: name one")
    return found[0] if found else "local"


def _points_in(folder: Path, site: str | None, changes: tuple[str, ...], options: dict[str, object]) -> dict[Path, str]:
    """Return run directory -> point for the runs in a folder."""
    from hpcnn.study.states import runs_in

    if site or changes or any(value not in (None, ()) for value in options.values()):
        raise UsageError(f"{folder}: a folder shows the runs that are there; to change the study, name its file")
    found = {path.absolute(): _name(_spec(path).get("point") or {}) for path in runs_in(folder)}
    if not found:
        raise UsageError(f"{folder}: there is no run in this folder")
    return found


def _spec(path: Path) -> dict[str, Json]:
    from hpcnn.rundir.layout import RunDir
    from hpcnn.util.files import read_json

    try:
        return read_json(RunDir(path).spec) or {}
    except PermissionError:
        return {}  # the state of such a run says why


def _name(point: Mapping[str, Json]) -> str:
    import json

    plain = (value if isinstance(value, str) else json.dumps(value, default=str) for value in point.values())
    return ", ".join(f"{key}={value}" for key, value in zip(point, plain, strict=True)) or "base"


def _by_point(states: list[RunState], points: Mapping[Path, str]) -> list[dict[str, Json]]:
    from hpcnn.study.states import STATUSES

    rows: dict[str, dict[str, Json]] = {}
    for state in states:
        point = points[state.run.path]
        row = rows.setdefault(point, {"point": point, "runs": 0, **dict.fromkeys(STATUSES, 0)})
        row["runs"] += 1
        row[state.status] += 1
    return list(rows.values())


def _by_run(states: list[RunState], points: Mapping[Path, str]) -> list[dict[str, Json]]:
    return [
        {
            "run": state.run.path.name,
            "point": points[state.run.path],
            "status": state.status,
            "job_id": state.job_id,
            "elapsed": state.job.elapsed or None if state.job else None,
            "start": state.job.start or None if state.job else None,
            "reason": state.reason,
            "path": str(state.run.path),
        }
        for state in states
    ]


def _columns(rows: list[dict[str, Json]], states: list[RunState], each: bool) -> list[Column]:
    from hpcnn.study.states import STATUSES

    if not each:
        there = [status for status in STATUSES if any(state.status == status for state in states)]
        counts = [Column(status, status, show=lambda count: str(count or "-"), right=True) for status in there]
        return [Column("point", "point"), Column("runs", "runs", right=True), *counts]
    filled = [key for key in ("job_id", "elapsed", "reason") if any(row[key] for row in rows)]
    headings = {"job_id": "job", "elapsed": "elapsed", "reason": "reason"}
    return [Column("run", "run"), Column("status", "status"), *(Column(key, headings[key]) for key in filled)]


def _counts(states: list[RunState]) -> str:
    from hpcnn.study.states import STATUSES

    counts = ((status, sum(state.status == status for state in states)) for status in STATUSES)
    return f"{len(states)} runs: " + ", ".join(f"{count} {status}" for status, count in counts if count)


def _print_reasons(states: list[RunState]) -> None:
    """Print each reason once, with the number of runs and the first of them."""
    found: dict[str, list[str]] = {}
    for state in states:
        if state.reason and not state.alive:
            found.setdefault(f"{state.status}: {state.reason}", []).append(state.run.path.name)
    for reason, names in found.items():
        others = f" and {len(names) - 1} more" if len(names) > 1 else ""
        say(f"{reason} ({names[0]}{others})")
