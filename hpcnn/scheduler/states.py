"""Map Slurm's job states to hpcnn's statuses."""

from __future__ import annotations

# squeue(1) and sacct(1), "JOB STATE CODES"; slurm.h of Slurm 25.11, "enum job_states" and the flags below it. A state
# may be a list, RUNNING,UPDATE_DB: a state proper, and flags. RECONFIG_FAIL and EXPEDITING are flags of a requeue.
PENDING = (
    "PENDING",
    "CONFIGURING",
    "POWER_UP_NODE",
    "REQUEUED",
    "REQUEUE_HOLD",
    "REQUEUE_FED",
    "RECONFIG_FAIL",
    "EXPEDITING",
    "SPECIAL_EXIT",
    "RESV_DEL_HOLD",
)
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
# Says nothing beside a state proper; the job's start is sent to the database again.
_FLAGS_OF_JOBS_THAT_RUN = ("UPDATE_DB",)
UNKNOWN = "unknown"
# hpcnn's words for a job that is still to end.
ALIVE = ("pending", "running")


def status_of(state: str) -> str:
    """Return pending, running, completed, failed, interrupted, or unknown for a state as Slurm prints it.

    ``CANCELLED by 1000`` and truncated ``COMPLETED+`` are read as what they begin with. A job with a flag that keeps
    it in the queue (``COMPLETED,REQUEUED``) is in the queue.
    """
    words = [word.rstrip("+") for word in state.upper().split(" ")[0].split(",")]
    if any(word in PENDING for word in words):
        return "pending"
    if any(word in RUNNING for word in words):
        return "running"
    ended = [ENDED[word] for word in words if word in ENDED]
    if ended:
        return ended[0]
    return "running" if any(word in _FLAGS_OF_JOBS_THAT_RUN for word in words) else UNKNOWN
