"""The folder in which a test of the command line works, and a study in it."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from tests.cli.studying import PROGRAM


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to work in, and a place for profiles of the user's beside it."""
    monkeypatch.setenv("HPCNN_CONFIG", str(tmp_path / "config"))
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    return work


@pytest.fixture
def quick(here: Path) -> Path:
    """A study of two points and two repeats whose program is quick."""
    file = here / "quick.toml"
    words = json.dumps([sys.executable, "-c", PROGRAM])
    file.write_text(f"repeats = 2\nprogram = {words}\n[axes]\ncpus_per_task = [1, 2]\n")
    return file
