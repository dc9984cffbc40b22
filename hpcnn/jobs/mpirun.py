"""The words of each MPI's mpirun: how many ranks, on which nodes, bound to which cores. Must not start a process."""

from __future__ import annotations

from hpcnn.jobs.mpi import flavour
from hpcnn.scheduler import scheduler_of
from hpcnn.scheduler.allocation import Allocation
from hpcnn.sites.profile import Site
from hpcnn.specs.resources import Resources


def mpirun_command(
    site: Site, resources: Resources, cpus: int, mpi: str | None, allocation: Allocation | None = None
) -> list[str]:
    """Return the argv of mpirun for ``resources.ntasks`` ranks of ``cpus`` cores each.

    mpi: whose mpirun it is, as ``jobs.mpi`` writes it; None counts as Open MPI. allocation: the job of Slurm in which
    a site of this machine alone is used; its ranks go to all of its nodes.
    """
    count, mpi = ["mpirun", "-np", str(resources.ntasks)], mpi or "Open MPI"
    hydra = flavour(mpi) != "Open MPI"
    if not scheduler_of(site.scheduler).this_machine_only:
        per_node = resources.ntasks // resources.nodes
        if hydra:
            return [*count, "-ppn", str(per_node), *_hydra_binding(mpi, cpus), *site.launcher_options]
        return [*count, "--map-by", f"ppr:{per_node}:node:PE={cpus}", *site.launcher_options]
    per_node = -(-resources.ntasks // resources.nodes)
    shared = site.cores is not None and per_node * cpus > site.cores
    if allocation and allocation.elsewhere:
        if hydra:
            binding = _hydra_binding(mpi, 0 if shared else cpus)
            return [*count, "-ppn", str(per_node), *binding, "-launcher", "slurm", *site.launcher_options]
        place = ["--oversubscribe", "--bind-to", "none"] if shared else ["--bind-to", "core"]
        mapping = f"ppr:{per_node}:node" if shared else f"ppr:{per_node}:node:PE={cpus}"
        return [*count, "--map-by", mapping, *place, *site.launcher_options]
    if hydra:
        # Without it, an mpirun in an allocation of Slurm starts its ranks by srun.
        return [*count, *_hydra_binding(mpi, 0 if shared else cpus), "-launcher", "fork", *site.launcher_options]
    return [*count, *_open_mpi_binding(0 if shared else cpus), *site.launcher_options]


def _open_mpi_binding(cpus: int) -> list[str]:
    """Return Open MPI's options that bind each rank to so many cores of its own; 0: ranks share the cores.

    mpirun(1) of Open MPI: ``slot:PE=n`` gives each rank n cores; without ``--oversubscribe`` it refuses more ranks than
    cores. Version 5 takes the words of version 4 without a warning.
    """
    if cpus == 0:
        return ["--oversubscribe", "--bind-to", "none"]
    return ["--map-by", f"slot:PE={cpus}", "--bind-to", "core"]


def _hydra_binding(mpi: str, cpus: int) -> list[str]:
    """Return Hydra's options that bind each rank to so many cores of its own; 0: ranks share the cores.

    Hydra is the launcher of MPICH and of what is made from it. Intel's takes ``-bind-to`` and does nothing with it
    (Intel MPI developer reference, "Process Pinning").
    """
    if flavour(mpi) == "Intel MPI":
        return ["-genv", *(("I_MPI_PIN_DOMAIN", str(cpus)) if cpus else ("I_MPI_PIN", "0"))]
    return ["-bind-to", f"core:{cpus}" if cpus else "none"]
