"""The launcher's words: how many ranks, bound to which cores."""

import json
import subprocess
import sys

import pytest

from hpcnn.launch import as_ranks, cpus_of, launch_command
from hpcnn.sites.profile import Site
from hpcnn.spec import Resources

FOUR = Site(cores=4, launcher_options=("--mca", "plm", "isolated"))


@pytest.mark.parametrize(
    ("ntasks", "asked", "cpus"),
    [(1, None, 4), (2, None, 2), (3, None, 1), (4, None, 1), (8, None, 1), (2, 1, 1), (2, 3, 3)],
)
def test_cores_are_shared_equally_unless_asked_for(ntasks, asked, cpus):
    assert cpus_of(FOUR, Resources(ntasks=ntasks, cpus_per_task=asked)) == cpus


def test_a_site_without_cores_gives_one_each():
    assert cpus_of(Site(), Resources(ntasks=2)) == 1


@pytest.mark.parametrize(("ntasks", "cpus"), [(2, 2), (4, 1), (1, 4), (1, 1)])
def test_ranks_are_bound_where_there_are_cores_for_them(ntasks, cpus):
    assert launch_command(FOUR, Resources(ntasks=ntasks), cpus) == [
        *("mpirun", "-np", str(ntasks), "--map-by", f"slot:PE={cpus}", "--bind-to", "core"),
        *("--mca", "plm", "isolated"),
    ]


@pytest.mark.parametrize(("ntasks", "cpus"), [(5, 1), (2, 3)])
def test_ranks_share_cores_where_there_are_too_few(ntasks, cpus):
    assert launch_command(FOUR, Resources(ntasks=ntasks), cpus) == [
        *("mpirun", "-np", str(ntasks), "--oversubscribe", "--bind-to", "none"),
        *("--mca", "plm", "isolated"),
    ]


def test_a_lone_colon_is_hidden_from_the_launcher():
    plain = ["python", "x.py", "a:b", "::"]
    assert as_ranks(plain) == plain
    echo = "import json, sys; print(json.dumps(sys.argv[1:]))"
    words = ["a", ":", "", "$HOME 'x'", "line\nbreak"]
    hidden = as_ranks([sys.executable, "-c", echo, *words])
    assert ":" not in hidden
    assert json.loads(subprocess.run(hidden, capture_output=True, check=True).stdout) == words
