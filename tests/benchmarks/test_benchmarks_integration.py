"""Every benchmark runs to its end and writes what it says: far too little is measured to mean anything."""

import json
import math
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MPI = [pytest.mark.slow, pytest.mark.mpi, pytest.mark.long]
LONG = [pytest.mark.slow, pytest.mark.long]
WAYS = {
    "login_node": {"start", "peak memory"},
    "rendering": {"hpcnn", "Jinja2 alone", "arrays: 4 calls of sbatch", "one by one: 8 calls of sbatch"},
    "report_load": {"no cache", "cache: first time", "cache: second time", "pandas.read_json"},
    "intervals": {"coverage", "hpcnn", "hpcnn without jitter", "half-width"},
    "start": {"serial", "model.fit"},
    "training": {"hpcnn", "model.fit"},
    "steps": {"hpcnn", "hpcnn, HPCNN_REWRITE=0", "model.fit"},
    "operations": {"hpcnn", "hpcnn, HPCNN_REWRITE=0"},
    "input": {
        *("npy", "h5, one piece", "h5", "zarr", "tfrecord", "parquet"),
        *("tf.data by hand", "hpcnn", "Keras's folder", "in memory"),
        *("1,000 samples", "0 million, npy", "0 million, h5"),
    },
    "time_to_accuracy": {"hpcnn", "the lecture's"},
    "horovod": {
        "hpcnn, horovod",
        "ceiling: no communication",
        "ceiling of ranks that meet in every step",
        "Horovod's example, its defaults",
    },
}


def test_every_benchmark_is_tried_documented_and_part_of_make_bench():
    scripts = {file.stem for file in (ROOT / "benchmarks").glob("*.py")} - {"common"}
    assert {*WAYS, "study_scale"} == scripts  # tests/slurm/test_study_scale.py: on the cluster
    document, makefile = ((ROOT / name).read_text() for name in ("docs/benchmarks.md", "Makefile"))
    for script in scripts:
        assert f"benchmarks/{script}.py" in makefile
        assert f"## {script}.py: " in document
        assert f"<!-- table:{script} -->" in document


@pytest.mark.parametrize(
    "name",
    [
        "login_node",
        "rendering",
        "report_load",
        "intervals",
        pytest.param("start", marks=pytest.mark.slow),
        pytest.param("training", marks=LONG),
        pytest.param("steps", marks=LONG),
        pytest.param("operations", marks=LONG),
        pytest.param("input", marks=LONG),
        pytest.param("time_to_accuracy", marks=LONG),
        pytest.param("horovod", marks=MPI),
    ],
)
def test_a_benchmark_runs_and_writes_every_value(name, command, tmp_path):
    file = tmp_path / "results" / "found.json"
    words = (sys.executable, ROOT / "benchmarks" / f"{name}.py", "--smoke", "--json", file)
    done = command(*words, cwd=tmp_path, PYTHONPATH=str(ROOT), HPCNN_DATA="")
    assert done.returncode == 0, done.stderr
    record = json.loads(file.read_text())
    assert record["benchmark"] == name
    assert record["machine"]["cpu_model"] in done.stdout
    assert record["machine"]["versions"]["hpcnn"] in done.stdout
    assert {one["way"] for one in record["results"]} == WAYS[name]
    for one in record["results"]:
        assert one["unit"]
        assert all(math.isfinite(value) and value >= 0 for value in one["values"])
        assert one["values"]
    assert done.stdout.count("\n| ") > len(WAYS[name])


def test_job_scripts_by_jinja_alone_are_those_of_hpcnn(tmp_path):
    check = "import rendering; assert all(rendering.by_hpcnn(n) == rendering.by_jinja()(n) for n in range(40))"
    words = [sys.executable, "-c", check]
    environment = {"PYTHONPATH": f"{ROOT}:{ROOT / 'benchmarks'}", "HPCNN_CONFIG": str(tmp_path)}
    done = subprocess.run(words, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
