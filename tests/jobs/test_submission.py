"""A job is not lost, nor submitted twice, whatever happens between sbatch and its answer."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from hpcnn.cli.main import main
from hpcnn.jobs import submission
from hpcnn.rundir.layout import RunDir
from hpcnn.util.files import WriteError, read_json, write_json
from tests.scheduler.commands import Commands

SITE = ("--site", "generic-slurm")
TIMED_OUT = "echo 'sbatch: error: Batch job submission failed: Socket timed out on send/recv operation' >&2; exit 1"
STUDY = 'name = "mine"\nprogram = ["true"]\nrepeats = 2\n'
SEARCH = """
[search]
method = "grid"
[train]
model = "psc-hparams"
data = "digits"
[space]
model.numnodes = [16, 32, 64]
"""


@pytest.fixture(autouse=True)
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HPCNN_CONFIG", str(tmp_path / "config"))
    monkeypatch.setattr(submission, "_PAUSES", (0.0, 0.01))
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    (folder / "mine.toml").write_text(STUDY)
    return folder


@pytest.fixture
def slurm(slurm_commands: Commands) -> Commands:
    """An empty queue, and no accounts."""
    slurm_commands.queue()
    return slurm_commands


def call(*words: str) -> Result:
    return CliRunner().invoke(main, words)


def submit(*words: str) -> Result:
    return call("submit", *SITE, "--run-dir", "run", *words, "--", "true")


def rows(*words: str) -> list[dict[str, str]]:
    result = call(*words, "--format", "json")
    assert result.exit_code == 0, result.output
    found: list[dict[str, str]] = json.loads(result.stdout)
    return found


def begun(*words: str) -> subprocess.Popen[str]:
    """Start hpcnn, and return as soon as sbatch has been called."""
    words = (sys.executable, "-m", "hpcnn", *words)
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    called = Path(os.environ["PATH"]) / "sbatch.calls"
    end = time.monotonic() + 60
    while not called.exists():
        assert time.monotonic() < end
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    return process


@pytest.fixture
def slow(slurm: Commands) -> Iterator[Path]:
    """A sbatch that waits for the file that is returned before it accepts the job."""
    go = slurm.folder / "go"
    slurm.sbatch(before=f'while [ ! -e "{go}" ]; do /bin/sleep 0.05; done')
    yield go
    go.touch()


def until_in_queue(slurm: Commands) -> None:
    end = time.monotonic() + 30
    while "7" not in (slurm.folder / "queue").read_text():
        assert time.monotonic() < end
        time.sleep(0.05)
    time.sleep(0.3)  # sbatch ends, and with it its lock


class TestSubmit:
    def test_sbatch_times_out_after_it_has_accepted(self, slurm: Commands) -> None:
        slurm.sbatch(after=TIMED_OUT)
        result = submit()
        assert (result.exit_code, result.stdout.splitlines()[0]) == (0, "job: 7"), result.output
        record = read_json(RunDir("run").job) or {}
        assert (record["job_id"], record["site"], "script" in record) == ("7", "generic-slurm", False)

    @pytest.mark.parametrize("answer", ["exit 0", "echo Submitted", "kill -9 $$"])
    def test_sbatch_accepts_and_says_nothing(self, answer: str, slurm: Commands) -> None:
        slurm.sbatch(after=answer)
        assert submit().stdout.splitlines()[0] == "job: 7"

    def test_the_queue_shows_the_job_later(self, slurm: Commands) -> None:
        slurm.script("sbatch", TIMED_OUT)
        result = submit()
        assert result.exit_code == 1
        assert "no answer from sbatch: Batch job submission failed: Socket timed out" in result.stderr
        assert f"hpcnn status {RunDir('run').path}" in result.stderr
        assert not RunDir("run").result.exists()  # it may run
        (row,) = rows("status", "run")
        assert (row["job_id"], row["status"]) == (None, "unknown")
        assert row["reason"].endswith("and the queue does not have its job")
        (slurm.folder / "queue").write_text(f"7|RUNNING|{RunDir('run').job_script}\n")
        assert [(row["job_id"], row["status"]) for row in rows("status", "run")] == [("7", "running")]
        assert call("cancel", "run").exit_code != 0  # there is no scancel here
        assert "its job 7 is still running" in submit().stderr
        assert len(slurm.calls("sbatch")) == 1

    def test_while_squeue_is_silent_nothing_is_submitted_again(self, slurm: Commands) -> None:
        slurm.script("sbatch", TIMED_OUT)
        slurm.fail("squeue")
        assert submit().exit_code == 1
        again, cancelled = submit(), call("cancel", "run")
        assert (again.exit_code, cancelled.exit_code) == (1, 1)
        assert "its submission was interrupted before the scheduler answered, and no answer from squeue" in again.stderr
        assert "nothing was cancelled" in cancelled.stderr
        assert len(slurm.calls("sbatch")) == 1
        (row,) = rows("status", "run")
        assert (row["status"], "no answer from squeue" in row["reason"]) == ("unknown", True)

    def test_a_refusal_leaves_no_job(self, slurm: Commands) -> None:
        slurm.script("sbatch", "echo 'sbatch: error: invalid account' >&2; exit 1")
        assert submit().exit_code == 1
        assert not RunDir("run").job.exists()
        assert (RunDir("run").read_result() or {})["reason"] == "sbatch refuses: invalid account"

    def test_a_run_directory_has_one_job_at_a_time(self, slurm: Commands) -> None:
        slurm.sbatch()
        assert submit().exit_code == 0
        again = submit()
        assert (again.exit_code, "its job 7 is still pending" in again.stderr) == (2, True)
        assert len(slurm.calls("sbatch")) == 1

    def test_ctrl_c_waits_for_the_answer(self, slurm: Commands, slow: Path) -> None:
        process = begun("submit", *SITE, "--run-dir", "run", "--", "true")
        process.send_signal(signal.SIGINT)
        time.sleep(0.3)
        assert process.poll() is None
        slow.touch()
        out, err = process.communicate(timeout=60)
        assert (process.returncode, out.splitlines()[0]) == (130, "job: 7")
        assert "waiting for the scheduler's answer" in err
        assert (read_json(RunDir("run").job) or {})["job_id"] == "7"

    @pytest.mark.parametrize("signals", [[signal.SIGKILL], [signal.SIGTERM], [signal.SIGINT, signal.SIGINT]])
    def test_hpcnn_ends_and_sbatch_goes_on(self, signals: list[signal.Signals], slurm: Commands, slow: Path) -> None:
        process = begun("submit", *SITE, "--run-dir", "run", "--", "true")
        for number in signals:
            process.send_signal(number)
            time.sleep(0.3)
        process.communicate(timeout=60)
        if len(signals) > 1:  # Python ends the program that it waits for
            return
        assert rows("status", "run")[0]["reason"].endswith("and sbatch is still at work on it")
        assert "sbatch is still at work on it" in submit().stderr
        slow.touch()
        until_in_queue(slurm)
        assert [(row["job_id"], row["status"]) for row in rows("status")] == []  # of the folder runs
        assert [(row["job_id"], row["status"]) for row in rows("status", "run")] == [("7", "pending")]


class TestResume:
    def run(self) -> RunDir:
        run = RunDir("run")
        assert call("submit", *SITE, "--run-dir", "run", "--data", "digits", "--epochs", "2").exit_code == 0
        return run

    def test_what_was_lost_is_found_first(self, slurm: Commands) -> None:
        slurm.sbatch()
        run = self.run()
        (slurm.folder / "queue").write_text(f"7|TIMEOUT|{run.job_script}\n")
        slurm.script("sbatch", TIMED_OUT)
        result = call("resume", "run")
        assert (result.exit_code, "the queue does not have the job so far" in result.stderr) == (1, True), result.output
        (slurm.folder / "queue").write_text(f"7|TIMEOUT|{run.job_script}\n8|PENDING|{run.job_script}\n")
        again = call("resume", "run")
        assert (again.exit_code, "its job 8 is still pending" in again.stderr) == (2, True), again.output
        assert len(slurm.calls("sbatch")) == 2

    def test_a_refusal_keeps_the_earlier_job(self, slurm: Commands) -> None:
        slurm.sbatch()
        run = self.run()
        (slurm.folder / "queue").write_text("")
        slurm.script("sbatch", "exit 1")
        assert call("resume", "run").exit_code == 1
        assert (read_json(run.job) or {})["job_id"] == "7"


@pytest.mark.parametrize("arrays", [True, False])
class TestStudy:
    @pytest.fixture(autouse=True)
    def site(self, arrays: bool, tmp_path: Path) -> None:
        (tmp_path / "config" / "sites").mkdir(parents=True)
        (tmp_path / "config" / "sites" / "generic-slurm.toml").write_text(f"arrays = {str(arrays).lower()}\n")

    def study(self, verb: str, *words: str) -> Result:
        return call("study", verb, "mine.toml", *SITE, "--set", "repeats=1", *words)

    def states(self) -> list[tuple[str, str | None]]:
        shown = rows("study", "status", "mine.toml", *SITE, "--set", "repeats=1", "--each")
        return [(row["status"], row["job_id"]) for row in shown]

    def test_hpcnn_is_killed(self, arrays: bool, slurm: Commands, slow: Path) -> None:
        slurm.sbatch(tasks=int(arrays), before=f'while [ ! -e "{slow}" ]; do /bin/sleep 0.05; done')
        process = begun("study", "submit", "mine.toml", *SITE, "--set", "repeats=1")
        process.kill()
        process.communicate()
        assert self.states() == [("unknown", None)]
        for refused in (self.study("submit"), self.study("run")):
            assert (refused.exit_code, "sbatch is still at work on it" in refused.stderr) == (1, True), refused.output
        slow.touch()
        until_in_queue(slurm)
        assert self.states() == [("pending", "7_0" if arrays else "7")]
        again = self.study("submit")
        assert (again.exit_code, "1 in the queue, 0 to submit" in again.stderr) == (0, True), again.output
        assert len(slurm.calls("sbatch")) == 1

    def test_it_came_to_nothing(self, arrays: bool, slurm: Commands, work: Path) -> None:
        slurm.script("sbatch", TIMED_OUT)
        first = self.study("submit")
        assert (first.exit_code, "0 of 1 runs are submitted" in first.stderr) == (1, True)
        assert self.states() == [("missing", None)]
        slurm.fail("squeue")
        assert self.study("submit").exit_code == 1
        assert self.states() == [("unknown", None)]
        slurm.queue()
        slurm.sbatch(tasks=int(arrays))
        assert self.study("submit").exit_code == 0
        assert self.states() == [("pending", "7_0" if arrays else "7")]
        assert not list((work / "runs" / "mine").glob("*~*"))
        assert len(slurm.calls("sbatch")) == 2
        asked = len(slurm.calls("squeue"))
        self.states()
        assert len(slurm.calls("squeue")) == asked + 1  # what came to nothing is asked about no more

    def test_it_is_accepted_without_an_answer(self, arrays: bool, slurm: Commands) -> None:
        slurm.sbatch(tasks=int(arrays), after=TIMED_OUT)
        assert self.study("submit").exit_code == 0
        assert self.states() == [("pending", "7_0" if arrays else "7")]


class TestSearch:
    @pytest.fixture(autouse=True)
    def search(self, work: Path) -> None:
        pytest.importorskip("optuna")
        (work / "few.toml").write_text(SEARCH)

    def submit(self) -> Result:
        return call("search", "submit", "few.toml", *SITE, "--workers", "2")

    def test_workers_are_found_again(self, slurm: Commands, work: Path) -> None:
        slurm.script("sbatch", TIMED_OUT)
        assert self.submit().exit_code == 1
        (script,) = (work / "runs" / "few" / "workers").glob("*/job.sh")
        slurm.fail("squeue")
        silent = self.submit()
        assert (silent.exit_code, "they could be there twice" in silent.stderr) == (1, True), silent.output
        queue = slurm.queue()
        queue.write_text(f"7_0|PENDING|{script}\n7_1|PENDING|{script}\n")
        found = self.submit()
        assert (found.exit_code, "2 workers, job 7, in" in found.stdout) == (0, True), found.output
        assert len(slurm.calls("sbatch")) == 1
        assert rows("search", "status", "few.toml")[0]["workers_in_queue"] == 2
        slurm.sbatch(tasks=2)
        assert self.submit().exit_code == 0  # more of them, asked for anew
        assert len(slurm.calls("sbatch")) == 2

    def test_what_came_to_nothing_is_submitted(self, slurm: Commands) -> None:
        slurm.script("sbatch", TIMED_OUT)
        assert self.submit().exit_code == 1
        slurm.sbatch(tasks=2)
        assert self.submit().exit_code == 0
        assert len(slurm.calls("sbatch")) == 2


def test_a_folder_of_records_costs_one_call(slurm: Commands, work: Path) -> None:
    for number in range(3):
        run = RunDir(work / f"run-{number}")
        write_json(run.job, {"job_id": None, "script": str(run.job_script), "before": None})
    (slurm.folder / "queue").write_text(f"9|RUNNING|{work}/run-1/job.sh\n")
    result = submission.recover_targets([str(work)])
    assert ([file.parent.name for file in result.found], len(result.unanswered)) == (["run-1"], 2)
    assert len(slurm.calls("squeue")) == 1


def test_the_log_of_a_job_that_nobody_knows_is_not_followed(slurm: Commands, work: Path) -> None:
    run = RunDir(work / "run")
    write_json(run.job, {"job_id": None, "script": str(run.job_script), "before": None})
    ended = call("logs", "-f", "run")
    assert (ended.exit_code, "its submission was interrupted" in ended.stderr) == (2, True), ended.output


def test_a_record_that_is_not_this_users_hides_no_other(
    slurm: Commands, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is not noted stays in doubt: it is not submitted again."""
    for number in range(2):
        run = RunDir(work / f"run-{number}")
        write_json(run.job, {"job_id": None, "script": str(run.job_script), "before": None})
    lines = "".join(f"{number}|RUNNING|{work}/run-{number}/job.sh\n" for number in range(2))
    (slurm.folder / "queue").write_text(lines)

    def refused(path: Path, record: object, **_: object) -> None:
        if path.parent.name == "run-0":
            raise WriteError(path, PermissionError(13, "Permission denied"))
        write_json(path, record)  # type: ignore[arg-type]

    monkeypatch.setattr(submission, "write_json", refused)
    result = submission.recover_targets([str(work)])
    assert [file.parent.name for file in result.found] == ["run-1"]
    assert [one.record.parent.name for one in result.in_doubt] == ["run-0"]
    assert "its job is 0, but" in result.in_doubt[0].reason


@pytest.mark.parametrize("runs", [["../other/run"], ["a/b"], [".."], [{}], [1], "run", None])
def test_names_that_lead_out_of_the_folder_of_an_array_are_none(runs: object) -> None:
    assert submission.array_names({"runs": runs}) == []
    assert submission.array_names({"runs": ["run-1", "point~1"]}) == ["run-1", "point~1"]
