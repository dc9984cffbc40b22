"""Say what to ask for next time, from what a job had and used. Pure."""

from __future__ import annotations

import math

from hpcnn.scheduler.api import Usage
from hpcnn.scheduler.states import ALIVE, status_of
from hpcnn.util.walltime import walltime

# Below this part of what a job had, it had too much; what is advised leaves some room.
_TOO_MUCH, _ROOM = 0.5, 1.25
_STEP_OF_TIME = 300
_GIB = 2**30
_LITTLE = 60


def next_time(usage: Usage) -> list[str]:
    """Return what to ask for next time; nothing for a job that goes on, and for one that used what it had."""
    status = status_of(usage.state)
    if status in ALIVE:
        return []
    return [
        *_memory(usage),
        *_time(usage, completed=status == "completed"),
        *(_processors(usage) if usage.elapsed >= _LITTLE else []),
    ]


def _memory(usage: Usage) -> list[str]:
    nodes = max(usage.nodes, 1)
    if usage.state.startswith("OUT_OF_ME"):
        asked = f" {_gib(2 * usage.memory_asked / nodes)}" if usage.memory_asked else ""
        return [f"more memory: --mem{asked}"]
    if usage.memory_used is None or usage.memory_asked is None or usage.memory_used >= _TOO_MUCH * usage.memory_asked:
        return []
    enough = _gib(_ROOM * usage.memory_used / nodes)
    return [f"less memory: --mem {enough}"] if _gib(usage.memory_asked / nodes) != enough else []


def _time(usage: Usage, *, completed: bool) -> list[str]:
    if usage.time_limit is None:
        return []
    if usage.state.startswith("TIMEOUT"):
        return [f"more time: --time {walltime(2 * usage.time_limit)}"]
    enough = math.ceil(_ROOM * usage.elapsed / _STEP_OF_TIME) * _STEP_OF_TIME
    if completed and usage.elapsed < _TOO_MUCH * usage.time_limit and enough < usage.time_limit:
        return [f"less time: --time {walltime(enough)}"]
    return []


def _processors(usage: Usage) -> list[str]:
    if usage.gpus:  # which wait for nobody else: few processors busy are no waste then
        idle = usage.gpu_share is not None and usage.gpu_share < _TOO_MUCH
        return ["fewer GPUs, or larger batches: they were idle most of the time"] if idle else []
    if usage.cpu_share is None or usage.cpu_share >= _TOO_MUCH or usage.cpus < 2:
        return []
    return [f"fewer cores: {max(math.ceil(usage.cpu_share * usage.cpus), 1)} of {usage.cpus} did the work"]


def _gib(size: float) -> str:
    return f"{max(math.ceil(size / _GIB), 1)}G"
