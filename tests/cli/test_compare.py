"""hpcnn compare: its words, its formats, and the exit status that a CI job goes by."""

import json

import pytest
from click.testing import CliRunner

from hpcnn.cli.main import main
from hpcnn.rundir.layout import RunDir
from hpcnn.util.files import read_json, write_json


def compare(*arguments):
    return CliRunner().invoke(main, ["compare", *map(str, arguments)])


@pytest.fixture
def sets(tmp_path, run_at):
    """Return a function that writes runs of 1 rank with these epoch times to a folder of that name."""

    def write(name, *seconds, **facts):
        for n, own in enumerate(seconds):
            run_at(tmp_path / name / f"r{n}", seconds=[own], **facts)
        return tmp_path / name

    return write


def test_a_table_with_words_below(sets):
    result = compare(sets("a", 10.0, 10.1, 10.2, 10.3), sets("b", 12.0, 12.1, 12.2, 12.3, cpu_model="new"))
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines()[0] == "B against A"
    assert "A and B differ in cpu_model: Model C CPU | new." in result.stdout
    assert "1 rank: B is slower (B - A from +1.70 to +2.30 s, 97.1% interval; so in 100% of the pairs" in result.stdout
    assert "Mann and Whitney's and of Brunner and Munzel's test" in result.stdout


def test_json_has_every_number(sets):
    result = compare(sets("a", 10.0, 10.1, 10.2, 10.3), sets("b", 12.0, 12.1, 12.2, 12.3), "--format", "json")
    (row,) = json.loads(result.stdout)
    assert row["difference"] == pytest.approx(2.0)
    assert row["change"] == pytest.approx(12.15 / 10.15 - 1)
    assert row["p_value"] == pytest.approx(2 / 70)
    assert row["conclusive"] is True


@pytest.mark.parametrize(
    ("b", "percent", "status"),
    [
        ([12.0, 12.1, 12.2, 12.3], 5, 1),  # slower by 20 %, and all runs of B are
        ([12.0, 12.1, 12.2, 12.3], 25, 0),  # no more than was allowed
        ([8.0, 8.1, 8.2, 8.3], 5, 0),  # faster
        ([9.0, 10.0, 11.0, 14.0], 5, 2),  # slower by the median, and the data cannot tell
        ([9.0, 10.0, 11.0, 14.0], 50, 0),  # whatever it is, it is less
        ([12.0, 12.1, 12.2], 5, 2),  # too few runs to tell
    ],
)
def test_fail_on_regression(sets, b, percent, status):
    a = [10.0, 10.1, 10.2, 10.3][: len(b)]
    result = compare(sets("a", *a), sets("b", *b), "--fail-on-regression", percent)
    assert result.exit_code == status, result.output
    assert "B against A" in result.stdout
    if status == 1:
        assert "Regression: 1 rank: B is slower by 16.5% to 23.0%; no more than 5 % in time" in result.stderr
    if status == 2 and len(b) == 3:
        assert "1 rank: 3 runs of A and 3 of B are too few runs to tell; 4 and 4 can" in result.stderr


@pytest.mark.parametrize(
    ("status", "accuracy", "options", "code", "words"),
    [
        ("failed", 0.9, (), 2, "4 runs of B did not complete"),
        ("completed", 0.1, (), 1, "the test accuracy of B is lower by 80.00 to 80.00 points"),
        ("completed", 0.895, (), 0, ""),
        ("completed", 0.895, ("--accuracy-tolerance", 0.2), 1, "lower by 0.50 to 0.50 points"),
        ("completed", None, (), 2, "B records no test accuracy"),
    ],
)
def test_a_crash_and_a_lost_accuracy_are_no_pass(sets, run_at, status, accuracy, options, code, words):
    """B is as fast as A, so nothing but the crash or the accuracy decides."""
    a, b = sets("a", 10.0, 10.1, 10.2, 10.3), sets("b", 10.0, 10.1, 10.2, 10.3, accuracy=accuracy)
    for n in range(4 if status == "failed" else 0):
        run_at(b / f"crashed{n}", status=status)
    result = compare(a, b, "--fail-on-regression", 5, *options)
    assert (result.exit_code, words in result.stderr) == (code, True), result.output


def test_of_twenty_accuracies_that_fell_by_the_bound_none_fails_by_chance(tmp_path, run_at):
    """Of one in twenty all of B's are below the bound, as of one in thirty-five sets without a difference."""
    for name, lost in (("a", 0.0), ("b", 0.01)):
        for samples in range(100, 2100, 100):
            for n in range(4):
                alike = 0.01 if name == "b" and samples == 100 else 0.0
                facts = {"samples": samples, "batch_size": 10, "accuracy": 0.9 + 0.001 * n - lost - alike}
                run_at(tmp_path / name / f"{samples}-{n}", seconds=[10.0 + 0.1 * n], **facts)
    result = compare(tmp_path / "a", tmp_path / "b", "--fail-on-regression", 5)
    assert result.exit_code == 2, result.output
    assert "which may be chance among 20 configurations" in result.stderr


