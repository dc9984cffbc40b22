"""The words of each MPI's mpirun."""

from __future__ import annotations

import pytest

from hpcnn.jobs.mpirun import mpirun_command
from hpcnn.scheduler.allocation import Allocation
from hpcnn.sites.profile import Site
from hpcnn.specs.resources import Resources

FOUR = Site(scheduler="local", launcher="mpirun", cores=4, launcher_options=("-x", "A"))


@pytest.mark.parametrize("mpi", ["Open MPI 4.1.8", "Open MPI 5.0.7", None])
def test_open_mpi_binds_ranks_or_lets_them_share_the_cores(mpi: str | None) -> None:
    bound = ["mpirun", "-np", "2", "--map-by", "slot:PE=2", "--bind-to", "core"]
    shared = ["mpirun", "-np", "5", "--oversubscribe", "--bind-to", "none"]
    assert mpirun_command(FOUR, Resources(ntasks=2), 2, mpi) == [*bound, "-x", "A"]
    assert mpirun_command(FOUR, Resources(ntasks=5), 1, mpi) == [*shared, "-x", "A"]


@pytest.mark.parametrize(
    ("mpi", "bound", "shared"),
    [
        ("MPICH 4.2.1", ["-bind-to", "core:2"], ["-bind-to", "none"]),
        ("Intel MPI 2021.15", ["-genv", "I_MPI_PIN_DOMAIN", "2"], ["-genv", "I_MPI_PIN", "0"]),
    ],
)
def test_hydra_has_words_of_its_own(mpi: str, bound: list[str], shared: list[str]) -> None:
    rest = ["-launcher", "fork", "-x", "A"]
    assert mpirun_command(FOUR, Resources(ntasks=2), 2, mpi) == ["mpirun", "-np", "2", *bound, *rest]
    assert mpirun_command(FOUR, Resources(ntasks=5), 1, mpi) == ["mpirun", "-np", "5", *shared, *rest]


@pytest.mark.parametrize(
    ("mpi", "words"),
    [
        (None, ["--map-by", "ppr:4:node:PE=2"]),
        ("Open MPI 4.1.8", ["--map-by", "ppr:4:node:PE=2"]),
        ("MPICH", ["-ppn", "4", "-bind-to", "core:2"]),
        ("Intel MPI", ["-ppn", "4", "-genv", "I_MPI_PIN_DOMAIN", "2"]),
    ],
)
def test_ranks_are_spread_over_the_nodes_of_a_job(mpi: str | None, words: list[str]) -> None:
    site = Site(launcher="mpirun", launcher_options=("-v",))
    argv = mpirun_command(site, Resources(nodes=2, ntasks=8), 2, mpi)
    assert argv == ["mpirun", "-np", "8", *words, "-v"]


@pytest.mark.parametrize(
    ("mpi", "bound", "shared"),
    [
        (
            "Open MPI 4.1.8",
            ["--map-by", "ppr:4:node:PE=1", "--bind-to", "core"],
            ["--map-by", "ppr:5:node", "--oversubscribe", "--bind-to", "none"],
        ),
        (
            "MPICH 4.2.1",
            ["-ppn", "4", "-bind-to", "core:1", "-launcher", "slurm"],
            ["-ppn", "5", "-bind-to", "none", "-launcher", "slurm"],
        ),
    ],
)
def test_in_an_allocation_ranks_go_to_all_of_its_nodes(mpi: str, bound: list[str], shared: list[str]) -> None:
    two = Allocation(2, 4, here=True)
    assert mpirun_command(FOUR, Resources(nodes=2, ntasks=7), 1, mpi, two) == ["mpirun", "-np", "7", *bound, "-x", "A"]
    assert mpirun_command(FOUR, Resources(nodes=2, ntasks=9), 1, mpi, two) == ["mpirun", "-np", "9", *shared, "-x", "A"]
    one = Allocation(1, 4, here=True)
    alone = mpirun_command(FOUR, Resources(ntasks=2), 2, mpi, one)
    assert alone == mpirun_command(FOUR, Resources(ntasks=2), 2, mpi)
