"""What of the host's environment reaches programs in an image: no Python path, no library, no ~/.local."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner

from hpcnn.cli.main import main

NAMES = ("PYTHONPATH", "PYTHONHOME", "LD_PRELOAD", "PYTHONNOUSERSITE")
# Stands for Apptainer, which hands the host's environment on: says what it has of it.
APPTAINER = "#!/bin/sh\n" + "\n".join(f'echo "{name}=${{{name}-unset}}"' for name in NAMES) + "\n"


@pytest.fixture(autouse=True)
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HPCNN_CONFIG", str(tmp_path / "config"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bin").mkdir()
    for name, text in (("apptainer", APPTAINER), ("srun", '#!/bin/sh\nshift 4\nexec "$@"\n')):
        (tmp_path / "bin" / name).write_text(text)
        (tmp_path / "bin" / name).chmod(0o755)
    (tmp_path / "x.sif").touch()
    return tmp_path


def inside(work: Path, site: str, *words: str, ntasks: int = 1) -> dict[str, str]:
    """Return what a program in the image gets of NAMES, on a host whose shell has set all but the last."""
    asked = ("--site", site, "--run-dir", "run", "--container", "x.sif", "--ntasks", str(ntasks), *words, "--dry-run")
    result = CliRunner().invoke(main, ["submit", *asked, "--", "true"])
    assert result.exit_code == 0, result.output
    (work / "run").mkdir()
    host = {"PYTHONPATH": f"{work}/host", "LD_PRELOAD": f"{work}/none.so"}
    environment = {**os.environ, **host, "PATH": f"{work}/bin:{os.environ['PATH']}", "SLURM_JOB_ID": "1"}
    done = subprocess.run(["bash", "-c", result.stdout], env=environment, capture_output=True, text=True, check=False)
    lines = (line.partition("=") for line in done.stdout.splitlines())
    return {name: value for name, _, value in lines if name in NAMES}


@pytest.mark.parametrize(("site", "ntasks"), [("local", 1), ("generic-slurm", 1), ("generic-slurm", 2)])
def test_the_hosts_own_stays_outside(site: str, ntasks: int, work: Path) -> None:
    found = inside(work, site, ntasks=ntasks)
    assert found == dict.fromkeys(NAMES[:3], "unset") | {"PYTHONNOUSERSITE": "1"}


@pytest.mark.parametrize("name", NAMES)
def test_what_the_job_exports_on_purpose_goes_in(name: str, work: Path) -> None:
    value = "" if name == "LD_PRELOAD" else "/mine"
    assert inside(work, "generic-slurm", "--env", f"{name}={value}")[name] == value


def test_without_a_container_nothing_is_taken_away(work: Path) -> None:
    asked = ("--site", "generic-slurm", "--run-dir", "run", "--dry-run")
    assert "PYTHONPATH" not in CliRunner().invoke(main, ["submit", *asked, "--", "true"]).stdout
