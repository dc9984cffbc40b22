"""Recognise the cluster that a login node belongs to: by its host's name, or by what Slurm calls the cluster."""

from __future__ import annotations

import fnmatch
import re
import socket
import subprocess
from collections.abc import Mapping

from hpcnn.scheduler.slurm import clean_environment
from hpcnn.sites.load import known_sites, load_site
from hpcnn.util.capture import captured
from hpcnn.util.errors import UsageError

_SECONDS_TO_ANSWER = 10.0


def recognised(environment: Mapping[str, str]) -> tuple[str, str] | None:
    """Return the name of this login node's site, and how it is known, in words; None if none or several fit."""
    sites = [name for name in known_sites() if name != "local"]
    cluster = cluster_name(environment).lower()
    if cluster in sites:
        return cluster, f"Slurm calls this cluster {cluster}"
    host = socket.getfqdn()
    found = [name for name in sites if any(fnmatch.fnmatch(host, pattern) for pattern in _hosts(name))]
    return (found[0], f"this host is {host}") if len(found) == 1 else None


def cluster_name(environment: Mapping[str, str]) -> str:
    """Return what Slurm calls this cluster: $SLURM_CLUSTER_NAME, or ClusterName of its configuration; else nothing."""
    named = environment.get("SLURM_CLUSTER_NAME")
    if named:
        return named
    try:
        done = captured(["scontrol", "show", "config"], clean_environment(environment), _SECONDS_TO_ANSWER)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    line = re.search(r"^ClusterName\s*=\s*(\S+)", done.stdout, re.MULTILINE)
    return line.group(1) if line else ""


def _hosts(name: str) -> tuple[str, ...]:
    try:
        return load_site(name).hosts
    except UsageError:  # a profile with a mistake, which `--site` says
        return ()
