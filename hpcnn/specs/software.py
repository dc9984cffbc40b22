"""The software environment of a job's ranks."""

from __future__ import annotations

from dataclasses import dataclass

from hpcnn.specs.fields import NO_KEYS, field
from hpcnn.util.types import Json


@dataclass(frozen=True)
class SoftwareSpec:
    """The software environment of the ranks: a container or modules, and environment variables."""

    container: str | None = field(None, "Container image (SIF) that the ranks run in.")
    bind: tuple[str, ...] = field((), "Folder that the container sees, SRC[:DEST]; may be repeated.")
    module: tuple[str, ...] = field((), "Module to load after the site's own; may be repeated.")
    setup: tuple[str, ...] = field(
        (), "Line of bash before the ranks start, after modules and variables (conda activate ...); may be repeated."
    )
    env: dict[str, Json] = field(NO_KEYS, "Variable that the job exports; may be repeated.", texts=True)
