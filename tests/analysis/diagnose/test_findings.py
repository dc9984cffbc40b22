"""Every kind of finding is provoked by a study that has its cause, and absent from one that has not."""

import json
import shlex
import shutil

import pytest
from click.testing import CliRunner

from hpcnn.analysis.diagnose import Finding, findings, verdict
from hpcnn.analysis.diagnose.findings import _each_command_once
from hpcnn.cli.main import main
from hpcnn.report import load, scaling_table
from hpcnn.rundir.layout import RunDir
from tests.synthetic.parts import rank, write_parts


@pytest.fixture
def study(tmp_path):
    """Return a function that writes one run on 1 rank (1 s of computing) and one on several, and diagnoses them."""

    def diagnosed(ranks, base=None, repeats=1, base_facts=None, kind="strong", **facts):
        for repeat in range(repeats):
            one = base or rank(compute=1.0)
            size = {"samples": 1000, "batch_size": 100} if kind == "weak" else {}
            write_parts(tmp_path / f"one-{repeat}", [one], repeat=repeat + 1, kind=kind, **size, **(base_facts or {}))
            if kind == "weak":
                size = {"samples": 1000 * len(ranks), "batch_size": 100 * len(ranks)}
            write_parts(tmp_path / f"several-{repeat}", ranks, repeat=repeat + 1, kind=kind, **size, **facts)
        data = load(tmp_path)
        table = scaling_table(data)
        found = findings(data, table)
        return {finding.kind: finding for finding in found}, found, table

    return diagnosed


def test_a_study_that_scales_ideally_has_no_findings(study):
    found, every, table = study([rank(compute=0.5)] * 2)
    assert found == {}
    assert verdict(every, table) == "Nothing found: every row has an efficiency of 90% or more."


def test_a_study_of_one_size_has_nothing_to_diagnose(tmp_path):
    write_parts(tmp_path / "one", [rank(compute=1.0)])
    data = load(tmp_path)
    table = scaling_table(data)
    assert findings(data, table) == []
    assert (
        verdict([], table) == "Nothing to diagnose: no row of strong or weak scaling has a base case of another size."
    )


def test_input_bound(study):
    found, _, _ = study([rank(compute=0.5, input=0.4)] * 2)
    assert set(found) == {"input"}
    finding = found["input"]
    assert finding.numbers["seconds"] == pytest.approx(0.4)
    assert finding.numbers["lost"] == pytest.approx(0.4 / 0.9)
    assert finding.severity == "high"
    assert "0.400 s of an epoch of 0.900 s (44%)" in finding.words
    assert "the efficiency would be 100% instead of 56%" in finding.words
    assert "--cpus-per-task 2" in finding.command


@pytest.mark.parametrize(
    ("train", "advice"),
    [
        ({"data": "images:pictures"}, "--cache memory"),
        ({"data": "images:pictures", "cache": "memory"}, "--cpus-per-task 2"),
        ({"data": "climate"}, "--cache memory"),
        ({"data": "synthetic:32x32x3"}, "--cache memory"),
        ({"data": "digits"}, "--cpus-per-task 2"),
    ],
)
def test_data_that_is_read_in_every_epoch_is_to_be_kept(study, train, advice):
    train = {"model": "scinet-cnn1", **train}
    found, _, _ = study([rank(compute=0.5, input=0.4)] * 2, base_facts={"train": train}, train=train)
    assert advice in found["input"].command
    assert ("--cache memory" in found["input"].words) == (advice == "--cache memory")


def test_waiting_for_data_that_is_read_as_it_goes_is_a_finding_of_the_base_case(study):
    """On one rank, parts of an epoch as in the study of forms in docs/data.md; those of two ranks are made up."""
    base = rank(compute=0.256, input=0.087, communication=0.004)
    train = {"model": "scinet-cnn1", "data": "images:digits"}
    found, _, _ = study(
        [rank(compute=0.120, input=0.04, communication=0.01)] * 2, base, base_facts={"train": train}, train=train
    )
    assert found["input"].severity == "high"
    assert (
        "waiting for data takes 87.0 ms of an epoch of 0.347 s (25%). 0.260 s would do without it"
        in found["input"].words
    )
    assert "hpcnn data convert writes it as npy: or h5:, decoded once" in found["input"].words
    assert "--cache memory" in found["input"].command


