"""Figures of the runs of each row of a scaling table: their curves, and the mistakes of a network that one kept.

A row without a kept network, or with one that cannot be read here, has a note in place of these figures.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from hpcnn.analysis.table_runs import TableRuns, row_names
from hpcnn.figures.networks import confusion, curves, digits
from hpcnn.figures.networks.samples import are_images
from hpcnn.figures.networks.titles import title_of
from hpcnn.figures.scaling import Plot
from hpcnn.rundir.layout import RunDir
from hpcnn.train.trained import Trained, open_trained
from hpcnn.util.errors import HpcnnError
from hpcnn.util.text import counted

if TYPE_CHECKING:
    import pandas as pd

# Further rows have no figures, further runs of a row no curves: nobody would look at more.
MOST_ROWS = 8
MOST_RUNS = 7
_IMAGES = 30


class RowPictures(NamedTuple):
    """The figures of one row; ``note`` says what is missing, and how to get it."""

    title: str
    plots: list[Plot]
    note: str


def draw(table: pd.DataFrame, table_runs: TableRuns, *, trust: bool = False) -> list[RowPictures]:
    """Return the figures of the first MOST_ROWS rows of a scaling ``table``. trust: as of ``open_trained``."""
    paths = table_runs.runs.groupby("row")["path"].apply(list).to_dict()
    names = {label: name for label, name in row_names(table).items() if label in paths}
    found = []
    for number, (label, name) in enumerate(list(names.items())[:MOST_ROWS], 1):
        plots, note = _of_row(number, name, [Path(path) for path in paths[label]], trust=trust)
        found.append(RowPictures(name, plots, note))
    if len(names) > MOST_ROWS:
        more = f"{counted(len(names) - MOST_ROWS, 'more row')} not drawn: hpcnn plot draws any run."
        found[-1] = found[-1]._replace(note=f"{found[-1].note} {more}".strip())
    return found


def _of_row(number: int, name: str, paths: list[Path], *, trust: bool) -> tuple[list[Plot], str]:
    plots = [_curves(number, name, paths)]
    kept = next((path for path in paths if RunDir(path).networks()), None)
    if kept is None:
        return plots, (
            "None of these runs kept its network, so there is nothing to see of what it learned: train with "
            "--checkpoint (in a study: checkpoint = true in its table [train])."
        )
    try:
        plots += _of_network(number, name, open_trained(kept, trust=trust))
    except HpcnnError as error:
        return plots, f"The network that {kept.name} kept is not drawn: {error}"
    return plots, ""


def _curves(number: int, name: str, paths: list[Path]) -> Plot:
    shown = paths[:MOST_RUNS]
    left = f" {counted(len(paths) - len(shown), 'more run')} not drawn." if len(paths) > len(shown) else ""
    return Plot(
        name=f"run-curves-{number}",
        title="Every run" if len(paths) > 1 else "The run",
        alt=f"{name}: accuracy and loss by epoch of {counted(len(shown), 'run')}, training dashed and test solid.",
        figure=curves.draw(shown),
        caption=f"Training dashed, test solid; all epochs, the warm-up too.{left}",
        group=name,
    )


def _of_network(number: int, name: str, trained: Trained) -> list[Plot]:
    what = title_of(trained, before_accuracy=", ")
    matrix = Plot(
        name=f"run-confusion-{number}",
        title="Which class is taken for which",
        alt=f"Confusion matrix of {what}.",
        figure=confusion.draw(trained),
        caption=f"Of {what}.",
        group=name,
    )
    if not are_images(trained.data):
        return [matrix]
    images = Plot(
        name=f"run-digits-{number}",
        title="Mistakes first",
        alt=f"Test images with labels of {what}.",
        figure=digits.draw(trained, count=_IMAGES),
        caption=f"Of {what}.",
        group=name,
    )
    return [matrix, images]
