"""What a user states of a program, and hpcnn cannot see: how its ranks meet, and on what they work."""

from __future__ import annotations

from dataclasses import dataclass

from hpcnn.specs.fields import field

# The strategies whose ranks hpcnn can prepare for a program that it does not read.
PROGRAM_STRATEGIES = ("serial", "horovod", "multiworker")


@dataclass(frozen=True)
class Stated:
    """Facts of a user's own program. Where none is stated, ``strategy`` follows from the number of ranks."""

    strategy: str | None = field(None, "How the ranks of a program meet.", choices=PROGRAM_STRATEGIES)
    independent: bool = field(False, "The ranks of your own program are meant to share nothing.")
    batch_size: int | None = field(None, "Global batch size of a program.", minimum=1)
    samples: int | None = field(None, "Training samples of a program, of all ranks.", minimum=1)
