"""containers/build-horovod.sh with operations on GPUs: what it finds, what it says, what its key knows.

The toolkit, NCCL and TensorFlow are stand-ins of a few files, but for the last tests: they look at the Horovod of this
environment where that was built with NCCL.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.test_setup import bash_function, build_horovod, executable, run

ENDING = "#endif // TENSORFLOW_VERSION >= 2011000000\n#endif // HAVE_GPU\n"


@dataclass(frozen=True)
class Machine:
    """A Python with TensorFlow for GPUs, and a folder for toolkits. No variable of the outer shell counts."""

    folder: Path
    python: Path
    packages: Path

    def build(self, *options: object, **environment: str) -> subprocess.CompletedProcess[str]:
        variables = {"HOROVOD_GPU_OPERATIONS": "NCCL", "CXX": "g++", **environment}
        cleared = {name: "" for name in os.environ if name.startswith("HOROVOD_") or name in ("CPATH", "LIBRARY_PATH")}
        return build_horovod("--python", self.python, *options, **{**cleared, **variables})

    def key(self, **environment: str) -> str:
        ended = self.build("--print-key", **environment)
        assert (ended.returncode, ended.stderr) == (0, "")
        return ended.stdout.strip()

    def toolkit(self, version: str, *capabilities: int) -> Path:
        """Make a CUDA toolkit of which only the answers of nvcc are there."""
        home = self.folder / f"cuda-{version}"
        known = "\\n".join(f"compute_{capability}" for capability in capabilities)
        answers = (
            f"--version) echo 'Cuda compilation tools, release {version}, V{version}.88' ;;\n"
            f"--list-gpu-arch) printf '{known}\\n' ;;\n"
            f"--dryrun) echo '#$ TOP={home}/bin/..' >&2 ;;\n"
            "*) echo 'fatal error: cuda_runtime.h: No such file or directory' >&2; exit 1 ;;\n"
        )
        executable(home / "bin" / "nvcc", f"#!/bin/sh\ncase $1 in\n{answers}esac\n")
        return home


def nccl(folder: Path, version: str, library: str) -> Path:
    """Make a folder with the header and the library of an NCCL."""
    major, minor, patch = version.split(".")
    header = f"#define NCCL_MAJOR {major}\n#define NCCL_MINOR {minor}\n#define NCCL_PATCH {patch}\n"
    header += '#define NCCL_SUFFIX ""\n#define NCCL_VERSION_CODE 1\n'
    for name, text in (("include/nccl.h", header), (f"lib/{library}", "")):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    environment = tmp_path / "environment"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
    (packages,) = environment.glob("lib/python3*/site-packages")
    info = "build_info = {'is_cuda_build': True, 'cuda_version': '12.5.1'}\n"
    for name, text in {
        "pip/__init__.py": "",
        "tensorflow/__init__.py": "raise ImportError('slow')",
        "tensorflow/python/platform/build_info.py": info,
        "tensorflow-2.21.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: tensorflow\nVersion: 2.21.0\n",
        "tensorflow-2.21.0.dist-info/top_level.txt": "tensorflow\n",
    }.items():
        (packages / name).parent.mkdir(parents=True, exist_ok=True)
        (packages / name).write_text(text)
    nccl(packages / "nvidia" / "nccl", "2.32.3", "libnccl.so.2")
    return Machine(tmp_path, environment / "bin" / "python", packages)


def test_the_key_knows_cuda_nccl_the_operations_and_the_gpus(machine: Machine) -> None:
    new, old = machine.toolkit("13.0", 75, 80, 90), machine.toolkit("12.8", 50, 60, 70, 80, 90)
    plain = machine.key(HOROVOD_GPU_OPERATIONS="")
    asked = machine.key(HOROVOD_CUDA_HOME=str(new))

    assert asked == f"{plain}-NCCL-cuda13.0-nccl2.32.3-wheel-cc75.80.90"
    others = [
        machine.key(HOROVOD_CUDA_HOME=str(old)),
        machine.key(HOROVOD_CUDA_HOME=str(new), HOROVOD_GPU_OPERATIONS="MPI"),
        machine.key(HOROVOD_CUDA_HOME=str(new), HOROVOD_GPU_OPERATIONS="", HOROVOD_GPU_ALLREDUCE="NCCL"),
        machine.key(HOROVOD_CUDA_HOME=str(new), HOROVOD_GPU_OPERATIONS="", HOROVOD_GPU_ALLGATHER="MPI"),
        machine.key(HOROVOD_CUDA_HOME=str(new), HOROVOD_BUILD_CUDA_CC_LIST="90,80"),
        machine.key(HOROVOD_CUDA_HOME=str(new), HOROVOD_NCCL_LINK="SHARED"),
        machine.key(HOROVOD_GPU_OPERATIONS="", HOROVOD_CPU_OPERATIONS="GLOO"),
    ]
    nccl(machine.packages / "nvidia" / "nccl", "2.27.7", "libnccl.so.2")
    others.append(machine.key(HOROVOD_CUDA_HOME=str(new)))

    assert len({plain, asked, *others}) == len(others) + 2
    assert others[0].endswith("-NCCL-cuda12.8-nccl2.32.3-wheel-cc60.70.80.90")
    assert others[1].endswith("-MPI-cuda13.0-cc75.80.90")
    assert others[2].endswith("-allreduceNCCL-cuda13.0-nccl2.32.3-wheel-cc75.80.90")
    assert others[4].endswith("-cc80.90")


def test_the_toolkit_is_found_behind_a_script_on_path(machine: Machine) -> None:
    home = machine.toolkit("13.0", 90)
    nvcc = executable(machine.folder / "bin" / "nvcc", f'#!/bin/sh\nexec {home}/bin/nvcc "$@"\n')

    ended = machine.build(PATH=f"{nvcc.parent}:{os.environ['PATH']}")

    assert f"by CUDA 13.0 in {home} and NCCL 2.32.3 in {machine.packages}/nvidia/nccl/lib\n" in ended.stderr
    assert "GPUs: compute capabilities 90 and later" in ended.stderr
    assert "CUDA 13.0 is not the CUDA 12.5.1 that TensorFlow 2.21.0 was built with" in ended.stderr
    assert ended.returncode == 1
    assert f"{home}/bin/nvcc does not compile with" in ended.stderr
    assert "the CUDA toolkit is not whole" in ended.stderr


def test_a_toolkit_of_tensorflows_own_cuda_needs_no_word(machine: Machine) -> None:
    ended = machine.build(HOROVOD_CUDA_HOME=str(machine.toolkit("12.8", 90)))

    assert "by CUDA 12.8" in ended.stderr
    assert "note:" not in ended.stderr


@pytest.mark.skipif(shutil.which("g++") is None, reason="needs g++")
def test_nccl_is_the_one_that_is_named_else_the_compilers_else_the_wheel(machine: Machine) -> None:
    cuda = {"HOROVOD_CUDA_HOME": str(machine.toolkit("13.0", 90))}
    named = nccl(machine.folder / "named", "2.20.1", "libnccl.so")
    module = nccl(machine.folder / "module", "2.21.2", "libnccl.so")
    loaded = {"CPATH": f"{module}/include", "LIBRARY_PATH": f"{module}/lib"}

    assert "-nccl2.32.3-wheel-" in machine.key(**cuda)
    assert "-nccl2.21.2-system" in machine.key(**cuda, **loaded)
    assert "-nccl2.20.1-system" in machine.key(**cuda, **loaded, HOROVOD_NCCL_HOME=str(named))
    wheel = str(machine.packages / "nvidia" / "nccl")
    assert machine.key(**cuda, HOROVOD_NCCL_HOME=wheel) == machine.key(**cuda)

    ended = machine.build("--print-key", **cuda, HOROVOD_NCCL_HOME=str(machine.folder / "none"))
    assert ended.returncode == 1
    assert f"no NCCL with include/nccl.h and lib/libnccl.so in {machine.folder}/none" in ended.stderr


def test_everything_that_is_missing_is_named_before_anything_is_written(machine: Machine) -> None:
    info = machine.packages / "tensorflow" / "python" / "platform" / "build_info.py"
    info.write_text("build_info = {'is_cuda_build': False}\n")
    shutil.rmtree(machine.packages / "nvidia")
    cache = machine.folder / "cache"

    ended = machine.build("--cache", cache, HOROVOD_CUDA_HOME=str(machine.folder / "none"))

    assert ended.returncode == 1
    assert f"tensorflow 2.21.0 in {machine.python} is for CPUs alone" in ended.stderr
    assert "'tensorflow[and-cuda]==2.21.0'" in ended.stderr.replace('"', "'")
    assert f"{machine.folder}/none has no bin/nvcc" in ended.stderr
    assert f"no NCCL: '{machine.python} -m pip install nvidia-nccl-cu12'" in ended.stderr
    assert not cache.exists()


def test_a_python_without_tensorflow_is_told_of_the_one_for_gpus(machine: Machine) -> None:
    shutil.rmtree(machine.packages / "tensorflow-2.21.0.dist-info")

    ended = machine.build("--print-key", HOROVOD_CUDA_HOME=str(machine.toolkit("13.0", 90)))

    assert f"run '{machine.python} -m pip install \"tensorflow[and-cuda]\"'" in ended.stderr


def test_the_compiler_of_the_wheels_is_taken_where_none_is_on_path(machine: Machine) -> None:
    home = machine.packages / "nvidia" / "cu13"
    machine.toolkit("13.1", 90).rename(home)
    nvcc = home / "bin" / "nvcc"
    nvcc.write_text(nvcc.read_text().replace(str(machine.folder / "cuda-13.1"), str(home)))
    without = os.pathsep.join(p for p in os.environ["PATH"].split(os.pathsep) if not Path(p, "nvcc").exists())

    assert "-NCCL-cuda13.1-" in machine.key(PATH=without)
    on_path = machine.toolkit("12.8", 90) / "bin"
    assert "-NCCL-cuda12.8-" in machine.key(PATH=f"{on_path}:{without}")


def test_a_gpu_that_the_toolkit_does_not_know_is_named(machine: Machine) -> None:
    home = str(machine.toolkit("13.0", 75, 80, 90))

    ended = machine.build("--print-key", HOROVOD_CUDA_HOME=home, HOROVOD_BUILD_CUDA_CC_LIST="70,90")

    assert ended.returncode == 1
    assert "CUDA 13.0 does not compile for 70 (HOROVOD_BUILD_CUDA_CC_LIST=70,90), but for 75 80 90" in ended.stderr


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"HOROVOD_GPU_OPERATIONS": "nccl"}, "HOROVOD_GPU_OPERATIONS='nccl' is not valid: NCCL or MPI"),
        ({"HOROVOD_GPU_OPERATIONS": "", "HOROVOD_GPU_BROADCAST": "x"}, "HOROVOD_GPU_BROADCAST='x' is not valid"),
        ({"HOROVOD_GPU_ALLREDUCE": "NCCL"}, "unset it or HOROVOD_GPU_ALLREDUCE"),
        (
            {"HOROVOD_GPU_OPERATIONS": "", "HOROVOD_GPU_ALLREDUCE": "NCCL", "HOROVOD_GPU_BROADCAST": "MPI"},
            "may deadlock",
        ),
        ({"HOROVOD_GPU": "ROCM"}, "HOROVOD_GPU='ROCM' is not valid"),
        ({"HOROVOD_BUILD_CUDA_CC_LIST": "8.0"}, "HOROVOD_BUILD_CUDA_CC_LIST='8.0' is not valid"),
    ],
)
def test_a_setting_that_is_not_valid_is_named(environment: dict[str, str], message: str, machine: Machine) -> None:
    ended = machine.build("--print-key", **{"HOROVOD_CUDA_HOME": str(machine.toolkit("13.0", 90)), **environment})

    assert ended.returncode == 2
    assert message in ended.stderr


@pytest.mark.parametrize(
    ("line", "cause"),
    [
        ("Could NOT find CUDAToolkit (missing: CUDAToolkit_INCLUDE_DIR)", "name its folder with HOROVOD_CUDA_HOME"),
        ("No CMAKE_CUDA_COMPILER could be found.", "name its folder with HOROVOD_CUDA_HOME"),
        ("Could NOT find NCCL (missing: NCCL_LIBRARY)", "by HOROVOD_NCCL_HOME"),
        ("host_config.h:1: error: #error -- unsupported GNU version! gcc versions later than 15", "CXX=g++-12"),
        ("nvcc fatal   : Unsupported gpu architecture 'compute_70'", "does not compile for all of 70,90"),
        ("fatal error: cuda_runtime.h: No such file or directory", "the CUDA toolkit is not whole"),
        ("error: 'StatusOr' in namespace 'xla' does not name a template type", "does not fit TensorFlow 2.21.0"),
    ],
)
def test_a_failed_build_of_gpu_operations_is_explained(line: str, cause: str, tmp_path: Path) -> None:
    log = tmp_path / "build.log"
    log.write_text(f"[ 12%] Building CXX object\n{line}\nmake: leaving\n")

    ended = bash_function(f'gpu=NCCL; cuda=13.0; capabilities=70,90; explain_failure "{log}"')

    assert cause in ended.stderr.split("likely cause: ")[1]


def sources(folder: Path, ending: str = ENDING) -> Path:
    """Write what the patch looks for in Horovod's sources."""
    (folder / "horovod" / "tensorflow").mkdir(parents=True)
    (folder / "horovod" / "tensorflow" / "xla_mpi_ops.cc").write_text("::xla::StatusOr<A> a;\n::xla::StatusOr<B> b;\n")
    (folder / "horovod" / "tensorflow" / "mpi_ops.cc").write_text(f"#include one\n{ending}#include two\n")
    return folder / "horovod" / "tensorflow"


