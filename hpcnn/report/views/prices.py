"""Prices of runs: the charges of their sites, and the energy that Slurm accounts for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hpcnn.util.errors import UsageError

if TYPE_CHECKING:
    from hpcnn.report import Charge, RunData


def charges(data: RunData) -> dict[str, Charge]:
    """Return the charges of the runs' sites, from the site profiles on this machine."""
    from hpcnn.report import Charge
    from hpcnn.sites.load import load_site

    found = {}
    for name in sorted(data.runs["site"].dropna().unique()):
        try:
            site = load_site(name)
        except UsageError:
            continue  # the runs are from elsewhere: this machine has no profile of that site
        if site.charge_core_hour is not None or site.charge_gpu_hour is not None:
            found[name] = Charge(site.charge_core_hour or 0.0, site.charge_gpu_hour or 0.0, site.charge_unit)
    return found


def joules(data: RunData) -> dict[str, float]:
    """Return the energy of each run's job by the run's path."""
    from hpcnn.scheduler import batch_scheduler

    submitted = data.runs[data.runs["job_id"].notna()]
    jobs = dict(zip(map(str, submitted["path"]), map(str, submitted["job_id"]), strict=True))
    energies = batch_scheduler().energies(sorted(set(jobs.values())))
    return {path: energies[job] for path, job in jobs.items() if job in energies}
