"""``hpcnn search`` with fakes of Slurm's commands: submitting workers, and their number while Slurm gives no answer."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

pytest.importorskip("optuna", reason="searches need Optuna: pip install '.[search]'")

from hpcnn.cli.main import main
from tests.scheduler.commands import Commands

FILE = (
    '[search]\nmethod = "grid"\n[train]\nmodel = "scinet-cnn1"\ndata = "digits"\n[space]\nlearning_rate = [0.1, 0.2]\n'
)
SILENCE = "no answer from squeue: Unable to contact slurm controller (connect failure)"
SUBMIT = ("submit", "two.toml", "--site", "generic-slurm", "--workers", "2")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty directory with one search, and no settings but its own."""
    for name in ("HPCNN_RUNS", "HPCNN_DATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HPCNN_CONFIG", str(tmp_path / "config"))
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    (work / "two.toml").write_text(FILE)
    return work


def search(*words: str) -> Result:
    return CliRunner().invoke(main, ["search", *words])


def test_workers_are_submitted_and_counted(here: Path, slurm_commands: Commands) -> None:
    slurm_commands.put("sbatch", "7\n")
    result = search(*SUBMIT, "--after", "5")
    assert result.exit_code == 0, result.output
    assert "2 trials to do, 2 workers, job 7" in result.stdout
    (call,) = slurm_commands.calls("sbatch")
    assert call.split()[:3] == ["--parsable", "--dependency=afterok:5", "--kill-on-invalid-dep=yes"]
    script = Path(call.split()[-1])
    assert f"#SBATCH --output={script.parent}/log-%a.out\n" in script.read_text()
    slurm_commands.squeue("7_0|RUNNING", "7_1|PENDING")
    (row,) = json.loads(search("status", "two.toml", "--format", "json").stdout)
    assert (row["workers_in_queue"], row["waiting"], row["unknown"]) == (2, 2, 0)
    assert "unknown" not in search("status", "two.toml").stdout


@pytest.mark.parametrize("how", ["fails", "is not installed"])
def test_their_number_is_open_without_an_answer(how: str, slurm_commands: Commands) -> None:
    slurm_commands.put("sbatch", "7\n")
    assert search(*SUBMIT).exit_code == 0
    if how == "fails":
        slurm_commands.fail("squeue")
    result = search("status", "two.toml", "--format", "json")
    assert result.exit_code == 0, result.output
    (row,) = json.loads(result.stdout)
    assert row["workers_in_queue"] is None
    assert (SILENCE if how == "fails" else "no answer from squeue: squeue is not on this machine") in result.stderr


def test_slurm_is_asked_when_the_workers_would_start(here: Path, slurm_commands: Commands) -> None:
    slurm_commands.put("sbatch", error="sbatch: Job 7 to start at 2026-01-02T03:04:05\n")
    result = search(*SUBMIT, "--test-only")
    assert (result.exit_code, result.stdout) == (0, "Job 7 to start at 2026-01-02T03:04:05\n")
    assert [path.name for path in here.iterdir()] == ["two.toml"]


def test_a_site_without_a_queue_takes_none() -> None:
    result = search("submit", "two.toml", "--site", "local")
    assert result.exit_code == 2
    assert "--site: site local has no scheduler to submit to; `hpcnn search run` searches here" in result.stderr


def test_workers_take_all_options_of_resources(here: Path) -> None:
    words = ("--nodes", "2", "--ntasks-per-node", "2", "--gpus-per-node", "2", "--set", "strategy=horovod")
    result = search("submit", "two.toml", "--site", "generic-slurm", *words, "--dry-run")
    assert result.exit_code == 0, result.output
    for directive in ("--nodes=2", "--ntasks-per-node=2", "--gpus-per-node=2"):
        assert f"#SBATCH {directive}\n" in result.stdout


def test_gpus_that_no_trial_uses_are_said_before_they_are_asked_for(here: Path) -> None:
    words = ["search", "submit", "psc_hparams", "--site", "generic-slurm", "--gpus-per-node", "4", "--dry-run"]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 0, result.output
    assert "Warning: 3 of the 4 GPUs of each node would be idle" in result.stderr
    assert "Warning" not in CliRunner().invoke(main, [*words[:4], "--site", "generic-slurm", "--dry-run"]).stderr
