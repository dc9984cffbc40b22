"""Kill what writes at each of its changes: what is left is the old state, or the new one, or a clear error."""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from hpcnn.rundir.layout import RunDir
from hpcnn.rundir.owner import check_free
from hpcnn.rundir.read import read_run
from hpcnn.train.numpy.weights import load as load_weights
from tests.faults.kinds import Wrong
from tests.faults.process import Ended, hpcnn, run

EPOCHS = 5
TRAIN = ("train", "--model", "scinet-beach", "--data", "beach", "--epochs", EPOCHS)
# What no attempt may take for its own.
LEFT = ("checkpoints/epoch-003.keras", "plots/curves.png", "tensorboard/train/events", "exported/epoch-003.keras")


def training(folder: Path, *more: object) -> Callable[[], None]:
    return hpcnn(*TRAIN, "--run-dir", folder, *more)


def undisturbed(place: Path) -> Path:
    """Return a training that nothing has disturbed; made by this process, so that forks find everything imported."""
    oracle = place / "oracle"
    if not oracle.exists():
        # a kill of a process cannot lose what it has given to the operating system
        os.fsync = lambda descriptor: None
        with contextlib.suppress(SystemExit):
            training(oracle)()
        check_whole(Ended(0, "", 0), oracle, oracle)
    return oracle


def check_whole(ended: Ended, folder: Path, oracle: Path) -> None:
    """Check that a training has come to its end as if nothing had happened."""
    if ended.status != 0:
        raise Wrong(f"status {ended.status}: {ended.output}")
    found, right = RunDir(folder), RunDir(oracle)
    one, other = found.read_result() or {}, right.read_result() or {}
    for key in ("status", "epochs", "test", "test_samples", "training_set", "reason", "exit_code"):
        if one.get(key) != other.get(key):
            raise Wrong(f"{key}: {one.get(key)!r}, not {other.get(key)!r}")
    rows = read_run(folder)
    if rows.run["problem"] or [row["epoch"] for row in rows.epochs] != list(range(1, EPOCHS + 1)):
        raise Wrong(f"{rows.run['problem']}: {[row['epoch'] for row in rows.epochs]}")
    (one_spec, one_network), (other_spec, other_network) = load_weights(folder), load_weights(oracle)
    if one_spec != other_spec:
        raise Wrong(f"{one_spec} is not {other_spec}")
    if any((value != other_network.weights[name]).any() for name, value in one_network.weights.items()):
        raise Wrong("other weights")
    names = {str(file.relative_to(folder)) for file in folder.rglob("*") if not str(file).startswith(f"{folder}/earl")}
    more = names - {str(file.relative_to(oracle)) for file in oracle.rglob("*")}
    check_free(folder)
    # a kill after the result may leave the name of a dead owner, the state, and a request to stop
    if {name for name in more if not name.startswith("owner-")} - {"checkpoints", "checkpoints/state.npz", "stop"}:
        raise Wrong(f"left behind: {more}")


def check_readable(folder: Path, oracle: Path) -> None:
    """Check that a reader sees no finished training but the right one, and a dead owner as dead."""
    if not folder.exists():
        return
    check_free(folder)
    row = read_run(folder).run
    if row["status"] not in ("unfinished", "completed", "interrupted"):
        raise Wrong(f"{row['status']}: {row['reason']}")
    right = read_run(oracle).run
    if row["status"] == "completed" and (row["epochs"], row["test_loss"]) != (right["epochs"], right["test_loss"]):
        raise Wrong(f"completed with {row['epochs']} epochs, test loss {row['test_loss']}")


def go_on(folder: Path, *more: object) -> Ended:
    """Begin the training again as its user would: with --resume where hpcnn says so; nothing where it is completed."""
    ended = run(training(folder, *more), folder.parent)
    if "--resume goes on with it" in ended.output:
        ended = run(training(folder, *more, "--resume"), folder.parent)
    if ended.status == 2 and (RunDir(folder).read_result() or {}).get("status") == "completed":
        return Ended(0, ended.output, ended.changes)
    return ended


def train_kills(
    place: Path, *, first: int = 1, every: int = 1, torn: bool = False, resume: bool = False, left: bool = False
) -> int:
    """Kill a training at each of its changes; return how many kills there were.

    first, every: begin with this change, and leave out all but each N-th after it. resume: with a state that an earlier
    attempt left. left: where an earlier attempt with another seed has left what it made.
    """
    oracle = undisturbed(place)
    kills, number = 0, first
    while True:
        folder = place / "killed"
        shutil.rmtree(folder, ignore_errors=True)
        if resume:
            folder.mkdir()
            (folder / "stop").touch()
            if run(training(folder, "--resume"), place).status != 75:
                raise Wrong("it did not stop")
        if left:
            _leave(folder)
        ended = run(training(folder, *(["--resume"] if resume else [])), place, kill_at=number, torn=torn)
        if not ended.killed:
            check_whole(ended, folder, oracle)
            return kills
        kills += 1
        try:
            check_readable(folder, oracle)
            check_whole(go_on(folder, *(["--resume"] if resume else [])), folder, oracle)
            if left:
                _check_kept(folder)
        except Exception as error:
            raise Wrong(f"killed at change {number} (torn: {torn}, resume: {resume}, left: {left}): {error}") from error
        number += every


