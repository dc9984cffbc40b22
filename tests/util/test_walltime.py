"""Slurm's durations, by the examples of sbatch(1)."""

from __future__ import annotations

import pytest

from hpcnn.util.errors import UsageError
from hpcnn.util.walltime import seconds_of


@pytest.mark.parametrize(
    ("walltime", "seconds"),
    [
        ("30", 1800),
        ("5:30", 330),
        ("01:00:00", 3600),
        ("1-12", 129_600),
        ("2-01:30", 178_200),
        ("1-00:00:01", 86_401),
    ],
)
def test_a_walltime_is_read_as_slurm_reads_it(walltime: str, seconds: int) -> None:
    assert seconds_of(walltime) == seconds


@pytest.mark.parametrize("walltime", ["", "1h", "1:2:3:4", "-5", "1-", "infinite"])
def test_what_slurm_would_not_read_is_refused_with_the_formats(walltime: str) -> None:
    with pytest.raises(UsageError, match=r"--time.*D-HH:MM:SS"):
        seconds_of(walltime)
