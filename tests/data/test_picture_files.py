"""Picture files as people have them: each is read right, or refused by its name, or what is done with it is told."""

from __future__ import annotations

import shutil
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest

from hpcnn.data.registry import load
from hpcnn.data.stream.check import check
from hpcnn.data.stream.heads import Head, head_of
from hpcnn.data.stream.opened import Options
from hpcnn.data.stream.streamed import StreamedSet
from hpcnn.util.errors import UsageError

Image = pytest.importorskip("PIL.Image")

SIZE = (12, 18)
COLOURS = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), dtype=np.uint8)
PICTURE = Image.fromarray(COLOURS)
GREY = PICTURE.convert("L")


@pytest.fixture
def grey(tmp_path: Path) -> Path:
    """Return a folder of two classes of four grey PNGs each."""
    return _folder(tmp_path, GREY)


@pytest.fixture
def coloured(tmp_path: Path) -> Path:
    """Return a folder of two classes of four PNGs in colour each."""
    return _folder(tmp_path, PICTURE)


def _folder(folder: Path, picture: Image.Image) -> Path:
    for name in ("a cat", "Łódź"):
        (folder / name).mkdir()
        for number in range(4):
            picture.save(folder / name / f"{number}.png")
    return folder


def opened(folder: Path, **options: object) -> StreamedSet:
    data = load(f"images:{folder}", **options)  # type: ignore[arg-type]
    assert isinstance(data, StreamedSet)
    return data


def whole(folder: Path) -> np.ndarray:
    """Return all pictures."""
    data = opened(folder)
    return np.concatenate([np.asarray(data.x_train), np.asarray(data.x_test)])


def test_a_name_with_spaces_and_of_any_letters_is_a_class(coloured: Path) -> None:
    data = opened(coloured)
    assert (data.classes, data.samples + data.test_samples) == (2, 8)
    assert data.told == ()


@pytest.mark.parametrize("form", ["WEBP", "BMP", "GIF", "TIFF"])
def test_a_picture_of_another_form_is_called_what_it_is(form: str, coloured: Path) -> None:
    called = {"WEBP": "WebP"}.get(form, form)
    PICTURE.save(coloured / "a cat" / "x.png", format=form)
    with pytest.raises(UsageError, match=rf"a cat/x\.png\): is of the form {called}, whatever its name says; JPEG and"):
        whole(coloured)
    for file in coloured.rglob("*.png"):
        PICTURE.save(file, format=form)
    with pytest.raises(UsageError, match=rf"\.png.* is of the form {called}, whatever its name says"):
        whole(coloured)
    with pytest.raises(UsageError, match=rf"\.png\): is of the form {called}, whatever"):
        np.asarray(opened(coloured, options=Options((6, 6))).x_train)


def test_a_gif_that_moves_is_refused(coloured: Path) -> None:
    PICTURE.save(coloured / "a cat" / "x.jpg", format="GIF", save_all=True, append_images=[PICTURE.rotate(180)])
    with pytest.raises(UsageError, match=r"x\.jpg\): is of the form GIF"):
        whole(coloured)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "cannot be read as a picture: it is empty, damaged"),
        (b"\xff\xd8", "cannot be decoded"),
        (b"<html>404</html>", "is of the form HTML or XML"),
        (b"version https://git-lfs.github.com/spec/v1\noid", "is of the form Git LFS pointer"),
        (None, "cannot be decoded"),
    ],
)
def test_a_file_that_is_no_picture_is_named(content: bytes | None, words: str, coloured: Path) -> None:
    file = coloured / "Łódź" / "x.png"
    PICTURE.save(file)
    file.write_bytes(file.read_bytes()[:90] if content is None else content)
    with pytest.raises(UsageError, match=rf"sample \d+ \(.*Łódź/x\.png\): {words}.*--skip-bad N"):
        whole(coloured)


def _note(folder: Path) -> str:
    data = opened(folder)
    (note,) = data.told
    assert note in data.notes
    return note


def test_the_rotation_of_a_camera_is_not_applied_and_told(coloured: Path) -> None:
    rotated = Image.Exif()
    rotated[0x0112] = 6
    PICTURE.save(coloured / "a cat" / "x.jpg", exif=rotated, quality=95)
    assert _note(coloured) == (
        "1 of 9 pictures have a camera's rotation (Exif), which is not applied: pixels are read as they are stored; "
        f"{coloured}/a cat/x.jpg for one"
    )
    assert whole(coloured).shape[1:] == (*SIZE, 3)
    for number in range(70):  # more than are looked at before a training: the check looks at all
        PICTURE.save(coloured / "Łódź" / f"more{number}.jpg", exif=rotated)
    counts = [sum(part.remarks.values()) for part in check(opened(coloured))]
    assert sum(counts) == 71
    assert "of 64 pictures that were looked at have a camera's" in _note(coloured)


