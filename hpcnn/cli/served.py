"""What commands that serve a page say: the tunnel to it, and the address to open."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hpcnn.sites.profile import Site
    from hpcnn.tensorboard.tunnel import Machine


def this_machine(environment: Mapping[str, str]) -> Machine:
    """Return this machine, by Slurm's variables and the operating system."""
    import socket

    from hpcnn.tensorboard.tunnel import Machine
    from hpcnn.util.user import user_name

    node = environment.get("SLURMD_NODENAME", "")  # set in what runs on a compute node, not by salloc on a login node
    full = socket.getfqdn()
    return Machine(
        name=socket.gethostname() if node or full.startswith("localhost") else full,
        user=user_name(),
        in_job=bool(node),
        with_gpus=bool(environment.get("SLURM_JOB_GPUS") or environment.get("SLURM_STEP_GPUS")),
        submit_host=environment.get("SLURM_SUBMIT_HOST", ""),
    )


def ways_in(machine: Machine, site: Site, host: str, port: str, path: str, local_port: int) -> list[str]:
    """Return the lines that say how to open ``path`` of a server here, on this machine and through a tunnel."""
    from hpcnn.scheduler import scheduler_of
    from hpcnn.tensorboard.tunnel import is_loopback, is_wildcard, ssh_command

    lines = []
    if scheduler_of(site.scheduler).this_machine_only and not machine.in_job:
        near = "localhost" if is_loopback(host) or is_wildcard(host) else host
        lines += ["In a browser on this machine, open", f"  http://{near}:{port}/{path}"]
        lines.append("From another computer, type there")
    else:
        lines.append("On your own computer, type")
    tunnel = ssh_command(machine, site, host, port, local_port)
    return [*lines, f"  {tunnel}", "and open", f"  http://localhost:{local_port}/{path}"]
