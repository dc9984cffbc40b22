"""What Slurm's commands print, as values, and the profile made of them: the testbed's output, and larger clusters'."""

from __future__ import annotations

from pathlib import Path

import pytest

from hpcnn.sites import discover
from hpcnn.sites.discover import Cluster
from hpcnn.sites.load import check
from hpcnn.sites.profile import Site
from hpcnn.sites.propose import Login, profile
from hpcnn.util import toml

# What the commands print, in a folder a cluster: `testbed` as the testbed printed it (Slurm 22.05.8); `large` is one
# with hyper-threads, several kinds of GPUs, memory that is handed out, and a partition of a group's own.
DATA = Path(__file__).parent / "data"


def printed(name: str, command: str) -> str:
    return (DATA / name / f"{command}.txt").read_text()


def cluster(sinfo: str, config: str, partitions: str, mpi: str = "", accounts: str = "") -> Cluster:
    return Cluster(
        config=discover.config(config),
        partitions=discover.partitions(partitions, discover.nodes(sinfo)),
        mpi_types=discover.mpi_types(mpi),
        accounts=discover.accounts(accounts),
        architectures={"c1": "x86_64"},
    )


COMMANDS = ("sinfo", "scontrol_config", "scontrol_partitions", "srun_mpi_list", "sacctmgr_accounts")
TESTBED = cluster(*(printed("testbed", command) for command in COMMANDS))
LARGE = cluster(*(printed("large", command) for command in COMMANDS))


def proposed(found: Cluster, login: Login = Login()) -> tuple[Site, str]:  # noqa: B008 - frozen
    text = profile(found, login, day="2026-11-21", version="0.1.0")
    return check({"name": "found", **toml.loads(text)}, ""), text


@pytest.mark.parametrize(
    ("gres", "gpus"),
    [
        ("(null)", {}),
        ("", {}),
        ("gpu:4", {"": 4}),
        ("gpu:4(S:0-1)", {"": 4}),
        ("gpu:h100:4(S:0-1)", {"h100": 4}),
        ("gpu:v100-32:8", {"v100-32": 8}),
        ("gpu:a100:2(S:0,1),gpu:a30:2(IDX:2-3),nvme:3600", {"a100": 2, "a30": 2}),
        ("gpu:a100_1g.5gb:14(S:0-1),gpu:a100_3g.20gb:4(S:0-1)", {"a100_1g.5gb": 14, "a100_3g.20gb": 4}),
        ("gpu:nvidia_h100_80gb_hbm3_1g.10gb:8", {"nvidia_h100_80gb_hbm3_1g.10gb": 8}),
        ("nvme:1,gpu:gh200:4,craynetwork:4", {"gh200": 4}),
        ("mps:gpu:400,gpu:t4:0", {}),
        ("shard:16", {}),
    ],
)
def test_gpus_of_a_node(gres: str, gpus: dict[str, int]) -> None:
    assert discover.gpus_of(gres) == gpus


@pytest.mark.parametrize(
    ("names", "first"),
    [
        ("c3", "c3"),
        ("c[1-2]", "c1"),
        ("n[0001-0900]", "n0001"),
        ("n[07,12],m1", "n07"),
        ("r1[01-04]n2", "r101n2"),
        ("a1,b[2-3]", "a1"),
    ],
)
def test_the_first_of_a_list_of_nodes(names: str, first: str) -> None:
    assert discover.Nodes("p", 1, 1, 1, 1, {}, names).first == first


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("UNLIMITED", None),
        ("infinite", None),
        ("NONE", None),
        ("Partition_Limit", None),
        ("", None),
        ("01:00:00", 3600),
        ("7-00:00:00", 604800),
        ("2:00", 120),
    ],
)
def test_times(text: str, seconds: int | None) -> None:
    assert discover.seconds_or_none(text) == seconds


def test_lines_that_are_not_rows_are_left_out() -> None:
    assert discover.nodes("sinfo: warning\n\ncpu*|x|2|1|1|1|(null)|c\n") == []
    assert discover.nodes("cpu*|3|2|8+|1|4000+|(null)|c[1-3]")[0].cores == 16
    assert discover.partitions("No partitions in the system\n", []) == ()


@pytest.mark.parametrize(
    ("output", "types"),
    [
        (printed("testbed", "srun_mpi_list"), ("pmix", "cray_shasta", "pmi2")),
        ("srun: MPI types are...\nsrun: cray_shasta\nsrun: none\nsrun: pmix_v3\nsrun: pmix\n", ("cray_shasta", "pmix")),
        ("", ()),
    ],
)
def test_mpi_types(output: str, types: tuple[str, ...]) -> None:
    assert discover.mpi_types(output) == types


