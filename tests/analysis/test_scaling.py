import random

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hpcnn.report import RunData, epoch_times, left_out, load, scaling_table, strong_scaling, weak_scaling
from hpcnn.util.errors import UsageError

WEAK = {"kind": "weak", "study": "weak"}
THROUGHPUT = {"kind": "throughput", "study": "rates"}


def rows_by_ranks(table: pd.DataFrame) -> pd.DataFrame:
    return table.set_index("ranks")


def test_the_warm_up_epoch_is_left_out(run_in, tmp_path):
    run_in("r1", seconds=[2.0, 4.0])  # and a first epoch of 100 s
    data = load(tmp_path)
    assert list(epoch_times(data)["seconds"]) == [2.0, 4.0]
    assert list(epoch_times(data)["epoch"]) == [2, 3]
    assert list(epoch_times(data, warmup=2)["seconds"]) == [4.0]
    assert list(epoch_times(data, warmup=0)["seconds"]) == [100.0, 2.0, 4.0]
    with pytest.raises(ValueError, match="-1"):
        epoch_times(data, warmup=-1)


def test_an_epoch_is_as_long_as_on_its_slowest_rank(run_in, tmp_path):
    run = run_in("r1", ranks=2, seconds=[(3.0, 5.0), (6.0, 4.0)])
    text = run.epochs(1).read_text().replace('"seconds_input": 0.5', '"seconds_input": 4.0')
    run.epochs(1).write_text(text)
    times = epoch_times(load(tmp_path))
    assert list(times["rank"]) == [1, 0]
    assert list(times["seconds"]) == [5.0, 6.0]
    assert list(times["samples"]) == [1000, 1000]
    assert list(times["share_input"]) == pytest.approx([0.8, 0.1])
    assert list(times["share_compute"]) == [0.5, 0.5]


def test_an_epoch_that_a_process_lacks_is_not_measured(run_in, tmp_path):
    run = run_in("r1", ranks=2, seconds=[5.0, 6.0])
    run.epochs(1).write_text(run.epochs(1).read_text()[:-5])
    other = run_in("r2", ranks=2, seconds=[5.0])
    other.epochs(1).unlink()
    data = load(tmp_path)
    assert list(epoch_times(data)["seconds"]) == [5.0]
    out = left_out(data)
    assert list(out["run"]) == ["r2"]
    assert out["reason"][0].startswith("no epoch after the warm-up was recorded whole, and in one piece, by every")


def test_the_first_epoch_of_a_resumed_attempt_is_not_measured(run_in, tmp_path):
    """It pays for tracing again, and may be in two pieces."""
    run = run_in("r1", ranks=2, seconds=[5.0, 60.0, 7.0])
    lines = run.epochs(1).read_text().splitlines()
    lines[2] = lines[2][:-1] + ', "resumed": true}'
    run.epochs(1).write_text("\n".join(lines) + "\n")
    assert list(epoch_times(load(tmp_path))["seconds"]) == [5.0, 7.0]


def test_an_epoch_without_a_time_is_not_measured(run_in, tmp_path):
    run = run_in("r1", ranks=2, seconds=[5.0, 6.0])
    run.epochs(1).write_text(run.epochs(1).read_text().replace('"seconds_total": 5.0', '"seconds_total": null'))
    assert list(epoch_times(load(tmp_path))["seconds"]) == [6.0]


def test_a_run_of_one_epoch_has_nothing_measured(run_in, tmp_path):
    run_in("r1", seconds=[])
    run_in("r2", seconds=[4.0])
    data = load(tmp_path)
    assert list(left_out(data)["reason"]) == ["no measured epoch: 1 recorded, the first 1 left out as warm-up"]
    assert scaling_table(data)["runs"].tolist() == [1]


def test_a_run_is_summarised_before_runs_are(run_in, tmp_path):
    # The median of all seven epochs is 3; of the runs' medians (1, 2, 9) it is 2.
    run_in("r1", seconds=[1.0, 1.0, 9.0], train={"epochs": 4})
    run_in("r2", seconds=[2.0], train={"epochs": 4})  # it reached its target
    run_in("r3", seconds=[9.0, 9.0, 3.0], train={"epochs": 4})
    (row,) = scaling_table(load(tmp_path)).to_dict("records")
    assert (row["runs"], row["epochs"]) == (3, 7)
    assert row["epoch_seconds_median"] == 2.0
    assert (row["epoch_seconds_min"], row["epoch_seconds_max"]) == (1.0, 9.0)


