"""``hpcnn bench``: real ranks under mpirun send real messages; the record is whole and adds up."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from hpcnn.rundir.layout import RunDir

Command = Callable[..., "CompletedProcess[str]"]

SMALL = ("--ntasks", 2, "--cpus-per-task", 1, "--sizes", "1K..128K", "--repeats", 7)


@pytest.fixture(scope="module")
def measured(hpcnn: Command, tmp_path_factory: pytest.TempPathFactory) -> tuple[RunDir, Path, CompletedProcess[str]]:
    """Return a run with both backends, the file of --output, and what the command printed."""
    folder = tmp_path_factory.mktemp("bench")
    output = folder / "link.json"
    ended = hpcnn("bench", "allreduce", *SMALL, "--run-dir", folder / "run", "--output", output)
    return RunDir(folder / "run"), output, ended


@pytest.mark.mpi
@pytest.mark.slow
class TestTwoRanks:
    def test_the_record_is_whole(self, measured):
        run, output, ended = measured
        assert ended.returncode == 0, ended.stdout + ended.stderr
        result = json.loads(run.allreduce.read_text())
        assert result == json.loads(output.read_text())
        assert (result["schema"], result["ranks"], result["nodes"], len(result["hosts"])) == (1, 2, 1, 2)
        assert (run.read_result() or {})["status"] == "completed"

    def test_every_message_was_sent_by_both_backends(self, measured):
        times = json.loads(measured[0].allreduce.read_text())["times"]
        for backend in ("mpi", "horovod"):
            own = [row for row in times if row["backend"] == backend]
            assert [row["bytes"] for row in own if row["kind"] == "sweep"] == [1 << power for power in range(10, 18)]
            tensors, (model,) = ([row for row in own if row["kind"] == kind] for kind in ("tensor", "model"))
            assert sum(row["bytes"] for row in tensors) == model["bytes"] == 4 * 289630
            assert model["tensors"] == len(tensors) == 6
        for row in times:
            assert 0 < row["seconds_low"] <= row["seconds_median"] <= row["seconds_high"] < 10
            assert row["repeats"] == 7
            assert row["coverage"] == 1 - 2 / 2**7

    def test_a_time_is_that_of_real_communication(self, measured):
        """Between the latency of shared memory and seconds: nothing was optimised away, nothing hangs."""
        times = json.loads(measured[0].allreduce.read_text())["times"]
        assert all(1e-7 < row["seconds_median"] < 1 for row in times)
        assert all(row["bytes_per_second"] < 1e12 for row in times)

    def test_latency_and_bandwidth_are_where_predictions_look_for_them(self, measured):
        result = json.loads(measured[0].allreduce.read_text())
        first, second = result["links"]
        assert (first["backend"], second["backend"]) == ("mpi", "horovod")
        assert {key: result[key] for key in first} == first
        for link in result["links"]:
            for key in ("alpha_seconds", "beta_bytes_per_second"):
                assert 0 <= link[f"{key}_low"] <= link[f"{key}_high"]
        assert result["alpha_seconds"] > 0

    def test_people_get_a_table_and_the_link(self, measured):
        lines = measured[2].stdout.splitlines()
        assert lines[0].startswith("allreduce on 2 ranks, 1 node; ")
        assert any("sequential/dense/kernel" in line and "1.1 MiB" in line for line in lines)
        assert lines[-2].startswith("mpi: alpha ")
        assert lines[-1].startswith("horovod: alpha ")

    def test_programs_get_rows(self, hpcnn, tmp_path):
        words = ("--backend", "mpi", "--format", "csv", "--run-dir", tmp_path / "run")
        ended = hpcnn("bench", "allreduce", *SMALL, *words)
        assert ended.returncode == 0, ended.stderr
        rows = list(csv.DictReader(io.StringIO(ended.stdout)))
        assert {row["backend"] for row in rows} == {"mpi"}
        assert len(rows) == 8 + 6 + 1
        assert "mpi: alpha" in ended.stderr

    def test_a_model_that_is_not_there_ends_all_ranks(self, hpcnn, tmp_path):
        ended = hpcnn("bench", "allreduce", *SMALL, "--model", "no_such.module:f", "--run-dir", tmp_path / "run")
        assert ended.returncode == 1
        assert "--model: 'no_such.module:f': cannot import" in ended.stderr


@pytest.mark.slow
def test_the_ceilings_of_this_machine_are_rates_of_a_machine(hpcnn: Command, tmp_path: Path) -> None:
    pytest.importorskip("tensorflow")
    output = tmp_path / "machine.json"
    words = ("--threads", 1, "--run-dir", tmp_path / "run", "--output", output, "--format", "json")
    ended = hpcnn("bench", "machine", *words)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    result = json.loads(ended.stdout)
    assert result == json.loads(output.read_text()) == json.loads(RunDir(tmp_path / "run").machine.read_text())
    (ceiling,) = result["ceilings"]
    assert ceiling["threads"] == 1
    # between a processor of the last century and any of this one
    assert all(1e8 < ceiling[f"{name}_flops_per_second"] < 1e16 for name in ("float32", "bfloat16"))
    assert 1e8 < ceiling["bytes_per_second"] < 1e14
