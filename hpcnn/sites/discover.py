"""Parse the output of sinfo, scontrol, srun and sacctmgr about a cluster. Must not run a command."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from hpcnn.util.errors import UsageError
from hpcnn.util.walltime import seconds_of

# sinfo(1): partition (an asterisk marks the default), nodes, sockets, cores a socket, threads a core, MB, GRES, names.
# With --exact, nodes that differ in any of these are on lines of their own.
SINFO_FORMAT = "%P|%D|%X|%Y|%Z|%m|%G|%N"
ACCOUNT_FIELDS = "Account"

_GPU = re.compile(r"(?:^|,)gpu(?::(?P<type>[^:,()]+(?=:)))?:(?P<count>\d+)(?:\([^)]*\))?")


@dataclass(frozen=True)
class Nodes:
    """Nodes of one kind in one partition. ``gpus``: type (empty for none) -> number in each node; memory in MB."""

    partition: str
    count: int
    cores: int
    threads: int
    memory: int
    gpus: Mapping[str, int]
    names: str

    @property
    def gpu_count(self) -> int:
        """Return the GPUs of each node."""
        return sum(self.gpus.values())

    @property
    def first(self) -> str:
        """Return the name of the first node of a list like ``c[01-16,20],d1``."""
        match = re.match(r"([^\[,]+)(?:\[(\d+)[^\]]*\]([^,\[]*))?", self.names)
        return "".join(part or "" for part in match.groups()) if match else self.names


@dataclass(frozen=True)
class Partition:
    """One partition. Times in seconds, None where there is no limit; ``open``: whether any user's job may run there."""

    name: str
    default: bool
    open: bool
    whole_nodes: bool
    time_max: int | None
    memory_per_cpu: int | None
    nodes: tuple[Nodes, ...] = ()

    @property
    def gpu_nodes(self) -> int:
        """Return the number of nodes with GPUs."""
        return sum(nodes.count for nodes in self.nodes if nodes.gpus)

    @property
    def total_nodes(self) -> int:
        """Return the number of nodes."""
        return sum(nodes.count for nodes in self.nodes)


@dataclass(frozen=True)
class Cluster:
    """Slurm's description of a cluster."""

    config: Mapping[str, str]
    partitions: tuple[Partition, ...]
    mpi_types: tuple[str, ...] = ()
    accounts: tuple[str, ...] = ()
    architectures: Mapping[str, str] = field(default_factory=dict)

    @property
    def open_partitions(self) -> list[Partition]:
        """Return the partitions that have nodes and take any user's jobs."""
        return [partition for partition in self.partitions if partition.open and partition.nodes]

    @property
    def cpu_partition(self) -> Partition | None:
        """Return the partition of jobs without GPUs: the default one, else the largest open one."""
        default = next((partition for partition in self.partitions if partition.default), None)
        return default or max(self.open_partitions, key=lambda partition: partition.total_nodes, default=None)

    @property
    def gpu_partition(self) -> Partition | None:
        """Return the open partition with most GPU nodes, partitions of GPU nodes alone first; None without GPUs."""

        def rank(partition: Partition) -> tuple[bool, int, float]:
            only = partition.gpu_nodes == partition.total_nodes
            return only, partition.gpu_nodes, partition.time_max or float("inf")

        return max((partition for partition in self.open_partitions if partition.gpu_nodes), key=rank, default=None)

    @property
    def examples(self) -> list[str]:
        """Return the names of a usual node without GPUs and of one with GPUs, whose ``architectures`` are needed."""
        cpu, gpu = self.cpu_partition, self.gpu_partition
        kinds = [plain_nodes(cpu) if cpu else [], [nodes for nodes in gpu.nodes if nodes.gpus] if gpu else []]
        return list(dict.fromkeys(usual_of(kind).first for kind in kinds if kind))


def usual_of(kinds: Sequence[Nodes]) -> Nodes:
    """Return the kind with most nodes."""
    return max(kinds, key=lambda nodes: nodes.count)


def plain_nodes(partition: Partition) -> list[Nodes]:
    """Return the kinds of nodes without GPUs; all kinds where each has GPUs."""
    return [nodes for nodes in partition.nodes if not nodes.gpus] or list(partition.nodes)


