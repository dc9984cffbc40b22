import csv
import io
import json
import sys

import pytest
from click.testing import CliRunner

from hpcnn.cli.main import main
from hpcnn.cli.predict import parse_ranks
from hpcnn.util.errors import UsageError


def predict(*arguments):
    return CliRunner().invoke(main, ["predict", *map(str, arguments)])


@pytest.fixture
def study(run_in, tmp_path):
    """Return a strong study: 10 s on 1 rank, 5.6 s on 2, 3.1 s on 4."""
    for ranks, seconds in [(1, 10.0), (2, 5.6), (4, 3.1)]:
        run_in(f"r{ranks}", ranks=ranks, seconds=[seconds], samples=6400, batch_size=64)
    return tmp_path


def test_ranks():
    assert parse_ranks("4,1, 2") == [1, 2, 4]
    assert parse_ranks("1..8") == [1, 2, 4, 8]
    assert parse_ranks("3..20") == [3, 6, 12, 20]
    assert parse_ranks("5..5") == [5]
    assert parse_ranks("1..27360")[-2:] == [16384, 27360]


@pytest.mark.parametrize("text", ["", "0", "1,", "1...4", "8..4", "0..4", "-1", "x", "²", "1.5"])
def test_what_is_no_list_of_ranks_is_refused(text):
    with pytest.raises(UsageError, match=r"--ranks: .* expected numbers of ranks from 1"):
        parse_ranks(text)


def test_table_check_and_assumptions(study):
    result = predict(study, "--ranks", "1..8", "--network", "roce-25g", "--wide")
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0] == "scale: strong scaling of cnn on digits: predicted as strong scaling"
    heading = next(line for line in lines if "ranks" in line and "s/epoch" in line)
    for word in ("nodes", "batch", "measured s/epoch", "none hidden", "speed-up", "efficiency", "allreduce ms"):
        assert word in heading
    assert "base case: 1 rank, measured, 10.0 s per epoch" in lines
    (check,) = [line for line in lines if line.startswith("check: ")]
    assert check.startswith("check: 4 ranks, by a model of 1, 2 ranks alone: predicted ")
    assert "measured 3.10 s per epoch" in check
    assert "no interval: a size was run once; two runs of each give one" in lines
    assert "Assumed:" in lines
    assert any("ring allreduce, 4 ranks a node with 1 adapter" in line for line in lines)
    assert any("line rate, 25 Gbit/s (IEEE 802.3by)" in line for line in lines)


def test_an_interval_and_what_it_is_made_of(run_in, tmp_path):
    for ranks, seconds in [(1, 10.0), (2, 5.6), (4, 3.1)]:
        for repeat in range(2):
            took = [seconds * (1 + repeat / 50)]
            run_in(f"r{ranks}-{repeat}", ranks=ranks, seconds=took, samples=6400, batch_size=64, repeat=repeat)
    result = predict(tmp_path, "--ranks", "4,64", "--network", "roce-25g", "--fits")
    (said,) = (line for line in result.stdout.splitlines() if line.startswith("interval"))
    assert said.startswith("interval (at least 95%, of the median time): what repeats differ by, and ")
    assert said.endswith("by which 1 size predicted from smaller ones were off")
    assert " from " in result.stdout
    four, many = json.loads(predict(tmp_path, "--ranks", "4,64", "--network", "roce-25g", "--format", "json").stdout)
    for row in (four, many):
        assert row["seconds_low"] < row["seconds_per_epoch"] < row["seconds_high"]
    assert many["seconds_high"] / many["seconds_low"] > four["seconds_high"] / four["seconds_low"]


def test_json_and_csv_have_the_numbers_and_standard_error_the_words(study):
    result = predict(study, "--ranks", "2,8", "--network", "roce-25g", "--format", "json")
    two, eight = json.loads(result.stdout)
    assert (two["ranks"], two["measured_seconds"], two["kind"]) == (2, 5.6, "strong")
    assert eight["measured_seconds"] is None
    assert two["series"] == "scale: strong scaling of cnn on digits"
    assert "check: 4 ranks" in result.stderr
    assert "Assumed:" in result.stderr
    rows = csv.DictReader(
        io.StringIO(predict(study, "--ranks", "2", "--network", "roce-25g", "--format", "csv").stdout)
    )
    assert [float(row["seconds_per_epoch"]) for row in rows] == [pytest.approx(two["seconds_per_epoch"])]


