"""Login nodes are told from machines on which Slurm's programs are installed, by what scontrol says."""

from __future__ import annotations

from pathlib import Path

import pytest

from hpcnn.scheduler.login import is_login_node
from tests.scheduler.commands import Commands

UP = "Slurmctld(primary) at head is UP\n"
DOWN = "Slurmctld(primary) at head is DOWN\n"
# Slurm 22.05 where nothing is configured.
NO_CONFIGURATION = "scontrol: fatal: Could not establish a configuration source\n"


@pytest.mark.parametrize(("said", "status"), [(UP, 0), (DOWN, 1)])
def test_a_cluster_whose_controller_is_known(slurm_commands: Commands, said: str, status: int) -> None:
    slurm_commands.put("sbatch")
    slurm_commands.put("scontrol", said, status=status)
    environment = {"PATH": str(slurm_commands.folder)}
    assert is_login_node(environment)
    assert not is_login_node({**environment, "SLURM_JOB_ID": "7"})
    assert not is_login_node({**environment, "SLURM_CONF": str(slurm_commands.folder / "no-such.conf")})
    assert slurm_commands.calls("scontrol") == ["ping"]


def test_programs_without_a_cluster(slurm_commands: Commands) -> None:
    slurm_commands.put("scontrol", UP)
    assert not is_login_node({"PATH": str(slurm_commands.folder)})  # no sbatch
    slurm_commands.put("sbatch")
    slurm_commands.put("scontrol", error=NO_CONFIGURATION, status=1)
    assert not is_login_node({"PATH": str(slurm_commands.folder)})


def test_a_scontrol_that_hangs_or_cannot_run(slurm_commands: Commands, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hpcnn.scheduler.login._SECONDS_TO_ANSWER", 0.1)
    slurm_commands.put("sbatch")
    slurm_commands.put("scontrol", UP, seconds=5)
    assert not is_login_node({"PATH": str(slurm_commands.folder)})
    Path(slurm_commands.folder / "scontrol").write_text("#!/no/such/interpreter\n")
    assert not is_login_node({"PATH": str(slurm_commands.folder)})
