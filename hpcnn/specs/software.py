"""What the ranks of a job run in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hpcnn.specs.fields import NO_KEYS, field


@dataclass(frozen=True)
class SoftwareSpec:
    """What the ranks run in: a container or modules, and their environment."""

    container: str | None = field(None, "Container image (SIF) that the ranks run in.")
    bind: tuple[str, ...] = field((), "Folder that the container sees, SRC[:DEST]; may be repeated.")
    module: tuple[str, ...] = field((), "Module to load after the site's own; may be repeated.")
    env: dict[str, Any] = field(NO_KEYS, "Variable that the job exports; may be repeated.", texts=True)
