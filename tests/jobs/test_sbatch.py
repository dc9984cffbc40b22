"""The #SBATCH directives: in each site's words, and refused before Slurm could refuse them."""

import dataclasses
import shlex

import pytest
from hypothesis import given as such_as
from hypothesis import strategies as st

from hpcnn.jobs.sbatch import PROTECTED, directives, quoted, tasks_per_node
from hpcnn.sites.profile import Site
from hpcnn.specs.resources import Resources
from hpcnn.util.errors import UsageError

GPUS = Site(name="big", gpus=4, gpu_types=("a100", "h100"))


def of(site=GPUS, **resources):
    return directives("job", Resources(**resources), site, "/runs/1/log.out", 2)


def error_of(site=GPUS, **resources):
    with pytest.raises(UsageError) as caught:
        of(site, **resources)
    return str(caught.value)


def changed(**keys):
    return dataclasses.replace(GPUS, **keys)


def test_a_plain_job():
    assert of(Site()) == [
        "--job-name=job",
        "--output=/runs/1/log.out",
        "--open-mode=append",
        "--signal=B:USR2@120",
        "--nodes=1",
        "--ntasks-per-node=1",
        "--cpus-per-task=2",
        "--time=01:00:00",
        "--no-requeue",
    ]


def test_all_that_a_user_can_ask_for():
    asked = of(
        nodes=2,
        ntasks=8,
        gpus_per_node=4,
        gpu_type="h100",
        time="2-00:00:00",
        account="def-me",
        partition="gpu",
        qos="high",
        mem="16G",
        constraint="fast&new",
        requeue=True,
        sbatch_options={"mail-user": "me@example.org", "reservation": "course"},
    )
    assert asked[4:] == [
        "--nodes=2",
        "--ntasks-per-node=4",
        "--cpus-per-task=2",
        "--gpus-per-node=h100:4",
        "--time=2-00:00:00",
        "--account=def-me",
        "--partition=gpu",
        "--qos=high",
        '--constraint="fast&new"',
        "--mem=16G",
        "--mail-user=me@example.org",
        "--reservation=course",
        "--requeue",
    ]


@pytest.mark.parametrize(
    ("request_", "typing", "asked"),
    [
        ("gpus-per-node", "optional", "--gpus-per-node=2"),
        ("gpus-per-node", "required", "--gpus-per-node=a100:2"),
        ("gres", "optional", "--gres=gpu:2"),
        ("gres", "required", "--gres=gpu:a100:2"),
        ("gpus", "optional", "--gpus=6"),  # of the whole job
        ("gpus", "required", "--gpus=a100:6"),
    ],
)
def test_gpus_in_the_sites_style(request_, typing, asked):
    site = changed(gpu_request=request_, gpu_typing=typing)
    assert [line for line in of(site, nodes=3, ntasks=6, gpus_per_node=2) if "gpu" in line or "gres" in line] == [asked]


def test_a_partition_may_imply_its_gpus():
    site = changed(gpu_request="none", gpu_typing="refused", partition_gpu="gpu-a100")
    lines = of(site, gpus_per_node=4)
    assert "--partition=gpu-a100" in lines
    assert not [line for line in lines if line.startswith(("--gpu", "--gres"))]


def test_a_type_is_left_out_where_the_site_refuses_it():
    assert "--gpus-per-node=2" in of(changed(gpu_typing="refused"), gpus_per_node=2, gpu_type="a100")


@pytest.mark.parametrize(
    ("keys", "resources", "message"),
    [
        ({}, {"gpus_per_node": 5}, "--gpus-per-node: 5 is not valid; expected at most 4, the GPUs of a node"),
        ({"gpu_counts": (1, 4)}, {"gpus_per_node": 2}, "--gpus-per-node: 2 is not valid; expected 1 or 4 at site big"),
        ({}, {"gpus_per_node": 1, "gpu_type": "a10"}, "--gpu-type: 'a10' is not known. Did you mean 'a100'?"),
        ({}, {"gpu_type": "a100"}, "--gpu-type: 'a100' is not valid; expected no value without --gpus-per-node"),
        ({"gpu_typing": "required", "gpu_types": ()}, {"gpus_per_node": 1}, "--gpu-type: site big needs a GPU type"),
        ({"account_rule": "required"}, {}, "--account: site big needs the account that is charged"),
        ({"account_rule": "required", "account_hint": "def-NAME"}, {}, "--account: site big needs the account that is "
         "charged (def-NAME)"),
        ({"partition_rule": "refused"}, {"partition": "cpu"}, "--partition: 'cpu' is not valid; expected none: the "),
        ({"partition_rule": "required", "partitions": ("a", "b")}, {}, "--partition: site big needs one. Known: a, b."),
        ({"partition_gpu_rule": "required"}, {"gpus_per_node": 1}, "--partition: site big needs one."),
        ({"memory_rule": "refused"}, {"mem": "4G"}, "--mem: '4G' is not valid; expected no value at site big"),
        ({"memory_rule": "required"}, {}, "--mem: site big needs the memory of each node, e.g. --mem=16G"),
        ({"refused": ("qos",)}, {"qos": "high"}, "--qos: 'high' is not valid; expected no such option at site big"),
        ({"refused": ("nodelist",)}, {"sbatch_options": {"nodelist": "n1"}}, "--nodelist: 'n1' is not valid; "),
        ({"refused": ("requeue",)}, {"requeue": True}, "--requeue: '' is not valid; expected no such option"),
        ({}, {"nodes": 2, "ntasks": 3}, "--ntasks: 3 is not valid; expected a multiple of the 2 nodes"),
        ({}, {"account": "a\n#SBATCH --mem=0"}, "--account: 'a\\n#SBATCH --mem=0' is not valid; expected a text"),
    ],
)  # fmt: skip
def test_what_a_site_refuses_names_the_option(keys, resources, message):
    assert error_of(changed(**keys), **resources).startswith(message)


