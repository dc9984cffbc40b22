"""Which folder TensorBoard shows for what the user names. Reads run directories; knows nothing of servers."""

from __future__ import annotations

from pathlib import Path

from hpcnn.rundir.find import find
from hpcnn.rundir.layout import RunDir
from hpcnn.util.errors import UsageError, bad_value
from hpcnn.util.files import read_json

# The names that every writer of event files gives them (tensorboard, "--logdir"), and those of profiles.
_LOGS = ("*tfevents*", "*.xplane.pb")


def log_folder(target: str) -> Path:
    """Return the folder of logs of a run directory or job id, or a folder that holds such (a study, say) as it is.

    Raises UsageError for what is none of these, and where there are no logs.
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
    """Return the name of the site that the run, or the first one of a folder, was made for; empty where none says."""
    path = _path(target)
    for record in (path / "spec.json", *sorted(path.glob("*/spec.json"))):
        site = (read_json(record) or {}).get("site")
        if site:
            return str(site)
    return ""


def _path(target: str) -> Path:
    """Return the directory that a target names. Raises UsageError where there is none."""
    if Path(target).is_dir():
        return Path(target).absolute()
    if not target.isdigit():
        raise bad_value("RUN", target, "a run directory, a folder of runs, or a job id")
    run = find([target])[0].run
    if run is None:
        raise UsageError(f"job {target}: none of the runs here has this id; name its run directory")
    return run.path
