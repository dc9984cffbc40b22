"""What opens a session at each site, word by word, and what runs in it."""

from __future__ import annotations

import dataclasses
import shlex
import subprocess
from itertools import pairwise
from pathlib import Path

import pytest

from hpcnn.jobs.interact import Here, Session, fill, session
from hpcnn.sites.load import check, known_sites, load_site
from hpcnn.sites.profile import Site
from hpcnn.specs.resources import Resources
from hpcnn.specs.software import SoftwareSpec
from hpcnn.util.errors import UsageError

HERE = Here("/work dir", "/env/bin")
CPU, GPU = Resources(), Resources(gpus_per_node=1)
PLAIN = SoftwareSpec()
IMAGE = SoftwareSpec(container="it's.sif", bind=("/data",))
SITES = [name for name in known_sites() if name != "local"]
# Their containers are not Apptainer's.
OTHER_CONTAINERS = [name for name in SITES if load_site(name).container_runtime not in ("apptainer", "singularity")]


def opened_at(name: str, resources: Resources, software: SoftwareSpec, *program: str, way: str = "site") -> Session:
    """Open a session with an account wherever the site needs one."""
    site = load_site(name)
    account = "prof" if site.account_rule == "required" else None
    return session(site, dataclasses.replace(resources, account=account), software, HERE, program, way)


def slurm(**keys: object) -> Site:
    return check({"name": "here", **keys}, "")


@pytest.mark.parametrize("name", SITES)
@pytest.mark.parametrize("resources", [CPU, GPU], ids=["cpu", "gpu"])
@pytest.mark.parametrize("way", ["site", "salloc"])
def test_every_site_has_a_command_without_gaps(name: str, resources: Resources, way: str) -> None:
    site = load_site(name)
    words = opened_at(name, resources, PLAIN, "python", "my script.py", way=way).words
    assert all(words), words
    # neither a placeholder, nor what is left of one, nor an option whose value has gone
    assert not [word for word in words if "{" in word or word.endswith(("=", ":")) or "::" in word or ":=" in word]
    assert not [pair for pair in pairwise(words) if pair[0] == "-A" and pair[1] != "prof"]
    assert words[0] in ("salloc", "srun", "sinteractive", "debugjob", "idev")
    if resources is GPU and site.gpu_request != "none":
        assert any("1" in word and "g" in word for word in words) or words == ["debugjob", "-g", "1"]


@pytest.mark.parametrize("name", SITES)
@pytest.mark.parametrize("resources", [CPU, GPU], ids=["cpu", "gpu"])
def test_the_program_is_run_or_said(name: str, resources: Resources) -> None:
    opened = opened_at(name, resources, PLAIN, "python", "it's.py")
    run = opened.typed or opened.words[-1]
    assert run.endswith("python 'it'\"'\"'s.py'")
    assert bool(opened.typed) == ("bash" not in opened.words)
    assert subprocess.run(["bash", "-n"], input=run, text=True, check=False).returncode == 0


@pytest.mark.parametrize("name", [name for name in SITES if name not in OTHER_CONTAINERS])
def test_a_container_on_gpus_is_a_shell_with_the_option_for_gpus(name: str) -> None:
    site = load_site(name)
    opened = opened_at(name, GPU, IMAGE)
    run = opened.typed or opened.words[-1]
    words = shlex.split(run.rpartition(" && ")[2].removeprefix("exec "))
    assert words[0] == "env"
    assert words[words.index("PYTHONNOUSERSITE=1") + 1 :][:2] == [site.container_runtime, "shell"]
    assert (site.container_gpu_option in words) or not site.container_gpu_option
    assert words[-1] == "it's.sif"
    assert {"/work dir", "/data", *site.container_binds} <= set(words)
    assert f"module load {site.container_module}" in run or not site.container_module


def test_a_container_of_another_kind_is_refused() -> None:
    assert OTHER_CONTAINERS == ["perlmutter"]
    with pytest.raises(UsageError, match="shifter"):
        session(load_site("perlmutter"), GPU, IMAGE, HERE)


def test_the_prompt_of_the_course_is_one_command() -> None:
    opened = session(load_site("bridges2"), Resources(gpus_per_node=1), SoftwareSpec(container="/tf.sif"), HERE)
    assert opened.typed == ""
    assert shlex.join(opened.words[:8]) == (
        "salloc -J Interact --partition=GPU-shared --gres=gpu:v100-32:1 --time=01:00:00 srun --interactive"
    )
    assert opened.words[-1].endswith(" singularity shell --nv --bind '/work dir' --bind /ocean /tf.sif")


def test_a_shell_without_anything_to_prepare_needs_no_line_to_type() -> None:
    opened = session(load_site("trillium"), Resources(gpus_per_node=4), PLAIN, HERE)
    assert (opened.words, opened.typed) == (["debugjob", "-g", "4"], "")
    assert session(load_site("trillium"), GPU, SoftwareSpec(module=("python",)), HERE).typed


