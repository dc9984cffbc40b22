"""Modules and lines of set-up in job scripts, run by bash: they take effect, and one that fails ends the job."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from hpcnn.cli.main import main
from hpcnn.jobs.interact import Here, session
from hpcnn.jobs.script import render_workers
from hpcnn.rundir.layout import RunDir
from hpcnn.sites.profile import Site
from hpcnn.specs.resources import Resources
from hpcnn.specs.software import SoftwareSpec

# As Lmod's: a function, with what it was asked for, which knows one module.
MODULE = """
module() {
    echo "$*" >> asked
    [ "$2" = good ] || { echo "The following module(s) are unknown: $2" >&2; return 1; }
}
"""
TEMPLATES = {"local": "local", "slurm": "generic-slurm"}


@pytest.fixture(autouse=True)
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HPCNN_CONFIG", str(tmp_path / "config"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "module.sh").write_text(MODULE)
    return tmp_path


def dry(kind: str, *words: str) -> Result:
    words = ("--site", TEMPLATES[kind], "--run-dir", "run", *words, "--dry-run")
    return CliRunner().invoke(main, ["submit", *words, "--", "sh", "-c", "echo it runs; echo $WHAT"])


def run(kind: str, *words: str, env: str = "module.sh") -> subprocess.CompletedProcess[str]:
    """Run the script of a job as its site does; ``env`` is sourced first, as a site's start-up files are."""
    result = dry(kind, *words)
    assert result.exit_code == 0, result.output
    Path("run").mkdir(exist_ok=True)
    Path("job.sh").write_text(result.stdout)
    environment = {**os.environ, "BASH_ENV": env, "SLURM_JOB_ID": "1"}
    return subprocess.run(["bash", "job.sh"], env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("kind", TEMPLATES)
class TestModules:
    def test_one_that_is_there(self, kind: str) -> None:
        done = run(kind, "--module", "good")
        assert (done.returncode, "it runs" in done.stdout) == (0, True), done.stderr
        assert Path("asked").read_text() == "load good\n"

    def test_one_that_is_not(self, kind: str) -> None:
        done = run(kind, "--module", "good", "--module", "bad/1.0", "--module", "good")
        assert (done.returncode, done.stdout) == (66, "")
        assert "hpcnn: 'module load bad/1.0' failed with status 1 on " in done.stderr
        assert Path("asked").read_text() == "load good\nload bad/1.0\n"

    def test_no_function_of_that_name(self, kind: str) -> None:
        done = run(kind, "--module", "good", env="")
        assert (done.returncode, done.stdout) == (66, "")
        assert "hpcnn: 'module load good' failed with status 127 on " in done.stderr


# As Modules 3.2 do, which some sites still have: modulecmd says in words that a module is not there, and ends well.
OLD_MODULE = """
module() {
    [ "$2" = good ] && { export LOADED=$2; echo "good.c(1):WARN:0: it is old" >&2; return; }
    echo "ModuleCmd_Load.c(213):ERROR:105: Unable to locate a modulefile for '$2'" >&2
}
"""


@pytest.mark.parametrize("kind", TEMPLATES)
class TestOldModules:
    def test_one_that_is_there(self, kind: str, work: Path) -> None:
        (work / "old.sh").write_text(OLD_MODULE)
        done = run(kind, "--module", "good", "--setup", "WHAT=$LOADED; export WHAT", env="old.sh")
        assert (done.returncode, done.stdout.splitlines()[:2]) == (0, ["it runs", "good"])
        assert "it is old" in done.stderr

    def test_one_that_is_not(self, kind: str, work: Path) -> None:
        (work / "old.sh").write_text(OLD_MODULE)
        done = run(kind, "--module", "good", "--module", "bad/1.0", env="old.sh")
        assert (done.returncode, done.stdout) == (66, "")
        assert "Unable to locate a modulefile for 'bad/1.0'" in done.stderr
        assert "hpcnn: 'module load bad/1.0' failed with status 1 on " in done.stderr


@pytest.mark.parametrize("kind", TEMPLATES)
class TestSetup:
    def test_lines_take_effect_in_order_after_modules_and_variables(self, kind: str, work: Path) -> None:
        (work / "config" / "sites").mkdir(parents=True)
        (work / "config" / "sites" / f"{TEMPLATES[kind]}.toml").write_text("setup = ['export WHAT=site']\n")
        lines = [
            "[ \"$(cat asked)\" = 'load good' ]",
            'export WHAT="$WHAT and $MINE" # a comment',
            'echo "it\'s" > said',
        ]
        words = [word for line in lines for word in ("--setup", line)]
        done = run(kind, "--module", "good", "--env", "MINE=mine", *words)
        assert (done.returncode, done.stdout.splitlines()[:2]) == (0, ["it runs", "site and mine"]), done.stderr
        assert Path("said").read_text() == "it's\n"

    def test_a_program_that_it_puts_into_path_comes_first(self, kind: str, work: Path) -> None:
        (work / "mine").mkdir()
        (work / "mine" / "sh").write_text("#!/bin/sh\necho mine\n")
        (work / "mine" / "sh").chmod(0o755)
        done = run(kind, "--setup", f'PATH="{work}/mine:$PATH"')
        assert done.stdout.splitlines()[0] == "mine"

    @pytest.mark.parametrize("line", ["false", "conda activate nowhere", "true; (exit 3) # x", "source nowhere.sh"])
    def test_one_that_fails_ends_the_job(self, line: str, kind: str) -> None:
        done = run(kind, "--setup", "true", "--setup", line)
        assert (done.returncode, done.stdout) == (66, "")
        assert f"hpcnn: '{line}' failed with status " in done.stderr
        assert not RunDir("run").result.exists() or kind == "local"

    def test_one_that_uses_variables_that_are_not_there(self, kind: str) -> None:
        """As conda's functions do; the local script itself forbids it."""
        assert run(kind, "--setup", 'echo "$NOT_THERE" > /dev/null').returncode == 0

    @pytest.mark.parametrize("line", ["", "a\nb", "echo 'x", "if true", "cat <<X", "echo \\", "for"])
    def test_what_is_no_line_is_refused(self, line: str, kind: str) -> None:
        result = dry(kind, "--setup", line)
        assert result.exit_code == 2
        assert f"--setup: {line!r} is not valid; expected one line of bash" in result.stderr

    def test_without_any_the_script_has_no_word_of_it(self, kind: str) -> None:
        assert "must_work" not in dry(kind).stdout


def workers(modules: list[str], setup: list[str]) -> subprocess.CompletedProcess[str]:
    script = render_workers(
        "w", [], directory=".", modules=modules, bin="/bin", environment={}, setup=setup, command=["echo", "works"]
    )
    environment = {**os.environ, "BASH_ENV": "module.sh"}
    return subprocess.run(["bash", "-c", script], env=environment, capture_output=True, text=True, check=False)


def test_workers_of_a_search() -> None:
    assert workers(["module load good"], ["true"]).stdout == "works\n"
    for modules, setup in ((["module load bad"], []), (["module load good"], ["false"])):
        done = workers(modules, setup)
        assert (done.returncode, done.stdout, "failed with status 1" in done.stderr) == (66, "", True)


@pytest.mark.parametrize(("line", "said"), [('export A="b  c" # x', "b  c\n"), ("false", "")])
def test_a_session(line: str, said: str) -> None:
    software = SoftwareSpec(setup=(line,))
    words = session(Site(scheduler="local"), Resources(), software, Here(".", "/bin"), ["printenv", "A"]).words
    assert subprocess.run(words, capture_output=True, text=True, check=False).stdout == said


def test_a_study_and_a_search_have_the_key() -> None:
    table = '[software]\nsetup = ["conda activate tf, please"]\n'
    Path("mine.toml").write_text(f'name = "mine"\nprogram = ["true"]\n{table}')
    words = ["study", "submit", "mine.toml", "--site", "generic-slurm", "--scripts"]
    assert "\nconda activate tf, please\nmust_work " in CliRunner().invoke(main, words).stdout
    other = CliRunner().invoke(main, [*words, "--setup", "ml restore x, y"]).stdout
    assert "\nml restore x, y\nmust_work " in other
    search = ["search", "submit", "psc_hparams", "--site", "generic-slurm", "--setup", "ml restore x", "--dry-run"]
    assert "\nml restore x\nmust_work " in CliRunner().invoke(main, search).stdout
