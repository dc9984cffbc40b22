"""What Slurm's commands answer, and what it means where they give no answer: fakes of them, first in PATH."""

from __future__ import annotations

from pathlib import Path

import pytest

from hpcnn.scheduler import NAMES, batch_scheduler, scheduler_of, slurm
from hpcnn.scheduler.api import NoAnswer
from hpcnn.util.errors import HpcnnError, UsageError
from tests.scheduler.commands import DATA, Commands

SLURM = scheduler_of("slurm")
SILENCES = {
    "fails": "no answer from squeue: Unable to contact slurm controller (connect failure)",
    "fails without a word": "no answer from squeue: exit status 3",
    "hangs": "no answer from squeue: none within 0.5 s",
    "is not installed": "no answer from squeue: squeue is not on this machine",
    "prints nothing": "no answer from squeue: it printed nothing",
    "prints garbage": "no answer from squeue: it printed 'Segmentation fault'",
    "prints bytes": "no answer from squeue: it printed ",
    "is a folder": "no answer from squeue: ",
    "knows no such user": "no answer from squeue: Invalid user: 1000",
    "is no program": "no answer from squeue: Exec format error",
}


def silence(commands: Commands, how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let squeue give no answer, in one of the ways in SILENCES."""
    if how == "hangs":
        monkeypatch.setattr(slurm, "SECONDS_TO_ANSWER", 0.5)
        commands.put("squeue", (DATA / "squeue.txt").read_text(), seconds=20)
    elif how == "fails without a word":
        commands.put("squeue", status=3)
    elif how == "fails":
        commands.fail("squeue")
    elif how == "prints bytes":
        commands.put("squeue")
        (commands.folder / "squeue.out").write_bytes(b"\xff\xfe\x00")
    elif how == "knows no such user":  # exit status 0, and a table without jobs
        commands.put("squeue", (DATA / "squeue_empty.txt").read_text(), error="squeue: error: Invalid user: 1000\n")
    elif how == "is a folder":
        (commands.folder / "squeue").mkdir()
    elif how == "is no program":
        (commands.folder / "squeue").write_bytes(b"\x7fELF\x00")
        (commands.folder / "squeue").chmod(0o755)
    elif how != "is not installed":
        commands.put("squeue", {"prints nothing": "", "prints garbage": "Segmentation fault\n"}[how])


class TestTheQueueAnswers:
    def test_what_it_knows(self, slurm_commands: Commands) -> None:
        slurm_commands.put("squeue", (DATA / "squeue.txt").read_text())
        slurm_commands.put("sacct", (DATA / "sacct.txt").read_text())
        found = SLURM.query(["1", "2", "3", "4_2", "5", "7", "4"])
        assert {job: state.status for job, state in found.items()} == {
            "1": "completed",
            "2": "failed",
            "3": "failed",
            "4_2": "running",
            "5": "pending",
            "7": "interrupted",
            "4": "running",
        }
        assert found["2"].exit_code == 3  # which sacct alone knows
        assert not any(state.no_answer for state in found.values())
        assert [found[job].may_be_alive for job in ("1", "4_2", "5", "7")] == [False, True, True, False]
        assert (len(slurm_commands.calls("squeue")), len(slurm_commands.calls("sacct"))) == (1, 1)

    def test_a_job_that_neither_knows_is_unknown_and_not_alive(self, slurm_commands: Commands) -> None:
        slurm_commands.put("squeue", (DATA / "squeue_empty.txt").read_text())
        slurm_commands.put("sacct", (DATA / "sacct_empty.txt").read_text())
        state = SLURM.query(["99"])["99"]
        assert (state.status, state.no_answer, state.queue_answered, state.may_be_alive) == ("unknown", "", True, False)

    def test_sacct_is_not_asked_for_jobs_that_are_alive(self, slurm_commands: Commands) -> None:
        slurm_commands.squeue("7|RUNNING")
        slurm_commands.fail("sacct")
        assert SLURM.query(["7"])["7"].status == "running"
        assert slurm_commands.calls("sacct") == []

    def test_accounts_that_lag_behind_do_not_end_a_job(self, slurm_commands: Commands) -> None:
        slurm_commands.squeue("7|PENDING", "8|COMPLETED")
        slurm_commands.sacct("7|NODE_FAIL", "8|RUNNING")
        found = SLURM.query(["7", "8"])
        assert {job: state.status for job, state in found.items()} == {"7": "pending", "8": "completed"}

    def test_no_job_is_no_question(self, slurm_commands: Commands) -> None:
        assert SLURM.query([]) == {}

    def test_a_queue_that_the_caller_has_is_not_asked_for_again(self, slurm_commands: Commands) -> None:
        slurm_commands.squeue("7|RUNNING")
        queue = SLURM.queue()
        assert SLURM.query(["7"], queue)["7"].status == "running"
        assert len(slurm_commands.calls("squeue")) == 1


class TestTheQueueGivesNoAnswer:
    @pytest.mark.parametrize("how", SILENCES)
    def test_a_job_may_be_alive_then(self, how: str, slurm_commands: Commands, monkeypatch: pytest.MonkeyPatch) -> None:
        silence(slurm_commands, how, monkeypatch)
        state = SLURM.query(["99"])["99"]
        assert (state.status, state.queue_answered, state.may_be_alive) == ("unknown", False, True)
        assert state.no_answer.startswith(SILENCES[how])
        with pytest.raises(NoAnswer) as raised:
            SLURM.queue()
        assert str(raised.value) == state.no_answer

    def test_so_it_is_with_accounts_that_do_not_know_the_job_yet(self, slurm_commands: Commands) -> None:
        slurm_commands.fail("squeue")
        slurm_commands.sacct()
        state = SLURM.query(["99"])["99"]
        assert (state.status, state.may_be_alive) == ("unknown", True)
        assert "Unable to contact slurm controller" in state.no_answer

    def test_and_with_accounts_that_show_it_as_ended(self, slurm_commands: Commands) -> None:
        """A job that Slurm requeues is shown as failed by sacct until it starts again."""
        slurm_commands.fail("squeue")
        slurm_commands.sacct("7|NODE_FAIL", "8|RUNNING")
        found = SLURM.query(["7", "8"])
        assert (found["7"].status, found["7"].alive, found["7"].may_be_alive) == ("failed", False, True)
        assert (found["8"].status, found["8"].alive) == ("running", True)

    def test_the_words_of_a_controller_that_hangs(self, slurm_commands: Commands) -> None:
        slurm_commands.fail("squeue", (DATA / "squeue_controller_hangs.err").read_text())
        assert SLURM.query(["7"])["7"].no_answer == "no answer from squeue: Socket timed out on send/recv operation"


class TestTheAccountsGiveNoAnswer:
    def test_how_a_job_ended_is_open_then_but_it_has_ended(self, slurm_commands: Commands) -> None:
        slurm_commands.squeue("8|COMPLETED")
        slurm_commands.fail("sacct")
        found = SLURM.query(["7", "8"])
        assert (found["7"].status, found["7"].may_be_alive) == ("unknown", False)
        assert found["7"].no_answer.startswith("no answer from sacct: ")
        assert found["7"].no_answer.endswith("Problem talking to the database: Connection refused")
        assert (found["8"].status, found["8"].no_answer) == ("completed", "")

    @pytest.mark.parametrize(
        ("how", "reason"),
        [
            ("hangs", "none within 2 s"),
            ("garbage", "it printed 'what?'"),
        ],
    )
    def test_in_other_ways(
        self, how: str, reason: str, slurm_commands: Commands, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        if how == "hangs":
            monkeypatch.setattr(slurm, "SECONDS_TO_ANSWER", 2.0)
        slurm_commands.squeue()
        slurm_commands.put("sacct", "what?\n", seconds=20 if how == "hangs" else 0)
        state = SLURM.query(["7"])["7"]
        assert (state.status, state.may_be_alive) == ("unknown", False)
        assert state.no_answer == f"no answer from sacct: {reason}"

    @pytest.mark.parametrize("has_sacct", [True, False])
    def test_a_cluster_without_accounts_has_answered(self, has_sacct: bool, slurm_commands: Commands) -> None:
        slurm_commands.squeue()
        if has_sacct:
            slurm_commands.fail("sacct", (DATA / "sacct_disabled.err").read_text())
        state = SLURM.query(["7"])["7"]
        assert (state.status, state.no_answer, state.may_be_alive) == ("unknown", "", False)


class TestSubmit:
    def test_the_id_is_read_and_the_environment_of_another_job_is_not_handed_on(
        self, slurm_commands: Commands, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SLURM_JOB_ID", "1")
        slurm_commands.put("sbatch", "Welcome!\n4711;cluster\n")
        (slurm_commands.folder / "sbatch").write_text(
            f'#!/bin/sh\necho "$@ ${{SLURM_JOB_ID:-clean}}" >{tmp_path}/called\necho "4711;cluster"\n'
        )
        assert SLURM.submit(tmp_path / "job.sh", SLURM.after("12")) == "4711"
        words = ["--parsable", "--dependency=afterok:12", "--kill-on-invalid-dep=yes", f"{tmp_path}/job.sh", "clean"]
        assert (tmp_path / "called").read_text().split() == words

    def test_a_refusal_has_sbatchs_own_words(self, slurm_commands: Commands, tmp_path: Path) -> None:
        slurm_commands.put("sbatch", error="sbatch: error: invalid partition specified: x\n", status=1)
        with pytest.raises(HpcnnError, match=r"^sbatch refuses: invalid partition specified: x$"):
            SLURM.submit(tmp_path / "job.sh")
        with pytest.raises(HpcnnError, match=r"^sbatch refuses the job: invalid partition specified: x$"):
            SLURM.would_start("#!/bin/sh\n")

    def test_a_machine_without_slurm(self, slurm_commands: Commands, tmp_path: Path) -> None:
        assert not SLURM.available()
        with pytest.raises(UsageError, match=r"^sbatch is not on this machine"):
            SLURM.submit(tmp_path / "job.sh")
        with pytest.raises(UsageError, match=r"^scancel is not on this machine"):
            SLURM.cancel(["7"])

    def test_when_it_would_start(self, slurm_commands: Commands) -> None:
        slurm_commands.put("sbatch", error="sbatch: Job 12 to start at 2026-01-02T03:04:05 on c1\n")
        assert SLURM.would_start("#!/bin/sh\n", ["--hold"]) == "Job 12 to start at 2026-01-02T03:04:05 on c1"
        (call,) = slurm_commands.calls("sbatch")
        assert call.startswith("--test-only --hold ")
        assert not Path(call.split()[-1]).exists()

    def test_an_sbatch_that_hangs_gives_no_answer_about_a_start(
        self, slurm_commands: Commands, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(slurm, "SECONDS_TO_ANSWER", 0.5)
        slurm_commands.put("sbatch", seconds=20)
        with pytest.raises(NoAnswer, match=r"^no answer from sbatch: none within 0\.5 s$"):
            SLURM.would_start("#!/bin/sh\n")


@pytest.mark.parametrize("name", ["SQUEUE_FORMAT", "SQUEUE_STATES", "SACCT_FORMAT", "SLURM_CLUSTERS", "SCANCEL_USER"])
def test_a_users_defaults_for_slurms_commands_change_no_answer(
    name: str, slurm_commands: Commands, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, "x")
    monkeypatch.setenv("SLURM_CONF", "/etc/slurm.conf")
    slurm_commands.squeue("7|RUNNING")
    slurm_commands.put("scancel")
    for command in ("squeue", "scancel"):
        script = slurm_commands.folder / command
        script.write_text(script.read_text().replace("#!/bin/sh", f"#!/bin/sh\n/usr/bin/env >{tmp_path}/{command}", 1))
    assert SLURM.query(["7"])["7"].status == "running"
    SLURM.cancel(["7"])
    assert "SLURM_BITSTR_LEN=0\n" in (tmp_path / "squeue").read_text()  # no list of tasks is cut off
    for command in ("squeue", "scancel"):
        seen = (tmp_path / command).read_text()
        assert f"{name}=" not in seen
        assert "SLURM_CONF=/etc/slurm.conf" in seen
    assert slurm_commands.calls("squeue")[0].startswith("--all --array ")  # those in hidden partitions too


class TestCancel:
    def test_tasks_are_cancelled_in_few_words(self, slurm_commands: Commands) -> None:
        slurm_commands.put("scancel")
        SLURM.cancel([])
        SLURM.cancel(["7_0", "7_1", "8"])
        assert slurm_commands.calls("scancel") == ["7_[0-1] 8"]

    def test_a_failure_is_told(self, slurm_commands: Commands, monkeypatch: pytest.MonkeyPatch) -> None:
        slurm_commands.put("scancel", error="scancel: error: Unable to contact slurm controller\n", status=8)
        with pytest.raises(HpcnnError, match=r"^scancel refuses: Unable to contact slurm controller$"):
            SLURM.cancel(["7"])
        monkeypatch.setattr(slurm, "SECONDS_TO_ANSWER", 0.5)
        slurm_commands.put("scancel", seconds=20)
        with pytest.raises(NoAnswer, match=r"^no answer from scancel: none within 0\.5 s$"):
            SLURM.cancel(["7"])


class TestOthers:
    @pytest.mark.parametrize(
        ("output", "limit"), [("MaxArraySize            = 1001\n", 1001), ("MaxArraySize = 0", 0), ("?", None)]
    )
    def test_the_array_limit(self, output: str, limit: int | None, slurm_commands: Commands) -> None:
        assert SLURM.array_limit() is None
        slurm_commands.put("scontrol", output)
        assert SLURM.array_limit() == limit

    def test_an_scontrol_that_hangs_has_no_limit(
        self, slurm_commands: Commands, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(slurm, "SECONDS_TO_ANSWER", 0.5)
        slurm_commands.put("scontrol", "MaxArraySize = 7\n", seconds=20)
        assert SLURM.array_limit() is None

    def test_energies(self, slurm_commands: Commands) -> None:
        slurm_commands.put("sacct", "7|1200\n8|\n")
        assert SLURM.energies(["7", "8"]) == {"7": 1200.0}
        assert SLURM.energies([]) == {}
        assert len(slurm_commands.calls("sacct")) == 1

    @pytest.mark.parametrize(
        ("environment", "job"),
        [
            ({}, None),
            ({"SLURM_JOB_ID": ""}, None),
            ({"SLURM_JOB_ID": "7"}, "7"),
            ({"SLURM_JOB_ID": "9", "SLURM_ARRAY_JOB_ID": "7", "SLURM_ARRAY_TASK_ID": "0"}, "7_0"),
        ],
    )
    def test_the_job_that_a_process_runs_in(self, environment: dict[str, str], job: str | None) -> None:
        assert SLURM.current_job(environment) == job

    def test_a_script_runs_within_the_allocation(self, tmp_path: Path) -> None:
        script, lines = tmp_path / "job.sh", list[str]()
        script.write_text("echo one; echo two >&2; kill -TERM $$\n")
        for scheduler in map(scheduler_of, NAMES):
            lines.clear()
            assert scheduler.run(script, tmp_path / "log", lines.append) == 143
            assert lines == ["one", "two"]
        assert (tmp_path / "log").read_text() == "one\ntwo\n" * 2


class TestLocal:
    def test_it_has_no_queue(self, tmp_path: Path) -> None:
        local = scheduler_of("local")
        assert (local.queues, local.this_machine_only, local.has_arrays, local.writes_directives) == (
            False,
            True,
            False,
            False,
        )
        assert local.available()
        assert (local.queue(), local.energies(["7"]), local.array_limit()) == ({}, {}, 0)
        assert local.current_job({"SLURM_JOB_ID": "7"}) is None
        assert local.environment({"SLURM_JOB_ID": "7"}) == {"SLURM_JOB_ID": "7"}
        state = local.query(["7"])["7"]
        assert (state.status, state.no_answer, state.may_be_alive) == ("unknown", "", False)

    def test_it_refuses_what_needs_a_queue(self, tmp_path: Path) -> None:
        local = scheduler_of("local")
        with pytest.raises(UsageError, match="has no queue"):
            local.submit(tmp_path / "job.sh")
        with pytest.raises(UsageError, match="has no queue"):
            local.would_start("")
        with pytest.raises(UsageError, match="has no queue"):
            local.cancel(["7"])
        with pytest.raises(UsageError, match="has no queue"):
            local.after("7")


def test_each_name_of_a_profile_is_a_scheduler() -> None:
    assert NAMES == ("local", "slurm")
    assert len({scheduler_of(name) for name in NAMES}) == len(NAMES)
    assert scheduler_of("slurm") is scheduler_of("slurm")
    assert batch_scheduler().queues
