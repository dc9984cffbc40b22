"""Comparison of two results of one benchmark, as ``benchmarks/*.py --json`` wrote them.

Each value is one measurement (a training, a start of a command), so the values are the repeats of ``compare``.
"""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from hpcnn.analysis.compare import compare, relative_shift, together
from hpcnn.stats.medians import CONFIDENCE
from hpcnn.util.errors import UsageError
from hpcnn.util.files import read_json

if TYPE_CHECKING:
    from hpcnn.util.types import Json


def compare_benchmarks(a: Path, b: Path, confidence: float = CONFIDENCE, allowed: float = 0.0) -> pd.DataFrame:
    """Return one row for each case and way that both files have.

    Columns: ``case``, ``way``, ``unit``; ``runs_a``, ``runs_b`` (values); ``median_a``, ``median_b``; ``change``
    (b/a - 1, of these); those of ``Comparison``, in the unit; ``slower``: by which fraction B takes longer, or
    more (-0.5: half as long), for a rate as for a time, with ``slower_low``, ``slower_high`` and ``p_allowed`` of
    ``compare.relative_shift``; ``p_holm`` of ``compare.together``. Raises UsageError for a file that no benchmark
    wrote, for files of two benchmarks, and where nothing matches.
    """
    one, other = _read("A", a), _read("B", b)
    if one["benchmark"] != other["benchmark"]:
        raise UsageError(f"A and B are of two benchmarks, {one['benchmark']} and {other['benchmark']}")
    found = {_key(result): result["values"] for result in other["results"]}
    rows = [
        {
            **dict(zip(("case", "way", "unit"), key, strict=True)),
            **_row(result["values"], found[key], key[2], confidence, allowed),
        }
        for result in one["results"]
        if (key := _key(result)) in found and result["values"] and found[key]
    ]
    if not rows:
        raise UsageError("A and B have no case, way and unit in common")
    return together(pd.DataFrame(rows), confidence)


def _key(result: dict[str, Json]) -> tuple[str, str, str]:
    return result["case"], result["way"], result["unit"]


def _row(a: list[float], b: list[float], unit: str, confidence: float, allowed: float) -> dict[str, Json]:
    one, other = statistics.median(a), statistics.median(b)
    is_rate = unit.endswith("/s")
    relative = relative_shift(a, b, confidence, allowed, rate=is_rate)
    ratio = other / one if one else float("nan")
    return {
        "runs_a": len(a),
        "runs_b": len(b),
        "median_a": one,
        "median_b": other,
        "change": ratio - 1,
        "slower": (1 / ratio if is_rate and ratio else ratio) - 1,
        "slower_low": relative.low,
        "slower_high": relative.high,
        "p_allowed": relative.p_allowed,
        **compare(a, b, confidence, unit, "faster" if is_rate else "slower" if unit == "s" else "larger")._asdict(),
    }


def _read(name: str, file: Path) -> dict[str, Json]:
    record = read_json(file)
    if record is None or not {"benchmark", "machine", "results"} <= record.keys():
        raise UsageError(f"{name}: {str(file)!r} is no folder of runs, and no file that a benchmark wrote (--json)")
    return record
