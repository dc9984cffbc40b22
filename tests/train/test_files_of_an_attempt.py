"""Checkpoints are whole or not there, and a state that is none says why."""

from __future__ import annotations

import io
import json
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("keras")

from hpcnn.parallel.serial import SingleReplica
from hpcnn.rundir.layout import RunDir
from hpcnn.train.state import Position, load, save
from hpcnn.util.errors import UsageError

KILLED = """
import os, pathlib, signal, sys
import hpcnn.train.best

class Model:
    def save(self, file):
        pathlib.Path(file).write_bytes(b"half")
        os.kill(os.getpid(), signal.SIGKILL)

hpcnn.train.best.save_network(Model(), pathlib.Path(sys.argv[1]))
"""
TRAIN = {"model": "m", "epochs": 3}
FACTS = {"schema": 1, "train": TRAIN, "size": 1}


def npz(**arrays: object) -> bytes:
    content = io.BytesIO()
    np.savez(content, **arrays)  # type: ignore[arg-type]
    return content.getvalue()


def test_a_kill_while_a_checkpoint_is_written_leaves_the_one_before(tmp_path: Path) -> None:
    run = RunDir(tmp_path / "run")
    run.checkpoints.mkdir(parents=True)
    file = run.checkpoints / "epoch-001.keras"
    file.write_bytes(b"whole")
    script = tmp_path / "killed.py"
    script.write_text(KILLED)
    ended = subprocess.run([sys.executable, script, file], check=False)
    assert ended.returncode == -signal.SIGKILL
    assert file.read_bytes() == b"whole"
    assert list(run.networks()) == [1]
    assert len(list(run.checkpoints.iterdir())) == 2
    run.clear_attempt()  # a later attempt begins anew, and takes nothing for its own
    assert not list(run.checkpoints.iterdir())
    assert (run.path / "earlier" / "1" / "checkpoints" / file.name).read_bytes() == b"whole"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"hello",
        b"PK\x03\x04",
        npz(x=1),
        npz(facts="{}", partial=[[]]),
        npz(facts="[]", partial=[[]]),
        npz(facts="x", partial=[[]]),
        npz(facts=json.dumps({"schema": 1, "train": [], "size": 1}), partial=[[]]),
        npz(facts=json.dumps({**FACTS, "epoch": "x"}), partial=[[]]),
        npz(facts=json.dumps({**FACTS, "epoch": 1, "step": 1, "elapsed": 1}), partial=[]),
        npz(facts=np.array({}, dtype=object), partial=[[]]),
    ],
    ids=range(11),
)
def test_a_state_that_is_none_says_so(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "state.npz"
    file.write_bytes(content)
    with pytest.raises(UsageError, match=r"state\.npz' is no state of a training \(.*\); remove it to start anew"):
        load(file, SingleReplica(), TRAIN)


def test_a_state_that_is_one(tmp_path: Path) -> None:
    file = tmp_path / "checkpoints" / "state.npz"
    save(file, [np.ones(3)], SingleReplica(), Position(2, 5, (1.5,), 7.0), TRAIN)
    state = load(file, SingleReplica(), TRAIN)
    assert state is not None
    assert state.position == Position(2, 5, (1.5,), 7.0, resumed=True)


def test_a_run_that_was_removed_is_not_made_again(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="cannot be written: no such file"):
        save(tmp_path / "gone" / "checkpoints" / "state.npz", [], SingleReplica(), Position(), TRAIN)
    assert not list(tmp_path.iterdir())
