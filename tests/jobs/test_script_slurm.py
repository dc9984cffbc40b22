"""Slurm's job scripts: readable (golden files), and right for bash and by the rules of every packaged site.

The golden files are written anew as those of tests/jobs/test_script.py:
``UPDATE_GOLDEN=1 pytest tests/jobs/test_script_slurm.py``.
"""

import dataclasses
import os
import re
import subprocess
from itertools import product
from pathlib import Path

import pytest

from hpcnn.jobs import script as module
from hpcnn.jobs.script import render
from hpcnn.sites.load import known_sites, load_site
from hpcnn.specs.job import JobSpec
from hpcnn.specs.resources import Resources
from hpcnn.specs.software import SoftwareSpec
from hpcnn.specs.train import TrainSpec
from hpcnn.util.errors import UsageError
from tests.jobs.test_script import PLACE as LOCAL_PLACE
from tests.jobs.test_script import shellcheck

GOLDEN = Path(__file__).parents[1] / "golden" / "slurm"
HOROVOD = TrainSpec(model="psc-cnn-dropout", data="mnist", strategy="horovod", epochs=3)
IMAGE = "/project/def-prof/hpcnn.sif"
PLACE = dataclasses.replace(LOCAL_PLACE, data="/project/data sets/mnist.npz")

JOBS = {
    "narval-gpu": JobSpec(
        "first",
        "narval",
        Resources(gpus_per_node=1, account="def-prof", time="0:30:00"),
        TrainSpec(model="scinet-cnn1", data="mnist"),
        software=SoftwareSpec(module=("python/3.11", "openmpi/4.1.5")),
    ),
    "narval-container": JobSpec(
        "first",
        "narval",
        Resources(nodes=2, ntasks_per_node=4, gpus_per_node=4, account="def-prof"),
        HOROVOD,
        software=SoftwareSpec(container=IMAGE, bind=("/datashare",), env={"NCCL_DEBUG": "INFO"}),
    ),
    "bridges2-gpu": JobSpec("first", "bridges2", Resources(ntasks=4, gpus_per_node=4, account="cis1"), HOROVOD),
    "lonestar6-gpu": JobSpec("first", "lonestar6", Resources(nodes=2, ntasks=6, gpus_per_node=3), HOROVOD),
    "generic-cpu": JobSpec(
        "first", "generic-slurm", Resources(nodes=2, ntasks=4, cpus_per_task=8, requeue=True), HOROVOD
    ),
    "program": JobSpec(
        "my_script",
        "generic-slurm",
        Resources(nodes=2, ntasks=4, requeue=True, sbatch_options={"comment": "it's for $5"}),
        program=("python", "my script.py", "--epochs", "3", "--note", "it's $5"),
    ),
}


@pytest.fixture(autouse=True)
def _packaged_sites_only(tmp_path, monkeypatch):
    monkeypatch.setenv("HPCNN_CONFIG", str(tmp_path))


def check_shell(files):
    """Let bash and, where it is installed, shellcheck read scripts."""
    for file in files:
        subprocess.run(["bash", "-n", file], check=True)
    if shellcheck() is None:
        return
    # SC2016: a "$" that does not expand is what quoting is for
    found = subprocess.run([shellcheck(), "--shell=bash", "--exclude=SC2016", *files], capture_output=True, text=True)
    assert found.returncode == 0, found.stdout


class TestGolden:
    @pytest.mark.parametrize("name", JOBS)
    def test_the_script_is_as_it_was_read_and_approved(self, name, monkeypatch):
        monkeypatch.setattr(module, "__version__", "1.2.3")
        job = JOBS[name]
        script = render(job, load_site(job.site), PLACE)
        file = GOLDEN / f"{name}.sh"
        if os.environ.get("UPDATE_GOLDEN"):
            file.write_text(script)
        assert script == file.read_text()
        assert max(len(line) for line in script.splitlines()) <= 120

    def test_no_golden_file_is_left_over(self):
        assert {file.stem for file in GOLDEN.glob("*.sh")} == set(JOBS)

    def test_bash_and_shellcheck_find_nothing(self):
        check_shell(sorted(GOLDEN.glob("*.sh")))


