"""How the report writes numbers and names for people. Must not know what they mean."""

from __future__ import annotations

from typing import Any

import pandas as pd


def significant(value: float) -> str:
    """Return ``value`` with three significant digits, and from 100 on whole: 0.0321, 3.21, 1,234."""
    return f"{value:,.0f}" if abs(value) >= 99.95 else f"{value:#.3g}"


def counted(number: int, noun: str) -> str:
    """Return "1 run", "2 runs", "1,000 runs"."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def known(value: Any, unknown: str = "unset") -> str:
    """Return ``value`` as text, or ``unknown`` where it is missing."""
    return unknown if pd.isna(value) else str(value)
