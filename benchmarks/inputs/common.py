"""What the cases of ``input.py`` share: a way, which measures once whenever it is asked, and how much is read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

BATCH = 128
CHUNK = 256
HERE = "hpcnn"

# What a way measured once: of each of its cases, a number in the case's unit.
Way = Callable[[], Mapping[str, float]]


@dataclass(frozen=True)
class Amount:
    """How much is read: digits; photographs; samples of a large set; seconds of training after its first step."""

    digits: int
    photographs: int
    large: int
    seconds: float


def case_of_training(network: str) -> str:
    """Return the name of the case that trains a network."""
    return f"training {network}"
