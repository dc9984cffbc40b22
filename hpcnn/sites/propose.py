"""Write a profile from the facts of a cluster: TOML, each key with the command that it came from. Runs no command.

Where the facts do not decide, the most likely value is written with ``decide:`` and the others.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from hpcnn.sites.discover import Cluster, Nodes, Partition, plain_nodes, usual_of
from hpcnn.util.toml import toml_text
from hpcnn.util.types import Json

_HOUR = 3600
_FEWER = "fewer, if a job may not have all"


@dataclass(frozen=True)
class Login:
    """The facts of a login node. ``folders``: variables that name folders there; ``modules``: those of interest."""

    name: str = ""
    containers: tuple[str, ...] = ()
    has_modules: bool = False
    modules: tuple[str, ...] = ()
    folders: tuple[str, ...] = ()
    interfaces: tuple[str, ...] = ()


@dataclass(frozen=True)
class Key:
    """One line of a profile: key, value and source. A line without a value is commented out."""

    name: str
    value: Json
    source: str
    decide: str = ""
    example: Json = field(default="", kw_only=True)

    def line(self) -> str:
        """Return the line of TOML."""
        remark = f"{self.source}; decide: {self.decide}" if self.source and self.decide else self.source
        remark = remark or f"decide: {self.decide}"
        if self.value is None:
            return f"# {self.name} = {toml_text(self.example)} # {remark}"
        return f"{self.name} = {toml_text(self.value)} # {remark}"


def profile(cluster: Cluster, login: Login, *, day: str, version: str) -> str:
    """Return the text of a profile. day: of the asking, ISO 8601; version: of hpcnn."""
    cpu, gpu = cluster.cpu_partition, cluster.gpu_partition
    name = cluster.config.get("ClusterName", "")
    slurm = cluster.config.get("SLURM_VERSION", "")
    chosen = [partition for partition in (cpu, gpu) if partition]
    sections = {
        "": [
            Key("description", f"{name}: {_sizes(cluster)}", "sinfo"),
            Key("checked", day, "the day of asking"),
            Key("scheduler", "slurm", f"scontrol show config: Slurm {slurm}"),
        ],
        "Starting ranks": list(_launching(cluster, login)),
        "Nodes": list(_nodes(cluster, cpu, gpu)),
        "Asking for GPUs": list(_asking_for_gpus(cluster, gpu)),
        "Queues": list(_queues(cluster, cpu, gpu)),
        "Limits": list(_limits(cluster, chosen)),
        "Containers": list(_containers(login)),
        "Storage and network": list(_storage(login)),
        "People": list(_people(cluster, login)),
    }
    head = [
        f"# {name}: what this cluster said of itself on {day}, asked by hpcnn {version} (hpcnn sites init).",
        "# Lines with `decide:` are for you. A key that is commented out has its default.",
    ]
    body = [
        "\n".join([*([f"# {title}"] if title else []), *(key.line() for key in keys)])
        for title, keys in sections.items()
    ]
    return "\n".join(head) + "\n" + "\n\n".join(body) + "\n"


def _launching(cluster: Cluster, login: Login) -> Iterator[Key]:
    yield Key("launcher", "srun", "Slurm's own")
    default = cluster.config.get("MpiDefault", "none") or "none"
    listed = ", ".join(cluster.mpi_types)
    if default != "none":
        yield Key("mpi_type", default, f"scontrol show config: MpiDefault (srun --mpi=list: {listed})")
    elif cluster.mpi_types:
        first = next((kind for kind in ("pmix", "pmi2") if kind in cluster.mpi_types), cluster.mpi_types[0])
        yield Key("mpi_type", first, f"srun --mpi=list: {listed}", "the one that the MPI of your ranks speaks")
    found = ", ".join(module for module in login.modules if module.startswith("openmpi"))
    if found:
        yield Key("modules", None, f"module avail: {found}", "the MPI of your ranks", example=["openmpi"])


def _nodes(cluster: Cluster, cpu: Partition | None, gpu: Partition | None) -> Iterator[Key]:
    if cpu and cpu.nodes:
        plain = plain_nodes(cpu)
        usual = usual_of(plain)
        yield Key("cores", usual.cores, _about(usual), _others(usual, plain, "cores"))
        yield Key("nodes", sum(nodes.count for nodes in plain), f"sinfo: partition {cpu.name}", _FEWER)
        yield from _architecture(cluster, "architecture", usual)
    if gpu:
        with_gpus = [nodes for nodes in gpu.nodes if nodes.gpus]
        usual = usual_of(with_gpus)
        yield Key("cores_gpu", usual.cores, _about(usual), _others(usual, with_gpus, "cores"))
        yield Key(
            "gpus", usual.gpu_count, f"sinfo: GRES of {_shortened(usual.names)}", _others(usual, with_gpus, "gpu_count")
        )
        yield Key("nodes_gpu", gpu.gpu_nodes, f"sinfo: partition {gpu.name}", _FEWER)
        yield from _architecture(cluster, "architecture_gpu", usual)


def _architecture(cluster: Cluster, key: str, nodes: Nodes) -> Iterator[Key]:
    found = (cluster.architectures or {}).get(nodes.first)
    if found:
        yield Key(key, found, f"scontrol show node {nodes.first}: Arch")


def _asking_for_gpus(cluster: Cluster, gpu: Partition | None) -> Iterator[Key]:
    if gpu is None:
        yield Key("gpus", None, "sinfo shows no GPUs that any user may ask for", "their number in a node", example=4)
        return
    select = cluster.config.get("SelectType", "")
    # the options --gpus-* need cons_tres (sbatch(1))
    style = "gpus-per-node" if select in ("select/cons_tres", "") else "gres"
    yield Key("gpu_request", style, f"scontrol show config: SelectType={select}")
    kinds: Counter[str] = Counter()
    for nodes in gpu.nodes:
        kinds.update({kind: nodes.count * number for kind, number in nodes.gpus.items() if kind})
    types = [kind for kind, _ in kinds.most_common()]
    if not types:
        yield Key("gpu_typing", "refused", "sinfo: GRES names no type")
        return
    yield Key("gpu_typing", "optional", "sinfo: GRES names types", "required, if a job that names none gets any")
    yield Key("gpu_types", types, f"sinfo: GRES in partition {gpu.name}, the most frequent first")


def _queues(cluster: Cluster, cpu: Partition | None, gpu: Partition | None) -> Iterator[Key]:
    open_names = [partition.name for partition in cluster.open_partitions]
    names = [partition.name for partition in cluster.partitions]
    if cpu and cpu.default:
        yield Key("partition", None, f"scontrol show partition: {cpu.name} is the default", example=cpu.name)
    elif cpu:
        yield Key("partition", cpu.name, "scontrol show partition: there is no default", f"of {', '.join(open_names)}")
    if gpu and not gpu.default:
        rest = [partition.name for partition in cluster.open_partitions if partition.gpu_nodes and partition != gpu]
        yield Key("partition_gpu", gpu.name, "sinfo: GRES", f"others with GPUs: {', '.join(rest)}" if rest else "")
    yield Key("partitions", names, "scontrol show partition")
    enforced = cluster.config.get("AccountingStorageEnforce", "none")
    known = f"yours: {', '.join(cluster.accounts)}" if cluster.accounts else "no account of yours found"
    if len(cluster.accounts) > 1:
        yield Key("account_hint", known, "sacctmgr show associations")
    kept = cluster.config.get("AccountingStorageType", "none").rpartition("/")[2]
    text = f"AccountingStorageType={kept}, AccountingStorageEnforce={enforced}; {known}"
    yield Key("account_rule", None, text, "required, if every job must name an account", example="required")
    yield from _memory(cluster, cpu, gpu)


def _memory(cluster: Cluster, cpu: Partition | None, gpu: Partition | None) -> Iterator[Key]:
    """A core's or GPU's share of its node, where Slurm hands out memory (slurm.conf(5), SelectTypeParameters)."""
    managed = cluster.config.get("SelectTypeParameters", "")
    if "MEMORY" not in managed.upper():
        yield Key("memory_per_cpu", None, f"SelectTypeParameters={managed}: Slurm does not assign memory", example="2G")
        return
    if cpu and cpu.nodes:
        usual = usual_of(plain_nodes(cpu))
        default = cpu.memory_per_cpu or cluster.config.get("DefMemPerCPU", "all of the node")
        text = f"sinfo: a core's share of {usual.memory} MB (the default there: {default})"
        yield Key("memory_per_cpu", f"{usual.memory // usual.cores}M", text, "less, if a job is charged for it")
    if gpu:
        usual = usual_of([nodes for nodes in gpu.nodes if nodes.gpus])
        text = f"sinfo: a GPU's share of {usual.memory} MB"
        yield Key("memory_per_gpu", f"{usual.memory // usual.gpu_count}M", text, "less, if a job is charged for it")


def _limits(cluster: Cluster, chosen: list[Partition]) -> Iterator[Key]:
    limits = [partition.time_max for partition in chosen if partition.time_max is not None]
    of_which = ", ".join(partition.name for partition in chosen)
    yield Key("time", _time(min([_HOUR, *limits])), "hpcnn's default, or the partition's limit where that is less")
    if limits:
        yield Key("time_max", _time(max(limits)), f"scontrol show partition: MaxTime of {of_which}")
    else:
        yield Key("time_max", None, f"MaxTime of {of_which} is unlimited", example="48:00:00")
    size = cluster.config.get("MaxArraySize", "")
    if size.isdigit() and int(size) > 0:
        yield Key("array_limit", int(size), "scontrol show config: MaxArraySize")
    elif size == "0":
        yield Key("arrays", False, "scontrol show config: MaxArraySize=0")
    whole = [partition.name for partition in chosen if partition.whole_nodes]
    if whole:
        text = f"scontrol show partition: {', '.join(whole)} gives whole nodes as it is (OverSubscribe)"
        yield Key("exclusive", None, text, example=True)


def _containers(login: Login) -> Iterator[Key]:
    brought = [module for module in login.modules if module.startswith(("apptainer", "singularity"))]
    if login.containers:
        yield Key("container_runtime", login.containers[0], "on PATH")
    elif brought:
        yield Key("container_runtime", brought[0].split("/")[0], "module avail")
        yield Key("container_module", brought[0].rstrip("/"), f"module avail: {', '.join(brought)}", "which one")
    else:
        where = "neither apptainer nor singularity on PATH" + (" or among the modules" if login.has_modules else "")
        yield Key("container_runtime", None, where, "some are on compute nodes alone", example="apptainer")
    yield Key("container_binds", None, "", "folders that every container needs", example=["/scratch"])


def _storage(login: Login) -> Iterator[Key]:
    if login.folders:
        others = ", ".join(f"${name}" for name in login.folders)
        yield Key("scratch", f"${login.folders[0]}", f"variables that name folders here: {others}", "which one")
    else:
        yield Key("scratch", None, "no $SCRATCH, $WORK or the like here", "the folder for runs", example="$SCRATCH")
    yield Key("local_disk", None, "", "the node's own disk, in a job", example="$SLURM_TMPDIR")
    fast = [name for name in login.interfaces if name.startswith(("ib", "hsn", "opa"))]
    if fast:
        text = f"/sys/class/net of this login node: {', '.join(fast)}"
        yield Key("network_interface", None, text, "that of compute nodes", example=fast[0])
    yield Key("internet", None, "", "whether compute nodes reach the internet: yes or no", example="no")


def _people(cluster: Cluster, login: Login) -> Iterator[Key]:
    outside = "." in login.name and not login.name.startswith("localhost")
    yield Key("login", None, "", "the name by which you log in", example=login.name if outside else "login.example.org")
    if cluster.config.get("JobRequeue") == "1":
        note = "Slurm starts jobs again after a node failure unless told otherwise; hpcnn does so with --requeue alone."
        yield Key("notes", [note], "scontrol show config: JobRequeue=1")


def _others(usual: Nodes, kinds: list[Nodes], what: str) -> str:
    """Return the values of other kinds of nodes, for the user to decide; empty where all agree."""
    values = Counter[int]()
    for nodes in kinds:
        values[getattr(nodes, what)] += nodes.count
    del values[getattr(usual, what)]
    return ", ".join(f"{count} other nodes have {value}" for value, count in values.most_common())


def _about(nodes: Nodes) -> str:
    threads = f", {nodes.threads} threads a core" if nodes.threads > 1 else ""
    return f"sinfo: {_shortened(nodes.names)} in partition {nodes.partition}{threads}"


def _sizes(cluster: Cluster) -> str:
    """Return one line on the kinds of nodes."""
    kinds = set()
    for nodes in (nodes for partition in cluster.partitions for nodes in partition.nodes):
        gpus = [f"{number} GPUs{f' ({kind})' if kind else ''}" for kind, number in nodes.gpus.items()]
        kinds.add(" and ".join([f"{nodes.cores} cores", *gpus]))
    return f"nodes of {'; '.join(sorted(kinds))}"


def _shortened(names: str) -> str:
    """Return a list of nodes that fits into a remark."""
    return names if len(names) <= 40 else f"{names[:40]}..."


def _time(seconds: int) -> str:
    return f"{seconds // 3600:02d}:{seconds % 3600 // 60:02d}:{seconds % 60:02d}"
