import csv
import io
import json
import subprocess
import sys

import pytest
from click.testing import CliRunner

from hpcnn.cli.main import main


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


def test_table(study):
    result = report(study)
    assert result.exit_code == 0, result.output
    lines = [line for line in result.stdout.splitlines() if line.strip()]
    title, settings, heading, rule, one, two, *others = lines
    assert title == "scale: strong scaling of cnn on digits; Model C CPU"
    assert settings == (
        "In all rows: strategy horovod, precision float32, samples 1000, batch_size 100, cpus_per_task 1."
    )
    assert heading.split()[:5] == ["ranks", "nodes", "runs", "epochs", "s/epoch"]
    assert set(rule.strip()) == {"─"}
    shares = ["50.0%", "25.0%", "10.0%", "90.00%"]
    assert one.split() == [
        "1",
        "1",
        "3",
        "3",
        "10.0",
        "9.00..12.0",
        "96.8",
        "1.00",
        "100.0%",
        *shares,
        "base",
    ]
    assert two.split() == ["2", "1", "1", "1", "4.00", "–", "250", "2.50", "125.0%", *shares]
    caption, out, failed = others
    assert caption == (
        "base case: 1 rank, 10.0 s per epoch (median of 3 runs); warm-up epoch left out; "
        "slowest rank per epoch; min..max over the runs' medians; "
        "fewer than 6 runs carry no 95 % confidence interval"
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
        "images_per_second": 250.0,
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
        ("task=1", "--base: 'task' is not known. Did you mean 'ntasks'?"),
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


def test_help_has_an_example_and_needs_no_pandas():
    code = (
        "import sys; from hpcnn.cli.main import main; "
        "main(['scaling-report', '--help'], standalone_mode=False); sys.exit('pandas' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "Example:  hpcnn scaling-report" in done.stdout
