"""A search's folder: what was asked, Optuna's journal of the trials, and their run directories.

::

    <runs>/<name>/
      search.json     what was asked
      journal.log     every trial, as Optuna writes them down
      trial-0000/     run directories
      locks/          who chooses, and who trains which trial
      workers/        job scripts and logs of Slurm's workers

Many processes on many machines may use the journal at once. It is a file that lines are added to under a lock that is
a symbolic link, which NFS makes atomically; SQLite's own locks cannot be relied on there (sqlite.org/faq.html, 5).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpcnn.rundir.layout import SCHEMA_VERSION, RunDir
from hpcnn.search.draw import known_points, pruner
from hpcnn.search.read import parse
from hpcnn.search.spec import Search
from hpcnn.util.errors import UsageError
from hpcnn.util.extras import optional_module
from hpcnn.util.files import read_json, write_json
from hpcnn.util.lock import lock

if TYPE_CHECKING:
    from optuna.study import Study

# Another process chooses a trial in milliseconds, and among hundreds in seconds.
SECONDS_TO_CHOOSE = 120.0
# What a search must keep when it is started again. `trials` may grow, and runs may ask for other resources.
_FIXED = ("method", "seed", "metric", "direction", "pruning", "warmup_epochs", "startup_trials")


def run_of(folder: Path, number: int) -> RunDir:
    """Return the run directory of a trial."""
    return RunDir(folder / f"trial-{number:04d}")


def choosing(folder: Path) -> Path:
    """Return the lock of whoever adds trials, or takes one."""
    return folder / "locks" / "choosing"


def training(folder: Path, number: int) -> Path:
    """Return the lock of whoever trains a trial: the worker, and the training itself should the worker be killed."""
    return folder / "locks" / f"{number:04d}"


def is_search(folder: Path) -> bool:
    """Whether a folder is that of a search."""
    return (folder / "search.json").is_file()


def load(folder: Path) -> Search:
    """Return the search that a folder was made for. Raises UsageError where it is none."""
    record = read_json(folder / "search.json")
    if record is None:
        raise UsageError(f"{folder}: this is no folder of a search: it has no search.json")
    return parse(record["search"], f"{folder / 'search.json'}: ")


def begin(search: Search, folder: Path) -> Study:
    """Make the folder of a search, or go on with it; return its trials, those known beforehand among them.

    Raises UsageError where the folder holds a search of something else.
    """
    _optuna()
    with lock(choosing(folder), SECONDS_TO_CHOOSE):
        if is_search(folder):
            _check_same(load(folder), search, folder)
        write_json(folder / "search.json", {"schema": SCHEMA_VERSION, "search": search.table})
        study = _open(search, folder)
        there = len(study.get_trials(deepcopy=False))
        for point in known_points(search)[there:]:
            study.enqueue_trial(point)
        return study


def trials_of(search: Search, folder: Path) -> Study:
    """Return the trials of a search that has begun. Raises UsageError where it has not."""
    _optuna()
    if not (folder / "journal.log").is_file():
        raise UsageError(f"{folder}: there is no trial yet; hpcnn search run, or submit, begins the search")
    return _open(search, folder)


def _open(search: Search, folder: Path) -> Study:
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna.create_study(
        storage=JournalStorage(JournalFileBackend(str(folder / "journal.log"))),
        study_name=search.name,
        direction="maximize" if search.options.maximizes else "minimize",
        pruner=pruner(search),
        load_if_exists=True,
    )


def _optuna() -> None:
    optional_module("optuna", "hpcnn search", "search")


def _check_same(old: Search, new: Search, folder: Path) -> None:
    pairs: dict[str, tuple[Any, Any]] = {
        f"[search] {key}": (getattr(old.options, key), getattr(new.options, key)) for key in _FIXED
    }
    pairs |= {f"[train] {key}": (old.train.get(key), new.train.get(key)) for key in {**old.train, **new.train}}
    pairs |= {f"[space] {key}": (old.space.get(key), new.space.get(key)) for key in {**old.space, **new.space}}
    for key, (before, now) in pairs.items():
        if before != now:
            raise UsageError(
                f"{folder}: this search was begun with another {key}: its trials cannot be compared with new ones; "
                "give the search another name (--set name=...), or move the folder away"
            )
