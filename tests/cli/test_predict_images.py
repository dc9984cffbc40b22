"""Image files become what the network knows: LeCun's form, whatever their size, light, colour and side of the grey."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from hpcnn.cli.main import main
from hpcnn.data.dataset import DataSet
from hpcnn.data.pictures import FORMS, form_of, read_pictures
from hpcnn.train.trained import Trained, open_trained
from hpcnn.util.errors import UsageError

Image = pytest.importorskip("PIL.Image", reason="image files need Pillow: pip install 'hpcnn[report]'")


def predict(*words: object) -> Result:
    return CliRunner().invoke(main, ["predict-images", *map(str, words)])


def images_like(shape: tuple[int, ...], name: str = "own", dtype: Any = np.uint8) -> DataSet:
    blank = np.zeros((2, *shape), dtype)
    return DataSet(name, blank, np.array([0, 1]), blank, np.array([0, 1]))


def photograph(pixels: Any, seed: int, *, dark_ink: bool = True) -> Any:
    """Return a digit (rows, columns; bright on dark) as a photograph: larger, aside, in slanting light, noisy."""
    generator = np.random.default_rng(seed)
    side = int(generator.integers(150, 300))
    drawn = np.asarray(Image.fromarray(pixels).resize((side, side), Image.Resampling.BICUBIC), float) / 255
    sheet = np.zeros((side + int(generator.integers(0, 150)), side + int(generator.integers(0, 250))))
    top, left = (int(generator.integers(0, size - side + 1)) for size in sheet.shape)
    sheet[top : top + side, left : left + side] = drawn
    rows, columns = np.indices(sheet.shape)
    paper = 205 - 45 * rows / sheet.shape[0] - 35 * columns / sheet.shape[1]
    grey = np.clip(paper - 120 * sheet + generator.normal(0, 8, sheet.shape), 0, 255)
    return Image.fromarray((grey if dark_ink else 255 - grey).astype(np.uint8))


def bar(width: int = 30, height: int = 100, at: tuple[int, int] = (20, 60), size: tuple[int, int] = (150, 200)) -> Any:
    """Return a dark upright bar on white paper."""
    pixels = np.full(size, 230, np.uint8)
    pixels[at[0] : at[0] + height, at[1] : at[1] + width] = 40
    return Image.fromarray(pixels)


def test_lecuns_form(tmp_path: Path) -> None:
    generator = np.random.default_rng(4)
    pixels = np.asarray(bar(), float)
    pixels[100:120, 60:110] = 40  # a foot, so that the centre of mass is not that of the box
    Image.fromarray(np.clip(pixels + generator.normal(0, 5, pixels.shape), 0, 255).astype(np.uint8)).save(
        tmp_path / "L.png"
    )
    (sample,) = read_pictures([tmp_path / "L.png"], images_like((28, 28, 1)))
    assert (sample.shape, sample.dtype) == ((28, 28, 1), np.uint8)
    ink = sample[..., 0].astype(float)
    rows, columns = np.flatnonzero(ink.any(axis=1)), np.flatnonzero(ink.any(axis=0))
    assert rows[-1] - rows[0] + 1 == 20  # the longer side fills the box of 20 pixels
    assert columns[-1] - columns[0] + 1 == pytest.approx(10, abs=1)  # 50 of 100 pixels wide: the ratio is kept
    for axis in (0, 1):
        weights = ink.sum(axis=1 - axis)
        assert weights @ np.arange(28) / weights.sum() == pytest.approx(14, abs=0.5)
    assert ink.max() == 255
    assert ink[0, 0] == 0


@pytest.mark.parametrize(
    "change", ["inverted", "colour", "transparent", "turned by its camera", "16 bits", "specks", "TIFF"]
)
def test_the_same_digit_however_it_comes(change: str, tmp_path: Path) -> None:
    plain = bar()
    pixels = np.asarray(plain)
    file, options = tmp_path / "x.png", {}
    if change == "inverted":
        image = Image.fromarray(255 - pixels)
    elif change == "colour":
        image = Image.fromarray(np.stack([pixels, pixels, pixels // 2], axis=-1))
    elif change == "transparent":
        image = Image.new("RGBA", plain.size, (0, 0, 0, 0))
        image.paste((40, 40, 40, 255), (60, 20, 90, 120))
    elif change == "turned by its camera":
        exif = Image.Exif()
        exif[0x0112] = 6  # "rotate by 90 degrees clockwise to see it upright"
        image, options = plain.transpose(Image.Transpose.ROTATE_90), {"exif": exif}
    elif change == "16 bits":
        image = Image.fromarray(pixels.astype(np.uint16) * 257)
    elif change == "specks":
        dirty = pixels.copy()
        dirty[5:8, 5:8] = dirty[140:143, 180:184] = 60
        image = Image.fromarray(dirty)
    else:
        image, file = plain, tmp_path / "x.tif"
    plain.save(tmp_path / "plain.png")
    image.save(file, **options)
    expected, found = read_pictures([tmp_path / "plain.png", file], images_like((28, 28, 1)))
    np.testing.assert_allclose(found.astype(int), expected.astype(int), atol=40)
    assert np.abs(found.astype(int) - expected).mean() < 2


def test_each_data_set_has_its_form() -> None:
    assert form_of(images_like((28, 28, 1), "mnist")) == form_of(images_like((20, 20, 1))) == "mnist"
    assert form_of(images_like((28, 28, 1), "digits")) == "digits"
    assert form_of(images_like((28, 28, 1), "fashion_mnist")) == "fashion"
    assert form_of(images_like((32, 32, 3), "cifar10")) == "resize"


def test_colour_images_are_resized_and_nothing_is_inverted(tmp_path: Path) -> None:
    wide = np.zeros((64, 128, 3), np.uint8)
    wide[:, 32:96] = (200, 100, 50)
    Image.fromarray(wide).save(tmp_path / "wide.png")
    (sample,) = read_pictures([tmp_path / "wide.png"], images_like((32, 32, 3)))
    assert sample.shape == (32, 32, 3)
    assert (sample[:, 2:-2] == (200, 100, 50)).all()  # the middle square, undistorted
    (floats,) = read_pictures([tmp_path / "wide.png"], images_like((32, 32, 3), dtype=np.float32))
    assert floats.dtype == np.float32
    np.testing.assert_allclose(floats[9, 9], np.array([200, 100, 50]) / 255, rtol=1e-6)


def test_fashion_fills_the_field_and_keeps_its_greys(tmp_path: Path) -> None:
    pixels = np.asarray(bar(width=60, height=100, size=(150, 200))).copy()
    pixels[60:120, 60:120] = 140
    Image.fromarray(pixels).save(tmp_path / "dress.png")
    (sample,) = read_pictures([tmp_path / "dress.png"], images_like((28, 28, 1), "fashion_mnist"))
    ink = sample[..., 0]
    assert ink.any(axis=1).all()
    assert np.flatnonzero(ink.any(axis=0)).tolist() == list(range(5, 22)) or ink.any(axis=0).sum() == pytest.approx(
        17, abs=1
    )
    assert ink[4, 14] == pytest.approx(190, abs=3)
    assert ink[24, 14] == pytest.approx(90, abs=3)


def test_digits_have_cells_of_three_pixels(tmp_path: Path) -> None:
    bar().save(tmp_path / "one.png")
    (sample,) = read_pictures([tmp_path / "one.png"], images_like((28, 28, 1), "digits"))
    inner = sample[2:26, 2:26, 0]
    cells = inner[::3, ::3]
    np.testing.assert_array_equal(cells.repeat(3, axis=0).repeat(3, axis=1), inner)
    assert cells.any(axis=1).all()
    assert not sample[:2].any()


def test_what_cannot_be_read_is_named(tmp_path: Path, digits_network: Trained) -> None:
    (tmp_path / "text.png").write_text("no image")
    bar().save(tmp_path / "whole.png")
    (tmp_path / "cut.png").write_bytes((tmp_path / "whole.png").read_bytes()[:120])
    Image.fromarray(np.full((50, 50), 200, np.uint8)).save(tmp_path / "empty.png")
    Image.fromarray(np.full((1, 1), 200, np.uint8)).save(tmp_path / "dot.png")
    run = digits_network.run.path
    for name, words in {
        "text.png": "no image that Pillow can read",
        "cut.png": "cannot be read",
        "empty.png": "nothing on it",
        "dot.png": "nothing on it",
        "missing.png": "No such file",
    }.items():
        result = predict(run, tmp_path / "whole.png", tmp_path / name)
        assert result.exit_code == 2, name
        assert f"{name}: " in result.stderr
        assert words in " ".join(result.stderr.split())
        assert result.stdout == ""
    folder = predict(run, tmp_path)
    assert (folder.exit_code, "Is a directory" in folder.stderr) == (2, True)
    with pytest.raises(UsageError, match="are no images"):
        read_pictures([tmp_path / "whole.png"], images_like((7,), dtype=np.float32))


def test_photographs_of_digits_are_labelled_as_the_digits_were(digits_network: Trained, tmp_path: Path) -> None:
    count = 60
    tests = digits_network.data.x_test[:count, ..., 0]
    before = digits_network.probabilities(digits_network.data.x_test[:count]).argmax(axis=1)
    files = [tmp_path / f"{number}.{'jpg' if number % 2 else 'png'}" for number in range(count)]
    for number, (file, pixels) in enumerate(zip(files, tests, strict=True)):
        photograph(pixels, number, dark_ink=number % 3 > 0).save(file)
    result = predict(digits_network.run.path, *files, "--format", "json")
    assert result.exit_code == 0, result.output
    rows = json.loads(result.stdout)
    assert [row["file"] for row in rows] == [str(file) for file in files]
    assert (np.array([row["label"] for row in rows]) == before).mean() > 0.9
    for row in rows:
        shares = [answer["probability"] for answer in row["likeliest"]]
        assert shares == sorted(shares, reverse=True)
        assert row["likeliest"][0] == {"label": row["label"], "probability": row["probability"]}
        assert len(shares) == 3
        assert sum(shares) <= 1.00001


@pytest.mark.slow
@pytest.mark.realdata
def test_photographs_of_mnist_are_labelled_as_the_digits_were(train_kept: Callable[..., Path], tmp_path: Path) -> None:
    words = ("--model", "psc-cnn1", "--data", "mnist", "--samples", 20_000, "--epochs", 1, "--checkpoint")
    network = open_trained(train_kept("mnist", *words))
    count = 200
    tests = network.data.x_test[:count]
    files = [tmp_path / f"{number}.png" for number in range(count)]
    for number, (file, pixels) in enumerate(zip(files, tests, strict=True)):
        photograph(pixels[..., 0], number, dark_ink=number % 2 > 0).save(file)
    seen = read_pictures(files, network.data)
    before, after = (network.probabilities(samples).argmax(axis=1) for samples in (tests, seen))
    assert (before == after).mean() > 0.96
    # MNIST's own images are in MNIST's form already: little changes in them
    for file, pixels in zip(files, tests, strict=True):
        Image.fromarray(255 - pixels[..., 0]).save(file)
    again = read_pictures(files, network.data)
    assert np.abs(again.astype(int) - tests).mean() < 3


def test_the_table_and_the_picture_of_what_the_network_saw(digits_network: Trained, tmp_path: Path) -> None:
    photograph(digits_network.data.x_test[0, ..., 0], 1).save(tmp_path / "seven.jpg")
    result = predict(digits_network.run.path, tmp_path / "seven.jpg", "--top", 2, "--show", tmp_path / "seen.png")
    assert result.exit_code == 0, result.output
    row = next(line for line in result.stdout.splitlines() if "seven.jpg" in line)
    assert row.split()[1] == "7"
    with Image.open(tmp_path / "seen.png") as picture:
        assert picture.format == "PNG"
    result = predict(digits_network.run.path, tmp_path / "seven.jpg", "--format", "csv")
    (record,) = csv.DictReader(io.StringIO(result.stdout))
    assert record["label"] == "7"
    assert json.loads(record["likeliest"])[0]["label"] == 7


def test_another_form_is_another_picture(digits_network: Trained, tmp_path: Path) -> None:
    bar().save(tmp_path / "one.png")
    seen = {form: read_pictures([tmp_path / "one.png"], digits_network.data, form).tobytes() for form in FORMS}
    assert len(set(seen.values())) == len(FORMS)
    assert predict(digits_network.run.path, tmp_path / "one.png", "--form", "mnist").exit_code == 0
    assert predict(digits_network.run.path, tmp_path / "one.png", "--form", "other").exit_code == 2


def test_the_command_offers_the_forms_there_are() -> None:
    from hpcnn.cli.predict_images import command

    option = next(parameter for parameter in command.params if parameter.name == "form")
    assert tuple(option.type.choices) == FORMS  # type: ignore[attr-defined]


def test_feature_maps_of_an_image_file(digits_network: Trained, tmp_path: Path) -> None:
    bar().save(tmp_path / "one.png")
    result = CliRunner().invoke(
        main, ["plot", "features", str(digits_network.run.path), "--image", str(tmp_path / "one.png")]
    )
    assert result.exit_code == 0, result.output
