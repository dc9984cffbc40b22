"""``hpcnn plot`` as a user calls it: files, formats, names, and what it refuses."""

from __future__ import annotations

import json
import shutil
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from PIL import Image

from hpcnn.cli.main import main

Command = Callable[..., "subprocess.CompletedProcess[str]"]
Train = Callable[..., Path]

OF_A_RUN = ("curves", "digits", "confusion", "filters", "features", "patches", "layers")


def plot(*words: object) -> Result:
    return CliRunner().invoke(main, ["plot", *map(str, words)])


def refused(*words: object) -> str:
    result = plot(*words)
    assert result.exit_code == 2, result.output
    return " ".join(result.stderr.split())


@pytest.mark.parametrize("kind", OF_A_RUN)
def test_every_kind_writes_a_picture_beside_its_run(kind: str, digits_run: Path) -> None:
    result = plot(kind, digits_run)
    assert result.exit_code == 0, result.output
    file = digits_run / "plots" / f"{kind}.png"
    assert result.stdout == f"{file}\n"
    with Image.open(file) as image:
        assert image.format == "PNG"
        assert len(image.convert("L").getcolors()) > 20


@pytest.mark.parametrize("kind", ["digits", "confusion", "filters", "features", "patches", "layers"])
def test_every_kind_takes_a_users_own_network_and_images(kind: str, own_run: Path, tmp_path: Path) -> None:
    words = ("--layer", "two") if kind == "patches" else ()
    result = plot(kind, own_run, *words, "--output", tmp_path / "picture.png")
    assert result.exit_code == 0, result.output
    assert (tmp_path / "picture.png").stat().st_size > 5000


@pytest.mark.parametrize(("suffix", "begin"), [("svg", b"<?xml"), ("pdf", b"%PDF-"), ("PNG", b"\x89PNG")])
def test_the_suffix_is_the_format_and_the_file_is_the_same_every_time(
    suffix: str, begin: bytes, digits_run: Path, tmp_path: Path
) -> None:
    files = [tmp_path / f"{name}.{suffix}" for name in ("one", "two")]
    for file in files:
        assert plot("curves", digits_run, "--output", file).exit_code == 0
    one, two = (file.read_bytes() for file in files)
    assert one.startswith(begin)
    assert one == two


def test_layers_takes_the_name_of_a_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("matplotlib")
    pytest.importorskip("tensorflow")
    monkeypatch.chdir(tmp_path)
    result = plot("layers", "scinet-functional")
    assert (result.exit_code, result.stdout) == (0, "scinet-functional-layers.png\n"), result.output
    assert (tmp_path / "scinet-functional-layers.png").stat().st_size > 5000
    assert "neither a run directory nor the name of a model" in refused("layers", "psc-cn1")


