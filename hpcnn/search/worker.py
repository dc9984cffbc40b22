"""Run a worker of a search: train one trial after another, and stop those that the pruner rejects.

A worker stops a training by the file ``stop`` in its run directory, so that the ranks need neither Optuna nor the
search in their container.
"""

from __future__ import annotations

import contextlib
import math
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from hpcnn.jobs.patience import SECONDS_WITHOUT_QUEUE, Patience, Silence
from hpcnn.jobs.submit import Prepared, prepare, written
from hpcnn.rundir.close import finish
from hpcnn.rundir.layout import RefusedRunDir, RunDir
from hpcnn.scheduler import bash
from hpcnn.search.claim import Claim, UnderWay, next_trial, under_way
from hpcnn.search.epochs import EpochReader, epochs_of
from hpcnn.search.hparams import write_experiment
from hpcnn.search.job import job_of, point_text
from hpcnn.search.result import PRUNED, record_outcome, value_of
from hpcnn.search.sampling import max_epochs
from hpcnn.search.spec import Search
from hpcnn.search.storage import run_of
from hpcnn.specs.resources import Resources
from hpcnn.util.errors import UsageError
from hpcnn.util.exit_status import by_signal, of_process
from hpcnn.util.extras import optional_module
from hpcnn.util.files import write_text

if TYPE_CHECKING:
    from optuna.study import Study
    from optuna.trial import Trial

_SECONDS_BETWEEN_LOOKS = 0.2
_SECONDS_BETWEEN_CLAIMS, _LONGEST_PAUSE = 1.0, 30.0
_MOST_REPORTS = 200  # of one trial
_TIME_IS_UP = "the time limit is near"


@dataclass(frozen=True)
class TrialOutcome:
    """The outcome of a trial: completed, pruned, failed, or interrupted (it is to be resumed)."""

    number: int
    parameters: str
    status: str
    value: float | None
    reason: str | None


def work(
    search: Search,
    study: Study,
    folder: Path,
    site: str,
    *,
    cpus_per_task: int | None = None,
    waits: bool = False,
    started: Callable[[str], None] = lambda name: None,
    ended: Callable[[TrialOutcome], None] = lambda trial: None,
    warn: Callable[[str], None] = lambda line: None,
) -> str | None:
    """Train trials until none is left; return the reason if the worker stopped earlier.

    cpus_per_task: for trials without a value of their own. waits: whether to wait for the trials of other workers,
    which may have to be taken over.
    warn: gets a line where the scheduler does not say whether the worker of a trial still runs; such a trial is not
    taken over.
    """
    optional_module("tensorboard", "hpcnn search", "search")
    write_experiment(folder, search)
    resources = search.resources
    if cpus_per_task and not resources.cpus_per_task:
        resources = replace(resources, cpus_per_task=cpus_per_task)
    others = _OtherWorkers(warn)
    with _time_limit() as time_is_up:
        while not time_is_up.is_set():
            with next_trial(search, study, folder) as claim:
                if claim is not None:
                    started(run_of(folder, claim.trial.number).path.name)
                    outcome = _train(search, study, claim, folder, site, resources, time_is_up)
                    ended(outcome)
            if claim is None:
                trials = under_way(study, folder)
                if not (waits and others.may_end(trials)):
                    return _not_taken_over(trials)
                others.pause(trials)
            elif outcome.status == "interrupted" and not time_is_up.is_set():
                return f"trial {outcome.number} was stopped: {outcome.reason}"
    return _TIME_IS_UP


class _OtherWorkers:
    """Waits for trials of other workers, and gives up those that the scheduler does not answer for in half an hour."""

    def __init__(self, warn: Callable[[str], None]) -> None:
        self._seconds, self._patience, self._silence = _SECONDS_BETWEEN_CLAIMS, Patience(), Silence(warn)

    def may_end(self, trials: UnderWay) -> bool:
        """Whether there is a trial that is worth waiting for."""
        if not trials.in_doubt:
            self._patience.reset()
            return bool(trials.trials)
        return not self._patience.is_over(SECONDS_WITHOUT_QUEUE) or bool(trials.trials)

    def pause(self, trials: UnderWay) -> None:
        """Pause: a second, and ever longer while the scheduler gives no answer."""
        self._silence.note(trials.no_answer, SECONDS_WITHOUT_QUEUE)
        self._seconds = min(self._seconds * 1.5, _LONGEST_PAUSE) if trials.no_answer else _SECONDS_BETWEEN_CLAIMS
        time.sleep(self._seconds)


