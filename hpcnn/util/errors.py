"""The errors that users see: each names the key at fault, the value, and the valid values.

``cli/main.py`` prints one as a single message and turns it into an exit status. Must not import any other room.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

# Of a value that is longer, an error shows the beginning.
_LONGEST = 400


class HpcnnError(Exception):
    """An error that hpcnn can explain. Users see one message, never a traceback."""

    exit_code = 1


class UsageError(HpcnnError):
    """An invalid request of the user: exit status 2, as is usual for shells."""

    exit_code = 2


class RunError(HpcnnError):
    """The failure of a run that had started: a wrong world size, a dead rank, no Horovod."""

    exit_code = 1


def closest(value: str, valid: Iterable[str]) -> str | None:
    """Return the valid word that is closest to a mistyped ``value``, or None."""
    found = difflib.get_close_matches(value, list(valid), n=1, cutoff=0.6)
    return found[0] if found else None


def unknown_value(key: str, value: object, valid: Iterable[str]) -> UsageError:
    """Return the error for a ``value`` of ``key`` that is not one of ``valid``, with a suggestion."""
    words = list(valid)
    guess = closest(str(value)[:_LONGEST], words)
    hint = f" Did you mean {guess!r}?" if guess else ""
    return UsageError(f"{key}: {_shown(value)} is not known.{hint} Valid: {', '.join(words)}.")


def bad_value(key: str, value: object, expected: str) -> UsageError:
    """Return the error for a ``value`` of ``key`` that is not what was ``expected`` (a phrase)."""
    return UsageError(f"{key}: {_shown(value)} is not valid; expected {expected}.")


def _shown(value: object) -> str:
    try:
        text = repr(value)
    except ValueError:  # Python writes no integers of so many digits
        text = f"an integer of {value.bit_length() if isinstance(value, int) else 'too many'} bits"
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
