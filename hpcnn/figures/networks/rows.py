"""Pictures of the runs behind the rows of a scaling table: their curves, and what the network of one has learned.

A row whose runs kept no network, or whose network cannot be read here, says so in place of its pictures. Must not know
where they are shown.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from hpcnn.analysis.table_runs import Behind, row_names
from hpcnn.figures.networks import confusion, curves, digits
from hpcnn.figures.scaling import Plot
from hpcnn.rundir.layout import RunDir
from hpcnn.train.trained import Trained, open_trained
from hpcnn.util.errors import HpcnnError
from hpcnn.util.text import counted

if TYPE_CHECKING:
    import pandas as pd

# Further rows have no pictures, further runs of a row no curves: more of them are not looked at.
MOST_ROWS = 8
MOST_RUNS = 7
_IMAGES = 30


class RowPictures(NamedTuple):
    """The pictures of one row; ``note`` says what is missing, and how to get it."""

    title: str
    plots: list[Plot]
    note: str


def draw(table: pd.DataFrame, of: Behind) -> list[RowPictures]:
    """Return the pictures of the first MOST_ROWS rows of a scaling ``table``; of: what is ``behind`` it."""
    paths = of.runs.groupby("row")["path"].apply(list).to_dict()
    names = {label: name for label, name in row_names(table).items() if label in paths}
    found = []
    for number, (label, name) in enumerate(list(names.items())[:MOST_ROWS], 1):
        plots, note = _of_row(number, name, [Path(path) for path in paths[label]])
        found.append(RowPictures(name, plots, note))
    if len(names) > MOST_ROWS:
        more = f"{counted(len(names) - MOST_ROWS, 'more row')} not drawn: hpcnn plot draws any run."
        found[-1] = found[-1]._replace(note=f"{found[-1].note} {more}".strip())
    return found


def _of_row(number: int, name: str, paths: list[Path]) -> tuple[list[Plot], str]:
    plots = [_curves(number, name, paths)]
    kept = next((path for path in paths if RunDir(path).networks()), None)
    if kept is None:
        return plots, (
            "None of these runs kept its network, so there is nothing to see of what it learned: train with "
            "--checkpoint (in a study: checkpoint = true in its table [train])."
        )
    try:
        plots += _of_network(number, name, open_trained(kept))
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


def _of_network(number: int, name: str, trained: Trained) -> Iterator[Plot]:
    accuracy = trained.recorded_accuracy
    what = trained.what if accuracy is None else f"{trained.what}, test accuracy {accuracy:.2%}"
    kinds: dict[str, tuple[str, str, Any]] = {
        "confusion": ("Which class is taken for which", "Confusion matrix", confusion.draw(trained)),
    }
    if _are_images(trained):
        kinds["digits"] = ("Mistakes first", "Test images with labels", digits.draw(trained, count=_IMAGES))
    for kind, (title, told, figure) in kinds.items():
        yield Plot(f"run-{kind}-{number}", title, f"{told} of {what}.", figure, f"Of {what}.", name)


def _are_images(trained: Trained) -> bool:
    from hpcnn.figures.networks.style import check_images

    try:
        check_images(trained.data)
    except HpcnnError:
        return False
    return True
