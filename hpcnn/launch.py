"""The command line that starts the ranks of a job. Pure: specs in, words out."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from hpcnn.site import Site
from hpcnn.spec import Resources


def launch_command(site: Site, resources: Resources, cpus_per_task: int) -> list[str]:
    """Return the words that, put before a program's, start ``resources.ntasks`` ranks of it."""
    return [
        "mpirun",
        "-np",
        str(resources.ntasks),
        *_binding(site, resources.ntasks, cpus_per_task),
        *site.mpirun_options,
    ]


def as_ranks(program: Sequence[str]) -> list[str]:
    """Return the words of a program as a launcher must get them, so that each rank gets them unchanged.

    A word ``:`` alone would start the next program of several (mpirun(1), "Multiple Program, Multiple Data"; srun(1),
    heterogeneous jobs), so a shell hides it.
    """
    return ["sh", "-c", f"exec {shlex.join(program)}"] if ":" in program else list(program)


def cpus_of(site: Site, resources: Resources) -> int:
    """Return the cores of each task: as asked, else an equal share of the node's."""
    return resources.cpus_per_task or max((site.cores or 1) // resources.ntasks, 1)


def _binding(site: Site, ntasks: int, cpus: int) -> list[str]:
    """Bind each rank to its own cores where there are enough; else let ranks share what there is.

    mpirun(1) of Open MPI 4: ``slot:PE=n`` gives each rank n cores; without ``--oversubscribe`` it refuses more ranks
    than cores.
    """
    if site.cores is not None and ntasks * cpus > site.cores:
        return ["--oversubscribe", "--bind-to", "none"]
    return ["--map-by", f"slot:PE={cpus}", "--bind-to", "core"]
