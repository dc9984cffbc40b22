"""How many ranks the machines of a series have, by their site's profile or by the hosts that its runs recorded.

A rank needs a GPU where the runs used GPUs, else the cores of its task. Must not ask a machine anything.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from hpcnn.analysis.series import runs_of
from hpcnn.scheduler import scheduler_of
from hpcnn.sites.load import load_site
from hpcnn.util.errors import UsageError
from hpcnn.util.text import counted

if TYPE_CHECKING:
    import pandas as pd

    from hpcnn.analysis.load import RunData
    from hpcnn.sites.profile import Site


class Capacity(NamedTuple):
    """The most ``ranks`` that a machine has, infinite where nobody says; ``words``: which machine, and where from."""

    ranks: float
    words: str


_UNKNOWN = Capacity(np.inf, "no record says what the machine has")


def capacity(data: RunData, rows: pd.DataFrame, warmup: int = 1) -> Capacity:
    """Return what the largest of the machines has on which the runs of ``rows``, one series, were measured."""
    paths = runs_of(data, rows, warmup)["path"]
    runs = data.runs[data.runs["path"].isin(paths)]
    keys = ["site", "host", "host_cores", "host_gpus", "cpus_per_task", "gpus_held", "device"]
    kinds = runs[keys].drop_duplicates().astype(object)
    found = [_of_run(run) for run in kinds.where(kinds.notna(), None).to_dict("records")]
    return max(found, key=lambda one: one.ranks, default=_UNKNOWN)


def _of_run(run: dict[object, object]) -> Capacity:
    site = _site(run["site"])
    on_gpus = bool(run["gpus_held"]) or run["device"] not in (None, "CPU")
    cores_of_rank = int(str(run["cpus_per_task"] or 1))
    if site is None or scheduler_of(site.scheduler).this_machine_only:
        return _of_host(run, on_gpus, cores_of_rank)
    return _of_site(site, on_gpus, cores_of_rank)


def _site(name: object) -> Site | None:
    """Return a profile; None for a run of no site, or of one whose profile is not here."""
    try:
        return load_site(str(name)) if name else None
    except UsageError:
        return None


def _of_host(run: dict[object, object], on_gpus: bool, cores_of_rank: int) -> Capacity:
    has = run["host_gpus"] if on_gpus else run["host_cores"]
    if not has:
        return _UNKNOWN
    number, what = int(str(has)), "GPU" if on_gpus else "core"
    words = f"{run['host'] or 'the machine'} has {counted(number, what)}"
    if on_gpus:
        return Capacity(number, words)
    return Capacity(number // cores_of_rank, words + _share(cores_of_rank))


def _of_site(site: Site, on_gpus: bool, cores_of_rank: int) -> Capacity:
    nodes = site.nodes_gpu if on_gpus else site.nodes
    of_node = site.gpus if on_gpus else site.cores
    if nodes is None or of_node is None:
        lacking = [key for key, value in _keys(on_gpus, nodes, of_node).items() if value is None]
        words = f"the profile of {site.name} does not say what the machine has: {' and '.join(lacking)}"
        return Capacity(np.inf, words)
    what = "GPU" if on_gpus else "core"
    words = f"{site.name} has {counted(nodes, 'node')} of {counted(of_node, what)}"
    if on_gpus:
        return Capacity(nodes * of_node, words)
    return Capacity(nodes * (of_node // cores_of_rank), words + _share(cores_of_rank))


def _keys(on_gpus: bool, nodes: int | None, of_node: int | None) -> dict[str, int | None]:
    return {"nodes_gpu": nodes, "gpus": of_node} if on_gpus else {"nodes": nodes, "cores": of_node}


def _share(cores_of_rank: int) -> str:
    return f", {cores_of_rank} for each rank" if cores_of_rank > 1 else ""
