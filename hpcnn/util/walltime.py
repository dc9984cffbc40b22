"""Convert Slurm's walltime format to seconds, and back: sbatch(1), "--time". Pure."""

from __future__ import annotations

import re

from hpcnn.util.errors import bad_value

_FORMATS = "minutes, M:SS, H:MM:SS, D-HH, D-HH:MM or D-HH:MM:SS"


def seconds_of(walltime: str, name: str = "--time") -> int:
    """Return the seconds of a walltime as Slurm reads it: ``30`` is 30 minutes, ``1-12`` a day and twelve hours.

    Raises UsageError, which calls the value ``name``, for a text that Slurm would reject.
    """
    match = re.fullmatch(r"(?:(\d+)-)?(\d+)(?::(\d+))?(?::(\d+))?", walltime.strip())
    if match is None:
        raise bad_value(name, walltime, _FORMATS)
    days, *parts = match.groups()
    numbers = [int(part) for part in parts if part is not None]
    if days is not None:  # hours come first
        hours, minutes, seconds = [*numbers, 0, 0][:3]
        return int(days) * 86400 + hours * 3600 + minutes * 60 + seconds
    if len(numbers) == 3:
        return numbers[0] * 3600 + numbers[1] * 60 + numbers[2]
    minutes, seconds = [*numbers, 0][:2]
    return minutes * 60 + seconds


def walltime(seconds: int) -> str:
    """Return seconds as ``H:MM:SS``, or ``D-HH:MM:SS`` from a day on."""
    days, rest = divmod(seconds, 86400)
    clock = f"{rest // 3600:02d}:{rest % 3600 // 60:02d}:{rest % 60:02d}"
    return f"{days}-{clock}" if days else clock.removeprefix("0")