@pytest.mark.parametrize("train", [{"data": "h5:digits.h5"}, {"data": "h5:digits.h5", "shuffle": "block:64"}])
def test_files_in_chunks_are_to_be_read_in_blocks(study, train):
    train = {"model": "scinet-cnn1", **train}
    found, _, _ = study([rank(compute=0.5, input=0.4)] * 2, base_facts={"train": train}, train=train)
    assert ("--shuffle block:N" in found["input"].words) == ("shuffle" not in train)


def test_input_that_scales_is_no_finding(study):
    found, _, _ = study([rank(compute=0.3, input=0.2)] * 2, base=rank(compute=0.6, input=0.4))
    assert found == {}


def test_latency_bound_and_what_fusion_would_give(study):
    # 100 tensors of 4 kB: fused into one message, 99 of 100 latencies would go
    found, _, _ = study([rank(compute=0.5, communication=0.5)] * 2, tensors=100, trainable=100_000, steps=50)
    assert set(found) == {"latency"}
    numbers = found["latency"].numbers
    assert numbers["tensors"] == 100
    assert numbers["bytes_per_tensor"] == 4000
    assert numbers["messages_if_fused"] == 1
    assert numbers["seconds_saved_at_most"] == pytest.approx(0.5 * 0.99)
    assert numbers["seconds_per_step"] == pytest.approx(0.01)
    # ring allreduce on 2 ranks moves 2 (p-1)/p n = n bytes a rank and step
    assert numbers["bytes_per_second"] == pytest.approx(400_000 * 50 / 0.5)
    assert "100 tensors of 4.00 kB in the mean" in found["latency"].words
    assert "Fused into 1 message, at most 0.495 s of that epoch would go" in found["latency"].words
    assert "--batch-size 200" in found["latency"].command


def test_bandwidth_bound(study):
    found, _, _ = study([rank(compute=0.5, communication=0.5)] * 2, tensors=4, trainable=100_000_000)
    assert set(found) == {"bandwidth"}
    assert found["bandwidth"].numbers["bytes_per_tensor"] == 100_000_000
    assert found["bandwidth"].words.startswith("Bandwidth-bound")


def test_communication_of_middling_tensors_is_called_neither(study):
    found, _, _ = study([rank(compute=0.5, communication=0.5)] * 2, tensors=10, trainable=1_000_000)
    assert set(found) == {"communication"}
    assert "latency and bandwidth both count" in found["communication"].words


def test_communication_without_the_number_of_tensors_says_so(study):
    found, _, _ = study([rank(compute=0.5, communication=0.5)] * 2, tensors=None)
    assert set(found) == {"communication"}
    assert "the number of gradients is not recorded" in found["communication"].words


def test_imbalance_names_rank_and_host_and_is_not_called_communication(study):
    slow, fast = rank(compute=0.8), rank(compute=0.5, communication=0.3)
    resources = {"nodes": 2, "ntasks": 2, "cpus_per_task": 1}
    found, _, _ = study([fast, slow], hosts=["c1", "c2"], resources=resources)
    assert "imbalance" in found
    assert not {"communication", "latency", "bandwidth"} & set(found)
    finding = found["imbalance"]
    assert finding.numbers["rank"] == 1
    assert finding.numbers["excess_over_mean"] == pytest.approx(0.8 / 0.65 - 1)
    assert finding.numbers["slowest_in_fraction_of_epochs"] == 1.0
    assert finding.numbers["seconds_waiting"] == pytest.approx(0.3)
    assert finding.words.startswith("Imbalance: rank 1 on c2 computed 23% longer than the mean of 2 ranks")
    assert "--sbatch-option exclude=c2" in finding.command


