"""The result of one check of the doctor. Must not import the checks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Finding:
    """A check, the value found, its status, and advice if the status is not ``ok``.

    status: ``missing`` for software that is missing or unusable, ``warning`` for a setting that would spoil a run,
    ``error`` for two parts that are incompatible.
    """

    check: str
    value: str
    status: Literal["ok", "warning", "missing", "error"] = "ok"
    advice: str = ""