def test_throughput_is_samples_over_seconds(run_in, tmp_path):
    # 4 epochs of 1000 samples in 1 + 4 + 5 + 10 s: 200 images/s. The mean of the four rates would be 387.5.
    run_in("r1", seconds=[1.0, 4.0])
    run_in("r2", seconds=[5.0, 10.0])
    assert scaling_table(load(tmp_path))["images_per_second"].tolist() == [200.0]


def test_shares_are_sums_over_sums(run_in, tmp_path):
    run = run_in("r1", seconds=[2.0, 8.0])
    text = run.epochs(0).read_text().replace('"seconds_communication": 2.0', '"seconds_communication": 7.5')
    run.epochs(0).write_text(text)
    row = scaling_table(load(tmp_path)).iloc[0]
    assert row["share_communication"] == pytest.approx((0.5 + 7.5) / 10)
    assert row["share_compute"] == pytest.approx(0.5)


def test_a_share_that_one_epoch_lacks_is_unknown(run_in, tmp_path):
    run = run_in("r1", seconds=[2.0, 8.0])
    run.epochs(0).write_text(run.epochs(0).read_text().replace('"seconds_input": 0.8', '"seconds_input": null'))
    row = scaling_table(load(tmp_path)).iloc[0]
    assert pd.isna(row["share_input"])
    assert row["share_compute"] == pytest.approx(0.5)


def test_test_accuracy_is_the_median_over_runs(run_in, tmp_path):
    for name, accuracy in {"r1": 0.90, "r2": 0.96, "r3": None, "r4": 0.91}.items():
        run_in(name, accuracy=accuracy)
    assert scaling_table(load(tmp_path))["test_accuracy"].tolist() == [0.91]


def test_strong_scaling(run_in, tmp_path):
    # Medians of 12, 8, 10 s and of 4, 5, 6 s: 10 / 5. The mean of the paired ratios would be 2.09.
    for ranks, seconds in [(2, 4.0), (2, 5.0), (2, 6.0), (1, 12.0), (1, 8.0), (1, 10.0)]:
        run_in(f"{ranks}-{seconds}", ranks=ranks, seconds=[seconds])
    run_in("g", ranks=4, seconds=[4.0])
    table = rows_by_ranks(strong_scaling(load(tmp_path)))
    assert table["speedup"].to_dict() == {1: 1.0, 2: 2.0, 4: 2.5}
    assert table["efficiency"].to_dict() == {1: 1.0, 2: 1.0, 4: 0.625}
    assert table["base"].to_dict() == {1: True, 2: False, 4: False}
    assert set(table["base_case"]) == {"1 rank, 10.0 s per epoch (median of 3 runs)"}


def test_the_base_is_the_smallest_not_the_first_and_need_not_be_one_rank(run_in, tmp_path):
    run_in("a", ranks=8, seconds=[2.0])
    run_in("b", ranks=2, seconds=[6.0])
    table = rows_by_ranks(scaling_table(load(tmp_path)))
    assert table["speedup"].to_dict() == {2: 1.0, 8: 3.0}
    assert table["efficiency"].to_dict() == {2: 1.0, 8: 3.0 * 2 / 8}
    assert table["base_case"][8] == "2 ranks, 6.00 s per epoch (1 run)"


def test_weak_scaling(run_in, tmp_path):
    run_in("a", ranks=4, samples=4000, batch_size=400, seconds=[12.5], **WEAK)
    run_in("b", ranks=1, samples=1000, batch_size=100, seconds=[10.0], **WEAK)
    table = rows_by_ranks(weak_scaling(load(tmp_path)))
    assert table["efficiency"].to_dict() == {1: 1.0, 4: 0.8}
    assert table["speedup"].isna().all()
    assert table["images_per_second"].to_dict() == {1: 100.0, 4: 320.0}
    assert table["base"].to_dict() == {1: True, 4: False}
    assert strong_scaling(load(tmp_path)).empty


