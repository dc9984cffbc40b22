"""The run directory: its files, the contract between running and reporting.

::

    <runs>/<study or name>/<run id>/
      spec.json                 what was asked: job spec, schema version
      job.sh                    the script exactly as it ran
      job.json                  the scheduler's job id, where there is a scheduler; null until it has answered
      provenance.json           hosts, processors, versions, SLURM_* facts, command line
      epochs.rank00000.jsonl    one line an epoch and rank
      events.jsonl              rank 0: events with monotonic times
      failed.rank00001.json     why a rank failed, if one did
      allreduce.json            hpcnn bench allreduce: times, latency, bandwidth
      machine.json              hpcnn bench machine: operations and bytes a second
      trace.rank00000.json.gz   --profile: what a rank did in some steps
      trace.json.gz             all ranks together, written by ``hpcnn profile``
      stop                      asks the ranks to stop and keep their state; gone once they have
      weights.npz               of a network in NumPy: its best weights
      progress.json             where a training stands, while it trains (rank 0)
      result.json               written last, atomically; without it the run is unfinished
      checkpoints/  tensorboard/  plots/  exported/  log.out

This module defines every file name above. Each file is written atomically or by whole lines (``util/files.py``) and has
one writer, so any number of runs may write to one file system at once, NFS included. Must not import a room that trains
or reports, nor anything heavy: login-node commands read run directories too.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import time
from collections.abc import Iterable
from pathlib import Path

from hpcnn.util.errors import UsageError
from hpcnn.util.files import TEMPORARY, read_json, read_lines, write_json, write_text
from hpcnn.util.types import Json

SCHEMA_VERSION = 1
# The folder, in that of a study, of the scripts and records of its job arrays.
ARRAYS = "arrays"
STATUSES = ("completed", "failed", "interrupted")
# sysexits.h, EX_TEMPFAIL: the ranks stopped and kept their state. No error: the same command resumes the run.
STOPPED_EXIT_STATUS = 75

_EPOCH_FILE = re.compile(r"epochs\.rank(\d{5,})\.jsonl$")
_TRACE_FILE = re.compile(r"trace\.rank(\d{5,})\.json\.gz$")
_CHECKPOINT = re.compile(r"epoch-(\d{3,})\.keras")

# The file name of an epoch's checkpoint.
CHECKPOINT_NAME = "epoch-{epoch:03d}.keras"


def holds_run(names: Iterable[str]) -> bool:
    """Return whether a directory with files of these ``names`` is a run directory, even an unfinished one."""
    return any(name in ("spec.json", "result.json") or _EPOCH_FILE.match(name) for name in names)


def runs_folder() -> Path:
    """Return the folder of all runs: $HPCNN_RUNS, or ``runs`` here."""
    return Path(os.environ.get("HPCNN_RUNS") or "runs").absolute()


def new_run_id() -> str:
    """Return a unique name that sorts by time: 20261121-101500-3fa9."""
    return f"{time.strftime('%Y%m%d-%H%M%S')}-{os.urandom(2).hex()}"


def folder_name(model: str) -> str:
    """Return the folder below the runs folder for runs of a model without a name: its id, or ``module-function``."""
    return model.replace(":", "-").replace("/", "-")


def pictures_folder(directory: Path) -> Path:
    """Return the folder of the pictures of a run or of a search, below its directory."""
    return directory / "plots"


class RunDir:
    """The files of one run below ``path``."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path).absolute()
        self.spec = self.path / "spec.json"
        self.job_script = self.path / "job.sh"
        self.job = self.path / "job.json"
        self.provenance = self.path / "provenance.json"
        self.events = self.path / "events.jsonl"
        self.result = self.path / "result.json"
        self.progress = self.path / "progress.json"
        self.allreduce = self.path / "allreduce.json"
        self.machine = self.path / "machine.json"
        self.all_traces = self.path / "trace.json.gz"
        self.log = self.path / "log.out"
        self.checkpoints = self.path / "checkpoints"
        self.state = self.checkpoints / "state.npz"
        self.stop = self.path / "stop"
        self.weights = self.path / "weights.npz"
        self.tensorboard = self.path / "tensorboard"
        self.plots = pictures_folder(self.path)

    def epochs(self, rank: int) -> Path:
        """Return the file of one rank's epoch records."""
        return self.path / f"epochs.rank{rank:05d}.jsonl"

    def failure(self, rank: int) -> Path:
        """Return the file to which a failing rank writes its reason."""
        return self.path / f"failed.rank{rank:05d}.json"

    def trace(self, rank: int) -> Path:
        """Return the file of the steps that ``--profile`` recorded on one rank."""
        return self.path / f"trace.rank{rank:05d}.json.gz"

    def traces(self) -> list[tuple[int, Path]]:
        """Return (rank, file) of every rank's recorded steps, by rank."""
        return _by_rank(self.path.glob("trace.rank*.json.gz"), _TRACE_FILE)

    def failures(self) -> list[dict[str, Json]]:
        """Return the records of failing ranks, by rank."""
        found = (read_json(file) for file in sorted(self.path.glob("failed.rank*.json")))
        return [record for record in found if record is not None]

    def networks(self) -> dict[int, Path]:
        """Return the checkpoint of every epoch that ``--checkpoint`` kept, by epoch."""
        found = ((_CHECKPOINT.fullmatch(entry.name), entry) for entry in self.checkpoints.glob("epoch-*.keras"))
        return dict(sorted((int(match.group(1)), entry) for match, entry in found if match))

    def exported(self, epoch: int, form: str) -> Path:
        """Return the file, or the folder, of an epoch's network that ``hpcnn export`` writes by default."""
        return self.path / "exported" / f"epoch-{epoch:03d}.{form}"

    def epoch_files(self) -> list[tuple[int, Path]]:
        """Return (rank, file) of every epoch file that exists, by rank."""
        return _by_rank(self.path.glob("epochs.rank*.jsonl"), _EPOCH_FILE)

    def create(self, *, resume: bool = False) -> None:
        """Make the directory.

        Raises UsageError for a directory with a finished run, and without ``resume`` for one with a run that can be
        resumed.
        """
        result = self.read_result() if self.result.exists() else None
        if self.result.exists() and not (resume and result and result.get("status") != "completed"):
            hint = "; --resume goes on with it" if result and self.state.exists() else ""
            raise UsageError(
                f"--run-dir: {str(self.path)!r} already holds a finished run ({self.result.name}); "
                f"name another directory, or move it away{hint}"
            )
        if self.state.exists() and not resume:
            raise UsageError(
                f"--run-dir: {str(self.path)!r} holds a training that was cut off; --resume goes on with it, or name "
                "another directory"
            )
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(f"--run-dir: {str(self.path)!r} cannot be made: {error.strerror}") from error

    def clear_attempt(self) -> None:
        """Remove the records of an unfinished attempt, so that two attempts are never added up."""
        of_ranks = (*self.epoch_files(), *self.traces())
        # what a process left that was killed while it wrote
        killed = [file for folder in (self.path, self.checkpoints) for file in folder.glob(f".*{TEMPORARY}*")]
        for stale in (*(file for _, file in of_ranks), *self.path.glob("failed.rank*.json"), *killed):
            stale.unlink()
        for file in (self.all_traces, self.events, self.provenance, self.weights, self.result, self.progress):
            file.unlink(missing_ok=True)

    def prepare_resume(self, epoch: int, rank: int) -> None:
        """Prepare one rank's files for an attempt that resumes at the beginning of ``epoch``, or within it.

        Removes the records of that epoch and later ones: the new attempt records them again.
        """
        file = self.epochs(rank)
        if file.exists():
            kept = [record for record in read_lines(file) if record.get("epoch", 0) < epoch]
            write_text(file, "".join(json.dumps(record) + "\n" for record in kept), folders=False)
        if rank == 0:
            for stale in self.path.glob("failed.rank*.json"):
                stale.unlink()
            self.result.unlink(missing_ok=True)

    def write_result(self, status: str, **facts: Json) -> None:
        """Write ``result.json``, the last file of a run. ``status`` is one of STATUSES."""
        if status not in STATUSES:
            raise ValueError(f"status {status!r} is not one of {STATUSES}")
        with contextlib.suppress(OSError):
            self.progress.unlink()  # of a training that was cut off; on a full disk, room for the record
        record = {"schema": SCHEMA_VERSION, "status": status, "finished_at": utc_now(), **facts}
        write_json(self.result, record, folders=False)  # a directory that was removed meanwhile stays so

    def read_result(self) -> dict[str, Json] | None:
        """Return ``result.json``, or None for a run that has not finished."""
        return read_json(self.result)


def _by_rank(files: Iterable[Path], name: re.Pattern[str]) -> list[tuple[int, Path]]:
    found = ((name.search(file.name), file) for file in files)
    return sorted((int(match.group(1)), file) for match, file in found if match)


def utc_now() -> str:
    """Return the wall-clock time in UTC as ISO 8601, for people; durations are measured by a monotonic clock."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
