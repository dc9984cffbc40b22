"""What a training knows of the run it belongs to: one object for hpcnn's loop, the NumPy networks and users' scripts.

Nouns only: ``session.py`` opens a context and closes it. Must not import Keras or TensorFlow.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from hpcnn.parallel.base import Strategy
from hpcnn.rundir.layout import RunDir
from hpcnn.rundir.owner import check_kept
from hpcnn.train.record import Record
from hpcnn.train.state import Position, State, save
from hpcnn.train.stop import StopRequest
from hpcnn.util.types import Array, Json, Optimizer

Log: TypeAlias = Callable[[str], None]


@dataclass(frozen=True)
class Context:
    """One rank's place in one run.

    state: where an earlier attempt stopped, None for a training that begins. keeps_state: whether the state is written
    after every epoch, so that a later attempt can go on. train: the resolved spec as a mapping, which a later attempt
    must share; empty for a user's script. log: prints a line for people, on rank 0 only.
    """

    strategy: Strategy
    record: Record
    stop: StopRequest
    state: State | None
    keeps_state: bool
    train: Mapping[str, Json]
    log: Log

    @property
    def run(self) -> RunDir:
        """The run directory."""
        return self.record.run

    @property
    def start(self) -> Position:
        """Where the training begins: at the first step, or where an earlier attempt stopped."""
        return self.state.position if self.state else Position()

    def keep(self, position: Position, values: Sequence[Array]) -> None:
        """Write the state with which a later attempt goes on at ``position``; all ranks must call it.

        values: of every variable, as ``state.values_of`` returns them; only those of rank 0 are used.
        """
        if self.strategy.is_chief:
            check_kept(self.run.path)
        save(self.run.state, values, self.strategy, position, self.train)


@dataclass
class Progress:
    """What a training has reached. ``stopped``: where, if it was asked to stop before its end."""

    epochs: int = 0
    test: dict[str, float] = field(default_factory=dict)
    seconds_to_target: float | None = None
    stopped: Position | None = None


@dataclass(frozen=True)
class Results:
    """What the record says of a completed training.

    test: loss and metrics on the test set; None where nothing was learnt (``training`` is false: a measurement of the
    ceiling). training_set: the same on the training set, where it was asked for. lines: the last ones for people.
    """

    test: Mapping[str, float] | None
    test_samples: int
    training_set: Mapping[str, float] | None
    training: bool
    lines: Sequence[str]


@dataclass
class Fits:
    """What the trainings in one script have reached together; ``context`` is None where no record is kept.

    count: calls of ``fit`` so far. stopped: why this script was asked to stop, if it was. optimizers: those that
    ``run.distribute`` returned. batch_size, samples: of all ranks together, as far as the script has said.
    """

    context: Context | None
    count: int = 0
    epochs: int = 0
    validation: dict[str, float] | None = None
    stopped: str | None = None
    optimizers: list[Optimizer] = field(default_factory=list)
    batch_size: int | None = None
    samples: int | None = None