def test_slurms_own_way_says_all_that_a_job_script_says() -> None:
    site = slurm(gpu_request="gres", memory_per_gpu="30G", cores_gpu=32, gpus=4, partition_gpu="gpu", exclusive=True)
    asked = Resources(gpus_per_node=2, qos="q", constraint="a&b", time="2-0", sbatch_options={"reservation": "course"})
    assert session(site, asked, PLAIN, HERE, ("true",)).words == [
        *("salloc", "--nodes=1", "--ntasks-per-node=1", "--cpus-per-task=16", "--gres=gpu:2", "--time=2-0"),
        *("--partition=gpu", "--qos=q", "--constraint=a&b", "--mem-per-gpu=30G", "--reservation=course", "--exclusive"),
        *("srun", "--interactive", "--pty", "bash", "-lc"),
        "cd '/work dir' && export PATH=/env/bin:\"$PATH\" && exec true",
    ]


@pytest.mark.parametrize(
    ("keys", "asked", "named"),
    [
        ({"account_rule": "required"}, Resources(), "--account"),
        ({"partition_rule": "refused"}, Resources(partition="gpu"), "--partition"),
        ({"gpus": 4}, Resources(gpus_per_node=5), "--gpus-per-node"),
        ({"memory_rule": "refused"}, Resources(mem="1G"), "--mem"),
        ({"refused": ["qos"]}, Resources(qos="q"), "--qos"),
        ({}, Resources(requeue=True), "--requeue"),
        ({}, Resources(sbatch_options={"output": "x"}), "--sbatch-option"),
    ],
)
def test_what_a_job_may_not_ask_a_session_may_not(keys: dict[str, object], asked: Resources, named: str) -> None:
    for extra in ({}, {"interactive": "sint {account} {partition}", "interactive_gpu": "sint {gpus}"}):
        with pytest.raises(UsageError, match=f"^{named}: "):
            session(slurm(**keys, **extra), asked, PLAIN, HERE)


@pytest.mark.parametrize(
    ("asked", "named"),
    [
        (Resources(mem="1G"), "--mem"),
        (Resources(nodes=2, ntasks=2), "--nodes"),
        (Resources(cpus_per_task=2), "--cpus-per-task"),
        (Resources(sbatch_options={"x": "y"}), "--sbatch-option"),
    ],
)
def test_an_option_that_the_sites_command_would_drop_is_an_error(asked: Resources, named: str) -> None:
    site = slurm(interactive="sint -t {minutes} {command}")
    with pytest.raises(UsageError, match=rf"{named}: .* no place for it \(sint -t .*--by salloc"):
        session(site, asked, PLAIN, HERE)
    assert session(site, asked, PLAIN, HERE, way="salloc").words[0] == "salloc"
    assert session(site, Resources(time="1:00:30"), PLAIN, HERE).words[:3] == ["sint", "-t", "61"]


VALUES = {
    "nodes": "1",
    "gpus": "2",
    "gpu_type": "",
    "time": "01:00:00",
    "minutes": "60",
    "account": "",
    "partition": "p",
}


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ("sint -A {account} -p {partition}", ["sint", "-p", "p"]),
        ("sint --account={account} -p {partition}", ["sint", "-p", "p"]),
        ("sint -p {partition} -A {account}", ["sint", "-p", "p"]),
        ("sint -gpu {account} {nodes}", ["sint", "1"]),
        ("sint --x=y {account}", ["sint", "--x=y"]),
        ("sint {account} {nodes}", ["sint", "1"]),
        ("{account} sint", ["sint"]),
        ("sint --gres=gpu:{gpu_type}:{gpus}", ["sint", "--gres=gpu:2"]),
        ("sint --gres={gpu_type}:{gpus}", ["sint", "--gres=2"]),
        ("sint '-c {nodes} x' {command} end", ["sint", "-c 1 x", "run", "a b", "end"]),
    ],
)
def test_a_placeholder_without_a_value_takes_its_option_with_it(template: str, words: list[str]) -> None:
    assert fill(template, {**VALUES, "command": ["run", "a b"]}) == words


@pytest.mark.parametrize("command", ["sint {walltime}", "sint 'x", "sint {", "sint x{command}"])
def test_a_command_that_cannot_be_filled_in_is_an_error_of_the_profile(command: str) -> None:
    with pytest.raises(UsageError, match=r"^here\.toml: interactive_gpu: "):
        check({"name": "here", "interactive_gpu": command}, "here.toml: ")


def test_on_this_machine_the_shell_is_here() -> None:
    local = load_site("local")
    opened = session(local, Resources(), SoftwareSpec(env={"A": "b c"}), HERE)
    assert opened.words[:2] == ["bash", "-lc"]
    assert opened.words[2].endswith("export A='b c' && cd '/work dir' && export PATH=/env/bin:\"$PATH\" && exec bash")
    for asked, way, named in ((Resources(nodes=2, ntasks=2), "site", "--nodes"), (Resources(), "salloc", "--by")):
        with pytest.raises(UsageError, match=f"^{named}: "):
            session(local, asked, PLAIN, HERE, way=way)


def test_a_file_of_secrets_that_others_can_read_is_not_taken(tmp_path: Path) -> None:
    file = tmp_path / "my keys.env"
    file.write_text("KEY=open\n")
    file.chmod(0o600)
    here = Here(str(tmp_path), "/usr/bin")
    words = session(load_site("local"), CPU, SoftwareSpec(env_file=file.name), here, ("sh", "-c", 'echo "$KEY"')).words
    assert subprocess.run(words, capture_output=True, text=True, check=True).stdout == "open\n"
    file.chmod(0o644)
    refused = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (refused.returncode, refused.stdout) == (78, "")
    assert "my keys.env is not there, not yours, or open to other users" in refused.stderr