def _leave(folder: Path) -> None:
    for name in LEFT:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("earlier")
    (folder / "spec.json").write_text('{"schema": 1, "site": null, "train": {"seed": 7}}')


def _check_kept(folder: Path) -> None:
    files = (file for file in folder.glob("earlier/*/**/*") if file.is_file() and file.name != "weights.npz")
    kept = sorted(str(file.relative_to(folder)).split("/", 2)[2] for file in files)
    if kept != sorted(LEFT):
        raise Wrong(f"set aside: {kept}")
    if json.loads((folder / "spec.json").read_text())["train"]["seed"] == 7:
        raise Wrong("the spec is that of the earlier attempt")


def chains(place: Path, kills: int, seed: int = 1) -> int:
    """Kill a resumed training again and again, at random changes, until it is completed; repeat for so many kills."""
    oracle, folder = undisturbed(place), place / "chain"
    luck, done = random.Random(seed), 0
    while done < kills:
        shutil.rmtree(folder, ignore_errors=True)
        for _ in range(30):
            if folder.exists() and luck.random() < 0.3:
                (folder / "stop").touch()
            at, torn = luck.randrange(1, 70), luck.random() < 0.5
            ended = run(training(folder, "--resume"), place, kill_at=at, torn=torn)
            check_readable(folder, oracle)
            done += ended.killed
            if not ended.killed and ended.status not in (0, 75):
                break
        ended = go_on(folder, "--resume")
        if ended.status == 75:
            ended = go_on(folder, "--resume")
        check_whole(ended, folder, oracle)
    return done


def both_at_once(place: Path, times: int) -> int:
    """Start two trainings of other seeds in one directory at the same time; return how often one was refused."""
    refused = 0
    for number in range(times):
        folder = place / f"both-{number}"
        children = []
        for seed in (1, 2):
            pid = os.fork()
            if pid == 0:
                ended = run(training(folder, "--seed", seed), place)
                os._exit(0 if ended.status == 0 else 2 if ended.status == 2 and "Traceback" not in ended.output else 1)
            children.append((seed, pid))
        codes = {seed: os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for seed, pid in children}
        record = [json.loads((folder / name).read_text()) for name in ("spec.json", "provenance.json")]
        winner = [seed for seed, code in codes.items() if code == 0]
        if sorted(codes.values()) != [0, 2] or [one["train"]["seed"] for one in record] != winner * 2:
            raise Wrong(f"{codes}: {[one['train']['seed'] for one in record]}")
        refused += 1
        shutil.rmtree(folder)
    return refused


# Commands that write, by what they are called: what to do before, the command, and what must be there after all.
def _commands(place: Path) -> Iterator[tuple[str, Callable[[Path], None], tuple[object, ...], Callable[[Path], None]]]:
    def nothing(folder: Path) -> None:
        pass

    def script(folder: Path) -> None:
        folder.mkdir()
        (folder / "spec.json").write_text('{"schema": 1, "train": null, "program": ["true"]}')

    def begun(folder: Path) -> None:
        script(folder)

    def result(folder: Path) -> None:
        if (RunDir(folder).read_result() or {}).get("status") not in ("completed", "failed", "interrupted"):
            raise Wrong("no result")

    def owned(folder: Path) -> None:
        if not list(folder.glob("owner-*.json")):
            raise Wrong("no owner")

    def submitted(folder: Path) -> None:
        result(folder)
        if json.loads((folder / "spec.json").read_text())["program"] != ["true"]:
            raise Wrong("another program")

    folder = place / "command"
    yield "record begin", begun, ("record", "begin", "--run-dir", folder, "--pid", os.getpid()), owned
    for code in (0, 1, 75, 137):
        words = ("record", "finish", "--run-dir", folder, "--exit-code", code)
        yield f"record finish {code}", script, words, result
    yield "submit", nothing, ("submit", "--site", "local", "--run-dir", folder, "--", "true"), submitted


def command_kills(place: Path, *, first: int = 1, every: int = 1, names: tuple[str, ...] = ()) -> int:
    """Kill each other command that writes at each of its changes; begun again, it must do its work."""
    kills = 0
    folder = place / "command"
    for name, before, words, check in _commands(place):
        if names and name not in names:
            continue
        number = first
        while True:
            shutil.rmtree(folder, ignore_errors=True)
            before(folder)
            ended = run(hpcnn(*words), place, kill_at=number)
            if not ended.killed:
                break
            kills += 1
            if folder.exists():
                read_run(folder)
            again = run(hpcnn(*words), place)
            done = again.status == 2 and "already holds a finished run" in again.output
            if "Traceback" in again.output or (again.status and not done):
                raise Wrong(f"{name}, killed at {number}: {again.status}: {again.output}")
            check(folder)
            number += every
        if ended.status:
            raise Wrong(f"{name}: {ended.status}: {ended.output}")
        check(folder)
    return kills
