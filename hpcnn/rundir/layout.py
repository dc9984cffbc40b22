"""The run directory: its files, the contract between running and reporting.

::

    <runs>/<study or name>/<run id>/
      spec.json                 what was asked: job spec, schema version
      job.sh                    the script exactly as it ran
      job.json                  the scheduler's job id, where there is a scheduler; null until it has answered
      provenance.json           hosts, processors, versions, SLURM_* facts, command line
      epochs.rank00000.jsonl    one line an epoch: of up to 32 ranks each has a file
      epochs.node00000.jsonl    of more ranks: one line an epoch and rank, one file a node
      events.jsonl              rank 0: events with monotonic times
      failed.rank00001.json     why a rank failed, if one did
      allreduce.json            hpcnn bench allreduce: times, latency, bandwidth
      machine.json              hpcnn bench machine: operations and bytes a second
      trace.rank00000.json.gz   --profile: what a rank did in some steps
      trace.json.gz             all ranks together, written by ``hpcnn profile``
      staging.json              what a job has copied to the disks of its nodes (``staging.py``)
      owner-1.json              which attempt is at work in the directory, while one is (``owner.py``)
      stop                      asks the ranks to stop and keep their state; gone once they have
      weights.npz               of a network in NumPy: its best weights
      progress.json             where a training stands, while it trains (rank 0)
      result.json               written last, atomically; without it the run is unfinished
      checkpoints/  tensorboard/  plots/  exported/  log.out
      earlier/1/                networks, pictures and logs of an attempt that was begun anew

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
from collections.abc import Collection, Iterable
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

# Of so many ranks each has files of its own. More ranks write their epochs node by node; and of what people look at one
# by one, recorded steps and failures, no more than so many have files.
FEW_RANKS = 32

_EPOCH_FILE = re.compile(r"epochs\.rank(\d{5,})\.jsonl$")
_NODE_FILE = re.compile(r"epochs\.node(\d{5,})\.jsonl$")
_TRACE_FILE = re.compile(r"trace\.rank(\d{5,})\.json\.gz$")
_CHECKPOINT = re.compile(r"epoch-(\d{3,})\.keras")

# The end of the name of a temporary file of ``owner.py``.
OWNER_TEMPORARY = ".owner"

# The file name of an epoch's checkpoint.
CHECKPOINT_NAME = "epoch-{epoch:03d}.keras"


class RefusedRunDir(UsageError):
    """A run directory that an attempt may not use: it must not write there that it failed."""


def holds_run(names: Iterable[str]) -> bool:
    """Return whether a directory with files of these ``names`` is a run directory, even an unfinished one."""
    return any(
        name in ("spec.json", "result.json") or _EPOCH_FILE.match(name) or _NODE_FILE.match(name) for name in names
    )


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
        self.attempt_of_networks = self.checkpoints / "attempt.json"
        self.state = self.checkpoints / "state.npz"
        self.stop = self.path / "stop"
        self.staging = self.path / "staging.json"
        self.weights = self.path / "weights.npz"
        self.tensorboard = self.path / "tensorboard"
        self.plots = pictures_folder(self.path)
        self.exports = self.path / "exported"

    def epochs(self, rank: int) -> Path:
        """Return the file of one rank's epoch records."""
        return self.path / f"epochs.rank{rank:05d}.jsonl"

    def epochs_of_node(self, node: int) -> Path:
        """Return the file of the epoch records of a node's ranks, of a run of more than ``FEW_RANKS``."""
        return self.path / f"epochs.node{node:05d}.jsonl"

    def failure(self, rank: int) -> Path:
        """Return the file to which a failing rank writes its reason."""
        return self.path / f"failed.rank{rank:05d}.json"

    def trace(self, rank: int) -> Path:
        """Return the file of the steps that ``--profile`` recorded on one rank."""
        return self.path / f"trace.rank{rank:05d}.json.gz"

    def traces(self) -> list[tuple[int, Path]]:
        """Return (rank, file) of every rank's recorded steps, by rank."""
        return _by_number(self.path.glob("trace.rank*.json.gz"), _TRACE_FILE)

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
        return self.exports / f"epoch-{epoch:03d}.{form}"

    def epoch_files(self) -> list[tuple[int, Path]]:
        """Return (rank, file) of every epoch file that exists, by rank."""
        return _by_number(self.path.glob("epochs.rank*.jsonl"), _EPOCH_FILE)

    def node_files(self) -> list[tuple[int, Path]]:
        """Return (node, file) of every epoch file of a node, by node."""
        return _by_number(self.path.glob("epochs.node*.jsonl"), _NODE_FILE)

    def epochs_of_rank_0(self) -> list[Path]:
        """Return the files in which epochs of rank 0 can be, among those of others: of earlier versions first."""
        return [self.epochs(0), self.epochs_of_node(0)]

    def create(self, *, resume: bool = False) -> None:
        """Make the directory.

        Raises RefusedRunDir for a directory with a finished run, and without ``resume`` for one with a run that can be
        resumed.
        """
        result = self.read_result() if self.result.exists() else None
        if self.result.exists() and not (resume and result and result.get("status") != "completed"):
            goes_on = result and result.get("status") != "completed" and self.state.exists()
            hint = "; --resume goes on with it" if goes_on else ""
            raise RefusedRunDir(
                f"--run-dir: {str(self.path)!r} already holds a finished run ({self.result.name}); "
                f"name another directory, or move it away{hint}"
            )
        if self.state.exists() and not resume:
            raise RefusedRunDir(
                f"--run-dir: {str(self.path)!r} holds a training that was cut off; --resume goes on with it, or name "
                "another directory"
            )
        if self.path.is_dir():  # the usual case, and every rank asks: a file system has better to do than refuse
            return
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(f"--run-dir: {str(self.path)!r} cannot be made: {error.strerror}") from error

    def clear_attempt(self, *, own_program: bool = False) -> None:
        """Remove the records of an unfinished attempt, so that two attempts are never added up.

        What it made beside them goes into a folder ``earlier/N``: nobody then takes it for the new attempt's.
        own_program: a user's program made it, and goes on with it if it wants to. Only the directory's owner calls it.
        """
        self.tidy()
        of_ranks = (*self.epoch_files(), *self.node_files(), *self.traces())
        for stale in (*(file for _, file in of_ranks), *self.path.glob("failed.rank*.json")):
            stale.unlink(missing_ok=True)
        of_all = (
            self.all_traces,
            self.events,
            self.provenance,
            self.result,
            self.progress,
            self.allreduce,
            self.machine,
        )
        for file in of_all:
            file.unlink(missing_ok=True)
        if not own_program:
            self._set_aside()

    def forget_end(self) -> None:
        """Remove how an earlier attempt ended: it goes on, and has not ended."""
        for stale in (self.result, *self.path.glob("failed.rank*.json")):
            stale.unlink(missing_ok=True)

    def forget_epochs(self, file: Path, epoch: int) -> None:
        """Remove the records of ``epoch`` and later ones from an epoch file: a new attempt records them again."""
        if file.exists():
            kept = [record for record in read_lines(file) if record.get("epoch", 0) < epoch]
            write_text(file, "".join(json.dumps(record) + "\n" for record in kept), folders=False)

    def prepare_resume(self, epoch: int, written: Collection[Path], *, own_program: bool = False) -> None:
        """Prepare the directory for an attempt that resumes at the beginning of ``epoch``, or within it.

        Removes the records and networks of that epoch and later ones: the new attempt makes them again. written: the
        epoch files that the new attempt writes, whose writers prepare them (``forget_epochs``). own_program: as for
        ``clear_attempt``.
        """
        self.tidy()
        for _, file in (*self.epoch_files(), *self.node_files()):  # as of more nodes, or of an earlier version
            if file not in written:
                self.forget_epochs(file, epoch)
        later = [] if own_program else [file for number, file in self.networks().items() if number >= epoch]
        for stale in later:
            stale.unlink(missing_ok=True)
        self.forget_end()

    def tidy(self) -> None:
        """Remove what a process left that was killed while it wrote. Nobody may be writing meanwhile."""
        for folder in (self.path, self.checkpoints):
            for end in (TEMPORARY, OWNER_TEMPORARY):
                for stale in folder.glob(f".*{end}*"):
                    stale.unlink(missing_ok=True)

    def _set_aside(self) -> None:
        """Move what an attempt made beside its records, if anything, to the same places below ``earlier/N``."""
        networks = (*self.networks().values(), self.attempt_of_networks, self.weights)
        made = [one for one in (*networks, self.tensorboard, self.plots, self.exports) if one.exists()]
        if not made:
            return
        number = 1
        while (aside := self.path / "earlier" / str(number)).exists():
            number += 1
        for one in made:
            place = aside / one.relative_to(self.path)
            place.parent.mkdir(parents=True, exist_ok=True)
            one.rename(place)

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


def _by_number(files: Iterable[Path], name: re.Pattern[str]) -> list[tuple[int, Path]]:
    found = ((name.search(file.name), file) for file in files)
    return sorted((int(match.group(1)), file) for match, file in found if match)


def utc_now() -> str:
    """Return the wall-clock time in UTC as ISO 8601, for people; durations are measured by a monotonic clock."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