def test_ranks_that_differ_by_less_than_a_tenth_are_balanced(study):
    found, _, _ = study([rank(compute=0.55, communication=0.35), rank(compute=0.6, communication=0.3)])
    assert "imbalance" not in found
    assert "communication" in found


def test_oversubscription(study):
    found, _, _ = study([rank(compute=0.5)] * 2, threads=4, cores=[[0, 1], [0, 1]])
    assert set(found) == {"oversubscription"}
    finding = found["oversubscription"]
    assert finding.numbers == {"ranks_on_host": 2, "threads": 8, "cores": 2}
    assert "on c1, 2 ranks with 8 threads in all may use 2 cores" in finding.words
    assert finding.severity == "high"


def test_more_ranks_than_cores(study):
    found, _, _ = study([rank(compute=0.5)] * 2, cores=[[0], [0]])
    assert "--cpus-per-task 1" in found["oversubscription"].command
    assert "--ntasks" not in found["oversubscription"].command  # one rank is the default


def test_as_many_threads_as_cores_are_not_too_many(study):
    found, _, _ = study([rank(compute=0.5)] * 2, threads=2, cores=[[0, 1], [2, 3]])
    assert found == {}


def test_ranks_on_different_hosts_do_not_share_cores(study):
    found, _, _ = study([rank(compute=0.5)] * 2, cores=[[0], [0]], hosts=["c1", "c2"])
    assert found == {}


def test_super_linear_speed_up_questions_the_base_case(study):
    found, _, _ = study([rank(compute=0.3)] * 2)
    assert set(found) == {"superlinear"}
    finding = found["superlinear"]
    assert finding.numbers["efficiency"] == pytest.approx(1 / 0.6)
    assert "the efficiency is 167% of the base case (1 rank, 1.00 s per epoch (1 run))" in finding.words
    assert "Mostly compute: 0.300 s an epoch, where the base case scaled leaves 0.500 s" in finding.words
    assert "too few to say whether it is more than noise" in finding.words
    assert finding.severity == "medium"


def test_super_linear_beyond_the_intervals_is_severe(study):
    found, _, _ = study([rank(compute=0.3)] * 2, repeats=6)
    assert found["superlinear"].severity == "high"
    assert "noise" not in found["superlinear"].words


def test_an_efficiency_of_little_more_than_one_is_not_super_linear(study):
    found, _, _ = study([rank(compute=0.49)] * 2)
    assert found == {}


def test_computing_that_slows_down(study):
    found, _, _ = study([rank(compute=0.8)] * 2)
    assert set(found) == {"compute"}
    assert found["compute"].numbers["seconds_compute_ideal"] == pytest.approx(0.5)
    assert found["compute"].numbers["batch_per_rank"] == 50


def test_computing_that_slows_down_in_weak_scaling(study):
    found, _, _ = study([rank(compute=1.5)] * 2, kind="weak")
    assert set(found) == {"compute"}
    assert found["compute"].numbers["seconds_compute_ideal"] == pytest.approx(1.0)
    assert "batch_per_rank" not in found["compute"].numbers


def test_overhead_that_does_not_shrink(study):
    found, _, _ = study([rank(compute=0.4, other=0.2)] * 2, base=rank(compute=0.8, other=0.2))
    assert set(found) == {"overhead"}
    assert found["overhead"].numbers["lost"] == pytest.approx(0.1 / 0.6)


def test_what_is_lost_adds_up_to_what_is_missing(study):
    found, _, table = study([rank(compute=0.6, communication=0.2, input=0.1, other=0.1)] * 2)
    lost = sum(finding.lost for finding in found.values())
    assert lost == pytest.approx(1 - table["efficiency"].iloc[-1])


def test_runs_without_a_split_are_said_to_have_none(study, tmp_path):
    nothing = {f"seconds_{part}": None for part in ("compute", "communication", "input", "other")}
    study([rank(compute=0.9)] * 2)
    for file in [RunDir(tmp_path / "several-0").epochs(number) for number in range(2)]:
        lines = [{**json.loads(line), **nothing} for line in file.read_text().splitlines()]
        file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    data = load(tmp_path)
    found = findings(data, scaling_table(data))
    assert [finding.kind for finding in found] == ["unsplit"]
    assert "The efficiency is 56%" in found[0].words


