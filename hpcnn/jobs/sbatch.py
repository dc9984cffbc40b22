"""Turn resources into Slurm's options as the site takes them: ``#SBATCH`` directives, or options of salloc.

An option that the site refuses, and one that it requires and did not get, raise UsageError before anything is
submitted: Slurm's own message comes late, and often names something else. Must not run a command.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from hpcnn.jobs.sbatch_options import further_options
from hpcnn.sites.profile import Site
from hpcnn.specs.resources import Resources
from hpcnn.util.errors import UsageError, bad_value, unknown_value
from hpcnn.util.walltime import seconds_of

# Before the time limit, for the step under way and the state; a quarter of a short job's time.
_SIGNAL_SECONDS = 120
_SAFE = re.compile(r"[A-Za-z0-9_@%+=:,./\[\]-]+")


def directives(name: str, resources: Resources, site: Site, log: str, cpus_per_task: int) -> list[str]:
    """Return the directives of a job script, each as it stands behind ``#SBATCH``.

    log: path of the job's output, which requeued attempts continue.
    """
    job = {
        "job-name": name,
        "output": file_name(log),
        "open-mode": "append",
        "signal": f"B:USR2@{signal_seconds(resources, site)}",
    }
    asked = request(resources, site, cpus_per_task)
    asked |= {key: value for key, value in _mail(resources, site).items() if key not in asked}
    options = {**job, **asked, "requeue" if resources.requeue else "no-requeue": None}
    _check_refused(options, site)
    return [f"--{key}" if value is None else f"--{key}={quoted(key, value)}" for key, value in options.items()]


def file_name(path: str, end: str = "") -> str:
    """Return the value of ``--output`` for a path, whatever it contains, and behind it ``end``, a pattern of sbatch's.

    sbatch(1), "filename pattern": ``%%`` is a percent sign. In a path with a backslash, which escapes the next one,
    nothing is a pattern, so ``end`` stands there as it is: one file for all tasks of an array.
    """
    if "\\" in path:
        return (path + end).replace("\\", "\\\\")
    return path.replace("%", "%%") + end


def request(resources: Resources, site: Site, cpus_per_task: int) -> dict[str, str | None]:
    """Return the resources as options without dashes, in the order people write them; None: a flag.

    Raises UsageError for an option that the site refuses, and for one that it requires and did not get.
    """
    wanted: dict[str, str | None] = {
        "nodes": str(resources.nodes),
        "ntasks-per-node": str(tasks_per_node(resources)),
        "cpus-per-task": str(cpus_per_task),
        **_gpus(resources, site),
        "time": resources.time or site.time,
        "account": _account(resources, site),
        "partition": _partition(resources, site),
        "qos": resources.qos or (site.qos_gpu if resources.gpus_per_node else site.qos),
        "constraint": resources.constraint or (site.constraint_gpu if resources.gpus_per_node else site.constraint),
        **_memory(resources, site),
    }
    further = further_options(resources.sbatch_options)
    if "gres" in further and wanted.get("gres"):  # the GPUs, in the site's style
        further["gres"] = f"{wanted['gres']},{further['gres']}"
    chosen = {key: value for key, value in wanted.items() if value} | further
    if site.exclusive and resources.sbatch_options.get("exclusive") is not False:
        chosen.setdefault("exclusive", None)
    _check_refused(chosen, site)
    return chosen


def signal_seconds(resources: Resources, site: Site) -> int:
    """Return how many seconds before the time limit Slurm signals the job script (sbatch(1), "--signal")."""
    time = resources.time or site.time
    return min(_SIGNAL_SECONDS, seconds_of(time) // 4) if time else _SIGNAL_SECONDS


def tasks_per_node(resources: Resources) -> int:
    """Return the tasks of each node. Raises UsageError where they do not divide evenly."""
    if resources.ntasks % resources.nodes:
        raise bad_value("--ntasks", resources.ntasks, f"a multiple of the {resources.nodes} nodes")
    return resources.ntasks // resources.nodes


def quoted(key: str, value: str) -> str:
    """Return a directive's value quoted for sbatch: plain where that is safe, else in double quotes.

    Raises UsageError for a line break, which would end the directive and begin another.
    """
    if any(character in value for character in "\n\r\0"):
        raise bad_value(f"--{key}", value, "a text without line breaks")
    if _SAFE.fullmatch(value):
        return value
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def gpu_type(resources: Resources, site: Site) -> str:
    """Return the type of GPU to name in a request; empty for none. Raises UsageError for one that the site lacks."""
    count, kind = resources.gpus_per_node, resources.gpu_type
    if not count:
        if kind:
            raise bad_value("--gpu-type", kind, "no value without --gpus-per-node")
        return ""
    if site.gpu_counts and count not in site.gpu_counts:
        raise bad_value("--gpus-per-node", count, f"{' or '.join(map(str, site.gpu_counts))} at site {site.name}")
    if site.gpus is not None and count > site.gpus:
        raise bad_value("--gpus-per-node", count, f"at most {site.gpus}, the GPUs of a node at site {site.name}")
    if kind and site.gpu_types and kind not in site.gpu_types:
        raise unknown_value("--gpu-type", kind, site.gpu_types)
    if site.gpu_typing == "required" and not kind:
        if not site.gpu_types:
            raise UsageError(f"--gpu-type: site {site.name} needs a GPU type")
        kind = site.gpu_types[0]
    return kind if kind and site.gpu_typing != "refused" else ""


def _check_refused(options: Mapping[str, str | None], site: Site) -> None:
    for key, value in options.items():
        if key in site.refused:
            raise bad_value(f"--{key}", value or "", f"no such option at site {site.name}, which refuses it")


def _gpus(resources: Resources, site: Site) -> dict[str, str]:
    """Return the request for GPUs in the site's style."""
    count, kind = resources.gpus_per_node, gpu_type(resources, site)
    if not count:
        return {}
    typed = f"{kind}:" if kind else ""
    return {
        "gpus-per-node": {"gpus-per-node": f"{typed}{count}"},
        "gres": {"gres": f"gpu:{typed}{count}"},
        "gpus": {"gpus": f"{typed}{count * resources.nodes}"},
        "none": {},
    }[site.gpu_request]


