"""``hpcnn tune``: its dry run, and what it refuses."""

import json

import pytest

from tests.machine.tune.settings import TUNED


def test_a_dry_run_lists_the_trials_and_does_none(in_process, tmp_path):
    done = in_process("tune", "--ntasks", 2, "--cpus-per-task", 1, "--dry-run", "--format", "json", cwd=tmp_path)
    rows = {row["setting"]: row for row in json.loads(done.stdout)}
    assert set(rows) == set(TUNED)
    assert (rows["HOROVOD_CYCLE_TIME"]["now"], rows["HOROVOD_CYCLE_TIME"]["values"]) == ("0.1", ["1", "5"])
    assert not list(tmp_path.iterdir())


def test_a_site_with_slurm_says_what_to_submit(in_process, tmp_path):
    words = ("tune", "--site", "generic-slurm", "--nodes", 2, "--ntasks-per-node", 2, "--time", "20")
    done = in_process(*words, cwd=tmp_path, SLURM_JOB_ID="")
    assert done.returncode == 2
    assert "sbatch --nodes=2 --ntasks-per-node=2 --cpus-per-task=1 --time=20 '--wrap=" in done.stderr
    assert "hpcnn tune --site generic-slurm --nodes 2 --ntasks-per-node 2 --time 20'" in done.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--strategy", "mirrored"), "--strategy: 'mirrored' is not valid; expected serial or horovod."),
        (("--model", "scinet-neuron"), "--model: 'scinet-neuron' is not valid; expected a network of Keras"),
        (("--setting", "HOROVOD_CYCLE"), "--setting: 'HOROVOD_CYCLE' is not known."),
        (("--model", "scinet-cnn9"), "'scinet-cnn9' is not known"),
    ],
)
def test_what_cannot_be_tuned_is_said(in_process, tmp_path, words, message):
    done = in_process("tune", *words, cwd=tmp_path)
    assert done.returncode == 2
    assert message in done.stderr
    assert not list(tmp_path.iterdir())
