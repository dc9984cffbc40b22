"""The configuration files of the testbed's Slurm: texts from settings, nothing else."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from pathlib import Path

NODES = 3
MAX_ARRAY = 101  # slurm.conf(5), MaxArraySize
MOST_NODES = 250  # addresses of one network
CPUS = 2
GPU_NODES = 2
GPUS = 2
NETWORK = "10.213.7"
CONTROLLER = f"{NETWORK}.254"
DATABASE_PORT = 33906


@dataclass(frozen=True)
class Testbed:
    """Where one testbed lives, whether it keeps accounts, and how many nodes it has when it is started."""

    root: Path
    accounting: bool = True
    nodes: int = NODES

    __test__ = False  # not a test class, whatever its name

    @property
    def slurm_conf(self) -> Path:
        """Return the file that $SLURM_CONF names."""
        return self.root / "etc" / "slurm.conf"

    @property
    def munge_socket(self) -> Path:
        """Return munged's socket."""
        return self.root / "run" / "munge.socket"


def node(number: int) -> str:
    """Return the name of a node, from 1."""
    return f"c{number}"


def slurm_conf(bed: Testbed) -> str:
    """Return slurm.conf(5): nodes of two cores, two of them with fake GPUs, and three partitions."""
    run = bed.root / "run"
    accounting = (
        f"AccountingStorageType=accounting_storage/slurmdbd\nAccountingStorageHost={CONTROLLER}\n"
        f"AccountingStoragePort=16819\nAccountingStoragePass={bed.munge_socket}\n"
        if bed.accounting
        else "AccountingStorageType=accounting_storage/none\n"
    )
    nodes = "\n".join(
        f"NodeName={node(n)} NodeAddr={NETWORK}.{n} NodeHostname={node(n)} CPUs={CPUS} RealMemory=4000"
        + (f" Gres=gpu:fake:{GPUS}" if n <= GPU_NODES else "")
        for n in range(1, bed.nodes + 1)
    )
    # TmpFS of each node's own: PMIx puts files of a job there under the same name on every node.
    return f"""\
ClusterName=testbed
SlurmctldHost=testbed-head({CONTROLLER})
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={bed.munge_socket},cred_expire=30
CredType=cred/munge
StateSaveLocation={bed.root}/state
SlurmdSpoolDir={bed.root}/spool/%n
TmpFS={bed.root}/tmp/%n
SlurmctldPidFile={run}/slurmctld.pid
SlurmdPidFile={run}/slurmd.%n.pid
SlurmctldLogFile={bed.root}/log/slurmctld.log
SlurmdLogFile={bed.root}/log/slurmd.%n.log
SlurmctldPort=16817
SlurmdPort=16818
SwitchType=switch/none
MpiDefault=pmix
ProctrackType=proctrack/linuxproc
TaskPlugin=task/affinity
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
GresTypes=gpu
ReturnToService=2
JobRequeue=1
KillWait=5
MinJobAge=300
SlurmdTimeout=20
SlurmctldTimeout=30
SchedulerParameters=sched_interval=2,batch_sched_delay=0
MaxArraySize={MAX_ARRAY}
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=5
{accounting}{nodes}
PartitionName=cpu Nodes=c[1-{bed.nodes}] Default=YES MaxTime=01:00:00 DefaultTime=00:10:00
PartitionName=gpu Nodes=c[1-{GPU_NODES}] MaxTime=01:00:00 DefaultTime=00:10:00
PartitionName=debug Nodes=c[1-{bed.nodes}] MaxTime=00:02:00 MaxNodes=2
"""


def gres_conf(bed: Testbed) -> str:
    """Return gres.conf(5): device files that exist, so that --gres=gpu:1 sets CUDA_VISIBLE_DEVICES for real."""
    return "".join(
        f"NodeName={node(n)} Name=gpu Type=fake File={bed.root}/dev/{node(n)}-gpu[0-{GPUS - 1}]\n"
        for n in range(1, GPU_NODES + 1)
    )


def slurmdbd_conf(bed: Testbed) -> str:
    """Return slurmdbd.conf(5): accounts in a MariaDB of the testbed's own."""
    return f"""\
AuthType=auth/munge
AuthInfo=socket={bed.munge_socket}
DbdHost=testbed-head
DbdAddr={CONTROLLER}
DbdPort=16819
SlurmUser=root
LogFile={bed.root}/log/slurmdbd.log
PidFile={bed.root}/run/slurmdbd.pid
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort={DATABASE_PORT}
StorageUser=slurm
StoragePass=testbed
StorageLoc=slurm_acct_db
"""


def hosts(bed: Testbed) -> str:
    """Return /etc/hosts(5) as the controller and the nodes see it.

    This machine's own name is in it: slurmctld looks it up to reach an srun or salloc there, and answers nobody for ten
    seconds where it cannot.
    """
    here = " ".join(dict.fromkeys(("testbed-head", socket.gethostname())))
    lines = [f"{NETWORK}.{n} {node(n)}" for n in range(1, bed.nodes + 1)]
    return "\n".join(["127.0.0.1 localhost", f"{CONTROLLER} {here}", *lines]) + "\n"
