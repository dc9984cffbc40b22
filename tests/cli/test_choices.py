"""Choices on the command line: keywords of a model and options of a data set as axes, and what is refused early."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from hpcnn.cli.main import main


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def hpcnn(*words: str, status: int = 0) -> str:
    result = CliRunner().invoke(main, words)
    assert result.exit_code == status, result.output
    return result.stderr if status else result.stdout


def points(*changes: str) -> list[str]:
    words = [word for change in changes for word in ("--set", change)]
    rows = json.loads(hpcnn("study", "run", "smoke", "--set", "repeats=1", *words, "--dry-run", "--format", "json"))
    return [row["run"].rpartition("-r01-")[0] for row in rows]


def test_values_with_commas_make_an_axis() -> None:
    with_brackets = points("ntasks=1", "model.d_rate=[0.2,0.4]", "train.optimizer=[sgd,adam]")
    assert points("ntasks=1", "model.d_rate=0.2,0.4", "train.optimizer=sgd,adam") == with_brackets
    assert with_brackets == [f"d_rate={rate},optimizer={name}" for rate in (0.2, 0.4) for name in ("sgd", "adam")]


def test_a_schedule_with_commas_is_one_value() -> None:
    assert points("ntasks=1,2", "train.lr_schedule=milestones:2,4:0.1") == ["ntasks=1", "ntasks=2"]


def test_options_of_the_data_are_axes() -> None:
    found = points("ntasks=1", "train.data=halves", "train.model=scinet-two-inputs", "data.of=digits,mnist")
    assert found == ["of=digits", "of=mnist"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ("study", "run", "smoke", "--set", "model.dropout=0.2,0.4", "--dry-run"),
            "argument of model scinet-cnn1: 'dropout' is not known. Valid: numfm, numnodes, kernel_size, d_rate, "
            "activation, l2, batch_norm, input_shape, classes.",
        ),
        (
            ("train", "--run-dir", "run", "--model", "psc-cnn1", "--model-arg", "d_rat_conv=0.2"),
            "argument of model psc-cnn1: 'd_rat_conv' is not known. Did you mean 'd_rate_conv'?",
        ),
        (
            ("submit", "--model", "scinet-neuron", "--model-arg", "l1=2", "--dry-run"),
            "'l1' is not known. Valid: input_shape, classes, loss",
        ),
        (("train", "--run-dir", "run", "--data", "imdb", "--data-arg", "word=9"), "Did you mean 'words'?"),
        (("submit", "--data", "digits", "--data-arg", "of=9", "--dry-run"), "data set 'digits' has no options"),
        (("train", "--run-dir", "run", "--weights", "no.keras"), "--weights: there is no file 'no.keras'"),
        (("submit", "--weights", "no.keras"), "--weights: there is no file 'no.keras'"),
        (("submit", "--weights", "w.h5", "--dry-run"), "--weights: 'w.h5' is not valid; expected a file that ends in"),
        (
            ("submit", "--weights-except", "head", "--dry-run"),
            "--weights-except: 'head' is not valid; expected no value",
        ),
        (
            ("train", "--run-dir", "run", "--model", "scinet-neuron", "--data", "blobs", "--freeze", "x"),
            "--freeze: ('x',) is not valid; expected no value with scinet-neuron",
        ),
        (("train", "--run-dir", "run", "--loss", "quadratic"), "--loss: 'quadratic' is not known."),
        (("train", "--run-dir", "run", "--data", "halves", "--data-arg", "of=mnist"), "hpcnn data stage mnist"),
    ],
)
def test_mistakes_are_said_before_anything_runs(words: tuple[str, ...], message: str, tmp_path: Path) -> None:
    errors = " ".join(hpcnn(*words, status=2).split())
    assert message in errors
    assert not (tmp_path / "run").exists()


def test_the_network_of_the_data_is_in_the_job(tmp_path: Path) -> None:
    script = hpcnn("submit", "--data", "boston_housing", "--data-arg", "standardize=false", "--dry-run")
    assert "--model housing-dense \\" in script
    assert "--data-arg standardize=false" in script
    script = hpcnn("submit", "--class-weight", "0=2", "--class-weight", "3=0.5", "--layer-lr", "dense=0.1", "--dry-run")
    for words in ("--model scinet-cnn1 \\", "--class-weight 0=2", "--class-weight 3=0.5", "--layer-lr dense=0.1"):
        assert words in script
    maps = ("--class-weight", "sqrt", "--ignore-label", "255")
    assert " ".join(maps) in " ".join(hpcnn("submit", *maps, "--dry-run").replace("\\\n", "").split())


def test_where_a_training_starts_is_in_the_job(tmp_path: Path) -> None:
    words = ("--weights", "w.keras", "--weights-except", "head", "--freeze", "conv*", "--freeze", "norm 1")
    script = hpcnn("submit", "--model", "keras.applications:MobileNet", *words, "--dry-run")
    assert "--model keras.applications:MobileNet \\\n" in script
    for written in ("--weights w.keras", "--weights-except head", "--freeze 'conv*'", "--freeze 'norm 1'"):
        assert written in script


def test_a_container_sees_the_folder_of_the_weights(tmp_path: Path) -> None:
    script = hpcnn(
        *("submit", "--site", "generic-slurm", "--container", "image.sif", "--dry-run"),
        *("--weights", "/project/kept/w.keras"),
    )
    assert "/project/kept" in script.replace("/project/kept/w.keras", "")
