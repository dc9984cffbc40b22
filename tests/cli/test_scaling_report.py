import csv
import io
import json
import re

import pandas as pd
import pytest
from click.testing import CliRunner

from hpcnn.cli.main import main
from hpcnn.report import load, scaling_table
from hpcnn.report.views.view import setting
from hpcnn.rundir.layout import SCHEMA_VERSION
from hpcnn.specs.train import AugmentSpec
from hpcnn.util.files import write_json


def report(*arguments):
    return CliRunner().invoke(main, ["scaling-report", *map(str, arguments)])


@pytest.fixture
def study(run_in, tmp_path):
    """Return a strong study: 10 s on 1 rank (median of 9, 10, 12), 4 s on 2, and a failed run."""
    for repeat, seconds in enumerate([12.0, 9.0, 10.0], 1):
        run_in(f"one-{repeat}", ranks=1, repeat=repeat, seconds=[seconds])
    run_in("two", ranks=2, seconds=[4.0])
    run_in("four", ranks=4, status="failed")
    return tmp_path


def test_a_table_has_what_most_people_want(study):
    result = report(study)
    (heading,) = [line for line in result.stdout.splitlines() if line.startswith("ranks")]
    assert heading.split("  ")[0] == "ranks"
    assert " ".join(heading.split()) == "ranks runs s/epoch interval speed-up efficiency test accuracy"
    assert "5..95 %" not in result.stdout


def test_placements_of_one_number_of_ranks_are_told_apart_in_every_table(run_in, tmp_path):
    for ranks, nodes, seconds in ((1, 1, 10.0), (4, 1, 3.0), (4, 2, 2.0)):
        for repeat in range(1, 3):
            resources = {"nodes": nodes, "ntasks": ranks, "cpus_per_task": 1}
            run_in(f"{ranks}-{nodes}-{repeat}", ranks=ranks, repeat=repeat, seconds=[seconds], resources=resources)
    result = report(tmp_path, "--table", "all")
    assert result.exit_code == 0, result.output
    headings = [line.split()[:2] for line in result.stdout.splitlines() if line.startswith("ranks ")]
    assert headings == [["ranks", "nodes"]] * 7
    assert "4 ranks on 2 nodes: an efficiency of 125%" in result.stdout


def test_table(study):
    result = report(study, "--wide")
    assert result.exit_code == 0, result.output
    lines = [line for line in result.stdout.splitlines() if line.strip()]
    title, settings, heading, rule, one, two, *others = lines
    assert title == "scale: strong scaling of cnn on digits; Model C CPU"
    assert settings == (
        "In all rows: strategy horovod, precision float32, samples 1000, batch_size 100, cpus_per_task 1."
    )
    assert heading.split()[:5] == ["ranks", "nodes", "runs", "epochs", "s/epoch"]
    assert set(rule.strip()) == {"─"}
    shares = ["50.0%", "25.0%", "10.0%"]
    assert one.split() == [
        "1",
        "1",
        "3",
        "3",
        "10.0",
        "9.00..12.0",
        "75.0%",
        "9.10..11.8",
        "100",
        "1.00",
        "100.0%",
        *shares,
        "0.00278",
        "90.00%",
        "base",
    ]
    one_run = ["2", "1", "1", "1", "4.00", "–", "–", "4.00..4.00"]
    assert two.split() == [*one_run, "250", "2.50", "125.0%", *shares, "0.00111", "90.00%"]
    superlinear, caption, out, failed = others
    assert superlinear.startswith(
        "2 ranks: an efficiency of 125%, which ranks cannot give. 1 run cannot tell noise from"
    )
    assert caption == (
        "base case: 1 rank, 10.0 s per epoch (median of 3 runs); warm-up epoch left out; "
        "slowest rank per epoch; interval: exact, of the median over runs, with its true coverage; "
        "too few runs: a 95 % interval needs 6; 5..95 %: percentiles of all measured epochs; "
        "outliers: not testable, a run needs 4 measured epochs"
    )
    assert out == "Left out (1):"
    assert failed.endswith("four: failed: out of memory; exit code 1")


