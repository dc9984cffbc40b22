"""Causes in the ranks or in the comparison, rather than in a part of the epoch: one function a cause.

Each returns a finding in words for the evidence of a row, or None, as in ``parts.py``.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from hpcnn.analysis.diagnose.finding import LEAST_LOST, Finding, is_inefficient, severity_of, time_text, where_of
from hpcnn.analysis.table_runs import submit_command
from hpcnn.stats.medians import CONFIDENCE
from hpcnn.util.text import counted

if TYPE_CHECKING:
    from hpcnn.analysis.diagnose.evidence import Evidence
    from hpcnn.analysis.table_runs import Host

# Ranks that share data evenly differ by one sample; a tenth more work of one's own is another machine, or a busy one.
IMBALANCE = 0.10
# Efficiency from which scaling is better than linear by more than runs of one row differ; and, where runs are too few
# for an interval, by more than four standard errors of the ratio of two medians of three runs that differ by 5 %.
SUPERLINEAR, SUPERLINEAR_ALONE = 1.05, 1.25


def find_imbalance(e: Evidence) -> Finding | None:
    """Find a rank that computes longer than the others, which wait for it."""
    slowest = e.slowest
    if slowest is None or slowest.excess < IMBALANCE or not is_inefficient(e):
        return None
    place = f"rank {slowest.rank}" + (f" on {slowest.host}" if slowest.host else "")
    waiting = e.parts.get("waiting", 0.0)
    words = (
        f"Imbalance: {place} computed {slowest.excess:.0%} longer than the mean of {counted(e.row['ranks'], 'rank')}, "
        f"and was the slowest in {slowest.epochs:.0%} of the epochs; waiting for slower ranks took "
        f"{time_text(waiting)} of an epoch of {time_text(e.seconds)}."
    )
    names = {host.host for hosts in e.hosts for host in hosts}
    always = slowest.epochs > 0.5 and slowest.host is not None and len(names) > 1
    words += " It is mostly the same rank: that host may be slower, or busy." if slowest.epochs > 0.5 else ""
    numbers = {
        "rank": float(slowest.rank),
        "excess_over_mean": slowest.excess,
        "slowest_in_fraction_of_epochs": slowest.epochs,
        "seconds_waiting": waiting,
    }
    on_slurm = e.row.get("nodes") and int(e.row["nodes"]) > 1
    change = {"sbatch_options": {"exclude": slowest.host}} if always and on_slurm else None
    command = submit_command(e.path, **change) if change else None
    lost = max(e.lost.get("waiting", 0.0), waiting / e.seconds)
    return Finding("imbalance", severity_of(lost), words, numbers, command or "hpcnn doctor", where_of(e), lost)


def find_oversubscription(e: Evidence) -> Finding | None:
    """Find a host with more ranks, or more threads, than cores."""
    worst: tuple[float, str, int, int, int] | None = None
    for hosts in e.hosts:
        on: dict[str, list[Host]] = defaultdict(list)
        for host in hosts:
            on[host.host].append(host)
        for name, ranks in on.items():
            cores, threads = (
                len(frozenset().union(*(rank.cores for rank in ranks))),
                sum(rank.threads for rank in ranks),
            )
            if cores and threads > cores and (worst is None or threads / cores > worst[0]):
                worst = threads / cores, name, len(ranks), threads, cores
    if worst is None:
        return None
    ratio, name, ranks_there, threads, cores = worst
    words = (
        f"Too many threads: on {name}, {counted(ranks_there, 'rank')} with {counted(threads, 'thread')} in all may use "
        f"{counted(cores, 'core')}. Threads take turns, and a rank that waits takes time from one that computes."
    )
    numbers = {"ranks_on_host": ranks_there, "threads": threads, "cores": cores}
    change = {"cpus_per_task": cores // ranks_there} if ranks_there <= cores else {"ntasks": cores, "cpus_per_task": 1}
    lost = 1 - 1 / ratio
    return Finding(
        "oversubscription",
        "high" if ratio >= 2 else "medium",
        words,
        {key: float(value) for key, value in numbers.items()},
        submit_command(e.path, **change) or "hpcnn doctor",
        where_of(e),
        lost,
    )


def find_superlinear(e: Evidence) -> Finding | None:
    """Find an efficiency above ideal: usually the base case was slow. What may be noise is no finding."""
    efficiency = e.row["efficiency"]
    clear = _clear_of_noise(e)
    if efficiency is None or efficiency < (SUPERLINEAR if clear else SUPERLINEAR_ALONE) or clear is False:
        return None
    words = f"Better than ideal: the efficiency is {efficiency:.0%} of the base case ({e.row['base_case']}). "
    numbers = {"efficiency": float(efficiency), "base_seconds": float(e.base["epoch_seconds_median"])}
    gains = {part: -lost for part, lost in e.lost.items() if lost < -LEAST_LOST}
    if gains:
        part = max(gains, key=lambda name: gains[name])
        ideal = e.parts[part] + gains[part] * e.seconds
        taken, left = time_text(e.parts[part]), time_text(ideal)
        words += f"Mostly {part}: {taken} an epoch, where the base case scaled leaves {left}. "
        numbers |= {f"seconds_{part}": e.parts[part], f"seconds_{part}_ideal": ideal}
    if clear is None:
        runs = f"The base case has {counted(e.base['runs'], 'run')} and this row {e.row['runs']}"
        words += f"{runs}, too few to say whether it is more than noise. "
    words += (
        "A slow base case makes every other row look good: a busy host, threads that were not set, data too large for "
        "one rank's cache. Repeat it before you report a speed-up."
    )
    return Finding(
        "superlinear",
        "high" if clear else "medium",
        words,
        numbers,
        submit_command(e.base_path) or "hpcnn doctor",
        where_of(e),
        float(efficiency) - 1,
    )


def _clear_of_noise(e: Evidence) -> bool | None:
    """Return whether the whole interval is better than ideal; None where the runs are too few for one."""
    low, coverage = e.row["efficiency_low"], e.row["ratio_coverage"]
    return None if low is None or coverage < CONFIDENCE else bool(low > 1)
