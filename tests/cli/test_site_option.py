"""Without ``--site`` a command works on this machine, but not silently on a login node."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from hpcnn.cli.main import main
from tests.scheduler.commands import Commands

SAID = "Error: --site: this is a login node of a Slurm cluster"
COMMANDS = (
    ["submit", "--", "true"],
    ["submit", "--dry-run", "--", "true"],
    ["study", "run", "smoke", "--dry-run"],
    ["search", "run", "psc_hparams"],
    ["tune", "--dry-run"],
    ["bench", "machine", "--dry-run"],
    ["interact", "--dry-run"],
)


@pytest.fixture(autouse=True)
def login_node(here: Path, slurm_commands: Commands, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make this machine a login node, on which nobody has chosen a site."""
    monkeypatch.delenv("HPCNN_SITE", raising=False)
    slurm_commands.put("sbatch")
    slurm_commands.put("scontrol", "Slurmctld(primary) at head is UP\n")


@pytest.mark.parametrize("words", COMMANDS)
def test_a_login_node_wants_a_site(words: list[str], here: Path) -> None:
    before = set(here.rglob("*"))
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 2, result.output
    assert result.stderr.startswith(SAID)
    assert set(here.rglob("*")) == before


def test_a_site_said_aloud_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["submit", "--dry-run", "--", "true"]
    assert CliRunner().invoke(main, [*words[:1], "--site", "local", *words[1:]]).exit_code == 0
    monkeypatch.setenv("HPCNN_SITE", "local")
    assert CliRunner().invoke(main, words).exit_code == 0
    monkeypatch.setenv("HPCNN_SITE", "nowhere")
    assert "--site: 'nowhere' is not known" in CliRunner().invoke(main, words).stderr


def test_other_machines_need_none(slurm_commands: Commands) -> None:
    slurm_commands.remove("sbatch")
    assert CliRunner().invoke(main, ["submit", "--dry-run", "--", "true"]).exit_code == 0
