"""The site `local` inside a job of Slurm: at the prompt of srun, salloc and interact it uses all that the job has."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pexpect
import pytest

from hpcnn.rundir.layout import RunDir
from tests.slurm.conftest import Cluster
from tests.slurm.test_interact import ask, prompt

pytestmark = pytest.mark.slurm

HPCNN = f"{sys.executable} -m hpcnn"
_WORLD = (
    "import os, socket\nfrom mpi4py import MPI\n"
    "w = MPI.COMM_WORLD\n"
    "who = w.Get_rank(), w.Get_size(), socket.gethostname(), len(os.sched_getaffinity(0))\n"
    "os.write(1, f'RANK {who[0]} {who[1]} {who[2]} {who[3]}\\n'.encode())\n"  # in one piece
)
_MEETS = "import hpcnn\nrun = hpcnn.init()\nprint('MET', run.rank, run.size)\n"

Shell = Callable[..., "pexpect.spawn[str]"]


@pytest.fixture
def programs(keep: Path) -> Path:
    (keep / "world.py").write_text(_WORLD)
    (keep / "meets.py").write_text(_MEETS)
    return keep


@pytest.fixture
def shell(cluster: Cluster, mpi: None) -> Iterator[Shell]:
    """Return a function that gives the prompt of a shell of Slurm's."""
    started: list[pexpect.spawn[str]] = []

    def call(*words: str) -> pexpect.spawn[str]:
        environment = {**cluster.environment, "TERM": "dumb", "HOME": str(cluster.shared)}
        del environment["HPCNN_SITE"]
        child = pexpect.spawn(
            words[0], list(words[1:]), cwd=str(cluster.shared), env=environment, encoding="utf-8", timeout=120
        )
        child.setwinsize(60, 400)
        started.append(child)
        prompt(child)
        return child

    yield call
    for child in started:
        child.close(force=True)


def ranks(lines: list[str]) -> list[tuple[int, int, str, int]]:
    """Return rank, world size, node and cores of each line that a rank printed."""
    found = (re.search(r"RANK (\d+) (\d+) (\w+) (\d+)", line) for line in lines)
    return sorted((int(line[1]), int(line[2]), line[3], int(line[4])) for line in found if line)


def local(run: Path, programs: Path, *options: str) -> str:
    words = " ".join(options)
    return f"{HPCNN} submit --run-dir {run} {words} -- {sys.executable} {programs}/world.py"


def test_one_task_with_all_cores(shell: Shell, programs: Path) -> None:
    child = shell("srun", "-n1", "-c2", "--pty", "bash", "--norc")
    found = ranks(ask(child, local(programs / "run", programs, "--ntasks", "2")))
    assert [(rank, size, cores) for rank, size, _, cores in found] == [(0, 2, 1), (1, 2, 1)]


def test_a_smoke_test_passes(shell: Shell) -> None:
    child = shell("srun", "-n1", "-c2", "--pty", "bash", "--norc")
    smoke = ask(child, f"{HPCNN} smoke --quiet")
    assert smoke[-1].startswith("smoke: ok"), smoke


def test_a_shell_that_is_one_of_two_tasks(shell: Shell, programs: Path) -> None:
    child = shell("srun", "-n2", "-c1", "--pty", "bash", "--norc")
    found = ranks(ask(child, local(programs / "two", programs, "--ntasks", "2")))
    assert [(rank, size) for rank, size, *_ in found] == [(0, 2), (1, 2)]
    found = ranks(ask(child, local(programs / "one", programs)))
    assert [(rank, size, cores) for rank, size, _, cores in found] == [(0, 1, 2)]
    train = f"{HPCNN} submit --run-dir {programs}/train --model scinet-neuron --data blobs --epochs 9 --quiet; echo $?"
    assert ask(child, train)[-1] == "0"
    assert RunDir(programs / "train").read_result()["status"] == "completed"  # type: ignore[index]
    assert ask(child, f"{sys.executable} {programs}/meets.py")[-1] == "MET 0 1"
    assert ask(child, f"srun --overlap -n2 {sys.executable} {programs}/meets.py | sort")[-2:] == ["MET 0 2", "MET 1 2"]


@pytest.mark.parametrize(
    "words",
    [
        ["srun", "-N2", "-n2", "-c2", "--pty", "bash", "--norc"],
        ["salloc", "-N2", "--ntasks-per-node=2", "bash", "--norc"],
        [sys.executable, "-m", "hpcnn", "interact", "--site", "testbed", "--nodes", "2", "--ntasks-per-node", "2"],
    ],
    ids=["srun", "salloc", "interact"],
)
def test_two_nodes_get_ranks_each(shell: Shell, programs: Path, words: list[str]) -> None:
    child = shell(*words)
    found = ranks(ask(child, local(programs / "four", programs, "--ntasks", "4")))
    assert [rank for rank, *_ in found] == [0, 1, 2, 3]
    assert {size for _, size, *_ in found} == {4}
    nodes = [node for *_, node, _ in found]
    assert sorted(map(nodes.count, set(nodes))) == [2, 2]
    spec = json.loads((programs / "four" / "spec.json").read_text())
    assert spec["resources"]["nodes"] == 2
    too_many = ask(child, local(programs / "many", programs, "--nodes", "3", "--ntasks", "3"))
    assert "nodes: 3 is not valid; expected at most 2, the nodes of this allocation" in " ".join(too_many)


def test_a_shell_of_salloc_on_the_login_node_computes_on_the_node(shell: Shell, programs: Path) -> None:
    child = shell("salloc", "-N1", "-n2", "bash", "--norc")
    ((_, size, node, cores),) = ranks(ask(child, local(programs / "one", programs)))
    assert (size, cores) == (1, 2)
    assert node in ("c1", "c2", "c3")


def test_a_login_node_is_known(cluster: Cluster, keep: Path) -> None:
    environment = {name: value for name, value in cluster.environment.items() if name != "HPCNN_SITE"}

    def submit(**more: str) -> subprocess.CompletedProcess[str]:
        words = [sys.executable, "-m", "hpcnn", "submit", "--dry-run", "--", "true"]
        return subprocess.run(
            words, env=environment | more, cwd=keep, capture_output=True, text=True, timeout=60, check=False
        )

    known = submit()
    assert (known.returncode, known.stderr) == (0, "site: testbed (Slurm calls this cluster testbed)\n")
    assert "#SBATCH --ntasks=1" in known.stdout or "#SBATCH --nodes=1" in known.stdout
    unknown = submit(HPCNN_CONFIG=str(keep / "no-profiles"))
    assert unknown.returncode == 2
    assert "--site: this is a login node of a Slurm cluster" in unknown.stderr
