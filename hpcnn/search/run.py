"""Run the workers of a search on this machine: checks before the start, and several workers at a time."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hpcnn.jobs.submit import hpcnn_command, prepare
from hpcnn.scheduler import bash, scheduler_of
from hpcnn.search.job import job_of
from hpcnn.search.sampling import known_points
from hpcnn.search.spec import Search
from hpcnn.search.storage import run_of
from hpcnn.sites.load import load_site, with_machine_cores
from hpcnn.util.errors import bad_value
from hpcnn.zoo.catalogue import check_staged

if TYPE_CHECKING:
    from optuna.study import Study

_SECONDS_TO_END = 15.0


@dataclass(frozen=True)
class FinishedTrial:
    """A trial that has ended, from the journal."""

    number: int
    state: str
    value: float | None


def check(search: Search, site: str) -> None:
    """Raise UsageError, before a folder is made, for a request that the site refuses and for data that is not staged.

    Checks every point that is known beforehand: its values may contradict each other.
    """
    points = known_points(search)
    for point in points:
        job = job_of(search, point, site, search.resources)
        assert job.train is not None
        check_staged(job.train.data, job.train.data_args)
    prepare(job_of(search, points[0], site, search.resources), run_of(Path.cwd(), 0).path)


def cores_per_trial(search: Search, site: str, jobs: int) -> int | None:
    """Return the cores of each task if ``jobs`` trials run at a time here; None if one trial has all cores.

    Raises UsageError for trials of several ranks: two mpirun would bind their ranks to the same cores.
    """
    if jobs == 1:
        return None
    profile = with_machine_cores(load_site(site))
    if not scheduler_of(profile.scheduler).this_machine_only:
        raise bad_value("--jobs", jobs, f"1 at site {site}; hpcnn search submit --workers trains several at a time")
    if search.resources.ntasks > 1:
        raise bad_value("--jobs", jobs, "1 with several ranks a trial: two mpirun would bind to the same cores")
    return max((profile.cores or 1) // jobs, 1)


def run_workers(
    study: Study, folder: Path, site: str, jobs: int, cpus: int | None, ended: Callable[[FinishedTrial], None]
) -> list[str]:
    """Start ``jobs`` workers, and wait for them; return a message for each one that failed.

    ended: gets every trial that ends meanwhile.
    """
    words = [*hpcnn_command(), "search", "work", str(folder), "--site", site, "--wait"]
    words += ["--cpus-per-task", str(cpus)] if cpus else []
    (folder / "workers").mkdir(exist_ok=True)
    logs = [folder / "workers" / f"local-{number}.log" for number in range(1, jobs + 1)]
    reported = {trial.number for trial in study.get_trials(deepcopy=False) if trial.state.is_finished()}
    with bash.interruptible(), contextlib.ExitStack() as opened:
        workers: list[subprocess.Popen[bytes]] = []
        try:
            for log in logs:
                file = opened.enter_context(log.open("ab"))
                workers.append(
                    subprocess.Popen(
                        words, stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT, start_new_session=True
                    )
                )
            while any(worker.poll() is None for worker in workers):
                time.sleep(0.5)
                _report_ended(study, reported, ended)
        except BaseException:
            _end(workers)
            raise
    _report_ended(study, reported, ended)
    return [f"{log}: exit status {w.returncode}" for log, w in zip(logs, workers, strict=True) if w.returncode]


def _report_ended(study: Study, reported: set[int], ended: Callable[[FinishedTrial], None]) -> None:
    """Pass the trials that have ended since the last call to ``ended``."""
    words = {"COMPLETE": "completed", "PRUNED": "pruned", "FAIL": "failed"}
    for trial in study.get_trials(deepcopy=False):
        if trial.state.is_finished() and trial.number not in reported:
            reported.add(trial.number)
            ended(FinishedTrial(trial.number, words[trial.state.name], trial.value))


def _end(workers: list[subprocess.Popen[bytes]]) -> None:
    """Send SIGTERM to workers, which then end their trainings; kill those that do not end in time."""
    for worker in workers:
        with contextlib.suppress(ProcessLookupError):
            worker.send_signal(signal.SIGTERM)
    for worker in workers:
        with contextlib.suppress(subprocess.TimeoutExpired, KeyboardInterrupt):
            worker.wait(_SECONDS_TO_END)
        worker.kill()
        worker.wait()
