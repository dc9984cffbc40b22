"""Somebody else's run is looked at, and nothing of it runs: neither its functions, nor its program, nor a Lambda."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest
from click.testing import CliRunner, Result

from hpcnn.cli.main import main
from hpcnn.rundir.layout import RunDir
from hpcnn.rundir.trust import check_trusted
from hpcnn.util.errors import UsageError
from hpcnn.util.seal import is_own, sealed

NET = """
import pathlib, keras
pathlib.Path("ran").touch()

def build(input_shape, classes):
    return keras.Sequential([keras.Input(input_shape), keras.layers.Flatten(), keras.layers.Dense(classes, "softmax")])
"""


BIN = Path(sys.executable).parent

Command = Callable[..., "CompletedProcess[str]"]


def hpcnn(*words: object) -> Result:
    Path("ran").unlink(missing_ok=True)
    return CliRunner().invoke(main, [str(word) for word in words])


def change(file: Path, **facts: Any) -> None:
    file.write_text(json.dumps({**json.loads(file.read_text()), **facts}))


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunDir:
    """The record of a run with a function of the user's own, made by this user."""
    monkeypatch.setenv("HPCNN_CONFIG", str(tmp_path / "config"))
    monkeypatch.chdir(tmp_path)
    run = RunDir(tmp_path / "run")
    run.create()
    for file in (run.spec, run.provenance):
        file.write_text(json.dumps(sealed({"schema": 1, "train": {"model": "my_net:build"}, "code": {}})))
    return run


NAMES = ["my_net:build"]