def test_the_testbed_gets_the_profile_that_its_tests_use() -> None:
    site, text = proposed(TESTBED)
    assert (site.scheduler, site.launcher, site.mpi_type) == ("slurm", "srun", "pmix")
    assert (site.cores, site.cores_gpu, site.gpus, site.gpu_types) == (2, 2, 2, ("fake",))
    assert (site.gpu_request, site.gpu_typing, site.architecture_gpu) == ("gpus-per-node", "optional", "x86_64")
    assert (site.partition, site.partition_gpu, site.partitions) == ("", "gpu", ("cpu", "gpu", "debug"))
    assert (site.time, site.time_max, site.array_limit) == ("01:00:00", "01:00:00", 101)
    assert (site.memory_per_cpu, site.memory_per_gpu, site.account_rule) == ("", "", "optional")
    assert TESTBED.examples == ["c3", "c1"]
    assert "CR_CORE: Slurm does not assign memory" in text


def test_a_large_cluster() -> None:
    site, text = proposed(LARGE)
    assert (site.partition, site.partition_gpu) == ("batch", "h100")  # not that of a group's own, though it is larger
    assert (site.cores, site.cores_gpu, site.gpus) == (128, 96, 4)
    assert (site.nodes, site.nodes_gpu) == (920, 64)
    assert site.gpu_types == ("h100", "a100")
    assert site.gpu_request == "gres"  # cons_res knows no --gpus-per-node
    assert (site.memory_per_cpu, site.memory_per_gpu) == ("4023M", "257500M")
    assert (site.time, site.time_max) == ("01:00:00", "168:00:00")
    assert (site.arrays, site.array_limit, site.mpi_type) == (False, None, "pmi2")
    assert site.account_hint == "yours: a, b"
    for decision in (
        'mpi_type = "pmi2" # srun --mpi=list: pmi2; decide: the one',
        "2 threads a core",
        "decide: 4 other nodes have 64",
        "decide: 4 other nodes have 8",
        "decide: of batch, h100, mig",
        "decide: others with GPUs: mig",
        "(the default there: 1900)",
        "batch gives whole nodes as it is",
        "associations,limits,qos; yours: a, b; decide: required",
    ):
        assert decision in text


def test_every_key_says_where_it_is_from_or_that_it_is_to_be_decided() -> None:
    for found in (TESTBED, LARGE):
        lines = [line for line in proposed(found)[1].splitlines() if " = " in line]
        assert lines
        assert all(" # " in line.removeprefix("# ") for line in lines)


def test_without_gpus_and_without_limits() -> None:
    sinfo = "all*|4|1|8|1|16000|(null)|n[1-4]\n"
    partitions = "PartitionName=all Default=YES MaxTime=UNLIMITED State=UP\n"
    site, text = proposed(cluster(sinfo, "ClusterName = small\n", partitions))
    assert (site.cores, site.gpus, site.partition_gpu, site.time_max) == (8, None, "", "")
    assert "sinfo shows no GPUs" in text
    assert "unlimited" in text


def test_a_short_partition_shortens_the_default_time() -> None:
    sinfo, partitions = "q*|1|1|2|1|1000|gpu:1|n\n", "PartitionName=q Default=YES MaxTime=00:20:00 State=UP\n"
    site, _ = proposed(cluster(sinfo, "", partitions))
    assert (site.time, site.gpu_typing, site.partition_gpu) == ("00:20:00", "refused", "")


def test_what_the_login_node_has() -> None:
    login = Login(
        name="l1.example.edu",
        containers=("singularity",),
        modules=("apptainer/1.3", "openmpi/4.1", "openmpi/5.0"),
        folders=("SCRATCH", "WORK"),
        interfaces=("eth0", "ib0", "lo"),
    )
    site, text = proposed(TESTBED, login)
    assert (site.container_runtime, site.container_module, site.scratch) == ("singularity", "", "$SCRATCH")
    assert (site.login, site.network_interface) == ("", "")  # only people know them
    for line in (
        "openmpi/4.1, openmpi/5.0",
        '# login = "l1.example.edu"',
        '# network_interface = "ib0"',
        "$SCRATCH, $WORK",
    ):
        assert line in text
    site, _ = proposed(TESTBED, Login(modules=("apptainer/1.3", "apptainer/1.4"), has_modules=True))
    assert (site.container_runtime, site.container_module) == ("apptainer", "apptainer/1.3")
