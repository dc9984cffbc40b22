"""Parse what sacct says of the use of resources: the numbers of ``seff``. Must not run a command."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from hpcnn.scheduler.api import Usage
from hpcnn.scheduler.parse import rows_of

# sacct(1), "Job Accounting Fields". A job's own line has its limits and the processor time of all its steps, the lines
# of its steps the memory of each.
FIELDS = "JobID,State,ElapsedRaw,TimelimitRaw,NNodes,AllocCPUS,TotalCPU,ReqMem,MaxRSS,NTasks,AllocTRES,TRESUsageInTot"
_UNKNOWN = 2.0**63  # Slurm's 64 bits for a number that it does not know (slurm.h, NO_VAL64) are near twice as much
_UNITS = {"": 1, "B": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40, "P": 2**50}


def parse(output: str) -> dict[str, Usage]:
    """Return job id -> usage from ``sacct --parsable2 --format FIELDS``. Raises UnreadableError for anything else."""
    names = FIELDS.split(",")
    rows = [dict(zip(names, row, strict=True)) for row in rows_of(output, columns=len(names))]
    steps: dict[str, list[Mapping[str, str]]] = {}
    for row in rows:
        steps.setdefault(row["JobID"].partition(".")[0], []).append(row)
    return {row["JobID"]: _usage(row, steps[row["JobID"]]) for row in rows if "." not in row["JobID"]}


def _usage(job: Mapping[str, str], lines: list[Mapping[str, str]]) -> Usage:
    had, nodes, cpus = tres(job["AllocTRES"]), int(job["NNodes"] or 0), int(job["AllocCPUS"] or 0)
    gpus = int(had.get("gres/gpu", 0))
    minutes = job["TimelimitRaw"]
    return Usage(
        job_id=job["JobID"],
        state=job["State"],
        elapsed=int(job["ElapsedRaw"] or 0),
        time_limit=int(minutes) * 60 if minutes.isdigit() else None,
        nodes=nodes,
        cpus=cpus,
        cpu_seconds=processor_seconds(job["TotalCPU"]),
        memory_asked=_memory_asked(job["ReqMem"], had, nodes, cpus),
        memory_used=max((size for size in map(_memory_of, lines) if size), default=None),
        gpus=gpus,
        gpu_share=_gpu_share([tres(line["TRESUsageInTot"]) for line in lines], gpus),
    )


def _gpu_share(steps: Sequence[Mapping[str, float]], gpus: int) -> float | None:
    """Return the part of the GPUs that was busy, in the step that used them most; None where nobody measured it.

    Percent, summed over the tasks of a step (slurm.conf(5), "AccountingStorageTRES", gres/gpuutil). For GPUs that Slurm
    cannot look into, it says 0 of both time and memory, or a number beyond all percent.
    """
    measured = [step for step in steps if step.get("gres/gpuutil", _UNKNOWN) < _UNKNOWN]
    busy = [step["gres/gpuutil"] for step in measured if step["gres/gpuutil"] or step.get("gres/gpumem", 1)]
    return min(max(busy) / 100 / gpus, 1.0) if busy and gpus else None


def tres(text: str) -> dict[str, float]:
    """Return name -> number for ``cpu=2,mem=4000M,gres/gpu=1``."""
    found = {}
    for part in text.split(","):
        name, equals, value = part.partition("=")
        number = size(value)
        if equals and number is not None:
            found[name] = number
    return found


def size(text: str) -> float | None:
    """Return the number of a text such as ``4000M``, ``1.50G`` or ``123``; None for any other."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([BKMGTP]?)", text.strip())
    return float(match[1]) * _UNITS[match[2]] if match else None


def processor_seconds(text: str) -> float | None:
    """Return the seconds of ``[days-][hours:]minutes:seconds[.fraction]``; None for any other text."""
    match = re.fullmatch(r"(?:(\d+)-)?(?:(\d+):)?(\d+):(\d+(?:\.\d+)?)", text.strip())
    if match is None:
        return None
    days, hours, minutes, seconds = match.groups()
    return int(days or 0) * 86400 + int(hours or 0) * 3600 + int(minutes) * 60 + float(seconds)


def _memory_asked(text: str, had: Mapping[str, float], nodes: int, cpus: int) -> int | None:
    """Return the memory of a job in bytes: what it was given, else what it asked for.

    Slurm before 21.08 says by a letter whether ReqMem is for each node (n) or each processor (c).
    """
    if had.get("mem"):
        return int(had["mem"])
    number = size(text.rstrip("nc"))
    if not number:
        return None
    return int(number * {"n": nodes, "c": cpus}.get(text[-1:], 1))


def _memory_of(step: Mapping[str, str]) -> int | None:
    """Return the bytes that a step held at most, of all tasks together; else of its largest task times their number."""
    whole = tres(step["TRESUsageInTot"]).get("mem")
    if whole:
        return int(whole)
    largest = size(step["MaxRSS"])
    return int(largest * int(step["NTasks"] or 1)) if largest else None
