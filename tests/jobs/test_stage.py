"""Data of every form is copied to a node's disk under a name of its own, and read there only while it is right."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from hpcnn.data import copies
from hpcnn.data.copies import copy_of
from hpcnn.data.dataset import DataSet
from hpcnn.data.registry import load
from hpcnn.data.stream.convert import convert
from hpcnn.data.stream.streamed import StreamedSet, source_of
from hpcnn.jobs import stage as module
from hpcnn.jobs.script import is_staged
from hpcnn.jobs.stage import copy_here, stage
from hpcnn.rundir.layout import RunDir
from hpcnn.rundir.staging import BY_NODE, SBCAST, VARIABLE, read_staging
from hpcnn.specs.job import JobSpec
from hpcnn.specs.resources import Resources
from hpcnn.specs.train import TrainSpec
from hpcnn.util.files import write_json

FORMS = {
    "npz": "d.npz",
    "npy": "npy:d",
    "h5": "h5:d.h5",
    "several h5": "h5:part-*.h5::d.h5#x_train,y_train",
    "zarr": "zarr:z",
    "tfrecord": "tfrecord:t",
    "parquet": "parquet:p",
    "images": "images:i",
}


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with 40 + 10 samples in every form."""
    folder = tmp_path_factory.mktemp("originals")
    data = load("digits", samples=40, test_samples=10)
    for name in ("npy:d", "h5:d.h5", "zarr:z", "tfrecord:t", "parquet:p", "images:i"):
        form, _, place = name.partition(":")
        convert(data, f"{form}:{folder / place}", 16)
    arrays = {key: getattr(data, key) for key in ("x_train", "y_train", "x_test", "y_test")}
    np.savez(folder / "d.npz", **arrays)
    for number in range(5):
        shutil.copy(folder / "d.h5", folder / f"part-{number}.h5")
    return folder


