"""Probe heavy modules, such as TensorFlow, by importing them in another process.

A library that crashes, hangs or calls ``abort`` then gives a finding, and does not end the doctor. Must not import the
checks.
"""

from __future__ import annotations

import importlib.util
import json
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hpcnn.util.types import Json

SECONDS = 180.0  # a first import from a cold parallel file system can take minutes

# Prints one line per stage at once, so that a stage that ends the process loses no earlier answer. Loads MPI without
# MPI_Init, which aborts outside mpirun on some installations.
PROGRAM = """
import json, sys

def tensorflow():
    import tensorflow as tf
    gpus = tf.config.list_physical_devices("GPU")
    names = [tf.config.experimental.get_device_details(gpu).get("device_name", "GPU") for gpu in gpus]
    return {"version": tf.__version__, "cuda": tf.test.is_built_with_cuda(), "gpus": names}

def keras():
    import keras
    return {"version": keras.__version__, "backend": keras.backend.backend()}

def horovod():
    import horovod.tensorflow as hvd
    built = {"MPI": hvd.mpi_built(), "Gloo": hvd.gloo_built(), "CUDA": hvd.cuda_built(), "NCCL": hvd.nccl_built()}
    return {**{name: bool(there) for name, there in built.items()}, "loaded": loaded_nccl() if built["NCCL"] else ""}

def loaded_nccl():
    # The library that Horovod has loaded, and no other; none where NCCL is part of Horovod's library.
    import ctypes, os
    try:
        library = ctypes.CDLL("libnccl.so.2", mode=os.RTLD_NOW | os.RTLD_NOLOAD)
    except OSError:
        return ""
    number = ctypes.c_int()
    library.ncclGetVersion(ctypes.byref(number))
    return "%d.%d.%d" % (number.value // 10000, number.value // 100 % 100, number.value % 100)

def mpi4py():
    import mpi4py
    mpi4py.rc.initialize = False
    from mpi4py import MPI
    library = MPI.Get_library_version().replace("\\0", "").split("\\n")[0].split(", package")[0].strip()
    return {"version": mpi4py.__version__, "library": library}

for stage in sys.argv[1:]:
    try:
        answer = {"facts": globals()[stage]()}
    except BaseException as error:
        answer = {"error": (f"{type(error).__name__}: {error}".splitlines() or [""])[0]}
    print("\\n" + json.dumps({"stage": stage, **answer}), flush=True)
"""


@dataclass(frozen=True)
class Answer:
    """The facts that a module reports after its import; or, in ``error``, why it reports none."""

    facts: Mapping[str, Json]
    error: str = ""


def probe(modules: Sequence[str], environment: Mapping[str, str], seconds: float = SECONDS) -> dict[str, Answer]:
    """Import ``modules`` (of ``mpi4py``, ``tensorflow``, ``keras``, ``horovod``) elsewhere; return their answers.

    A module that ends the process, or takes longer than ``seconds``, gets an error with the signal or the time; a new
    process tries the next ones. A module that is not installed gets an error without any process.
    """
    installed = [name for name in modules if importlib.util.find_spec(name)]
    found = ask([sys.executable, "-c", PROGRAM], installed, environment, seconds)
    return {name: found.get(name, Answer({}, "not installed")) for name in modules}


def ask(
    command: Sequence[str], stages: Sequence[str], environment: Mapping[str, str], seconds: float = SECONDS
) -> dict[str, Answer]:
    """Run the program that ``command`` starts with the names of stages as arguments; return each stage's answer."""
    found: dict[str, Answer] = {}
    left = list(stages)
    while left:
        output, end = _run([*command, *left], environment, seconds)
        for line in output.splitlines():
            if line.startswith('{"stage"'):
                answer = json.loads(line)
                found[answer["stage"]] = Answer(answer.get("facts", {}), answer.get("error", ""))
        left = [name for name in left if name not in found]
        if left:
            found[left.pop(0)] = Answer({}, end)
    return found


def _run(command: list[str], environment: Mapping[str, str], seconds: float) -> tuple[str, str]:
    """Run a command; return its output, and a message on how it ended."""
    env = {**environment, "TF_CPP_MIN_LOG_LEVEL": "3"}
    try:
        process = subprocess.run(command, env=env, capture_output=True, text=True, timeout=seconds)
    except subprocess.TimeoutExpired as error:
        output = error.stdout or b""
        return output.decode() if isinstance(output, bytes) else output, f"import not done after {seconds:g} s"
    if process.returncode < 0:
        return process.stdout, f"import crashed with {signal.Signals(-process.returncode).name}"
    return process.stdout, f"import ended Python with exit status {process.returncode}"
