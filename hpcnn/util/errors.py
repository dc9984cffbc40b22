"""The errors a user may see: each names the key at fault, the value, and the valid values.

Knows nothing of commands or files. ``cli/main.py`` turns these into one line and an exit status.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class HpcnnError(Exception):
    """Something hpcnn can explain. Shown as one message, never as a traceback."""

    exit_code = 1


class UsageError(HpcnnError):
    """The user asked for something that cannot be: exit status 2, as the shell's convention has it."""

    exit_code = 2


class RunError(HpcnnError):
    """A run that started could not go on (a wrong world size, a dead rank, no Horovod)."""

    exit_code = 1


def closest(value: str, valid: Iterable[str]) -> str | None:
    """Return the valid word a mistyped ``value`` most likely meant, or None."""
    found = difflib.get_close_matches(value, list(valid), n=1, cutoff=0.6)
    return found[0] if found else None


def unknown_value(key: str, value: object, valid: Iterable[str]) -> UsageError:
    """Return the error for a ``value`` of ``key`` that is not one of ``valid``, with a suggestion."""
    words = list(valid)
    guess = closest(str(value), words)
    hint = f" Did you mean {guess!r}?" if guess else ""
    return UsageError(f"{key}: {value!r} is not known.{hint} Valid: {', '.join(words)}.")


def bad_value(key: str, value: object, expected: str) -> UsageError:
    """Return the error for a ``value`` of ``key`` that is not what was ``expected`` (a phrase)."""
    return UsageError(f"{key}: {value!r} is not valid; expected {expected}.")
