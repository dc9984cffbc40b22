"""Find the folder of TensorBoard logs that a user names. Must not import the server."""

from __future__ import annotations

from pathlib import Path

from hpcnn.rundir.find import find
from hpcnn.rundir.layout import RunDir
from hpcnn.util.errors import UsageError, not_there
from hpcnn.util.files import read_json

# The names of event files (tensorboard, "--logdir") and of profiles.
_LOGS = ("*tfevents*", "*.xplane.pb")


def log_folder(target: str) -> Path:
    """Return the folder of logs of a run directory or job id; a folder that holds runs, such as a study, as it is.

    Raises UsageError for any other target, and for one without logs.
    """
    path = _path(target)
    run = RunDir(path)
    folder = run.tensorboard if run.spec.exists() else path
    if not any(next(folder.rglob(pattern), None) for pattern in _LOGS):
        raise UsageError(
            f"{target}: there are no TensorBoard logs in {folder}; "
            "train with --tensorboard, which writes them after the first epoch"
        )
    return folder


def site_of(target: str) -> str:
    """Return the site of a run, or of the first one in a folder that records it; empty if none does."""
    path = _path(target)
    for record in (path / "spec.json", *sorted(path.glob("*/spec.json"))):
        site = (read_json(record) or {}).get("site")
        if site:
            return str(site)
    return ""


def _path(target: str) -> Path:
    """Return the directory that a target names. Raises UsageError for an unknown target."""
    if Path(target).is_dir():
        return Path(target).absolute()
    if not target.isdigit():
        raise not_there("RUN", target, "a run directory, a folder of runs, or a job id")
    run = find([target])[0].run
    if run is None:
        raise UsageError(f"job {target}: none of the runs here has this id; name its run directory")
    return run.path
