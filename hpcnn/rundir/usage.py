"""What a run used, from what its ranks say in the lines of their epochs: memory, bytes read, processor time, energy.

Pure: from the lines to the columns of a run. What only some ranks or nodes say is left out where the rest would be
missed. Must not read files.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from hpcnn.util.types import Json

    # What one rank says in one line.
    Line = Mapping[str, Json]

COLUMNS = {
    "memory_peak_bytes": "Int64",
    "memory_peak_rank": "Int64",
    "memory_least_bytes": "Int64",
    "node_memory_bytes": "Int64",
    "gpu_memory_peak_bytes": "Int64",
    "read_bytes": "Int64",
    "storage_read_bytes": "Int64",
    "written_bytes": "Int64",
    "cpu_seconds": "float64",
    "other_load_cores": "float64",
    "energy_joules": "float64",
    "energy_source": "string",
    "gpu_utilization_mean": "float64",
    "gpu_utilization_max": "float64",
}

_SUMS = ("read_bytes", "storage_read_bytes", "written_bytes", "cpu_seconds")


def usage_columns(lines: Iterable[tuple[int, Json]], hosts: Sequence[Line]) -> dict[str, Json]:
    """Return the columns COLUMNS of a run, as far as it says them.

    lines: of each rank and epoch, the rank and what it says. hosts: the facts of each rank (``facts_by_rank``).

    - ``memory_peak_bytes``: the most that a rank held, and ``memory_peak_rank``, which one; ``memory_least_bytes``: of
      the rank that held the least; ``node_memory_bytes``: the largest sum of these peaks over the ranks of a host;
    - ``read_bytes``, ``storage_read_bytes``, ``written_bytes``, ``cpu_seconds``: sums over ranks;
    - ``other_load_cores``: cores of a node that were busy with anything but the ranks, mean over nodes and time;
    - ``energy_joules``, of packages once a node and of each GPU once, and ``energy_source``: RAPL, NVML, or both.
    """
    of_rank: dict[int, list[Line]] = {}
    for rank, said in lines:
        if isinstance(said, dict):
            of_rank.setdefault(rank, []).append(said)
    if not of_rank:
        return {}
    host_of = {host["rank"]: str(host.get("host")) for host in hosts if type(host.get("rank")) is int}
    return {
        **_memory(of_rank, host_of),
        **{key: _sum(of_rank.values(), key) for key in _SUMS},
        "other_load_cores": _other_load(of_rank, host_of),
        **_energy(of_rank, host_of, hosts),
        **_utilization(of_rank),
    }


def _memory(of_rank: Mapping[int, Sequence[Line]], host_of: Mapping[int, str]) -> dict[str, Json]:
    peaks = {rank: most for rank, own in of_rank.items() if (most := _most(own, "memory_peak_bytes"))}
    on_gpus = [most for own in of_rank.values() if (most := _most(own, "gpu_memory_peak_bytes"))]
    of_host: dict[str, float] = {}
    for rank, most in peaks.items():
        of_host[host_of.get(rank, "")] = of_host.get(host_of.get(rank, ""), 0) + most
    return {
        "memory_peak_bytes": max(peaks.values(), default=None),
        "memory_peak_rank": max(sorted(peaks), key=peaks.__getitem__, default=None),
        "memory_least_bytes": min(peaks.values(), default=None),
        "node_memory_bytes": max(of_host.values(), default=None) if all(rank in host_of for rank in peaks) else None,
        "gpu_memory_peak_bytes": max(on_gpus, default=None),
    }


def _other_load(of_rank: Mapping[int, Sequence[Line]], host_of: Mapping[int, str]) -> float | None:
    """Return the busy cores of a node beyond those of the ranks; None where a node does not say."""
    loads = []
    for host in set(host_of.values()):
        ranks = [rank for rank, name in host_of.items() if name == host]
        firsts = [rank for rank in ranks if _sum([of_rank.get(rank, [])], "node_cpu_seconds") is not None]
        own = _sum([of_rank.get(rank, []) for rank in ranks], "cpu_seconds")
        if len(firsts) != 1 or own is None:
            return None
        busy, seconds = (_sum([of_rank[firsts[0]]], key) for key in ("node_cpu_seconds", "seconds"))
        if busy is None or not seconds:
            return None
        loads.append(max(busy - own, 0.0) / seconds)
    return sum(loads) / len(loads) if loads else None


def _energy(
    of_rank: Mapping[int, Sequence[Line]], host_of: Mapping[int, str], hosts: Sequence[Line]
) -> dict[str, Json]:
    """Return the energy of all nodes and GPUs, and its source; nothing where one of them does not say."""
    names = set(host_of.values())
    of_hosts = {
        host_of[rank]: spent
        for rank, own in of_rank.items()
        if rank in host_of and (spent := _complete(own, "node_energy_joules")) is not None
    }
    packages = sum(of_hosts.values()) if names and set(of_hosts) == names else None
    gpus = [_complete(of_rank.get(rank, []), "gpu_energy_joules") for rank in _one_of_each_gpu(hosts)]
    known = [spent for spent in gpus if spent is not None]
    of_gpus = sum(known) if gpus and len(known) == len(gpus) else None
    parts = {name: spent for name, spent in (("RAPL", packages), ("NVML", of_gpus)) if spent is not None}
    return {"energy_joules": sum(parts.values()) if parts else None, "energy_source": " + ".join(parts) or None}


def _complete(own: Sequence[Line], key: str) -> float | None:
    """Return the sum of a rank's lines; None where the last one does not say: nobody counted what was spent by then."""
    return _sum([own], key) if own and _number(own[-1], key) is not None else None


def _one_of_each_gpu(hosts: Sequence[Line]) -> list[int]:
    """Return the lowest rank on each GPU: ranks that share one all see its whole energy."""
    taken: set[tuple[str, str]] = set()
    ranks = []
    for host in hosts:
        gpus = host.get("gpus")
        own = {(str(host.get("host")), str(gpu)) for gpu in gpus} if isinstance(gpus, list) else set()
        if own - taken and type(rank := host.get("rank")) is int:
            ranks.append(rank)
        taken |= own
    return ranks


def _utilization(of_rank: Mapping[int, Sequence[Line]]) -> dict[str, Json]:
    lines = [line for own in of_rank.values() for line in own]
    known = [
        (mean, s)
        for line in lines
        if (mean := _number(line, "gpu_utilization_mean")) is not None and (s := _number(line, "seconds"))
    ]
    return {
        "gpu_utilization_mean": sum(mean * s for mean, s in known) / sum(s for _, s in known) if known else None,
        "gpu_utilization_max": _most(lines, "gpu_utilization_max"),
    }


def _most(lines: Iterable[Line], key: str) -> float | None:
    return max((value for line in lines if (value := _number(line, key)) is not None), default=None)


def _sum(of_ranks: Iterable[Sequence[Line]], key: str) -> float | None:
    """Return the sum over all lines; None where a rank has none with this number."""
    total: float = 0
    for own in of_ranks:
        known = [value for line in own if (value := _number(line, key)) is not None]
        if not known:
            return None
        total += sum(known)
    return total


def _number(line: Line, key: str) -> float | None:
    value = line.get(key)
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < 2**63 else None
