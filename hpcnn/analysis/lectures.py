"""The lectures' tables: the test accuracy that a network reached here, beside the accuracy that its lecture reports.

Runs of a network of the zoo, trained as its lecture trains it but for the seed, are compared with the lecture's number.
Runs that were trained otherwise are listed with the difference, and not compared. Must not import files or formats.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pandas as pd

from hpcnn.analysis.measured import counted_runs, epoch_times
from hpcnn.analysis.units import with_units
from hpcnn.zoo.catalogue import describe
from hpcnn.zoo.registry import RECIPES

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping

    from hpcnn.analysis.load import RunData
    from hpcnn.util.types import Json
    from hpcnn.zoo.recipe import Recipe

WITHIN, ABOVE, BELOW = "within", "above", "below"

# Columns of a run, and the fields of a recipe that they must equal.
_AS_TAUGHT = {
    "data": "data",
    "batch_size": "batch_size",
    "epochs": "epochs",
    "train_optimizer": "optimizer",
    "train_learning_rate": "learning_rate",
    "train_pixel_scale": "pixel_scale",
    "train_loss": "loss",
}
_COLUMNS = {
    **dict.fromkeys(("model", "source", "otherwise"), "string"),
    "runs": "Int64",
    **dict.fromkeys(("test_accuracy_median", "test_accuracy_min", "test_accuracy_max"), "float64"),
    "lecture_accuracy": "float64",
    "lecture_lies": "string",
    **dict.fromkeys(("epoch_seconds", "lecture_epoch_seconds"), "float64"),
}


def lectures_table(data: RunData, warmup: int = 1) -> pd.DataFrame:
    """Return one row a network of the zoo and way of training it, in the order of the lectures.

    Columns: ``model``, ``source`` (the lecture), ``otherwise`` (the differences from the lecture, empty for
    none), ``runs``, ``test_accuracy_median``, ``_min`` and ``_max`` over them (0..1), ``lecture_accuracy``,
    ``lecture_lies`` ("within" the runs' range, "above" or "below" it; missing where something was done otherwise),
    ``epoch_seconds`` (median over runs of their medians without the ``warmup`` epochs) and ``lecture_epoch_seconds``.
    A lecture's accuracy is of one run, so a range of few runs need not hold it.
    """
    runs = counted_runs(data, warmup)
    runs = runs[runs["model"].isin(list(RECIPES))]
    seconds = epoch_times(data, warmup).groupby("path")["seconds"].median()
    runs = runs.assign(
        epoch_seconds=runs["path"].map(seconds).astype("float64"),
        otherwise=[_otherwise(run, RECIPES[run["model"]]) for run in runs.to_dict("records")],
    )
    order = {name: number for number, name in enumerate(RECIPES)}
    groups = [(str(key[0]), str(key[1]), own) for key, own in runs.groupby(["model", "otherwise"])]
    groups.sort(key=lambda group: (order[group[0]], group[1]))
    rows = [_row(RECIPES[model], otherwise, own) for model, otherwise, own in groups]
    return with_units(pd.DataFrame(rows, columns=list(_COLUMNS)).astype(_COLUMNS))


def _row(recipe: Recipe, otherwise: str, runs: pd.DataFrame) -> dict[str, Json]:
    accuracy = runs["test_accuracy"]
    low, high, reported = accuracy.min(), accuracy.max(), recipe.reported.get("test_accuracy")
    compared = reported is not None and not otherwise and not math.isnan(low)
    return {
        "model": recipe.id,
        "source": recipe.source,
        "otherwise": otherwise,
        "runs": len(runs),
        "test_accuracy_median": accuracy.median(),
        "test_accuracy_min": low,
        "test_accuracy_max": high,
        "lecture_accuracy": reported,
        "lecture_lies": _place_in_range(float(reported or 0), low, high) if compared else None,
        "epoch_seconds": runs["epoch_seconds"].median(),
        "lecture_epoch_seconds": recipe.reported.get("seconds_per_epoch"),
    }


def _place_in_range(reported: float, low: float, high: float) -> str:
    """Return whether the lecture's number, which has four digits at most, is within ``low`` to ``high``."""
    if round(reported, 4) < round(low, 4):
        return BELOW
    return ABOVE if round(reported, 4) > round(high, 4) else WITHIN


def _otherwise(run: Mapping[Hashable, Json], recipe: Recipe) -> str:
    """Return in words how a run differs from its lecture; a value that a run does not record counts as equal."""
    taught = {key: (field, getattr(recipe, field)) for key, field in _AS_TAUGHT.items()}
    taught["samples"] = ("samples", recipe.samples or describe(recipe.data).train)
    taught["precision"] = ("", "float32")  # its values say what they are
    found = {key: run[key] for key in taught if key in run and not pd.isna(run[key])}
    return ", ".join(f"{taught[key][0]} {value}".strip() for key, value in found.items() if value != taught[key][1])
