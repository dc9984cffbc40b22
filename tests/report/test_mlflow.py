"""Runs in MLflow: what it is told of each, and the real MLflow, where there is one."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from hpcnn.cli.main import main
from hpcnn.report.mlflow import content_of, uri_of
from hpcnn.rundir.layout import RunDir
from hpcnn.util.errors import UsageError

RunIn = Callable[..., RunDir]


def export(*words: object) -> Result:
    return CliRunner().invoke(main, ["export", *map(str, words)])


def values(run: RunDir, name: str) -> list[tuple[int, float]]:
    return [(one.step, one.value) for one in content_of(run).metrics if one.name == name]


def test_metrics_are_of_each_epoch_and_of_the_slowest_rank(run_in: RunIn) -> None:
    run = run_in("a", ranks=2, seconds=[(4.0, 5.0)], accuracies=(0.6, 0.8), accuracy=0.81)
    assert values(run, "loss") == [(1, 1.0), (2, 0.5)]
    assert values(run, "accuracy") == [(1, 0.5), (2, 0.5)]
    assert values(run, "validation_accuracy") == [(1, 0.6), (2, 0.8)]
    assert values(run, "seconds_total") == [(1, 100.0), (2, 5.0)]
    assert values(run, "images_per_second") == [(1, 10.0), (2, 200.0)]
    assert values(run, "test_accuracy") == [(2, 0.81)]


def test_settings_are_parameters_and_the_study_is_the_experiment(run_in: RunIn) -> None:
    run = run_in("a", train={"model_args": {"numfm": 2}}, software={"env": {"MY_API_TOKEN": "hush"}})
    content = content_of(run)
    assert (content.experiment, content.name, content.state) == ("scale", "a", "FINISHED")
    wanted = {"model": "cnn", "ntasks": "1", "batch_size": "100", "model_args": "numfm=2"}
    assert wanted.items() <= content.parameters.items()
    assert "hush" not in json.dumps(content.parameters)
    assert content.tags["hpcnn.host"] == "c1"
    names = {file.name for file, _ in content.files}
    assert {"result.json", "epochs.rank00000.jsonl"} <= names
    assert "spec.json" not in names  # it has the token, as hpcnn 0.1 wrote it
    assert "spec.json" in {file.name for file, _ in content_of(run_in("b")).files}


def test_nothing_is_told_that_is_linked_to(run_in: RunIn, tmp_path: Path) -> None:
    """Whoever made the run may have linked a file to it that only its reader may read."""
    run = run_in("a")
    (tmp_path / "private").mkdir()
    (tmp_path / "private" / "key.json").write_text("hush")
    (run.path / "mine.json").symlink_to(tmp_path / "private" / "key.json")
    (run.path / "plots").symlink_to(tmp_path / "private")
    assert not [file for file, _ in content_of(run).files if file.name in ("mine.json", "key.json")]


@pytest.mark.parametrize(
    ("status", "state"), [("completed", "FINISHED"), ("failed", "FAILED"), ("interrupted", "KILLED"), (None, "RUNNING")]
)
def test_states(status: str | None, state: str, run_in: RunIn) -> None:
    content = content_of(run_in("a", status=status))
    assert (content.state, content.ended is None) == (state, status is None)


def test_a_damaged_record_is_told_as_far_as_it_goes(run_in: RunIn) -> None:
    run = run_in("a")
    run.spec.write_text("{")
    run.events.write_text('{"key": "start", "time": 7}\n')
    content = content_of(run)
    assert "not a whole JSON object" in content.tags["hpcnn.problem"]
    assert values(run, "loss")


def test_stores(tmp_path: Path) -> None:
    assert uri_of("http://tracking:5000") == ("http://tracking:5000", None)
    assert uri_of("sqlite:///x.db") == ("sqlite:///x.db", None)
    new = tmp_path / "new"
    assert uri_of(str(new)) == (f"sqlite:///{new}/mlflow.db", f"file://{new}/artifacts")
    (new / "0").mkdir()
    (new / "0" / "meta.yaml").touch()
    assert uri_of(str(new)) == (f"file://{new}", None)
    with pytest.raises(UsageError, match=r"--mlflow: .* is no folder; a file of SQLite is named sqlite:///"):
        uri_of(__file__)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("{run}", "--mlflow", "m", "--format", "onnx"), "--format: is for networks; --mlflow writes none"),
        (("{run}", "--mlflow", "m", "--force"), "--force: is for networks; --mlflow writes none"),
        (("nowhere", "--mlflow", "m"), "RUN: there is no file or folder 'nowhere'"),
        (("12345", "--mlflow", "m"), "none of the runs here has this id"),
        (("{run}", "{run}"), "RUN: there are 2; a network is that of one run. --mlflow takes several"),
        (("--mlflow", "m"), "Missing argument 'RUN...'"),
    ],
)
def test_mistakes_are_said(
    words: tuple[str, ...], message: str, run_in: RunIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run = run_in("a")
    done = export(*(word.format(run=run.path) for word in words))
    assert (done.exit_code, done.stdout) == (2, "")
    assert message in done.stderr
    assert not (tmp_path / "m").exists()


def test_without_mlflow_it_says_what_to_install(run_in: RunIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mlflow", None)
    done = export(run_in("a").path, "--mlflow", tmp_path / "tracking")
    assert done.exit_code == 1
    assert "hpcnn export --mlflow needs mlflow" in done.stderr
    assert "pip install 'hpcnn[mlflow]'" in done.stderr
    assert not (tmp_path / "tracking").exists()


@pytest.mark.skipif(
    importlib.util.find_spec("mlflow") is None, reason="the real MLflow needs: pip install 'hpcnn[mlflow]'"
)
class TestRealMlflow:
    def client(self, uri: str) -> Any:
        import mlflow

        return mlflow.MlflowClient(tracking_uri=uri)

    def runs(self, client: Any, experiment: str = "scale") -> dict[str, Any]:
        identity = client.get_experiment_by_name(experiment).experiment_id
        return {run.info.run_name: run for run in client.search_runs([identity])}

    @pytest.mark.parametrize("store", ["sqlite", "files"])
    def test_what_was_written_is_read_again(
        self, store: str, run_in: RunIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
        folder = tmp_path / "tracking"
        if store == "files":
            self.client(folder.as_uri()).create_experiment("another")
        first = run_in("a", ranks=2, seconds=[5.0], accuracy=0.81)
        run_in("b", study="other", status="failed")
        done = export("--mlflow", folder, tmp_path / "scale")
        assert done.exit_code == 0, done.output
        assert done.stderr == "2 new\n"
        client = self.client(uri_of(str(folder))[0])
        (run,) = self.runs(client).values()
        assert (run.info.status, run.data.params["ntasks"], run.data.tags["hpcnn.status"]) == (
            "FINISHED",
            "2",
            "completed",
        )
        history = client.get_metric_history(run.info.run_id, "seconds_total")
        assert [(one.step, one.value) for one in history] == [(1, 100.0), (2, 5.0)]
        assert run.data.metrics["test_accuracy"] == 0.81
        assert "spec.json" in {file.path for file in client.list_artifacts(run.info.run_id)}
        assert str(folder) in run.info.artifact_uri
        assert [one.info.status for one in self.runs(client, "other").values()] == ["FAILED"]

        # a second time: what has changed since is replaced, and nothing is there twice
        (first.path / "log.out").write_text("a line more\n")
        again = export("--mlflow", folder, tmp_path / "scale")
        assert again.stderr == "1 replaced, 1 unchanged\n"
        assert len(self.runs(client)) == 1
        assert "log.out" in {
            file.path for one in self.runs(client).values() for file in client.list_artifacts(one.info.run_id)
        }

    def test_a_store_that_cannot_be_used_is_said(self, run_in: RunIn) -> None:
        done = export(run_in("a").path, "--mlflow", "gopher://lab")
        assert done.exit_code == 1
        assert done.stderr.startswith("Error: --mlflow: 'gopher://lab': ")
