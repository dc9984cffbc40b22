"""The launcher's words: how many ranks, bound to which cores."""

import json
import subprocess
import sys

import pytest

from hpcnn.jobs.launch import Expanded, as_ranks, container_command, cpus_of, launch_command
from hpcnn.sites.profile import Site
from hpcnn.specs.resources import Resources
from hpcnn.specs.software import SoftwareSpec
from hpcnn.util.errors import UsageError

FOUR = Site(scheduler="local", launcher="mpirun", cores=4)
OPEN_MPI_4 = "Open MPI 4.1.8"


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
    assert launch_command(FOUR, Resources(ntasks=ntasks), cpus, OPEN_MPI_4) == [
        *("mpirun", "-np", str(ntasks), "--map-by", f"slot:PE={cpus}", "--bind-to", "core"),
    ]


@pytest.mark.parametrize(("ntasks", "cpus"), [(5, 1), (2, 3)])
def test_ranks_share_cores_where_there_are_too_few(ntasks, cpus):
    assert launch_command(FOUR, Resources(ntasks=ntasks), cpus, OPEN_MPI_4) == [
        *("mpirun", "-np", str(ntasks), "--oversubscribe", "--bind-to", "none"),
    ]


def test_a_lone_colon_is_hidden_from_the_launcher():
    plain = ["python", "x.py", "a:b", "::"]
    assert as_ranks(plain) == plain
    echo = "import json, sys; print(json.dumps(sys.argv[1:]))"
    words = ["a", ":", "", "$HOME 'x'", "line\nbreak"]
    hidden = as_ranks([sys.executable, "-c", echo, *words])
    assert ":" not in hidden
    assert json.loads(subprocess.run(hidden, capture_output=True, check=True).stdout) == words


class TestSlurm:
    def test_srun_is_told_all_that_it_would_not_take_from_the_job(self):
        site = Site(mpi_type="pmix", launcher_options=("--cpu-bind=cores",))
        assert launch_command(site, Resources(nodes=2, ntasks=8), 4) == [
            *("srun", "--ntasks=8", "--cpus-per-task=4", "--mpi=pmix", "--export=ALL", "--kill-on-bad-exit=1"),
            "--cpu-bind=cores",
        ]

    def test_srun_of_a_site_without_a_word_on_mpi_takes_its_default(self):
        assert not [word for word in launch_command(Site(), Resources(ntasks=2), 1) if word.startswith("--mpi")]

    @pytest.mark.parametrize(("nodes", "ntasks", "per_node"), [(1, 2, 2), (2, 2, 1), (2, 8, 4)])
    def test_mpirun_spreads_its_ranks_over_the_nodes(self, nodes, ntasks, per_node):
        site = Site(launcher="mpirun", launcher_options=("--mca", "pml", "ucx"))
        assert launch_command(site, Resources(nodes=nodes, ntasks=ntasks), 5) == [
            *("mpirun", "-np", str(ntasks), "--map-by", f"ppr:{per_node}:node:PE=5", "--mca", "pml", "ucx"),
        ]

    def test_ibrun_takes_the_number_of_ranks_from_the_job(self):
        assert launch_command(Site(launcher="ibrun"), Resources(nodes=2, ntasks=6), 1) == ["ibrun"]

    @pytest.mark.parametrize(("ntasks", "gpus", "cpus"), [(1, 1, 12), (4, 4, 12), (1, 4, 48), (8, 4, 6), (2, 1, 6)])
    def test_a_rank_gets_the_cores_of_its_gpus(self, ntasks, gpus, cpus):
        assert cpus_of(Site(cores_gpu=48, gpus=4), Resources(ntasks=ntasks, gpus_per_node=gpus)) == cpus

    def test_a_rank_without_gpu_gets_one_core_unless_it_asks(self):
        assert cpus_of(Site(cores=64), Resources(ntasks=2)) == 1
        assert cpus_of(Site(cores=64), Resources(ntasks=2, cpus_per_task=8)) == 8


class TestContainer:
    SITE = Site(container_binds=("/scratch", "$(list-binds)"), container_options=("--cleanenv",))

    def words(self, gpu=False, site=SITE, **software):
        return container_command(site, SoftwareSpec(**software), ["/runs/1", "/home/me"], gpu)

    @pytest.mark.parametrize(
        ("folder", "bind", "separator"),
        [("/runs/10:15", (), "':'"), ("/runs/a,b", (), "','"), ("/runs/1", ("/data,/scratch",), "','")],
    )
    def test_a_path_that_bind_would_take_apart_is_refused(
        self, folder: str, bind: tuple[str, ...], separator: str
    ) -> None:
        with pytest.raises(UsageError, match=f"Apptainer reads {separator} as a separator") as caught:
            container_command(self.SITE, SoftwareSpec(container="x.sif", bind=bind), [folder], gpu=False)
        assert repr(bind[0] if bind else folder) in str(caught.value)

    def test_none_is_none(self):
        assert self.words() == []

    def test_it_sees_run_and_working_directory_the_sites_folders_and_the_users(self):
        _, runtime, image = self.words(container="my image.sif", bind=("/data:/mnt", "/scratch"))
        assert runtime == [
            *("apptainer", "exec", "--cleanenv", "--bind", "/runs/1", "--bind", "/home/me"),
            *("--bind", "/scratch", "--bind", "$(list-binds)", "--bind", "/data:/mnt"),
        ]
        assert image == ["my image.sif"]

    def test_the_shell_expands_what_the_site_says_and_nothing_of_the_users(self):
        _, runtime, _ = self.words(container="x.sif", bind=("$(id)",))
        expanded = {word for word in runtime if isinstance(word, Expanded)}
        assert expanded == {"/scratch", "$(list-binds)"}

    @pytest.mark.parametrize("option", ["--nv", "--rocm"])
    def test_gpus_reach_it_in_jobs_with_gpus_alone(self, option):
        site = Site(container_runtime="singularity", container_gpu_option=option)
        assert self.words(True, site, container="x.sif")[1][:3] == ["singularity", "exec", option]
        assert option not in self.words(False, site, container="x.sif")[1]

    def test_a_site_may_need_no_option_for_gpus(self):
        site = Site(container_gpu_option="")
        assert self.words(True, site, container="x.sif")[1][:3] == ["apptainer", "exec", "--bind"]

    def test_another_runtime_is_refused(self):
        site = Site(name="nersc", container_runtime="shifter")
        with pytest.raises(UsageError, match=r"^--container: site nersc runs containers by shifter, not Apptainer"):
            self.words(site=site, container="x.sif")
        assert self.words(site=site) == []