def test_json(study):
    result = report(study, "--format", "json")
    one, two = json.loads(result.stdout)
    expected = {
        "study": "scale",
        "kind": "strong",
        "model": "cnn",
        "data": "digits",
        "strategy": "horovod",
        "ranks": 2,
        "nodes": 1,
        "runs": 1,
        "epochs": 1,
        "epoch_seconds_median": 4.0,
        "epoch_seconds_min": 4.0,
        "epoch_seconds_max": 4.0,
        "interval_low": None,
        "interval_high": None,
        "interval_coverage": None,
        "runs_needed": 6,
        "epoch_seconds_p05": 4.0,
        "epoch_seconds_p95": 4.0,
        "outliers": 0,
        "ceiling_images_per_second": None,
        "node_hours_per_epoch": 4 / 3600,
        "core_hours_per_epoch": 8 / 3600,
        "gpu_hours_per_epoch": 0.0,
        "images_per_second": 250.0,
        "images_per_second_per_rank": 125.0,
        "speedup": 2.5,
        "efficiency": 1.25,
        "share_compute": 0.5,
        "share_communication": 0.25,
        "share_input": 0.1,
        "test_accuracy": 0.9,
        "base": False,
        "base_case": "1 rank, 10.0 s per epoch (median of 3 runs)",
    }
    assert {key: two[key] for key in expected} == expected
    assert one["base"] is True
    assert "four: failed" in result.stderr
    assert "four" not in result.stdout


def test_csv(study):
    result = report(study, "--format", "csv")
    one, two = csv.DictReader(io.StringIO(result.stdout))
    assert (one["ranks"], one["epoch_seconds_median"], one["base"]) == ("1", "10.0", "True")
    assert (two["ranks"], two["speedup"], two["program"]) == ("2", "2.5", "")
    assert "four: failed" in result.stderr


def test_markdown(study):
    result = report(study, "--format", "markdown")
    lines = result.stdout.splitlines()
    assert lines[0] == "**scale: strong scaling of cnn on digits; Model C CPU**"
    heading, rule, one, two = (line for line in lines if line.startswith("|"))
    assert heading.startswith("| ranks | nodes | runs | epochs | s/epoch | interval | coverage |")
    assert set(rule) <= set("|-:")
    assert len({line.count("|") for line in (heading, rule, one, two)}) == 1
    assert one.startswith("| 1 | 1 | 3 | 3 | 10.0 | 9.00..12.0 | 75.0% |")
    assert "base case: 1 rank, 10.0 s per epoch (median of 3 runs)" in result.stdout
    assert "four: failed" in result.stderr


def test_latex(study):
    output = report(study, "--format", "latex").stdout
    assert output.startswith("\\begin{table}\n\\caption{scale: strong scaling of cnn on digits; Model C CPU.")
    assert "batch\\_size 100" in output
    assert "1 & 1 & 3 & 3 & 10.0 & 9.00..12.0 & 75.0\\% & " in output
    assert "2 & 1 & 1 & 1 & 4.00 & -- & -- & " in output
    assert re.search(r"(?<!\\)[%_#]", output) is None
    assert output.count("{") == output.count("}")


def test_parquet_holds_the_table_as_it_is(study, tmp_path):
    pytest.importorskip("pyarrow")
    result = report(study, "--format", "parquet")
    file = tmp_path / "table.parquet"
    file.write_bytes(result.stdout_bytes)
    table = scaling_table(load(study)).reset_index(drop=True)
    pd.testing.assert_frame_equal(pd.read_parquet(file), table, check_dtype=False)


