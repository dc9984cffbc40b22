"""The folder of a search: its file, Optuna's journal of the trials, and their run directories.

::

    <runs>/<name>/
      search.json     the search file
      journal.log     Optuna's journal of the trials
      trial-0000/     run directories
      locks/          locks of choosing a trial, and of training each one
      workers/        job scripts and logs of Slurm's workers

Many processes on many machines may use the journal at once: they append lines under a lock, a symbolic link, which NFS
creates atomically (``journal.py``); SQLite's own locks are unreliable there (sqlite.org/faq.html, 5).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from hpcnn.rundir.layout import SCHEMA_VERSION, RunDir
from hpcnn.search.read import parse
from hpcnn.search.sampling import known_points, pruner
from hpcnn.search.spec import Search
from hpcnn.util.errors import UsageError
from hpcnn.util.extras import optional_module
from hpcnn.util.files import read_json, write_json
from hpcnn.util.lock import lock
from hpcnn.util.types import Json

if TYPE_CHECKING:
    from optuna.storages import JournalStorage
    from optuna.study import Study

_NO_TRIAL = "there is no trial yet; hpcnn search run, or submit, begins the search"
# Choosing a trial takes another process milliseconds, and seconds among hundreds of trials.
SECONDS_TO_CHOOSE = 120.0
# Options that must not change when a search continues. `trials` may grow, and runs may request other resources.
_FIXED = ("method", "seed", "metric", "direction", "pruning", "warmup_epochs", "startup_trials")


def run_of(folder: Path, number: int) -> RunDir:
    """Return the run directory of a trial."""
    return RunDir(folder / f"trial-{number:04d}")


def choosing_lock(folder: Path) -> Path:
    """Return the folder of the lock for adding or claiming trials."""
    return folder / "locks" / "choosing"


def trial_lock(folder: Path, number: int) -> Path:
    """Return the folder of a trial's lock, held by its worker and by the training, which may outlive the worker."""
    return folder / "locks" / f"{number:04d}"


def is_search(folder: Path) -> bool:
    """Return whether a folder is that of a search."""
    return (folder / "search.json").is_file()


def load(folder: Path) -> Search:
    """Read the search of a folder. Raises UsageError for any other folder."""
    record = read_json(folder / "search.json")
    if record is None:
        raise UsageError(f"{folder}: this is no folder of a search: it has no search.json")
    return parse(record["search"], f"{folder / 'search.json'}: ")


def begin(search: Search, folder: Path) -> Study:
    """Create the folder of a search, or continue it; return Optuna's study with the trials that are known beforehand.

    Raises UsageError if the folder holds another search.
    """
    _optuna()
    with lock(choosing_lock(folder), SECONDS_TO_CHOOSE):
        if is_search(folder):
            _check_same(load(folder), search, folder)
        write_json(folder / "search.json", {"schema": SCHEMA_VERSION, "search": search.table})
        study = _created(search, folder)
        there = len(study.get_trials(deepcopy=False))
        for point in known_points(search)[there:]:
            study.enqueue_trial(point)
        return study


def _created(search: Search, folder: Path) -> Study:
    import optuna

    return optuna.create_study(
        storage=_journal(folder),
        study_name=search.name,
        direction="maximize" if search.options.maximizes else "minimize",
        pruner=pruner(search),
        load_if_exists=True,
    )


def trials_of(search: Search, folder: Path) -> Study:
    """Return Optuna's study of a search, of which nothing is written. Raises UsageError if it has no trial yet."""
    _optuna()
    if not (folder / "journal.log").is_file():
        raise UsageError(f"{folder}: {_NO_TRIAL}")
    import optuna

    try:
        return optuna.load_study(study_name=search.name, storage=_journal(folder), pruner=pruner(search))
    except KeyError as error:  # the command that began the search was killed before it had
        raise UsageError(f"{folder}: {_NO_TRIAL}") from error


def _journal(folder: Path) -> JournalStorage:
    import optuna
    from optuna.storages import JournalStorage

    from hpcnn.search.journal import Journal

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return JournalStorage(Journal(folder / "journal.log"))


def _optuna() -> None:
    optional_module("optuna", "hpcnn search", "search")


def _check_same(old: Search, new: Search, folder: Path) -> None:
    """Raise UsageError if two searches differ in what their results depend on."""
    pairs: dict[str, tuple[Json, Json]] = {
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
