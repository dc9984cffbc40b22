"""``hpcnn status``, ``logs``, ``cancel`` and ``resume`` of submitted jobs, with and without an answer of Slurm."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from hpcnn.cli.main import main
from hpcnn.rundir.layout import RunDir
from hpcnn.util.files import write_json
from tests.jobs.clock import Clock
from tests.scheduler.commands import Commands

SILENCE = "no answer from squeue: Unable to contact slurm controller (connect failure)"


@pytest.fixture(autouse=True)
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[RunDir]:
    """Jobs 7, 8 and 9 in the runs folder: one without a record, one that completed, one that was interrupted."""
    monkeypatch.setenv("HPCNN_RUNS", str(tmp_path / "runs"))
    found = []
    for job, status in (("7", None), ("8", "completed"), ("9", "interrupted")):
        run = RunDir(tmp_path / "runs" / f"run-{job}")
        run.create()
        write_json(run.job, {"job_id": job})
        if status:
            run.write_result(status, exit_code={"completed": 0}.get(status, 75))
        found.append(run)
    return found


def call(*words: str) -> Result:
    return CliRunner().invoke(main, words)


def status(*jobs: str) -> list[tuple[str, str, str, str | None]]:
    """Return job, status, Slurm's state and reason of each row."""
    result = call("status", *jobs, "--format", "json")
    assert result.exit_code == 0, result.output
    keys = ("job_id", "status", "slurm_state", "reason")
    return [tuple(row[key] for key in keys) for row in json.loads(result.stdout)]


class TestStatus:
    def test_slurm_answers(self, slurm_commands: Commands) -> None:
        slurm_commands.squeue("7|PENDING|Priority|0:00||N/A", "8|COMPLETED", "9|RUNNING")
        slurm_commands.sacct("8|COMPLETED")
        assert status() == [
            ("7", "pending", "PENDING", "Priority"),
            ("8", "completed", "COMPLETED", None),
            ("9", "running", "RUNNING", None),  # requeued
        ]

    def test_slurm_answers_that_it_knows_none(self, slurm_commands: Commands) -> None:
        slurm_commands.squeue()
        slurm_commands.sacct()
        assert status() == [
            ("7", "unknown", "unknown", None),
            ("8", "completed", "unknown", None),
            ("9", "interrupted", "unknown", None),
        ]

    def test_slurm_gives_no_answer(self, slurm_commands: Commands) -> None:
        slurm_commands.fail("squeue")
        assert status() == [
            ("7", "unknown", "unknown", SILENCE),
            ("8", "completed", "unknown", None),
            ("9", "interrupted", "unknown", SILENCE),
        ]
        assert SILENCE.split(":")[0] in call("status", "7").stdout.replace("\n", " ")

    def test_nor_to_top_which_says_so_and_shows_what_is_seen_to_run(
        self, slurm_commands: Commands, runs: list[RunDir]
    ) -> None:
        slurm_commands.fail("squeue")
        write_json(runs[0].spec, {"name": "m"})
        write_json(runs[0].progress, {"epoch": 1, "epochs": 2, "step": 7, "steps": 10})
        shown = call("top", "--once").stdout
        assert SILENCE.split(":")[0] in shown.replace("\n", " ")
        assert "run-7   running" in shown

    def test_the_reason_on_record_stays(self, slurm_commands: Commands, runs: list[RunDir]) -> None:
        slurm_commands.fail("squeue")
        runs[1].write_result("failed", exit_code=1, reason="out of memory")
        runs[2].write_result("interrupted", exit_code=75, reason="the time limit is near")
        assert [reason for *_, reason in status("8", "9")] == ["out of memory", f"the time limit is near; {SILENCE}"]

    def test_the_accounts_say_what_the_queue_does_not(self, slurm_commands: Commands) -> None:
        slurm_commands.fail("squeue")
        slurm_commands.sacct("7|FAILED")
        assert status("7") == [("7", "failed", "FAILED", SILENCE)]

    def test_the_accounts_give_no_answer(self, slurm_commands: Commands) -> None:
        slurm_commands.squeue("9|RUNNING")
        slurm_commands.fail("sacct")
        (first, second, third) = status()
        assert first[:3] == ("7", "unknown", "unknown")
        assert (first[3] or "").startswith("no answer from sacct: ")
        assert (second[3], third[:2]) == (None, ("9", "running"))

    def test_a_job_of_which_there_is_no_run(self, slurm_commands: Commands) -> None:
        assert status("99") == [
            ("99", "unknown", "unknown", "no answer from squeue: squeue is not on this machine"),
        ]


