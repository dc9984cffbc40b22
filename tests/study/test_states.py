"""What became of each run: records first, Slurm second, and what is to be submitted again."""

import json

import pytest

from hpcnn.rundir.layout import RunDir
from hpcnn.scheduler.api import JobState, NoAnswer
from hpcnn.sites.profile import Site
from hpcnn.specs.fields import from_mapping
from hpcnn.specs.study import StudySpec
from hpcnn.study import submit as module
from hpcnn.study.expand import expand
from hpcnn.study.run import missing, set_aside
from hpcnn.study.states import look, runs_in, with_causes
from hpcnn.study.submit import adopt, plan
from hpcnn.util.errors import UsageError
from hpcnn.util.files import write_json
from hpcnn.util.lock import lock

KINDS = ["completed", "interrupted", "failed", "failed"]


@pytest.fixture(autouse=True)
def without_slurm(tmp_path, monkeypatch):
    """No Slurm but what a test says, and a site of our own."""
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("HPCNN_CONFIG", str(tmp_path / "config"))
    (tmp_path / "config" / "sites").mkdir(parents=True)
    (tmp_path / "config" / "sites" / "cluster.toml").write_text('launcher = "srun"\n')


def run_at(folder, name, *, result=None, job_id=None, log=False):
    run = RunDir(folder / name)
    run.create()
    write_json(run.spec, {"point": {}})
    if job_id:
        write_json(run.job, {"job_id": job_id})
    if log:
        run.log.write_text("a line\n")
    if result:
        run.write_result(result, reason="why" if result != "completed" else None)
    return run.path


def queue(**states):
    return {
        job.lstrip("j"): JobState(job.lstrip("j"), status, status.upper(), "Priority") for job, status in states.items()
    }


def test_memory_is_named_where_slurm_alone_knows(tmp_path, slurm_commands):
    runs = [run_at(tmp_path, f"r{n}", result=kind, job_id=f"7_{n}") for n, kind in enumerate(KINDS)]
    slurm_commands.squeue()
    slurm_commands.sacct(*(f"7_{n}|OUT_OF_MEMORY" for n in range(3)), "7_3|FAILED")
    states = with_causes(look(runs))
    assert [state.reason for state in states] == [None, "why", "out of memory: Slurm says OUT_OF_MEMORY; why", "why"]
    assert [state.status for state in states] == KINDS
    slurm_commands.fail("sacct")  # the records have it by now
    assert [state.reason for state in with_causes(look(runs))] == [state.reason for state in states]


