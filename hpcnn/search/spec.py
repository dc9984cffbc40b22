"""The spec of a search: space, method and metric. Must not import Optuna."""

from __future__ import annotations

from dataclasses import dataclass

from hpcnn.search.space import Dimension
from hpcnn.specs.fields import NO_KEYS, REQUIRED, field
from hpcnn.specs.resources import Resources
from hpcnn.specs.software import SoftwareSpec
from hpcnn.specs.train import LARGEST_SEED
from hpcnn.util.types import Json

METHODS = ("grid", "random", "tpe")
METRICS = ("accuracy", "best_accuracy", "loss")
DIRECTIONS = ("maximize", "minimize")
PRUNINGS = ("none", "median", "halving", "hyperband")


@dataclass(frozen=True)
class Options:
    """The table ``[search]``: how trials are chosen, evaluated and pruned."""

    method: str = field("tpe", "How the parameters of a trial are chosen.", choices=METHODS)
    trials: int | None = field(None, "Number of trials; of a grid, all of its points.", minimum=1)
    seed: int = field(1, "Fixes which trials are drawn.", minimum=0, maximum=LARGEST_SEED)
    metric: str = field(
        "accuracy",
        "What a trial is judged by, on the test set: accuracy or loss of the last epoch, or the best accuracy.",
        choices=METRICS,
    )
    direction: str | None = field(None, "maximize, or minimize; a loss is minimized.", choices=DIRECTIONS)
    pruning: str = field("none", "Which trials are stopped before their end.", choices=PRUNINGS)
    warmup_epochs: int = field(1, "Epochs of every trial that are never cut short.", minimum=1)
    startup_trials: int = field(
        5, "First trials: drawn at random by tpe, and trained to their end under median pruning.", minimum=1
    )

    @property
    def maximizes(self) -> bool:
        """Return whether a larger value is better."""
        return (self.direction or ("minimize" if self.metric == "loss" else "maximize")) == "maximize"


@dataclass(frozen=True)
class SearchFile:
    """The tables of a search file."""

    name: str = field(REQUIRED, "Name of the search's folder.")
    description: str = field("", "One line for people.")
    search: dict[str, Json] = field(NO_KEYS, "How trials are chosen, judged and cut short.")
    train: dict[str, Json] = field(NO_KEYS, "Fields of TrainSpec that all trials share.")
    space: dict[str, Json] = field(NO_KEYS, "Field or model.KEYWORD -> list of values, or range.")
    resources: dict[str, Json] = field(NO_KEYS, "What one trial needs, and so one worker.")
    software: dict[str, Json] = field(NO_KEYS, "What the trials run in.")
    reference: tuple[dict[str, Json], ...] = field((), "Points with the accuracy that somebody else reports.")


@dataclass(frozen=True)
class Search:
    """A search with every key checked.

    space: full name of a parameter (``train.optimizer``, ``model.numnodes``) -> its values. reference: points of that
    space, each with an accuracy. table: the content of the file, which is kept beside the trials.
    """

    name: str
    options: Options
    train: dict[str, Json]
    space: dict[str, Dimension]
    resources: Resources
    software: SoftwareSpec
    reference: tuple[tuple[dict[str, Json], float], ...]
    table: dict[str, Json]
    trials: int
