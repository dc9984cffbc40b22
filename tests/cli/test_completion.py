"""Completion: the words that a shell gets, what is loaded for them, and the file that a shell reads."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.shell_completion import BashComplete

from hpcnn.cli.main import main
from tests.conftest import BIN, Command
from tests.synthetic.runs import write_run

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the current folder, with a run in its runs folder."""
    monkeypatch.setenv("_HPCNN_COMPLETE", "bash_complete")
    monkeypatch.delenv("HPCNN_RUNS", raising=False)
    monkeypatch.chdir(tmp_path)
    run = write_run(tmp_path / "runs" / "scale" / "ntasks=1-r01-abcdef")
    run.job.write_text('{"job_id": "1234"}')
    (tmp_path / "mine.toml").write_text("")
    return tmp_path


def words(*typed: str) -> list[str]:
    complete = BashComplete(main, {}, "hpcnn", "_HPCNN_COMPLETE")
    return [item.value for item in complete.get_completions(list(typed[:-1]), typed[-1])]


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        (("sub",), ["submit"]),
        (("submit", "--gpus-per-n"), ["--gpus-per-node"]),
        (("submit", "--site", "nar"), ["narval"]),
        (("submit", "--model", "psc-cnn"), ["psc-cnn1", "psc-cnn2", "psc-cnn-dropout", "psc-cnn-batchnorm"]),
        (("submit", "--data", "cif"), ["cifar10", "cifar100"]),
        (("submit", "--precision", "b"), ["bfloat16"]),
        (("study", "run", "str"), ["strategies", "strong_scaling"]),
        (("study", "run", "m"), ["mine.toml"]),
        (("search", "run", "p"), ["psc_hparams"]),
        (("sites", "show", "nar"), ["narval"]),
        (("data", "stage", "mn"), ["mnist"]),
        (("status", "12"), ["1234"]),
        (("logs", "runs/s"), ["runs/scale"]),
        (("scaling-report", "runs/scale/"), ["runs/scale/ntasks=1-r01-abcdef"]),
        (("predict", "runs", "--network", "nvlink4"), ["nvlink4"]),
        (("compare", "nothing/like/it"), []),
    ],
)
def test_words(typed: tuple[str, ...], expected: list[str]) -> None:
    assert words(*typed) == expected


def test_what_others_have_named_is_no_command(folder: Path) -> None:
    """Bash puts words into the line as they are, without quotes."""
    for name in ("$(touch x)", "a b", "`id`", "x;id", "plain"):
        (folder / "runs" / "scale" / name).mkdir()
    (folder / "runs" / "scale" / "plain" / "job.json").write_text('{"job_id": "12;id"}')
    (folder / "runs" / "scale" / "a b" / "job.json").write_text("[" * 3000)
    assert words("scaling-report", "runs/scale/") == ["runs/scale/plain", "runs/scale/ntasks=1-r01-abcdef"]
    assert words("status", "12") == ["1234"]


def test_partitions_are_those_of_sinfo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert words("submit", "--partition", "") == []
    sinfo = tmp_path / "sinfo"
    sinfo.write_text("#!/bin/sh\necho gpu\necho cpu\n")
    sinfo.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    assert words("submit", "--partition", "") == ["cpu", "gpu"]


@pytest.mark.parametrize("typed", ["submit --site nar", "scaling-report ru", "study run s", "logs "])
def test_what_completion_loads_is_light(typed: str) -> None:
    heavy = ("numpy", "pandas", "rich", "jinja2", "hpcnn.report", "hpcnn.scheduler.slurm")
    program = (
        "import sys\nfrom hpcnn.cli.main import main\n"
        f"try:\n    main(prog_name='hpcnn')\nfinally:\n    print([m for m in {heavy} if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "COMP_WORDS": f"hpcnn {typed}",
            "COMP_CWORD": str(typed.count(" ") + 1),
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.stdout.splitlines()[-1] == "[]", done.stdout + done.stderr


@pytest.mark.parametrize(
    ("shell", "file"),
    [
        ("bash", "data/bash-completion/completions/hpcnn"),
        ("zsh", "data/zsh/site-functions/_hpcnn"),
        ("fish", "config/fish/completions/hpcnn.fish"),
    ],
)
def test_one_command_installs_it(shell: str, file: str, in_process: Command, tmp_path: Path) -> None:
    places = {"XDG_DATA_HOME": str(tmp_path / "data"), "XDG_CONFIG_HOME": str(tmp_path / "config")}
    ended = in_process("completion", SHELL=f"/usr/bin/{shell}", **places)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.startswith(f"{tmp_path / file}: written; ")
    assert "_HPCNN_COMPLETE" in (tmp_path / file).read_text()


def test_an_unknown_shell_is_named(in_process: Command) -> None:
    ended = in_process("completion", SHELL="/bin/tcsh")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "'tcsh'; name one of bash, zsh, fish" in ended.stderr


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not on this machine")
def test_bash_itself_completes(in_process: Command, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("_HPCNN_COMPLETE")
    script = in_process("completion", "bash", "--print").stdout
    asked = "COMP_WORDS=(hpcnn submit --site nar); COMP_CWORD=3; _hpcnn_completion hpcnn nar --site"
    asked += '; echo "${COMPREPLY[@]}"'
    done = subprocess.run(
        ["bash", "-c", f"{script}\n{asked}"],
        env={**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.stdout == "narval\n", done.stderr
