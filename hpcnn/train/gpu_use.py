"""What the GPUs of a process do, by NVIDIA's management library (NVML): energy and utilization. Optional.

A process without a GPU pays nothing, and one without the package ``nvidia-ml-py`` knows nothing. Must not import
TensorFlow before the training has.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple


class Utilization(NamedTuple):
    """The fraction of time in which a kernel ran, of the busiest of the process's GPUs: mean and largest sample."""

    mean: float
    most: float


class GpuUse:
    """The GPUs of one process; none where TensorFlow uses none, or NVML does not know them."""

    def __init__(self, nvml: Any, gpus: Sequence[Any]) -> None:
        """Take the handles that ``nvml`` has of these GPUs."""
        self._nvml, self._gpus = nvml, gpus
        self.names = [str(self._ask("nvmlDeviceGetUUID", gpu)) for gpu in gpus]
        self._last = self._energies()
        self._samples: list[float] = []

    @classmethod
    def of_this_process(cls) -> GpuUse | None:
        """Return the GPUs that TensorFlow uses in this process; None without one."""
        numbers = _numbers_of_tensorflow()
        if not numbers:
            return None
        try:
            nvml = importlib.import_module("pynvml")
        except ImportError:
            return None
        gpus = handles(nvml, numbers, os.environ)
        return cls(nvml, gpus) if gpus else None

    def sample(self) -> None:
        """Note how busy the busiest GPU was just now."""
        rates = [rate for rate in (self._ask("nvmlDeviceGetUtilizationRates", gpu) for gpu in self._gpus) if rate]
        if rates:
            self._samples.append(max(rate.gpu for rate in rates) / 100)

    def since_last(self) -> tuple[float | None, Utilization | None]:
        """Return the energy of the GPUs in J since the last call, and how busy they were; None where not known."""
        now, before = self._energies(), self._last
        spent = None if now is None or before is None else now - before
        if spent is not None:  # what a reading that failed has missed, the next one counts
            self._last = now
        samples, self._samples = self._samples, []
        busy = Utilization(sum(samples) / len(samples), max(samples)) if samples else None
        return spent, busy

    def _energies(self) -> float | None:
        """Return the J of all GPUs since their driver was loaded; None where one does not count."""
        counted = [self._ask("nvmlDeviceGetTotalEnergyConsumption", gpu) for gpu in self._gpus]
        return None if None in counted else sum(counted) / 1000

    def _ask(self, what: str, gpu: Any) -> Any:
        try:
            return getattr(self._nvml, what)(gpu)
        except self._nvml.NVMLError:
            return None


def handles(nvml: Any, numbers: Sequence[int], environment: Mapping[str, str]) -> list[Any]:
    """Return NVML's handles of the GPUs with these numbers in CUDA's order; an empty list where that is not certain.

    NVML counts GPUs by their place on the bus, and CUDA from the fastest, unless they are alike or CUDA_DEVICE_ORDER
    says otherwise. Of a GPU that is divided (MIG), NVML knows the energy of all its users together alone: no handle.
    """
    visible = [name.strip() for name in environment.get("CUDA_VISIBLE_DEVICES", "").split(",") if name.strip()]
    try:
        nvml.nvmlInit()
        permitted = _permitted(nvml)
        names = [visible[number] if visible else str(number) for number in numbers]
        if all(name.isdecimal() for name in names):
            alike = len({nvml.nvmlDeviceGetName(gpu) for gpu in permitted}) == 1
            if not alike and environment.get("CUDA_DEVICE_ORDER") != "PCI_BUS_ID":
                return []
            found = [permitted[int(name)] for name in names]
        else:
            found = [_by_uuid(nvml, permitted, name) for name in names]
        return [] if any(_divided(nvml, gpu) for gpu in found) else found
    except (nvml.NVMLError, IndexError):
        return []


def _permitted(nvml: Any) -> list[Any]:
    """Return the handles of the GPUs that this process may use: NVML counts those too that a job's cgroup denies."""
    found = []
    for number in range(nvml.nvmlDeviceGetCount()):
        try:
            found.append(nvml.nvmlDeviceGetHandleByIndex(number))
        except nvml.NVMLError as error:
            if error.value != nvml.NVML_ERROR_NO_PERMISSION:
                raise
    return found


def _by_uuid(nvml: Any, gpus: Sequence[Any], beginning: str) -> Any:
    """Return the GPU whose UUID begins so, as CUDA takes it. Raises IndexError for none and for several."""
    found = [gpu for gpu in gpus if nvml.nvmlDeviceGetUUID(gpu).startswith(beginning)]
    if len(found) > 1:
        raise IndexError(beginning)
    return found[0]


def _divided(nvml: Any, gpu: Any) -> bool:
    try:
        return bool(nvml.nvmlDeviceGetMigMode(gpu)[0])
    except nvml.NVMLError:  # of a GPU that cannot be
        return False


def gpu_memory_peak() -> int | None:
    """Return the most bytes that TensorFlow held on one GPU of this process; None without a GPU."""
    numbers = _numbers_of_tensorflow()
    if not numbers:
        return None
    tf = sys.modules["tensorflow"]
    try:
        return max(int(tf.config.experimental.get_memory_info(f"GPU:{at}")["peak"]) for at in range(len(numbers)))
    except (ValueError, KeyError, RuntimeError):
        return None


def _numbers_of_tensorflow() -> list[int]:
    """Return CUDA's numbers of the GPUs that TensorFlow uses in this process, if it was loaded."""
    tf = sys.modules.get("tensorflow")
    if tf is None or not hasattr(tf, "config"):
        return []
    return [int(gpu.name.rpartition(":")[2]) for gpu in tf.config.get_visible_devices("GPU")]
