"""hpcnn container without Apptainer: what goes into an image, how a build is kept, and how an image is judged.

Where a container runtime must be called, a shell script stands in for it. tests/slurm/test_sif.py has a real one.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hpcnn import __version__
from hpcnn.container.cache import image_path
from hpcnn.container.context import KINDS, Context, context_of
from hpcnn.container.host import Host, mpi_types
from hpcnn.container.judge import judge, mpi_inside, pmi_inside
from hpcnn.container.machine import needs_fakeroot, pip_files, pip_settings
from hpcnn.container.progress import stage_of
from hpcnn.container.wheel import write_wheel
from hpcnn.doctor.probe import Answer
from hpcnn.resources import share_dir
from hpcnn.sites.profile import Site

BIN = Path(sys.executable).parent

# Takes `build ... IMAGE DEFINITION`, in the folder of the build, and notes each call.
BUILDS = """#!/bin/sh
echo "$@" >>"$CALLS"
echo 'INFO:    Starting build...'
echo '==> Python packages'
sleep "${SLOW:-0}"
if [ -n "$FAILS" ]; then echo "$FAILS"; exit 255; fi
for word; do image=$definition definition=$word; done
cat "$definition" pip/pip.conf >"$image"
echo 'INFO:    Creating SIF file...'
"""

# Takes `exec OPTIONS IMAGE.sif PROGRAM...`, and runs the program in no container at all.
RUNS = """#!/bin/sh
while case $1 in *.sif) false ;; esac; do shift; done
shift
exec "$@"
"""


@pytest.fixture
def machine(tmp_path: Path) -> dict[str, str]:
    """The environment of a machine with stand-ins for apptainer and debootstrap, and an empty cache."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, text in (("apptainer", BUILDS), ("debootstrap", "#!/bin/sh\n")):
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    return {
        **os.environ,
        "PATH": f"{programs}:/usr/bin:/bin",
        "HPCNN_CACHE": str(tmp_path / "cache"),
        "CALLS": str(tmp_path / "calls"),
    }


