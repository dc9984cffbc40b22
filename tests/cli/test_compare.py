"""hpcnn compare: its words, its formats, and the exit status that a CI job goes by."""

import json

import pytest
from click.testing import CliRunner

from hpcnn.cli.main import main


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
    assert "Mann and Whitney's rank test" in result.stdout


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
        ([9.0, 10.0, 11.0, 14.0], 0, 0),  # slower by the median, and the data cannot tell
        ([12.0, 12.1, 12.2], 5, 2),  # too few runs to tell
    ],
)
def test_fail_on_regression(sets, b, percent, status):
    a = [10.0, 10.1, 10.2, 10.3][: len(b)]
    result = compare(sets("a", *a), sets("b", *b), "--fail-on-regression", percent)
    assert result.exit_code == status, result.output
    assert "B against A" in result.stdout
    if status == 1:
        assert "Regression: B is slower by up to 19.7%; no more than 5 % is allowed." in result.stderr
    if status == 2:
        assert "too few runs to tell; 4 in A and 4 in B can" in result.stderr


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


FAST, SLOW = [200.0, 201.0, 202.0, 203.0], [150.0, 151.0, 152.0, 153.0]


def test_two_results_of_a_benchmark(benchmark):
    a = benchmark("a", {("cnn1", "hpcnn"): FAST, ("cnn1", "fit"): SLOW, ("cnn2", "hpcnn"): FAST})
    b = benchmark("b", {("cnn1", "hpcnn"): SLOW, ("cnn1", "fit"): SLOW})
    result = compare(a, b)
    assert result.exit_code == 0, result.output
    assert "cnn1, hpcnn: B is slower (B - A from -53.0 to -47.0 images/s, 97.1% interval;" in result.stdout
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
