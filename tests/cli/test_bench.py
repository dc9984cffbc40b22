"""``hpcnn bench``: its dry run, and what it refuses."""

from __future__ import annotations

import pytest

from tests.conftest import Command

SMALL = ("--ntasks", 2, "--cpus-per-task", 1, "--sizes", "1K..128K", "--repeats", 7)


def test_a_dry_run_shows_the_script_and_writes_nothing(in_process, tmp_path):
    run = tmp_path / "run"
    ended = in_process("bench", "allreduce", *SMALL, "--backend", "horovod", "--dry-run", "--run-dir", run)
    assert ended.returncode == 0
    assert "mpirun -np 2" in ended.stdout
    assert (
        "python -m hpcnn.machine.bench.ranks --model scinet-cnn1 --sizes 1K..128K --repeats 7 --backend horovod"
        in ended.stdout
    )
    assert not run.exists()


def test_it_goes_through_the_script_of_any_site(in_process, tmp_path):
    words = ("--site", "generic-slurm", "--nodes", 2, "--ntasks-per-node", 4, "--time", "10", "--dry-run")
    ended = in_process("bench", "allreduce", *words, "--run-dir", tmp_path / "run")
    assert ended.returncode == 0, ended.stderr
    assert "#SBATCH --nodes=2" in ended.stdout
    assert "srun --ntasks=8" in ended.stdout.replace(" \\\n    ", " ")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "--ntasks: 1 is not valid; expected at least 2"),
        (("--ntasks", "2", "--sizes", "8..32"), "--sizes: '8..32' is not valid; expected at least 4 powers of two"),
        (("--ntasks", "2", "--sizes", "all"), "--sizes: 'all' is not valid"),
        (("--ntasks", "2", "--model", "scinet-cnn"), "Did you mean"),
        (("--ntasks", "2", "--nodes", "2"), "nodes: 2 is not valid; expected 1 at site local"),
        (("--ntasks", "2", "--site", "generic-slurm", "--output", "x.json"), "--output: 'x.json'"),
    ],
)
def test_what_cannot_be_measured_is_refused(in_process, tmp_path, words, message):
    ended = in_process("bench", "allreduce", *words, "--run-dir", tmp_path / "run")
    assert ended.returncode == 2
    assert message in ended.stderr
    assert not (tmp_path / "run").exists()


def test_the_ceilings_are_measured_by_one_process(in_process: Command) -> None:
    ended = in_process("bench", "machine", "--ntasks", 2)
    assert ended.returncode == 2
    assert "--ntasks: 2 is not valid; expected 1" in ended.stderr
