"""Every form of data on disk gives the samples that were written, by number, and says which one is bad."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hpcnn.data.dataset import DataSet
from hpcnn.data.registry import load
from hpcnn.data.stream.convert import check_kind_stays, convert
from hpcnn.data.stream.opened import Options
from hpcnn.data.stream.streamed import StreamedSet, bad_of, source_of
from hpcnn.data.stream.writers import WRITERS
from hpcnn.util.errors import HpcnnError, UsageError
from hpcnn.util.user_code import DATA_FORMS, own_code
from hpcnn.zoo.forms import FORMS, location_of

TARGETS = {"npy": "d", "h5": "d.h5", "zarr": "d", "tfrecord": "d", "parquet": "d", "images": "d"}


def small() -> DataSet:
    """Return 50 + 20 samples of digits."""
    return load("digits", samples=50, test_samples=20)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Return the name of the same small set in every form."""
    names = {}
    for form, place in TARGETS.items():
        target = f"{form}:{tmp_path_factory.mktemp(form) / place}"
        convert(small(), target, 16)
        names[form] = target
    return names


def opened(name: str, **options: Any) -> StreamedSet:
    data = load(name, options=Options(**options))
    assert isinstance(data, StreamedSet)
    return data


@pytest.mark.parametrize("form", [form for form in TARGETS if form != "images"])
def test_a_form_gives_back_the_samples_that_were_written(form: str, written: dict[str, str]) -> None:
    data, whole = opened(written[form]), small()
    assert (data.samples, data.test_samples, data.classes) == (50, 20, 10)
    assert data.input_shape == (28, 28, 1)
    order = np.random.default_rng(1).permutation(50)
    x, y = source_of(data.x_train).read(order)
    assert (x.dtype, y.dtype) == (np.uint8, np.int64)
    assert np.array_equal(x, whole.x_train[order])
    assert np.array_equal(y, whole.y_train[order])
    assert np.array_equal(np.asarray(data.x_test), whole.x_test)
    assert np.array_equal(np.asarray(data.y_test), whole.y_test)


def test_pictures_in_folders_are_the_samples_in_an_order_by_chance(written: dict[str, str]) -> None:
    data, whole = opened(written["images"]), small()
    for x, y, x_whole, y_whole in (
        (data.x_train, data.y_train, whole.x_train, whole.y_train),
        (data.x_test, data.y_test, whole.x_test, whole.y_test),
    ):
        ours = {(int(label), picture.tobytes()) for picture, label in zip(x[:], y[:], strict=True)}
        assert ours == {(int(label), picture.tobytes()) for picture, label in zip(x_whole, y_whole, strict=True)}
    assert (np.diff(data.y_train[:]) < 0).any()
    assert data.classes == 10


def test_the_forms_are_known_to_everybody() -> None:
    assert tuple(FORMS) == DATA_FORMS
    assert set(TARGETS) == set(FORMS)
    assert own_code({"data": "h5:a.h5#x,y", "model": "mine:net"}) == ["mine:net"]


def test_labels_and_features_of_one_array_are_split_by_seed(tmp_path: Path) -> None:
    whole = small()
    np.save(tmp_path / "x.npy", whole.x_train)
    np.save(tmp_path / "y.npy", whole.y_train)
    name = f"npy:{tmp_path}/x.npy,{tmp_path}/y.npy"
    data = opened(name)
    assert (data.samples, data.test_samples) == (40, 10)
    rows = {row.tobytes() for part in (data.x_train, data.x_test) for row in part[:]}
    assert len(rows) == len({row.tobytes() for row in whole.x_train}) == 50
    other = load(name, arguments={"split_seed": 2, "test_share": 0.1})
    assert (other.samples, other.test_samples) == (45, 5)
    assert data.notes == ("40 + 10 samples: one of 5 is for the test, by seed 1",)


def test_several_files_follow_one_another(tmp_path: Path) -> None:
    import h5py

    whole = small()
    for number, rows in enumerate((slice(0, 20), slice(20, 50))):
        with h5py.File(tmp_path / f"part{number}.h5", "w") as file:
            file["image"], file["label"] = whole.x_train[rows], whole.y_train[rows]
    data = opened(f"h5:{tmp_path}/part*.h5::{tmp_path}/part0.h5#image,label")
    assert np.array_equal(data.x_train[:], whole.x_train)
    assert data.test_samples == 20
    assert source_of(data.x_train).where(25) == f"{tmp_path}/part1.h5#image, number 5"


