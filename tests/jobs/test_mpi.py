"""Which MPI an mpirun belongs to: by what real ones print, and by the profile."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from hpcnn.jobs.mpi import ask_mpi, find_mpirun, flavour, major, mpi_of, parse_version
from hpcnn.sites.profile import Site

OPEN_MPI_5 = "mpirun (Open MPI) 5.0.7\n\nReport bugs to https://www.open-mpi.org/community/help/\n"
HERE = Site(scheduler="local", launcher="mpirun")


def mpirun(folder: Path, script: str) -> str:
    """Make a program named mpirun; return its path."""
    file = folder / "mpirun"
    folder.mkdir(exist_ok=True)
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(0o755)
    return str(file)


@pytest.mark.parametrize(
    ("text", "mpi"),
    [
        ("mpirun (Open MPI) 4.1.8\n\nReport bugs to http://www.open-mpi.org/community/help/\n", "Open MPI 4.1.8"),
        (OPEN_MPI_5, "Open MPI 5.0.7"),
        ("HYDRA build details:\n    Version:                                 4.0.2\n", "MPICH 4.0.2"),
        ("Intel(R) MPI Library for Linux* OS, Version 2021.10 Build 20230619\n", "Intel MPI 2021.10"),
        ("", None),
    ],
)
def test_the_version_of_each_mpi(text: str, mpi: str | None) -> None:
    assert parse_version(text) == mpi


@pytest.mark.parametrize(
    ("mpi", "name", "number"),
    [("Open MPI 4.1.8", "Open MPI", 4), ("Open MPI v5.0.7", "Open MPI", 5), ("Intel MPI", "Intel MPI", 0)],
)
def test_name_and_major_version(mpi: str, name: str, number: int) -> None:
    assert (flavour(mpi), major(mpi)) == (name, number)


def test_a_program_is_asked_and_one_that_fails_is_of_no_known_mpi(tmp_path: Path) -> None:
    assert ask_mpi(mpirun(tmp_path / "good", f"cat <<'END'\n{OPEN_MPI_5}END")) == "Open MPI 5.0.7"
    assert ask_mpi(mpirun(tmp_path / "bad", f"cat <<'END'\n{OPEN_MPI_5}END\nexit 1")) is None
    assert ask_mpi(str(tmp_path / "none")) is None


def test_the_mpirun_beside_this_python_comes_before_that_on_the_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own, other = mpirun(tmp_path / "own", ""), mpirun(tmp_path / "other", "")
    monkeypatch.setattr(sys, "executable", str(tmp_path / "own" / "python"))
    assert find_mpirun({"PATH": str(tmp_path / "other")}) == own
    Path(own).unlink()
    assert find_mpirun({"PATH": str(tmp_path / "other")}) == other


def test_a_job_on_this_machine_takes_what_is_here_unless_the_profile_names_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    environment = {"PATH": str(tmp_path / "bin")}
    assert mpi_of(HERE, environment) is None
    mpirun(tmp_path / "bin", f"cat <<'END'\n{OPEN_MPI_5}END")
    assert mpi_of(HERE, environment) == "Open MPI 5.0.7"
    assert mpi_of(Site(scheduler="local", launcher="mpirun", mpi="mpich"), environment) == "MPICH"


def test_a_job_elsewhere_takes_what_its_profile_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "bin" / "python"))
    mpirun(tmp_path / "bin", "echo 'a login node is not asked' >&2; exit 1")
    assert mpi_of(Site(launcher="mpirun"), {}) is None
    assert mpi_of(Site(launcher="mpirun", mpi="intelmpi"), {}) == "Intel MPI"
