"""The allocation that a process is in, by the variables that Slurm 22.05 set on the testbed."""

from __future__ import annotations

import pytest

from hpcnn.scheduler.allocation import Allocation, allocation_of

JOB = {"SLURM_JOB_ID": "3", "SLURM_JOB_NODELIST": "c[1-2]", "SLURM_JOB_CPUS_PER_NODE": "2(x2)"}


@pytest.mark.parametrize(
    ("environment", "found"),
    [
        ({}, None),
        ({"SLURM_JOB_ID": "3"}, None),  # left over: it says nothing of nodes
        ({**JOB, "SLURM_JOB_CPUS_PER_NODE": "two"}, None),
        (JOB, Allocation(2, 2, here=False)),  # the shell of a plain salloc
        ({**JOB, "SLURMD_NODENAME": "c1"}, Allocation(2, 2, here=True)),
        ({**JOB, "SLURMD_NODENAME": "c1", "SLURM_JOB_CPUS_PER_NODE": "8(x2),4"}, Allocation(3, 4, here=True)),
        ({**JOB, "SLURMD_NODENAME": "c1", "SLURM_JOB_CPUS_PER_NODE": "16"}, Allocation(1, 16, here=True)),
    ],
)
def test_it_is_read_from_what_all_steps_of_a_job_see(environment: dict[str, str], found: Allocation | None) -> None:
    assert allocation_of(environment) == found


def test_there_is_work_elsewhere_on_other_nodes_and_from_the_login_node() -> None:
    assert not Allocation(1, 2, here=True).elsewhere
    assert Allocation(1, 2, here=False).elsewhere
    assert Allocation(2, 2, here=True).elsewhere
