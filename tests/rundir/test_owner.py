"""A run directory has one owner: another attempt is refused by name, a dead owner is followed, and nothing is left."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hpcnn.rundir import owner
from hpcnn.rundir.owner import VARIABLE, InUse, begin, check_free, end, move, own

HOLD = """
import sys, time
from hpcnn.rundir.owner import own
with own(sys.argv[1]):
    print("owned", flush=True)
    time.sleep(60)
"""
# Takes the directory as soon as it can, a hundred times, and writes down when it had it.
CONTEND = """
import os, sys, time
from pathlib import Path
from hpcnn.rundir.owner import InUse, own
taken = 0
end = time.monotonic() + 60
while taken < 15 and time.monotonic() < end:
    try:
        with own(sys.argv[1]):
            taken += 1
            with open(sys.argv[2], "xb"):
                time.sleep(0.001)
            os.unlink(sys.argv[2])
            if taken % 5 == 0 and sys.argv[3] == "dies":
                os._exit(0)
    except InUse:
        time.sleep(0.001)
print(taken)
"""


# Takes a directory to rename it, and waits before it does.
MOVE = """
import sys
from pathlib import Path
from hpcnn.rundir.owner import move
rename = Path.rename
def slowly(path, target):
    print("ready", flush=True)
    sys.stdin.readline()
    return rename(path, target)
Path.rename = slowly
move(Path(sys.argv[1]), Path(sys.argv[2]))
"""
# Works in a directory that is moved away, and then looks whether it may write there.
MOVED_AWAY = """
import sys
from pathlib import Path
from hpcnn.rundir.owner import check_kept, own
with own(sys.argv[1]):
    check_kept(sys.argv[1])
    Path(sys.argv[1]).rename(sys.argv[2])
    check_kept(sys.argv[1])  # writing itself says that it is not there
    print("ready", flush=True)
    sys.stdin.readline()
    try:
        check_kept(sys.argv[1])
    except Exception as error:
        print(error, flush=True)
"""


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in (VARIABLE, "SLURM_JOB_ID", "SLURM_ARRAY_JOB_ID", "SLURM_RESTART_COUNT"):
        monkeypatch.delenv(name, raising=False)
    folder = tmp_path / "run"
    folder.mkdir()
    return folder


@pytest.fixture
def holder(run: Path) -> Iterator[subprocess.Popen[str]]:
    words = [sys.executable, "-c", HOLD, str(run)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "owned\n"
        yield process
        process.kill()


def written(run: Path, **changes: object) -> Path:
    """Write the file of an owner: this process, with these changes of it (of its first process by ``process``)."""
    with own(run):
        record = json.loads((run / "owner-1.json").read_text())
    record["processes"][0] |= changes.pop("process", {})  # type: ignore[operator]
    record |= changes
    (run / "owner-1.json").write_text(json.dumps(record))
    return run / "owner-1.json"


ELSEWHERE = {"host": "other", "boot": "another", "pid": 7}


def test_nothing_is_left(run: Path) -> None:
    with own(run):
        assert [file.name for file in run.iterdir()] == ["owner-1.json"]
        with own(run):  # the same process once more
            pass
        assert (run / "owner-1.json").exists()
    assert not list(run.iterdir())
    assert VARIABLE not in os.environ


def test_another_is_refused_by_name_and_touches_nothing(run: Path, holder: subprocess.Popen[str]) -> None:
    before = (run / "owner-1.json").read_bytes()
    for use in (own(run).__enter__, lambda: check_free(run), lambda: begin(run, os.getppid())):
        with pytest.raises(InUse, match=rf"is in use by .*, process {holder.pid} on .* since 2.*; wait until it has"):
            use()
    assert [(file.name, file.read_bytes()) for file in run.iterdir()] == [("owner-1.json", before)]


def test_one_that_was_killed_is_followed(run: Path, holder: subprocess.Popen[str]) -> None:
    holder.kill()
    holder.wait()
    check_free(run)
    with own(run):
        assert sorted(file.name for file in run.iterdir()) == ["owner-1.json", "owner-2.json"]
    assert not list(run.iterdir())


def test_a_number_that_another_process_has_got_is_no_owner(run: Path) -> None:
    written(run, process={"start": "1"})
    check_free(run)


def test_of_an_earlier_boot(run: Path) -> None:
    written(run, process={"boot": "earlier"})
    check_free(run)


class TestElsewhere:
    def test_without_a_job_the_time_of_the_file_decides(self, run: Path) -> None:
        file = written(run, process=ELSEWHERE)
        with pytest.raises(InUse, match=r"process 7 on other.*renewed \d s ago.*600 s.*remove owner-1\.json there"):
            check_free(run)
        os.utime(file, (time.time() - 700,) * 2)
        check_free(run)

    def test_where_nobody_renews_the_file_it_lives(self, run: Path) -> None:
        file = written(run, process=ELSEWHERE, beats=False)
        os.utime(file, (time.time() - 70000,) * 2)
        with pytest.raises(InUse, match="nothing on this machine knows its processes"):
            check_free(run)

    @pytest.mark.parametrize(
        ("answer", "said"), [(True, "job 12, .*wait until"), (None, "Slurm does not say"), (False, None)]
    )
    def test_the_scheduler_is_asked_of_a_job(self, run: Path, answer: bool | None, said: str | None) -> None:
        file = written(run, process=ELSEWHERE, job="12")
        os.utime(file, (time.time() - 700,) * 2)
        asked = []

        def lives(job: str) -> bool | None:
            asked.append(job)
            return answer

        if said is None:
            check_free(run, lives)
        else:
            with pytest.raises(InUse, match=said):
                check_free(run, lives)
        assert asked == ["12"]

    def test_a_task_of_an_array_is_asked_of_as_the_queue_prints_it(
        self, run: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Its SLURM_JOB_ID is an id that squeue does not show: asked of that, Slurm would say that it has ended."""
        for name, value in {"JOB_ID": "15", "ARRAY_JOB_ID": "12", "ARRAY_TASK_ID": "3"}.items():
            monkeypatch.setenv(f"SLURM_{name}", value)
        begin(run, os.getpid())
        assert json.loads((run / "owner-1.json").read_text())["job"] == "12_3"

    def test_a_job_follows_itself_where_slurm_has_requeued_it(self, run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        written(run, process=ELSEWHERE, job="12", restart="0")
        monkeypatch.setenv("SLURM_JOB_ID", "12")
        with pytest.raises(InUse):  # another step of the job as it is now
            check_free(run)
        monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
        check_free(run)

    @pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"processes": [1, {}], "token": 3}'])
    def test_a_file_that_is_not_whole(self, run: Path, content: str) -> None:
        file = run / "owner-3.json"
        file.write_text(content)
        with pytest.raises(InUse, match="in use"):
            check_free(run)
        if "token" not in content:
            os.utime(file, (time.time() - 700,) * 2)
            check_free(run)