@pytest.mark.parametrize("key", PROTECTED)
def test_what_hpcnn_writes_itself_is_no_other_option(key):
    message = error_of(sbatch_options={key: "x"})
    assert message.startswith(f"--sbatch-option: '{key}=x' is not valid; expected another key: hpcnn sets {key} itself")


class TestMemory:
    def lines(self, resources, **keys):
        return [line for line in of(changed(**keys), **resources) if line.startswith("--mem")]

    def test_as_asked_else_the_sites_share(self):
        keys = {"memory_per_cpu": "3G", "memory_per_gpu": "15G"}
        assert self.lines({}, **keys) == ["--mem-per-cpu=3G"]
        assert self.lines({"gpus_per_node": 1}, **keys) == ["--mem-per-gpu=15G"]
        assert self.lines({"mem": "8G", "gpus_per_node": 1}, **keys) == ["--mem=8G"]

    def test_the_sites_own_for_a_node(self):
        keys = {"memory": "0", "memory_gpu": "60G", "memory_rule": "required"}
        assert self.lines({}, **keys) == ["--mem=0"]
        assert self.lines({"gpus_per_node": 1}, **keys) == ["--mem=60G"]

    @pytest.mark.parametrize("rule", ["refused", "ignored"])
    def test_none_where_it_is_not_taken(self, rule):
        assert self.lines({}, memory_rule=rule, memory="4G", memory_per_cpu="3G") == []

    def test_asked_for_where_it_is_ignored_is_left_out(self):
        assert self.lines({"mem": "4G"}, memory_rule="ignored") == []


def test_the_users_value_comes_before_the_sites():
    site = changed(qos="a", constraint="b", partition="c", time="00:10:00")
    assert {"--qos=a", "--constraint=b", "--partition=c", "--time=00:10:00"} <= set(of(site))
    own = of(site, qos="1", constraint="2", partition="3", time="4", sbatch_options={"qos": "5"})
    assert {"--qos=5", "--constraint=2", "--partition=3", "--time=4"} <= set(own)


def test_keys_for_gpus_hold_for_jobs_with_gpus_alone():
    site = changed(qos_gpu="a", constraint_gpu="b", partition_gpu="c")
    assert not {"--qos=a", "--constraint=b", "--partition=c"} & set(of(site))
    assert {"--qos=a", "--constraint=b", "--partition=c"} <= set(of(site, gpus_per_node=1))


def test_a_partition_that_the_site_would_refuse_is_not_written():
    assert not [line for line in of(changed(partition_rule="refused", partition="c")) if "partition" in line]


def test_whole_nodes_are_asked_for_once():
    site = changed(exclusive=True)
    assert [line for line in of(site) if "exclusive" in line] == ["--exclusive"]
    own = of(site, sbatch_options={"exclusive": "user"})
    assert [line for line in own if "exclusive" in line] == ["--exclusive=user"]


def test_a_percent_sign_in_the_runs_folder_is_no_pattern_of_slurm():
    assert "--output=/runs/50%%j/log.out" in directives("job", Resources(), Site(), "/runs/50%j/log.out", 1)


def test_tasks_of_each_node():
    assert tasks_per_node(Resources(nodes=2, ntasks=8)) == 4


@such_as(st.text(st.characters(exclude_characters="\n\r\0", exclude_categories=["Cs"]), min_size=1))
def test_a_value_is_one_word_whatever_it_contains(value):
    text = quoted("comment", value)
    assert "\n" not in text
    # sbatch reads quotes and backslashes as a shell does, and expands nothing
    lexer = shlex.shlex(text, posix=True, punctuation_chars=False)
    lexer.whitespace_split, lexer.commenters = True, ""
    assert list(lexer) == [value]


def test_the_signal_before_the_time_limit_leaves_most_of_a_short_job_to_the_job():
    assert "--signal=B:USR2@15" in of(time="1")
    assert "--signal=B:USR2@300" in of(sbatch_options={"signal": "B:USR2@300"})
    with pytest.raises(UsageError, match="--time"):
        of(time="1h")
