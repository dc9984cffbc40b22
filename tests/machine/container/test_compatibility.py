"""hpcnn container check without Apptainer: how an image is judged by what it says and by the machine outside.

A shell script stands in for the container runtime. tests/slurm/test_sif.py has a real one.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from hpcnn import __version__
from hpcnn.machine.container.compatibility import check_compatibility, mpi_inside, pmi_inside
from hpcnn.machine.container.host import Host, mpi_types
from hpcnn.machine.doctor.probe import Answer
from hpcnn.sites.profile import Site
from tests.machine.container.container_command import container

BIN = Path(sys.executable).parent

# Takes `exec OPTIONS IMAGE.sif PROGRAM...`, and runs the program in no container at all.
RUNS = """#!/bin/sh
while case $1 in *.sif) false ;; esac; do shift; done
shift
exec "$@"
"""

# `srun --mpi=list` of Slurm 22.05, of 20.02, and `ompi_info --parsable` of Debian 12's Open MPI 4.1.4
LISTED = (
    "MPI plugin types are...\n\tpmix\n\tnone\n\tcray_shasta\n\tpmi2\nspecific pmix plugin versions available: pmix_v4\n"
)
LISTED_OLD = "srun: MPI types are...\nsrun: none\nsrun: pmix_v3\nsrun: pmi2\nsrun: pmix\n"
COMPONENTS = [f'mca:pmix:{name}:version:"component:4.1.4"' for name in ("ext3x", "isolated", "flux")]
DEBIAN = "Open MPI v4.1.4, package: Debian OpenMPI, ident: 4.1.4, repo rev: v4.1.4, May 26, 2022"
MPICH = "MPICH Version:      4.1.2"

SRUN = Site(name="cluster", mpi_type="pmix")
MPIRUN = Site(name="mpi", launcher="mpirun")


def inside(library: str = DEBIAN, components: list[str] = COMPONENTS, **changes: Answer) -> dict[str, Answer]:
    """What an image with a given MPI says, and in ``changes`` what other stages do."""
    return {
        "system": Answer({"version": "3.11.2", "machine": "x86_64", "horovod": "0.28.1+tf2.21.0"}),
        "tensorflow": Answer({"version": "2.21.0", "cuda": False, "gpus": []}),
        "keras": Answer({"version": "3.15.1", "backend": "tensorflow"}),
        "horovod": Answer({"MPI": True, "Gloo": True, "NCCL": False}),
        "mpi4py": Answer({"version": "4.1.2", "library": library}),
        "mpi": Answer({"mpirun": "mpirun (Open MPI) 4.1.4\n", "pmi": components}),
        "hpcnn": Answer({"version": __version__, "command": "/opt/venv/bin/hpcnn"}),
        **changes,
    }


def host(mpirun: str | None = "Open MPI 4.1.6", listed: str | None = LISTED, default: str = "none") -> Host:
    return Host(__version__, mpirun, None if listed is None else mpi_types(listed), default)


def findings(image: dict[str, Answer], outside: Host, site: Site) -> dict[str, tuple[str, str]]:
    return {finding.check: (finding.status, finding.advice) for finding in check_compatibility(image, outside, site)}


def test_sruns_own_list_is_read() -> None:
    assert mpi_types(LISTED) == ("pmix", "none", "cray_shasta", "pmi2", "pmix_v4")
    assert mpi_types(LISTED_OLD) == ("none", "pmix_v3", "pmi2", "pmix")


@pytest.mark.parametrize(
    ("library", "name"),
    [
        (DEBIAN, "Open MPI 4.1.4"),
        (MPICH, "MPICH 4.1.2"),
        ("Intel(R) MPI Library 2021.11 for Linux* OS", "Intel MPI 2021.11"),
        ("MVAPICH2 Version      :\t2.3.7", "MVAPICH2 2.3.7"),
        ("", "Open MPI 4.1.4"),  # then as its mpirun says
    ],
)
def test_the_mpi_inside_is_named_by_its_library(library: str, name: str) -> None:
    assert mpi_inside(inside(library)) == name


def test_the_languages_of_an_open_mpi_are_its_components() -> None:
    assert pmi_inside(inside()) == {"pmix"}
    assert pmi_inside(inside(components=["mca:pmix:s1:version:x", "mca:pmix:s2:version:x"])) == {"pmi2"}
    assert pmi_inside(inside(components=[])) == set()
    assert pmi_inside(inside("Open MPI v5.0.5, package: x", components=[])) == {"pmix"}


def test_an_image_that_fits_has_no_other_finding() -> None:
    for site in (SRUN, MPIRUN):
        assert {status for status, _ in findings(inside(), host(), site).values()} == {"ok"}


@pytest.mark.parametrize(
    ("image", "outside", "site", "status", "advice"),
    [
        (inside(components=[]), host(), SRUN, "error", "neither pmix nor pmi2: every rank would take itself"),
        (inside(), host(), Site(mpi_type="pmi2"), "error", "set mpi_type=pmix in the site's profile"),
        (inside(), host(), Site(), "error", "set mpi_type=pmix in the site's profile"),  # MpiDefault=none
        (inside(), host(default="pmix"), Site(), "ok", ""),
        (inside(), host(), Site(mpi_type="pmix_v4"), "ok", ""),
        (inside(), host(), Site(mpi_type="pmix_v3"), "error", "srun has pmix, none, cray_shasta, pmi2, pmix_v4"),
        (inside(MPICH), host(), Site(mpi_type="pmi2"), "warning", "not known to fit"),
        (inside(), host(listed=None), SRUN, "warning", "no srun here: run this on a login node of cluster"),
        (inside(), host("Open MPI 5.0.5"), MPIRUN, "error", "5 and 4 do not understand each other"),
        (inside(), host("Open MPI 4.0.5"), MPIRUN, "ok", ""),
        (inside(), host("MPICH 4.1.2"), MPIRUN, "error", "load an MPI module of the image's kind"),
        (inside(), host(None), MPIRUN, "warning", "no mpirun here: load the MPI module of mpi"),
    ],
)
def test_what_starts_the_ranks_must_speak_as_the_mpi_inside(
    image: dict[str, Answer], outside: Host, site: Site, status: str, advice: str
) -> None:
    found = findings(image, outside, site)[f"Ranks by {site.launcher}"]
    assert found[0] == status
    assert advice in found[1]


NONE = Answer({}, "ModuleNotFoundError: No module named 'x'")


@pytest.mark.parametrize(
    ("changes", "check", "status", "advice"),
    [
        ({"tensorflow": NONE}, "TensorFlow", "error", "hpcnn container build"),
        ({"keras": Answer({"version": "2.15.0", "backend": "tensorflow"})}, "Keras", "error", "needs Keras 3"),
        ({"horovod": NONE}, "Horovod", "warning", "one rank can train"),
        ({"horovod": Answer({}, "ImportError: undefined symbol")}, "Horovod", "error", ""),
        ({"horovod": Answer({"MPI": False, "Gloo": True, "NCCL": False})}, "Horovod", "error", "need MPI"),
        ({"hpcnn": NONE}, "hpcnn", "error", "only a program of your own"),
        ({"hpcnn": Answer({"version": __version__, "command": None})}, "hpcnn", "error", "PATH"),
        (
            {"hpcnn": Answer({"version": "0.0.1", "command": "/x/hpcnn"})},
            "hpcnn",
            "warning",
            f"outside is {__version__}",
        ),
        ({"mpi4py": NONE}, "MPI in the image", "error", ""),
        ({"system": Answer({"version": "3.9.2", "machine": "x86_64", "horovod": None})}, "Python", "error", "3.10"),
        (
            {"system": Answer({"version": "3.11.2", "machine": "aarch64", "horovod": None})},
            "Architecture",
            "error",
            "x86_64",
        ),
    ],
)
def test_what_is_missing_inside_is_said(changes: dict[str, Answer], check: str, status: str, advice: str) -> None:
    found = findings(inside(**changes), host(), SRUN)
    assert found[check][0] == status
    assert advice in found[check][1]
    others = {name: found[name][0] for name in found if name not in (check, "Ranks by srun")}
    assert set(others.values()) == {"ok"}


def test_a_site_with_gpus_wants_cuda_and_nccl() -> None:
    found = findings(inside(), host(), Site(mpi_type="pmix", gpus=4))
    assert found["TensorFlow"][0] == found["Horovod"][0] == "warning"


def test_check_asks_the_image_and_the_machine(machine: dict[str, str], tmp_path: Path) -> None:
    pytest.importorskip("tensorflow", reason="the stand-in of an image is this environment (make venv)")
    image = tmp_path / "an image.sif"
    image.touch()
    (tmp_path / "bin" / "apptainer").write_text(RUNS)
    environment = {**machine, "PATH": f"{tmp_path / 'bin'}:{BIN}:{os.environ['PATH']}"}
    checked = container(environment, "check", image, "--format", "json")
    found = {row["check"]: row for row in json.loads(checked.stdout)}
    assert list(found)[:6] == ["Architecture", "Python", "TensorFlow", "Keras", "Horovod", "hpcnn"]
    assert found["Python"] == {"check": "Python", "value": sys.version.split()[0], "status": "ok", "advice": ""}
    assert found["hpcnn"]["value"] == __version__
    assert checked.returncode == int(any(row["status"] == "error" for row in found.values()))


def test_an_image_that_does_not_run_is_said_with_the_runtimes_words(machine: dict[str, str], tmp_path: Path) -> None:
    image = tmp_path / "broken.sif"
    image.touch()
    (tmp_path / "bin" / "apptainer").write_text("#!/bin/sh\necho 'FATAL: image format not recognized' >&2\nexit 255\n")
    checked = container(machine, "check", image)
    assert checked.returncode == 1
    assert checked.stderr == f"Error: {image}: no Python runs in it:\nFATAL: image format not recognized\n"


def test_check_needs_the_sites_runtime(machine: dict[str, str], tmp_path: Path) -> None:
    image = tmp_path / "x.sif"
    image.touch()
    checked = container({**machine, "PATH": str(tmp_path / "bin")}, "check", image, "--site", "lumi")
    assert checked.returncode == 2
    assert "singularity, by which site lumi runs containers, is not on PATH" in checked.stderr