class TestLook:
    @pytest.mark.parametrize("status", ["completed", "failed", "interrupted"])
    def test_a_record_has_the_first_word(self, tmp_path, status):
        path = run_at(tmp_path, "run", result=status, job_id="7_0")
        (state,) = look([path], queue(j7_0="failed"))
        assert (state.status, state.recorded, state.job_id, state.alive) == (status, True, "7_0", False)

    @pytest.mark.parametrize("result", ["interrupted", "failed"])
    @pytest.mark.parametrize("now", ["pending", "running"])
    def test_a_job_that_was_requeued_is_alive_whatever_its_last_attempt_wrote(
        self, tmp_path, result, now, slurm_commands
    ):
        path = run_at(tmp_path, "run", result=result, job_id="7_0")
        slurm_commands.squeue(f"7_0|{now.upper()}")
        slurm_commands.sacct()
        for known in (None, queue(j7_0=now)):
            (state,) = look([path], known)
            assert (state.status, state.recorded, state.alive) == (now, False, True)

    def test_but_a_job_that_has_failed_and_ends(self, tmp_path, slurm_commands):
        path = run_at(tmp_path, "run", result="failed", job_id="7_0")
        slurm_commands.squeue("7_0|COMPLETING")
        (state,) = look([path])
        assert (state.status, state.recorded, state.alive) == ("failed", True, False)

    @pytest.mark.parametrize(
        ("said", "status", "reason"),
        [
            ("running", "running", None),
            ("pending", "pending", "Priority"),
            ("failed", "failed", "Slurm says FAILED"),
            ("interrupted", "interrupted", "Slurm says INTERRUPTED"),
            ("completed", "unknown", "Slurm says COMPLETED, but there is no result.json"),
            (None, "unknown", "Slurm does not know its job, and there is no result.json"),
        ],
    )
    def test_then_slurm_has(self, tmp_path, said, status, reason):
        path = run_at(tmp_path, "run", job_id="7_0")
        (state,) = look([path], queue(j7_0=said) if said else {})
        assert (state.status, state.reason, state.recorded) == (status, reason, False)

    @pytest.mark.parametrize("result", [None, "interrupted"])
    def test_a_scheduler_that_gives_no_answer(self, tmp_path, result, slurm_commands):
        slurm_commands.fail("squeue")
        path = run_at(tmp_path, "run", job_id="7_0", result=result)
        (state,) = look([path])
        reason = f"why; {state.no_answer}" if result else state.no_answer
        assert (state.status, state.reason, state.recorded) == (result or "unknown", reason, result is not None)
        assert (state.alive, state.may_be_alive) == (False, True)
        assert state.no_answer.startswith("no answer from squeue: Unable to contact slurm controller")

    @pytest.mark.parametrize("result", ["completed", "failed"])
    def test_is_not_asked_about_a_run_that_has_ended(self, tmp_path, result, slurm_commands):
        (state,) = look([run_at(tmp_path, "run", job_id="7_0", result=result)])
        assert (state.status, state.may_be_alive, state.no_answer) == (result, False, "")
        assert slurm_commands.calls("squeue") == []

    def test_how_a_job_ended_is_open_without_accounts(self, tmp_path, slurm_commands):
        slurm_commands.squeue()
        slurm_commands.fail("sacct")
        (state,) = look([run_at(tmp_path, "run", job_id="7_0")])
        assert (state.status, state.may_be_alive) == ("unknown", False)
        assert state.reason.startswith("no answer from sacct: ")

    def test_a_run_of_this_machine(self, tmp_path):
        paths = [tmp_path / "nothing", run_at(tmp_path, "prepared"), run_at(tmp_path, "begun", log=True)]
        assert [state.status for state in look(paths)] == ["missing", "missing", "interrupted"]
        with lock(tmp_path):
            assert [state.status for state in look(paths)] == ["missing", "missing", "running"]

    def test_attempts_that_were_set_aside_are_no_runs(self, tmp_path):
        first = run_at(tmp_path, "run-r01-abcdef", result="failed")
        set_aside(first)
        assert runs_in(tmp_path) == []
        again = run_at(tmp_path, "run-r01-abcdef")
        (tmp_path / "arrays").mkdir()
        assert runs_in(tmp_path) == [again]


STUDY = {"name": "mine", "program": ["true"], "repeats": 8}


@pytest.fixture
def runs():
    return expand(from_mapping(StudySpec, STUDY), "cluster")


@pytest.fixture
def half_done(tmp_path, runs):
    """A folder in which there is one run of each fate, the last two missing."""
    folder = tmp_path / "mine"
    fates = [
        {"result": "completed"},
        {"result": "failed"},
        {"result": "interrupted"},
        {"job_id": "7_3"},
        {"job_id": "7_4"},
        {"job_id": "7_5"},
    ]
    for run, fate in zip(runs, fates, strict=False):
        run_at(folder, run.run_id, **fate)
    return folder


ALIVE = {"j7_3": "running", "j7_4": "pending"}


