"""Jobs in a real image, by a real Apptainer, over several nodes: the launcher outside, the MPI library inside."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from hpcnn.machine.container.cache import image_path
from hpcnn.machine.container.context import context_of
from hpcnn.machine.smoke import weights
from hpcnn.rundir.layout import RunDir
from tests.isolation import users_cache
from tests.slurm.conftest import AFTER_TRAINING, TRAINING, Cluster, Weights
from tests.testbed import apptainer, image

pytestmark = [pytest.mark.slurm, pytest.mark.slow]

_TWO_NODES = ("--nodes", "2", "--ntasks-per-node", "1", "--cpus-per-task", "1")


@dataclass(frozen=True)
class Contained:
    """An image, and hpcnn at a site that runs jobs in it."""

    cluster: Cluster
    image: Path
    path: str

    def hpcnn(self, *words: str) -> subprocess.CompletedProcess[str]:
        return self.cluster.hpcnn(*words, seconds=900, PATH=self.path)

    def submit(self, *words: str) -> subprocess.CompletedProcess[str]:
        return self.hpcnn("submit", "--site", "contained", "--container", str(self.image), "--wait", *words)


@pytest.fixture(scope="module", params=["cpu", "gpu"])
def contained(request: pytest.FixtureRequest, cluster: Cluster, mpi: None) -> Iterator[Contained]:
    """hpcnn's own images where the cache has them (HPCNN_TEST_BUILD_IMAGE=cpu,gpu builds), else a small one for "cpu".

    The image for GPUs trains on CPUs here: a container without --nv has no driver.
    """
    kind = str(request.param)
    try:
        program = apptainer.install()
        path = f"{program.parent}{os.pathsep}{cluster.environment['PATH']}"
        found = users_cache() / "images" / image_path(context_of(kind)).name
        if kind in os.environ.get("HPCNN_TEST_BUILD_IMAGE", "").split(","):
            built = cluster.hpcnn("container", "build", kind, seconds=9000, PATH=path, HPCNN_CACHE=str(users_cache()))
            assert built.returncode == 0, built.stderr
        elif kind == "gpu" and not found.exists():
            pytest.skip("the cache has no GPU image (HPCNN_TEST_BUILD_IMAGE=gpu builds it: gigabytes)")
        elif not found.exists():
            found = request.getfixturevalue("small_image").file
    except apptainer.ApptainerError as error:
        pytest.skip(str(error))
    folders = ", ".join(json.dumps(folder) for folder in image.binds())
    sites = cluster.shared / "config" / "sites"
    profile = (sites / "testbed.toml").read_text()
    # Gigabytes of libraries load slowly on a busy machine.
    profile = profile.replace('time = "00:05:00"', 'time = "00:15:00"')
    (sites / "contained.toml").write_text(f"{profile}container_binds = [{folders}]\n")
    (sites / "apart.toml").write_text((sites / "contained.toml").read_text().replace('"pmix"', '"pmi2"'))
    yield Contained(cluster, found, path)
    for name in ("contained", "apart"):
        (sites / f"{name}.toml").unlink()


def test_ranks_in_the_image_are_on_both_nodes_and_know_each_other(contained: Contained, keep: Path) -> None:
    show = (
        "import os, socket; from mpi4py import MPI; "
        "print(socket.gethostname(), os.environ['APPTAINER_NAME'], MPI.COMM_WORLD.Get_size())"
    )
    run = contained.submit("--run-dir", str(keep / "run"), *_TWO_NODES, "--", "python", "-c", show)
    log = RunDir(keep / "run").log.read_text()
    assert run.returncode == 0, run.stderr + log
    name = contained.image.name
    assert {f"c1 {name} 2", f"c2 {name} 2"} <= set(log.splitlines())


def test_ranks_in_the_image_train_what_one_machine_trains(
    contained: Contained, weights_of_one_machine: Weights, keep: Path
) -> None:
    far = contained.submit("--run-dir", str(keep / "far"), *_TWO_NODES, *TRAINING)
    assert far.returncode == 0, far.stdout + far.stderr + RunDir(keep / "far").log.read_text()

    ours = weights(keep / "far" / AFTER_TRAINING)
    assert max(np.abs(ours[name] - weights_of_one_machine[name]).max() for name in ours) < 5e-5
    provenance = json.loads((keep / "far" / "provenance.json").read_text())
    assert len({host["host"] for host in provenance["hosts"]}) == 2
    result = RunDir(keep / "far").read_result()
    assert result is not None
    assert result["status"] == "completed"


def test_check_says_that_the_image_fits_the_site(contained: Contained) -> None:
    checked = contained.hpcnn("container", "check", str(contained.image), "--site", "contained", "--format", "json")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    found = {row["check"]: row for row in json.loads(checked.stdout)}
    assert found["Ranks by srun"]["status"] == "ok"
    assert found["Ranks by srun"]["value"].startswith("srun --mpi=pmix, Open MPI ")
    assert found["Architecture"]["value"] == platform.machine()


def test_check_says_where_every_rank_would_be_alone(contained: Contained) -> None:
    """Slurm offers PMI-2, which Debian's Open MPI does not speak: such a job would train twice the same, in silence."""
    checked = contained.hpcnn("container", "check", str(contained.image), "--site", "apart", "--format", "json")
    assert checked.returncode == 1, checked.stdout + checked.stderr
    found = {row["check"]: row for row in json.loads(checked.stdout)}
    assert found["Ranks by srun"]["status"] == "error"
    assert "every rank would take itself for the only one; set mpi_type=pmix" in found["Ranks by srun"]["advice"]


def test_nothing_of_the_hosts_python_reaches_the_image(contained: Contained, keep: Path) -> None:
    """A module of the host's PYTHONPATH, and one in ~/.local."""
    for folder in (keep / "path", keep / ".local" / "lib" / "python3.11" / "site-packages"):
        folder.mkdir(parents=True)
        (folder / "colorsys.py").write_text("raise SystemExit('the host leaks in')\n")
    show = "import colorsys, os, site; print(site.ENABLE_USER_SITE, os.environ.get('PYTHONPATH'), colorsys.ONE_THIRD)"
    words = ["--run-dir", str(keep / "run"), "--bind", str(keep), "--setup", f"export HOME={keep}"]
    words += ["--setup", f"export PYTHONPATH={keep}/path PYTHONUSERBASE={keep}/.local"]
    run = contained.submit(*words, "--", "python", "-c", show)
    log = RunDir(keep / "run").log.read_text()
    assert run.returncode == 0, run.stderr + log
    assert log.splitlines()[0].split()[:2] == ["False", "None"]
