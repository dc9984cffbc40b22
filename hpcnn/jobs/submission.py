"""Submit a script so that its job cannot be lost: a record says so before, and the job is found again by its script.

The scheduler may accept a job whose id hpcnn never sees: sbatch times out, hpcnn is killed, the connection to the login
node ends. The record without an id (``job.json`` of a run, ``arrays/*.json`` of a study) then names the script, which
squeue shows of each job. Commands that look at jobs ``recover`` the id first; what submits refuses while nobody knows.
"""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from hpcnn.jobs.patience import submit_patiently
from hpcnn.rundir.layout import ARRAYS, SCHEMA_VERSION, RunDir, runs_folder, utc_now
from hpcnn.scheduler import batch_scheduler, scheduler_of
from hpcnn.scheduler.api import JobState, NoAnswer, Scheduler
from hpcnn.scheduler.states import UNKNOWN
from hpcnn.sites.profile import Site
from hpcnn.util.errors import UsageError
from hpcnn.util.files import read_json, write_json
from hpcnn.util.interrupts import interrupts_later
from hpcnn.util.lock import held, lock
from hpcnn.util.types import Json

# A controller that was too busy to answer may take a moment more until the queue shows the job that it accepted.
_PAUSES = (0.0, 1.0, 2.0, 4.0, 8.0)
_INTERRUPTED = "interrupted; waiting for the scheduler's answer first (once more: leave at once)"


def job_record(job_id: str, site: str) -> dict[str, Json]:
    """Return the content of ``job.json`` for a job that has just been submitted."""
    return {"schema": SCHEMA_VERSION, "job_id": job_id, "site": site, "submitted_at": utc_now()}


def whole_submission() -> contextlib.AbstractContextManager[None]:
    """Hold back interrupts from the record of what is about to be submitted to the record of its id."""
    return interrupts_later(_INTERRUPTED)


def submit_recorded(
    script: Path,
    record: Path,
    site: Site,
    options: Sequence[str] = (),
    facts: Mapping[str, Json] | None = None,
    before: str | None = None,
) -> str:
    """Submit a script; return the job's id, which ``record`` then holds.

    facts: what the record says besides. before: the earlier job of the same script, where ``record`` does not say.

    Raises HpcnnError where the scheduler refuses the job: the record is as it was before. Raises NoAnswer where nobody
    knows whether it was accepted: the record stays without an id, for ``recover``.
    """
    scheduler = scheduler_of(site.scheduler)
    earlier = read_json(record) or {}
    before = before or earlier.get("job_id")
    known = {**job_record("", site.name), **(facts or {})}
    # The lock is sbatch's too: it says that sbatch is still at work after hpcnn itself was killed.
    with whole_submission(), lock(record.parent) as descriptor:
        write_json(record, {**known, "job_id": None, "script": str(script), "before": before})
        try:
            job_id = submit_patiently(scheduler, script, options, keep_open=(descriptor,))
        except NoAnswer as error:
            job_id = _searched(scheduler, script, before, error, record)
        except Exception:
            if earlier and not _is_open(earlier):
                write_json(record, earlier)
            else:
                record.unlink()
            raise
        write_json(record, {**known, "job_id": job_id}, folders=False)
    return job_id


@dataclass(frozen=True)
class Unanswered:
    """A submission without an answer whose job is not found. ``state``: unknown, and why the queue does not say more.

    ``state.queue_answered``: the queue answered, and does not have the job.
    """

    record: Path
    facts: Mapping[str, Json]
    state: JobState

    @property
    def reason(self) -> str:
        """Return what is known of the submission, as a sentence."""
        why = self.state.no_answer or "the queue does not have its job"
        return f"its submission was interrupted before the scheduler answered, and {why}"


@dataclass(frozen=True)
class Recovered:
    """The records that have got their ids now, and the submissions whose jobs are not found."""

    found: list[Path] = field(default_factory=list)
    unanswered: list[Unanswered] = field(default_factory=list)

    @property
    def in_doubt(self) -> list[Unanswered]:
        """Return the submissions whose jobs may be waiting or running."""
        return [one for one in self.unanswered if one.state.may_be_alive]


def recover(records: Iterable[Path]) -> Recovered:
    """Find the jobs of interrupted submissions by one call of the scheduler, and write their ids into the records.

    Calls nothing where each record has its id.
    """
    opened = {file: facts for file in records if _is_open(facts := _read(file))}
    result = Recovered()
    if not opened:
        return result
    silence = ""
    found: Mapping[str, Sequence[JobState]] = {}
    try:
        found = batch_scheduler().submitted([str(facts["script"]) for facts in opened.values()])
    except NoAnswer as error:
        silence = str(error)
    for file, facts in opened.items():
        job = _newest(found.get(str(facts["script"]), ()), facts.get("before"))
        why = silence or ("sbatch is still at work on it" if held(file.parent) else "")
        if job is not None:
            kept = {key: value for key, value in facts.items() if key not in ("script", "before")}
            try:
                write_json(file, {**kept, "job_id": job.job_id}, folders=False)
                result.found.append(file)
            except OSError as error:  # a record of somebody else's does not hide the others
                state = replace(job, no_answer=f"its job is {job.job_id}, but {error}")
                result.unanswered.append(Unanswered(file, facts, state))
        else:
            state = JobState("", UNKNOWN, UNKNOWN, no_answer=why, queue_answered=not why)
            result.unanswered.append(Unanswered(file, facts, state))
    for folder in {file.parent.parent for file in result.found if file.parent.name == ARRAYS}:
        adopt(folder)
    return result


