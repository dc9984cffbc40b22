"""Check the software: Python, TensorFlow, Keras, Horovod, MPI, GPUs. Pure: the facts are arguments."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence

from hpcnn.machine.doctor.finding import Finding
from hpcnn.machine.doctor.probe import Answer
from hpcnn.util.share import share_dir
from hpcnn.version import SUPPORTED_PYTHONS, supported_pythons


def check_python(version: Sequence[int]) -> Finding:
    """Check the Python version: hpcnn supports those of ``version.py``."""
    text = ".".join(map(str, version[:3]))
    if ".".join(map(str, version[:2])) in SUPPORTED_PYTHONS:
        return Finding("Python", f"{text} ({sys.executable})")
    return Finding("Python", text, "missing", f"use Python {supported_pythons()}")


def check_tensorflow(tensorflow: Answer) -> Finding:
    """Check TensorFlow, which training needs."""
    if tensorflow.error:
        return Finding("TensorFlow", tensorflow.error, "missing", "pip install 'hpcnn[cpu]' or 'hpcnn[gpu]'")
    built = "built for CUDA" if tensorflow.facts["cuda"] else "CPU only"
    return Finding("TensorFlow", f"{tensorflow.facts['version']}, {built}")


def check_keras(keras: Answer) -> Finding:
    """Check for Keras 3 on TensorFlow, which training needs."""
    if keras.error:
        advice = "pip install 'hpcnn[cpu]'; where KERAS_BACKEND names another: export KERAS_BACKEND=tensorflow"
        return Finding("Keras", keras.error, "missing", advice)
    version, backend = str(keras.facts["version"]), str(keras.facts["backend"])
    value = f"{version}, backend {backend}"
    if not version.startswith("3."):
        return Finding("Keras", value, "missing", "hpcnn needs Keras 3: pip install 'keras>=3.8,<4'")
    if backend != "tensorflow":
        advice = "export KERAS_BACKEND=tensorflow (it is set, or keras.json names another)"
        return Finding("Keras", value, "missing", advice)
    return Finding("Keras", value)


def check_horovod(
    horovod: Answer, tensorflow: Answer, keras: Answer, version: str | None, built_for: str | None
) -> Finding:
    """Check Horovod: its controllers, the TensorFlow that it was built for, whether it has NCCL, and whether it loads.

    version: of the installed package; built_for: the TensorFlow version that its build recorded.
    """
    if horovod.error == "not installed":
        return Finding("Horovod", horovod.error, "missing", f"for several ranks: {build_command()}")
    installed = tensorflow.facts.get("version")
    if built_for and installed and built_for != installed:
        value = f"{version}, built for TensorFlow {built_for}, not {installed}"
        return Finding("Horovod", value, "missing" if horovod.error else "warning", f"rebuild: {build_command()}")
    if horovod.error:
        first = "TensorFlow" if tensorflow.error else "Keras" if keras.error else None
        advice = f"see {first} first" if first else f"rebuild: {build_command()}"
        if "libnccl" in horovod.error and not first:
            advice = f"{_NO_NCCL}; or rebuild: HOROVOD_GPU_OPERATIONS=NCCL {build_command()}"
        return Finding("Horovod", f"{version}: {horovod.error}", "missing", advice)
    controllers = [name for name in ("MPI", "Gloo") if horovod.facts[name]]
    operations = _gpu_operations(horovod)
    value = f"{version}, controllers {' and '.join(controllers) or 'none'}, GPU operations {operations}"
    if "MPI" not in controllers:
        return Finding("Horovod", value, "warning", f"ranks of mpirun and srun need MPI; rebuild: {build_command()}")
    if tensorflow.facts.get("gpus") and operations == "none":
        advice = f"gradients pass through the host's memory; rebuild: HOROVOD_GPU_OPERATIONS=NCCL {build_command()}"
        return Finding("Horovod", value, "warning", advice)
    return Finding("Horovod", value)


_NO_NCCL = "load the module of the NCCL that Horovod was built with, or `pip install nvidia-nccl-cu12` for its wheel"


def _gpu_operations(horovod: Answer) -> str:
    """Return what sums the gradients of GPUs: NCCL (with the version that is loaded), MPI, or none."""
    if horovod.facts["NCCL"]:
        return f"NCCL {horovod.facts.get('loaded', '')}".rstrip()
    return "MPI" if horovod.facts.get("CUDA") else "none"


def build_command() -> str:
    """Return the command line that builds Horovod for this Python."""
    return f"{share_dir('containers') / 'build-horovod.sh'} --python {sys.executable}"


def check_mpirun(path: str | None, version: str | None) -> Finding:
    """Check mpirun, which starts the ranks on a machine without Slurm."""
    if path is None:
        advice = f"load the site's MPI module, or let the build of Horovod bring one: {build_command()}"
        return Finding("MPI", "no mpirun", "missing", advice)
    if version is None:
        return Finding("MPI", f"{path}, of no known MPI", "warning", f"look at: {path} --version")
    return Finding("MPI", f"{version}, {path}")


def check_mpi4py(mpi4py: Answer, mpirun_version: str | None) -> Finding:
    """Check mpi4py: with another MPI than that of mpirun, every rank runs as rank 0 of 1."""
    if mpi4py.error:
        advice = "pip install 'hpcnn[cpu]', and an MPI library (see MPI)"
        return Finding("mpi4py", mpi4py.error, "missing", advice)
    library = str(mpi4py.facts["library"])
    value = f"{mpi4py.facts['version']} with {library}"
    if mpirun_version and mpirun_version.rsplit(" ", 1)[-1] not in library:
        advice = f"mpirun is {mpirun_version}: put the mpirun of the same MPI first in PATH"
        return Finding("mpi4py", value, "warning", advice)
    return Finding("mpi4py", value)


def check_gpus(tensorflow: Answer, present: Sequence[str], environment: Mapping[str, str]) -> Finding:
    """Check that TensorFlow sees the GPUs of the driver. present: their names, as nvidia-smi gives them."""
    seen = [str(name) for name in tensorflow.facts.get("gpus", ())]
    if seen or not present:
        return Finding("GPUs", f"{len(seen)} x {', '.join(sorted(set(seen)))}" if seen else "none")
    value = f"TensorFlow sees none of {len(present)} x {', '.join(sorted(set(present)))}"
    if "CUDA_VISIBLE_DEVICES" in environment:
        advice = f"CUDA_VISIBLE_DEVICES={environment['CUDA_VISIBLE_DEVICES']!r} hides them"
    elif tensorflow.facts.get("cuda"):
        advice = "TensorFlow found no CUDA libraries: pip install 'hpcnn[gpu]', or apptainer exec --nv"
    else:
        advice = "this TensorFlow is for CPUs: pip install 'hpcnn[gpu]', or use the GPU container"
    return Finding("GPUs", value, "warning", advice)
