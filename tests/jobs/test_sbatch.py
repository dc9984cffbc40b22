"""The #SBATCH directives: in each site's words, and refused before Slurm could refuse them."""

import dataclasses
import shlex

import pytest
from hypothesis import given as such_as
from hypothesis import strategies as st

from hpcnn.jobs.sbatch import directives, file_name, quoted, tasks_per_node
from hpcnn.jobs.sbatch_options import OWN, PROTECTED
from hpcnn.sites.profile import Site
from hpcnn.specs.fields import from_mapping, to_mapping
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


@pytest.mark.parametrize("key", OWN)
def test_what_hpcnn_computes_with_is_refused_with_the_name_of_its_own_option(key):
    message = error_of(sbatch_options={key: "1"})
    assert message.startswith(f"--sbatch-option: '{key}=1' is not valid; hpcnn has an option of its own for it: --")
    assert message.endswith(f"{OWN[key]}.")


@pytest.mark.parametrize(
    ("key", "own"),
    [
        ("cpus-per-t", "--cpus-per-task"),
        ("cpus-per-g", "--cpus-per-task"),
        ("gpus-per-n", "--gpus-per-node"),
        ("gpus-per-t", "--gpus-per-task"),
        ("ntasks-per-n", "--ntasks-per-node"),
        ("nodes", "--nodes"),
        ("mem-per-c", "--mem-per-cpu"),
        ("dep", "--after"),
        ("no-r", "--no-requeue"),
        ("requ", "--requeue"),
    ],
)
def test_so_is_every_beginning_that_sbatch_takes_for_it(key, own):
    assert error_of(sbatch_options={key: "1"}).endswith(f"hpcnn has an option of its own for it: {own}.")


@pytest.mark.parametrize("key", ["outp", "arr", "op", "exp", "ch"])
def test_and_a_beginning_that_may_stand_for_what_hpcnn_writes(key):
    assert "hpcnn sets " in error_of(sbatch_options={key: "1"})


@pytest.mark.parametrize("key", ["n", "gpu", "mem-", "mail-"])
def test_a_beginning_of_several_names_them(key):
    assert "expected one option; this is the beginning of " in error_of(sbatch_options={key: "1"})


@pytest.mark.parametrize("key", ["cluster-c", "clusters", "verb", "parsable"])
def test_what_makes_no_sense_in_a_script(key):
    assert "expected another key" in error_of(sbatch_options={key: "1"})


class TestFlags:
    @pytest.mark.parametrize("value", [True, ""])
    @pytest.mark.parametrize("key", ["exclusive", "hold", "contiguous", "exclusiv", "x11"])
    def test_without_a_value(self, key, value):
        full = {"exclusiv": "exclusive"}.get(key, key)
        assert f"--{full}" in of(sbatch_options={key: value})

    def test_with_the_value_that_some_take(self):
        assert {"--exclusive=user", "--nice=100"} <= set(of(sbatch_options={"exclusive": "user", "nice": 100}))

    def test_false_leaves_out_even_the_sites_own(self):
        lines = of(changed(exclusive=True), sbatch_options={"exclusive": False, "hold": False})
        assert not [line for line in lines if "exclusive" in line or "hold" in line]

    @pytest.mark.parametrize("value", [True, ""])
    def test_an_option_that_takes_a_value_needs_one(self, value):
        assert error_of(sbatch_options={"reservation": value}) == (
            "--sbatch-option: 'reservation' is not valid; expected a value: reservation=VALUE."
        )

    def test_a_flag_takes_none(self):
        assert error_of(sbatch_options={"hold": "yes"}).endswith("expected no value: hold alone.")

    def test_a_site_refuses_them_too(self):
        assert error_of(changed(refused=("exclusive",)), sbatch_options={"exclusiv": True}).startswith(
            "--exclusive: '' is"
        )


class TestGres:
    @pytest.mark.parametrize("value", ["gpu:2", "gpu", "nvme:1,gpu:a100:2", "gres/gpu=2"])
    def test_gpus_have_an_option_of_their_own(self, value):
        assert error_of(sbatch_options={"gres": value}).endswith("other than GPUs: ask for these by --gpus-per-node.")

    def test_others_stand_beside_the_gpus(self):
        site = changed(gpu_request="gres")
        assert "--gres=gpu:2,nvme:1" in of(site, gpus_per_node=2, sbatch_options={"gres": "nvme:1"})
        assert "--gres=nvme:1" in of(site, sbatch_options={"gres": "nvme:1"})


class TestGpusOfEachTask:
    def test_are_those_of_the_node(self):
        resources = Resources(nodes=2, ntasks=4, gpus_per_task=2)
        assert resources.gpus_per_node == 4
        assert "--gpus-per-node=4" in directives("job", resources, GPUS, "log", 1)
        assert from_mapping(Resources, to_mapping(resources)) == resources  # as a record holds it

    def test_both_may_be_said_if_they_agree(self):
        assert Resources(ntasks=2, gpus_per_task=1, gpus_per_node=2).gpus_per_node == 2
        with pytest.raises(UsageError, match="gpus_per_node: 1 GPUs of a node are not 1 for each task"):
            Resources(ntasks=2, gpus_per_task=1, gpus_per_node=1)


class TestMemory:
    def lines(self, resources, **keys):
        return [line for line in of(changed(**keys), **resources) if line.startswith("--mem")]

    @pytest.mark.parametrize("own", ["mem_per_cpu", "mem_per_gpu"])
    @pytest.mark.parametrize("default", ["memory", "memory_gpu", "memory_per_cpu", "memory_per_gpu"])
    def test_the_users_own_stands_alone(self, own, default):
        keys = {default: "1G", "memory_rule": "required"}
        asked = {own: "7G", "gpus_per_node": 1}
        assert self.lines(asked, **keys) == [f"--{own.replace('_', '-')}=7G"]

    def test_one_of_them(self):
        with pytest.raises(
            UsageError, match=r"^mem = 1G and mem_per_cpu = 2G: memory is asked for each node, each core"
        ):
            Resources(mem="1G", mem_per_cpu="2G")

    @pytest.mark.parametrize("own", ["mem", "mem_per_cpu"])
    def test_a_site_that_refuses_it(self, own):
        option = f"--{own.replace('_', '-')}"
        assert error_of(changed(memory_rule="refused"), **{own: "4G"}).startswith(f"{option}: '4G' is not valid; ")

    def test_of_each_gpu_without_gpus(self):
        assert error_of(mem_per_gpu="4G").endswith("expected no value without --gpus-per-node.")

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


def test_a_backslash_in_the_runs_folder_escapes_nothing():
    """As Slurm 22.05 reads it: where there is one, `%` is no pattern."""
    assert file_name("/runs/a\\b/50%j") == "/runs/a\\\\b/50%j"
    assert file_name("/runs/50%", "/log-%a.out") == "/runs/50%%/log-%a.out"


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
