"""Submit the missing runs of a study, in few calls of the scheduler, and record the submissions.

Atomic for each run: its directory holds its job's id, or is as it was before: after a refusal by sbatch the prepared
files are removed.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from hpcnn.jobs.submission import adopt, arrays_of, close, job_record, recover, submit_recorded, whole_submission
from hpcnn.jobs.submit import Prepared, write
from hpcnn.rundir.layout import RunDir, new_run_id
from hpcnn.scheduler import scheduler_of
from hpcnn.scheduler.api import NoAnswer, Queue
from hpcnn.sites.profile import Site
from hpcnn.study.arrays import FOLDER, Batch, batches
from hpcnn.study.expand import PlannedRun
from hpcnn.study.run import check_all_staged, prepare_again, set_aside
from hpcnn.study.states import look
from hpcnn.util.errors import HpcnnError, UsageError
from hpcnn.util.files import read_json, write_bytes, write_json, write_text
from hpcnn.util.lock import lock_file
from hpcnn.util.text import counted

# slurm.conf(5), "MaxArraySize": the default, for a site whose own is not known.
_USUAL_ARRAY_LIMIT = 1001


@dataclass(frozen=True)
class Plan:
    """The submissions, and the numbers of other runs: completed, in the queue, or over the site's limit (``left``).

    queued: jobs of the user in the queue, of this study and others.
    """

    batches: list[Batch]
    completed: int
    in_queue: int
    left: int
    queued: int

    @property
    def runs(self) -> int:
        """Return the number of runs to submit."""
        return sum(len(batch.runs) for batch in self.batches)


def plan(
    runs: Sequence[PlannedRun],
    folder: Path,
    site: Site,
    max_concurrent: int | None = None,
    *,
    queue: Queue | None = None,
    most: int | None = None,
) -> Plan:
    """Return what is missing of a study as arrays. Writes nothing.

    queue: the user's jobs; the scheduler is asked where they are not given. most: runs to submit at most. Raises
    UsageError for what the site cannot give, and NoAnswer where the scheduler does not say which runs are still in the
    queue: they would run twice.
    """
    scheduler = scheduler_of(site.scheduler)
    if not scheduler.queues:
        raise UsageError(f"--site: site {site.name} has no scheduler to submit to; `hpcnn study run` runs a study here")
    asked = queue is None
    if queue is None:
        queue = scheduler.queue()
    states = look((folder / run.run_id for run in runs), queue)
    lost = [state for state in states if state.may_be_alive and not state.alive]
    if asked and lost:
        raise NoAnswer(f"{counted(len(lost), 'run')} may be in the queue, or come there yet: {lost[0].reason}")
    todo = [run for run, state in zip(runs, states, strict=True) if state.status != "completed" and not state.alive]
    queued = sum(job.alive for job in queue.values())
    room = len(todo) if site.submit_limit is None else max(site.submit_limit - queued, 0)
    room = room if most is None else min(room, most)
    ready = [prepare_again(run, folder / run.run_id) for run in todo[:room]]
    return Plan(
        batches(ready, folder, new_run_id(), _array_limit(site), max_concurrent),
        completed=sum(state.status == "completed" for state in states),
        in_queue=sum(state.alive for state in states),
        left=len(todo) - len(ready),
        queued=queued,
    )


def submit_all(plan: Plan, folder: Path, options: Sequence[str] = ()) -> Iterator[tuple[Batch, str]]:
    """Submit each batch in turn, and yield it with the job's id. The caller holds the study's lock.

    options: further options of sbatch. Raises HpcnnError with sbatch's words where it refuses one; those before it
    stay submitted, and of the others nothing is left behind but the script that was refused and a record of it.
    """
    check_all_staged([run for batch in plan.batches for run in batch.runs])
    for batch in plan.batches:
        with whole_submission():  # the caller hears of each job that was submitted, before an interrupt goes on
            yield batch, _submit(batch, folder, options)


def settle(folder: Path, runs: Sequence[PlannedRun]) -> None:
    """Find the jobs of submissions that were interrupted, and forget those that came to nothing.

    The caller holds the study's lock.
    """
    own = [RunDir(folder / run.run_id).job for run in runs]
    close(recover([*own, *arrays_of(folder)]).unanswered)
    adopt(folder)


def _array_limit(site: Site) -> int:
    scheduler = scheduler_of(site.scheduler)
    if not (site.arrays and scheduler.has_arrays):
        return 0
    if site.array_limit is not None:
        return site.array_limit
    found = scheduler.array_limit()
    return _USUAL_ARRAY_LIMIT if found is None else found


def _submit(batch: Batch, folder: Path, options: Sequence[str]) -> str:
    script, record = batch.file(folder), folder / FOLDER / f"{batch.name}.json"
    site, facts = batch.runs[0].site, {"runs": [run.run.path.name for run in batch.runs]}
    begun: list[_Begun] = []
    try:
        for prepared in batch.runs:
            begun.append(_begin(prepared))
            # No waiting for the disk, twice for each of a thousand runs: none of this is a result, and what a crash
            # loses is written again by the next command.
            write(prepared, durable=False)
        if batch.script is not None:
            write_text(script, batch.script, executable=True)
            job_id = submit_recorded(script, record, site, options, facts)
        else:
            job_id = submit_recorded(script, batch.runs[0].run.job, site, options, before=begun[0].job_id)
    except NoAnswer:  # the job may have been accepted, and needs its files then
        raise
    except Exception as error:
        _take_back(begun)
        if isinstance(error, HpcnnError) and batch.script is not None:
            write_json(record, {**job_record("", site.name), **facts, "job_id": None, "error": str(error)})
        raise
    if batch.script is not None:
        adopt(folder)
    return job_id


@dataclass(frozen=True)
class _Begun:
    """A run that is being submitted, with what restores it: the attempt set aside, or the files of a resumed one.

    job_id: the job of the earlier attempt.
    """

    run: RunDir
    job_id: str | None
    aside: Path | None
    earlier: dict[Path, bytes]


def _begin(prepared: Prepared) -> _Begun:
    run = prepared.run
    job_id = (read_json(run.job) or {}).get("job_id")
    if not prepared.resume:
        return _Begun(run, job_id, set_aside(run.path), {})
    files = (run.spec, run.job_script, run.job, run.result)
    earlier = {file: file.read_bytes() for file in files if file.exists()}
    run.job.unlink(missing_ok=True)
    return _Begun(run, job_id, None, earlier)


def _take_back(begun: Sequence[_Begun]) -> None:
    """Remove the files of runs that were not submitted, and restore their earlier attempts."""
    for entry in begun:
        run, aside = entry.run, entry.aside
        for file in (run.spec, run.job_script, lock_file(run.path)):
            file.unlink(missing_ok=True)
        for file, content in entry.earlier.items():
            write_bytes(file, content)
        with contextlib.suppress(OSError):  # there is something else in it: leave it
            run.path.rmdir()
        if aside is not None and not run.path.exists():
            aside.rename(run.path)