def test_curves_takes_a_folder_of_runs(digits_run: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        shutil.copytree(digits_run, tmp_path / name, ignore=shutil.ignore_patterns("checkpoints", "plots"))
    result = plot("curves", tmp_path)
    assert (result.exit_code, result.stdout) == (0, f"{tmp_path}/plots/curves.png\n"), result.output


def test_a_run_without_a_kept_network_says_the_option(digits_run: Path, tmp_path: Path) -> None:
    bare = tmp_path / "bare"
    shutil.copytree(digits_run, bare, ignore=shutil.ignore_patterns("checkpoints"))
    assert "Train with --checkpoint" in refused("digits", bare)
    assert plot("curves", bare).exit_code == 0
    assert plot("layers", bare).exit_code == 0


def test_what_cannot_be_is_refused(digits_run: Path, tmp_path: Path) -> None:
    assert "is not a run directory" not in refused("digits", tmp_path)
    assert "expected a run directory (one with a spec.json in it)" in refused("digits", tmp_path)
    assert "--epoch: 3 is not valid; expected an epoch whose network was kept: 1-2" in refused(
        "confusion", digits_run, "--epoch", 3
    )
    assert "expected a file name that ends in .png, .svg, .pdf" in refused("filters", digits_run, "--output", "x.jpg")
    assert "--layer: 'dense' is not known. Valid: conv2d" in refused("patches", digits_run, "--layer", "dense")
    assert "--image: '360' is not valid; expected 0 to 359, or a file" in refused(
        "features", digits_run, "--image", 360
    )
    assert "samples of shape (2,)" in refused("decision-boundary", digits_run)
    (tmp_path / "file").touch()
    assert "cannot be written" in refused("curves", digits_run, "--output", tmp_path / "file" / "x.png")


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "text", "archive of something else"])
def test_a_damaged_network_is_refused(digits_run: Path, tmp_path: Path, damage: str) -> None:
    run = tmp_path / "run"
    shutil.copytree(digits_run, run)
    file = sorted((run / "checkpoints").glob("*.keras"))[-1]
    content = bytearray(file.read_bytes())
    if damage == "flipped":
        content[:: len(content) // 50] = bytes(255 - byte for byte in content[:: len(content) // 50])
    file.write_bytes({"cut": content[: len(content) // 2], "empty": b"", "text": b"hello"}.get(damage, content))
    if damage.startswith("archive"):
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr("x", "y")
    assert "these are not the weights of the network" in refused("digits", run)


def test_weights_of_another_network_are_refused(digits_run: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(digits_run, other)
    for name in ("spec.json", "provenance.json"):
        record: dict[str, Any] = json.loads((other / name).read_text())
        record["train"]["model"] = "psc-cnn1"
        (other / name).write_text(json.dumps(record))
    assert "epoch-002.keras: these are not the weights of the network that psc-cnn1 builds now" in refused(
        "filters", other
    )


def test_a_program_of_the_users_own_has_no_known_network(digits_run: Path, tmp_path: Path) -> None:
    (tmp_path / "spec.json").write_text(json.dumps({"schema": 1, "train": None, "program": ["python", "x.py"]}))
    assert "ran a program of its own" in refused("digits", tmp_path)


def test_tensorflow_says_nothing(digits_run: Path, hpcnn: Command) -> None:
    ended = hpcnn("plot", "filters", digits_run)
    assert (ended.returncode, ended.stderr) == (0, "")


def test_the_boundary_of_a_network_in_numpy(train_kept: Callable[..., Path]) -> None:
    path = train_kept("blobs", "--model", "scinet-neuron", "--data", "blobs", "--epochs", 200)
    result = plot("decision-boundary", path)
    assert (result.exit_code, result.stdout) == (0, f"{path}/plots/decision-boundary.png\n"), result.output
    assert plot("curves", path).exit_code == 0
    assert "written in NumPy" in refused("confusion", path)
    assert "written in NumPy" in refused("layers", path)


def test_weight_histograms_go_to_tensorboard_after_every_epoch(train_kept: Callable[..., Path]) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    path = train_kept("board", "--model", "scinet-dense-tanh", "--samples", 100, "--epochs", 2, "--tensorboard")
    events = accumulator.EventAccumulator(str(path / "tensorboard" / "train")).Reload()
    tags = [tag for tag in events.Tags()["tensors"] if "histogram" in tag]
    assert {layer for tag in tags for layer in ("hidden", "output") if f"/{layer}/" in tag} == {"hidden", "output"}
    assert len(tags) == 4  # weights and biases of two layers
    assert all(len(events.Tensors(tag)) == 2 for tag in tags)


def test_augmentation_draws_a_set_before_a_training_and_the_images_of_a_run(tmp_path: Path, train_kept: Train) -> None:
    words = ("--augment", "rotation=30", "--augment", "noise=0.2")
    before = plot("augmentation", "--data", "digits", *words, "--seed", 4, "--output", tmp_path / "before.png")
    assert before.exit_code == 0, before.output
    run = train_kept("augmented-run", "--samples", 100, "--epochs", 1, "--seed", 4, *words)
    after = plot("augmentation", run)
    assert after.stdout == f"{run / 'plots' / 'augmentation.png'}\n"
    with Image.open(tmp_path / "before.png") as one, Image.open(run / "plots" / "augmentation.png") as other:
        below_the_title = [
            image.convert("L").crop((0, 60, image.width, image.height)).tobytes() for image in (one, other)
        ]
    assert below_the_title[0] == below_the_title[1]


def test_augmentation_refuses_what_changes_no_image(digits_run: Path) -> None:
    assert "digits-run: no image is changed" in refused("augmentation", digits_run)
    assert "--augment: no image is changed" in refused("augmentation")
    assert "--seed: 2 is not valid; expected no value with RUN" in refused("augmentation", digits_run, "--seed", 2)
    assert "no images" in refused("augmentation", "--data", "blobs", "--augment", "zoom=0.1")
