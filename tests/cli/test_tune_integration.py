"""`hpcnn tune` as users call it: real trials by job script, mpirun and Horovod, and what they leave."""

import json
import signal
import time

import numpy as np
import pytest

from hpcnn.machine.smoke import weights
from hpcnn.machine.tune.search import TrialFailed
from hpcnn.machine.tune.trials import EPOCHS, Trials, trial_job
from hpcnn.specs.resources import Resources
from hpcnn.specs.software import SoftwareSpec
from hpcnn.specs.train import TrainSpec
from tests.machine.tune.settings import TUNED

SLOW = "# mine\n[environment]\nHOROVOD_CYCLE_TIME = '100' # far too long\nMINE = 'kept'\n"


def test_a_trial_is_short_and_one_that_fails_says_why(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    job = trial_job("local", Resources(), SoftwareSpec(), TrainSpec(), steps=3)
    assert (job.train.samples, job.train.batch_size, job.train.epochs, job.train.evaluate) == (384, 128, EPOCHS, False)
    with pytest.raises(TrialFailed, match="HPCNN_GROUPED_ALLREDUCE: 'maybe' is not known"):
        Trials(job, tmp_path / "trials").rate({"HPCNN_GROUPED_ALLREDUCE": "maybe"})


def test_an_interrupted_tuning_writes_no_profile(hpcnn_process, tmp_path):
    process = hpcnn_process("tune", cwd=tmp_path, HPCNN_CONFIG=str(tmp_path / "config"))
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob("runs/tune/*/001/log.out")):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 130
    assert not (tmp_path / "config" / "sites").exists()


@pytest.mark.slow
@pytest.mark.mpi
def test_a_bad_setting_is_found_and_the_better_one_kept(hpcnn, tmp_path):
    profile = tmp_path / "config" / "sites" / "local.toml"
    profile.parent.mkdir(parents=True)
    profile.write_text(SLOW)
    words = ("--ntasks", 2, "--cpus-per-task", 1, "--setting", "HOROVOD_CYCLE_TIME", "--repeats", 1, "--steps", 4)
    config = str(tmp_path / "config")
    done = hpcnn("tune", *words, "--format", "json", cwd=tmp_path, HPCNN_CONFIG=config)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert list(found["settings"]) == ["HOROVOD_CYCLE_TIME"]
    assert found["tried"][-1]["setting"] == "all that was kept"
    assert found["tried"][-1]["ratio"] > 1.2
    best = found["settings"]["HOROVOD_CYCLE_TIME"]
    assert profile.read_text().startswith(f'# mine\n[environment]\nHOROVOD_CYCLE_TIME = "{best}" # hpcnn tune, ')
    assert profile.read_text().endswith("\nMINE = 'kept'\n")
    shown = json.loads(hpcnn("sites", "show", "local", "--origin", "--format", "json", HPCNN_CONFIG=config).stdout)
    environment = next(row for row in shown if row["key"] == "environment")
    assert (environment["value"]["HOROVOD_CYCLE_TIME"], environment["origin"]) == (best, str(profile))


@pytest.mark.slow
@pytest.mark.mpi
def test_a_tuned_training_ends_with_the_weights_of_an_untuned_one(hpcnn, tmp_path):
    words = ("submit", "--ntasks", 2, "--cpus-per-task", 1, "--epochs", 2, "--samples", 500, "--batch-size", 60)
    tuned = [word for setting in TUNED.items() for word in ("--env", "=".join(setting))]
    for name, settings in (("plain", []), ("tuned", tuned)):
        run = ("--pixel-scale", "unit", "--no-evaluate", "--checkpoint", "--run-dir", tmp_path / name)
        done = hpcnn(*words, *run, *settings, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    plain, other = (weights(tmp_path / name / "checkpoints" / "epoch-002.keras") for name in ("plain", "tuned"))
    assert plain.keys() == other.keys()
    for key, values in plain.items():
        np.testing.assert_allclose(values, other[key], rtol=0, atol=1e-5)