def test_sixteen_bits_transparency_and_inks_are_told(coloured: Path, tmp_path: Path) -> None:
    file = coloured / "a cat" / "x.png"
    PICTURE.convert("RGBA").save(file)
    assert "1 of 9 pictures have transparency, which is left out; " in _note(coloured)
    file.unlink()
    PICTURE.convert("CMYK").save(coloured / "a cat" / "x.jpg", quality=95)
    assert "1 of 9 pictures are in CMYK, which is converted" in _note(coloured)
    assert whole(coloured).shape[1:] == (*SIZE, 3)
    other = tmp_path / "deep"
    other.mkdir()
    wide = np.arange(np.prod(SIZE), dtype=np.uint16).reshape(SIZE) * 300
    Image.fromarray(wide).save(_folder(other, GREY) / "a cat" / "x.png")
    assert "1 of 9 pictures have 16 bits a channel, of which the upper 8 are read" in _note(other)
    values = whole(other)
    assert any(np.array_equal(one[..., 0], wide >> 8) for one in values)


def test_grey_among_colours_is_the_same_whatever_comes_first(grey: Path) -> None:
    GREY.convert("LA").save(grey / "a cat" / "alpha.png")
    assert "have transparency" in _note(grey)
    (grey / "a cat" / "alpha.png").unlink()
    PICTURE.save(grey / "a cat" / "x.png")
    assert "8 of 9 pictures are grey among pictures in colour, and get three equal channels" in _note(grey)
    assert {opened(grey, arguments={"split_seed": seed}).input_shape for seed in range(5)} == {(*SIZE, 3)}
    assert opened(grey, arguments={"channels": 1}).input_shape == (*SIZE, 1)
    with pytest.raises(UsageError, match=r"channels: 2 is not valid; expected 1 \(grey\) or 3 \(colours\)"):
        opened(grey, arguments={"channels": 2})


@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_a_rare_picture_in_colour_never_becomes_grey_in_silence(suffix: str, grey: Path) -> None:
    for number in range(100):
        GREY.save(grey / "a cat" / f"more{number}.{suffix}")
    for seed in range(20):  # until it is not among those that are looked at
        PICTURE.save(grey / "Łódź" / f"x.{suffix}")
        data = opened(grey, arguments={"split_seed": seed})
        if data.input_shape[2] == 1:
            break
    with pytest.raises(UsageError, match=rf"x\.{suffix}\): is in colour, unlike the others.*channels=3 reads all"):
        np.asarray(data.x_train), np.asarray(data.x_test)


def test_a_test_picture_in_colour_is_refused_where_training_is_grey(tmp_path: Path) -> None:
    for part, picture in (("train", GREY), ("test", PICTURE)):
        (tmp_path / part / "a").mkdir(parents=True)
        picture.save(tmp_path / part / "a" / "x.png")
    with pytest.raises(UsageError, match=r"test/a/x\.png\): is in colour, unlike the others"):
        np.asarray(opened(tmp_path).x_test)


def test_what_lies_about_in_folders_is_left_out_and_told(coloured: Path) -> None:
    (coloured / "a cat" / ".DS_Store").write_bytes(b"x")
    (coloured / "a cat" / "Thumbs.db").write_bytes(b"x")
    for name in (".ipynb_checkpoints", "__MACOSX", "@eaDir"):
        (coloured / name).mkdir()
        PICTURE.save(coloured / name / "x.png")
    assert opened(coloured).told == ()
    assert opened(coloured).classes == 2
    (coloured / "a cat" / "._1.png").write_bytes(b"a resource fork of macOS")
    (coloured / "a cat" / "nested").mkdir()
    PICTURE.save(coloured / "a cat" / "nested" / "x.png")
    (coloured / "a cat" / "x.tif").write_bytes(b"II*\x00")
    PICTURE.save(coloured / "beside.png")
    (coloured / "nothing").mkdir()
    data = opened(coloured)
    assert data.classes == 3
    assert list(data.told) == [
        f"left out: 1 files that are neither JPEG nor PNG, {coloured}/a cat/x.tif for one",
        f"left out: 1 folders within those of classes, {coloured}/a cat/nested for one",
        "left out: 1 hidden pictures (their names begin with a dot)",
        "left out: 1 pictures beside the folders of classes",
        f"no picture in 'nothing' of {coloured}, which count as classes",
    ]
    assert len(data.x_train) + len(data.x_test) == 8