def test_what_is_cleaned_is_what_it_would_be_in_memory(tmp_path: Path) -> None:
    """Channels that come first, wide integers, labels (N, 1)."""
    pixels = np.random.default_rng(0).integers(0, 256, (30, 3, 6, 7))
    labels = (np.arange(30) % 4)[:, None]
    for part in ("train", "test"):
        np.save(tmp_path / f"x_{part}.npy", pixels)
        np.save(tmp_path / f"y_{part}.npy", labels)
    data, whole = opened(f"npy:{tmp_path}"), DataSet("whole", pixels, labels, pixels, labels)
    for key in ("x_train", "y_train"):
        ours, theirs = np.asarray(getattr(data, key)), getattr(whole, key)
        assert ours.dtype == theirs.dtype
        assert np.array_equal(ours, theirs)
    assert (data.classes, data.input_shape, data.outputs) == (whole.classes, whole.input_shape, whole.outputs)
    assert data.notes == whole.notes


def test_a_bad_sample_is_named_with_its_file(tmp_path: Path, written: dict[str, str]) -> None:
    folder = tmp_path / "pictures"
    shutil.copytree(location_of(written["images"]).training[0], folder)
    most = max((folder / "train").iterdir(), key=lambda path: len(list(path.iterdir())))
    cut, gone = sorted(most.glob("*.png"))[:2]
    cut.write_bytes(cut.read_bytes()[:60])
    gone.unlink()
    gone.symlink_to("nowhere")
    name, size = f"images:{folder}", (28, 28)
    with pytest.raises(UsageError, match=r"--data: sample \d+ \(.*\.png\): cannot be (decoded|read).*--skip-bad N"):
        np.asarray(opened(name, image_size=size).x_train)
    with pytest.raises(UsageError, match="more samples are bad than --skip-bad 1 allows"):
        np.asarray(opened(name, image_size=size, skip_bad=1).x_train)
    forgiving = opened(name, image_size=size, skip_bad=2)
    x = np.asarray(forgiving.x_train)
    bad = bad_of(source_of(forgiving.x_train))
    assert {reason.partition(": ")[0] for reason in bad.values()} == {str(cut), str(gone)}
    for number in bad:
        assert any(np.array_equal(x[number], x[(number + step) % 50]) for step in (1, 2))


def test_numbers_that_are_none_are_bad(tmp_path: Path) -> None:
    x = np.zeros((20, 3), np.float32)
    x[7, 1] = np.nan
    for part in ("train", "test"):
        np.save(tmp_path / f"x_{part}.npy", x)
        np.save(tmp_path / f"y_{part}.npy", np.arange(20) % 2)
    data = opened(f"npy:{tmp_path}")
    with pytest.raises(UsageError, match=r"sample 7 \(.*x_train.npy, number 7\): a feature is NaN"):
        source_of(data.x_train).read(np.array([3, 7]))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("h5:none.h5", "there is none"),
        ("npy:", "'npy:' is not valid; expected npy:DIR or npy:X.npy,Y.npy"),
        ("h5:a.h5#x", "expected h5:FILES"),
        ("npy:a.npy", "there is none"),
    ],
)
def test_what_is_not_there_is_said(name: str, words: str) -> None:
    with pytest.raises(UsageError, match=words.replace("(", r"\(")):
        opened(name)


def test_options_that_a_form_does_not_have(written: dict[str, str]) -> None:
    with pytest.raises(UsageError, match=r"--data-arg: 'clases' is not known\. Did you mean 'classes'"):
        load(written["npy"], arguments={"clases": 3})
    with pytest.raises(UsageError, match=r"test_share: 0.9 is not valid"):
        load(written["npy"], arguments={"test_share": 0.9})
    with pytest.raises(UsageError, match=r"--image-size: '8x8' is not valid; expected no value with npy"):
        opened(written["npy"], image_size=(8, 8))
    with pytest.raises(UsageError, match=r"--samples: 51 is not valid; expected 1 to 50"):
        load(written["npy"], samples=51)


