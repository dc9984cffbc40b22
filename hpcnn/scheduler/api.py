"""The interface of every scheduler, and the state of a job. Must not import an implementation."""

from __future__ import annotations

import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from hpcnn.scheduler.states import ALIVE, UNKNOWN
from hpcnn.util.errors import HpcnnError
from hpcnn.util.exit_status import by_signal

# All jobs of the user that are in the queue, by id; each task of an array is a job.
Queue = Mapping[str, "JobState"]


class NoAnswer(HpcnnError):
    """The scheduler gave no answer: its command failed, hung, is not installed, or printed something unreadable.

    It is not the answer that the scheduler does not know a job: the job may be running.
    """


class QueueFull(HpcnnError):
    """The scheduler takes no more jobs of this user now: a limit of the site on jobs in the queue."""


class Refused(HpcnnError):
    """The scheduler has not taken a job, for a reason that passes: the same request may succeed in a moment."""


@dataclass(frozen=True)
class JobState:
    """The state of one job: ``status`` is one of hpcnn's (``states.py``), ``state`` the scheduler's own.

    exit_code: 128 + signal for a job that a signal ended; None as long as only the queue knows the job.
    no_answer: ``no answer from squeue: ...`` where a command gave none and its answer could change the state. Empty for
        a job that is unknown because the scheduler answered and does not know it.
    queue_answered: False where it was the queue that gave no answer.
    """

    job_id: str
    status: str
    state: str
    reason: str = ""
    elapsed: str = ""
    nodes: str = ""
    start: str = ""
    exit_code: int | None = None
    no_answer: str = ""
    queue_answered: bool = True

    @property
    def alive(self) -> bool:
        """Whether the job waits or runs."""
        return self.status in ALIVE

    @property
    def may_be_alive(self) -> bool:
        """Whether the job waits or runs, or may do so because the queue gave no answer.

        The accounts alone cannot rule it out: they show a job that is requeued as ended until it starts again.
        """
        return self.alive or not self.queue_answered

    def goes_on_after(self, recorded: str | None) -> bool:
        """Return whether the job goes on after the attempt whose outcome is on record: Slurm has requeued it.

        Users and administrators requeue jobs that have failed, too. A job that fails is still in the queue while it
        ends.
        """
        ends = recorded == "failed" and self.state.startswith("COMPLETING")
        return self.alive and recorded in ("interrupted", "failed") and not ends

    @property
    def unknown(self) -> bool:
        """Whether nothing is known of the job, with or without an answer."""
        return self.status == UNKNOWN

    @property
    def timed_out(self) -> bool:
        """Whether the time limit ended the job."""
        return self.state.startswith(("TIMEOUT", "DEADLINE"))

    @property
    def ran_out_of_memory(self) -> bool:
        """Whether the job, or a step of it, needed more memory than it had."""
        return self.state.startswith("OUT_OF_ME")  # as sacct cuts it off

    @property
    def cause(self) -> str:
        """Return the scheduler's word for the end of the job as a reason; out of memory is named as such."""
        return f"{'out of memory: ' if self.ran_out_of_memory else ''}Slurm says {self.state}"

    @property
    def exit_status(self) -> int:
        """Return the exit status of a job that has ended: the scheduler's, else the usual one of its status."""
        return self.exit_code or {"completed": 0, "failed": 1}.get(self.status, by_signal(signal.SIGTERM))


@dataclass(frozen=True)
class Usage:
    """What one job had and what it used of that; None for what the site does not measure.

    cpu_seconds: of all its processes. memory: bytes of the whole job; used: the most that one of its steps held, as the
    accounts sampled it. gpu_share: how much of the time its GPUs were busy, on average.
    """

    job_id: str
    state: str
    elapsed: int
    time_limit: int | None
    nodes: int
    cpus: int
    cpu_seconds: float | None
    memory_asked: int | None
    memory_used: int | None
    gpus: int
    gpu_share: float | None

    @property
    def cpu_share(self) -> float | None:
        """Return the part of the time of all processors that was used."""
        whole = self.elapsed * self.cpus
        return None if self.cpu_seconds is None or not whole else self.cpu_seconds / whole

    @property
    def memory_share(self) -> float | None:
        """Return the part of the memory that was used."""
        return None if self.memory_used is None or not self.memory_asked else self.memory_used / self.memory_asked

    @property
    def time_share(self) -> float | None:
        """Return the part of the time limit that was used."""
        return self.elapsed / self.time_limit if self.time_limit else None


class Scheduler(Protocol):
    """Runs job scripts: at once on this machine, or from a queue.

    The methods below ``cancel``, and ``submitted``, need a scheduler that ``queues``.
    """

    queues: bool
    """Whether jobs wait in a queue, go on without the command that submitted them, and are found again by their ids."""
    this_machine_only: bool
    """Whether jobs run on this machine, with its cores and environment, and on no other node."""
    writes_directives: bool
    """Whether a job script states what it asks for, as ``#SBATCH`` lines."""
    has_arrays: bool
    """Whether one script can be submitted as an array of tasks."""

    def run(self, script: Path, log: Path, on_line: Callable[[str], None] | None = None) -> int:
        """Run a script here and now, its output to ``log`` and line by line to ``on_line``; return its exit status."""

    def submit(self, script: Path, options: Sequence[str] = (), keep_open: Sequence[int] = ()) -> str:
        """Put a script into the queue; return the id of the job.

        keep_open: file descriptors, of locks say, that stay open as long as the scheduler's command is at work. Raises
        HpcnnError where the scheduler refuses the job, and NoAnswer where it may have accepted it.
        """

    def submitted(self, scripts: Sequence[str]) -> dict[str, list[JobState]]:
        """Return the jobs in the queue, arrays as one job each, that were submitted as each script. Raises NoAnswer."""

    def would_start(self, script: str, options: Sequence[str] = ()) -> str:
        """Return when and where a job of this text would start. Submits nothing, and leaves no file behind."""

    def query(self, jobs: Sequence[str], queue: Queue | None = None) -> dict[str, JobState]:
        """Return the state of each job, with one call for all. The id of an array stands for all of its tasks.

        queue: what ``queue()`` has just returned, where the caller has it. Raises nothing where the scheduler gives no
        answer: the states say so.
        """

    def cancel(self, jobs: Sequence[str]) -> None:
        """End jobs, and take those that wait out of the queue; a job that has ended already is no error."""

    def current_job(self, environment: Mapping[str, str]) -> str | None:
        """Return the id of the job that a process with this environment runs in; None outside of jobs."""

    def environment(self, inherited: Mapping[str, str]) -> dict[str, str]:
        """Return the environment for a command that asks for resources, from that of this process."""

    def available(self) -> bool:
        """Whether this machine has the scheduler's commands."""

    def queue(self) -> dict[str, JobState]:
        """Return all jobs of the user that are in the queue, each task of an array by itself. Raises NoAnswer."""

    def after(self, jobs: str) -> list[str]:
        """Return the options of ``submit`` for a job that starts only after others, as ``dependency.py`` reads them."""

    def array_limit(self) -> int | None:
        """Return what every index of an array stays below (0: no arrays); None where the scheduler does not say."""

    def energies(self, jobs: Sequence[str]) -> dict[str, float]:
        """Return the joules of each job whose energy the site measured."""

    def usage(self, jobs: Sequence[str]) -> dict[str, Usage]:
        """Return what each job had and used, of those in the accounts. Raises NoAnswer."""