def test_folders_that_are_links_nested_or_of_test_alone(
    coloured: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (coloured / "Łódź").rename(elsewhere / "z")
    (coloured / "Łódź").symlink_to(elsewhere / "z")
    assert len(whole(coloured)) == 8
    parts = elsewhere / "parts"
    for part in ("train", "test"):
        shutil.copytree(coloured, parts / part)
    (parts / "test" / "zebra").mkdir()
    with pytest.raises(UsageError, match=r"parts/test has folders of classes that .*parts/train has not: 'zebra'"):
        opened(parts)
    nested = elsewhere / "nested"
    shutil.copytree(coloured / "a cat", nested / "animals" / "cats")
    with pytest.raises(UsageError, match=r"no picture .* in folders within them, such as .*animals/cats, are not read"):
        opened(nested)


def _grey_png(pixels: np.ndarray, bits: int) -> bytes:
    """Return a grey PNG of 1, 2 or 4 bits a pixel, whose width fills whole bytes."""
    rows = [np.packbits(np.unpackbits(row[:, None].astype(np.uint8), axis=1)[:, 8 - bits :].ravel()) for row in pixels]
    data = b"".join(b"\0" + row.tobytes() for row in rows)
    head = struct.pack(">IIBBBBB", pixels.shape[1], pixels.shape[0], bits, 0, 0, 0, 0)
    chunks = ((b"IHDR", head), (b"IDAT", zlib.compress(data)), (b"IEND", b""))
    body = (
        struct.pack(">I", len(part)) + name + part + struct.pack(">I", zlib.crc32(name + part)) for name, part in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(body)


@pytest.fixture
def masked(tmp_path: Path) -> Path:
    """Return a folder of ten pictures and their masks of the classes 0, 1 and 2."""
    for kind in ("images", "masks"):
        (tmp_path / kind).mkdir()
    for number in range(10):
        Image.new("RGB", (16, 8)).save(tmp_path / "images" / f"{number}.jpg")
        Image.fromarray((np.arange(128).reshape(8, 16) % 3).astype(np.uint8)).save(tmp_path / "masks" / f"{number}.png")
    return tmp_path


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_masks_of_few_bits_have_the_classes_that_were_written(bits: int, masked: Path) -> None:
    classes = np.arange(128).reshape(8, 16) % min(2**bits, 3)
    for file in (masked / "masks").iterdir():
        file.write_bytes(_grey_png(classes, bits))
    data = opened(masked)
    assert data.classes == min(2**bits, 3)
    assert all(np.array_equal(one, classes) for one in data.y_train[:])
    Image.fromarray(classes.astype(np.uint8)).convert("RGB").save(masked / "masks" / "0.png")  # one by one, then
    assert all(np.array_equal(one, classes) for data in (opened(masked),) for one in data.y_train[:])


@pytest.mark.parametrize(
    ("form", "mode", "words"),
    [
        ("PNG", "P", "is a PNG with a palette, whose colours are no classes"),
        ("PNG", "I;16", "is a PNG of 16 bits; write the classes, 0 to 255"),
        ("PNG", "RGB", "is in colour, and colours are no classes"),
        ("JPEG", "L", "is of the form JPEG; classes are read from PNGs alone, which keep each pixel exactly"),
        ("BMP", "L", "is of the form BMP; classes are read from PNGs alone"),
    ],
)
def test_masks_that_would_be_read_wrong_are_refused(form: str, mode: str, words: str, masked: Path) -> None:
    mask = np.arange(128, dtype=np.uint8).reshape(8, 16)
    picture = Image.fromarray(mask if mode == "L" else np.stack([mask, mask, 0 * mask], axis=-1))
    picture = Image.fromarray(mask.astype(np.uint16) * 300) if mode == "I;16" else picture.convert(mode)
    picture.save(masked / "masks" / "3.png", format=form)
    with pytest.raises(UsageError, match=rf"masks/3\.png\): {words}"):
        opened(masked)


def test_heads_that_are_cut_off_say_what_they_can() -> None:
    assert head_of(b"") == Head("")
    assert head_of(b"\x89PNG\r\n\x1a\n").form == "PNG"
    assert head_of(b"\xff\xd8\xff\xe1\x00").form == "JPEG"
    assert head_of(b"GIF89a").form == "GIF"
    assert head_of(b"\x00\x00\x00\x18ftypheic").form == "HEIF"
    assert head_of(b"\x00\x00\x00\x18ftypavif").form == "AVIF"
    # a directory of Exif that points beyond its end, and one of the other byte order
    assert head_of(b"\xff\xd8\xff\xe1\x00\x10Exif\x00\x00II*\x00\xff\xff\xff\xff" + b"\0" * 20).orientation == 1
    exif = b"MM\x00*\x00\x00\x00\x08\x00\x01\x01\x12\x00\x03\x00\x00\x00\x01\x00\x08\x00\x00"
    segment = b"\xff\xe1" + struct.pack(">H", len(exif) + 8) + b"Exif\x00\x00" + exif
    assert head_of(b"\xff\xd8" + segment + b"\xff\xc0\x00\x11\x08\x00\x05\x00\x06\x03" + b"\0" * 9) == Head(
        "JPEG", 5, 6, 3, 8, 8
    )