@pytest.mark.parametrize(
    "table",
    ["scaling", "accuracy", "devices", "cost", "pop", "usage", "proposal", "quality", "rules", "left-out"],
)
@pytest.mark.parametrize("fmt", ["table", "json", "csv", "markdown", "latex"])
def test_every_table_in_every_format(study, table, fmt):
    result = report(study, "--table", table, "--format", fmt)
    assert result.exit_code == 0, result.output
    assert result.stdout.strip()
    assert "four" in result.output  # what was left out is always told


def test_a_proposal_has_the_hours_of_so_many_trainings(study):
    result = report(study, "--table", "proposal", "--trainings", "200")
    assert "hours of 200 trainings of cnn on digits" in result.stdout
    assert "Ask for: 200 trainings on" in result.stdout
    refused = report(study, "--table", "proposal", "--trainings", "0")
    assert refused.exit_code == 2
    assert "--trainings" in refused.stderr


def test_all_tables(study):
    tables = json.loads(report(study, "--table", "all", "--format", "json").stdout)
    assert list(tables) == [
        "scaling",
        "accuracy",
        "devices",
        "lectures",
        "cost",
        "roofline",
        "pop",
        "jitter",
        "usage",
        "proposal",
        "quality",
        "rules",
        "left_out",
    ]
    assert [len(rows) for rows in tables.values()] == [2, 2, 6, 0, 2, 0, 2, 0, 2, 2, 2, 17, 1]
    printed = report(study, "--table", "all").stdout
    for title in ("strong scaling", "time to accuracy", "CPU and GPU", "cost", "Left out: 1"):
        assert title in printed
    for fmt in ("csv", "parquet"):
        result = report(study, "--table", "all", "--format", fmt)
        assert result.exit_code == 2
        assert "holds one table; name it with --table" in result.stderr


def test_a_table_of_accuracy_says_how_many_never_got_there(run_in, tmp_path):
    run_in("a", accuracies=[0.5, 0.7, 0.97])
    run_in("b", accuracies=[0.5, 0.7, 0.8])
    output = report(tmp_path, "--table", "accuracy", "--target", 0.97, "--wide").stdout
    (row,) = (line.split() for line in output.splitlines() if line.split()[:1] == ["1"])
    assert row[2:6] == ["97.00%", "2", "1", "1"]
    assert "clock from the start of training, never paused, evaluations included" in output


def test_without_a_gpu_the_gpu_rows_are_the_lectures_and_said_to_be(study):
    output = report(study, "--table", "devices").stdout
    assert "lectures (reference)" in output
    assert "P100 GPU" in output
    assert "no GPU was measured: the GPU rows are the lectures' alone" in output


def test_charges_are_those_of_the_sites_profile(run_in, tmp_path, monkeypatch):
    profile = tmp_path / "conf" / "sites" / "course.toml"
    profile.parent.mkdir(parents=True)
    profile.write_text('charge_core_hour = 2.0\ncharge_unit = "SU"\n')
    monkeypatch.setenv("HPCNN_CONFIG", str(tmp_path / "conf"))
    run_in("a", site="course", seconds=[3600.0])
    run_in("b", site="elsewhere", seconds=[3600.0], ranks=2)
    rows = json.loads(report(tmp_path / "scale", "--table", "cost", "--format", "json").stdout)
    assert [(row["charge_per_epoch"], row["charge_unit"]) for row in rows] == [(2.0, "SU"), (None, None)]
    assert "SU/epoch" in report(tmp_path / "scale", "--table", "cost").stdout


def test_energy_without_slurm_is_one_message(run_in, tmp_path, monkeypatch):
    run = run_in("a")
    write_json(run.job, {"schema": SCHEMA_VERSION, "job_id": "17", "site": "narval", "submitted_at": "now"})
    monkeypatch.setenv("PATH", str(tmp_path))
    result = report(tmp_path, "--table", "cost", "--energy")
    assert result.exit_code == 2
    assert "sacct is not on this machine" in result.stderr


