"""All causes looked for in all rows of a scaling table, the costliest first. Must not know what a cause is."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from hpcnn.analysis.diagnose.evidence import evidence_of
from hpcnn.analysis.diagnose.finding import GOOD, Finding
from hpcnn.analysis.diagnose.machine import find_imbalance, find_oversubscription, find_superlinear
from hpcnn.analysis.diagnose.parts import find_communication, find_compute, find_input, find_overhead, find_unsplit
from hpcnn.analysis.scaling import TABLE
from hpcnn.analysis.table_runs import Behind, behind
from hpcnn.util.text import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from hpcnn.analysis.load import RunData

__all__ = ["Finding", "findings", "verdict"]

CAUSES = (
    find_input,
    find_communication,
    find_imbalance,
    find_oversubscription,
    find_compute,
    find_overhead,
    find_superlinear,
    find_unsplit,
)

_SEVERITIES = ("high", "medium", "low")


def findings(data: RunData, table: pd.DataFrame, warmup: int = 1, of: Behind | None = None) -> list[Finding]:
    """Return why the rows of a scaling ``table`` of ``data`` are below their ideal: the most severe first.

    One finding a kind and table: of the row that it costs most, with the number of other rows that have it too. Where
    hosts and options matter, the run directories are looked at again; without them those causes are not found.
    of: what is ``behind`` the table, where that is known already.
    """
    if table.empty:
        return []
    worst: dict[tuple[object, ...], list[Finding]] = {}
    for evidence in evidence_of(table, of or behind(data, table, warmup)):
        for cause in CAUSES:
            if (found := cause(evidence)) is not None:
                worst.setdefault((found.kind, *(evidence.row[key] for key in TABLE)), []).append(found)
    told = [_costliest(alike) for alike in worst.values()]
    return sorted(told, key=lambda found: (_SEVERITIES.index(found.severity), -found.lost, found.kind, found.where))


def verdict(found: Sequence[Finding], table: pd.DataFrame) -> str:
    """Return one sentence on what was looked for and found, also where that is nothing."""
    if found:
        return f"{counted(len(found), 'reason')} found, the costliest first."
    compared = table[table["efficiency"].notna() & ~table["base"]] if len(table) else table
    if compared.empty:
        return "Nothing to diagnose: no row of strong or weak scaling has a base case of another size."
    if (compared["efficiency"] >= GOOD).all():
        return f"Nothing found: every row has an efficiency of {GOOD:.0%} or more."
    return (
        f"Nothing found: {counted(int((compared['efficiency'] < GOOD).sum()), 'row')} below {GOOD:.0%} efficiency, "
        "and no single cause that costs enough to be told from noise."
    )


def _costliest(alike: Sequence[Finding]) -> Finding:
    first = max(alike, key=lambda found: (found.lost, found.where))
    more = len(alike) - 1
    if not more:
        return first
    return replace(first, words=f"{first.words} The same holds for {counted(more, 'other row')} of this table.")