class TestPlan:
    def test_what_is_missing_is_submitted_and_what_waits_is_not(self, half_done, runs):
        found = plan(runs, half_done, Site(name="cluster"), queue=queue(**ALIVE))
        assert (found.completed, found.in_queue, found.left, found.runs) == (1, 2, 0, 5)
        (batch,) = found.batches
        names = [run.run.path.name for run in batch.runs]
        assert names == [runs[number].run_id for number in (1, 2, 5, 6, 7)]

    @pytest.mark.parametrize(("limit", "submitted"), [(1, 0), (2, 0), (3, 0), (4, 1), (7, 4), (8, 5), (100, 5)])
    def test_no_more_than_the_site_allows(self, half_done, runs, limit, submitted):
        jobs = queue(**ALIVE, j9="running", j8="completed")
        found = plan(runs, half_done, Site(name="cluster", submit_limit=limit), queue=jobs)
        assert (found.runs, found.left, found.queued) == (submitted, 5 - submitted, 3)

    def test_a_site_without_scheduler_is_refused(self, half_done, runs):
        with pytest.raises(UsageError, match=r"^--site: site here has no scheduler to submit to; `hpcnn study run`"):
            plan(runs, half_done, Site(name="here", scheduler="local"), queue={})

    def test_it_writes_nothing(self, tmp_path, runs):
        plan(runs, tmp_path / "mine", Site(name="cluster"), queue={})
        assert not (tmp_path / "mine").exists()

    def test_the_usual_limit_where_none_is_known(self, tmp_path):
        many = expand(from_mapping(StudySpec, {**STUDY, "repeats": 1002}), "cluster")
        found = plan(many, tmp_path / "mine", Site(name="cluster"), queue={})
        assert [len(batch.runs) for batch in found.batches] == [1001, 1]

    def test_a_study_run_here_leaves_what_waits_alone(self, half_done, runs, slurm_commands):
        slurm_commands.squeue("7_3|RUNNING", "7_4|PENDING")
        slurm_commands.sacct()
        todo = missing(runs, half_done)
        assert (todo.completed, todo.in_queue, len(todo.runs)) == (1, 2, 5)

    def test_without_an_answer_of_the_queue_nothing_is_submitted(self, half_done, runs, slurm_commands):
        slurm_commands.fail("squeue")
        with pytest.raises(NoAnswer, match=r"^no answer from squeue: Unable to contact slurm controller"):
            plan(runs, half_done, Site(name="cluster"))

    def test_nor_run_here(self, half_done, runs, slurm_commands):
        slurm_commands.fail("squeue")
        slurm_commands.sacct("7_3|RUNNING")  # a job that runs for certain leaves two in doubt
        with pytest.raises(NoAnswer, match=r"^2 runs may still be in the queue: no answer from squeue: Unable") as told:
            missing(runs, half_done)
        assert f"the job of {half_done / runs[4].run_id} has ended, remove job.json from it" in str(told.value)

    def test_a_run_that_was_interrupted_may_be_requeued(self, half_done, runs, slurm_commands):
        write_json(half_done / runs[2].run_id / "job.json", {"job_id": "7_2"})
        slurm_commands.fail("squeue")
        for run in runs[3:6]:
            (half_done / run.run_id / "job.json").unlink()
        with pytest.raises(NoAnswer, match=r"^1 run may still be in the queue"):
            missing(runs, half_done)
        slurm_commands.squeue("7_2|PENDING")
        assert missing(runs, half_done).in_queue == 1

    def test_accounts_that_do_not_answer_hold_nothing_up(self, half_done, runs, slurm_commands):
        slurm_commands.squeue("7_3|RUNNING", "7_4|PENDING")
        slurm_commands.fail("sacct")
        todo = missing(runs, half_done)
        assert (todo.completed, todo.in_queue, len(todo.runs)) == (1, 2, 5)
        assert plan(runs, half_done, Site(name="cluster")).runs == 5

    def test_a_completed_study_needs_no_scheduler(self, tmp_path, runs, slurm_commands):
        for run in runs:
            run_at(tmp_path / "mine", run.run_id, result="completed", job_id="7_0")
        assert missing(runs, tmp_path / "mine").completed == len(runs)
        assert slurm_commands.calls("squeue") == []


class TestAdopt:
    def test_a_run_gets_the_id_that_the_record_of_its_array_says(self, tmp_path):
        names = ["a", "b", "c"]
        for name in names[:2]:
            run_at(tmp_path, name)
        write_json(tmp_path / "arrays" / "1.json", {"job_id": "5", "site": "x", "runs": ["b", "a"]})
        write_json(tmp_path / "arrays" / "2.json", {"job_id": None, "site": "x", "runs": names})
        write_json(tmp_path / "arrays" / "3.json", {"job_id": "9", "site": "x", "runs": ["c", "b"]})
        adopt(tmp_path)
        adopt(tmp_path)
        found = {name: json.loads((tmp_path / name / "job.json").read_text())["job_id"] for name in names[:2]}
        assert found == {"a": "5_1", "b": "9_1"}
        assert not (tmp_path / "c").exists()


class TestRefused:
    def test_everything_is_as_it_was(self, half_done, runs, tmp_path):
        """A sbatch that refuses: no new folder is left, and earlier attempts are where they were."""
        sbatch = tmp_path / "bin" / "sbatch"
        sbatch.write_text("#!/bin/sh\necho 'sbatch: error: QOSMaxSubmitJobPerUserLimit' >&2\nexit 1\n")
        sbatch.chmod(0o755)

        def tree():
            return {
                file.relative_to(half_done): file.read_bytes()
                for file in half_done.rglob("*")
                if file.is_file() and "arrays" not in file.parts
            }

        before = tree()
        found = plan(runs, half_done, Site(name="cluster"), queue=queue(**ALIVE))
        with pytest.raises(module.HpcnnError, match=r"^sbatch refuses: QOSMaxSubmitJobPerUserLimit"):
            list(module.submit_all(found, half_done))
        assert tree() == before
        (record,) = (half_done / "arrays").glob("*.json")
        facts = json.loads(record.read_text())
        assert facts["job_id"] is None
        assert "QOSMaxSubmitJobPerUserLimit" in facts["error"]
        assert record.with_suffix(".sh").exists()
