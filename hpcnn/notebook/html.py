"""The HTML of a result in a notebook: a line, a small table of the epochs, and the curves. Every text is escaped."""

from __future__ import annotations

import base64
import importlib.util
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from hpcnn.util.share import share_dir

if TYPE_CHECKING:
    from pathlib import Path

    import jinja2
    import pandas as pd

# Epochs in the table: of more, the first and the last ones.
_MOST_EPOCHS = 12
_DOTS_PER_INCH = 80

# column of Result.epochs -> heading, how to write a value
_COLUMNS: dict[str, tuple[str, Callable[[float], str]]] = {
    "seconds": ("seconds", "{:.2f}".format),
    "images_per_second": ("images/s", "{:,.0f}".format),
    "loss": ("loss", "{:.4f}".format),
    "accuracy": ("accuracy", "{:.2%}".format),
    "test_loss": ("test loss", "{:.4f}".format),
    "test_accuracy": ("test accuracy", "{:.2%}".format),
}


def as_html(title: str, summary: str, run_dir: Path, epochs: pd.DataFrame) -> str:
    """Return a piece of HTML that needs no other file; without curves where matplotlib is missing.

    epochs: one row an epoch, as ``Result.epochs``.
    """
    left_out = max(len(epochs) - _MOST_EPOCHS, 0)
    shown = epochs
    if left_out:
        import pandas as pd

        half = _MOST_EPOCHS // 2
        shown = pd.concat([epochs.head(half), epochs.tail(_MOST_EPOCHS - half)])
    keys = [key for key in _COLUMNS if key in shown]
    return str(
        _template().render(
            title=title,
            summary=summary,
            run_dir=run_dir,
            headings=["epoch", *(_COLUMNS[key][0] for key in keys)],
            rows=[_cells(int(number), row, keys) for number, row in shown.iterrows()],  # type: ignore[call-overload]
            left_out=left_out,
            picture=_curves(run_dir) if len(epochs) > 1 else "",
            alt=f"Accuracy and loss of every epoch, training and test: {summary}",
        )
    )


def _cells(epoch: int, row: pd.Series[Any], keys: list[str]) -> list[str]:
    values = (row[key] for key in keys)
    texts = ("–" if value != value else _COLUMNS[key][1](value) for key, value in zip(keys, values, strict=True))
    return [str(epoch), *texts]


def _curves(run_dir: Path) -> str:
    """Return the curves as a PNG in base64, or nothing without matplotlib."""
    if importlib.util.find_spec("matplotlib") is None:
        return ""
    from hpcnn.figures.networks.curves import draw
    from hpcnn.figures.style import rendered

    return base64.b64encode(rendered(draw([run_dir]), "png", dpi=_DOTS_PER_INCH)).decode("ascii")


def _template() -> jinja2.Template:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(share_dir("templates") / "notebook"),
        undefined=StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("result.html.j2")