@pytest.mark.parametrize("exported", [False, True])
def test_the_stream_is_defined_where_tensorflow_no_longer_exports_it(exported: bool, tmp_path: Path) -> None:
    folder = sources(tmp_path / "source")
    symbol = b"_ZN15stream_executor3gpu16AsGpuStreamValueEPNS_6StreamE" if exported else b""
    (tmp_path / "libtensorflow_cc.so.2").write_bytes(b"\0" + symbol + b"\0")
    (tmp_path / "include").mkdir()

    ended = bash_function(f'build_python={sys.executable}; patch_gpu_sources "{tmp_path}/source" "{tmp_path}/include"')

    assert ended.returncode == 0, ended.stderr
    assert (folder / "xla_mpi_ops.cc").read_text() == "::absl::StatusOr<A> a;\n::absl::StatusOr<B> b;\n"
    patched = (folder / "mpi_ops.cc").read_text()
    assert ("platform_specific_handle().stream" in patched) is not exported
    assert patched.startswith("#include one\n")
    assert patched.endswith("#endif // HAVE_GPU\n#include two\n")


def test_another_horovod_is_not_patched(tmp_path: Path) -> None:
    sources(tmp_path / "source", ending="")

    ended = bash_function(f'build_python={sys.executable}; patch_gpu_sources "{tmp_path}/source" "{tmp_path}/include"')

    assert ended.returncode == 1
    assert "mpi_ops.cc is not that of the Horovod that is patched here" in ended.stderr