def start(environment: dict[str, str], *words: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "hpcnn", "container", *map(str, words)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def container(environment: dict[str, str], *words: object) -> subprocess.CompletedProcess[str]:
    """Run ``hpcnn container`` to its end."""
    process = start(environment, *words)
    output, errors = process.communicate(timeout=120)
    return subprocess.CompletedProcess(words, process.returncode, output, errors)


def calls(environment: dict[str, str]) -> list[str]:
    file = Path(environment["CALLS"])
    return file.read_text().splitlines() if file.exists() else []


# --- what goes into an image


def test_the_wheel_installs_and_packs_itself_again(tmp_path: Path) -> None:
    """From a checkout and from an installation the same bytes, so the same image."""
    first, second, target = (tmp_path / name for name in ("first", "second", "target"))
    for folder in (first, second):
        folder.mkdir()
    wheel = write_wheel(first)
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", target, wheel]
    subprocess.run(pip, check=True, capture_output=True)
    code = (
        "import sys; from pathlib import Path; import hpcnn; from hpcnn.container.wheel import write_wheel; "
        "print(hpcnn.__file__); write_wheel(Path(sys.argv[1]))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code, second],
        env={**os.environ, "PYTHONPATH": str(target)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stdout.startswith(str(target))
    assert (second / wheel.name).read_bytes() == wheel.read_bytes()


def test_the_image_is_another_as_soon_as_anything_in_it_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HPCNN_CACHE", str(tmp_path))
    context = context_of("cpu")
    assert image_path(context) == image_path(context_of("cpu"))
    assert image_path(context).parent == tmp_path / "images"
    names = {"hpcnn-cpu.def", "build-horovod.sh", "constraints.txt", f"wheels/hpcnn-{__version__}-py3-none-any.whl"}
    assert set(context.content) == names
    changed = [Context("cpu", {**context.content, name: context.content[name] + b"#"}) for name in names]
    assert len({image_path(context), *map(image_path, changed), image_path(context_of("gpu"))}) == len(names) + 2


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_definition_copies_is_beside_it(kind: str, tmp_path: Path) -> None:
    context = context_of(kind)
    context.write(tmp_path)
    text = (tmp_path / context.definition).read_text()
    files = re.search(r"^%files\n((?:    .+\n)+)", text, re.MULTILINE)
    assert files
    sources = {line.split()[0] for line in files[1].splitlines()}
    assert sources == {path.name for path in tmp_path.iterdir() if path.suffix != ".def"} | {"pip"}


@pytest.mark.parametrize("kind", KINDS)
def test_a_definition_names_no_place_that_packages_come_from(kind: str) -> None:
    text = (share_dir("containers") / f"hpcnn-{kind}.def").read_text()
    hosts = set(re.findall(r"\b(?:[a-z0-9-]+\.)+(?:com|org|io|net|edu)\b", text)) - {"nvcr.io"}
    assert "://" not in text
    assert hosts <= {"org.opencontainers"}
    assert {"%environment", "%help", "%labels", "%runscript", "%test"} <= set(text.split())


# --- what the building machine brings along


def test_pip_in_the_image_is_set_up_as_pip_here_without_this_machines_folders(tmp_path: Path) -> None:
    certificate = tmp_path / "ca.pem"
    certificate.write_text("a certificate")
    environment = {
        **{key: value for key, value in os.environ.items() if not key.startswith("PIP_")},
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_INDEX_URL": "https://me:secret@index.example/simple",
        "PIP_EXTRA_INDEX_URL": "file:///opt/index https://more.example/simple",
        "PIP_FIND_LINKS": "/opt/wheels",
        "PIP_CERT": str(certificate),
    }
    files = pip_files(environment)
    assert files["pip.conf"].decode().splitlines() == [
        "[global]",
        "disable-pip-version-check = true",
        "index-url = https://me:secret@index.example/simple",
        "extra-index-url = https://more.example/simple",
        "cert = /opt/hpcnn/pip/cert.pem",
    ]
    assert files["cert.pem"] == b"a certificate"


def test_a_variable_wins_over_pips_files() -> None:
    listed = (
        ":env:.timeout='180'\nglobal.timeout='15'\nglobal.find-links='/opt/wheels'\ninstall.proxy='http://p.example'\n"
    )
    assert pip_settings(listed) == {"timeout": "180", "proxy": "http://p.example"}


@pytest.mark.parametrize(("effective", "fakeroot"), [("000001ffffffffff", False), ("000001fffeffffff", True)])
def test_a_root_without_all_capabilities_plays_root(
    effective: str, fakeroot: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "self").mkdir()
    (tmp_path / "self" / "status").write_text(f"Name:\tpython\nCapEff:\t{effective}\nCapBnd:\t000001ffffffffff\n")
    (tmp_path / "sys" / "kernel").mkdir(parents=True)
    (tmp_path / "sys" / "kernel" / "cap_last_cap").write_text("40\n")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert needs_fakeroot(tmp_path) is fakeroot
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert needs_fakeroot(tmp_path)


@pytest.mark.parametrize("kind", KINDS)
def test_without_a_runtime_it_says_what_to_load(kind: str, tmp_path: Path) -> None:
    ended = container({**os.environ, "PATH": str(tmp_path)}, "build", kind)
    assert ended.returncode == 2
    assert "neither apptainer nor singularity is on PATH: load its module (`module load apptainer`" in ended.stderr


# --- a build


def test_the_dry_run_prints_the_command_that_the_build_runs(machine: dict[str, str]) -> None:
    shown = container(machine, "build", "cpu", "--dry-run")
    assert not Path(machine["HPCNN_CACHE"]).exists()
    built = container(machine, "build", "cpu")
    assert built.returncode == 0, built.stderr
    image = Path(built.stdout.strip())
    assert image.with_suffix(".log").read_text().splitlines()[0] == f"$ {shown.stdout.strip()}"
    assert shown.stdout.strip().endswith(f"{calls(machine)[0].partition(' ')[2]}")
    assert f"--build-arg hpcnn={__version__}" in shown.stdout


def test_an_image_is_built_once_and_found_again(machine: dict[str, str], tmp_path: Path) -> None:
    missing = container(machine, "path", "cpu")
    assert (missing.returncode, missing.stdout) == (1, "")
    assert "Error: the cpu image is not built: hpcnn container build cpu" in missing.stderr

    built = container(machine, "build", "cpu")
    assert [line.split("s  ")[1] for line in built.stderr.splitlines()] == [
        "the base system",
        "Python packages",
        "packing the image",
    ]
    assert container(machine, "path", "cpu").stdout == built.stdout
    copied = container(machine, "build", "cpu", "--output", tmp_path / "here" / "my.sif")
    assert copied.stdout.strip() == str(tmp_path / "here" / "my.sif")
    assert (tmp_path / "here" / "my.sif").read_bytes() == Path(built.stdout.strip()).read_bytes()
    assert len(calls(machine)) == 1
    assert container(machine, "build", "cpu", "--force").returncode == 0
    assert len(calls(machine)) == 2
    # no folder with pip's settings is left behind
    names = {path.suffix for path in Path(built.stdout.strip()).parent.iterdir()}
    assert names == {".sif", ".log", ".lock"}


def test_two_builds_of_one_image_are_one(machine: dict[str, str]) -> None:
    both = [start({**machine, "SLOW": "2"}, "build", "cpu") for _ in range(2)]
    answers = [process.communicate(timeout=60) for process in both]
    assert [process.returncode for process in both] == [0, 0], answers
    assert answers[0][0] == answers[1][0]
    assert len(calls(machine)) == 1
    assert sum("another build of this image is running: waiting for it" in errors for _, errors in answers) == 1


def test_a_failed_build_leaves_no_image_and_says_where_its_log_is(machine: dict[str, str]) -> None:
    failed = container({**machine, "FAILS": "mksquashfs: No space left on device"}, "build", "cpu")
    assert failed.returncode == 1
    assert "    mksquashfs: No space left on device" in failed.stderr
    assert "Likely cause: the disk is full: point APPTAINER_TMPDIR" in failed.stderr
    log = re.search(r"The whole log: (.+)$", failed.stderr, re.MULTILINE)
    assert log
    assert "==> Python packages" in Path(log[1]).read_text()
    assert container(machine, "path", "cpu").returncode == 1
    assert {path.suffix for path in Path(log[1]).parent.iterdir()} == {".log", ".lock"}


def test_an_interrupted_build_leaves_neither_image_nor_process(machine: dict[str, str]) -> None:
    process = start({**machine, "SLOW": "98.7654"}, "build", "cpu")
    end = time.monotonic() + 30
    while not calls(machine):
        assert time.monotonic() < end
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=40)
    assert process.returncode != 0
    assert {path.suffix for path in (Path(machine["HPCNN_CACHE"]) / "images").iterdir()} == {".log", ".lock"}
    running = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    assert "98.7654" not in running


@pytest.mark.parametrize(
    ("line", "stage"),
    [
        ("==> Horovod (about 5 minutes on 2 cores)", "Horovod (about 5 minutes on 2 cores)"),
        ("INFO:    Starting build...", "the base system"),
        ("INFO:    Creating SIF file...", "packing the image"),
        ("INFO:    Running testscript", "the image's own tests"),
        ("+ echo '==> Horovod'", None),
        ("I: Retrieving adduser 3.134", None),
    ],
)
def test_stages_are_read_from_the_builders_output(line: str, stage: str | None) -> None:
    assert stage_of(line) == stage


# --- whether an image fits

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
    return {finding.check: (finding.status, finding.advice) for finding in judge(image, outside, site)}


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


def test_nothing_of_it_imports_what_trains() -> None:
    code = (
        "import sys, hpcnn.cli.container, hpcnn.container.build, hpcnn.container.inside, hpcnn.container.judge; "
        "print(sorted({'tensorflow', 'keras', 'pandas', 'scipy', 'matplotlib'} & set(sys.modules)))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout == "[]\n"
