"""Closing a record: the launcher's exit status and the ranks' own words become one result."""

import json
import os

import pytest
from click.testing import CliRunner

from hpcnn.cli.main import main
from hpcnn.rundir.close import finish, note_of
from hpcnn.rundir.layout import RunDir
from hpcnn.util.files import write_json


@pytest.fixture
def run(tmp_path):
    return RunDir(tmp_path)


def closed(run, exit_code, seconds=None):
    finish(run.path, exit_code, seconds)
    result = run.read_result()
    assert result["schema"] == 1
    assert result["finished_at"].endswith("Z")
    return result


def says(result, **expected):
    assert {key: result[key] for key in expected} == expected


def test_a_program_that_ended_well_is_completed(run):
    write_json(run.spec, {"train": None, "program": ["true"]})
    says(closed(run, 0, 1.5), status="completed", exit_code=0, reason=None, seconds_total=1.5)


@pytest.mark.parametrize("resources", [{"ntasks": 3}, {"nodes": 3, "ntasks_per_node": 1}])
def test_ranks_of_a_program_that_hpcnn_never_saw_are_named(run, resources):
    write_json(run.spec, {"train": None, "program": ["python", "mine.py"], "resources": resources})
    result = closed(run, 0)
    says(result, status="completed")
    assert result["note"].startswith("none of the 3 ranks called hpcnn.init()")
    assert note_of(run) == result["note"]


QUIET = {
    "one rank": {},
    "ranks that met": {},
    "a failure": {},
    "a measurement of hpcnn's own": {},
    "ranks that are meant to share nothing": {"independent": True},
    "TensorFlow's workers, which meet themselves": {"strategy": "multiworker"},
}


@pytest.mark.parametrize("what", QUIET)
def test_nothing_is_said_where_there_is_nothing_to_say(run, what):
    processes = 1 if what == "one rank" else 2
    own = ["python", "-m", "hpcnn.machine.bench.ranks"]
    program = own if what.endswith("own") else ["python", "mine.py"]
    spec = {"train": None, "program": program, "resources": {"ntasks": processes}, "stated": QUIET[what]}
    write_json(run.spec, spec)
    if what == "ranks that met":
        write_json(run.provenance, {"world_size": 2})
    assert "note" not in closed(run, int(what == "a failure"))
    assert note_of(run) is None


def test_a_program_that_failed(run):
    says(
        closed(run, 3, 2.0),
        status="failed",
        exit_code=3,
        reason="the launcher ended with exit status 3; see log.out",
        seconds_total=2.0,
    )


@pytest.mark.parametrize(
    ("exit_code", "status", "signal"),
    [
        (129, "interrupted", "SIGHUP"),
        (130, "interrupted", "SIGINT"),
        (143, "interrupted", "SIGTERM"),
        (134, "failed", "SIGABRT"),
        (137, "failed", "SIGKILL"),
        (139, "failed", "SIGSEGV"),
    ],
)
def test_a_signal_is_named(run, exit_code, status, signal):
    says(closed(run, exit_code), status=status, exit_code=exit_code, reason=f"ended by {signal}")


SRUN = """srun: launch/slurm: _task_finish: Received task exit notification for 1 task of StepId=5.0 (status=0x0009).
srun: error: c2: task 1: {how}
slurmstepd: error: *** STEP 5.0 ON c1 CANCELLED AT 2026-11-30T18:00:00 ***
srun: error: c1: tasks 0,2-3: Terminated
"""


@pytest.mark.parametrize("how", ["Killed", "Segmentation fault (core dumped)", "Exited with exit code 1"])
def test_a_task_that_died_has_failed_where_srun_ends_the_others(run, how):
    run.log.write_text(SRUN.format(how=how))
    says(closed(run, 143), status="failed", exit_code=143, reason=f"task 1 on c2: {how}; see {run.log.name}")


def test_a_step_that_was_ended_as_a_whole_is_interrupted(run):
    run.log.write_text(SRUN.format(how="Terminated"))
    says(closed(run, 143), status="interrupted", reason="ended by SIGTERM")


def test_a_cancelled_job_is_interrupted_though_one_task_had_to_be_killed(run):
    run.log.write_text(SRUN.format(how="Killed"))
    finish(run.path, 143, terminated=True)
    says(run.read_result(), status="interrupted")


def test_an_exit_status_above_128_that_is_no_signal(run):
    says(closed(run, 255), status="failed", reason="the launcher ended with exit status 255; see log.out")


def test_the_first_rank_that_left_a_reason_is_quoted(run):
    write_json(run.failure(2), {"rank": 2, "reason": "later"})
    write_json(run.failure(1), {"rank": 1, "reason": "no such model"})
    says(closed(run, 1), status="failed", reason="rank 1: no such model")


