"""Requests that cannot be fulfilled, or that waste what they ask for."""

from __future__ import annotations

from pathlib import Path

import pytest

from hpcnn.jobs.checks import check_program, check_request, warnings_of
from hpcnn.sites.profile import Site
from hpcnn.specs.job import JobSpec
from hpcnn.specs.resources import Resources
from hpcnn.specs.software import SoftwareSpec
from hpcnn.specs.train import TrainSpec
from hpcnn.util.errors import UsageError

SHORT = Site(name="short", time_min="00:15:00", time_max="24:00:00")
HERE = Site(name="local", scheduler="local")


@pytest.mark.parametrize("mem", ["16G", "16000", "0", "4096M", "2T", "16GB", "16g"])
def test_memory_that_slurm_takes(mem: str) -> None:
    check_request(Resources(mem=mem), SHORT)


@pytest.mark.parametrize("mem", ["lots", "16 G", "1.5G", "-1", "16X", "G"])
def test_memory_that_it_does_not_take(mem: str) -> None:
    for name in ("mem", "mem-per-cpu", "mem-per-gpu"):
        with pytest.raises(
            UsageError, match=rf"^--{name}: .* is not valid; expected megabytes, or a whole number with K"
        ):
            check_request(Resources(**{name.replace("-", "_"): mem}), HERE)


@pytest.mark.parametrize(
    ("time", "message"),
    [
        ("1x", "--time: '1x' is not valid; expected minutes, M:SS, H:MM:SS"),
        ("0", "--time: '0' is not valid; expected more than 0"),
        ("1-00:00:01", "--time: '1-00:00:01' is not valid; expected at most 24:00:00, the longest of site short"),
        ("14", "--time: '14' is not valid; expected at least 00:15:00, the shortest of site short"),
    ],
)
def test_times_outside_of_the_limits(time: str, message: str) -> None:
    with pytest.raises(UsageError) as raised:
        check_request(Resources(time=time), SHORT)
    assert str(raised.value).startswith(message)


def test_times_within_the_limits() -> None:
    for time in ("15", "1-0", "24:00:00"):
        check_request(Resources(time=time), SHORT)
    check_request(Resources(time="30-0"), HERE)
    with pytest.raises(UsageError, match="--time: '1x'"):
        check_request(Resources(time="1x"), HERE)


def job(ranks: int, gpus: int | None, nodes: int = 1, program: tuple[str, ...] = (), **train: object) -> JobSpec:
    resources = Resources(nodes=nodes, ntasks=ranks, gpus_per_node=gpus)
    return JobSpec("x", "local", resources, None if program else TrainSpec(**train), program)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (job(1, None), ""),
        (job(4, 4, strategy="horovod"), ""),
        (job(8, 4, nodes=2, strategy="horovod"), ""),
        (job(1, 4, strategy="mirrored"), ""),
        (job(1, 4, program=("x",)), ""),
        (job(8, 4, strategy="horovod"), "8 ranks of a node share 4 GPUs"),
        (job(2, 1, program=("x",)), "2 ranks of a node share 1 GPU, and one rank drives one GPU"),
        (job(1, 4), "3 of the 4 GPUs of each node would be idle: ask for 1 GPU, or give --ntasks-per-node 4"),
        (job(1, 4, strategy="mirrored", devices=2), "2 of the 4 GPUs of each node would be idle: ask for 2 GPUs"),
        (job(2, 4, program=("x",)), "2 of the 4 GPUs of each node would be idle"),
        (job(2, 4, nodes=2, strategy="horovod"), "3 of the 4 GPUs of each node would be idle"),
    ],
)
def test_ranks_and_gpus(asked: JobSpec, said: str) -> None:
    found = warnings_of(asked)
    assert len(found) == bool(said)
    assert "".join(found).startswith(said)


def test_a_program_is_looked_for_where_the_job_will(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text("")
    (tmp_path / "bin").mkdir()
    tool = tmp_path / "bin" / "tool"
    tool.write_text("#!/bin/sh\n")
    tool.chmod(0o755)

    def check(*program: str, site: Site = HERE, software: SoftwareSpec | None = None) -> None:
        spec = JobSpec("x", "local", Resources(), program=program, software=software or SoftwareSpec())
        check_program(spec, site, tmp_path, str(tool.parent))

    check("tool", "--data", "no-such.py")
    check("bin/tool")
    check("no-such", site=SHORT)  # compute nodes have programs of their own
    check("no-such", software=SoftwareSpec(module=("tools",)))
    check("no-such", software=SoftwareSpec(container="image.sif"))
    check("/usr/bin/python3", "train.py", site=SHORT)
    check("/usr/bin/python3", "-m", "train.py")
    with pytest.raises(UsageError, match=r"^program: 'no-such' is not there"):
        check("no-such")
    for site in (HERE, SHORT):
        with pytest.raises(UsageError, match=r"^program: there is no file 'trian.py' in "):
            check("/usr/bin/python3", "trian.py", site=site)