def test_side_by_side(run_in, tmp_path):
    for study, machine, seconds in (("one", "old", 8.0), ("two", "new", 4.0)):
        run_in(f"{study}1", study=study, cpu_model=machine, ranks=1, seconds=[seconds])
        run_in(f"{study}2", study=study, cpu_model=machine, ranks=2, seconds=[seconds / 2])
    output = report(tmp_path, "--by", "model").stdout
    assert output.count("base cases: ") == 1
    assert "Several studies: strong scaling of cnn on digits" in output
    one = "1 rank, study one, cpu_model old, 8.00 s per epoch (1 run)"
    two = "1 rank, study two, cpu_model new, 4.00 s per epoch (1 run)"
    assert f"base cases: {one} | {two}" in output
    rows = json.loads(report(tmp_path, "--by", "model", "--format", "json").stdout)
    assert [row["speedup"] for row in rows] == [1.0, 2.0, 1.0, 2.0]
    rows = json.loads(report(tmp_path, "--by", "model", "--base", "study=one,ranks=1", "--format", "json").stdout)
    assert [row["speedup"] for row in rows] == [1.0, 2.0, 2.0, 4.0]


def test_warm_up_outliers_and_confidence_are_stated(run_in, tmp_path):
    run_in("a", seconds=[10.0, 10.1, 10.2, 10.3, 50.0])
    kept = report(tmp_path)
    assert "outliers kept: 1 (epochs outside Tukey's fences of their run)" in kept.stdout
    dropped = report(tmp_path, "--drop-outliers", "--warmup", 2, "--confidence", 0.99)
    assert "2 warm-up epochs left out" in dropped.stdout
    assert "outliers left out: 1" in dropped.stdout
    assert "a 99 % interval needs 8" in dropped.stdout
    assert "no warm-up epoch left out" in report(tmp_path, "--warmup", 0).stdout


