"""The rules by which a report made its tables, and the parts of titles and captions that all tables share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hpcnn.report.views.view import records, same_and_varying
from hpcnn.util.text import counted

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pandas as pd

    from hpcnn.report.views.view import Row

# An interval that holds the truth less often than this is not shown to people.
LEAST_COVERAGE = 0.9


@dataclass(frozen=True)
class Rules:
    """The rules of a table, for its caption. ``by``: the columns that separate tables, None for the default."""

    warmup: int = 1
    confidence: float = 0.95
    drop_outliers: bool = False
    by: tuple[str, ...] | None = None

    @property
    def tables(self) -> list[str]:
        """The columns that separate tables."""
        from hpcnn.analysis.configuration import TABLE

        return TABLE if self.by is None else list(dict.fromkeys([*self.by, "kind"]))


def tables_of(table: pd.DataFrame, rules: Rules) -> Iterator[tuple[list[Row], str, list[str]]]:
    """Yield the rows of each part of ``table`` that is shown as a table of its own, with their settings.

    These are what all its rows have in common, in words, and the names of the others.
    """
    for _, part in table.groupby(rules.tables, dropna=False):
        rows = records(part)
        yield rows, *same_and_varying(rows, settings(rows[0], rules.tables))


def settings(row: Row, tables: Sequence[str]) -> list[str]:
    """Return the keys of the configuration, without the size: those before the first key of a result."""
    from hpcnn.analysis.base import SIZE

    keys = list(row)
    first = min(keys.index(key) for key in ("runs", "target") if key in keys)
    return [key for key in keys[:first] if key not in (*tables, *SIZE)]


def placement(rows: Sequence[Row], varying: Sequence[str]) -> list[str]:
    """Return ``nodes`` where they tell rows apart that ranks and settings alone do not, else nothing."""

    def kinds(*keys: str) -> int:
        return len({tuple(str(row[key]) for key in keys) for row in rows})

    return ["nodes"] if kinds("ranks", "nodes", *varying) > kinds("ranks", *varying) else []


def size(row: Row, placed: Sequence[str]) -> str:
    """Return the ranks of a row in words, with its nodes where it is ``placed``."""
    nodes = f" on {counted(row['nodes'], 'node')}" if placed and row["nodes"] else ""
    return counted(row["ranks"], "rank") + nodes


def title(rows: Sequence[Row], what: str) -> str:
    """Return the title of a table: study, model, data and processor, as far as all rows have the same."""
    one = {key: row[key] for row in rows[:1] for key in row if all(other[key] == row[key] for other in rows)}
    study = "Several studies" if "study" not in one else one["study"] or "Runs of no study"
    model = one.get("model") or one.get("program")
    of = f" of {model}" if model else ""
    data = f" on {one['data']}" if one.get("data") else ""
    machine = [one["cpu_model"] or "unknown processor"] if "cpu_model" in one else []
    if one.get("device") not in (None, "CPU"):
        machine.append(one["device"])
    return f"{study}: {what}{of}{data}" + (f"; {', '.join(machine)}" if machine else "")


def warm_up(epochs: int) -> str:
    """Return how many epochs are left out at the beginning, in words."""
    named = {0: "no warm-up epoch left out", 1: "warm-up epoch left out"}
    return named.get(epochs, f"{epochs} warm-up epochs left out")


def interval_rule(rows: Sequence[Row], confidence: float) -> list[str]:
    """Return which interval the rows have, and whether some have too few runs for it."""
    parts = []
    if any(row["interval"] for row in rows):
        parts.append("interval: exact, of the median over runs, with its true coverage")
    needed = rows[0]["runs_needed"]
    if any(row["runs"] < needed for row in rows):
        parts.append(f"too few runs: a {confidence * 100:.4g} % interval needs {needed}")
    return parts