def close(submissions: Iterable[Unanswered]) -> None:
    """Record of submissions that the queue does not have that they came to nothing; they are asked about no more."""
    for one in submissions:
        if not one.state.may_be_alive:
            write_json(one.record, {**one.facts, "error": one.reason})


def adopt(folder: Path) -> None:
    """Write the job's id into every task's run of a study, from the newest record of an array that has one."""
    jobs = {}
    for file in arrays_of(folder):
        record = read_json(file) or {}
        if record.get("job_id"):
            jobs.update({name: (record, task) for task, name in enumerate(array_names(record))})
    for name, (record, task) in jobs.items():
        run = RunDir(folder / name)
        if run.spec.exists() and not (read_json(run.job) or {}).get("job_id"):
            write_json(run.job, job_record(f"{record['job_id']}_{task}", str(record.get("site"))), durable=False)


def array_names(record: Mapping[str, Json]) -> list[str]:
    """Return the names of the runs of an array; of a damaged record none, and none that leads out of its folder."""
    runs = record.get("runs")
    names = runs if isinstance(runs, list) else []
    right = all(isinstance(name, str) and Path(name).name == name != ".." for name in names)
    return names if right else []


def records_of(run: RunDir) -> Iterator[Path]:
    """Yield the records in which the submission of a run may stand: its own, and those of its study's arrays."""
    yield run.job
    yield from arrays_of(run.path.parent)


def arrays_of(folder: Path) -> list[Path]:
    """Return the records of a study's arrays, oldest first."""
    return sorted((folder / ARRAYS).glob("*.json"))


def recover_targets(targets: Sequence[str]) -> Recovered:
    """Recover what was submitted of job ids, run directories and folders of runs, as ``rundir.find`` takes them."""
    folders = [Path(target) for target in targets if not re.fullmatch(r"\d+(_\d+)?", target)]
    if len(folders) < max(len(targets), 1):
        folders.append(runs_folder())
    found: dict[Path, None] = {}
    for folder in (folder.absolute() for folder in folders if folder.is_dir()):
        found |= dict.fromkeys(records_of(RunDir(folder)))
        found |= dict.fromkeys([*folder.rglob("job.json"), *folder.rglob(f"{ARRAYS}/*.json")])
    return recover(found)


def check_job_has_ended(run: RunDir, advice: str) -> None:
    """Raise UsageError for a run whose job is in the queue, NoAnswer for one that may be: it would run twice.

    advice: what to do in the latter case.
    """
    for one in recover(records_of(run)).in_doubt:
        if one.record == run.job or run.path.name in array_names(one.facts):
            raise NoAnswer(f"{run.path}: {one.reason}. {advice}")
    job_id = str((read_json(run.job) or {}).get("job_id") or "")
    if not job_id:
        return
    state = batch_scheduler().query([job_id])[job_id]
    if state.alive:
        raise UsageError(f"{run.path}: its job {job_id} is still {state.status}")
    if state.may_be_alive:
        raise NoAnswer(f"{run.path}: its job {job_id} may still be in the queue: {state.no_answer}. {advice}")


def _read(file: Path) -> dict[str, Json]:
    """Return a record; nothing of one that this user may not read, which is of nobody's submission but its owner's."""
    try:
        return read_json(file) or {}
    except PermissionError:
        return {}


def _is_open(facts: Mapping[str, Json]) -> bool:
    return bool(facts.get("script")) and not facts.get("job_id") and not facts.get("error")


def _searched(scheduler: Scheduler, script: Path, before: Json, error: NoAnswer, record: Path) -> str:
    """Return the id of the job that the scheduler may have accepted. Raises NoAnswer where it is not found for now."""
    why = ""
    for pause in _PAUSES:
        time.sleep(pause)
        try:
            job = _newest(scheduler.submitted([str(script)])[str(script)], before)
        except NoAnswer as silence:
            why = str(silence)
            continue
        if job is not None:
            return job.job_id
        why = "the queue does not have the job so far"
    raise NoAnswer(
        f"{error}; {why}. Slurm may have accepted the job all the same: hpcnn looks for it before it submits this "
        f"again, and so does hpcnn status {record.parent}"
    )


def _newest(jobs: Iterable[JobState], before: Json) -> JobState | None:
    """Return the newest of a script's jobs, one in the queue if there is one; not ``before``, which was earlier."""
    of_before = str(before or "").partition("_")[0]
    others = [job for job in jobs if job.job_id != of_before]
    return max(others, key=lambda job: (job.alive, int(job.job_id)), default=None)
