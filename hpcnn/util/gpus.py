"""List the GPUs of this machine by the driver, without TensorFlow: for commands that must be quick."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from functools import cache
from pathlib import Path

# The device through which ROCm reaches AMD's GPUs.
_AMD = Path("/dev/kfd")


def nvidia_gpus(environment: Mapping[str, str]) -> list[str]:
    """Return the names of the GPUs that NVIDIA's driver sees; an empty list without a working ``nvidia-smi``."""
    command = shutil.which("nvidia-smi", path=environment.get("PATH", os.defpath))
    if command is None:
        return []
    words = [command, "--query-gpu=name", "--format=csv,noheader"]
    try:
        return subprocess.run(words, capture_output=True, text=True, timeout=30, check=True).stdout.splitlines()
    except (OSError, subprocess.SubprocessError):
        return []


@cache
def any_gpu() -> bool:
    """Return whether this machine has a GPU. Queries the driver, which is slow, once per process."""
    return _AMD.exists() or bool(nvidia_gpus(os.environ))
