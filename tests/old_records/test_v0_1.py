"""Records that hpcnn 0.1.0 wrote are read as that version read them. The expected values are that version's own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from hpcnn.cli.main import main
from hpcnn.util import pickled

pytestmark = pytest.mark.filterwarnings("error::FutureWarning")

# run: status, exit code, epochs, test accuracy
RUNS = {
    "completed": ("completed", 0, 2, 0.3100),
    "trained": ("completed", 0, 2, 0.1400),
    "failed": ("failed", 1, None, None),
    "stopped-serial": ("interrupted", 75, 2, None),
    "stopped-horovod": ("interrupted", 75, 1, None),
    "stopped-train": ("interrupted", 75, 1, None),
    "numpy": ("completed", 0, 8, 0.6000),
    "numpy-stopped": ("interrupted", 75, 5, None),
    "small/ntasks=1-r01-834242": ("completed", 0, 3, 0.5000),
    "small/ntasks=1-r02-bbc6c6": ("completed", 0, 3, 0.5500),
    "small/ntasks=2-r01-96f63c": ("completed", 0, 3, 0.6600),
    "small/ntasks=2-r02-e202af": ("completed", 0, 3, 0.5100),
    "rates/trial-0000": ("completed", 0, 4, 0.9528),
    "rates/trial-0001": ("completed", 0, 4, 0.8917),
    "rates/trial-0002": ("interrupted", 75, 2, None),
    "script": ("completed", 0, 3, 0.7944),
    "script-stopped": ("interrupted", 75, 4, None),
    "notebook": ("completed", 0, 3, 0.2700),
    "profiled": ("completed", 0, 2, 0.1300),
    "slurm/ntasks=1,seed=1-r01-395f70": ("completed", 0, 2, 0.1800),
    "slurm/ntasks=1,seed=2-r01-5668f5": ("completed", 0, 2, 0.1900),
    "slurm/ntasks=2,seed=1-r01-82c554": ("completed", 0, 2, 0.1400),
    "slurm-job": ("completed", 0, 2, 0.1300),
}


def call(*words: str) -> Result:
    """Run a command in this process; it must succeed."""
    done = CliRunner().invoke(main, list(words), prog_name="hpcnn", catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done


@pytest.mark.parametrize("name", RUNS)
def test_a_run_is_read(name: str, old: Path) -> None:
    from hpcnn.rundir.read import read_run

    status, exit_code, epochs, accuracy = RUNS[name]
    row = read_run(old / "runs" / name).run
    assert (row["status"], row["exit_code"], row["epochs"]) == (status, exit_code, epochs)
    found = row["test_accuracy"]
    assert found is None if accuracy is None else found == pytest.approx(accuracy, abs=5e-5)


def test_the_reason_of_a_failure_is_read(old: Path) -> None:
    from hpcnn.rundir.layout import RunDir

    (failure,) = RunDir(old / "runs" / "failed").failures()
    assert failure["rank"] == 0
    assert "Invalid value for argument `filters`" in failure["reason"]


def test_the_scaling_table_of_a_study(old: Path) -> None:
    import hpcnn

    data = hpcnn.report.load("runs/small")
    one, two = hpcnn.report.scaling_table(data).to_dict("records")
    assert (one["ranks"], one["epochs"], one["runs"]) == (1, 4, 2)
    assert (two["ranks"], two["epochs"], two["runs"]) == (2, 4, 2)
    assert one["epoch_seconds_median"] == pytest.approx(0.0484, abs=5e-5)
    assert two["epoch_seconds_median"] == pytest.approx(0.0768, abs=5e-5)
    assert two["efficiency"] == pytest.approx(0.315, abs=5e-4)
    assert one["test_accuracy"] == pytest.approx(0.525)
    assert two["test_accuracy"] == pytest.approx(0.585)


def test_a_cache_of_another_version_is_as_good_as_none(old: Path) -> None:
    import hpcnn

    with_it = hpcnn.report.load("runs/small")
    (old / "cache").rename(old / "no-cache")
    without = hpcnn.report.load("runs/small")
    assert with_it.runs.equals(without.runs)
    assert with_it.epochs.equals(without.epochs)


def test_a_study_finds_its_runs_by_their_names(old: Path) -> None:
    rows = json.loads(call("study", "status", "small.toml", "--format", "json").stdout)
    assert sum(row["completed"] for row in rows) == 4
    assert sum(row["missing"] for row in rows) == 0


def test_the_jobs_of_a_submitted_study_are_read(old: Path) -> None:
    from hpcnn.rundir.find import find

    assert {job.job_id for job in find(["runs/slurm"])} == {"1_0", "1_1", "2_0"}
    assert [job.job_id for job in find(["runs/slurm-job"])] == ["4"]


def test_the_trials_of_a_search(old: Path) -> None:
    pytest.importorskip("optuna", reason="a search needs Optuna")
    rows = json.loads(call("search", "table", "runs/rates", "--format", "json").stdout)
    assert [row["trial"] for row in rows] == [0, 1, 2]
    assert [row["state"] for row in rows] == ["completed", "completed", "pruned"]
    assert rows[0]["accuracy"] == pytest.approx(0.9528, abs=5e-5)
    assert rows[0]["learning_rate"] == 0.031168622654226853
    assert rows[0]["width"] == 2


def test_benchmarks_of_the_machine(old: Path) -> None:
    from hpcnn.analysis.roofline import read_machine
    from hpcnn.interconnect import link

    measured = link(str(old / "runs" / "allreduce" / "allreduce.json"))
    assert measured.alpha == pytest.approx(3.1249467e-6)
    assert measured.beta == pytest.approx(2.7254551e9)
    ceilings = read_machine(old / "runs" / "machine" / "machine.json").ceilings
    assert {ceiling.threads for ceiling in ceilings} == {1, 2}


def test_recorded_steps(old: Path) -> None:
    from hpcnn.rundir.layout import RunDir
    from hpcnn.trace.chrome import read

    traces = [read(file) for _, file in RunDir(old / "runs" / "profiled").traces()]
    assert [len(trace.events) for trace in traces] == [303, 264]


def test_the_network_of_a_run_and_that_of_a_network_in_numpy(old: Path) -> None:
    pytest.importorskip("keras", reason="a trained network needs Keras")
    import hpcnn
    import hpcnn.scratch

    assert hpcnn.Result("runs/completed").network().count_params() == 500
    boundary = hpcnn.scratch.boundary("runs/numpy")
    assert boundary.points.shape == (400, 2)
    assert boundary.predictions.shape == (300, 300)
    assert boundary.predictions.mean() == pytest.approx(0.650444, abs=1e-6)


def test_functions_of_a_notebook(old: Path) -> None:
    import sys

    pytest.importorskip("cloudpickle", reason="functions of a notebook need cloudpickle")
    if sys.version_info[:2] != (3, 11):
        pytest.skip("the pickles hold code of Python 3.11")
    (x_train, _), (x_test, _) = pickled.read("--data", "runs/functions/load-9665acb4.pkl:load")()
    assert (x_train.shape, x_test.shape) == ((300, 8, 8, 1), (100, 8, 8, 1))