def test_a_training_without_a_result_has_failed_whatever_its_exit_status(run):
    write_json(run.spec, {"train": {"model": "scinet-cnn1"}})
    says(closed(run, 0), status="failed", exit_code=0, reason="rank 0 ended without a result; see log.out")


def test_what_rank_0_wrote_is_kept(run):
    run.write_result("completed", exit_code=0, reason=None, epochs=4, test={"accuracy": 0.9})
    before = run.result.read_bytes()
    finish(run.path, 0, 99.0)
    assert run.result.read_bytes() == before


@pytest.mark.parametrize(("exit_code", "status"), [(1, "failed"), (137, "failed"), (130, "interrupted")])
def test_rank_0_is_not_believed_when_the_launcher_says_otherwise(run, exit_code, status):
    run.write_result("completed", exit_code=0, reason=None, epochs=4, test={"accuracy": 0.9})
    write_json(run.failure(1), {"rank": 1, "reason": "lost its node"})
    says(
        closed(run, exit_code),
        status=status,
        exit_code=exit_code,
        reason="rank 1: lost its node",
        epochs=4,
        test={"accuracy": 0.9},
    )


@pytest.mark.parametrize("exit_code", [0, 1, 143])
def test_a_failure_that_rank_0_explained_stays_its_own_words(run, exit_code):
    run.write_result("failed", exit_code=1, reason="loss is not finite")
    says(closed(run, exit_code), status="failed", exit_code=1, reason="loss is not finite")


def test_half_a_result_counts_as_none(run):
    run.result.write_text('{"status": "comp')
    says(closed(run, 1), status="failed", exit_code=1)
    json.loads(run.result.read_text())


def test_closing_twice_changes_nothing(run):
    first = closed(run, 7)
    assert closed(run, 7) == first


@pytest.mark.parametrize("earlier", ["failed", "interrupted"])
def test_a_program_that_runs_again_has_the_record_of_its_last_attempt(tmp_path, earlier, monkeypatch):
    """Slurm requeues a job, or its user does: the script runs again in the directory of the attempt before."""
    monkeypatch.delenv("HPCNN_RUN_OWNER", raising=False)
    run = RunDir(tmp_path)
    write_json(run.spec, {"program": ["python", "x.py"], "train": None})
    run.write_result(earlier, exit_code=75, reason="why")
    write_json(run.failure(1), {"rank": 1, "reason": "of the attempt before"})
    words = ("--run-dir", str(tmp_path), "--pid", str(os.getpid()))
    assert CliRunner().invoke(main, ["record", "begin", *words]).exit_code == 0
    assert run.read_result() is None
    ended = CliRunner().invoke(main, ["record", "finish", *words, "--exit-code", "0", "--seconds", "1"])
    assert ended.exit_code == 0, ended.output
    assert (run.read_result() or {})["status"] == "completed"
    again = CliRunner().invoke(main, ["record", "begin", *words])
    assert (again.exit_code, again.stdout) == (0, "completed\n")
    assert (run.read_result() or {})["status"] == "completed"


def test_a_training_that_runs_again_begins_its_record_itself(tmp_path, monkeypatch):
    monkeypatch.delenv("HPCNN_RUN_OWNER", raising=False)
    run = RunDir(tmp_path)
    write_json(run.spec, {"program": [], "train": {"model": "scinet-cnn1"}})
    run.write_result("interrupted", exit_code=75, reason="why")
    words = ("--run-dir", str(tmp_path), "--pid", str(os.getpid()))
    assert CliRunner().invoke(main, ["record", "begin", *words]).exit_code == 0
    assert (run.read_result() or {})["status"] == "interrupted"


@pytest.mark.parametrize(
    ("exit_code", "status", "code"), [(143, "interrupted", 143), (3, "interrupted", 143), (0, "interrupted", 143)]
)
def test_a_job_that_the_scheduler_ends_is_interrupted_whatever_its_program_says(run, exit_code, status, code):
    finish(run.path, exit_code, terminated=True)
    result = run.read_result()
    assert (result["status"], result["exit_code"]) == (status, code)
    assert "SIGTERM" in result["reason"]


@pytest.mark.parametrize(("exit_code", "written"), [(75, "interrupted"), (0, "completed"), (9, "failed")])
def test_but_the_ranks_own_record_of_that_stays(run, exit_code, written):
    run.write_result(written, exit_code=exit_code, reason="why")
    finish(run.path, exit_code, terminated=True)
    result = run.read_result()
    assert (result["status"], result["exit_code"], result["reason"]) == (written, exit_code, "why")
