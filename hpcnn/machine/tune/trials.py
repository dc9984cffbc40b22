"""Run a trial, a short training as a job, and compute its images/s.

Inside a Slurm allocation bash runs the site's job script, whose ``srun`` starts the ranks there.
"""

from __future__ import annotations

import dataclasses
import itertools
import os
import statistics
from collections.abc import Callable, Mapping
from pathlib import Path

from hpcnn.jobs.submit import prepare, submit
from hpcnn.machine.tune.knobs import STRATEGIES
from hpcnn.machine.tune.search import TrialFailed
from hpcnn.rundir.layout import RunDir
from hpcnn.scheduler import scheduler_of
from hpcnn.sites.profile import Site
from hpcnn.specs.complete import complete
from hpcnn.specs.job import JobSpec
from hpcnn.specs.resources import Resources
from hpcnn.specs.software import SoftwareSpec
from hpcnn.specs.train import TrainSpec
from hpcnn.util.errors import UsageError, bad_value
from hpcnn.util.files import read_lines
from hpcnn.zoo.registry import in_numpy

# The first epoch includes the tracing, and is left out.
EPOCHS = 5


def trial_job(site: str, resources: Resources, software: SoftwareSpec, train: TrainSpec, steps: int) -> JobSpec:
    """Return the job of every trial: ``EPOCHS`` epochs of ``steps`` steps, without evaluation.

    Raises UsageError for a strategy or a network without such settings.
    """
    if train.strategy not in STRATEGIES:
        raise bad_value("--strategy", train.strategy, " or ".join(STRATEGIES))
    if in_numpy(train.model):
        raise bad_value("--model", train.model, "a network of Keras: those in NumPy have no such settings")
    batch = complete(train).batch_size
    assert batch is not None
    short = dataclasses.replace(train, batch_size=batch, samples=steps * batch, epochs=EPOCHS, evaluate=False)
    return JobSpec("tune", site, resources, train=short, software=software)


def check_allocation(site: Site, inside: str) -> None:
    """Raise UsageError at a site with a queue unless this process is in a job. inside: the command to submit it."""
    scheduler = scheduler_of(site.scheduler)
    if scheduler.queues and scheduler.current_job(os.environ) is None:
        raise UsageError(
            f"--site: trials at site {site.name} run in one Slurm job, and this is none; submit it:\n{inside}"
        )


class Trials:
    """Run trials of one job below a folder, each in a run directory of its own."""

    def __init__(self, job: JobSpec, folder: Path, log: Callable[[str], None] = lambda line: None) -> None:
        """``log`` gets a line for people after each trial."""
        self._job, self._folder, self._log, self._count = job, folder, log, 0
        self._number = 0

    def rate(self, settings: Mapping[str, str]) -> float:
        """Run one trial with these variables; return its images/s. Raises TrialFailed with the reason."""
        self._count += 1
        name = " ".join(f"{key}={value}" for key, value in settings.items()) or "as it is"
        software = dataclasses.replace(self._job.software, env={**self._job.software.env, **settings})
        prepared = prepare(dataclasses.replace(self._job, software=software), self._next_folder())
        code = submit(prepared)
        if code:
            reason = (prepared.run.read_result() or {}).get("reason")
            self._log(f"[{self._count}] {name}: FAILED")
            raise TrialFailed(f"exit status {code}: {reason} (log: {prepared.run.log})")
        rate = images_per_second(prepared.run)
        self._log(f"[{self._count}] {name}: {rate:,.0f} images/s")
        return rate

    def _next_folder(self) -> Path:
        """Return the next run directory that is not there: a command that was cut off may have made some."""
        self._number = next(
            n for n in itertools.count(self._number + 1) if not os.path.lexists(self._folder / f"{n:03d}")
        )
        return self._folder / f"{self._number:03d}"


def images_per_second(run: RunDir) -> float:
    """Return the median rate of the epochs after the first: samples of all ranks over the slowest rank's seconds."""
    samples: dict[int, float] = {}
    seconds: dict[int, float] = {}
    for _, file in (*run.epoch_files(), *run.node_files()):
        for line in read_lines(file):
            epoch = line["epoch"]
            samples[epoch] = samples.get(epoch, 0.0) + line["samples"]
            seconds[epoch] = max(seconds.get(epoch, 0.0), line["seconds_total"])
    return statistics.median(samples[epoch] / seconds[epoch] for epoch in samples if epoch > 1)
