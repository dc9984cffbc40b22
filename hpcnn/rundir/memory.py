"""Tell whether a job ran out of memory: the kernel kills a process then, whose exit status says only SIGKILL."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

from hpcnn.rundir.layout import RunDir
from hpcnn.util.files import tail

OUT_OF_MEMORY = "out of memory"
# The daemon of a step says so in the log: "slurmstepd: error: Detected 1 oom_kill event in StepId=12.0", in older
# Slurms "Detected 1 oom-kill event(s) in step 12.0 cgroup".
_SAID = re.compile(rb"slurmstepd: error: Detected \d+ oom[_-]kill event\S* in (?:StepId=|step )(\d+)")
_TAIL = 65536
_COUNT = re.compile(r"^oom_kill (\d+)$", re.MULTILINE)


def ran_out_of_memory(
    run: RunDir, environment: Mapping[str, str] = os.environ, proc: Path = Path("/proc"), cgroups: Path | None = None
) -> bool:
    """Return whether the log, or the memory group of the job that this process is in, says that memory ran out."""
    job = environment.get("SLURM_JOB_ID", "")
    return _log_says_so(run.log, job.encode()) or _group_says_so(job, proc, cgroups or Path("/sys/fs/cgroup"))


def _log_says_so(log: Path, job: bytes) -> bool:
    """Return whether the end of a log does. job: its id, so that no earlier attempt counts; empty for any."""
    found = _SAID.findall(tail(log, _TAIL))
    return job in found if job else bool(found)


def _group_says_so(job: str, proc: Path, cgroups: Path) -> bool:
    """Return whether a process in the control group of the job was killed for memory (kernel, cgroup-v2, v1 memory).

    The group ``job_12`` holds the groups of all of the job's steps on this node; in version 2 it counts for them.
    """
    try:
        lines = (proc / "self" / "cgroup").read_text().splitlines()
    except OSError:
        return False
    for line in lines:
        _, controllers, path = [*line.split(":", 2), "", ""][:3]
        above, found, _ = path.partition(f"/job_{job}")
        if not (job and found) or controllers not in ("", "memory"):
            continue
        group = cgroups / ("memory" if controllers else "") / f"{above}{found}".lstrip("/")
        files = group.rglob("memory.oom_control") if controllers else [group / "memory.events"]
        if any(_killed(file) for file in files):
            return True
    return False


def _killed(file: Path) -> int:
    try:
        found = _COUNT.search(file.read_text())
    except OSError:
        return 0
    return int(found[1]) if found else 0