def resources_for(site, gpu, nodes):
    """Return resources that the site's rules allow: what it requires is there, what it refuses is not."""
    gpus = (max(site.gpu_counts, default=0) or site.gpus or 1) if gpu else None
    return Resources(
        nodes=nodes,
        ntasks_per_node=gpus or 2,
        gpus_per_node=gpus,
        account="def-prof" if site.account_rule == "required" else None,
        mem="16G" if site.memory_rule == "required" else None,
    )


def check_rules(site, gpu, script):
    """Hold a script's directives against the site's own rules."""
    lines = [line for line in script.splitlines() if line.startswith("#SBATCH ")]
    assert all(re.fullmatch(r"#SBATCH --[a-z-]+(=\S.*)?", line) for line in lines)
    keys = [line.removeprefix("#SBATCH --").partition("=")[0] for line in lines]
    assert len(keys) == len(set(keys))
    assert not set(keys) & set(site.refused)
    rule = site.partition_gpu_rule if gpu else site.partition_rule
    assert ("partition" in keys) >= (rule == "required")
    assert not ("partition" in keys and rule == "refused")
    assert ("account" in keys) >= (site.account_rule == "required")
    if site.memory_rule in ("refused", "ignored"):
        assert not [key for key in keys if key.startswith("mem")]
    requests = [key for key in keys if key.startswith("gpu") or key == "gres"]
    assert requests == ([site.gpu_request] if gpu and site.gpu_request != "none" else [])


@pytest.mark.parametrize("name", [name for name in known_sites() if load_site(name).scheduler == "slurm"])
def test_every_kind_of_job_at_every_site(name, tmp_path):
    site, files = load_site(name), []
    images = [None, IMAGE] if site.container_runtime in ("apptainer", "singularity") else [None]
    for gpu, image, nodes in product([False, True], images, [1, 2]):
        job = JobSpec("all", name, resources_for(site, gpu, nodes), HOROVOD, software=SoftwareSpec(container=image))
        script = render(job, site, PLACE)
        check_rules(site, gpu, script)
        assert not re.search(r"\bNone\b|\bUndefined\b|{{|}}|{%", script)
        assert (f"image={IMAGE}\n" in script) == (image is not None)
        assert (f"module load {site.container_module}\n" in script) == bool(image and site.container_module)
        assert re.search(rf"^{site.launcher}\b", script, re.MULTILINE)
        files.append(tmp_path / f"{gpu}-{image is not None}-{nodes}.sh")
        files[-1].write_text(script)
    check_shell(files)


def test_a_container_sees_the_folders_of_data_on_disk():
    train = dataclasses.replace(HOROVOD, data="h5:/store/a/train-*.h5,/store/b*/x.h5::own.h5#x,y")
    job = JobSpec("x", "narval", Resources(ntasks=2, account="a"), train, software=SoftwareSpec(container=IMAGE))
    script = render(job, load_site("narval"), PLACE)
    binds = re.findall(r"--bind (\S+) ", script)
    assert [bind for bind in binds if "store" in bind] == ["/store/a", "/store"]
    assert binds.count("/home/me/project") == 1
    assert "record stage" in script
    train = dataclasses.replace(train, cache="none")
    assert "STAGING" not in render(dataclasses.replace(job, train=train), load_site("narval"), PLACE)


def test_a_runtime_that_is_not_known_is_refused():
    job = JobSpec("x", "perlmutter", Resources(ntasks=2), HOROVOD, software=SoftwareSpec(container=IMAGE))
    with pytest.raises(UsageError, match=r"^--container: site perlmutter runs containers by shifter"):
        render(job, load_site("perlmutter"), PLACE)


def test_no_name_ends_its_directive():
    job = JobSpec("a\n#SBATCH --mem=0", "generic-slurm", Resources(), HOROVOD)
    with pytest.raises(UsageError, match=r"^--job-name: .* expected a text without line breaks"):
        render(job, load_site("generic-slurm"), PLACE)