class TestTogether:
    def test_a_job_script_joins_its_launcher_and_the_launcher_ends_it(self, run: Path) -> None:
        with own(run):
            word = begin(run, os.getpid())
            assert word == os.environ[VARIABLE]
            end(run, os.getppid())
            assert len(json.loads((run / "owner-1.json").read_text())["processes"]) == 2
        assert not list(run.iterdir())

    def test_a_child_joins_without_the_word(self, run: Path) -> None:
        code = "import os, sys; from hpcnn.rundir.owner import own; own(sys.argv[1]).__enter__()"
        with own(run):
            environment = {key: value for key, value in os.environ.items() if key != VARIABLE}
            subprocess.run([sys.executable, "-c", code, str(run)], check=True, env=environment)
            subprocess.run(["sh", "-c", 'exec "$@"', "-", sys.executable, "-c", code, str(run)], check=True)
        assert not list(run.iterdir())

    def test_ranks_whose_job_script_was_killed_still_own_it(self, run: Path, holder: subprocess.Popen[str]) -> None:
        file = run / "owner-1.json"
        record = json.loads(file.read_text())
        script = {**record["processes"][0], "start": "1"}
        file.write_text(json.dumps({**record, "processes": [script, *record["processes"]]}))
        with pytest.raises(InUse):
            check_free(run)

    def test_a_job_script_owns_until_its_end(self, run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        begin(run, os.getppid())
        monkeypatch.setattr(owner, "_is_ours", lambda *_: False)
        with pytest.raises(InUse, match="a job script"):
            check_free(run)
        end(run, os.getpid())
        assert (run / "owner-1.json").exists()
        end(run, os.getppid())
        assert not list(run.iterdir())


def test_without_hard_links(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(os, "link", refuse)
    with own(run):
        assert [file.name for file in run.iterdir()] == ["owner-1.json"]
    assert not list(run.iterdir())


def test_many_at_once_one_owner(tmp_path: Path, run: Path) -> None:
    """Six processes, half of which die while they own it: never two at a time, and all come to their turn."""
    mark = tmp_path / "mark"
    words = [sys.executable, "-c", CONTEND, str(run), str(mark)]
    running = [
        subprocess.Popen([*words, "dies" if number % 2 else "ends"], stdout=subprocess.PIPE, text=True)
        for number in range(6)
    ]
    output = [process.communicate(timeout=100)[0] for process in running]
    assert [process.returncode for process in running] == [0] * 6
    assert [text for text in output if text] == ["15\n"] * 3
    check_free(run)


def test_a_directory_that_is_removed_meanwhile_is_not_made_again(run: Path) -> None:
    with own(run):
        shutil.rmtree(run)
    assert not run.exists()


class TestMoved:
    """A study sets a failed attempt aside; a user moves a directory in which a training is at work."""

    def test_one_in_use_stays(self, run: Path, holder: subprocess.Popen[str]) -> None:
        with pytest.raises(InUse, match=f"process {holder.pid}"):
            move(run, run.with_name("run~1"))
        assert run.is_dir()

    def test_one_that_is_free_is_free_afterwards(self, run: Path) -> None:
        written(run, process={"pid": 2**30})
        move(run, run.with_name("run~1"))
        assert not list(run.with_name("run~1").iterdir())
        assert not run.exists()

    def test_who_would_begin_meanwhile_is_refused(self, run: Path) -> None:
        with _started(MOVE, run, run.with_name("run~1")) as mover:
            with pytest.raises(InUse, match=f"process {mover.pid}"), own(run):
                pass
            mover.communicate("go on\n")
        assert not list(run.with_name("run~1").iterdir())

    def test_nothing_is_written_into_what_took_its_place(self, run: Path) -> None:
        with _started(MOVED_AWAY, run, run.with_name("mine")) as first:
            run.mkdir()
            with own(run):
                said, _ = first.communicate("go on\n")
        assert "moved away meanwhile, and is in use by " in said
        assert f"process {os.getpid()}" in said


@contextlib.contextmanager
def _started(script: str, *words: Path) -> Iterator[subprocess.Popen[str]]:
    """Start a script, and wait until it says that it is ready."""
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", script, *words], stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield process