def gpus_of(gres: str) -> dict[str, int]:
    """Return type -> number of GPUs in a node's GRES: ``gpu:h100:4(S:0-1),nvme:1`` has four of h100.

    The type is empty where none is named (``gpu:4``). slurm.conf(5), "Gres"; sinfo adds the sockets in parentheses.
    """
    # commas inside parentheses part sockets, not resources
    outside = re.sub(r"\([^)]*\)", "", gres)
    found: dict[str, int] = {}
    for match in _GPU.finditer(outside):
        kind = match["type"] or ""
        found[kind] = found.get(kind, 0) + int(match["count"])
    return {kind: count for kind, count in found.items() if count}


def nodes(output: str) -> list[Nodes]:
    """Return the kinds of nodes from ``sinfo --exact --noheader --format SINFO_FORMAT``, partition by partition."""
    found = []
    for line in output.splitlines():
        fields = [field.strip() for field in line.split("|")]
        if len(fields) != 8 or not all(re.fullmatch(r"\d+\+?", field) for field in fields[1:6]):
            continue
        count, sockets, per_socket, threads, memory = (int(field.rstrip("+")) for field in fields[1:6])
        name = fields[0].rstrip("*")
        found.append(Nodes(name, count, sockets * per_socket, threads, memory, gpus_of(fields[6]), fields[7]))
    return found


def config(output: str) -> dict[str, str]:
    """Return key -> value from ``scontrol show config``; ``(null)`` is empty."""
    found: dict[str, str] = {}
    for line in output.splitlines():
        key, equals, value = line.partition("=")
        if equals:
            found.setdefault(key.strip(), value.strip().replace("(null)", ""))
    return found


def partitions(output: str, kinds: list[Nodes]) -> tuple[Partition, ...]:
    """Return the partitions from ``scontrol --oneliner show partition``, each with its ``kinds`` of nodes."""
    found = []
    for line in output.splitlines():
        facts = _pairs(line)
        if "PartitionName" not in facts:
            continue
        closed = (
            facts.get("State", "UP") != "UP"
            or facts.get("RootOnly") == "YES"
            or facts.get("Hidden") == "YES"
            or any(facts.get(key, "ALL") != "ALL" for key in ("AllowGroups", "AllowAccounts"))
        )
        name = facts["PartitionName"]
        found.append(
            Partition(
                name=name,
                default=facts.get("Default") == "YES",
                open=not closed,
                whole_nodes=facts.get("OverSubscribe", "").startswith("EXCLUSIVE"),
                time_max=seconds_or_none(facts.get("MaxTime", "")),
                memory_per_cpu=_number(facts.get("DefMemPerCPU", "")),
                nodes=tuple(kind for kind in kinds if kind.partition == name),
            )
        )
    return tuple(found)


def mpi_types(output: str) -> tuple[str, ...]:
    """Return the types from ``srun --mpi=list``, without the versions of pmix."""
    lines = [line.strip().removeprefix("srun:").strip() for line in output.splitlines()]
    words = dict.fromkeys(line for line in lines if re.fullmatch(r"[a-z][a-z0-9_]*", line))
    return tuple(word for word in words if not re.fullmatch(r"pmix_v\d+|none", word))


def accounts(output: str) -> tuple[str, ...]:
    """Return the user's accounts from ``sacctmgr --noheader --parsable2 show associations format=Account``."""
    return tuple(dict.fromkeys(line.strip() for line in output.splitlines() if line.strip()))


def architecture(output: str) -> str:
    """Return the processor architecture from ``scontrol --oneliner show node``; empty without one."""
    return _pairs(output).get("Arch", "")


def seconds_or_none(time: str) -> int | None:
    """Return the seconds of one of Slurm's durations; None for a word: UNLIMITED, NONE, Partition_Limit."""
    try:
        return seconds_of(time)
    except UsageError:
        return None


def _pairs(line: str) -> dict[str, str]:
    return dict(word.split("=", 1) for word in line.split() if "=" in word)


def _number(text: str) -> int | None:
    return int(text) if text.isdigit() and int(text) else None
