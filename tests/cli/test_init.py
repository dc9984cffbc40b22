"""``hpcnn init``: a project that its own commands take as it stands. docs/own-script.md trains it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import Command

FILES = {"README.md", "hpcnn.toml", "my_data.py", "my_model.py", "study.toml", "test_project.py"}


@pytest.fixture
def project(in_process: Command, tmp_path: Path) -> Path:
    ended = in_process("init", "my-project", cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert ended.stderr.startswith("next: cd my-project\n")
    return tmp_path / "my-project"


def test_every_file_is_there_and_has_the_name_of_the_project(project: Path) -> None:
    assert {file.name for file in project.iterdir()} == FILES
    assert not [file.name for file in project.iterdir() if "PROJECT" in file.read_text()]
    assert 'name = "my-project"' in (project / "study.toml").read_text()


def test_its_defaults_and_its_study_are_taken(project: Path, in_process: Command) -> None:
    script = in_process("submit", "--site", "local", "--dry-run", cwd=project).stdout
    for option in ("--model my_model:build", "--data my_data:load", "--epochs 5", "--batch-size 64"):
        assert option in script
    listed = in_process("study", "run", "study.toml", "--site", "local", "--dry-run", cwd=project)
    assert listed.returncode == 0, listed.stderr
    assert listed.stdout.count("missing") == 6


def test_nothing_is_written_over(project: Path, in_process: Command) -> None:
    (project / "my_model.py").write_text("mine")
    (project / "README.md").unlink()
    ended = in_process("init", cwd=project)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "has hpcnn.toml, my_data.py, my_model.py, study.toml, test_project.py already" in ended.stderr
    assert (project / "my_model.py").read_text() == "mine"
    assert not (project / "README.md").exists()


def test_a_name_that_no_folder_of_runs_can_have(tmp_path: Path, in_process: Command) -> None:
    assert "DIR: 'a b' is not valid" in in_process("init", "a b", cwd=tmp_path).stderr


def test_one_that_was_interrupted_goes_on(project: Path, in_process: Command) -> None:
    text = (project / "study.toml").read_text()
    for name in ("study.toml", "test_project.py"):
        (project / name).unlink()
    assert in_process("init", cwd=project).returncode == 0
    assert {file.name for file in project.iterdir()} == FILES
    assert (project / "study.toml").read_text() == text
    assert in_process("init", cwd=project).returncode == 2