def test_an_accuracy_that_few_runs_record_is_no_pass(sets, run_at):
    """Two of B's runs say that they learned nothing, and the others say nothing of it."""
    a, b = sets("a", 10.0, 10.1, 10.2, 10.3), sets("b", 10.0, 10.1)
    for n, seconds in enumerate((10.2, 10.3)):
        run_at(b / f"silent{n}", seconds=[seconds], accuracy=None)
    result = compare(a, b, "--fail-on-regression", 5)
    assert result.exit_code == 2, result.output
    assert "1 rank: too few of its runs record a test accuracy to tell" in result.stderr


def test_a_configuration_that_b_lacks_is_no_pass(sets, run_at):
    a, b = sets("a", 10.0, 10.1, 10.2, 10.3), sets("b", 10.0, 10.1, 10.2, 10.3)
    run_at(a / "two", ranks=2, seconds=[20.0])
    result = compare(a, b, "--fail-on-regression", 5)
    assert result.exit_code == 2
    assert "2 ranks: not in B" in result.stderr
    assert compare(b, a, "--fail-on-regression", 5).exit_code == 0  # what A lacks is new


def test_sets_that_were_measured_one_after_the_other_are_told(sets):
    a, b = sets("a", 10.0, 10.1), sets("b", 10.0, 10.1)
    assert "before" not in compare(a, b).stdout  # written within a second of each other
    for n in range(2):
        record = RunDir(b / f"r{n}").result
        write_json(record, {**read_json(record), "finished_at": "2031-01-05T10:00:00Z", "seconds_total": 60.0})
        write_json(RunDir(a / f"r{n}").result, {**read_json(record), "finished_at": "2031-01-02T09:59:00Z"})
    assert "All of A ran before B began (3 days between them)" in compare(a, b).stdout
    assert "All of B ran before A began" in compare(b, a).stdout


def test_runs_left_out_are_named(sets, tmp_path, run_at):
    a, b = sets("a", 10.0), sets("b", 10.0)
    run_at(b / "lost", status=None)
    assert "Left out of B: " in compare(a, b).stdout
    result = compare(a, b, "--format", "csv")
    assert "lost: unfinished: it has no result.json" in result.stderr
    assert "lost" not in result.stdout


@pytest.mark.parametrize("arguments", [["a", "absent"], ["a", "a"], ["a", "b", "--confidence", "95"]])
def test_what_cannot_be_compared_is_one_message(sets, tmp_path, arguments):
    sets("a", 10.0)
    sets("b", 10.0)
    result = compare(*(tmp_path / word if word in ("a", "b", "absent") else word for word in arguments))
    assert result.exit_code == 2
    assert "Error: " in result.stderr


@pytest.fixture
def benchmark(tmp_path):
    """Return a function that writes what a benchmark writes: values by case and way, images/s unless said otherwise."""

    def write(name, values, unit="images/s", of="training"):
        results = [{"case": case, "way": way, "unit": unit, "values": own} for (case, way), own in values.items()]
        file = tmp_path / f"{name}.json"
        file.write_text(json.dumps({"benchmark": of, "machine": {}, "results": results}))
        return file

    return write


FAST, SLOW = [200.0, 201.0, 201.5, 202.0, 203.0], [150.0, 151.0, 151.5, 152.0, 153.0]


def test_two_results_of_a_benchmark(benchmark):
    a = benchmark("a", {("cnn1", "hpcnn"): FAST, ("cnn1", "fit"): SLOW, ("cnn2", "hpcnn"): FAST})
    b = benchmark("b", {("cnn1", "hpcnn"): SLOW, ("cnn1", "fit"): SLOW})
    result = compare(a, b)
    assert result.exit_code == 0, result.output
    assert "cnn1, hpcnn: B is slower (B - A from -52.0 to -48.0 images/s, 96.8% interval;" in result.stdout
    assert "cnn1, fit: no difference shown" in result.stdout
    rows = json.loads(compare(a, b, "--format", "json").stdout)
    assert [(row["case"], row["way"]) for row in rows] == [("cnn1", "hpcnn"), ("cnn1", "fit")]
    assert rows[0]["slower"] == pytest.approx(201.5 / 151.5 - 1)


@pytest.mark.parametrize(("unit", "first", "second"), [("images/s", FAST, SLOW), ("s", SLOW, FAST)])
def test_a_benchmark_that_is_slower_fails_whichever_way_its_unit_counts(benchmark, unit, first, second):
    a, b = (benchmark(name, {("c", "w"): own}, unit) for name, own in (("a", first), ("b", second)))
    assert compare(a, b, "--fail-on-regression", 5).exit_code == 1
    assert compare(b, a, "--fail-on-regression", 5).exit_code == 0


@pytest.mark.parametrize(
    ("of", "values", "message"),
    [
        ("start", {("c", "w"): FAST}, "A and B are of two benchmarks, training and start"),
        ("training", {("c", "v"): FAST}, "A and B have no case, way and unit in common"),
        ("training", {("c", "w"): []}, "A and B have no case, way and unit in common"),
    ],
)
def test_benchmarks_that_cannot_be_compared(benchmark, of, values, message):
    result = compare(benchmark("a", {("c", "w"): FAST}), benchmark("b", values, of=of))
    assert (result.exit_code, message in result.output) == (2, True), result.output


def test_a_file_of_no_benchmark(benchmark, tmp_path):
    (tmp_path / "other.json").write_text("{}")
    result = compare(benchmark("a", {("c", "w"): FAST}), tmp_path / "other.json")
    assert result.exit_code == 2
    assert "B: '" in result.output
    assert "no file that a benchmark wrote" in result.output
