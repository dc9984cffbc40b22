"""The spec of one job: a training, or the user's own program, on resources, at a site."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass

from hpcnn.specs.resources import Resources
from hpcnn.specs.software import SoftwareSpec
from hpcnn.specs.stated import Stated
from hpcnn.specs.train import TrainSpec, check_strategy, check_weights
from hpcnn.util.errors import UsageError, bad_value
from hpcnn.util.types import Json


@dataclass(frozen=True)
class JobSpec:
    """One job: a training, or the user's own program, on resources, at a site."""

    name: str
    site: str
    resources: Resources
    train: TrainSpec | None = None
    program: tuple[str, ...] = ()
    software: SoftwareSpec = dataclasses.field(default_factory=SoftwareSpec)
    study: str | None = None
    kind: str | None = None
    point: dict[str, Json] = dataclasses.field(default_factory=dict)
    repeat: int = 1
    stated: Stated = dataclasses.field(default_factory=Stated)

    def __post_init__(self) -> None:
        if (self.train is None) == (not self.program):
            raise UsageError("a job trains a model or runs a program: give the one or the other")
        if self.train is not None and self.stated != Stated():
            raise UsageError("what is stated of a program cannot go with a training, whose options say it")
        check_ranks(self.resources, self.train)


def check_ranks(resources: Resources, train: TrainSpec | None, spell: Callable[[str], str] = str) -> None:
    """Raise UsageError unless the strategy can use the requested tasks. ``spell``: as in ``from_mapping``."""
    ntasks, strategy = spell("ntasks"), spell("strategy")
    if resources.ntasks < resources.nodes:
        raise bad_value(ntasks, resources.ntasks, f"at least one task on each of the {resources.nodes} nodes")
    if train is None:
        return
    if train.strategy in ("serial", "mirrored") and resources.ntasks != 1:
        advice = "horovod or multiworker" if train.strategy == "serial" else "multiworker"
        raise bad_value(
            ntasks,
            resources.ntasks,
            f"1 with {strategy} {train.strategy}, which is one process (for several: {strategy} {advice})",
        )
    check_strategy(train, spell)
    check_weights(train, spell)