def test_cmake_is_told_what_it_does_not_find_in_wheels(tmp_path: Path) -> None:
    """The wheels have libcudart.so.13 and libnccl.so.2, CMake looks for names without a number."""
    for name in ("cuda/lib/libcudart.so.13", "nccl/lib/libnccl.so.2"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).touch()
    sources(tmp_path / "source")
    executable(tmp_path / "cmake", '#!/bin/sh\necho "$@"\n')
    call = (
        f"gpu=NCCL cuda_home={tmp_path}/cuda capabilities=90 nccl_include={tmp_path}/nccl/include "
        f"nccl_lib={tmp_path}/nccl/lib nccl_wheel=yes build_python={sys.executable}; "
        f"prepare_gpu_build {tmp_path} {tmp_path}/source {tmp_path}; "
        '"$HOROVOD_CMAKE" source -DA=b; "$HOROVOD_CMAKE" --build .; echo "$LDFLAGS"; echo "$LIBRARY_PATH"'
    )

    cuda = tmp_path / "cuda" / "lib"
    ended = bash_function(call, HOROVOD_CMAKE=str(tmp_path / "cmake"), LDFLAGS="-Wl,-one", LIBRARY_PATH="/other")

    assert ended.stdout.splitlines() == [
        f"-DCUDA_CUDART:FILEPATH={cuda}/libcudart.so.13 -DNCCL_LIBRARY:STRING=-l:libnccl.so.2 source -DA=b",
        "--build .",
        f"-Wl,-rpath,$ORIGIN/../../nvidia/nccl/lib -L{tmp_path}/nccl/lib -Wl,-one",
        f"{cuda}:/other",
    ]


