"""Kinds of commands without TensorFlow, and their trainings in NumPy: forks of one process do them."""

from __future__ import annotations

import functools
import json
import os
import re
import sys
import types
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import numpy as np
from click.testing import CliRunner

from hpcnn.cli.main import main
from hpcnn.machine.container.context import Context, context_of
from hpcnn.sites.load import read_profile
from hpcnn.util.cache_dir import check_file
from tests.faults.kinds import Action, Kind, Wrong, files, training_facts
from tests.faults.process import hpcnn, run
from tests.machine.container.conftest import BUILDS
from tests.scheduler.commands import Commands
from tests.sites.test_discover import TESTBED

# What the forks need.
MODULES = (
    *(f"hpcnn.cli.{name}" for name in ("submit", "resume", "study", "search", "data", "container", "scaling_report")),
    *(f"hpcnn.cli.{name}" for name in ("plot", "tune", "init", "completion", "sites")),
    *("pandas", "matplotlib.figure", "optuna", "sklearn.datasets", "h5py", "pyarrow.parquet"),
)
BEACH = ("--model", "scinet-beach", "--data", "beach")
COMPLETED = ("has completed",)
_RUNS = ("--runs", "runs")
STUDY = """name = "faults"
kind = "strong"
repeats = 2
[train]
model = "scinet-beach"
data = "beach"
epochs = 2
[axes]
learning_rate = [0.1, 0.5]
"""
SEARCH = """name = "faults"
[search]
method = "grid"
metric = "accuracy"
[train]
model = "scinet-beach"
data = "beach"
epochs = 2
[space]
learning_rate = [0.1, 0.5, 0.9]
"""


def kinds(place: Path) -> list[Kind]:
    """Return the kinds that need no TensorFlow."""
    return [
        Kind("init", lambda folder: hpcnn("init", folder / "project"), files, done=("already; name",)),
        Kind("completion", lambda folder: _with({"XDG_DATA_HOME": folder}, hpcnn("completion", "bash")), files),
        Kind("sites init", _sites_init, files, again=lambda folder, said: _sites_init(folder, "--force")),
        Kind("data stage", _stage, _arrays),
        Kind("data convert npy", convert("npy:{}/digits"), _arrays, again=convert_forced("npy:{}/digits")),
        Kind("data convert h5", convert("h5:{}/digits.h5"), _h5, again=convert_forced("h5:{}/digits.h5")),
        Kind("data convert parquet", convert("parquet:{}/digits"), files, again=convert_forced("parquet:{}/digits")),
        Kind("container build", _build, _image, before=_apptainer),
        Kind("container build, copied", _build_copied, _image, _apptainer),
        Kind("scaling-report to files", _report(place), _tables, slow=True),
        Kind("scaling-report --export", _export(place), files),
        Kind("plot curves", _curves(place), lambda folder: sorted(files(folder))),
        Kind("tune keeps", _tune, _profile, before=_site),
        Kind("train to a target", _train_to_a_target, _training, done=(*COMPLETED, "already holds a finished run")),
    ]


def warm(place: Path) -> None:
    """Import what the reports need, by calling each once in this process."""
    run_dir = str(place / "oracle")
    CliRunner().invoke(main, ["scaling-report", run_dir, "--html", str(place / "warm.html"), "--format", "json"])
    CliRunner().invoke(main, ["plot", "curves", run_dir, "--output", str(place / "warm.png")])


def job_kinds() -> list[Kind]:
    """Return the kinds that start job scripts, whose processes are killed too."""
    return [
        Kind("submit", _submit, _training, again=or_resume(_submit), done=COMPLETED),
        Kind("resume", _resume, _training, before=_stopped, done=COMPLETED),
        Kind("study run", _in_folder("study", "run", "study.toml", *_RUNS), _points, _files),
        Kind("search run", _in_folder("search", "run", "search.toml", *_RUNS), _points, _files, excused=_one_failed),
        Kind("study submit", _with_slurm("study", "submit", "study.toml"), _queued, _queue),
        Kind("search submit", _with_slurm("search", "submit", "search.toml", "--workers", 2), _queued, _queue),
    ]


def _with(variables: dict[str, object], action: Action) -> Action:
    def changed() -> None:
        os.environ |= {name: str(value) for name, value in variables.items()}
        action()

    return changed


def _in_folder(*words: object) -> Callable[[Path], Action]:
    def of(folder: Path) -> Action:
        def action() -> None:
            os.chdir(folder)
            hpcnn(*words)()

        return action

    return of


def _files(folder: Path) -> None:
    (folder / "study.toml").write_text(STUDY)
    (folder / "search.toml").write_text(SEARCH)


