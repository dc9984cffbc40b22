"""Sessions on compute nodes, at a real terminal, as a user on the login node has them."""

from __future__ import annotations

import contextlib
import re
import shlex
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pexpect
import pytest

from tests.slurm.conftest import Cluster
from tests.slurm.terminal import hpcnn_at_terminal

pytestmark = pytest.mark.slurm

Terminal = Callable[..., "pexpect.spawn[str]"]

# An own command of a site that gives a shell and takes nothing to run, as debugjob and idev do.
_NO_PROGRAM = 'scheduler = "slurm"\npartition_gpu = "gpu"\ninteractive = "srun --nodes={nodes} --pty bash --norc"\n'
_PROGRAM = 'scheduler = "slurm"\ninteractive = "srun -A {account} --nodes={nodes} --time={time} --pty {command}"\n'


@pytest.fixture
def terminal(cluster: Cluster) -> Iterator[Terminal]:
    """Return a function that calls ``hpcnn interact`` at a terminal of its own; all of them end with the test."""
    with contextlib.ExitStack() as opened:

        def call(*words: str, **variables: str) -> pexpect.spawn[str]:
            own = {"HOME": str(cluster.shared), "TERM": "dumb", **variables}
            return opened.enter_context(hpcnn_at_terminal(cluster, "interact", *words, **own))

        yield call


def profile(folder: Path, name: str, text: str) -> dict[str, str]:
    """Write a site's profile; return the variable by which hpcnn finds it."""
    (folder / "sites").mkdir()
    (folder / "sites" / f"{name}.toml").write_text(text)
    return {"HPCNN_CONFIG": str(folder)}


def prompt(child: pexpect.spawn[str]) -> None:
    """Wait for the shell's prompt, and make it one that nothing else prints."""
    child.expect(r"[#$] $")
    child.sendline("PS1='rea''dy> '")
    child.expect_exact("ready> ")


def ask(child: pexpect.spawn[str], line: str) -> list[str]:
    """Type a line at the prompt; return the lines that it prints."""
    child.sendline(line)
    child.expect_exact(line)
    child.expect_exact("ready> ")
    return re.sub(r"\x1b\[[?0-9;]*[a-z]", "", child.before or "").split("\r\n")[1:-1]


def end(child: pexpect.spawn[str]) -> tuple[int | None, str]:
    """Wait for the end; return the exit status and what was printed."""
    child.expect(pexpect.EOF)
    child.close()
    return child.exitstatus, child.before or ""


def test_a_gpu_session_has_a_prompt_its_gpu_and_its_exit_status(cluster: Cluster, terminal: Terminal) -> None:
    child = terminal("--site", "testbed", "--gpus-per-node", "1", "--cpus-per-task", "1")
    prompt(child)
    assert ask(child, "hostname")[-1] in ("c1", "c2", "c3")
    assert ask(child, "echo gpu=$CUDA_VISIBLE_DEVICES") in (["gpu=0"], ["gpu=1"])
    assert ask(child, "pwd") == [str(cluster.shared)]
    assert ask(child, "command -v python") == [str(Path(sys.executable).with_name("python"))]
    # a step can be started inside: the session's own step takes nothing from it
    assert ask(child, "srun --mpi=none hostname")[-1] in ("c1", "c2", "c3")
    child.sendline("exit 7")
    assert end(child)[0] == 7


def test_a_command_takes_the_place_of_the_shell(terminal: Terminal) -> None:
    show = 'echo "$(hostname):$1:$FLAG"; exit 5'
    child = terminal("--site", "testbed", "--env", "FLAG=a b", "--", "sh", "-c", show, "sh", "it's $HOME")
    status, printed = end(child)
    assert status == 5, printed
    assert re.search(r"^c\d:it's \$HOME:a b\r$", printed, re.MULTILINE)


def test_a_surrounding_job_changes_nothing(terminal: Terminal) -> None:
    inherited = {"SLURM_CPU_BIND": "map_cpu:0", "SALLOC_PARTITION": "nowhere", "SLURM_JOB_ID": "999999"}
    status, printed = end(terminal("--site", "testbed", "--", "sh", "-c", "echo bind=$SLURM_CPU_BIND.", **inherited))
    assert status == 0, printed
    assert "bind=." in printed


def test_what_slurm_refuses_is_said_and_fails(terminal: Terminal) -> None:
    status, printed = end(terminal("--site", "testbed", "--partition", "nowhere", "--", "true"))
    assert status not in (0, None)
    assert "invalid partition" in printed


def test_a_sites_own_command_gets_what_to_run(terminal: Terminal, keep: Path) -> None:
    own = profile(keep, "own-program", _PROGRAM)
    status, printed = end(terminal("--site", "own-program", "--time", "2", "--", "sh", "-c", "hostname; exit 3", **own))
    assert status == 3, printed
    assert re.search(r"^c\d\r$", printed, re.MULTILINE)


def test_a_sites_own_command_that_takes_nothing_gets_a_line_to_type(terminal: Terminal, keep: Path) -> None:
    own = profile(keep, "own-shell", _NO_PROGRAM)
    child = terminal("--site", "own-shell", "--env", "FLAG=here", "--", "sh", "-c", "echo $FLAG on $(hostname)", **own)
    child.expect(r"# in the session, type:\r\n([^\r]+)\r\n")
    assert child.match
    line = child.match.group(1)
    prompt(child)
    child.sendline(line)
    child.expect(r"here on c\d\r\n")
    child.sendline("exit")
    assert end(child)[0] == 0


def test_the_dry_run_prints_the_very_words(cluster: Cluster, terminal: Terminal) -> None:
    shown = cluster.hpcnn("interact", "--site", "testbed", "--dry-run", "--", "sh", "-c", "hostname; exit 4")
    assert shown.returncode == 0, shown.stderr
    words = shlex.split(shown.stdout)
    child = pexpect.spawn(words[0], words[1:], env=cluster.environment, encoding="utf-8", timeout=60)  # type: ignore[arg-type]
    status, printed = end(child)
    assert status == 4, printed
    assert re.search(r"^c\d\r$", printed, re.MULTILINE)


def test_here_the_shell_is_here(cluster: Cluster, terminal: Terminal) -> None:
    import socket

    child = terminal("--env", "FLAG=here")
    prompt(child)
    assert ask(child, "echo $FLAG on $(hostname)") == [f"here on {socket.gethostname()}"]
    child.sendline("exit 9")
    assert end(child)[0] == 9