class TestWhoseItIs:
    def test_ones_own(self, run: RunDir) -> None:
        check_trusted(run, NAMES)

    @pytest.mark.parametrize("name", ["spec.json", "provenance.json"])
    def test_a_changed_record(self, run: RunDir, name: str) -> None:
        change(run.path / name, train={"model": "evil:build"})
        with pytest.raises(UsageError, match=rf"{name} is not as your hpcnn wrote it: .* --trust runs it"):
            check_trusted(run, NAMES)
        check_trusted(run, NAMES, trust=True)

    def test_a_copy_of_another_users(self, run: RunDir, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setenv("HPCNN_CONFIG", str(tmp_path / "mine"))
        with pytest.raises(UsageError, match="a copy of another user's run"):
            check_trusted(run, NAMES)

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
    @pytest.mark.parametrize("name", ["", "spec.json", "provenance.json"])
    def test_another_users(self, run: RunDir, name: str) -> None:
        os.chown(run.path / name, 65534, 65534)
        with pytest.raises(UsageError, match="belongs to another user"):
            check_trusted(run, NAMES)

    def test_one_of_an_earlier_version_is_believed_by_its_owner(self, run: RunDir) -> None:
        for file in (run.spec, run.provenance):
            change(file, seal=None)
        check_trusted(run, NAMES)
        run.provenance.chmod(0o664)
        with pytest.raises(UsageError, match=r"provenance\.json has no seal, and other users can write it"):
            check_trusted(run, NAMES)

    def test_a_file_of_code_that_is_not_that_of_then(self, run: RunDir, tmp_path: Path) -> None:
        (tmp_path / "my_net.py").write_text(NET)
        run.provenance.write_text(json.dumps(sealed({"schema": 1, "code": {"my_net:build": "0" * 64}})))
        with pytest.raises(UsageError, match="the file of my_net:build is not the one that the run was made with"):
            check_trusted(run, NAMES)


def test_a_key_of_the_user_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HPCNN_CONFIG", str(tmp_path / "deep" / "config"))
    record = sealed({"number": 0.1, "nan": float("nan"), "path": Path("x"), "list": (1, 2), "é": {"2": None}})
    key = tmp_path / "deep" / "config" / "run.key"
    assert [file.name for file in key.parent.iterdir()] == ["run.key"]
    assert key.stat().st_mode & 0o777 == 0o600
    assert is_own(json.loads(json.dumps({**record, "nan": None, "path": "x"})))
    assert not is_own({**record, "number": 0.2})
    assert not is_own({**record, "more": 1})
    key.chmod(0o640)
    assert not is_own(record)


def test_a_user_without_a_place_for_settings_has_no_seal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("HPCNN_CONFIG", str(tmp_path / "file" / "config"))
    assert sealed({"a": 1}) == {"a": 1, "seal": None}


@pytest.fixture(scope="module")
def made(command: Command, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with the function above, trained in its folder."""
    pytest.importorskip("tensorflow")
    here = tmp_path_factory.mktemp("made")
    (here / "my_net.py").write_text(NET)
    words = ["--run-dir", "run", "--data", "digits", "--model", "my_net:build", "--epochs", "1", "--checkpoint"]
    ended = command(BIN / "hpcnn", "train", *words, cwd=here)
    assert ended.returncode == 0, ended.stderr
    return here


@pytest.mark.integration
class TestCommands:
    @pytest.fixture
    def copy(self, made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        shutil.copytree(made, tmp_path / "copy")
        monkeypatch.chdir(tmp_path / "copy")
        monkeypatch.syspath_prepend(tmp_path / "copy")
        monkeypatch.delitem(__import__("sys").modules, "my_net", raising=False)
        return tmp_path / "copy"

    LOOKS = (
        ("plot", "confusion", "run"),
        ("plot", "layers", "run"),
        ("plot", "decision-boundary", "run"),
        ("plot", "augmentation", "run"),
        ("predict-images", "run", "x.png"),
        ("export", "run"),
    )

    @pytest.mark.parametrize("words", LOOKS, ids=" ".join)
    def test_anothers_run_runs_nothing(self, copy: Path, words: tuple[str, ...]) -> None:
        change(copy / "run" / "spec.json", name="x")
        ended = hpcnn(*words)
        assert ended.exit_code == 2, ended.output
        assert "this would run what its record names (my_net:build)" in ended.stderr
        assert not (copy / "ran").exists()

    def test_ones_own_is_drawn_and_anothers_with_trust(self, copy: Path) -> None:
        ended = hpcnn("plot", "confusion", "run")
        assert ended.exit_code == 0, ended.output
        assert (copy / "ran").exists()
        change(copy / "run" / "spec.json", name="x")
        assert hpcnn("plot", "confusion", "run", "--trust").exit_code == 0

    def test_a_report_draws_the_rest(self, copy: Path) -> None:
        change(copy / "run" / "spec.json", name="x")
        ended = hpcnn("scaling-report", "run", "--warmup", "0", "--html", "page.html", "--pictures")
        assert ended.exit_code == 0, ended.output
        assert "this would run what its record names" in Path("page.html").read_text()
        assert not (copy / "ran").exists()

    def test_a_resumed_run(self, copy: Path) -> None:
        spec = json.loads((copy / "run" / "spec.json").read_text())
        change(copy / "run" / "spec.json", site="local", train=None, program=["touch", "ran"], resources={"ntasks": 1})
        (copy / "run" / "result.json").unlink()
        assert spec
        ended = hpcnn("resume", "run")
        assert ended.exit_code == 2, ended.output
        assert "this would run what its record names (touch, ran)" in ended.stderr
        assert not (copy / "ran").exists()
        assert "touch ran" in hpcnn("resume", "run", "--trust", "--dry-run").stdout

    def test_a_lambda_in_an_argument_of_hpcnns_own_network(self, copy: Path) -> None:
        import keras

        code = keras.saving.serialize_keras_object(keras.layers.Lambda(lambda x: [Path("ran").touch(), x][1]))
        train = {"model": "psc-cnn-dropout", "data": "digits", "model_args": {"activation": code}}
        for name in ("spec.json", "provenance.json"):
            change(copy / "run" / name, train=train)
        ended = hpcnn("plot", "layers", "run")
        assert ended.exit_code == 2, ended.output
        assert "Traceback" not in ended.output
        assert not (copy / "ran").exists()
