"""Files that are cut off, not to be read, never written, or changed while they are read: each is named."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from hpcnn.data.dataset import DataSet
from hpcnn.data.registry import load
from hpcnn.data.stream.convert import convert
from hpcnn.data.stream.streamed import StreamedSet, source_of
from hpcnn.specs.train import TrainSpec
from hpcnn.train.watch import Watch
from hpcnn.util.errors import UsageError

PLACES = ("npy", "h5", "tfrecord", "parquet")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the same small set in every form of files."""
    folder = tmp_path_factory.mktemp("whole")
    data = load("digits", samples=50, test_samples=20)
    for form in (*PLACES, "zarr"):
        (folder / form).mkdir()
        convert(data, f"{form}:{folder / form / ('d.h5' if form == 'h5' else 'd')}", 16)
    np.savez(folder / "d.npz", x_train=data.x_train, y_train=data.y_train, x_test=data.x_test, y_test=data.y_test)
    return folder


def everything(name: str) -> DataSet:
    """Open a set and read all of it."""
    data = load(name)
    np.asarray(data.x_train), np.asarray(data.x_test)
    return data


def name_of(form: str, folder: Path) -> str:
    return f"{form}:{folder / form / ('d.h5' if form == 'h5' else 'd')}"


def a_file(form: str, folder: Path) -> Path:
    """Return the largest file of a form."""
    place = folder / form
    files = [place] if place.is_file() else [file for file in place.rglob("*") if file.is_file()]
    return max((file for file in files if "index" not in file.name), key=lambda file: file.stat().st_size)


@pytest.mark.parametrize("form", [*PLACES, "zarr", "d.npz"])
@pytest.mark.parametrize("share", [0.0, 0.53, 0.99])
def test_a_file_that_is_cut_off_is_refused_by_its_name(form: str, share: float, whole: Path, tmp_path: Path) -> None:
    shutil.copytree(whole, tmp_path / "copy")
    file = a_file(form, tmp_path / "copy")
    name = str(file) if form == "d.npz" else name_of(form, tmp_path / "copy")
    everything(name)
    os.truncate(file, int(file.stat().st_size * share))
    if form == "tfrecord" and not share:  # a file of no record is whole, as far as its form can say
        assert load(name).told == (f"no record in {file}",)
        return
    with pytest.raises(UsageError) as error:
        everything(name)
    assert str(file) in str(error.value) or form == "zarr"
    assert "--data: " in str(error.value)


@pytest.mark.parametrize("form", ["npy", "h5"])
def test_a_mapped_file_that_becomes_shorter_ends_the_reading_and_not_the_process(
    form: str, whole: Path, tmp_path: Path
) -> None:
    """A touch beyond the end of a mapped file would kill it by SIGBUS."""
    x, y = np.random.default_rng(0).random((4000, 100), np.float32), np.arange(4000) % 3
    if form == "h5":
        import h5py

        with h5py.File(tmp_path / "d.h5", "w") as file:
            file["x"], file["y"] = x, y
    else:
        np.save(tmp_path / "x.npy", x)
        np.save(tmp_path / "y.npy", y)
    name = f"h5:{tmp_path}/d.h5" if form == "h5" else f"npy:{tmp_path}/x.npy,{tmp_path}/y.npy"
    data = load(name)
    os.truncate(tmp_path / ("d.h5" if form == "h5" else "x.npy"), 100_000)
    with pytest.raises(UsageError, match=r"cannot be read: the file has 100,000 bytes, and had 1,6\d\d,\d\d\d when it"):
        source_of(data.x_train).read(np.arange(100))


def test_chunks_that_were_never_written_are_told(tmp_path: Path) -> None:
    import h5py
    import zarr

    with h5py.File(tmp_path / "d.h5", "w") as file:
        x = file.create_dataset("x", (100, 4), np.float32, chunks=(10, 4))
        x[:70] = 1.0
        file["y"] = np.arange(100) % 2
    assert load(f"h5:{tmp_path}/d.h5").told == (
        f"{tmp_path}/d.h5#x: 3 of 10 chunks were never written, and are read as the fill value",
    )
    group = zarr.open_group(str(tmp_path / "z"), mode="w")
    x = group.create_array("x", shape=(100, 4), chunks=(10, 4), dtype="f4")
    x[:70] = 1.0
    y = group.create_array("y", shape=(100,), chunks=(100,), dtype="i8")
    y[:] = np.arange(100) % 2
    assert load(f"zarr:{tmp_path}/z").told == (
        f"{tmp_path}/z#x: 3 of 10 chunks were never written, and are read as the fill value",
    )