def run_again(tmp_path: Path, job: JobSpec, site: str, status: str | None, **environment: str) -> tuple[int, list[str]]:
    """Run a job's script with fakes of Slurm's commands; return its status and what it called."""
    fakes = tmp_path / "fakes"
    fakes.mkdir()
    for name in ("srun", "scontrol", "mpirun", "hpcnn"):
        # the ranks stop as the time limit is near, or as a test says
        signals = 'kill -s ${SIGNAL:-USR2} $(cut -d" " -f4 /proc/$PPID/stat) $PPID\nexit ${STATUS:-75}'
        end = signals if name == "srun" else "exit 0"
        (fakes / name).write_text(f'#!/bin/sh\necho "{name} $*" >>{tmp_path}/calls\n{end}\n')
        (fakes / name).chmod(0o755)
    place = dataclasses.replace(
        PLACE, run_dir=str(tmp_path), directory=str(tmp_path), bin=str(fakes), hpcnn=(str(fakes / "hpcnn"),), data=None
    )
    if status is not None:
        (tmp_path / "result.json").write_text(f'{{\n  "schema": 1,\n  "status": "{status}"\n}}\n')
    script = tmp_path / "job.sh"
    script.write_text(render(job, load_site(site), place))
    own = {"PATH": f"{fakes}:{os.environ['PATH']}", "SLURM_JOB_ID": "25", **environment}
    done = subprocess.run(["bash", script], env=own, capture_output=True, text=True, check=False)
    calls = tmp_path / "calls"
    return done.returncode, calls.read_text().splitlines() if calls.exists() else []


REQUEUED = JobSpec("mine", "generic-slurm", Resources(ntasks=2, requeue=True), program=("python", "x.py"))


@pytest.mark.parametrize(
    ("array", "job"), [({}, "25"), ({"SLURM_ARRAY_JOB_ID": "25", "SLURM_ARRAY_TASK_ID": "3"}, "25_3")]
)
def test_at_the_time_limit_a_job_requeues_itself_and_of_an_array_its_task_alone(array, job, tmp_path):
    code, calls = run_again(tmp_path, REQUEUED, "generic-slurm", None, **array)
    assert code == 75  # also where the launcher ends while bash handles the signal
    assert calls[-1] == f"scontrol requeue {job}"


@pytest.mark.parametrize("status", [0, 3, 143])
def test_a_job_that_slurm_ends_by_sigterm_still_closes_its_record(status, tmp_path):
    code, calls = run_again(tmp_path, REQUEUED, "generic-slurm", None, SIGNAL="TERM", STATUS=str(status))
    assert code == status
    (last,) = (call for call in calls if call.startswith("hpcnn record finish"))
    assert f"--exit-code {status} " in last
    assert last.endswith(" --terminated")


def test_a_program_that_is_deaf_to_sigterm_leaves_its_record_to_what_hears_of_the_end(tmp_path):
    code, calls = run_again(tmp_path, REQUEUED, "generic-slurm", None, SIGNAL="TERM", STATUS="137")
    assert code == 137
    assert not any(call.startswith("hpcnn record finish") for call in calls)


@pytest.mark.parametrize(("status", "again"), [("completed", False), ("failed", True), ("interrupted", True)])
@pytest.mark.parametrize("site", ["generic-slurm", "local"])
def test_a_completed_run_that_starts_again_is_left_as_it_is(site, status, again, tmp_path):
    job = dataclasses.replace(REQUEUED, resources=Resources(ntasks=2))
    code, calls = run_again(tmp_path, job, site, status)
    assert bool(calls) == again
    if not again:
        assert code == 0
        assert sorted(path.name for path in tmp_path.iterdir()) == ["fakes", "job.sh", "result.json"]


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("x\n#SBATCH --wrap=id", "a long option of sbatch, without its dashes, as the key"),
        ("--comment", "a long option of sbatch"),
        ("outpu", "another key: hpcnn sets output itself"),
        ("clusters", "another key: hpcnn follows jobs of one cluster alone"),
    ],
)
def test_a_key_that_is_no_option_or_one_of_hpcnns_is_refused(key, expected):
    resources = Resources(sbatch_options={key: "x"})
    with pytest.raises(UsageError, match=expected):
        render(JobSpec("mine", "generic-slurm", resources, program=("true",)), load_site("generic-slurm"), PLACE)


@pytest.mark.parametrize("name", ["A;touch /tmp/x;B", "A B", "1A", "", "A\nB"])
def test_a_name_that_is_none_of_a_variable_is_refused(name):
    job = JobSpec("mine", "generic-slurm", Resources(), program=("true",), software=SoftwareSpec(env={name: "1"}))
    with pytest.raises(UsageError, match=r"--env: .* expected a name of letters, digits and _ before the '='"):
        render(job, load_site("generic-slurm"), PLACE)
