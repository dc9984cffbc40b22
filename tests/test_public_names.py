"""The import paths that the documents name stay, wherever the code behind them lives."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest

NAMES = {
    "hpcnn": ("init", "Run", "run", "Result", "report", "__version__"),
    "hpcnn.data.catalogue": ("staged_file", "describe", "known", "data_folder"),
    "hpcnn.data.dataset": ("DataSet",),
    "hpcnn.data.registry": ("load",),
    "hpcnn.errors": ("HpcnnError", "RunError", "UsageError"),
    "hpcnn.horovod": ("init", "DistributedOptimizer", "load_model", "callbacks", "allreduce", "Compression", "size"),
    "hpcnn.models.registry": ("build", "build_numpy"),
    "hpcnn.report": ("load", "RunData", "epoch_times", "left_out", "strong_scaling", "time_to_accuracy", "compare"),
    "hpcnn.report.advice": ("next_measurement",),
    "hpcnn.report.diagnose": ("findings", "verdict", "Finding"),
    "hpcnn.report.fits": ("fits", "fit_series", "Fit"),
    "hpcnn.report.load": ("load", "find_runs", "RunData"),
    "hpcnn.report.plots": ("all_plots", "save", "Plot"),
    "hpcnn.scratch": ("boundary", "Boundary"),
}


@pytest.mark.parametrize("module", NAMES)
def test_a_documented_path_has_its_names(module: str) -> None:
    found = importlib.import_module(module)
    for name in NAMES[module]:
        assert getattr(found, name) is not None


@pytest.mark.parametrize("first", ["import hpcnn.report.load", "from hpcnn.report.load import find_runs", "pass"])
def test_load_is_the_function_whatever_was_imported_before(first: str) -> None:
    code = f"{first}\nimport hpcnn\nassert callable(hpcnn.report.load), hpcnn.report.load"
    subprocess.run([sys.executable, "-c", code], check=True)
