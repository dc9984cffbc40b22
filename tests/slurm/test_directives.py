"""What a real sbatch makes of hpcnn's directives: paths, dependencies, flags, memory; jobs without their software."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

from hpcnn.jobs.sbatch_options import _KINDS
from hpcnn.rundir.layout import RunDir
from tests.slurm.conftest import Cluster

pytestmark = pytest.mark.slurm


@pytest.mark.parametrize("name", ["a\\b", "a\\\\b %j", "50%j", "a\\%A"])
def test_the_log_is_in_the_run_directory_whatever_its_name(cluster: Cluster, keep: Path, name: str) -> None:
    run = RunDir(keep / name / "run")
    done = cluster.submit("--run-dir", str(run.path), "--wait", "--", "echo", "here")
    assert done.returncode == 0, done.stderr
    assert run.log.read_text() == "here\n"
    (keep / "mine.toml").write_text('name = "mine"\nprogram = ["echo", "here"]\n')
    words = ("mine.toml", "--site", "testbed", "--runs", str(keep / name))
    study = cluster.hpcnn("study", "submit", *words, "--wait", cwd=keep)
    assert study.returncode == 0, study.stderr
    (log,) = (keep / name / "mine").glob("*/log.out")
    assert log.read_text() == "here\n"
    (of_array,) = (keep / name / "mine" / "arrays").glob("*.out")
    assert of_array.read_text() == ""


def test_every_form_of_a_dependency(cluster: Cluster, keep: Path) -> None:
    first = cluster.submit("--run-dir", str(keep / "first"), "--", "sleep", "600").stdout.split()[1]
    forms = {
        f"{first},{first}": f"afterok:{first}",
        f"afterany:{first}": f"afterany:{first}",
        f"afternotok:{first}?afterok:{first}": f"afternotok:{first}",
        f"after:{first}+10": f"after:{first}+10",
        f"aftercorr:{first}": f"aftercorr:{first}",
        f"afterburstbuffer:{first}": f"afterburstbuffer:{first}",
        "singleton": "singleton",
    }
    (keep / "mine.toml").write_text('name = "mine"\nprogram = ["true"]\nrepeats = 2\n')
    try:
        for number, (form, shown) in enumerate(forms.items()):
            done = cluster.submit(
                "--run-dir", str(keep / str(number)), "--name", "sleep", "--after", form, "--", "sleep", "1"
            )
            assert done.returncode == 0, (form, done.stderr)
            assert shown in cluster.slurm("scontrol", "show", "job", done.stdout.split()[1]), form
        words = ("mine.toml", "--site", "testbed", "--runs", str(keep), "--after", f"afterany:{first}")
        study = cluster.hpcnn("study", "submit", *words, "--format", "json", cwd=keep)
        (row,) = json.loads(study.stdout)
        assert f"afterany:{first}" in cluster.slurm("scontrol", "show", "job", row["job_id"])
    finally:
        cluster.hpcnn("cancel", str(keep))


def test_options_that_sbatch_has_are_known(cluster: Cluster) -> None:
    """Its usage, so that a beginning of one is refused like the whole."""
    shown = cluster.slurm("sbatch", "--help")
    names = set(re.findall(r"^ +(?:-\w, )?--([a-z][a-z-]+)", shown, re.MULTILINE))
    assert len(names) > 80
    assert names <= set(_KINDS)


@pytest.mark.parametrize(
    ("option", "shown"),
    [
        ("--sbatch-option=exclusive", "OverSubscribe=NO"),
        ("--sbatch-option=comment=mine", "Comment=mine"),
        ("--mem-per-cpu=100M", "MinMemoryCPU=100M"),
        ("--mem=200M", "MinMemoryNode=200M"),
        ("--sbatch-option=contiguous", "Contiguous=1"),
    ],
)
def test_what_is_asked_for_arrives(cluster: Cluster, keep: Path, option: str, shown: str) -> None:
    done = cluster.submit("--run-dir", str(keep / "run"), option, "--sbatch-option", "hold", "--", "true")
    job = done.stdout.split()[1]
    try:
        assert shown in cluster.slurm("scontrol", "show", "job", job), done.stderr
    finally:
        subprocess.run(["scancel", job], env=cluster.environment, check=True)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--module", "nothing/1.0"), "hpcnn: 'module load nothing/1.0' failed with status 127 on "),
        (("--setup", "conda activate nowhere"), "hpcnn: 'conda activate nowhere' failed with status 127 on "),
    ],
)
def test_a_job_without_its_software_does_not_run(
    cluster: Cluster, keep: Path, words: tuple[str, ...], said: str
) -> None:
    run = RunDir(keep / "run")
    done = cluster.submit("--run-dir", str(run.path), *words, "--wait", "--", "touch", str(keep / "ran"))
    assert done.returncode == 66, done.stderr
    assert said in run.log.read_text()
    assert not (keep / "ran").exists()
    assert (run.read_result() or {})["status"] == "failed"
