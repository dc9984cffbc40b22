"""One site profile: every key by which clusters differ, with the values it takes.

The defaults are those of a plain Slurm cluster. A key of a packaged profile that came from a page names it in the
profile's ``[sources]`` table; a key without a source is unverified, and ``hpcnn sites show`` marks it. Must not
read files, nor import what concerns jobs.
"""

from __future__ import annotations

from dataclasses import dataclass

from hpcnn.scheduler import NAMES as SCHEDULERS
from hpcnn.specs.fields import NO_KEYS, field
from hpcnn.util.types import Json

LAUNCHERS = ("mpirun", "srun", "ibrun")
MPIS = ("auto", "openmpi", "mpich", "intelmpi")
GPU_REQUESTS = ("gpus-per-node", "gres", "gpus", "none")
GPU_TYPING = ("optional", "required", "refused")
RULES = ("optional", "required", "refused")
MEMORY_RULES = ("optional", "required", "refused", "ignored")
INTERNET = ("yes", "no", "unknown")
# What the `interactive` commands leave to be filled in; minutes is the time, for commands that count in
# minutes; command is what the session runs, for those that take one.
PLACEHOLDERS = ("nodes", "gpus", "gpu_type", "time", "minutes", "account", "partition", "command")


@dataclass(frozen=True)
class Site:
    """The profile of one machine. ``*_gpu`` keys hold for jobs with GPUs in place of the plain ones."""

    name: str = field("local", "Name of the profile.")
    description: str = field("", "One line for people.")
    status: str = field("", "Whether the machine is in service, and since or until when.")
    checked: str = field("", "Date on which the sources were read.")
    hosts: tuple[str, ...] = field((), "Patterns of the host names of its login nodes, by which they are recognised.")
    scheduler: str = field("slurm", "What runs job scripts.", choices=SCHEDULERS)
    template: str = field("slurm/job.sh.j2", "Job script template, below templates/.")
    # starting ranks
    launcher: str = field("srun", "What starts the ranks.", choices=LAUNCHERS)
    launcher_options: tuple[str, ...] = field((), "Options that the launcher always gets.")
    mpi: str = field(
        "auto", "Whose mpirun it is; auto: on this machine as it says itself, elsewhere Open MPI's.", choices=MPIS
    )
    mpi_type: str = field("", "What srun --mpi is given; empty: the site's default.")
    modules: tuple[str, ...] = field((), "Modules to load in every job (software, the host's MPI).")
    modules_gpu: tuple[str, ...] = field((), "Modules to load besides in jobs with GPUs.")
    environment: dict[str, Json] = field(NO_KEYS, "Variables that every job exports.")
    setup: tuple[str, ...] = field((), "Lines of bash in every job script, after modules and variables (Lmod, conda).")
    environment_gpu: dict[str, Json] = field(NO_KEYS, "Variables that jobs with GPUs export besides (NCCL).")
    # nodes
    cores: int | None = field(None, "Cores of a node; open: local, those this process may use.", minimum=1)
    cores_gpu: int | None = field(None, "Cores of a GPU node.", minimum=1)
    gpus: int | None = field(None, "GPUs of a GPU node.", minimum=1)
    nodes: int | None = field(
        None, "Nodes without GPUs that one job may have: advice proposes no more ranks.", minimum=1
    )
    nodes_gpu: int | None = field(None, "GPU nodes that one job may have.", minimum=1)
    architecture: str = field("x86_64", "Processor architecture of the compute nodes.")
    architecture_gpu: str = field("", "Processor architecture of GPU nodes, where it is another.")
    # asking for GPUs
    gpu_request: str = field(
        "gpus-per-node", "How GPUs are asked for; none: the partition implies them.", choices=GPU_REQUESTS
    )
    gpu_typing: str = field("optional", "Whether a GPU type is named in the request.", choices=GPU_TYPING)
    gpu_types: tuple[str, ...] = field((), "Names of GPU types, the usual one first.")
    gpu_counts: tuple[int, ...] = field((), "GPUs a node that may be asked for; open: any.")
    # queues
    partition: str = field("", "Partition of jobs without GPUs where the user names none; empty: Slurm's default.")
    partition_gpu: str = field("", "Partition of jobs with GPUs where the user names none.")
    partition_rule: str = field("optional", "Whether a partition may be named.", choices=RULES)
    partition_gpu_rule: str = field("optional", "The same for jobs with GPUs.", choices=RULES)
    partitions: tuple[str, ...] = field((), "Known partitions, for people.")
    qos: str = field("", "QOS where the user names none.")
    qos_gpu: str = field("", "QOS of jobs with GPUs where the user names none.")
    constraint: str = field("", "Constraint of jobs without GPUs where the user names none.")
    constraint_gpu: str = field("", "Constraint of jobs with GPUs where the user names none.")
    account_rule: str = field("optional", "Whether --account must be given.", choices=RULES)
    account_hint: str = field("", "What accounts look like there, for the error message.")
    memory_rule: str = field("optional", "Whether --mem may or must be given.", choices=MEMORY_RULES)
    memory: str = field("", "Memory of each node where the user gives none (--mem); 0 is all of it.")
    memory_gpu: str = field("", "The same for jobs with GPUs.")
    memory_per_cpu: str = field(
        "", "Memory for each core in jobs without GPUs, where neither the user nor `memory` says (--mem-per-cpu)."
    )
    memory_per_gpu: str = field(
        "", "Memory for each GPU in jobs with GPUs, where neither the user nor `memory_gpu` says (--mem-per-gpu)."
    )
    mail_user: str = field("", "Address to which Slurm writes at a job's end where the user names none (--mail-user).")
    mail_type: str = field(
        "", "Events of which it writes where the user names none (--mail-type); empty: see --notify."
    )
    refused: tuple[str, ...] = field((), "Options of sbatch that the site refuses, without dashes.")
    exclusive: bool = field(False, "Whether jobs must ask for whole nodes (--exclusive).")
    # limits
    time: str = field("01:00:00", "Walltime where the user gives none (--time).")
    time_min: str = field("", "Shortest walltime the site takes.")
    time_max: str = field("", "Longest walltime the site takes.")
    arrays: bool = field(True, "Whether job arrays are allowed.")
    array_limit: int | None = field(None, "Largest number of tasks in one array (an index stays below it).", minimum=1)
    submit_limit: int | None = field(None, "Jobs one user may have in the queue, array tasks counted.", minimum=1)
    # what an hour costs
    charge_core_hour: float | None = field(None, "What the site charges for an hour of one core.", minimum=0.0)
    charge_gpu_hour: float | None = field(
        None, "What it charges for an hour of one GPU, the cores beside it apart.", minimum=0.0
    )
    charge_unit: str = field("units", "The unit of these charges, e.g. SU.")
    # containers
    container_runtime: str = field("apptainer", "Command that runs containers.")
    container_module: str = field("", "Module that brings it.")
    container_image: str = field("", "A ready image on the site.")
    container_gpu_option: str = field("--nv", "Option for GPUs: --nv, or --rocm.")
    container_binds: tuple[str, ...] = field((), "Folders that every container sees.")
    container_options: tuple[str, ...] = field((), "Options that every container gets.")
    # storage and network
    scratch: str = field("", "Folder or variable for runs, e.g. $SCRATCH.")
    local_disk: str = field("", "Variable or folder of the node-local disk, e.g. $SLURM_TMPDIR.")
    writable: str = field("", "What jobs may write, where that is not everything.")
    host_suffix: str = field(
        "", "What goes behind a compute node's short name for its address on the fast network (TF_CONFIG)."
    )
    network_interface: str = field("", "Interface for NCCL and MPI over TCP.")
    internet: str = field("unknown", "Whether compute nodes reach the internet.", choices=INTERNET)
    # people
    interactive: str = field("", "Command for an interactive session without GPU; empty: salloc.")
    interactive_gpu: str = field(
        "", f"Command for an interactive GPU session; filled in: {{{'}, {'.join(PLACEHOLDERS)}}}."
    )
    login: str = field("", "Login host, for tunnels.")
    login_gpu: str = field("", "Login host for GPU jobs, where it is another.")
    node_suffix: str = field("", "What a compute node's name needs behind it to be reached from a login node.")
    tunnel: str = field("", "What to know of ssh tunnels there.")
    sources: dict[str, Json] = field(NO_KEYS, "Key -> page and date it came from.")
    notes: tuple[str, ...] = field((), "What a user should know besides.")