@pytest.mark.parametrize(
    ("kind", "changed", "message"),
    [
        ("strong", {"samples": 2000}, r"strong scaling.*samples: 1 rank: 1000; 2 ranks: 2000"),
        ("strong", {"batch_size": 200}, r"strong scaling.*batch_size: 1 rank: 100; 2 ranks: 200"),
        ("weak", {"samples": 2000}, r"weak scaling.*batch size per rank.*1 rank: 100; 2 ranks: 100"),
        ("weak", {"batch_size": 200}, r"weak scaling.*samples per rank.*1 rank: 1000; 2 ranks: 1000"),
    ],
)
def test_a_study_whose_rows_contradict_its_kind_is_refused(run_in, tmp_path, kind, changed, message):
    run_in("a", ranks=1, kind=kind)
    run_in("b", ranks=2, kind=kind, **changed)
    with pytest.raises(UsageError, match=message):
        scaling_table(load(tmp_path))


def test_a_failed_run_does_not_contradict_the_kind(run_in, tmp_path):
    run_in("a", ranks=1)
    run_in("b", ranks=2, samples=2000, status="failed")
    assert scaling_table(load(tmp_path))["ranks"].tolist() == [1]


def test_each_series_has_a_base_of_its_own(run_in, tmp_path):
    for precision, one, two in [("float32", 10.0, 8.0), ("bfloat16", 6.0, 3.0)]:
        run_in(f"{precision}-1", ranks=1, seconds=[one], train={"precision": precision})
        run_in(f"{precision}-2", ranks=2, seconds=[two], train={"precision": precision})
    table = scaling_table(load(tmp_path)).set_index(["precision", "ranks"])
    assert table["speedup"].to_dict() == {
        ("bfloat16", 1): 1.0,
        ("bfloat16", 2): 2.0,
        ("float32", 1): 1.0,
        ("float32", 2): 1.25,
    }
    assert table["base_case"]["float32", 2] == "1 rank, precision float32, 10.0 s per epoch (1 run)"


def test_an_axis_that_is_the_size_by_another_name_makes_no_series(run_in, tmp_path):
    run_in("a", ranks=1, seconds=[8.0], point={"gpus": 1}, train={"learning_rate": 0.1})
    run_in("b", ranks=2, seconds=[4.0], point={"gpus": 2}, train={"learning_rate": 0.2})
    assert rows_by_ranks(scaling_table(load(tmp_path)))["speedup"].to_dict() == {1: 1.0, 2: 2.0}


def test_a_chosen_base_serves_the_whole_table(run_in, tmp_path):
    run_in("s", strategy="serial", ranks=1, seconds=[6.0])
    run_in("h1", ranks=1, seconds=[8.0])
    run_in("h2", ranks=2, seconds=[4.0])
    data = load(tmp_path)
    default = scaling_table(data).set_index(["strategy", "ranks"])["speedup"]
    assert default.to_dict() == {("horovod", 1): 1.0, ("horovod", 2): 2.0, ("serial", 1): 1.0}
    chosen = scaling_table(data, {"strategy": "serial", "world_size": "1"}).set_index(["strategy", "ranks"])
    assert chosen["speedup"].to_dict() == {("horovod", 1): 0.75, ("horovod", 2): 1.5, ("serial", 1): 1.0}
    assert chosen["efficiency"]["horovod", 2] == 0.75
    assert set(chosen["base_case"]) == {"1 rank, strategy serial, 6.00 s per epoch (1 run)"}


def test_a_base_for_each_series_can_be_chosen(run_in, tmp_path):
    for strategy in ("horovod", "multiworker"):
        for ranks in (1, 2, 4):
            run_in(f"{strategy}-{ranks}", strategy=strategy, ranks=ranks, seconds=[16.0 / ranks])
    table = scaling_table(load(tmp_path), {"ntasks": "2"}).set_index(["strategy", "ranks"])
    assert set(table[table["base"]].index) == {("horovod", 2), ("multiworker", 2)}
    assert table["speedup"]["horovod", 4] == 2.0
    assert table["speedup"]["horovod", 1] == 0.5
    with pytest.raises(UsageError, match=r"strategy=horovod.*strategy multiworker could be compared with"):
        scaling_table(load(tmp_path), {"strategy": "horovod"})


@pytest.mark.parametrize(
    ("base", "message"),
    [
        ({"rank": "1"}, r"--base: 'rank' is not known. Did you mean 'ranks'"),
        ({"speedup": "1"}, r"--base: 'speedup' is not known"),
        ({"ranks": "one"}, r"--base ranks: 'one' is not valid; expected a number"),
        ({"ranks": "7"}, r"'ranks=7' fits no row of study 'scale'.*ranks=1"),
    ],
)
def test_a_base_that_is_not_there_is_refused(run_in, tmp_path, base, message):
    run_in("a")
    with pytest.raises(UsageError, match=message):
        scaling_table(load(tmp_path), base)


