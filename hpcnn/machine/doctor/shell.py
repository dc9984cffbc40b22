"""Check the shell: cores, environment variables, commands. Pure: the environment is an argument."""

from __future__ import annotations

import fnmatch
import os
import shutil
from collections.abc import Mapping

from hpcnn.machine.doctor.finding import Finding
from hpcnn.util.user import expanded

Environment = Mapping[str, str]

THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")

_RANK = "an MPI process takes itself for a rank of the launch that set it"
_OPTION = "srun reads it as an option"
# Variables that a new job or launch inherits from an outer one, and their effect: sbatch(1) and srun(1), "INPUT
# ENVIRONMENT VARIABLES"; mpirun(1) of Open MPI.
INHERITED = (
    ("SLURM_CPU_BIND", "srun binds new ranks to the cores of the outer step: several share one core"),
    ("SLURM_MEM_BIND", "srun binds new ranks to the memory of the outer step"),
    ("SLURM_NTASKS", f"{_OPTION}: it starts so many ranks where none are asked for"),
    ("SLURM_NPROCS", f"{_OPTION}: it starts so many ranks where none are asked for"),
    ("SLURM_NTASKS_PER_*", f"{_OPTION}: it limits the ranks of a node"),
    ("SLURM_CPUS_PER_TASK", "the outer job's cores; srun refuses it beside a different SLURM_TRES_PER_TASK"),
    ("SLURM_TRES_PER_TASK", f"{_OPTION}: the outer job's cores and GPUs"),
    ("SLURM_MEM_PER_*", f"{_OPTION}: srun refuses two of them, or one beside another --mem"),
    ("SLURM_DISTRIBUTION", f"{_OPTION}: it places ranks on other cores than the script says"),
    ("SLURM_HINT", f"{_OPTION}: it changes which hardware threads ranks get"),
    ("SLURM_THREADS_PER_CORE", f"{_OPTION}: it changes which hardware threads ranks get"),
    ("SLURM_EXPORT_ENV", f"{_OPTION}: ranks do not get all of the script's environment"),
    ("SLURM_MPI_TYPE", f"{_OPTION}: with another MPI, every rank takes itself for the only one"),
    ("SBATCH_*", "sbatch reads it as an option, and it overrides the #SBATCH lines of the job script"),
    ("SRUN_CPUS_PER_TASK", f"{_OPTION}: the cores of every rank"),
    ("PMIX_*", _RANK),
    ("PMI_*", _RANK),
    ("OMPI_COMM_WORLD_*", _RANK),
    ("OMPI_MCA_*", "Open MPI reads it as an --mca option, in every run of this shell"),
    ("HOROVOD_RANK", "Horovod takes its rank from it instead of from MPI"),
    ("HOROVOD_SIZE", "Horovod takes its size from it instead of from MPI"),
)

_HARMLESS = ("SLURM_EXPORT_ENV", "ALL")


def check_cores(allowed: int, total: int, environment: Environment) -> Finding:
    """Check how many of the machine's cores this process may use."""
    value = f"{allowed} of {total}"
    asked = environment.get("SLURM_CPUS_PER_TASK", "")
    if asked.isdigit() and int(asked) > allowed:
        advice = f"the job asked for {asked} a task: start ranks with srun --cpus-per-task={asked}"
        return Finding("Cores for this process", value, "warning", advice)
    return Finding("Cores for this process", value)


def check_threads(environment: Environment, allowed: int) -> Finding:
    """Check the variables of threads: more threads than cores slow a run down and falsify its time per core."""
    found = {name: environment[name] for name in THREAD_VARIABLES if name in environment}
    value = " ".join(f"{name}={count}" for name, count in found.items()) or "no variable set"
    for name, count in found.items():
        # OMP_NUM_THREADS may be a list, one number per nesting level (OpenMP 5.2, section 21.2.2)
        first = count.split(",")[0].strip()
        if not first.isdigit():
            return Finding("Threads", value, "warning", f"{name}={count!r} is not a number: unset it")
        if int(first) > allowed:
            return Finding("Threads", value, "warning", f"{name}={count}, but there are {allowed} cores: unset it")
    return Finding("Threads", value)


def check_onednn(environment: Environment) -> Finding:
    """Check that oneDNN is on: without it a network trained 2.3 (float32) to 8 (bfloat16) times slower on 2 cores."""
    value = environment.get("TF_ENABLE_ONEDNN_OPTS")
    if value is not None and value.lower() in ("0", "false"):
        advice = "unset TF_ENABLE_ONEDNN_OPTS: without oneDNN a CPU trains 2 to 8 times slower"
        return Finding("oneDNN", f"off (TF_ENABLE_ONEDNN_OPTS={value})", "warning", advice)
    return Finding("oneDNN", "on")


def check_keras_variables(environment: Environment) -> list[Finding]:
    """Check KERAS_BACKEND and TF_USE_LEGACY_KERAS, which can select another Keras for a user's model."""
    findings = []
    backend = environment.get("KERAS_BACKEND")
    if backend not in (None, "", "tensorflow"):
        advice = "hpcnn needs TensorFlow: export KERAS_BACKEND=tensorflow"
        findings.append(Finding("KERAS_BACKEND", str(backend), "missing", advice))
    legacy = environment.get("TF_USE_LEGACY_KERAS", "")
    if legacy.lower() in ("1", "true"):
        advice = "unset TF_USE_LEGACY_KERAS: tf.keras is then Keras 2, whose models are none to Keras 3"
        findings.append(Finding("TF_USE_LEGACY_KERAS", legacy, "warning", advice))
    return findings


def check_data(environment: Environment) -> Finding:
    """Check HPCNN_DATA, the folder of staged data sets."""
    named = environment.get("HPCNN_DATA")
    if not named:
        return Finding("HPCNN_DATA", "not set: the folder of `hpcnn data` is used")
    folder = expanded(named)
    if not folder.is_dir():
        return Finding("HPCNN_DATA", named, "warning", "there is no such folder here: unset it or name another")
    files = sorted(file.stem for file in folder.glob("*.npz"))
    return Finding("HPCNN_DATA", f"{named} ({', '.join(files) or 'no .npz file'})")


def check_commands(check: str, commands: tuple[str, ...], environment: Environment, advice: str) -> Finding:
    """Check that a tool is on PATH, under one of its names (apptainer, singularity)."""
    search = environment.get("PATH", os.defpath)
    found = [path for path in (shutil.which(command, path=search) for command in commands) if path]
    return Finding(check, found[0]) if found else Finding(check, "not on PATH", "missing", advice)


def check_inherited(environment: Environment) -> list[Finding]:
    """Check for variables of an outer job or launch that would change a new run, one finding per pattern."""
    findings = []
    for pattern, why in INHERITED:
        names = sorted(fnmatch.filter(environment, pattern))
        if names and (names[0], environment[names[0]]) != _HARMLESS:
            value = " ".join(f"{name}={environment[name]}" for name in names)
            advice = f"{why}. Unless that is meant: unset {' '.join(names)}"
            findings.append(Finding(pattern, value, "warning", advice))
    return findings or [Finding("Inherited variables", "none that change a run")]
