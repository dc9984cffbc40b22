"""What a rank uses while it trains: memory, bytes moved, processor time, and energy where the machine gives it.

The numbers go into the lines of the epochs: that adds no message and no file, and tells what a killed run had used.
Must not import TensorFlow.
"""

from __future__ import annotations

import os
import resource
import threading
import time
from pathlib import Path

from hpcnn.train.energy import PackageEnergy
from hpcnn.train.gpu_use import GpuUse, gpu_memory_peak
from hpcnn.util.types import Json

# Reading all this takes a tenth of a millisecond: shorter epochs leave it to a later one.
_LEAST_SECONDS = 0.02
_SECONDS_BETWEEN_SAMPLES = 1.0


class Usage:
    """What this process, its GPUs, and the node for the first process there, used since the last time it was asked."""

    def __init__(self, *, first_of_node: bool, energy: PackageEnergy | None = None, gpus: GpuUse | None = None) -> None:
        """Begin to count. first_of_node: count the node's energy and processor time too.

        energy, gpus: where the numbers come from, if not from this machine.
        """
        self._first_of_node = first_of_node
        self._energy = (energy or PackageEnergy()) if first_of_node else None
        self._gpus = gpus or GpuUse.of_this_process()
        self._lock = threading.Lock()
        self._last_seconds = time.monotonic()
        self._last = {**({"node_energy_joules": 0.0} if self._energy else {}), **self._counters()}
        self._asked = False
        self._stop = threading.Event()
        if self._gpus or (self._energy and self._energy.readable):
            threading.Thread(target=self._sample, name="hpcnn-usage", daemon=True).start()

    @property
    def gpus(self) -> list[str]:
        """The names by which NVML tells this process's GPUs apart."""
        return self._gpus.names if self._gpus else []

    def since_last(self) -> dict[str, Json]:
        """Return what was used since the last call that returned something, by name; what is not known is left out.

        Empty where that was too short a time ago, except the first time.
        """
        now = time.monotonic()
        seconds = now - self._last_seconds
        if self._asked and seconds < _LEAST_SECONDS:
            return {}
        counters, before = self._counters(), self._last
        # a counter that could not be read now is counted from its last reading next time
        self._last, self._last_seconds, self._asked = {**before, **counters}, now, True
        spent = {key: value - before[key] for key, value in counters.items() if key in before}
        found: dict[str, float | None] = {"seconds": seconds, "memory_peak_bytes": _memory_peak(), **spent}
        found["gpu_memory_peak_bytes"] = gpu_memory_peak()
        if self._gpus:
            with self._lock:
                found["gpu_energy_joules"], busy = self._gpus.since_last()
            if busy:
                found |= {"gpu_utilization_mean": busy.mean, "gpu_utilization_max": busy.most}
        return {key: round(value, 6) for key, value in found.items() if value is not None}

    def close(self) -> None:
        """Sample no more."""
        self._stop.set()

    def _sample(self) -> None:
        """Look at the GPUs now and then, and at the packages before their counters begin again."""
        while not self._stop.wait(_SECONDS_BETWEEN_SAMPLES):
            with self._lock:
                if self._gpus:
                    self._gpus.sample()
                if self._energy:
                    self._energy.joules()

    def _counters(self) -> dict[str, float]:
        """Return the numbers that grow, as far as this machine has them."""
        own = os.times()
        found: dict[str, float | None] = {"cpu_seconds": sum(own[:4]), **_bytes_moved()}
        if self._first_of_node:
            found["node_cpu_seconds"] = _busy_seconds()
            with self._lock:
                found["node_energy_joules"] = self._energy.joules() if self._energy else None
        return {key: value for key, value in found.items() if value is not None}


def _memory_peak() -> int:
    """Return the most memory that this process has held, in bytes."""
    try:
        for line in Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError):
        pass
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _bytes_moved() -> dict[str, float | None]:
    """Return the bytes that this process read, those of them that came from storage, and wrote (proc_pid_io(5))."""
    try:
        lines = Path("/proc/self/io").read_text(encoding="ascii").splitlines()
        numbers = {name: int(value) for name, value in (line.split(": ") for line in lines)}
    except (OSError, ValueError):
        return {}
    found = {"read_bytes": "rchar", "storage_read_bytes": "read_bytes", "written_bytes": "wchar"}
    return {key: numbers.get(name) for key, name in found.items()}


def _busy_seconds() -> float | None:
    """Return the seconds that all cores of this machine were busy since it booted, of all processes (proc_stat(5))."""
    try:
        first = Path("/proc/stat").read_text(encoding="ascii").partition("\n")[0].split()
        user, nice, system, _, _, irq, softirq = map(int, first[1:8])
    except (OSError, ValueError):
        return None
    return (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK")
