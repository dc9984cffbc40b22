"""Build the command line that starts the ranks of a job: launcher, container, binding. Must not start a process."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Sequence

from hpcnn.jobs.mpirun import mpirun_command
from hpcnn.scheduler import scheduler_of
from hpcnn.scheduler.allocation import Allocation
from hpcnn.sites.profile import Site
from hpcnn.specs.resources import Resources
from hpcnn.specs.software import SoftwareSpec
from hpcnn.util.errors import UsageError


class Expanded(str):
    """A word of a site profile that the shell expands: $SCRATCH, $(csc-common-bind)."""

    __slots__ = ()


def shell_word(word: str) -> str:
    """Return a word quoted for bash; in one of a site profile, bash still expands variables and commands."""
    if isinstance(word, Expanded) and "$" in word:
        return '"' + word.replace('"', '\\"') + '"'
    return shlex.quote(word)


def launch_command(
    site: Site,
    resources: Resources,
    cpus_per_task: int,
    mpi: str | None = None,
    allocation: Allocation | None = None,
) -> list[str]:
    """Return the launcher's argv, which starts ``resources.ntasks`` ranks of the program that follows it.

    mpi, allocation: as for ``mpirun_command``.
    """
    if site.launcher == "srun":
        return _srun(site, resources, cpus_per_task)
    if site.launcher == "ibrun":  # takes the number of ranks from the allocation (TACC's own wrapper)
        return ["ibrun", *site.launcher_options]
    return mpirun_command(site, resources, cpus_per_task, mpi, allocation)


def _srun(site: Site, resources: Resources, cpus_per_task: int) -> list[str]:
    """Return the argv of srun.

    srun takes neither the batch script's --cpus-per-task (since Slurm 22.05) nor, after ``sbatch --export=NONE``, its
    environment; and without --kill-on-bad-exit the ranks that are left wait for one that died.
    """
    mpi = [f"--mpi={site.mpi_type}"] if site.mpi_type else []
    return [
        "srun",
        f"--ntasks={resources.ntasks}",
        f"--cpus-per-task={cpus_per_task}",
        *mpi,
        "--export=ALL",
        "--kill-on-bad-exit=1",
        *site.launcher_options,
    ]


# Variables of the host that would make programs of the image load files of the host.
_HOSTS_OWN = ("PYTHONPATH", "PYTHONHOME", "LD_PRELOAD")


def container_command(
    site: Site,
    software: SoftwareSpec,
    folders: Sequence[str],
    gpu: bool,
    action: str = "exec",
    *,
    variables: Collection[str] = (),
) -> list[list[str]]:
    """Return the argv that runs a program in the container, in parts: environment, runtime, image; [] without one.

    The host's Python paths, preloaded libraries and ~/.local, which Apptainer would hand on, do not reach the image.
    What the image sets itself does, and so do ``variables``: the names that the job exports on purpose.

    folders: the job's own binds (run directory, current directory, data), besides those of the site and the user.
    action: exec, or shell for a shell at a terminal. The launcher stays outside: each rank is a container (Apptainer
    user guide, "MPI", hybrid model).
    Raises UsageError for a runtime other than Apptainer and Singularity, and for a path that ``--bind`` cannot take.
    """
    if software.container is None:
        return []
    if site.container_runtime not in ("apptainer", "singularity"):
        raise UsageError(f"--container: site {site.name} runs containers by {site.container_runtime}, not Apptainer")
    gpus = [site.container_gpu_option] if gpu and site.container_gpu_option else []
    for folder in folders:
        _check_bind("run directory, current directory or HPCNN_DATA", folder, ":,")
    for folder in software.bind:
        _check_bind("--bind", folder, ",")
    seen = dict.fromkeys([*folders, *map(Expanded, site.container_binds), *software.bind])
    binds = [word for folder in seen for word in ("--bind", folder)]
    unset = [word for name in _HOSTS_OWN if name not in variables for word in ("-u", name)]
    no_user_site = [] if "PYTHONNOUSERSITE" in variables else ["PYTHONNOUSERSITE=1"]
    environment = ["env", *unset, *no_user_site]
    return [environment, [site.container_runtime, action, *gpus, *site.container_options, *binds], [software.container]]


def _check_bind(option: str, path: str, separators: str) -> None:
    """Raise UsageError for a path that Apptainer's ``--bind SRC[:DEST[:OPTIONS]],...`` would take apart."""
    found = " and ".join(repr(character) for character in separators if character in path)
    if found:
        raise UsageError(
            f"{option}: {path!r} cannot be bound into a container: Apptainer reads {found} as a separator; "
            "use another path, and --bind once for each folder"
        )


def as_ranks(program: Sequence[str]) -> list[str]:
    """Return the argv of a program in the form in which a launcher hands it to each rank unchanged.

    A word ``:`` alone would start the next program of several (mpirun(1), "Multiple Program, Multiple Data"; srun(1),
    heterogeneous jobs), so a shell hides it.
    """
    return ["sh", "-c", f"exec {shlex.join(program)}"] if ":" in program else list(program)


def cpus_of(site: Site, resources: Resources) -> int:
    """Return the cores of each task: as asked, else an equal share of the node's, or with GPUs of the GPUs' cores."""
    if resources.cpus_per_task:
        return resources.cpus_per_task
    per_node = -(-resources.ntasks // resources.nodes)
    if resources.gpus_per_node:
        share = (site.cores_gpu or 1) * resources.gpus_per_node // (site.gpus or resources.gpus_per_node)
        return max(share // per_node, 1)
    return max((site.cores or 1) // per_node, 1) if scheduler_of(site.scheduler).this_machine_only else 1