def test_a_conversion_that_was_killed_before_its_first_chunk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    for form, place in TARGETS.items():
        (tmp_path / form).mkdir()
        target = f"{form}:{tmp_path / form / place}"
        with monkeypatch.context() as patch:
            patch.setattr(WRITERS[form], "begin", killed)
            with pytest.raises(KeyboardInterrupt):
                convert(small(), target, 16)
        convert(small(), target, 16)
        assert len(opened(target).x_train) == len(small().x_train)
        assert not [entry for entry in (tmp_path / form).iterdir() if "convert" in entry.name]


def test_two_conversions_to_one_place(tmp_path: Path) -> None:
    def other(part: str, done: int, count: int) -> None:
        if done == 32:
            with pytest.raises(HpcnnError, match="another command is at work on this"):
                convert(small(), f"npy:{tmp_path / 'digits'}", 16, force=True)

    convert(small(), f"npy:{tmp_path / 'digits'}", 16, other)
    assert len(opened(f"npy:{tmp_path / 'digits'}").x_train) == len(small().x_train)


def test_a_conversion_that_was_stopped_goes_on(tmp_path: Path) -> None:
    class Stop(Exception):
        pass

    def until_32(part: str, done: int, count: int) -> None:
        if done == 32:
            raise Stop

    seen: list[tuple[str, int]] = []
    for form, place in TARGETS.items():
        (tmp_path / form).mkdir()
        target = f"{form}:{tmp_path / form / place}"
        with pytest.raises(Stop):
            convert(small(), target, 16, until_32)
        with pytest.raises(UsageError, match="is not whole: `hpcnn data convert` is at work on it, or was cut off"):
            opened(target)  # zeros stand for what is missing, or it is missing
        seen.clear()
        convert(small(), target, 16, lambda part, done, count: seen.append((part, done)))
        assert seen[:2] == [("train", 32), ("train", 48)], form
        data = opened(target)
        assert sorted(row.tobytes() for row in data.x_train[:]) == sorted(row.tobytes() for row in small().x_train)
        with pytest.raises(UsageError, match="DEST: there is something already"):
            convert(small(), target, 16)


