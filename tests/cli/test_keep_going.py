"""``hpcnn study submit --keep-going`` at a site that takes two jobs of a user, and says so only when it refuses."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from hpcnn.cli import study_submit
from hpcnn.cli.main import main
from hpcnn.rundir.layout import RunDir
from tests.scheduler.commands import SQUEUE_HEADER, Commands

FILE = 'name = "mine"\nprogram = ["true"]\nrepeats = 3\n[axes]\ncpus_per_task = [1, 2]\n'
LIMIT = 2
# Takes a job while no more than two tasks are in the queue, which is what squeue prints.
SBATCH = f"""#!/bin/bash
cd "${{0%/*}}"
script=${{@: -1}}
tasks=$(/bin/sed -n 's/^#SBATCH --array=0-\\([0-9]*\\).*/\\1/p' "$script")
waiting=$(($(/usr/bin/wc -l <squeue.out) - 1))
if ((waiting + tasks + 1 > {LIMIT})); then
    echo "sbatch: error: QOSMaxSubmitJobPerUserLimit" >&2
    exit 1
fi
echo x >>ids
id=$(/usr/bin/wc -l <ids)
for ((task = 0; task <= tasks; task++)); do echo "${{id}}_$task|PENDING|Priority|0:00||N/A" >>squeue.out; done
echo "$id"
"""


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, slurm_commands: Commands) -> Path:
    """A folder with a study of six runs, and a Slurm that takes two of them at a time."""
    monkeypatch.setenv("HPCNN_CONFIG", str(tmp_path / "config"))
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    (folder / "mine.toml").write_text(FILE)
    slurm_commands.squeue()
    slurm_commands.sacct()
    (slurm_commands.folder / "sbatch").write_text(SBATCH)
    (slurm_commands.folder / "sbatch").chmod(0o755)
    return folder


def submit(*words: str) -> tuple[int, str, str]:
    words = ("study", "submit", "mine.toml", "--site", "generic-slurm", *words, "--format", "json")
    result = CliRunner().invoke(main, list(words))
    return result.exit_code, result.stdout, result.stderr


def test_the_rest_is_submitted_as_room_appears(
    work: Path, slurm_commands: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []

    def pause(seconds: float) -> None:
        """Let all that is in the queue complete, but in the second pause."""
        pauses.append(seconds)
        assert len(pauses) < 20
        if len(pauses) == 2:
            return
        for file in (work / "runs" / "mine").glob("*/job.json"):
            if RunDir(file.parent).read_result() is None:
                RunDir(file.parent).write_result("completed", exit_code=0)
        (slurm_commands.folder / "squeue.out").write_text(f"{SQUEUE_HEADER}\n")

    monkeypatch.setattr(study_submit, "time", SimpleNamespace(sleep=pause))
    status, printed, said = submit("--keep-going")
    assert status == 0, said
    rows = json.loads(printed)
    assert sum(row["tasks"] for row in rows) == 6
    assert max(row["tasks"] for row in rows) <= LIMIT
    runs = [name for row in rows for name in row["runs"]]
    assert len(set(runs)) == 6, "a run was submitted twice"
    assert "QOSMaxSubmitJobPerUserLimit; looking for room again in 15 s" in said
    assert max(pauses) <= 300


def test_without_it_the_refusal_is_said(work: Path) -> None:
    status, printed, said = submit()
    assert (status, json.loads(printed)) == (1, [])
    assert "sbatch refuses: QOSMaxSubmitJobPerUserLimit; 0 of 6 runs are submitted" in said
