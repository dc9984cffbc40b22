"""sbatch's own long options: which of them hpcnn has itself, and which take a value. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping

from hpcnn.util.errors import UsageError, bad_value
from hpcnn.util.types import Json

# sbatch(1) of Slurm 22.05 to 25.05. Plugins of a site add more (spank(7)), which pass as they are.
_NAMES = {
    "value": (
        "account acctg-freq array batch bb bbf begin chdir cluster-constraint clusters comment constraint container "
        "container-id core-spec cores-per-socket cpu-freq cpus-per-gpu cpus-per-task deadline delay-boot dependency "
        "distribution error exclude export export-file extra extra-node-info gid gpu-bind gpu-freq gpus gpus-per-node "
        "gpus-per-socket gpus-per-task gres gres-flags hint input job-name kill-on-invalid-dep licenses mail-type "
        "mail-user mcs-label mem mem-bind mem-per-cpu mem-per-gpu mincpus network nodefile nodelist nodes ntasks "
        "ntasks-per-core ntasks-per-gpu ntasks-per-node ntasks-per-socket ntasks-per-tres open-mode output partition "
        "power prefer priority profile qos reservation segment signal sockets-per-node switches thread-spec "
        "threads-per-core time time-min tmp tres-bind tres-per-job tres-per-node tres-per-socket tres-per-task uid "
        "wait-all-nodes wckey wrap"
    ),
    "flag": (
        "consolidate-segments contiguous hold no-requeue overcommit oversubscribe reboot requeue share spread-job "
        "spread-segments stepmgr test-only use-min-nodes wait"
    ),
    "either": "exclusive get-user-env nice no-kill oom-kill-step propagate resv-ports",
    "nothing in a script": "help ignore-pbs parsable quiet usage verbose version",
}
_KINDS = {name: kind for kind, names in _NAMES.items() for name in names.split()}

# hpcnn writes these itself: another value would make the script contradict itself.
PROTECTED = ("array", "chdir", "error", "export", "export-file", "input", "open-mode", "output", "wrap")
# hpcnn computes with these, or acts on them; it has options of its own for them.
OWN = {
    "nodes": "--nodes",
    "ntasks": "--ntasks",
    "ntasks-per-node": "--ntasks-per-node",
    **dict.fromkeys(("ntasks-per-core", "ntasks-per-socket"), "--ntasks-per-node"),
    **dict.fromkeys(("ntasks-per-gpu", "ntasks-per-tres"), "--ntasks-per-node with --gpus-per-node"),
    **dict.fromkeys(("cpus-per-task", "cpus-per-gpu"), "--cpus-per-task"),
    **dict.fromkeys(("gpus", "gpus-per-node", "gpus-per-socket"), "--gpus-per-node"),
    "gpus-per-task": "--gpus-per-task",
    **dict.fromkeys(("tres-per-task", "tres-per-socket"), "--cpus-per-task and --gpus-per-task"),
    **dict.fromkeys(("tres-per-job", "tres-per-node"), "--gpus-per-node"),
    "time": "--time",
    "mem": "--mem",
    "mem-per-cpu": "--mem-per-cpu",
    "mem-per-gpu": "--mem-per-gpu",
    "dependency": "--after",
    "kill-on-invalid-dep": "--after",
    "requeue": "--requeue",
    "no-requeue": "--no-requeue",
    "test-only": "--test-only",
    "wait": "--wait",
}
# A job of another cluster would have an id that means another job here: hpcnn follows the jobs of one cluster.
_OF_OTHER_CLUSTERS = ("clusters", "cluster-constraint")
_KEY = re.compile(r"[a-z][a-z0-9_-]*")


def further_options(options: Mapping[str, Json]) -> dict[str, str | None]:
    """Return the user's further options of sbatch with their full names; None: a flag. ``false`` leaves one out.

    Raises UsageError for a key that is no long option, that hpcnn sets itself or has an option for, or that could stand
    for several; for a flag with a value, and for an option without the value that it takes.
    """
    found: dict[str, str | None] = {}
    for key, value in options.items():
        name = _name(key, value)
        if value is False:
            continue
        text = None if value is True or value == "" else str(value)
        if text is None and _KINDS.get(name) == "value":
            raise bad_value("--sbatch-option", key, f"a value: {name}=VALUE")
        if text is not None and _KINDS.get(name) == "flag":
            raise bad_value("--sbatch-option", f"{key}={text}", f"no value: {name} alone")
        if name == "gres" and re.search(r"(^|[,/])gpu([:,=]|$)", text or ""):
            raise bad_value(
                "--sbatch-option", f"{key}={text}", "resources other than GPUs: ask for these by --gpus-per-node"
            )
        found[name] = text
    return found


def _name(key: str, value: Json) -> str:
    """Return the option that sbatch takes a key for: any beginning that is that of one alone (getopt_long(3))."""
    shown = key if value is True else f"{key}={value}"
    if not _KEY.fullmatch(key):
        raise bad_value("--sbatch-option", shown, "a long option of sbatch, without its dashes, as the key")
    names = [key] if key in _KINDS else [name for name in _KINDS if name.startswith(key)]
    if len(names) > 1:
        ours = next((name for name in names if name in PROTECTED), None)
        if ours is None:
            raise bad_value(
                "--sbatch-option", shown, f"one option; this is the beginning of {', '.join(sorted(names))}"
            )
        names = [ours]
    for name in names:
        _check_ours(name, shown)
    return names[0] if names else key


def _check_ours(name: str, shown: str) -> None:
    """Raise UsageError for an option that is hpcnn's."""
    if name in PROTECTED:
        raise bad_value("--sbatch-option", shown, f"another key: hpcnn sets {name} itself")
    if name in OWN:
        raise UsageError(
            f"--sbatch-option: {shown!r} is not valid; hpcnn has an option of its own for it: {OWN[name]}."
        )
    if name in _OF_OTHER_CLUSTERS:
        raise bad_value("--sbatch-option", shown, "another key: hpcnn follows jobs of one cluster alone")
    if _KINDS[name] == "nothing in a script":
        raise bad_value("--sbatch-option", shown, "another key: sbatch ignores this one in a job script")