def test_the_first_of_a_set_on_disk_that_is_sorted_by_class_are_refused(tmp_path: Path) -> None:
    for part, count in (("train", 30), ("test", 9)):
        np.save(tmp_path / f"x_{part}.npy", np.zeros((count, 4), np.float32))
        np.save(tmp_path / f"y_{part}.npy", np.arange(count) * 3 // count)
    with pytest.raises(UsageError, match=r"sorted by class, so its first 12 samples hold 2 of its 3 classes.* all 30"):
        load(f"npy:{tmp_path}", samples=12)
    assert load(f"npy:{tmp_path}", samples=25).samples == 25
    np.save(tmp_path / "y_train.npy", np.arange(30) % 3)
    assert load(f"npy:{tmp_path}", samples=2).samples == 2


def test_pictures_of_forms_that_are_not_read_are_told(tmp_path: Path) -> None:
    convert(load("digits", samples=20, test_samples=10), f"images:{tmp_path / 'digits'}", 10)
    (tmp_path / "digits" / "train" / "0" / "picture.GIF").write_bytes(b"GIF89a")
    note = load(f"images:{tmp_path / 'digits'}").notes[0]
    assert note.startswith("left out: 1 files that are neither JPEG nor PNG, ")
    assert note.endswith("picture.GIF for one")


@pytest.mark.parametrize(("x", "y"), [(">f4", ">i4"), (">f8", ">f4"), (">u2", ">i8")])
def test_numbers_in_the_order_of_another_machine_are_those_of_this_one(tmp_path: Path, x: str, y: str) -> None:
    for part, count in (("train", 12), ("test", 6)):
        np.save(tmp_path / f"x_{part}.npy", (np.arange(count * 16) % 250).reshape(count, 4, 4).astype(x))
        np.save(tmp_path / f"y_{part}.npy", (np.arange(count) % 3).astype(y))
    arrays = [np.load(tmp_path / f"{key}.npy") for key in ("x_train", "y_train", "x_test", "y_test")]
    streamed, whole = load(f"npy:{tmp_path}"), DataSet("own", *arrays)
    for found, wanted in ((streamed.x_train[:], whole.x_train), (streamed.y_train[:], whole.y_train)):
        assert found.dtype.isnative
        assert found.dtype == wanted.dtype == wanted.dtype.newbyteorder("=")
        np.testing.assert_array_equal(found, wanted)


def table_of(x: Any, y: Any, file: Path) -> str:
    """Write two columns as a Parquet file; return the name of the data set."""
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    file.parent.mkdir(exist_ok=True)
    parquet.write_table(arrow.table({"x": arrow.array(x), "y": arrow.array(y)}), file)
    return f"parquet:{file.parent}"


@pytest.mark.parametrize(
    ("x", "words"),
    [
        # ten numbers in five rows, which would also be five rows of two
        ([[1.0], [2.0, 3.0, 4.0], [5.0, 6.0], [7.0, 8.0], [9.0, 10.0]], "its rows are lists of different lengths"),
        ([[1.0, None], [2.0, 3.0], [4.0, 5.0], [6.0, 7.0], [8.0, 9.0]], "1 of 10 values are null"),
        ([1.0, None, 2.0, 3.0, 4.0], "1 of 5 values are null"),
    ],
)
def test_a_column_that_is_no_array_is_refused(x: Any, words: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=words):
        load(table_of(x, [0, 1, 0, 1, 0], tmp_path / "d" / "a.parquet"))


def test_numbers_of_another_type_are_no_samples_of_the_same_set(tmp_path: Path) -> None:
    """Halves that are written into whole numbers would be zeros."""
    x = [[float(number), 0.0] for number in range(5)]
    table_of(x, [0, 1, 0, 1, 0], tmp_path / "d" / "a.parquet")
    name = table_of(x, [0.5, 1.5, 0.5, 1.5, 0.5], tmp_path / "d" / "b.parquet")
    with pytest.raises(UsageError, match=r"b.parquet, row group 0, row \d.*: y is float64 of shape \(\), not int64"):
        load(name)


def records_of(labels: Any, file: Path) -> str:
    """Write records with rows of two numbers and these labels; return the name of the data set."""
    tf = pytest.importorskip("tensorflow")
    train = tf.train
    features = train.Feature(float_list=train.FloatList(value=[0.0, 1.0]))
    with tf.io.TFRecordWriter(str(file)) as writer:
        for label in labels:
            named = train.Features(feature={"x": features, "y": train.Feature(**label)})
            writer.write(train.Example(features=named).SerializeToString())
    return f"tfrecord:{file}"


def test_labels_of_records_are_numbers_of_one_type(tmp_path: Path) -> None:
    tf = pytest.importorskip("tensorflow")
    whole = {"int64_list": tf.train.Int64List(value=[1])}
    half = {"float_list": tf.train.FloatList(value=[0.5])}
    name = {"bytes_list": tf.train.BytesList(value=[b"cat"])}
    data = load(records_of([whole] * 12, tmp_path / "good.tfrecord"))
    assert data.samples + data.test_samples == 12
    with pytest.raises(UsageError, match=r"has a label of float32 \(\); the first has int64 \(\)"):
        load(records_of([whole] * 11 + [half], tmp_path / "mixed.tfrecord"))
    with pytest.raises(UsageError, match="y has no numbers, but bytes"):
        load(records_of([name] * 12, tmp_path / "names.tfrecord"))


def test_a_class_that_is_in_the_test_alone_is_refused(written: dict[str, str], tmp_path: Path) -> None:
    shutil.copytree(Path(written["images"].partition(":")[2]), tmp_path / "d")
    (tmp_path / "d" / "test" / "unknown").mkdir()
    with pytest.raises(UsageError, match=r"test has folders of classes that .*train has not: 'unknown'"):
        load(f"images:{tmp_path / 'd'}")


def test_weights_of_several_files_have_one_type(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    for name, dtype in (("a", int), ("b", float)):
        with h5py.File(tmp_path / f"{name}.h5", "w") as file:
            file["x"], file["y"], file["weights"] = np.ones((10, 2)), np.arange(10) % 2, np.ones(10, dtype)
    with pytest.raises(UsageError, match=r"has weights of int64 \(10,\), float64 \(10,\); expected one type"):
        load(f"h5:{tmp_path}/*.h5")
    assert load(f"h5:{tmp_path}/a.h5").train_weights is None  # a streamed set reads them with its samples


def test_grey_images_to_predict_are_not_written_as_the_classes_of_pixels() -> None:
    x = np.zeros((4, 5, 5, 1), np.uint8)
    with pytest.raises(UsageError, match=r"grey images to predict; in a file they would be taken for the classes of"):
        check_kind_stays(DataSet("mine", x, x, x, x))
    check_kind_stays(DataSet("mine", x, x[..., 0] // 255, x, x[..., 0]))
