"""The watch over a training: its epochs become reports, and a hopeless run gets a stop file."""

import json
from pathlib import Path

import pytest

pytest.importorskip("optuna", reason="searches need Optuna: pip install '.[search]'")

from hpcnn.search.claim import next_trial
from hpcnn.search.epochs import EpochReader
from hpcnn.search.read import read
from hpcnn.search.result import PRUNED
from hpcnn.search.storage import begin, run_of
from hpcnn.search.worker import TrialMonitor


def line(epoch: int, accuracy: float) -> str:
    return json.dumps({"epoch": epoch, "validation": {"accuracy": accuracy, "loss": 1.0}}) + "\n"


@pytest.mark.parametrize("pruning", ["none", "median", "halving", "hyperband"])
def test_the_worst_of_twelve_is_stopped_and_the_best_is_not(tmp_path: Path, pruning: str) -> None:
    file = tmp_path / "watched.toml"
    file.write_text(
        f'[search]\nmethod="random"\ntrials=12\npruning="{pruning}"\nwarmup_epochs=2\n'
        "[train]\nepochs=20\n[space]\nlearning_rate={low=1e-4, high=1.0}\n"
    )
    search, folder = read(file), tmp_path / "watched"
    study = begin(search, folder)
    stopped = {}
    for number in range(12):
        level = 0.1 if number == 10 else 0.99 if number == 11 else 0.9 - 0.01 * number
        with next_trial(search, study, folder) as claim:
            assert claim is not None
            assert claim.trial.number == number
            run = run_of(folder, number)
            run.path.mkdir()
            monitor = TrialMonitor(search, claim.trial, run)
            for epoch in range(1, 21):
                with run.epochs(0).open("a") as written:
                    written.write(line(epoch, level))
                monitor.poll()
                if run.stop.exists():
                    stopped[number] = claim.trial.user_attrs[PRUNED]
                    assert run.stop.read_text().startswith(f"pruned after epoch {epoch}: accuracy {level:.4g}")
                    break
            study.tell(number, level)
    assert 11 not in stopped
    assert (10 in stopped) == (pruning != "none")
    assert all(epoch > 2 for epoch in stopped.values())


def test_a_line_that_is_being_written_is_read_when_it_is_whole(tmp_path: Path) -> None:
    from hpcnn.rundir.layout import RunDir

    run = RunDir(tmp_path)
    reader = EpochReader(run)
    assert reader.read_new() == 0
    whole = line(1, 0.5)
    run.epochs(0).write_text(whole + line(2, 0.6)[:20])
    assert reader.read_new() == 1
    run.epochs(0).write_text(whole + line(2, 0.6) + line(3, 0.7))
    assert reader.read_new() == 2
    assert [(epoch.number, epoch.accuracy) for epoch in reader.epochs] == [(1, 0.5), (2, 0.6), (3, 0.7)]