# --- the Horovod of this environment


@pytest.fixture
def library() -> Path:
    """Horovod's library in this environment, where it was built with NCCL."""
    found = importlib.util.find_spec("horovod")
    folder = Path((found.submodule_search_locations or [""])[0]) if found else Path()
    library = next(iter(folder.glob("tensorflow/mpi_lib*.so")), None) if found else None
    if library is None or b"ncclGetUniqueId" not in library.read_bytes():
        pytest.skip("the Horovod here was not built with NCCL")
    return library


def test_horovod_finds_the_nccl_of_whatever_environment_it_is_in(library: Path) -> None:
    if shutil.which("readelf") is None:
        pytest.skip("needs readelf")
    dynamic = run("readelf", "-d", library).stdout
    folders = [folder for found in re.findall(r"(?:RUNPATH|RPATH).*\[(.*)\]", dynamic) for folder in found.split(":")]

    assert "[libnccl.so.2]" in dynamic
    assert "$ORIGIN/../../nvidia/nccl/lib" in folders
    assert not [folder for folder in folders if folder.startswith(("/tmp", sys.prefix))]


def test_horovod_with_nccl_loads_without_any_help(library: Path) -> None:
    program = (
        "import json, horovod.tensorflow as hvd; "
        "print(json.dumps([hvd.nccl_built(), hvd.cuda_built(), hvd.mpi_built()]))"
    )
    environment = {key: value for key, value in os.environ.items() if key not in ("LD_LIBRARY_PATH", "LD_PRELOAD")}

    ended = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False
    )

    assert ended.returncode == 0, ended.stderr
    assert all(json.loads(ended.stdout.splitlines()[-1]))
