"""The resources that a job requests, in Slurm's terms."""

from __future__ import annotations

from dataclasses import dataclass

from hpcnn.specs.fields import NO_KEYS, field
from hpcnn.util.errors import UsageError
from hpcnn.util.types import Json

# All ends of a job, only those of failed ones, or none.
NOTIFY = ("end", "fail", "none")


@dataclass(frozen=True)
class Resources:
    """The resources that a job requests, in Slurm's terms."""

    nodes: int = field(1, "Nodes.", minimum=1)
    ntasks: int = field(1, "Tasks (ranks) in all.", minimum=1)
    ntasks_per_node: int | None = field(None, "Tasks of each node, instead of --ntasks.", minimum=1)
    cpus_per_task: int | None = field(None, "Processor cores of each task.", minimum=1)
    gpus_per_node: int | None = field(None, "GPUs of each node; one rank drives one GPU.", minimum=1)
    gpus_per_task: int | None = field(None, "GPUs of each task, instead of --gpus-per-node.", minimum=1)
    gpu_type: str | None = field(None, "Type of GPU, as the site names it.")
    time: str | None = field(None, "Walltime limit: minutes, H:MM:SS or D-HH:MM:SS.")
    account: str | None = field(None, "Account that is charged.")
    partition: str | None = field(None, "Partition.")
    qos: str | None = field(None, "Quality of service.")
    mem: str | None = field(None, "Memory of each node, e.g. 16G.")
    mem_per_cpu: str | None = field(None, "Memory of each processor core instead, e.g. 4G.")
    mem_per_gpu: str | None = field(None, "Memory of each GPU instead, e.g. 30G.")
    constraint: str | None = field(None, "Features the nodes must have.")
    requeue: bool = field(
        False, "Let the job start again after its time limit, a node failure or preemption; a training goes on."
    )
    requeue_limit: int = field(10, "Times a job requeues itself at its time limit, with --requeue.", minimum=0)
    notify: str | None = field(
        None,
        "Ends of which Slurm's mail (--mail-user) and the webhook of your config.toml tell; without it: end.",
        choices=NOTIFY,
    )
    mail_user: str | None = field(None, "Address to which Slurm writes when the job has ended.")
    mail_type: str | None = field(None, "Events of which Slurm writes, e.g. BEGIN,END,FAIL, instead of --notify.")
    sbatch_options: dict[str, Json] = field(
        NO_KEYS, "Any other option of sbatch; may be repeated.", option="--sbatch-option", texts=True, flags=True
    )

    def __post_init__(self) -> None:
        if self.ntasks_per_node is not None:
            if self.ntasks not in (1, self.nodes * self.ntasks_per_node):
                raise UsageError(
                    f"ntasks: {self.ntasks} tasks are not {self.nodes} nodes x {self.ntasks_per_node} tasks per node"
                )
            object.__setattr__(self, "ntasks", self.nodes * self.ntasks_per_node)
        if self.gpus_per_task is not None:
            of_node = self.gpus_per_task * -(-self.ntasks // self.nodes)
            if self.gpus_per_node not in (None, of_node):
                raise UsageError(
                    f"gpus_per_node: {self.gpus_per_node} GPUs of a node are not {self.gpus_per_task} for each task"
                )
            object.__setattr__(self, "gpus_per_node", of_node)
        memory = {"mem": self.mem, "mem_per_cpu": self.mem_per_cpu, "mem_per_gpu": self.mem_per_gpu}
        given = [f"{key} = {value}" for key, value in memory.items() if value]
        if len(given) > 1:
            raise UsageError(f"{' and '.join(given)}: memory is asked for each node, each core or each GPU; give one")