def test_a_whole_set_has_nothing_to_be_told(whole: Path) -> None:
    for form in (*PLACES, "zarr"):
        data = everything(name_of(form, whole))
        assert isinstance(data, StreamedSet)
        assert data.told == ()


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("h5:{}/*.hdf5", r"'.*\*\.hdf5' is not valid; expected a path or a pattern of files .*; there is none"),
        ("tfrecord:{}/h5", r"'.*\*\.tfrecord\*' is not valid"),
        ("parquet:{}/h5", r"'.*\*\.parquet' is not valid"),
        ("npy:{}/none", "there is none"),
        ("zarr:{}/none", "there is none"),
        ("zarr:{}/npy", "cannot be read as a group of Zarr"),
        ("images:{}/npy", "no picture"),
        ("images:{}/npy/d", "has no folders"),
    ],
)
def test_a_pattern_that_matches_nothing_is_named(name: str, words: str, whole: Path) -> None:
    with pytest.raises(UsageError, match=words):
        load(name.format(whole))


def test_a_folder_whose_name_looks_like_a_pattern(whole: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run [1]*"
    shutil.copytree(whole, folder)
    for form in (*PLACES, "zarr"):
        assert len(everything(name_of(form, folder)).x_train) == 50


@pytest.mark.skipif(os.getuid() == 0 and not shutil.which("setpriv"), reason="root may read everything")
@pytest.mark.parametrize("form", [*PLACES, "d.npz"])
def test_a_file_that_nobody_may_read_is_named(
    form: str, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(whole, tmp_path / "copy")
    file = a_file(form, tmp_path / "copy")
    for index in (tmp_path / "copy").rglob("*.index.npy"):
        index.unlink()
    name = str(file) if form == "d.npz" else name_of(form, tmp_path / "copy")
    file.chmod(0)
    if os.getuid() == 0:  # as an ordinary user: in a process of its own, root's powers taken away
        import subprocess
        import sys

        words = f"from hpcnn.data.registry import load\ntry:\n    load({name!r})\nexcept Exception as error:\n"
        words += "    print(type(error).__name__, error)\n"
        drop = ["setpriv", "--bounding-set=-all", "--inh-caps=-all", "--ambient-caps=-all", "--securebits=+noroot"]
        done = subprocess.run([*drop, sys.executable, "-c", words], capture_output=True, text=True, check=False)
        found = done.stdout
    else:
        with pytest.raises(UsageError) as error:
            load(name)
        found = f"UsageError {error.value}"
    assert found.startswith("UsageError --data: "), found
    assert "ermission denied" in found
    assert str(file) in found


def test_files_that_change_are_noticed_once(whole: Path, tmp_path: Path) -> None:
    shutil.copytree(whole, tmp_path / "copy")
    file = a_file("npy", tmp_path / "copy")
    spec = TrainSpec(data=name_of("npy", tmp_path / "copy"))
    watch = Watch(spec).only_if_read(load(spec.data))
    assert watch.changed() is None
    os.utime(file, ns=(1, 1))
    assert watch.changed() == (
        f"{file} changed while the training read it: what is learnt is of the old data and of the new; begin anew"
    )
    assert watch.changed() is None
    file.unlink()
    assert str(watch.changed()).startswith(f"{file} changed while")
    in_memory = TrainSpec(data=str(tmp_path / "copy" / "d.npz"))
    watch = Watch(in_memory).only_if_read(load(in_memory.data))
    os.utime(tmp_path / "copy" / "d.npz", ns=(1, 1))
    assert watch.changed() is None
    assert Watch(TrainSpec(data="digits")).changed() is None
