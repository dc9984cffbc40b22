"""docs/howto/my-proposal.md on the testbed: its own files and commands, from the study to the page to attach.

The page's studies as they stand there, six runs of each size: of a model, of a script, and of the model on CPUs.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from hpcnn.rundir.layout import RunDir
from tests.docs.documents import ROOT, blocks, commands
from tests.slurm.conftest import Cluster

pytestmark = [pytest.mark.slurm, pytest.mark.slow, pytest.mark.long]

PAGE = ROOT / "docs" / "howto" / "my-proposal.md"
# The page's nodes, of four GPUs or of 64 cores, as the testbed has them: its GPUs are files, which train nothing.
SMALLER = {
    "gpus_per_node = 4\n": "",
    "gpus_per_node = 1\n": "",
    "ntasks_per_node = 4": "ntasks_per_node = 2",
    "cpus_per_task = 16": "cpus_per_task = 1",
    "nodes = [1, 2, 4]": "nodes = [1, 2]",
}
REPEATS = 6  # as the page says: fewer give no interval of 95 %
SECONDS = 1500


def write_files(folder: Path) -> None:
    """Write the page's files, for the testbed."""
    shutil.copytree(ROOT / "docs" / "examples", folder / "docs" / "examples")
    for block in blocks(PAGE):
        if block.file_name:
            text = re.sub("|".join(map(re.escape, SMALLER)), lambda found: SMALLER[found.group()], block.text)
            (folder / block.file_name).write_text(text)


def logs(runs: Path) -> str:
    """Return what the runs so far have printed, for the message of a test that fails."""
    return "".join(f"\n{log}:\n{log.read_text()[-2000:]}" for log in sorted(runs.rglob("*.out")))


def lines(study: str) -> list[str]:
    """Return the page's commands for a study on the testbed; those that submit wait for the end."""
    shown = [command.text for block in blocks(PAGE) if block.language == "console" for command in commands(block)]
    own = [line.replace("my_model", study) for line in shown if "my_model" in line]
    own = [re.sub(r"--site \S+( --account \S+)?", "--site testbed", line) for line in own]
    return [f"{line} --wait" if "study submit" in line and "--dry-run" not in line else line for line in own]


@pytest.mark.parametrize(("study", "ranks"), [("my_script", [1, 2, 4]), ("my_model", [1, 2, 4]), ("my_cpus", [2, 4])])
def test_the_page_leads_to_what_is_attached(
    study: str, ranks: list[int], cluster: Cluster, mpi: None, keep: Path
) -> None:
    write_files(keep)
    path = f"{Path(sys.executable).parent}{os.pathsep}{cluster.environment['PATH']}"
    environment = {**cluster.environment, "HPCNN_RUNS": str(keep / "runs"), "PATH": path}
    printed = {}
    for line in lines(study):
        done = subprocess.run(
            ["bash", "-c", line],
            cwd=keep,
            env=environment,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}{logs(keep / 'runs')}"
        printed[re.sub(r"^hpcnn |runs/\S+ |my_\S+ ", "", line)] = done.stdout
    assert len(printed) == 9

    records = [RunDir(path.parent).read_result() or {} for path in (keep / "runs" / study).glob("*/spec.json")]
    assert [record["status"] for record in records] == ["completed"] * REPEATS * len(ranks)
    latex = printed["scaling-report --format latex"]
    assert "\\toprule" in latex
    rows = re.findall(r"^\s*(\d+) &", latex, re.MULTILINE)
    assert sorted(map(int, rows)) == sorted(2 * ranks)  # a table of the sizes, and below it one of their intervals
    assert "too few runs" not in latex
    page = (keep / "proposal" / "report.html").read_text()
    assert study in page
    assert list((keep / "proposal").glob("*.pdf")) or list((keep / "proposal").glob("*.svg"))
    hours = printed["scaling-report --table proposal --trainings 50"]
    assert "50 trainings" in hours