def test_several_versions_are_named(run_in, tmp_path):
    run_in("a", hpcnn="0.1.0")
    run_in("b", hpcnn="0.2.0", ranks=2)
    output = report(tmp_path).stdout
    assert "Measured with several versions of hpcnn:" in output
    assert "0.2.0: 1 of the runs" in output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--by", "machine"], "--by: 'machine' is not known"),
        (["--by", "model,,data"], "--by: 'model,,data' is not valid"),
        (["--by", "speedup"], "--by: 'speedup' is not known"),
        (["--confidence", "95"], "--confidence"),
        (["--target", "97"], "--target"),
        (["--warmup", "-1"], "--warmup"),
        (["--format", "excel"], "--format"),
        (["--table", "costs"], "--table"),
        (["--carbon-g-per-kwh", "-3"], "--carbon-g-per-kwh"),
    ],
)
def test_a_wrong_option_is_one_message(study, arguments, message):
    result = report(study, *arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    assert result.stdout == ""


def test_weak_scaling_is_called_so_and_has_no_speedup(run_in, tmp_path):
    run_in("a", ranks=1, kind="weak", samples=1000, batch_size=100, seconds=[10.0])
    run_in("b", ranks=2, kind="weak", samples=2000, batch_size=200, seconds=[12.5])
    output = report(tmp_path).stdout
    assert "weak scaling of cnn" in output
    assert "strong" not in output
    assert "speed-up" not in output
    assert "80.0%" in output
    rows = json.loads(report(tmp_path, "--format", "json").stdout)
    assert [row["speedup"] for row in rows] == [None, None]
    assert [row["efficiency"] for row in rows] == [1.0, 0.8]


def test_each_study_has_a_table_and_json_has_the_columns_of_all(run_in, tmp_path):
    run_in("a", study="one")
    run_in("b", study="two", kind=None, point={"fusion": 0})
    run_in("c", study="two", kind=None, point={"fusion": 64}, seconds=[5.0, 5.0])
    output = report(tmp_path).stdout
    assert output.index("one: strong scaling") < output.index("two: throughput")
    assert output.count("base case: ") == 2
    assert "1 rank, fusion 0, 100 images/s (1 run); speed-up is the ratio of images/s" in output
    rows = json.loads(report(tmp_path, "--format", "json").stdout)
    assert [(row["study"], row["point_fusion"], row["speedup"]) for row in rows] == [
        ("one", None, 1.0),
        ("two", 0, 1.0),
        ("two", 64, 2.0),
    ]


def test_base_is_chosen(study):
    rows = json.loads(report(study, "--format", "json", "--base", "ntasks=2").stdout)
    assert [(row["ranks"], row["speedup"], row["base"]) for row in rows] == [(1, 0.4, False), (2, 1.0, True)]


@pytest.mark.parametrize(
    ("base", "message"),
    [
        ("ntasks", "--base: 'ntasks' is not valid; expected KEY=VALUE,..."),
        ("task=1", "--base: 'task' is not known. Did you mean 'cpus_per_task' or 'ntasks'?"),
        ("ntasks=3", "--base: 'ntasks=3' fits no row"),
    ],
)
def test_a_wrong_base_is_one_message(study, base, message):
    result = report(study, "--base", base)
    assert result.exit_code == 2
    assert message in result.stderr
    assert result.stdout == ""


def test_a_counted_run_with_a_damaged_file_is_named(study):
    file = study / "scale" / "two" / "epochs.rank00001.jsonl"
    file.write_text(file.read_text() + '{"epoch": 3, "rank"')
    output = report(study).stdout
    assert "Counted, with a problem (1):" in output
    assert "two: epochs.rank00001.jsonl: the last line is cut off" in output


def test_without_any_complete_run_all_are_listed(run_in, tmp_path):
    run_in("a", status="failed")
    run_in("b", status=None)
    result = report(tmp_path, "--format", "json")
    assert result.exit_code == 1
    assert "no run can be counted" in result.stderr
    assert "a: failed: out of memory" in result.stderr
    assert "b: unfinished: it has no result.json" in result.stderr
    assert result.stdout == ""


def test_a_mixed_study_is_one_message(run_in, tmp_path):
    run_in("a", ranks=1)
    run_in("b", ranks=2, batch_size=200)
    result = report(tmp_path)
    assert result.exit_code == 2
    assert "batch_size: 1 rank: 100; 2 ranks: 200" in result.stderr


def test_what_is_not_a_directory_of_runs_is_one_message(tmp_path):
    for directory in (tmp_path, tmp_path / "absent"):
        result = report(directory)
        assert result.exit_code == 2
        assert repr(str(directory)) in result.stderr


def test_what_to_measure_next_and_predictions(study):
    pytest.importorskip("matplotlib")
    page = study / "report.html"
    result = report(study, "--budget", 10, "--network", "infiniband-hdr", "--html", page)
    assert result.exit_code == 0, result.output
    asked = result.stdout.partition("What to measure next")[2]
    assert "brings the median on 2 ranks to a 95 % interval (6 runs)" in asked
    assert asked.rstrip().endswith("budget: 10 core-hours")
    text = page.read_text()
    assert "What to measure next" in text
    assert "Prediction: " in text
    assert "network infiniband-hdr; " in text

    for words, key in (
        (("--network", "infiniband-hdr"), "--network"),
        (("--html", page, "--network", "x"), "--network"),
    ):
        refused = report(study, *words)
        assert refused.exit_code == 2
        assert f"{key}: " in refused.stderr


def test_keywords_of_an_option_are_shown_as_words_and_idle_ones_not_at_all():
    given = json.dumps({**vars(AugmentSpec()), "rotation": 10.0, "zoom": 0.1})
    assert setting("train_augment").show(given) == "rotation=10.0, zoom=0.1"
    assert setting("train_augment").show(json.dumps(vars(AugmentSpec()))) == "none"
    assert setting("train_model_args").show('{"numfm": 8}') == "numfm=8"
    assert setting("train_model_args").show('{"noise": 0.0}') == "noise=0.0"  # a network's own, and no augmentation
    assert setting("train_loss").show('{"a": 1}') == '{"a": 1}'
