"""What Slurm's commands print, as values: their usual lines, their odd ones, and garbage."""

from pathlib import Path

import pytest

from hpcnn.scheduler import parse, states
from hpcnn.scheduler.api import JobState
from hpcnn.scheduler.parse import UnreadableError
from hpcnn.scheduler.slurm import clean_environment

DATA = Path(__file__).parent / "data"


@pytest.mark.parametrize(
    ("state", "status"),
    [
        ("PENDING", "pending"),
        ("CONFIGURING", "pending"),
        ("REQUEUED", "pending"),
        ("RUNNING", "running"),
        ("COMPLETING", "running"),
        ("SUSPENDED", "running"),
        ("COMPLETED", "completed"),
        ("COMPLETED+", "completed"),
        ("completed", "completed"),
        ("FAILED", "failed"),
        ("OUT_OF_MEMORY", "failed"),
        ("NODE_FAIL", "failed"),
        ("TIMEOUT", "interrupted"),
        ("PREEMPTED", "interrupted"),
        ("CANCELLED", "interrupted"),
        ("CANCELLED+", "interrupted"),
        ("CANCELLED by 0", "interrupted"),
        ("CANCELLED by 1000", "interrupted"),
        ("POWER_UP_NODE", "pending"),
        ("EXPEDITING", "pending"),
        ("RECONFIG_FAIL", "pending"),
        ("UPDATE_DB", "running"),
        ("RUNNING,UPDATE_DB", "running"),
        ("COMPLETED,UPDATE_DB", "completed"),
        ("RUNNING,COMPLETING", "running"),
        ("RUNNING,POWER_UP_NODE", "pending"),
        ("COMPLETED,REQUEUED", "pending"),
        ("FAILED,LAUNCH_FAILED", "failed"),
        ("CANCELLED,REVOKED", "interrupted"),
        ("", "unknown"),
        ("COMPLETE", "unknown"),
        ("?", "unknown"),
    ],
)
def test_states_in_hpcnns_words(state, status):
    assert states.status_of(state) == status


# slurm.h of Slurm 25.11: enum job_states, without JOB_OOM's short name, and the flags, as job_state_string_complete()
# prints them.
SLURM_25_11 = """
PENDING RUNNING SUSPENDED COMPLETED CANCELLED FAILED TIMEOUT NODE_FAIL PREEMPTED BOOT_FAIL DEADLINE OUT_OF_MEMORY
LAUNCH_FAILED UPDATE_DB REQUEUED REQUEUE_HOLD SPECIAL_EXIT RESIZING CONFIGURING COMPLETING STOPPED RECONFIG_FAIL
POWER_UP_NODE REVOKED REQUEUE_FED RESV_DEL_HOLD SIGNALING STAGE_OUT EXPEDITING
"""


@pytest.mark.parametrize("state", SLURM_25_11.split())
def test_every_state_of_slurm_is_known(state):
    assert states.status_of(state) != states.UNKNOWN


def test_a_job_in_the_queue_whose_state_is_a_word_of_a_newer_slurm_may_be_alive():
    found = parse.squeue("JOBID|STATE|REASON|TIME|NODELIST|START_TIME\n7_0|DREAMING|None|0:01|n1|N/A\n")
    for state in (found["7_0"], parse.together("7", found.values())):
        assert (state.status, state.may_be_alive) == ("unknown", True)
        assert state.no_answer == "squeue says DREAMING, which hpcnn does not know"


def test_scripts_may_have_any_name():
    output = (
        "ARRAY_JOB_ID|STATE|COMMAND\n"
        "7|PENDING|/a|b/job.sh\n"
        "7|COMPLETED|/a|b/job.sh\n"
        "8|RUNNING,COMPLETING|/x\ny|PENDING|/job.sh\n"
        "9|FAILED|\n"
        "10|FAILED|/a|b/job.sh\n"
    )
    found = {name: [(job.job_id, job.status) for job in jobs] for name, jobs in parse.scripts(output).items()}
    assert found == {
        "/a|b/job.sh": [("7", "pending"), ("10", "failed")],
        "/x\ny|PENDING|/job.sh": [("8", "running")],
        "": [("9", "failed")],
    }
    assert parse.scripts("Welcome\nARRAY_JOB_ID|STATE|COMMAND\n") == {}
    for text in ("", "Welcome\n", "JOBID|STATE\n"):
        with pytest.raises(parse.UnreadableError):
            parse.scripts(text)