@pytest.fixture
def job(originals: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunDir:
    """Return the run directory of a job on one node, in a copy of the originals; sbcast and srun are there."""
    shutil.copytree(originals, tmp_path / "data", copy_function=shutil.copy2)
    (tmp_path / "disk").mkdir()
    programs = {
        "sbcast": 'cp -p "$3" "$4" && touch -d "@$(stat -c %Y "$3")" "$4"',
        "srun": 'while [ "${1#--}" != "$1" ]; do shift; done; "${@}"',
    }
    for name, line in programs.items():
        program = tmp_path / "bin" / name
        program.parent.mkdir(exist_ok=True)
        program.write_text(f"#!/usr/bin/env bash\n{line}\n")
        program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    monkeypatch.setenv("PYTHONPATH", str(Path(module.__file__).parents[2]))
    monkeypatch.chdir(tmp_path / "data")
    run = RunDir(tmp_path / "run")
    run.create()
    monkeypatch.setenv(VARIABLE, str(run.staging))
    _forget()
    return run


def _forget() -> None:
    """Forget what this process knows of an earlier job."""
    copies._read.cache_clear()
    copies._refused.clear()


def staged(run: RunDir, data: str, monkeypatch: pytest.MonkeyPatch | None = None) -> list[str]:
    """Stage the data of a job; return what was said. monkeypatch: to do the work of srun in this process."""
    _forget()
    write_json(run.spec, {"train": {"data": data, "data_args": {}}})
    said: list[str] = []
    if monkeypatch is not None:
        call = module._call

        def called(words: list[str], say: module.Say) -> None:
            copy_here(run, say) if "record" in words else call(words, say)

        monkeypatch.setattr(module, "_call", called)
    stage(run, str(run.path.parent / "disk" / "hpcnn-17-4711"), said.append)
    return said


def arrays(data: DataSet) -> list[np.ndarray]:
    return [np.asarray(getattr(data, key)) for key in ("x_train", "y_train", "x_test", "y_test")]


@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_copied_and_read_from_the_copy(form: str, job: RunDir, monkeypatch: pytest.MonkeyPatch) -> None:
    name, data = FORMS[form], job.path.parent / "data"
    whole = arrays(load(name))
    assert staged(job, name, monkeypatch) == []
    staging = read_staging(job.staging)
    assert staging is not None
    assert staging.seconds > 0
    assert {one.how for one in staging.staged} == {BY_NODE if form in ("several h5", "zarr", "images") else SBCAST}
    used = {one.path for one in staging.staged if copy_of(Path(one.path)) == Path(one.copy)}
    assert used == {one.path for one in staging.staged} != set()
    found = load(name)
    opened = {str(file.resolve()) for file in Path("/proc/self/fd").iterdir()}
    mapped = Path("/proc/self/maps").read_text()
    if form in ("npy", "several h5", "h5"):
        assert str(job.path.parent / "disk") in mapped + "".join(opened)
    if form in ("zarr", "images", "tfrecord"):
        shutil.rmtree(data)  # what is read from now on can only be read from the copy
    assert all(np.array_equal(one, other) for one, other in zip(arrays(found), whole, strict=True))
    if isinstance(found, StreamedSet):  # the original is named, whatever is read
        assert "disk/hpcnn-17" not in source_of(found.x_train).where(3)


def test_a_copy_is_of_its_own_original_alone(job: RunDir, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second set of a script, or of another run of a study: never the copy of the first one."""
    data = load("digits", samples=30, test_samples=10)
    np.savez("other.npz", x_train=data.x_train, y_train=data.y_train, x_test=data.x_test, y_test=data.y_test)
    staged(job, "d.npz")
    assert load("d.npz").samples == 40
    assert load("other.npz").samples == 30
    first = read_staging(job.staging)
    staged(job, "other.npz")
    second = read_staging(job.staging)
    assert first
    assert second
    assert first.staged[0].copy != second.staged[0].copy
    monkeypatch.setenv("SLURM_JOB_ID", "18")  # a job that inherits the variable
    _forget()
    assert copy_of(Path("other.npz")) == Path("other.npz")


def test_a_copy_that_is_not_whole_is_not_read_and_that_is_said(
    job: RunDir, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def reason(name: str) -> str:
        _forget()
        assert all(copy_of(Path(one.path)) == Path(one.path) for one in staging.staged)
        load(name)
        return capsys.readouterr().err

    staged(job, "h5:d.h5")
    staging = read_staging(job.staging)
    assert staging is not None
    copy = Path(staging.staged[0].copy)
    content, times = copy.read_bytes(), copy.stat()
    copy.write_bytes(content[:-1])
    os.utime(copy, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert "d.h5 itself: its copy on this node's disk is not whole" in reason("h5:d.h5")
    copy.write_bytes(content)  # as a copy that was cut off, with all bytes but not yet the time
    assert "is not whole" in reason("h5:d.h5")
    os.utime(copy, ns=(times.st_atime_ns, times.st_mtime_ns))
    _forget()
    assert copy_of(Path("d.h5")) == copy
    with monkeypatch.context() as other:
        other.setattr(os, "getuid", lambda: 4711)
        assert "belongs to another user" in reason("h5:d.h5")
    Path("d.h5").touch()
    assert "d.h5 itself: it has changed since it was copied" in reason("h5:d.h5")
    copy.unlink()
    Path("d.h5").unlink()
    shutil.copy2("part-0.h5", "d.h5")

    staged(job, "images:i", monkeypatch)
    staging = read_staging(job.staging)
    assert staging is not None
    shutil.copy(next(Path("i/train/0").iterdir()), "i/train/0/new.png")
    assert "i/train itself: it has changed since it was copied" in _after_change(capsys)


def _after_change(capsys: pytest.CaptureFixture[str]) -> str:
    _forget()
    load("images:i")
    return capsys.readouterr().err


def test_a_folder_of_which_one_file_cannot_be_copied_has_no_copy(job: RunDir, monkeypatch: pytest.MonkeyPatch) -> None:
    picture = next(Path("i/train/1").iterdir())

    def full(source: Path, target: Path) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as disk:
        disk.setattr(shutil, "copyfile", full)
        (said,) = [line for line in staged(job, "images:i", monkeypatch) if "train" in line]
    assert "i/train is not copied to this node's disk: no space" in said
    assert list((job.path.parent / "disk").iterdir()) == []
    assert copy_of(Path("i/train")) == Path("i/train")
    picture.unlink()
    picture.symlink_to("nowhere")
    (said,) = staged(job, "images:i", monkeypatch)
    assert said.startswith("hpcnn: the data is read where it is, and not from the nodes' own disks: ")
    assert not job.staging.exists()


def test_what_changes_while_it_is_copied_has_no_copy(job: RunDir, monkeypatch: pytest.MonkeyPatch) -> None:
    call = module._call

    def later(words: list[str], say: module.Say) -> None:
        shutil.copy("d.npz", "i/train/1/new.png")
        copy_here(job, say) if words[0] == "srun" else call(words, say)

    monkeypatch.setattr(module, "_call", later)
    said = staged(job, "images:i")
    assert [line for line in said if "i/train has changed since the job began to copy it" in line]


def test_a_run_without_data_is_said(job: RunDir) -> None:
    write_json(job.spec, {"train": None})
    said: list[str] = []
    stage(job, "/nowhere/hpcnn-17-1", said.append)
    assert said == [
        f"hpcnn: the data is read where it is, and not from the nodes' own disks: {job.spec} names no data",
    ]


def test_a_disk_that_is_too_small_gets_no_copies(job: RunDir, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_SHARE", 0.0)
    (said,) = staged(job, "h5:d.h5")
    assert "disks: it has " in said
    assert "has room for 0 GB" in said
    monkeypatch.undo()


def test_a_disk_that_is_memory_gets_a_part_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_kind_of_disk", lambda _: "tmpfs")
    monkeypatch.setenv("SLURM_MEM_PER_NODE", "1000")
    module._check_room(Path("/tmp"), 250 * 2**20)
    with pytest.raises(module.HpcnnError, match=r"/tmp is memory, of which copies may take 0.262 GB"):
        module._check_room(Path("/tmp"), 251 * 2**20)
    monkeypatch.delenv("SLURM_MEM_PER_NODE")
    monkeypatch.setenv("SLURM_MEM_PER_CPU", "100")
    monkeypatch.setenv("SLURM_CPUS_ON_NODE", "4")
    assert module._memory(os.environ) == 400 * 2**20
    with pytest.raises(module.HpcnnError, match="the variable of the site's local_disk is not set"):
        module._check_room(Path("/"), 1)


def test_the_task_of_a_node_is_a_command(job: RunDir, monkeypatch: pytest.MonkeyPatch) -> None:
    """As srun starts it, in a process of its own; what an attempt before a requeue left is removed."""
    left = job.path.parent / "disk" / "hpcnn-17-123-abc"
    left.mkdir()
    staged(job, "d.npz")
    assert left.exists()
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    assert staged(job, "zarr:z") == []
    staging = read_staging(job.staging)
    assert staging is not None
    assert not left.exists()
    assert all((Path(one.copy) / "zarr.json").is_file() for one in staging.staged)


def test_an_hdf5_file_that_refers_to_others_is_read_where_it_is(
    job: RunDir, capsys: pytest.CaptureFixture[str]
) -> None:
    import h5py

    with h5py.File("d.h5") as file:
        layout = h5py.VirtualLayout(shape=file["x_train"].shape, dtype=file["x_train"].dtype)
        layout[:] = h5py.VirtualSource("d.h5", "x_train", shape=file["x_train"].shape)
        with h5py.File("virtual.h5", "w", libver="latest") as virtual:
            virtual.create_virtual_dataset("x", layout)
            virtual["y"] = file["y_train"][:]
    whole = np.asarray(load("h5:virtual.h5").x_train)
    assert whole.any()
    staged(job, "h5:virtual.h5")
    assert np.array_equal(np.asarray(load("h5:virtual.h5").x_train), whole)
    assert "it refers to other files" in capsys.readouterr().err
    Path("d.h5").unlink()
    with pytest.raises(module.HpcnnError, match=r"virtual.h5#x is made of other files, and d.h5 is not there"):
        load("h5:virtual.h5")


@pytest.mark.parametrize(
    ("train", "ranks", "wanted"),
    [
        ({"data": "h5:a.h5"}, 1, True),
        ({"data": "h5:a.h5", "cache": "memory"}, 1, False),
        ({"data": "h5:a.h5", "cache": "memory"}, 2, True),
        ({"data": "h5:a.h5", "cache": "none"}, 2, False),
        ({"data": "h5:a.h5", "cache": "local-disk"}, 2, False),
        ({"data": "a.npz"}, 1, False),
        ({"data": "a.npz"}, 2, True),
        ({"data": "mnist"}, 2, True),
        ({"data": "halves", "data_args": {"of": "mnist"}}, 2, True),
        ({"data": "halves"}, 2, False),
        ({"data": "digits"}, 2, False),
        ({"data": "mine:load"}, 2, False),
    ],
)
def test_which_jobs_copy_their_data(train: dict[str, object], ranks: int, wanted: bool) -> None:
    spec = dataclasses.replace(TrainSpec(strategy="horovod"), **train)  # type: ignore[arg-type]
    assert is_staged(JobSpec("a", "narval", Resources(ntasks=ranks), spec)) is wanted


def test_a_record_of_copies_that_is_damaged_is_none(job: RunDir) -> None:
    staged(job, "h5:d.h5")
    found = json.loads(job.staging.read_text())
    for change in ({"staged": 3}, {"staged": [{}]}, {"job": "5-0"}):
        write_json(job.staging, {**found, **change})
        assert read_staging(job.staging) is None
