"""``hpcnn search``: real trainings on digits, pruned, killed, taken over, shared by two workers, shown."""

from __future__ import annotations

import csv
import io
import json
import math
import os
import shlex
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hpcnn.rundir.layout import RunDir
from hpcnn.util.files import read_lines
from tests import warm_start

pytest.importorskip("optuna", reason="searches need Optuna: pip install '.[search]'")

Command = Callable[..., "subprocess.CompletedProcess[str]"]
Process = Callable[..., "subprocess.Popen[str]"]

# A network in NumPy: its trainings begin within a second, and a rate of 1e-12 learns nothing.
TRAIN = '[train]\nmodel = "scinet-hidden-mnist"\ndata = "digits"\nsamples = 100\ntest_samples = 100\n'
GRID = f"""
[search]
method = "grid"
{TRAIN}epochs = 60
[space]
learning_rate = [1e-3, 1e-12]
model.numnodes = [5, 20]
[[reference]]
learning_rate = 1e-3
model.numnodes = 20
accuracy = 0.5
"""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty directory to work in, and a place for profiles of the user's in it."""
    monkeypatch.setenv("HPCNN_CONFIG", str(tmp_path / "config"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def grid(tmp_path_factory: pytest.TempPathFactory, hpcnn: Command) -> Path:
    """The folder of a grid search that has ended, beside its file."""
    place = tmp_path_factory.mktemp("grid")
    (place / "small.toml").write_text(GRID)
    ended = hpcnn("search", "run", "small.toml", "--runs", "runs", cwd=place)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return place / "runs" / "small"


def table(hpcnn: Command, folder: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads(hpcnn("search", "table", folder, "--format", "json").stdout)
    return rows


def events(folder: Path, number: int, key: str) -> int:
    file = RunDir(folder / f"trial-{number:04d}").events
    return sum(event["key"] == key for event in read_lines(file)) if file.exists() else 0


def wait_for(ready: Callable[[], object], seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < end, f"not within {seconds:g} s"
        time.sleep(0.05)


def test_a_grid_is_trained_and_ranked_by_what_its_runs_recorded(grid: Path, hpcnn: Command) -> None:
    rows = table(hpcnn, grid)
    assert {(row["learning_rate"], row["numnodes"]) for row in rows} == {(a, b) for a in (1e-3, 1e-12) for b in (5, 20)}
    assert [row["rank"] for row in rows] == [1, 2, 3, 4]
    assert rows[0]["learning_rate"] == 1e-3
    for row in rows:
        last = list(read_lines(RunDir(row["path"]).epochs(0)))[-1]
        assert (row["accuracy"], row["loss"]) == (last["validation"]["accuracy"], last["validation"]["loss"])
        assert row["epochs"] == last["epoch"] == 60
    assert [row["accuracy"] for row in rows] == sorted((row["accuracy"] for row in rows), reverse=True)
    assert [row["numnodes"] for row in rows if row["reference"] == 0.5] == [20]


def test_a_search_that_has_ended_trains_nothing_and_another_space_is_refused(grid: Path, hpcnn: Command) -> None:
    before = (grid / "trial-0000" / "result.json").stat().st_mtime_ns
    again = hpcnn("search", "run", "small.toml", "--runs", "runs", cwd=grid.parents[1])
    assert again.returncode == 0, again.stderr
    assert "4 already finished" in again.stderr
    assert (grid / "trial-0000" / "result.json").stat().st_mtime_ns == before
    words = ("search", "run", "small.toml", "--runs", "runs", "--set", "learning_rate=[0.1,0.2]")
    refused = hpcnn(*words, cwd=grid.parents[1])
    assert refused.returncode == 2
    assert "begun with another [space] train.learning_rate" in refused.stderr


def test_the_table_in_all_formats_and_the_command_of_the_best(grid: Path, hpcnn: Command) -> None:
    printed = hpcnn("search", "table", grid).stdout
    assert "importances (fANOVA): learning_rate" in printed
    command = printed.partition("train the best again: ")[2].splitlines()[0]
    words = shlex.split(command)
    assert words[:2] == ["hpcnn", "train"]
    assert words[words.index("--epochs") + 1] == "20000"  # the lecture's, not the search's 60
    assert "| rank | trial | learning_rate |" in hpcnn("search", "table", grid, "--format", "markdown").stdout
    rows = list(csv.DictReader(io.StringIO(hpcnn("search", "table", grid, "--format", "csv").stdout)))
    assert [row["rank"] for row in rows] == ["1", "2", "3", "4"]
    shares = json.loads(hpcnn("search", "importances", grid, "--format", "json").stdout)
    assert shares[0]["parameter"] == "learning_rate"
    assert math.isclose(sum(row["importance"] for row in shares), 1.0)
    (status,) = json.loads(hpcnn("search", "status", grid, "--format", "json").stdout)
    assert (status["trials"], status["completed"], status["best_accuracy"]) == (4, 4, table(hpcnn, grid)[0]["accuracy"])


def test_pictures_are_written(grid: Path, hpcnn: Command, here: Path) -> None:
    pytest.importorskip("matplotlib")
    ended = hpcnn("search", "plot", grid, "--out", here / "pictures", "--suffix", "svg")
    assert ended.returncode == 0, ended.stderr
    for name in ("history", "slices", "parallel"):
        assert (here / "pictures" / f"{name}.svg").read_text().lstrip().startswith("<?xml")


def test_the_hparams_tab_shows_every_trial_with_its_accuracy(grid: Path, hpcnn: Command) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard import context
    from tensorboard.backend.event_processing import data_provider, plugin_event_multiplexer
    from tensorboard.plugins import base_plugin
    from tensorboard.plugins.hparams import api_pb2, backend_context, list_session_groups

    # what the tab itself asks TensorBoard's server for
    multiplexer = plugin_event_multiplexer.EventMultiplexer()
    multiplexer.AddRunsFromDirectory(str(grid))
    multiplexer.Reload()
    provider = data_provider.MultiplexerDataProvider(multiplexer, str(grid))
    backend = backend_context.Context(base_plugin.TBContext(multiplexer=multiplexer, data_provider=provider))
    asked = api_pb2.ListSessionGroupsRequest(start_index=0, slice_size=100, allowed_statuses=[api_pb2.STATUS_SUCCESS])
    found = list_session_groups.Handler(context.RequestContext(), backend, "", asked).run()
    shown = {
        (group.hparams["learning_rate"].number_value, group.hparams["numnodes"].number_value): {
            value.name.tag: value.value for value in group.metric_values
        }["accuracy"]
        for group in found.session_groups
    }
    for row in table(hpcnn, grid):
        assert math.isclose(shown.pop((row["learning_rate"], row["numnodes"])), row["accuracy"], rel_tol=1e-6)
    assert not shown
    assert "--logdir" in hpcnn("tensorboard", grid, "--dry-run").stdout


def test_a_hopeless_trial_is_stopped_and_its_run_says_that_it_was_pruned(hpcnn: Command, here: Path) -> None:
    pruning = 'method = "grid"\npruning = "median"\nstartup_trials = 1\nwarmup_epochs = 100'
    # the good trial reaches its target within 2000 epochs; the other would be at it for all 30,000
    file = GRID.replace('method = "grid"', pruning).replace("epochs = 60", "epochs = 30000\ntarget_accuracy = 0.4")
    (here / "pruned.toml").write_text(file.replace("[5, 20]", "[5]"))
    ended = hpcnn("search", "run", "pruned.toml")
    assert ended.returncode == 0, ended.stderr
    good, bad = table(hpcnn, here / "runs" / "pruned")
    assert (good["learning_rate"], good["state"], good["rank"]) == (1e-3, "completed", 1)
    assert (bad["learning_rate"], bad["state"], bad["rank"]) == (1e-12, "pruned", None)
    assert 100 < bad["epochs"] < 30000
    result = RunDir(bad["path"]).read_result() or {}
    assert result["status"] == "interrupted"
    assert "pruned after epoch" in result["reason"]


@pytest.fixture
def long(here: Path) -> Path:
    """The folder of a search of one trial that takes seconds, and its file long.toml."""
    (here / "long.toml").write_text(GRID.replace("= 60", "= 3000").replace("[5, 20]", "[5]").replace(", 1e-12", ""))
    return here / "runs" / "long"


def begin(hpcnn_process: Process, folder: Path) -> tuple[subprocess.Popen[str], int]:
    """Start a search, and return its worker and the process group of its training, which is under way."""
    worker = hpcnn_process("search", "run", "long.toml", **{warm_start.SOCKET: ""})  # whose child is the training
    wait_for(lambda: events(folder, 0, "epoch_stop"))
    (training,) = Path(f"/proc/{worker.pid}/task/{worker.pid}/children").read_text().split()
    return worker, int(training)


def counts(hpcnn: Command, folder: Path) -> dict[str, int]:
    (row,) = json.loads(hpcnn("search", "status", folder, "--format", "json").stdout)
    return {state: row[state] for state in ("completed", "running", "interrupted") if row[state]}


def test_a_killed_worker_loses_nothing_and_its_training_is_not_done_twice(
    hpcnn: Command, hpcnn_process: Process, long: Path
) -> None:
    worker, training = begin(hpcnn_process, long)
    os.killpg(training, signal.SIGSTOP)
    try:
        worker.kill()
        worker.wait()
        assert counts(hpcnn, long) == {"running": 1}  # the training itself lives on
        following = hpcnn_process("search", "run", "long.toml")
    finally:
        os.killpg(training, signal.SIGCONT)
    _, errors = following.communicate(timeout=60)
    assert following.returncode == 0, errors
    (row,) = table(hpcnn, long)
    assert (row["state"], row["epochs"], events(long, 0, "run_start")) == ("completed", 3000, 1)


def test_a_trial_killed_with_its_worker_is_trained_anew_and_never_counted(
    hpcnn: Command, hpcnn_process: Process, long: Path
) -> None:
    worker, training = begin(hpcnn_process, long)
    worker.kill()
    os.killpg(training, signal.SIGKILL)
    worker.wait()
    assert counts(hpcnn, long) == {"interrupted": 1}
    assert hpcnn("search", "run", "long.toml").returncode == 0
    (row,) = table(hpcnn, long)
    assert (row["state"], row["epochs"]) == ("completed", 3000)


def test_at_the_time_limit_a_trial_keeps_its_state_and_goes_on_later(
    hpcnn: Command, hpcnn_process: Process, long: Path
) -> None:
    worker, _ = begin(hpcnn_process, long)
    worker.send_signal(signal.SIGUSR2)
    _, errors = worker.communicate(timeout=60)
    assert worker.returncode == 1
    assert "the time limit is near" in errors
    (row,) = table(hpcnn, long)
    assert (row["state"], row["accuracy"]) == ("interrupted", None)
    assert hpcnn("search", "run", "long.toml").returncode == 0
    (row,) = table(hpcnn, long)
    assert (row["state"], row["epochs"], events(long, 0, "resumed")) == ("completed", 3000, 1)


def test_two_workers_share_the_trials_and_do_none_twice(hpcnn: Command, here: Path) -> None:
    search = '[search]\nmethod = "random"\ntrials = 4\n'
    (here / "shared.toml").write_text(GRID.replace('[search]\nmethod = "grid"', search))
    planned = json.loads(hpcnn("search", "run", "shared.toml", "--dry-run", "--format", "json").stdout)
    ended = hpcnn("search", "run", "shared.toml", "--jobs", 2)
    assert ended.returncode == 0, ended.stderr
    folder = here / "runs" / "shared"
    rows = sorted(table(hpcnn, folder), key=lambda row: row["trial"])
    assert [{key: row[key] for key in planned[0]} for row in rows] == planned
    assert [events(folder, number, "run_start") for number in range(4)] == [1] * 4
    logs = [(folder / "workers" / f"local-{number}.log").read_text() for number in (1, 2)]
    assert all("completed" in log for log in logs)
    assert sum(log.count("completed") for log in logs) == 4


def test_trials_that_cannot_be_fail_with_their_reason_and_the_others_go_on(hpcnn: Command, here: Path) -> None:
    (here / "odd.toml").write_text(
        GRID.replace(
            "learning_rate = [1e-3, 1e-12]\nmodel.numnodes = [5, 20]",
            'loss = ["mean_squared_error", "categorical_crossentropy"]',
        ).partition("[[reference]]")[0]
    )
    ended = hpcnn("search", "run", "odd.toml")
    assert ended.returncode == 1
    good, bad = table(hpcnn, here / "runs" / "odd")
    assert (good["state"], bad["state"]) == ("completed", "failed")
    assert "--loss" in bad["reason"]


def test_tpe_draws_the_same_trials_again_whether_or_not_it_was_interrupted(here: Path) -> None:
    from hpcnn.search.claim import next_trial
    from hpcnn.search.read import read
    from hpcnn.search.storage import begin

    file = here / "drawn.toml"
    file.write_text(
        f"[search]\ntrials = 12\nstartup_trials = 3\n{TRAIN}[space]\nlearning_rate = {{low=1e-4, high=1.0, log=true}}\n"
    )
    search = read(file)

    def rates(folder: Path, *, reopened: bool) -> list[float]:
        study, found = begin(search, folder), []
        while True:
            with next_trial(search, study, folder) as claim:
                if claim is None:
                    return found
                rate = claim.trial.params["train.learning_rate"]
                study.tell(claim.trial.number, -abs(math.log10(rate) + 2))
            found.append(rate)
            if reopened:
                study = begin(search, folder)

    first = rates(here / "first", reopened=False)
    assert len(first) == 12
    assert rates(here / "second", reopened=True) == first
    assert abs(math.log10(first[-1]) + 2) < 0.5  # it has learned where the best one is