def test_no_state_is_two_things():
    names = [*states.PENDING, *states.RUNNING, *states.ENDED]
    assert len(names) == len(set(names))


@pytest.mark.parametrize(
    ("output", "job"),
    [
        ("123\n", "123"),
        ("123;cluster\n", "123"),
        ("Welcome to the cluster!\nYour project has 12 hours left.\n4711;narval\n", "4711"),
        ("88\n\n", "88"),
    ],
)
def test_the_job_id_of_sbatch(output, job):
    assert parse.job_id(output) == job


@pytest.mark.parametrize("output", ["", "\n", "Submitted batch job", "12a\n", ";cluster\n", "-5\n"])
def test_no_job_id_is_an_error_with_what_was_printed(output):
    with pytest.raises(parse.UnreadableError, match=r"^it printed no job id: "):
        parse.job_id(output)


SACCT_HEADER = parse.SACCT_FIELDS.replace(",", "|")


def data(name):
    return (DATA / name).read_text()


def test_the_queue_of_a_cluster():
    found = parse.squeue(data("testbed/squeue.txt"))
    assert {job: state.status for job, state in found.items()} == {
        "1": "completed",
        "2": "failed",
        "3": "failed",
        "4_0": "running",
        "4_1": "interrupted",
        "4_2": "running",
        "4_3": "pending",
        "4_4": "pending",
        "4_5": "pending",
        "5": "pending",
        "6": "interrupted",
        "7": "interrupted",
    }
    assert found["4_2"] == JobState("4_2", "running", "RUNNING", "None", "0:03", "c2", "2026-11-29T19:20:10")
    assert (found["4_3"].reason, found["4_3"].nodes, found["4_3"].start) == ("JobArrayTaskLimit", "", "N/A")
    assert all(state.exit_code is None for state in found.values())


def test_squeue():
    found = parse.squeue(data("squeue.txt"))
    assert list(found) == ["12", "13", "14_3", "14_4"]
    assert found["12"] == JobState("12", "running", "RUNNING", "None", "1:02", "node[1-2]", "2026-01-02T03:04:05")
    assert (found["13"].status, found["13"].reason, found["13"].nodes) == ("pending", "Priority", "")
    assert found["14_4"].elapsed == "2-01:02:03"
    assert all(state.exit_code is None for state in found.values())


def test_a_queue_without_jobs_is_an_answer():
    assert parse.squeue(data("testbed/squeue_empty.txt")) == {}
    assert parse.sacct(data("testbed/sacct_empty.txt")) == {}


def test_the_accounts_of_jobs():
    found = parse.sacct(data("testbed/sacct.txt"))
    assert {job: (state.status, state.exit_code) for job, state in found.items()} == {
        "1": ("completed", 0),
        "2": ("failed", 3),
        "3": ("failed", 139),
        "4_0": ("running", 0),
        "4_1": ("interrupted", 0),
        **{f"4_{task}": ("pending", 0) for task in range(2, 6)},
        "5": ("pending", 0),
        "6": ("interrupted", 0),
        "7": ("interrupted", 0),
    }


@pytest.mark.parametrize(
    ("line", "status", "code"),
    [
        ("7|COMPLETED|00:00:03|node1|0:0", "completed", 0),
        ("7|FAILED|00:00:03|node1|3:0", "failed", 3),
        ("7|FAILED|00:00:03|node1|0:11", "failed", 139),
        ("7|CANCELLED by 0|00:00:00|None assigned|0:0", "interrupted", 0),
        ("7|CANCELLED by 1000|00:00:09|node[1-2]|0:15", "interrupted", 143),
        ("7|TIMEOUT|00:01:00|node1|0:0", "interrupted", 0),
        ("7|OUT_OF_MEMORY|00:01:00|node1|0:125", "failed", 253),
        ("7|RUNNING|00:01:00|node1|", "running", None),
        ("7|RUNNING|00:01:00|node1|x:y", "running", None),
        ("7|NEWSTATE|00:01:00|node1|0:0", "unknown", 0),
    ],
)
def test_sacct(line, status, code):
    found = parse.sacct(f"{SACCT_HEADER}\n{line}\n")
    assert (found["7"].status, found["7"].exit_code) == (status, code)


def test_sacct_of_arrays():
    output = "14_3|COMPLETED|00:00:03|n1|0:0\n\n14_[3-5]|PENDING|00:00:00|None assigned|0:0\n"
    found = {job: state.status for job, state in parse.sacct(f"{SACCT_HEADER}\n{output}").items()}
    # the line that tasks share before they start goes on naming those that have
    assert found == {"14_3": "completed", "14_4": "pending", "14_5": "pending"}


