"""Exports of a report's runs for other tools: Extra-P, Thicket, MLPerf's log format, and an archive."""

from __future__ import annotations

import json
import math
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from hpcnn.analysis.archive import write_archive
from hpcnn.analysis.fits import times_of
from hpcnn.analysis.measured import counted_runs
from hpcnn.analysis.series import runs_of, scaling_series
from hpcnn.report.caliper import write_caliper
from hpcnn.rundir.layout import RunDir
from hpcnn.util.errors import UsageError
from hpcnn.util.files import read_lines, write_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import pandas as pd

    from hpcnn.analysis.load import RunData
    from hpcnn.util.types import Json

_METRIC = "seconds_per_epoch"


def export(form: str, file: Path, data: RunData, table: pd.DataFrame, warmup: int = 1) -> None:
    """Write ``file`` in one of FORMS. Raises UsageError where that is impossible."""
    try:
        FORMS[form](file, data, table, warmup)
    except OSError as error:
        raise UsageError(f"--export: {str(error.filename or file)!r}: {error.strerror}") from error


def _check_event(path: Path, event: dict[str, Json]) -> None:
    """Raise UsageError for an event without what a line of the log needs."""
    try:
        datetime.fromisoformat(str(event["time"]).replace("Z", "+00:00"))
        whole = math.isfinite(float(event["seconds"])) and isinstance(event["key"], str)
    except (KeyError, TypeError, ValueError):
        whole = False
    if not whole or not isinstance(event.get("metadata") or {}, dict):
        raise UsageError(f"--export: {path}: events.jsonl is damaged: {json.dumps(event)[:100]}")


def _series(data: RunData, table: pd.DataFrame, warmup: int) -> dict[str, dict[int, list[float]]]:
    """Return ranks to the median epoch seconds of each run, of each series by its label."""
    found = {
        label: {int(ranks): own.tolist() for ranks, own in times_of(runs_of(data, rows, warmup)).items()}
        for label, rows in scaling_series(table)
    }
    if not found:
        raise UsageError("--export: Extra-P models series of strong or weak scaling, and there is none")
    return found


def _extrap_json(file: Path, data: RunData, table: pd.DataFrame, warmup: int) -> None:
    measurements = {
        label: {_METRIC: [{"point": [ranks], "values": values} for ranks, values in sizes.items()]}
        for label, sizes in _series(data, table, warmup).items()
    }
    write_text(file, json.dumps({"parameters": ["ranks"], "measurements": measurements}, indent=2) + "\n")


def _extrap_text(file: Path, data: RunData, table: pd.DataFrame, warmup: int) -> None:
    """Write Extra-P's text: it has one list of points, which holds for all series."""
    series = _series(data, table, warmup)
    points, *others = [list(sizes) for sizes in series.values()]
    if any(other != points for other in others):
        raise UsageError(
            "--export: the text of Extra-P holds series of the same sizes alone; use extrap-json, or name one study"
        )
    lines = ["PARAMETER ranks", f"POINTS {' '.join(f'({ranks})' for ranks in points)}", f"METRIC {_METRIC}"]
    for label, sizes in series.items():
        lines.append(f"REGION {label}")
        lines += [f"DATA {' '.join(map(repr, values))}" for values in sizes.values()]
    write_text(file, "\n".join(lines) + "\n")


def _mllog(file: Path, data: RunData, _: pd.DataFrame, warmup: int) -> None:
    lines = [line for run in counted_runs(data, warmup).to_dict("records") for line in _mllog_lines(run)]
    if not lines:
        raise UsageError("--export: no run has a log of events")
    write_text(file, "".join(f":::MLLOG {json.dumps(line)}\n" for line in lines))


def _mllog_lines(run: dict[object, object]) -> Iterator[dict[str, Json]]:
    """Yield the events of one run, whose name is the namespace, in the form of mlperf_logging 5."""
    path = Path(str(run["path"]))
    log = RunDir(path).events
    events = list(read_lines(log)) if log.is_file() else []  # hpcnn 0.1.0 wrote none
    if not events:
        return
    for event in events:
        _check_event(path, event)
    first = datetime.fromisoformat(str(events[0]["time"])).timestamp() - float(events[0]["seconds"])

    def line(key: str, seconds: float, value: Json, metadata: Json) -> dict[str, Json]:
        kind = {"start": "INTERVAL_START", "stop": "INTERVAL_END"}.get(key.rpartition("_")[2], "POINT_IN_TIME")
        at = round(1000 * (first + seconds))
        words = {"namespace": path.name, "time_ms": at, "event_type": kind, "key": key, "value": value}
        return {**words, "metadata": metadata}

    for key, column in (("submission_benchmark", "model"), ("global_batch_size", "batch_size"), ("seed", "seed")):
        yield line(key, 0.0, json.loads(json.dumps(run[column], default=str)), {})
    epoch = 0
    for event in events:
        key, value, metadata = str(event["key"]), event.get("value"), event.get("metadata") or {}
        seconds = float(event["seconds"])
        if key.startswith(("epoch_", "eval_")):
            epoch = value if isinstance(value, int) else epoch
            metadata = {**metadata, "epoch_num": epoch}
        if key == "run_stop":
            metadata = {**metadata, "status": "success" if value == "completed" else "aborted"}
        yield line(key, seconds, value, metadata)
        if key == "eval_stop" and "accuracy" in metadata:
            yield line("eval_accuracy", seconds, metadata["accuracy"], {"epoch_num": epoch})


def _archive(file: Path, data: RunData, _: pd.DataFrame, warmup: int) -> None:
    write_archive([Path(path) for path in data.runs["path"]], file)


FORMS: dict[str, Callable[[Path, RunData, pd.DataFrame, int], None]] = {
    "extrap-text": _extrap_text,
    "extrap-json": _extrap_json,
    "thicket": write_caliper,
    "mllog": _mllog,
    "archive": _archive,
}