def test_options_change_the_prediction(study, tmp_path):
    def seconds(*options):
        result = predict(study, "--ranks", "64", "--format", "json", *options)
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)[0]["seconds_per_epoch"]

    file = tmp_path / "bench.json"
    file.write_text('{"alpha_seconds": 0.001, "beta_bytes_per_second": 1e9}')
    slow = seconds("--network", "alpha=0.001,beta=1e9")
    assert seconds("--network", file) == slow
    assert seconds("--network", "alpha=0,beta=1e9") < slow
    assert seconds("--network", "alpha=0.001,beta=1e9", "--algorithm", "tree") < slow
    grouped = ["--network", "alpha=0.001,beta=1e9", "--ranks-per-node", "8", "--algorithm", "hierarchical"]
    assert seconds(*grouped, "--within", "nvlink3") < seconds(*grouped) < slow
    assert seconds("--network", "alpha=0.001,beta=1e9", "--parameters", "100000000") > slow
    assert seconds("--network", "alpha=0.001,beta=1e9", "--kind", "weak") > slow
    big = ["--network", "alpha=0.0001,beta=1e9", "--parameters", "100000000"]
    assert seconds(*big, "--overlap", "0") > seconds(*big, "--overlap", "1")
    assert seconds(*big, "--fusion-mib", "1") > seconds(*big, "--fusion-mib", "1000")


def test_nothing_to_check_against_is_a_warning(run_in, tmp_path):
    run_in("r1", ranks=1)
    result = predict(tmp_path, "--ranks", "2", "--network", "roce-25g")
    assert result.exit_code == 0
    assert "WARNING: not checked: no measured size is left to hold this against" in result.stdout


def test_a_prediction_that_fails_its_check_is_a_warning(run_in, tmp_path):
    run_in("r1", ranks=1, seconds=[10.0])
    run_in("r2", ranks=2, seconds=[30.0])
    result = predict(tmp_path, "--ranks", "4", "--network", "roce-25g")
    assert "WARNING: off by more than 20% where it can be checked" in result.stdout


def test_budget_adds_advice(study):
    output = predict(study, "--ranks", "4", "--network", "roce-25g", "--budget", "5").stdout
    assert "Measure next, within 5 core-hours:" in output
    assert "5 runs on 8 ranks" in output
    output = predict(study, "--ranks", "4", "--network", "roce-25g", "--budget", "1e-6").stdout
    assert "Measure next: nothing costs less than 1e-06 core-hours. The cheapest:" in output


def test_fits_are_told_on_request(study):
    output = predict(study, "--ranks", "4", "--network", "roce-25g", "--fits").stdout
    assert "Fitted to all measured sizes:\n  - amdahl: serial fraction 0.0" in output
    assert "  - usl: no fit: 3 sizes measured (1, 2, 4 ranks)" in output
    assert "Fitted" not in predict(study, "--ranks", "4", "--network", "roce-25g").stdout


def test_each_series_is_predicted(run_in, tmp_path):
    for strategy in ("horovod", "multiworker"):
        for ranks in (1, 2):
            run_in(f"{strategy}-{ranks}", strategy=strategy, ranks=ranks, seconds=[8.0 / ranks])
    output = predict(tmp_path, "--ranks", "4", "--network", "roce-25g").stdout
    assert "strategy horovod: predicted as strong" in output
    assert "strategy multiworker: predicted as strong" in output


def test_published_points_are_shown():
    output = predict("--published").stdout
    assert "Tiramisu" in output
    assert "8 million parameters" in output
    rows = json.loads(predict("--published", "--format", "json").stdout)
    assert [row["published"] for row in rows][:3] == [0.9, 0.9, 0.68]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "STUDY_DIR: missing"),
        (["STUDY", "--ranks", "2"], "--network: missing"),
        (["STUDY", "--network", "roce-25g"], "--ranks: missing"),
        (["STUDY", "--ranks", "2", "--network", "token-ring"], "--network: 'token-ring' is not known"),
        (["STUDY", "--ranks", "2", "--network", "roce-25g", "--within", "x"], "--within: 'x' is not known"),
        (["STUDY", "--ranks", "2", "--network", "roce-25g", "--algorithm", "star"], "--algorithm"),
        (["STUDY", "--ranks", "2", "--network", "roce-25g", "--overlap", "2"], "--overlap"),
        (["STUDY", "--ranks", "2", "--network", "roce-25g", "--budget", "0"], "--budget"),
    ],
)
def test_a_wrong_command_line_is_one_message(study, arguments, message):
    result = predict(*[study if word == "STUDY" else word for word in arguments])
    assert result.exit_code == 2
    assert message in result.stderr
    assert result.stdout == ""


def test_a_study_without_scaling_is_refused(run_in, tmp_path):
    run_in("a", kind="throughput")
    result = predict(tmp_path, "--ranks", "2", "--network", "roce-25g")
    assert result.exit_code == 1
    assert "no measured study of strong or weak scaling" in result.stderr


def test_a_missing_scipy_is_one_message(study, monkeypatch):
    for name in {"scipy", *(name for name in sys.modules if name.startswith("scipy."))}:
        monkeypatch.setitem(sys.modules, name, None)
    done = predict(study / "scale", "--ranks", "2", "--network", "roce-25g")
    assert done.exit_code == 1
    assert done.stderr.strip().endswith("Install it with: pip install 'hpcnn[report]'")
