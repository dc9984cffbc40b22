"""The lock of a study's folder: one holder at a time, named to the others, and none left over by a crash."""

import os
import signal
import socket
import subprocess
import sys

import pytest

from hpcnn.util.errors import HpcnnError, UsageError
from hpcnn.util.lock import held, lock

HOLD = """
import pathlib, sys, time
from hpcnn.util.lock import lock
with lock(pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path):
    """A process that holds the study in ``tmp_path / 'mine'``."""
    words = [sys.executable, "-c", HOLD, str(tmp_path / "mine")]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_another_process_is_kept_out_and_told_who_holds_it(holder, tmp_path):
    assert held(tmp_path / "mine")
    message = rf"mine: process {holder.pid} on {socket.gethostname()} is at work on this study"
    with pytest.raises(HpcnnError, match=message), lock(tmp_path / "mine"):
        pass


def test_a_crash_leaves_no_lock(holder, tmp_path):
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    assert not held(tmp_path / "mine")
    with lock(tmp_path / "mine"):
        assert held(tmp_path / "mine")
        assert (tmp_path / "mine" / ".lock").read_text() == f"process {os.getpid()} on {socket.gethostname()}\n"
    assert not held(tmp_path / "mine")


def test_what_is_started_meanwhile_does_not_hold_it(tmp_path):
    with lock(tmp_path):
        child = subprocess.Popen(["sleep", "60"], close_fds=False)
    try:
        assert not held(tmp_path)
    finally:
        child.kill()
        child.wait()


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(UsageError, match=r"^--runs: .*/file/mine: cannot be written to: "),
        lock(tmp_path / "file" / "mine"),
    ):
        pass


def test_a_folder_that_is_not_there_is_held_by_nobody(tmp_path):
    assert not held(tmp_path / "nowhere")
    assert not (tmp_path / "nowhere").exists()
