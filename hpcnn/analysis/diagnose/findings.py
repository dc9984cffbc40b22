"""The findings of a scaling table: every cause applied to every row, the costliest finding first."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from hpcnn.analysis.diagnose.evidence import evidence_of
from hpcnn.analysis.diagnose.finding import GOOD_EFFICIENCY, Finding
from hpcnn.analysis.diagnose.machine import find_imbalance, find_oversubscription, find_superlinear
from hpcnn.analysis.diagnose.parts import find_communication, find_compute, find_input, find_overhead, find_unsplit
from hpcnn.analysis.scaling import TABLE
from hpcnn.analysis.table_runs import TableRuns, runs_of_table
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


def findings(data: RunData, table: pd.DataFrame, warmup: int = 1, table_runs: TableRuns | None = None) -> list[Finding]:
    """Return why the rows of a scaling ``table`` of ``data`` are below their ideal: the most severe first.

    One finding a kind and table: of the row that it costs most, with the number of other rows that have it too. Causes
    that depend on hosts and options read the run directories again, and are not found without them. table_runs: of
    ``runs_of_table``, where the caller has them.
    """
    if table.empty:
        return []
    worst: dict[tuple[object, ...], list[Finding]] = {}
    for evidence in evidence_of(table, table_runs or runs_of_table(data, table, warmup)):
        for cause in CAUSES:
            if (found := cause(evidence)) is not None:
                worst.setdefault((found.kind, *(evidence.row[key] for key in TABLE)), []).append(found)
    costliest = [_costliest(alike) for alike in worst.values()]
    return _each_command_once(
        sorted(costliest, key=lambda found: (_SEVERITIES.index(found.severity), -found.lost, found.kind, found.where))
    )


def verdict(found: Sequence[Finding], table: pd.DataFrame) -> str:
    """Return one sentence on the findings, also where there are none."""
    if found:
        return f"{counted(len(found), 'reason')} found, the costliest first."
    compared = table[table["efficiency"].notna() & ~table["base"]] if len(table) else table
    if compared.empty:
        return "Nothing to diagnose: no row of strong or weak scaling has a base case of another size."
    if (compared["efficiency"] >= GOOD_EFFICIENCY).all():
        return f"Nothing found: every row has an efficiency of {GOOD_EFFICIENCY:.0%} or more."
    below = int((compared["efficiency"] < GOOD_EFFICIENCY).sum())
    return (
        f"Nothing found: {counted(below, 'row')} below {GOOD_EFFICIENCY:.0%} efficiency, "
        "and no single cause that costs enough to be told from noise."
    )


def _each_command_once(found: Sequence[Finding]) -> list[Finding]:
    """Return the findings, each with a remark instead where one before it gives the same command."""
    given: set[str] = set()
    once = []
    for finding in found:
        if finding.command in given:
            words = f"{finding.words} The command of a finding above tries this too."
            finding = replace(finding, words=words, command="")
        given.add(finding.command)
        once.append(finding)
    return once


def _costliest(alike: Sequence[Finding]) -> Finding:
    first = max(alike, key=lambda found: (found.lost, found.where))
    more = len(alike) - 1
    if not more:
        return first
    return replace(first, words=f"{first.words} The same holds for {counted(more, 'other row')} of this table.")
