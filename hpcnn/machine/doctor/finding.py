"""One row of the doctor's answer. Knows nothing of what is looked at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Finding:
    """What was looked at, what was found, whether that is well, and what to do where it is not.

    status: ``missing`` is for what is not there (or not usable), ``warning`` for what would spoil a run, ``error`` for
    two things that do not go together.
    """

    check: str
    value: str
    status: Literal["ok", "warning", "missing", "error"] = "ok"
    advice: str = ""
