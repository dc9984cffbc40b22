"""hpcnn doctor: each state is provoked, by the environment or by a module that really fails to import."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from hpcnn.machine.doctor import Finding, shell, software, trains_serially
from hpcnn.machine.doctor.probe import Answer, probe

TENSORFLOW = Answer({"version": "2.21.0", "cuda": False, "gpus": []})
KERAS = Answer({"version": "3.15.1", "backend": "tensorflow"})
HOROVOD = Answer({"MPI": True, "Gloo": True, "NCCL": False})


def doctor(environment: dict[str, str], *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "hpcnn", "doctor", *options],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    """A folder for PYTHONPATH whose modules fail in the three ways that modules fail."""
    for name, code in {
        "tensorflow": "raise ImportError('libcudart.so.12: cannot open shared object file')",
        "keras": "import time; time.sleep(60)",
        "horovod": "import os; os.abort()",
        "mpi4py": "import sys; sys.exit(3)",
    }.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text(code)
    return tmp_path


def test_a_module_that_raises_hangs_crashes_or_exits_is_reported_and_the_others_are_tried(
    broken: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(broken))
    environment = {**os.environ, "PYTHONPATH": str(broken)}

    found = probe(["horovod", "keras", "tensorflow", "mpi4py"], environment, seconds=2)

    assert found["horovod"].error == "import crashed with SIGABRT"
    assert found["keras"].error == "import not done after 2 s"
    assert found["tensorflow"].error == "ImportError: libcudart.so.12: cannot open shared object file"
    assert found["mpi4py"].error == "SystemExit: 3"


def test_a_module_that_is_not_installed_is_said_to_be_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [path for path in sys.path if "-packages" not in path])
    monkeypatch.delitem(sys.modules, "tensorflow", raising=False)

    assert probe(["tensorflow"], os.environ)["tensorflow"].error == "not installed"


def test_the_command_reports_broken_libraries_and_exits_with_1(broken: Path) -> None:
    (broken / "keras" / "__init__.py").write_text("raise ImportError('no')")

    result = doctor({"PYTHONPATH": str(broken)}, "--format", "json")

    rows = {row["check"]: row for row in json.loads(result.stdout)}
    assert result.returncode == 1
    assert rows["TensorFlow"]["status"] == "missing"
    assert "libcudart.so.12" in rows["TensorFlow"]["value"]
    assert "SIGABRT" in rows["Horovod"]["value"]
    assert rows["Horovod"]["advice"] == "see TensorFlow first"
    assert all(row["advice"] for row in rows.values() if row["status"] != "ok")


def test_the_command_finds_this_environment_able_to_train() -> None:
    clean = dict.fromkeys(("KERAS_BACKEND", "TF_USE_LEGACY_KERAS", "TF_ENABLE_ONEDNN_OPTS"), "")

    result = doctor(clean, "--format", "json")

    rows = {row["check"]: row for row in json.loads(result.stdout)}
    assert result.returncode == 0
    for check in ("Python", "hpcnn", "TensorFlow", "Keras"):
        assert rows[check]["status"] == "ok", rows[check]
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("version", [(3, 10, 0), (3, 13, 5)])
def test_a_supported_python(version: tuple[int, ...]) -> None:
    assert software.check_python(version).status == "ok"


@pytest.mark.parametrize("version", [(3, 9, 18), (3, 14, 0)])
def test_an_unsupported_python_cannot_train(version: tuple[int, ...]) -> None:
    finding = software.check_python(version)
    assert finding.status == "missing"
    assert not trains_serially([finding])


def test_keras_2_and_another_backend_cannot_train() -> None:
    for facts in ({"version": "2.15.0", "backend": "tensorflow"}, {"version": "3.15.1", "backend": "jax"}):
        finding = software.check_keras(Answer(facts))
        assert finding.status == "missing"
        assert not trains_serially([finding])


def test_horovod_as_it_should_be() -> None:
    finding = software.check_horovod(HOROVOD, TENSORFLOW, KERAS, "0.28.1", "2.21.0")
    assert finding.status == "ok"
    assert "controllers MPI and Gloo" in finding.value


@pytest.mark.parametrize(
    ("facts", "operations"),
    [
        ({"NCCL": True, "CUDA": True, "loaded": "2.32.3"}, "NCCL 2.32.3"),
        ({"NCCL": True, "CUDA": True, "loaded": ""}, "NCCL"),
        ({"NCCL": False, "CUDA": True, "loaded": ""}, "MPI"),
        ({"NCCL": False, "CUDA": False, "loaded": ""}, "none"),
    ],
)
def test_what_horovod_has_for_gpus(facts: dict[str, bool | str], operations: str) -> None:
    seen = Answer({**TENSORFLOW.facts, "gpus": ["H100"]})
    finding = software.check_horovod(Answer({**HOROVOD.facts, **facts}), seen, KERAS, "0.28.1", "2.21.0")
    assert finding.value.endswith(f"GPU operations {operations}")
    assert (finding.status == "warning") is (operations == "none")


def test_the_nccl_that_is_loaded_is_that_of_horovod() -> None:
    """Horovod without NCCL has loaded none, whatever else is on the machine."""
    answer = probe(["horovod"], os.environ)["horovod"]
    if answer.error:
        pytest.skip(f"no Horovod here: {answer.error}")
    assert bool(re.fullmatch(r"2\.\d+\.\d+", str(answer.facts["loaded"]))) is answer.facts["NCCL"]


@pytest.mark.parametrize(
    ("horovod", "tensorflow", "built_for", "status", "advice"),
    [
        (Answer({}, "not installed"), TENSORFLOW, None, "missing", "build-horovod.sh --python"),
        (HOROVOD, TENSORFLOW, "2.20.0", "warning", "rebuild"),
        (Answer({}, "ImportError: undefined symbol"), TENSORFLOW, "2.21.0", "missing", "rebuild"),
        (Answer({"MPI": False, "Gloo": True, "NCCL": False}), TENSORFLOW, "2.21.0", "warning", "need MPI"),
        (HOROVOD, Answer({**TENSORFLOW.facts, "gpus": ["H100"]}), "2.21.0", "warning", "HOROVOD_GPU_OPERATIONS=NCCL"),
        (
            Answer({}, "NotFoundError: libnccl.so.2: cannot open shared object file"),
            TENSORFLOW,
            "2.21.0",
            "missing",
            "pip install nvidia-nccl-cu12",
        ),
    ],
)
def test_horovod_that_is_not_as_it_should_be(
    horovod: Answer, tensorflow: Answer, built_for: str | None, status: str, advice: str
) -> None:
    finding = software.check_horovod(horovod, tensorflow, KERAS, "0.28.1", built_for)
    assert finding.status == status
    assert advice in finding.advice


def test_mpirun_of_another_mpi_than_mpi4py_is_a_warning() -> None:
    mpi4py = Answer({"version": "4.1.2", "library": "Open MPI v4.1.8"})
    assert software.check_mpi4py(mpi4py, "Open MPI 4.1.8").status == "ok"
    assert software.check_mpi4py(mpi4py, None).status == "ok"
    assert software.check_mpi4py(mpi4py, "MPICH 4.0.2").status == "warning"


def test_gpus_that_tensorflow_does_not_see() -> None:
    assert software.check_gpus(TENSORFLOW, [], {}) == Finding("GPUs", "none")
    assert "hpcnn[gpu]" in software.check_gpus(TENSORFLOW, ["H100"], {}).advice
    assert "hides them" in software.check_gpus(TENSORFLOW, ["H100"], {"CUDA_VISIBLE_DEVICES": ""}).advice


def test_fewer_cores_than_the_job_asked_for() -> None:
    assert shell.check_cores(4, 64, {"SLURM_CPUS_PER_TASK": "4"}) == Finding("Cores for this process", "4 of 64")
    assert "--cpus-per-task=8" in shell.check_cores(1, 64, {"SLURM_CPUS_PER_TASK": "8"}).advice


@pytest.mark.parametrize(
    ("environment", "status"),
    [
        ({}, "ok"),
        ({"OMP_NUM_THREADS": "4"}, "ok"),
        ({"OMP_NUM_THREADS": "4,1"}, "ok"),
        ({"OMP_NUM_THREADS": "5"}, "warning"),
        ({"TF_NUM_INTRAOP_THREADS": "all"}, "warning"),
    ],
)
def test_threads_against_four_cores(environment: dict[str, str], status: str) -> None:
    assert shell.check_threads(environment, 4).status == status


def test_variables_that_put_another_keras_or_no_onednn_under_a_run() -> None:
    assert shell.check_keras_variables({"KERAS_BACKEND": "tensorflow", "TF_USE_LEGACY_KERAS": "0"}) == []
    backend, legacy = shell.check_keras_variables({"KERAS_BACKEND": "jax", "TF_USE_LEGACY_KERAS": "1"})
    assert not trains_serially([backend])
    assert legacy.status == "warning"
    assert shell.check_onednn({"TF_ENABLE_ONEDNN_OPTS": "0"}).status == "warning"
    assert shell.check_onednn({"TF_ENABLE_ONEDNN_OPTS": "1"}).status == "ok"


def test_the_data_folder(tmp_path: Path) -> None:
    (tmp_path / "mnist.npz").touch()
    assert "mnist" in shell.check_data({"HPCNN_DATA": str(tmp_path)}).value
    assert shell.check_data({"HPCNN_DATA": str(tmp_path / "none")}).status == "warning"


def test_commands_are_looked_up_in_the_given_path(tmp_path: Path) -> None:
    singularity = tmp_path / "singularity"
    singularity.touch(mode=0o755)
    names = ("apptainer", "singularity")
    assert shell.check_commands("Apptainer", names, {"PATH": str(tmp_path)}, "").value == str(singularity)
    assert shell.check_commands("Apptainer", names, {"PATH": "/nowhere"}, "").status == "missing"


def test_inherited_variables_are_named_with_what_they_do() -> None:
    outer = {"SLURM_CPU_BIND": "quiet,mask_cpu:0x1", "PMIX_RANK": "0", "PMIX_ID": "a.0", "SBATCH_ACCOUNT": "x"}
    harmless = {"SLURM_JOB_ID": "7", "SLURM_EXPORT_ENV": "ALL", "HOME": "/home/me", "MY_SLURM_NTASKS": "3"}

    found = {finding.check: finding for finding in shell.check_inherited({**outer, **harmless})}

    assert set(found) == {"SLURM_CPU_BIND", "PMIX_*", "SBATCH_*"}
    assert "share one core" in found["SLURM_CPU_BIND"].advice
    assert "unset PMIX_ID PMIX_RANK" in found["PMIX_*"].advice
    assert [finding.status for finding in shell.check_inherited(harmless)] == ["ok"]
