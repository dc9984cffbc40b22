"""What srun's last words say of tasks that died by themselves, before it ended the others by SIGTERM.

srun's exit status is the highest of its tasks: that of SIGTERM, which is also that of a cancelled step. Must not query
a scheduler.
"""

from __future__ import annotations

import re
from pathlib import Path

from hpcnn.util.files import tail

# They are the last lines of a log, which may hold earlier attempts.
_TAIL = 4096
# srun(1) writes "srun: error: c2: task 1: Killed", or "Exited with exit code 1" for the signal's name.
_DIED = re.compile(rb"^srun: error: (\S+): (tasks? [\d,-]+): (?!Terminated|Interrupt|Hangup)(.+)$", re.MULTILINE)


def task_that_died(log: Path) -> str | None:
    """Return which task died by itself, on which node, and how; None where srun names none."""
    found = _DIED.search(tail(log, _TAIL))
    if found is None:
        return None
    node, task, how = (text.decode(errors="replace").strip() for text in found.groups())
    return f"{task} on {node}: {how}"