class TestCancel:
    def test_what_is_alive(self, slurm_commands: Commands, runs: list[RunDir]) -> None:
        slurm_commands.squeue("7|PENDING", "9|RUNNING")
        slurm_commands.sacct()
        slurm_commands.put("scancel")
        result = call("cancel", "7", "8", "9")
        assert (result.exit_code, result.stdout) == (0, "cancelled: 7, 9\n")
        assert slurm_commands.calls("scancel") == ["7 9"]
        record = runs[0].read_result() or {}
        assert (record["status"], record["exit_code"], record["reason"]) == (
            "interrupted",
            143,
            "cancelled before it started",
        )

    def test_a_job_that_slurm_does_not_know(self, slurm_commands: Commands) -> None:
        slurm_commands.squeue("9|RUNNING")
        result = call("cancel", "7", "9")
        assert (result.exit_code, result.stdout) == (2, "")
        assert "job 7: Slurm does not know it; nothing was cancelled" in result.stderr

    @pytest.mark.parametrize("jobs", [("7",), ("9",), ("7", "8", "9")])
    def test_without_an_answer_nothing_is_cancelled(self, jobs: tuple[str, ...], slurm_commands: Commands) -> None:
        """Nor is it said that none of them runs."""
        slurm_commands.fail("squeue")
        slurm_commands.put("scancel")
        result = call("cancel", *jobs)
        in_doubt = ", ".join(job for job in jobs if job != "8")
        assert (result.exit_code, result.stdout) == (1, "")
        assert f"job {in_doubt}: {SILENCE}; nothing was cancelled" in result.stderr
        assert slurm_commands.calls("scancel") == []

    def test_a_job_that_the_accounts_show_as_running_is_cancelled(self, slurm_commands: Commands) -> None:
        slurm_commands.fail("squeue")
        slurm_commands.sacct("7|RUNNING")
        slurm_commands.put("scancel")
        assert call("cancel", "7").stdout == "cancelled: 7\n"

    def test_what_has_ended_by_its_record_needs_no_answer(self, slurm_commands: Commands) -> None:
        slurm_commands.fail("squeue")
        result = call("cancel", "8")
        assert (result.exit_code, result.stdout) == (0, "none of these jobs is pending or running\n")


class TestLogs:
    def test_it_goes_on_through_a_silence(self, slurm_commands: Commands, runs: list[RunDir], clock: Clock) -> None:
        slurm_commands.fail("squeue")
        runs[0].log.write_text("a line\n")
        clock.at(60, slurm_commands.squeue, "7|FAILED")
        clock.at(60, lambda: runs[0].write_result("failed", exit_code=4))
        result = call("logs", "-f", "7")
        assert (result.exit_code, result.stdout) == (4, "a line\n")
        assert f"{SILENCE}; still waiting, for 30 minutes at most" in result.stderr

    def test_and_gives_up_at_last(self, slurm_commands: Commands, clock: Clock) -> None:
        slurm_commands.fail("squeue")
        result = call("logs", "-f", "7")
        assert result.exit_code == 1
        assert f"job 7: {SILENCE}; it may be running (hpcnn status 7)" in result.stderr
        assert 1800 <= clock.now < 1830


class TestLimits:
    """A job that its limits ended: the cause is named, and the command that goes on with more."""

    @pytest.fixture(autouse=True)
    def submitted(self, runs: list[RunDir]) -> None:
        for run in runs:
            resources = {"time": "0:40:00", "mem": "3G"}
            write_json(run.spec, {"name": "m", "site": "generic-slurm", "resources": resources, "program": ["true"]})

    def rows(self, *jobs: str) -> list[tuple[str, str, str | None, str | None]]:
        found = json.loads(call("status", *jobs, "--format", "json").stdout)
        return [(row["job_id"], row["status"], row["reason"], row["next"]) for row in found]

    def test_time(self, slurm_commands: Commands, runs: list[RunDir]) -> None:
        slurm_commands.squeue()
        slurm_commands.sacct("7|TIMEOUT", "8|COMPLETED", "9|FAILED")
        runs[2].write_result("interrupted", exit_code=75, reason="stopped: the time limit is near")
        more = "hpcnn resume {} --time 1:20:00"
        assert self.rows() == [
            ("7", "interrupted", None, more.format(7)),
            ("8", "completed", None, None),
            ("9", "interrupted", "stopped: the time limit is near", more.format(9)),
        ]
        assert "job 7 goes on with:  hpcnn resume 7 --time 1:20:00\n" in call("status").stdout
        shown = call("resume", "7", "--time", "1:20:00", "--dry-run")
        assert "#SBATCH --time=1:20:00\n" in shown.stdout, shown.output
        slurm_commands.squeue("9|PENDING")  # requeued
        assert self.rows("9")[0][3] is None

    def test_memory(self, slurm_commands: Commands, runs: list[RunDir]) -> None:
        slurm_commands.squeue()
        slurm_commands.sacct("7|OUT_OF_MEMORY", "8|COMPLETED", "9|OUT_OF_ME+")
        runs[2].write_result("failed", exit_code=137, reason="ended by SIGKILL")
        assert self.rows("7", "9") == [
            ("7", "failed", "out of memory: Slurm says OUT_OF_MEMORY", "hpcnn resume 7 --mem 6G"),
            ("9", "failed", "out of memory: Slurm says OUT_OF_ME+; ended by SIGKILL", "hpcnn resume 9 --mem 6G"),
        ]
        shown = call("resume", "9", "--mem", "6G", "--dry-run")
        assert "#SBATCH --mem=6G\n" in shown.stdout, shown.output


def test_a_run_in_doubt_is_not_resumed(slurm_commands: Commands, runs: list[RunDir]) -> None:
    slurm_commands.fail("squeue")
    write_json(
        runs[2].spec,
        {"name": "mine", "site": "generic-slurm", "resources": {}, "train": {"model": "scinet-cnn1", "data": "digits"}},
    )
    result = call("resume", "9", "--dry-run")
    assert (result.exit_code, result.stdout) == (1, "")
    assert f"its job 9 may still be in the queue: {SILENCE}" in result.stderr
    slurm_commands.squeue("9|TIMEOUT")
    result = call("resume", "9", "--dry-run")
    assert result.exit_code == 0, result.output
    assert "#SBATCH --job-name=mine" in result.stdout
