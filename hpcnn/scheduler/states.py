"""Map Slurm's job states to hpcnn's statuses."""

from __future__ import annotations

# squeue(1), "JOB STATE CODES"; sacct(1), "JOB STATE CODES".
PENDING = ("PENDING", "CONFIGURING", "REQUEUED", "REQUEUE_HOLD", "REQUEUE_FED", "SPECIAL_EXIT", "RESV_DEL_HOLD")
RUNNING = ("RUNNING", "COMPLETING", "STAGE_OUT", "SIGNALING", "STOPPED", "SUSPENDED", "RESIZING")
ENDED = {
    "COMPLETED": "completed",
    "FAILED": "failed",
    "NODE_FAIL": "failed",
    "BOOT_FAIL": "failed",
    "OUT_OF_MEMORY": "failed",
    "DEADLINE": "failed",
    "LAUNCH_FAILED": "failed",
    "TIMEOUT": "interrupted",
    "PREEMPTED": "interrupted",
    "CANCELLED": "interrupted",
    "REVOKED": "interrupted",
}
UNKNOWN = "unknown"
# hpcnn's words for a job that is still to end.
ALIVE = ("pending", "running")


def requeued(recorded: str | None, now: str) -> bool:
    """Return whether a job goes on after the attempt whose outcome is on record."""
    return recorded == "interrupted" and now in ALIVE


def status_of(state: str) -> str:
    """Return pending, running, completed, failed, interrupted, or unknown for a state as Slurm prints it.

    ``CANCELLED by 1000`` and truncated ``COMPLETED+`` are read as what they begin with.
    """
    word = state.split(" ")[0].rstrip("+").upper()
    if word in PENDING:
        return "pending"
    if word in RUNNING:
        return "running"
    return ENDED.get(word, UNKNOWN)
