"""``hpcnn.Result``: a run directory as an object: its numbers, its epochs as a table, its trained network.

It reads the record once; make another Result to look again at a run that is still going on. Must not start runs.
"""

from __future__ import annotations

import os
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpcnn.rundir.layout import RunDir, holds_run
from hpcnn.util.errors import bad_value

if TYPE_CHECKING:
    import pandas as pd

    from hpcnn.analysis.load import RunData
    from hpcnn.util.types import Json, KerasModel


class Result:
    """The result of the run in ``run_dir``. Raises UsageError for a path that is no run directory."""

    def __init__(self, run_dir: str | os.PathLike[str]) -> None:
        path = Path(run_dir).absolute()
        if not path.is_dir() or not holds_run(entry.name for entry in path.iterdir()):
            raise bad_value("run_dir", str(run_dir), "a run directory (one with a spec.json in it)")
        self._run = RunDir(path)

    @property
    def run_dir(self) -> Path:
        """The run directory."""
        return self._run.path

    @property
    def status(self) -> str:
        """``completed``, ``failed``, ``interrupted``, or ``unfinished`` for a run that has not ended."""
        return str(self._facts["status"])

    @property
    def test_accuracy(self) -> float | None:
        """The accuracy on the test set after the last epoch, 0 to 1; None where none was measured."""
        return _number(self._facts["test_accuracy"])

    @property
    def test_loss(self) -> float | None:
        """The loss on the test set after the last epoch; None where none was measured."""
        return _number(self._facts["test_loss"])

    @property
    def images_per_second(self) -> float | None:
        """Training samples of all ranks over seconds, the first epoch left out; None where no other is recorded.

        As the scaling report counts it (``hpcnn.report.epoch_times``).
        """
        from hpcnn.analysis.measured import epoch_times

        times = epoch_times(self._data)
        return float(times["samples"].sum() / times["seconds"].sum()) if len(times) else None

    @property
    def epochs(self) -> pd.DataFrame:
        """One row an epoch, its number the index.

        ``seconds`` (of the slowest rank), ``images_per_second`` (of all ranks), ``learning_rate``, and as rank 0
        recorded them ``loss`` and metrics of the training and, as ``test_...``, of the test set. A column without any
        value is left out. ``hpcnn.report.load(run_dir).epochs`` has every rank, and where its seconds went.
        """
        epochs = self._data.epochs
        of_epoch = epochs.groupby("epoch")
        table = of_epoch[["seconds_total"]].max().rename(columns={"seconds_total": "seconds"})
        table["images_per_second"] = of_epoch["samples"].sum().astype("float64") / table["seconds"]
        chief = epochs[epochs["rank"] == 0].set_index("epoch")
        for column in chief.columns:
            if column in ("loss", "learning_rate") or column.startswith(("metric_", "validation_")):
                table[column.replace("validation_", "test_").removeprefix("metric_")] = chief[column]
        return table.dropna(axis="columns", how="all")

    @property
    def weights(self) -> Path | None:
        """The file of the trained network of the last epoch that was kept; None where none was.

        ``checkpoint=True`` keeps them, in Keras's format; a network in NumPy always keeps its best one.
        """
        networks = self._run.networks()
        if networks:
            return networks[max(networks)]
        return self._run.weights if self._run.weights.exists() else None

    def network(self, epoch: int | None = None, *, trust: bool = False) -> KerasModel:
        """Return the trained Keras model, after ``epoch`` or after the last one that was kept.

        This imports TensorFlow. trust: import the functions that the run names although it is another user's, or was
        changed; look at it first. Raises UsageError for such a run without it, and for a run without a kept network
        (``checkpoint=True`` keeps them).
        """
        from hpcnn.train.trained import open_trained
        from hpcnn.util.errors import UsageError

        try:
            return open_trained(self.run_dir, epoch, trust=trust).model
        except UsageError as error:
            raise UsageError(str(error).replace("--trust runs it", "network(trust=True) runs it")) from None

    @property
    def log(self) -> str:
        """What the training printed."""
        return self._run.log.read_text(encoding="utf-8", errors="replace") if self._run.log.exists() else ""

    @property
    def title(self) -> str:
        """The model, the data and the number of ranks, in a line."""
        facts = self._facts
        ranks = facts["world_size"]
        counted = "" if _missing(ranks) else f", {ranks} rank{'s' if ranks != 1 else ''} ({facts['strategy']})"
        what = f"{facts['model']} on {facts['data']}" if not _missing(facts["model"]) else str(facts["program"])
        return f"{what}{counted}"

    @property
    def summary(self) -> str:
        """Status, test accuracy and speed, in a line."""
        parts = [self.status if _missing(self._facts["reason"]) else f"{self.status}: {self._facts['reason']}"]
        if self.test_accuracy is not None:
            parts.append(f"test accuracy {self.test_accuracy:.2%}")
        if self.images_per_second is not None:
            parts.append(f"{self.images_per_second:,.0f} images/s")
        return "; ".join(parts)

    def __repr__(self) -> str:
        return f"{self.title}: {self.summary}\n{self.run_dir}"

    def _repr_html_(self) -> str:
        from hpcnn.notebook.html import as_html

        return as_html(self.title, self.summary, self.run_dir, self.epochs)

    @cached_property
    def _data(self) -> RunData:
        from hpcnn.analysis.load import load

        return load(self.run_dir, cache=False)

    @property
    def _facts(self) -> pd.Series[Any]:
        return self._data.runs.iloc[0]


def _missing(value: Json) -> bool:
    import pandas as pd

    return bool(pd.isna(value))


def _number(value: Json) -> float | None:
    return None if _missing(value) else float(value)
