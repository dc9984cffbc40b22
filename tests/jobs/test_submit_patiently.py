"""Refusals of sbatch that pass are waited for; others, and lost answers, are not."""

from __future__ import annotations

from pathlib import Path

import pytest

from hpcnn.jobs.patience import PAUSES_OF_SUBMITTING, submit_patiently
from hpcnn.scheduler import batch_scheduler
from hpcnn.scheduler.api import NoAnswer, QueueFull, Refused
from hpcnn.util.errors import HpcnnError
from tests.jobs.clock import Clock
from tests.scheduler.commands import Commands

BUSY = "sbatch: error: Batch job submission failed: Resource temporarily unavailable"
FULL = "sbatch: error: QOSMaxSubmitJobPerUserLimit\nsbatch: error: Batch job submission failed: Job violates ..."
LOST = "sbatch: error: Batch job submission failed: Socket timed out on send/recv operation"


def fails_at_first(commands: Commands, times: int, error: str) -> None:
    """Let sbatch fail so many times, and then take the job."""
    commands.put("sbatch", "25\n")
    script = commands.folder / "sbatch"
    count = f'n=$(/usr/bin/wc -l <"{commands.folder}/sbatch.calls")'
    fail = f"if [ $n -le {times} ]; then echo '{error}' >&2; exit 1; fi"
    lines = script.read_text().splitlines()
    script.write_text("\n".join([*lines[:2], count, fail, *lines[2:]]) + "\n")


def test_a_busy_controller_is_asked_again(slurm_commands: Commands, clock: Clock) -> None:
    fails_at_first(slurm_commands, 2, BUSY)
    said: list[str] = []
    assert submit_patiently(batch_scheduler(), Path("job.sh"), ["--hold"], said.append) == "25"
    assert slurm_commands.calls("sbatch") == ["--parsable --hold job.sh"] * 3
    assert [line.rpartition("; ")[2] for line in said] == ["trying again in 2 s", "trying again in 4 s"]


def test_not_for_ever(slurm_commands: Commands, clock: Clock) -> None:
    fails_at_first(slurm_commands, 99, BUSY)
    with pytest.raises(Refused, match="Resource temporarily unavailable"):
        submit_patiently(batch_scheduler(), Path("job.sh"), [], lambda line: None)
    assert len(slurm_commands.calls("sbatch")) == len(PAUSES_OF_SUBMITTING) + 1


@pytest.mark.parametrize(("said", "kind"), [(FULL, QueueFull), (LOST, NoAnswer), ("invalid partition", HpcnnError)])
def test_others_are_not(slurm_commands: Commands, clock: Clock, said: str, kind: type[HpcnnError]) -> None:
    fails_at_first(slurm_commands, 1, said)
    with pytest.raises(HpcnnError) as raised:
        submit_patiently(batch_scheduler(), Path("job.sh"), [], lambda line: None)
    assert type(raised.value) is kind
    assert len(slurm_commands.calls("sbatch")) == 1