def test_a_loss_that_may_be_noise_is_said_to_be(tmp_path):
    for repeat, (one, two) in enumerate([(1.0, 0.50), (1.0, 0.51), (1.0, 0.8), (1.0, 0.8), (1.0, 0.8), (1.0, 0.8)]):
        write_parts(tmp_path / f"one-{repeat}", [rank(compute=one)], repeat=repeat + 1)
        write_parts(tmp_path / f"two-{repeat}", [rank(compute=two)] * 2, repeat=repeat + 1)
    data = load(tmp_path)
    (found,) = findings(data, scaling_table(data))
    assert found.words.endswith("Its interval allows for an efficiency of up to 100%: it may be noise.")


def test_one_finding_a_kind_and_table_counts_the_other_rows(tmp_path):
    write_parts(tmp_path / "one", [rank(compute=1.0)])
    for ranks, seconds in ((2, 0.3), (4, 0.4), (8, 0.5)):
        write_parts(tmp_path / f"{ranks}", [rank(compute=1 / ranks, input=seconds)] * ranks)
    data = load(tmp_path)
    (found,) = findings(data, scaling_table(data))
    assert found.kind == "input"
    assert found.where == "scale, 8 ranks on 1 node"
    assert found.words.endswith("The same holds for 2 other rows of this table.")


def test_the_order_of_the_directories_changes_nothing(tmp_path):
    for number, (parts, where) in enumerate(
        [([rank(compute=1.0)], "a"), ([rank(compute=0.9)] * 2, "b"), ([rank(compute=0.5, input=0.2)] * 4, "c")]
    ):
        write_parts(tmp_path / where / f"run-{number}", parts)
    folders = [tmp_path / name for name in "abc"]
    forth, back = (findings(data, scaling_table(data)) for data in (load(*folders), load(*reversed(folders))))
    assert forth == back
    assert forth


def test_run_directories_that_are_gone_cost_what_they_knew(study, tmp_path):
    study([rank(compute=0.5, input=0.3)] * 2, threads=4, cores=[[0], [0]])
    data = load(tmp_path)
    table = scaling_table(data)
    assert {finding.kind for finding in findings(data, table)} == {"input", "oversubscription"}
    shutil.rmtree(tmp_path)
    (found,) = findings(data, table)
    assert found.kind == "input"
    assert found.command == "hpcnn doctor"


@pytest.mark.parametrize(
    ("parts", "facts"),
    [
        ([rank(compute=0.5, input=0.3)] * 2, {}),
        ([rank(compute=0.5, communication=0.5)] * 2, {"tensors": 100, "trainable": 1000}),
        ([rank(compute=0.5)] * 2, {"threads": 4, "cores": [[0, 1], [0, 1]]}),
        ([rank(compute=0.3)] * 2, {}),
        ([rank(compute=0.8)] * 2, {}),
    ],
    ids=["input", "latency", "oversubscription", "superlinear", "compute"],
)
def test_every_command_is_one_that_hpcnn_understands(study, parts, facts):
    train = {"model": "scinet-cnn1", "optimizer": "adam", "evaluate": False}
    found, _, _ = study(parts, base_facts={"train": train}, train=train, **facts)
    assert found
    for finding in found.values():
        words = shlex.split(finding.command)
        assert words[0] == "hpcnn"
        result = CliRunner().invoke(main, [*words[1:], "--dry-run"])
        assert result.exit_code == 0, f"{finding.command}: {result.output}"
        assert "--model scinet-cnn1" in result.output


def test_a_command_is_given_once():
    found = [Finding(kind, "low", "Words.", {}, command) for kind, command in [("a", "x"), ("b", "y"), ("c", "x")]]
    once = _each_command_once(found)
    assert [finding.command for finding in once] == ["x", "y", ""]
    assert once[2].words == "Words. The command of a finding above tries this too."