def _account(resources: Resources, site: Site) -> str:
    if site.account_rule == "required" and not resources.account:
        hint = f" ({site.account_hint})" if site.account_hint else ""
        raise UsageError(f"--account: site {site.name} needs the account that is charged{hint}")
    return resources.account or ""


def _partition(resources: Resources, site: Site) -> str:
    gpu = bool(resources.gpus_per_node)
    rule = site.partition_gpu_rule if gpu else site.partition_rule
    if rule == "refused" and resources.partition:
        raise bad_value("--partition", resources.partition, f"none: the scheduler of site {site.name} chooses")
    chosen = resources.partition or (site.partition_gpu if gpu else site.partition)
    if rule == "required" and not chosen:
        known = f" Known: {', '.join(site.partitions)}." if site.partitions else ""
        raise UsageError(f"--partition: site {site.name} needs one.{known}")
    return chosen if rule != "refused" else ""


def _mail(resources: Resources, site: Site) -> dict[str, str | None]:
    """Return the mail of a job: to the named address, of the named events or of those that ``notify`` stands for."""
    user = resources.mail_user or site.mail_user
    events = (
        resources.mail_type
        or site.mail_type
        or {"end": "END,FAIL", "fail": "FAIL", "none": ""}[resources.notify or "end"]
    )
    if resources.mail_type and not user:
        raise UsageError("--mail-type: it needs --mail-user, the address to which Slurm writes")
    if not user or resources.notify == "none":
        return {}
    return {"mail-user": user, "mail-type": events}


def _memory(resources: Resources, site: Site) -> dict[str, str]:
    """Return the memory of each node, core or GPU as asked, else the site's usual share: one of them alone.

    sbatch(1): --mem, --mem-per-cpu and --mem-per-gpu are mutually exclusive.
    """
    asked = {"mem": resources.mem, "mem-per-cpu": resources.mem_per_cpu, "mem-per-gpu": resources.mem_per_gpu}
    own = {key: value for key, value in asked.items() if value}
    for key, value in own.items():
        if site.memory_rule == "refused":
            raise bad_value(f"--{key}", value, f"no value at site {site.name}, which refuses the option")
    if resources.mem_per_gpu and not resources.gpus_per_node:
        raise bad_value("--mem-per-gpu", resources.mem_per_gpu, "no value without --gpus-per-node")
    chosen = site.memory_gpu if resources.gpus_per_node else site.memory
    shared = site.memory_per_gpu if resources.gpus_per_node else site.memory_per_cpu
    if site.memory_rule == "required" and not (own or chosen or shared):
        raise UsageError(f"--mem: site {site.name} needs the memory of each node, e.g. --mem=16G")
    if site.memory_rule in ("refused", "ignored"):
        return {}
    if own or chosen:
        return own or {"mem": chosen}
    return {"mem-per-gpu" if resources.gpus_per_node else "mem-per-cpu": shared}