def _not_taken_over(trials: UnderWay) -> str | None:
    if not trials.in_doubt:
        return None
    numbers = ", ".join(map(str, trials.in_doubt))
    return f"not taken over, since another job may train it: trial {numbers} ({trials.no_answer})"


def _train(
    search: Search,
    study: Study,
    claim: Claim,
    folder: Path,
    site: str,
    resources: Resources,
    time_is_up: threading.Event,
) -> TrialOutcome:
    """Train a trial, or resume it, and record its outcome."""
    trial = claim.trial
    run = run_of(folder, trial.number)
    try:
        prepared = prepare(job_of(search, trial.params, site, resources), run.path, resume=True)
        with written(prepared):
            _run(search, trial, claim.lock, prepared, time_is_up)
    except RefusedRunDir:  # another attempt is at work there: its record is not this worker's
        raise
    except UsageError as error:  # values that contradict each other: the trial fails, and the search goes on
        run.path.mkdir(parents=True, exist_ok=True)
        finish(run.path, error.exit_code, reason=str(error))
    status = record_outcome(search, study, trial, folder) or "interrupted"
    reason = None if status == "completed" else (run.read_result() or {}).get("reason")
    value = value_of(search, epochs_of(run))
    return TrialOutcome(trial.number, point_text(trial.params), status, None if math.isnan(value) else value, reason)


def _run(search: Search, trial: Trial, held: int, prepared: Prepared, time_is_up: threading.Event) -> None:
    run = prepared.run
    monitor = TrialMonitor(search, trial, run)
    run.stop.unlink(missing_ok=True)  # a request that an earlier attempt did not see
    try:
        with bash.running(run.job_script, run.log, keep_open=(held,)) as job:
            while job.poll() is None:
                monitor.poll()
                if time_is_up.is_set() and not run.stop.exists():
                    write_text(run.stop, _TIME_IS_UP + "\n", folders=False)
                time.sleep(_SECONDS_BETWEEN_LOOKS)
    except KeyboardInterrupt:
        finish(run.path, by_signal(signal.SIGINT))
        raise
    monitor.poll()
    finish(run.path, of_process(job.returncode))
    run.stop.unlink(missing_ok=True)  # a request that came after the last step


class TrialMonitor:
    """Report the epochs of a training to Optuna as they are written, and stop it when the pruner decides so.

    A report is a line in the journal, which waits for the disk: a long training does not report every epoch.
    """

    def __init__(self, search: Search, trial: Trial, run: RunDir) -> None:
        self._search, self._trial, self._run = search, trial, run
        frozen = trial.study.get_trials(deepcopy=False)[trial.number]
        self._reported = max(frozen.intermediate_values, default=0)
        self._every = -(-max_epochs(search) // _MOST_REPORTS)
        self._reader = EpochReader(run) if search.options.pruning != "none" else None

    def poll(self) -> None:
        """Report new epochs, and write the stop file if the pruner rejects the trial."""
        while self._reader is not None and (new := self._reader.read_new()):
            epochs = self._reader.epochs
            for count in range(len(epochs) - new + 1, len(epochs) + 1):
                number = epochs[count - 1].number
                if number % self._every or number <= self._reported:
                    continue
                self._trial.report(value_of(self._search, epochs[:count]), number)
                if number > self._search.options.warmup_epochs and self._trial.should_prune():
                    self._request_stop(number, value_of(self._search, epochs[:count]))
                    return

    def _request_stop(self, epoch: int, value: float) -> None:
        options, self._reader = self._search.options, None
        self._trial.set_user_attr(PRUNED, epoch)
        metric = options.metric.replace("_", " ")
        write_text(
            self._run.stop, f"pruned after epoch {epoch}: {metric} {value:.4g}, by {options.pruning}\n", folders=False
        )


@contextlib.contextmanager
def _time_limit() -> Iterator[threading.Event]:
    """Set the event at SIGUSR2, which Slurm sends to the batch script before the time limit."""
    time_is_up = threading.Event()

    def note(number: int, frame: FrameType | None) -> None:
        time_is_up.set()

    before = signal.signal(signal.SIGUSR2, note)
    try:
        yield time_is_up
    finally:
        signal.signal(signal.SIGUSR2, before)