def _sites_init(folder: Path, *more: object) -> Action:
    def action() -> None:
        with mock.patch("hpcnn.sites.ask.cluster", return_value=TESTBED):
            hpcnn("sites", "init", "--name", "own", "--output", folder / "own.toml", *more)()

    return action


def _stage(folder: Path) -> Action:
    def action() -> None:
        loader = types.ModuleType("keras.datasets.reuters")
        words = np.array([np.arange(1, count, dtype=np.int32) for count in (3, 5, 4)], dtype=object)
        part = words, np.array([0, 1, 0])
        loader.load_data = lambda **options: (part, part)  # type: ignore[attr-defined]
        no_tensorflow = mock.patch("hpcnn.util.extras.import_tensorflow")
        with no_tensorflow, mock.patch.dict(sys.modules, {loader.__name__: loader}):
            hpcnn("data", "stage", "reuters", "--folder", folder)()

    return action


def _arrays(folder: Path) -> object:
    found = {}
    for file in [*folder.rglob("*.npz"), *folder.rglob("*.npy")]:
        with file.open("rb") as opened:
            loaded = np.load(opened)
            parts = {"": loaded} if file.suffix == ".npy" else dict(loaded)
            found[file.name] = {name: (part.shape, part.tolist()) for name, part in parts.items()}
    return found, sorted(name for name in files(folder) if not name.endswith((".npy", ".npz")))


def convert(target: str) -> Callable[[Path], Action]:
    words = ("--samples", 64, "--test-samples", 32, "--chunk", 16)
    return lambda folder: hpcnn("data", "convert", "digits", target.format(folder), *words)


def convert_forced(target: str) -> Callable[[Path, str], Action]:
    """Convert with --force where the command says so, as where it does not know how far it came."""
    words = ("--samples", 64, "--test-samples", 32, "--chunk", 16)

    def again(folder: Path, said: str) -> Action:
        more = ["--force"] if "--force" in said else []
        return hpcnn("data", "convert", "digits", target.format(folder), *words, *more)

    return again


def _h5(folder: Path) -> object:
    import h5py

    with h5py.File(folder / "digits.h5") as file:
        return {name: file[name][:].tolist() for name in file}, sorted(files(folder))


def _apptainer(folder: Path) -> None:
    _context("cpu")
    programs = folder.parent / "programs"
    programs.mkdir(exist_ok=True)
    for name, text in (("apptainer", BUILDS.replace(" pip/pip.conf", "")), ("debootstrap", "#!/bin/sh\n")):
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)


@functools.cache
def _context(kind: str) -> Context:
    return context_of(kind)


def _build(folder: Path, *more: object) -> Action:
    programs = f"{folder.parent}/programs:{os.environ['PATH']}"
    variables = {"PATH": programs, "HPCNN_CACHE": folder / "cache", "CALLS": "/dev/null"}

    def action() -> None:
        # what takes seconds and writes nothing
        build = "hpcnn.machine.container.build"
        with mock.patch(f"{build}.context_of", _context), mock.patch(f"{build}.debian_mirror", return_value=""):
            hpcnn("container", "build", "cpu", *more)()

    return _with(variables, action)


def _build_copied(folder: Path) -> Action:
    return _build(folder, "--output", folder / "own.sif")


def _image(folder: Path) -> object:
    """Return what is in the cache and beside it, without the digest of hpcnn itself in the names."""
    for image in folder.glob("cache/images/*.sif"):
        check_file(image)
    found = {re.sub(r"cpu-[0-9a-f]{12}", "cpu", name): content for name, content in files(folder).items()}
    return sorted(found), found["cache/images/hpcnn-cpu.sif"]


def _report(place: Path) -> Callable[[Path], Action]:
    return lambda folder: _with(
        {"HPCNN_CACHE": folder / "cache"},
        hpcnn("scaling-report", place / "oracle", "--html", folder / "report.html", "--format", "json"),
    )


def _tables(folder: Path) -> object:
    page = (folder / "report.html").read_text()
    return page.count("<table"), page.rstrip().endswith("</html>"), len(list((folder / "cache").rglob("*.*"))) > 0


def _export(place: Path) -> Callable[[Path], Action]:
    return lambda folder: hpcnn(
        "scaling-report", place / "oracle", "--export", "archive", folder / "runs.tar.gz", "--format", "json"
    )


def _curves(place: Path) -> Callable[[Path], Action]:
    return lambda folder: hpcnn("plot", "curves", place / "oracle", "--output", folder / "curves.png")


def _site(folder: Path) -> None:
    (folder / "config" / "sites").mkdir(parents=True)
    (folder / "config" / "sites" / "local.toml").write_text('# mine\n[environment]\nA = "1"  # a word\n')


