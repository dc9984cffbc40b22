"""`make matrix`: what it refuses before it makes anything, and the row that it prints for docs/supported.md."""

from __future__ import annotations

import importlib.metadata
import platform
import re
import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[1]
MATRIX = CHECKOUT / ".ci" / "matrix"


def run(*words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(word) for word in words], capture_output=True, text=True, check=False, cwd=CHECKOUT)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--mpi", "lam"), "--mpi: 'lam' is not valid; expected openmpi or mpich"),
        (("--root",), "--root needs a value"),
        (("--quick",), "unknown option --quick"),
        (("../trixie",), "RELEASE: '../trixie' is not valid"),
    ],
)
def test_what_it_does_not_understand_is_refused(words: tuple[str, ...], message: str) -> None:
    ended = run(MATRIX, *words)
    assert ended.returncode == 2
    assert message in ended.stderr


def test_a_folder_that_it_did_not_make_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    ended = run("bash", "-c", f'source "{MATRIX}"; root="{tmp_path}" release=trixie mirror=; make_chroot')
    assert ended.returncode == 1
    assert "is not a chroot that was made here" in ended.stderr
    assert (tmp_path / "file").exists()


def test_the_row_names_what_there_is_in_the_columns_of_the_document() -> None:
    ended = run(sys.executable, ".ci/matrix_row.py", "ok, 5 s", "3 passed")
    assert ended.returncode == 0, ended.stderr
    cells = [cell.strip() for cell in ended.stdout.strip().strip("|").split("|")]
    document = (CHECKOUT / "docs" / "supported.md").read_text()
    heading = next(line for line in document.splitlines() if line.startswith("| date |"))
    columns = [cell.strip() for cell in heading.strip("|").split("|")]
    row = dict(zip(columns, cells, strict=True))
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", row["date"])
    assert row["Python"] == platform.python_version()
    assert row["Keras"] == importlib.metadata.version("keras")
    assert (row["make demo"], row["make test"]) == ("ok, 5 s", "3 passed")
