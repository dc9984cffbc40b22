"""Workers on this machine: this process itself, or several of its own kind at a time, ended with it."""

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
from hpcnn.scheduler import local
from hpcnn.search.draw import known_points
from hpcnn.search.job import job_of
from hpcnn.search.spec import Search
from hpcnn.search.storage import run_of
from hpcnn.sites.load import load_site, with_machine_cores
from hpcnn.util.errors import bad_value
from hpcnn.zoo.catalogue import check_staged

if TYPE_CHECKING:
    from optuna.study import Study

_SECONDS_TO_END = 15.0


@dataclass(frozen=True)
class Finished:
    """A trial that has ended, as the journal has it."""

    number: int
    state: str
    value: float | None


def check(search: Search, site: str) -> None:
    """Raise UsageError, before there is a folder, for what the site refuses and for data that is not staged.

    Of the points known beforehand each is looked at, since which values go together is said only here.
    """
    points = known_points(search)
    for point in points:
        job = job_of(search, point, site, search.resources)
        assert job.train is not None
        check_staged(job.train.data)
    prepare(job_of(search, points[0], site, search.resources), run_of(Path.cwd(), 0).path)


def cores_each(search: Search, site: str, jobs: int) -> int | None:
    """Return the cores of each task where ``jobs`` trials run at a time here; None where they need no share.

    Raises UsageError for trials of several ranks: two mpirun would bind their ranks to the same cores.
    """
    if jobs == 1:
        return None
    profile = with_machine_cores(load_site(site))
    if profile.scheduler != "local":
        raise bad_value("--jobs", jobs, f"1 at site {site}; hpcnn search submit --workers trains several at a time")
    if search.resources.ntasks > 1:
        raise bad_value("--jobs", jobs, "1 with several ranks a trial: two mpirun would bind to the same cores")
    return max((profile.cores or 1) // jobs, 1)


def several(
    study: Study, folder: Path, site: str, jobs: int, cpus: int | None, ended: Callable[[Finished], None]
) -> list[str]:
    """Start ``jobs`` workers, and wait for them; return what those say that did not end well.

    ended: told of every trial that ends meanwhile.
    """
    words = [*hpcnn_command(), "search", "work", str(folder), "--site", site, "--wait"]
    words += ["--cpus-per-task", str(cpus)] if cpus else []
    (folder / "workers").mkdir(exist_ok=True)
    logs = [folder / "workers" / f"local-{number}.log" for number in range(1, jobs + 1)]
    told = {trial.number for trial in study.get_trials(deepcopy=False) if trial.state.is_finished()}
    with local.interruptible(), contextlib.ExitStack() as opened:
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
                _tell(study, told, ended)
        except BaseException:
            _end(workers)
            raise
    _tell(study, told, ended)
    return [f"{log}: exit status {w.returncode}" for log, w in zip(logs, workers, strict=True) if w.returncode]


def _tell(study: Study, told: set[int], ended: Callable[[Finished], None]) -> None:
    words = {"COMPLETE": "completed", "PRUNED": "pruned", "FAIL": "failed"}
    for trial in study.get_trials(deepcopy=False):
        if trial.state.is_finished() and trial.number not in told:
            told.add(trial.number)
            ended(Finished(trial.number, words[trial.state.name], trial.value))


def _end(workers: list[subprocess.Popen[bytes]]) -> None:
    """Interrupt workers, which then end their trainings."""
    for worker in workers:
        with contextlib.suppress(ProcessLookupError):
            worker.send_signal(signal.SIGTERM)
    for worker in workers:
        with contextlib.suppress(subprocess.TimeoutExpired, KeyboardInterrupt):
            worker.wait(_SECONDS_TO_END)
        worker.kill()
        worker.wait()
