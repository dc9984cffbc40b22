"""The spec of a scaling study: many jobs that differ along axes, each repeated."""

from __future__ import annotations

from dataclasses import dataclass

from hpcnn.specs.fields import NO_KEYS, REQUIRED, field
from hpcnn.specs.train import LARGEST_SEED
from hpcnn.util.types import Json

STUDY_KINDS = ("strong", "weak", "throughput")


@dataclass(frozen=True)
class StudySpec:
    """Many jobs that differ along axes, each repeated."""

    name: str = field(REQUIRED, "Name of the study's folder; the file's own name where it gives none.")
    kind: str = field("throughput", "What the points have in common.", choices=STUDY_KINDS)
    description: str = field("", "One line for people.")
    repeats: int = field(1, "Runs of each point.", minimum=1)
    seeds: tuple[int, ...] = field((), "Seed of each repeat, in turn.", minimum=0, maximum=LARGEST_SEED)
    train: dict[str, Json] = field(NO_KEYS, "What all points share: keys of the table train.")
    resources: dict[str, Json] = field(NO_KEYS, "What all points share: keys of the table resources.")
    software: dict[str, Json] = field(NO_KEYS, "What all points share: keys of the table software.")
    axes: dict[str, Json] = field(NO_KEYS, "A key and the list of its values; the points are the product of all axes.")
    points: tuple[dict[str, Json], ...] = field((), "Points that are no product of axes, one table each.")
    program: tuple[str, ...] = field((), "The user's own program, instead of a training.")
    independent: bool = field(False, "The ranks of the program are meant to share nothing.")
