"""Exit statuses as shells report them: 128 + signal for a process that a signal ended (bash(1), "EXIT STATUS")."""

from __future__ import annotations


def by_signal(number: int) -> int:
    """Return the exit status of a process that the signal ``number`` ended."""
    return 128 + number


def of_process(returncode: int) -> int:
    """Return the exit status for a ``returncode`` of subprocess, which is negative where a signal ended the process."""
    return by_signal(-returncode) if returncode < 0 else returncode
