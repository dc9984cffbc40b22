"""A finding, and the thresholds and texts that all causes share. Must not import a cause."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hpcnn.analysis.table_runs import submit_command
from hpcnn.util.text import counted, significant

if TYPE_CHECKING:
    from hpcnn.analysis.diagnose.evidence import Evidence
    from hpcnn.util.types import Json

# A part becomes a finding if it costs at least this fraction of the epoch: half of the loss at an efficiency of 90 %,
# which Horovod's authors report for 512 GPUs and users take for normal.
LEAST_LOST = 0.05
# A row with this efficiency or more needs no explanation.
GOOD_EFFICIENCY = 0.90
# Fraction of the epoch from which a finding is of medium and of high severity.
MEDIUM, HIGH = 0.10, 0.25


@dataclass(frozen=True)
class Finding:
    """One reason for an efficiency below ideal, or above it.

    kind: input, latency, bandwidth, communication, imbalance, oversubscription, compute, overhead, superlinear or
    unsplit. severity: high, medium or low. words: for people. numbers: its reasons (seconds, bytes, fractions).
    command: what to try, empty where a finding before it says the same. where: the row. lost: the fraction of the epoch
    that it costs, by which findings are ordered.
    """

    kind: str
    severity: str
    words: str
    numbers: dict[str, float]
    command: str
    where: str = ""
    lost: float = 0.0


def where_of(e: Evidence) -> str:
    """Return the study, ranks and nodes of a row."""
    nodes = f" on {counted(e.row['nodes'], 'node')}" if e.row.get("nodes") else ""
    return f"{e.row['study'] or 'runs of no study'}, {counted(e.row['ranks'], 'rank')}{nodes}"


def is_inefficient(e: Evidence) -> bool:
    """Return whether a row needs an explanation: it is no base case, and its efficiency is low or missing."""
    return not e.row["base"] and (e.row["efficiency"] is None or e.row["efficiency"] < GOOD_EFFICIENCY)


def is_costly(e: Evidence, part: str) -> bool:
    """Return whether a part of the epoch costs so much beyond its ideal that it is a finding."""
    return is_inefficient(e) and e.lost.get(part, 0.0) >= LEAST_LOST


def finding_of(e: Evidence, kind: str, part: str, words: str, numbers: dict[str, float], **changes: Json) -> Finding:
    """Return the finding that a ``part`` of the epoch costs too much; ``changes``: options of the command to try."""
    lost = e.lost[part]
    own = {
        "seconds": e.parts[part],
        "share": e.parts[part] / e.seconds,
        "lost": lost,
        "efficiency": e.row["efficiency"],
    }
    command = submit_command(e.path, **changes) if changes else None
    best = _best_efficiency(e)
    if best is not None and best >= GOOD_EFFICIENCY:
        words += f" Its interval allows for an efficiency of up to {best:.0%}: it may be noise."
        own["efficiency_at_most"] = best
    return Finding(kind, severity_of(lost), words, {**own, **numbers}, command or "hpcnn doctor", where_of(e), lost)


def severity_of(lost: float) -> str:
    """Return high, medium or low for a fraction of the epoch that is lost."""
    return "high" if lost >= HIGH else "medium" if lost >= MEDIUM else "low"


def _best_efficiency(e: Evidence) -> float | None:
    """Return the upper end of the efficiency's interval; None where there is none."""
    high = e.row["efficiency_high"]
    return None if high is None else float(high)


def time_text(seconds: float) -> str:
    """Return seconds for people: 1.51 ms, 0.580 s, 12.0 s."""
    return f"{significant(seconds)} s" if seconds >= 0.1 else f"{significant(1000 * seconds)} ms"


def bytes_text(number: float) -> str:
    """Return bytes for people: 92 bytes, 36.0 kB, 1.16 MB."""
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if number >= size:
            return f"{significant(number / size)} {unit}"
    return f"{number:.0f} bytes"