def _profile(folder: Path) -> object:
    """Return what the user wrote into the profile: which settings stand beside it, depends on those there before."""
    (file,) = files(folder / "config" / "sites")
    text = (folder / "config" / "sites" / file).read_text()
    read_profile(folder / "config" / "sites" / file)
    return [line for line in text.splitlines() if "mine" in line or "a word" in line]


def _tune(folder: Path) -> Action:
    def action() -> None:
        from hpcnn.machine.tune.trials import Trials

        rates = lambda trials, settings: 1000.0 if settings else 100.0  # noqa: E731
        os.environ["HPCNN_CONFIG"] = str(folder / "config")
        with mock.patch.object(Trials, "rate", rates):
            words = ("--model", "scinet-cnn1", "--data", "digits", "--ntasks", 2, "--repeats", 2)
            hpcnn("tune", *words, "--folder", folder / "trials")()

    return action


def _submit(folder: Path) -> Action:
    return hpcnn("submit", "--site", "local", "--run-dir", folder / "run", *BEACH, "--epochs", 3)


def _training(folder: Path) -> object:
    return training_facts(folder / "run")


def _train_to_a_target(folder: Path) -> Action:
    target = ("--epochs", 9, "--target-accuracy", 0.01, "--resume")
    return hpcnn("train", *BEACH, *target, "--run-dir", folder / "run")


def _stopped(folder: Path) -> None:
    """Make a submitted training that was stopped after its first step, and kept its state."""

    def submit() -> None:
        with mock.patch("hpcnn.scheduler.bash.run", return_value=0):
            _submit(folder)()

    run(submit, folder)
    (folder / "run" / "result.json").unlink()
    (folder / "run" / "stop").touch()
    words = ("train", *BEACH, "--epochs", 3, "--resume", "--run-dir", folder / "run")
    ended = run(_with({"HPCNN_RUN_DIR": folder / "run"}, hpcnn(*words)), folder)
    if ended.status != 75:
        raise Wrong(f"it did not stop: {ended}")


def or_resume(action: Callable[[Path], Action]) -> Callable[[Path, str], Action]:
    """Submit again, or resume where the record says that the attempt has ended: its job script was killed last."""
    return lambda folder, said: _resume(folder) if "already holds a finished run" in said else action(folder)


def _resume(folder: Path) -> Action:
    return hpcnn("resume", folder / "run")


def _points(folder: Path) -> object:
    """Return the facts of all runs below a folder, but of attempts that were set aside."""
    return {
        spec.parent.name: training_facts(spec.parent)
        for spec in sorted((folder / "runs").rglob("spec.json"))
        if "~" not in spec.parent.name and "earlier" not in spec.parts
    }


def _one_failed(found: object, right: object) -> bool:
    """Return whether all trials are right but one, which failed: its training alone was killed, as for its memory."""
    assert isinstance(found, dict)
    assert isinstance(right, dict)
    others = [name for name, facts in right.items() if found.get(name) != facts]
    return len(found) == len(right) and len(others) == 1 and found[others[0]][0] == "failed"


def _queue(folder: Path) -> None:
    _files(folder)
    (folder / "bin").mkdir()
    slurm = Commands(folder / "bin")
    slurm.queue()
    slurm.sacct()
    slurm.put("scontrol", "MaxArraySize = 1001\n")
    number = f'n=$(/usr/bin/wc -l <"{folder}/bin/sbatch.calls")'
    slurm.script(
        "sbatch",
        f"for script; do :; done\n{number}\n"
        f'/bin/sed -n "s/^#SBATCH --array=0-\\([0-9]*\\).*/\\1/p" "$script" >"{folder}/bin/last"\n'
        f'last=$(/bin/cat "{folder}/bin/last")\n'
        f'for task in $(/usr/bin/seq 0 "${{last:-0}}"); do '
        f'echo "7$n${{last:+_$task}}|PENDING|$script" >>"{folder}/bin/queue"; done\necho 7$n',
    )


def _with_slurm(*words: object) -> Callable[[Path], Action]:
    return lambda folder: _with({"PATH": folder / "bin"}, _in_folder(*words, *_RUNS, "--site", "generic-slurm")(folder))


def _queued(folder: Path) -> object:
    """Return how many tasks wait; each run or worker must do so once, and each record of a run name its job."""
    tasks = (folder / "bin" / "queue").read_text().splitlines()
    ids = {line.partition("|")[0].partition("_")[0] for line in tasks}
    records = [json.loads(file.read_text()) for file in (folder / "runs").rglob("job.json")]
    return len(tasks), [str(record["job_id"]).partition("_")[0] in ids for record in records]
