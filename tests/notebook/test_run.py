"""``hpcnn.run``: mistakes, and functions of a notebook that another process reads."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

import hpcnn
from hpcnn.util import pickled
from hpcnn.util.errors import UsageError
from tests.notebook.functions import local_functions

ROOT = Path(__file__).resolve().parents[2]


def test_what_is_no_run_has_no_result(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "nothing"):
        with pytest.raises(UsageError, match=r"run_dir: .* is not valid; expected a run directory"):
            hpcnn.Result(path)


@pytest.mark.parametrize(
    ("keywords", "words"),
    [
        ({"epoch": 3}, r"keyword: 'epoch' is not known. Did you mean 'epochs'\?$"),
        ({"ntasks": 2}, "keyword: 'ntasks' is not known"),
        ({"batch_size": 0}, "batch_size: 0 is not valid; expected at least 1"),
        ({"epochs": "many"}, "epochs: 'many' is not valid; expected a whole number"),
        ({"ranks": 0}, "ranks: 0 is not valid"),
        ({"ranks": 2, "strategy": "mirrored"}, "ranks: 2 is not valid; expected 1 with strategy mirrored"),
        ({"model": "scinet-cnn"}, "'scinet-cnn' is not known. Did you mean 'scinet-cnn1'"),
        ({"data": "digit"}, "'digit' is not known. Did you mean 'digits'"),
        ({"model": 3}, "model: 3 is not valid; expected a name, or a function"),
        ({"data": [1]}, r"data: \[1\] is not valid; expected a name, or a function"),
    ],
)
def test_mistakes_are_said_before_anything_runs(keywords: dict[str, Any], words: str, here: Path) -> None:
    with pytest.raises(UsageError, match=words):
        hpcnn.run(**keywords)
    assert not list(here.iterdir())


def test_functions_of_modules_keep_their_names(tmp_path: Path) -> None:
    assert pickled.name_of(json.dumps, tmp_path) == "json:dumps"
    assert not list(tmp_path.iterdir())


def test_the_same_function_is_the_same_file_and_another_is_another(here: Path) -> None:
    first, again, other = (pickled.name_of(local_functions(width)[0], here) for width in (5, 5, 6))
    assert first == again != other
    assert pickled.read("--model", first).__name__ == "build"
    assert pickled.name_of(lambda: 3, here).endswith(".pkl:function")


def test_a_cell_is_the_same_file_in_every_kernel(here: Path) -> None:
    cell = "def f(x):\n    return [y + ONE for y in x]\nONE = 1\n"
    script = f"import sys\nexec(compile({cell!r}, sys.argv[1], 'exec'))\n"
    script += "from pathlib import Path\nfrom hpcnn.util.pickled import name_of\nprint(name_of(f, Path('kept')))\n"
    names = set()
    for file in ("/tmp/ipykernel_1/2.py", "/tmp/ipykernel_7/2.py"):  # as ipykernel names a cell: by its process
        words = [sys.executable, "-c", script, file]
        names.add(subprocess.run(words, env=environment(), capture_output=True, text=True, check=True).stdout)
    assert len(names) == 1


def test_what_cannot_be_given_to_a_process_is_said(here: Path) -> None:
    lock = threading.Lock()

    def build() -> Any:
        return lock

    with pytest.raises(UsageError, match=r"build: this function cannot be given to another process: .*%%writefile"):
        hpcnn.run(build)
    with pytest.raises(UsageError, match=r"--data: 'gone.pkl:f': there is no file '.*gone.pkl'"):
        pickled.read("--data", "gone.pkl:f")


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}


def test_of_another_users_run_a_network_needs_trust(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The functions that a run names are imported once its reader has said so."""
    from tests.synthetic.runs import write_run

    (here / "theirs.py").write_text("open('imported', 'w').close()\n")
    monkeypatch.syspath_prepend(here)
    write_run(here / "run")
    for name in ("spec.json", "provenance.json"):
        record = json.loads((here / "run" / name).read_text())
        record["train"] = {"model": "theirs:build", "data": "digits"}
        (here / "run" / name).write_text(json.dumps({**record, "seal": "another's"}))
    result = hpcnn.Result(here / "run")
    with pytest.raises(UsageError, match=r"Look at it first; network\(trust=True\) runs it"):
        result.network()
    with pytest.raises(UsageError, match="has no trained network"):
        result.network(trust=True)
