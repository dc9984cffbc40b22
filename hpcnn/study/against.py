"""Two versions of a study, A as it is and B with a key changed, whose runs take turns: ready for ``hpcnn compare``.

What a machine does in the meantime then slows both alike, where two studies one after the other would differ by it.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, TypeVar

from hpcnn.util.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hpcnn.specs.study import StudySpec

T = TypeVar("T")


def name_against(study: StudySpec, changes: Sequence[str]) -> str:
    """Return the name of the folder of B's runs: ``smoke,batch_size=256``."""
    return ",".join([study.name, *("".join(c if c.isalnum() or c in "_.=+-" else "_" for c in one) for one in changes)])


def in_turn(a: Sequence[T], b: Sequence[T], seed: int) -> list[T]:
    """Return the runs of A and B, the n-th of both one after the other, A or B first as ``seed`` decides.

    Half of the pairs begin with A, or one more or less than half: what follows a run is never always the other.
    Raises UsageError where one has more runs than the other.
    """
    if len(a) != len(b):
        raise UsageError(
            f"--against: A has {len(a)} runs and B {len(b)}, and each run of A needs one of B; change a key that is "
            "neither an axis of the study nor its repeats"
        )
    firsts = [number % 2 == 0 for number in range(len(a))]
    random.Random(seed).shuffle(firsts)
    pairs = [(one, other) if first else (other, one) for one, other, first in zip(a, b, firsts, strict=True)]
    return [run for pair in pairs for run in pair]