@pytest.mark.parametrize(
    ("identity", "jobs"),
    [
        ("14", ["14"]),
        ("14_3", ["14_3"]),
        ("14_[3]", ["14_3"]),
        ("14_[0-2,7%5]", ["14_0", "14_1", "14_2", "14_7"]),
        ("14_[1-3,...]", ["14_[1-3,...]"]),  # cut off: Slurm's SLURM_BITSTR_LEN
        ("14_[1-7:2,9%2]", ["14_1", "14_3", "14_5", "14_7", "14_9"]),
        ("14_[1-7:0]", ["14_[1-7:0]"]),
        ("14_[]", ["14_[]"]),
        ("14+1", ["14+1"]),
    ],
)
def test_tasks_of_an_array(identity, jobs):
    assert parse.tasks(identity) == jobs


@pytest.mark.parametrize(
    ("jobs", "words"),
    [
        ([], []),
        (["7"], ["7"]),
        (["7_0"], ["7_0"]),
        (["7_1", "7_0", "7_2", "7_9", "8", "9_4", "7_1"], ["7_[0-2,9]", "8", "9_4"]),
        (["7_0", "7_2", "7_3"], ["7_[0,2-3]"]),
    ],
)
def test_many_tasks_in_few_words(jobs, words):
    assert parse.shortened(jobs) == words
    assert sorted(task for word in words for task in parse.tasks(word)) == sorted(set(jobs))


@pytest.mark.parametrize(
    ("found", "status", "state"),
    [
        ({"completed": "COMPLETED", "running": "RUNNING", "pending": "PENDING"}, "running", None),
        ({"completed": "COMPLETED", "pending": "PENDING", "failed": "FAILED"}, "pending", None),
        ({"completed": "COMPLETED", "failed": "FAILED"}, "failed", "1 COMPLETED, 1 FAILED"),
        ({"completed": "COMPLETED"}, "completed", "1 COMPLETED"),
    ],
)
def test_tasks_together(found, status, state):
    together = parse.together("7", [JobState("7_0", *item) for item in found.items()])
    assert (together.job_id, together.status) == ("7", status)
    assert state is None or together.state == state


@pytest.mark.parametrize(
    ("output", "message"),
    [
        ("", "it printed nothing"),
        ("\n\n", "it printed nothing"),
        ("garbage", "it printed 'garbage'"),
        ("\x00|\x01", "it printed "),
        ("|" * 100, "it printed "),
        ("7|RUNNING|None|1:02|node1|N/A\n", r"it printed '7\|RUNNING"),
    ],
)
def test_what_has_no_header_is_no_answer(output, message):
    with pytest.raises(UnreadableError, match=f"^{message}"):
        parse.squeue(output)
    with pytest.raises(UnreadableError, match=f"^{message}"):
        parse.sacct(output)


@pytest.mark.parametrize("line", ["slurm_load_jobs error: Unable to contact slurm controller", "|||", "a|b|c|d|e|f"])
def test_a_line_that_is_no_job_could_hide_one(line):
    with pytest.raises(UnreadableError):
        parse.squeue(data("testbed/squeue.txt") + line)
    with pytest.raises(UnreadableError):
        parse.sacct(data("testbed/sacct.txt") + line)


def test_a_greeting_before_the_header_is_passed_over():
    assert parse.squeue("Welcome!\n12 | jobs today\n" + data("squeue.txt")) == parse.squeue(data("squeue.txt"))


def test_a_surrounding_jobs_variables_do_not_reach_the_new_one():
    kept = {"PATH": "/bin", "SLURM_CONF": "/etc/slurm.conf", "MY_SLURM_ID": "1"}
    inherited = dict.fromkeys(["SLURM_CPU_BIND", "SLURM_JOB_ID", "SBATCH_ACCOUNT", "OMPI_COMM_WORLD_RANK"], "1")
    assert clean_environment({**kept, **inherited}) == kept


def test_energies_are_the_jobs_own_lines_that_have_a_number():
    """``sacct --parsable2 --noheader --format=JobID,ConsumedEnergyRaw``: empty or 0 where nothing measures it."""
    lines = ["41|", "41.batch|0", "42|1234567", "42.batch|1234000", "42.0|1233999", "43|0", "44|18446744073709551614"]
    assert parse.energies("\n".join([*lines, "7_2|500", "nonsense", ""])) == {"42": 1234567.0, "7_2": 500.0}