def test_throughput_compares_rates_with_the_smallest_row(run_in, tmp_path):
    run_in("h", ranks=2, samples=2000, batch_size=64, seconds=[8.0], **THROUGHPUT)
    run_in("s", strategy="serial", samples=1000, batch_size=32, seconds=[10.0], **THROUGHPUT)
    table = scaling_table(load(tmp_path)).set_index("strategy")
    assert table["speedup"].to_dict() == {"horovod": 2.5, "serial": 1.0}
    assert table["efficiency"].isna().all()
    assert table["base_case"]["horovod"] == (
        "1 rank, strategy serial, samples 1000, batch_size 32, 100 images/s (1 run)"
    )


def test_repeats_and_seeds_are_one_row_and_other_options_are_not(run_in, tmp_path):
    run_in("a", repeat=1, train={"seed": 1, "optimizer": "sgd"}, point={"seed": 1})
    run_in("b", repeat=2, train={"seed": 2, "optimizer": "sgd"}, point={"seed": 2})
    run_in("c", train={"optimizer": "adam"}, point={"fusion": 64})
    table = scaling_table(load(tmp_path))
    assert table[["train_optimizer", "runs"]].to_numpy().tolist() == [["adam", 1], ["sgd", 2]]
    assert "point_seed" not in table
    assert "point_fusion" in table


def test_machines_are_not_compared(run_in, tmp_path):
    run_in("a", ranks=1, seconds=[8.0], cpu_model="old")
    run_in("b", ranks=2, seconds=[2.0], cpu_model="new")
    table = scaling_table(load(tmp_path))
    assert table["base"].all()
    assert table["speedup"].tolist() == [1.0, 1.0]


def test_mirrored_replicas_are_the_ranks(run_in, tmp_path):
    for replicas, seconds in [(1, 8.0), (4, 4.0)]:
        options = {"strategy": "mirrored", "processes": 1, "train": {"devices": replicas}}
        run_in(f"r{replicas}", ranks=replicas, seconds=[seconds], **options)
    table = rows_by_ranks(scaling_table(load(tmp_path)))
    assert table["efficiency"].to_dict() == {1: 1.0, 4: 0.5}


def test_what_does_not_count_is_listed_with_its_reason(run_in, tmp_path):
    run_in("a")
    run_in("b", status="failed")
    run_in("c", status="interrupted")
    run_in("d", status=None)
    run_in("e").spec.write_text("{")
    run_in("f").provenance.unlink()
    run_in("g").epochs(0).unlink()
    data = load(tmp_path)
    assert scaling_table(data)["runs"].tolist() == [1]
    assert left_out(data).set_index("run")["reason"].to_dict() == {
        "b": "out of memory; exit code 1",
        "c": "out of memory; exit code 1",
        "d": "it has no result.json",
        "e": "what was asked is unknown; spec.json: not a whole JSON object",
        "f": "the number of ranks is unknown; provenance.json: missing",
        "g": "no epoch was recorded",
    }


def test_no_run_that_counts_gives_an_empty_table_with_all_columns(run_in, tmp_path):
    run_in("a", status="failed")
    empty = scaling_table(load(tmp_path))
    run_in("b")
    assert empty.empty
    assert list(empty) == list(scaling_table(load(tmp_path)))


@pytest.fixture(scope="module")
def many(tmp_path_factory, run_at):
    top = tmp_path_factory.mktemp("runs")
    chance = random.Random(1)
    for number in range(24):
        ranks = (1, 2, 4)[number % 3]
        seconds = [[chance.uniform(1, 9) for _ in range(ranks)] for _ in range(3)]
        status = "failed" if number == 5 else "completed"
        strategy = ("horovod", "multiworker")[number % 2]
        run_at(top / f"r{number}", ranks=ranks, seconds=seconds, status=status, strategy=strategy)
    return load(top)


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_the_order_of_the_input_changes_no_number(many, seed):
    shuffled = RunData(*(frame.sample(frac=1, random_state=seed) for frame in many))
    pd.testing.assert_frame_equal(scaling_table(many), scaling_table(shuffled))
