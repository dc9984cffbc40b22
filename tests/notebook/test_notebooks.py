"""The notebooks of docs/notebooks run in a kernel, from top to bottom, and are stored without outputs."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from typing import Any

import pytest

from tests import isolation
from tests.conftest import BIN

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))


def read(notebook: Path) -> Any:
    # here, for the five seconds of its import are not for every process that collects this test
    nbformat = pytest.importorskip("nbformat", reason="notebooks are run by nbclient (the extra dev)")
    found = nbformat.read(notebook, as_version=4)
    nbformat.validate(found)
    return found


def code(notebook: Any) -> list[Any]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_are_stored_without_outputs(notebook: Path) -> None:
    kept = [cell.id for cell in code(read(notebook)) if cell.outputs or cell.execution_count is not None]
    assert not kept, f"clear the outputs of these cells: {kept}"


@pytest.mark.slow
@pytest.mark.mpi
def test_the_first_training_runs_in_a_kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if importlib.util.find_spec("tensorflow") is None:
        pytest.skip("a training needs TensorFlow (make venv)")
    nbclient = pytest.importorskip("nbclient", reason="notebooks are run by nbclient (the extra dev)")
    monkeypatch.setenv("PATH", f"{BIN}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    data = os.environ.get(isolation.DATA)
    if data:
        monkeypatch.setenv("HPCNN_DATA", data)
    notebook = read(FOLDER / "first-training.ipynb")
    nbclient.NotebookClient(
        notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
    ).execute()
    shown = {cell.id: cell.outputs for cell in code(notebook)}

    for name in ("one", "two", "own"):
        progress, result = shown[name]
        assert progress.data["text/plain"].endswith(": ended")
        assert "completed; test accuracy" in result.data["text/html"]
        assert "data:image/png;base64," in result.data["text/html"]
    assert "build-" in shown["own"][-1].data["text/plain"]
    assert "2 ranks (horovod)" in shown["two"][-1].data["text/plain"]
    assert "<th>test_accuracy</th>" in shown["epochs"][-1].data["text/html"]
    assert "image/png" in shown["mistakes"][-1].data
    assert "Did you mean 'epochs'?" in shown["mistake"][-1].text
    assert shown["report"][-1].data["text/html"].count("<td>serial</td>") == 1
    assert ("test accuracy" if data else "not staged") in shown["mnist"][-1].text
