"""``hpcnn interact`` as it is typed: what it prints, and how it ends where it cannot open a session."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path

Command = Callable[..., "subprocess.CompletedProcess[str]"]


def test_the_dry_run_is_the_command_and_the_line_to_type(in_process: Command, tmp_path: Path) -> None:
    words = ("interact", "--site", "trillium", "--nodes", "2", "--ntasks-per-node", "1", "--dry-run")
    refused = in_process(*words, cwd=tmp_path)
    assert refused.returncode == 2
    assert "--ntasks: " in refused.stderr
    shown = in_process("interact", "--site", "trillium", "--dry-run", "--", "echo", "a  b", cwd=tmp_path)
    assert shown.returncode == 0, shown.stderr
    first, remark, line = shown.stdout.splitlines()
    assert (first, remark) == ("debugjob 1", "# in the session, type:")
    assert line.endswith("echo 'a  b'")


def test_what_is_printed_can_be_typed(hpcnn: Command, command: Command, tmp_path: Path) -> None:
    shown = hpcnn("interact", "--dry-run", "--env", "FLAG=it's", "--", "sh", "-c", 'echo "$FLAG"; exit 3', cwd=tmp_path)
    typed = command("bash", "-c", shown.stdout)
    ended = hpcnn("interact", "--env", "FLAG=it's", "--", "sh", "-c", 'echo "$FLAG"; exit 3', cwd=tmp_path)
    assert (typed.returncode, typed.stdout) == (ended.returncode, ended.stdout) == (3, "it's\n")
    assert shlex.split(shown.stdout)[:2] == ["bash", "-lc"]


def test_a_sites_command_that_is_not_here_is_said(in_process: Command) -> None:
    ended = in_process("interact", "--site", "trillium", "--container", "x.sif")
    assert ended.returncode == 2
    assert "Error: debugjob is not on this machine: --site names the cluster" in ended.stderr
    assert ended.stderr.startswith("# in the session, type:\nmodule load ")
