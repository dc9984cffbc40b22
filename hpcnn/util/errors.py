"""The errors that users see: each names the key at fault, the value, and the valid values.

``cli/main.py`` prints one as a single message and turns it into an exit status. Must not import any other room.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence

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


# An error lists all valid words where they are no more than this; of more, it names those that are close.
_MOST_WORDS = 12
_MOST_GUESSES = 3


# How like two words are, from 0 to 1. A word that is the beginning of another, its initials or a part of it is short
# for it, however long the other is. If the typed word is a mere slip of a valid one, this does not count.
_LIKE_ENOUGH, _SLIP, _SHORT = 0.6, 0.85, 0.85
# Words that are less like by this than the best one are not named.
_BEHIND = 0.1


def closest(value: str, valid: Iterable[str]) -> list[str]:
    """Return the valid words that are closest to a mistyped ``value``, the best first: at most three, or none.

    ``gpus`` is close to ``gpus-per-node``, ``lr`` and ``rate`` to ``learning-rate``, ``max-epochs`` to ``epochs``.
    """
    import difflib

    typed = value.lstrip("-")
    matcher = difflib.SequenceMatcher()
    matcher.set_seq2(typed)  # the matcher keeps what it knows of this one
    likeness = {}
    for word in valid:
        matcher.set_seq1(word.lstrip("-"))
        likeness[word] = matcher.ratio() if matcher.real_quick_ratio() >= _LIKE_ENOUGH else 0.0
    if max(likeness.values(), default=0.0) < _SLIP:
        short = [word for word in likeness if _abbreviates(typed, word.lstrip("-"))]
        likeness |= {word: _SHORT + likeness[word] / 100 for word in short}  # of several, the likest first
    found = sorted(likeness, key=likeness.__getitem__, reverse=True)
    least = max(_LIKE_ENOUGH, likeness[found[0]] - _BEHIND) if found else 1.0
    return [word for word in found if likeness[word] >= least][:_MOST_GUESSES]


def _abbreviates(one: str, other: str) -> bool:
    """Return whether one of two words is the beginning of the other, one of its parts, or their initials."""
    short, long = sorted((one, other), key=len)
    parts = [part for part in re.split(r"[-_.:/]", long) if part]
    whole = len(short) > 2 and (long.startswith(short) or short in parts)
    return whole or (len(parts) > 1 and short == "".join(part[0] for part in parts))


def unknown_value(
    key: str, value: object, valid: Iterable[str], *, forms: Sequence[str] = (), see: str = ""
) -> UsageError:
    """Return the error for a ``value`` of ``key`` that is not one of ``valid``, with what may have been meant.

    forms: what else is valid, as in ``FILE.toml``. see: the command that lists the valid words.
    """
    words = list(valid)
    guesses = [repr(word) for word in closest(str(value)[:_LONGEST], words)]
    text = f"{key}: {_shown(value)} is not known."
    if guesses:
        text += f" Did you mean {' or '.join([', '.join(guesses[:-1]), guesses[-1]]) if guesses[1:] else guesses[0]}?"
    if len(words) <= _MOST_WORDS or not (guesses or see):
        return UsageError(f"{text} Valid: {', '.join([*words, *forms])}.")
    if see:
        text += f" `{see}` lists all {len(words)}."
    return UsageError(f"{text} Also valid: {', '.join(forms)}." if forms else text)


def not_there(key: str, path: str | os.PathLike[str], expected: str) -> UsageError:
    """Return the error for a path that does not exist, or that exists and is not what was ``expected`` (a phrase)."""
    if os.path.lexists(path):
        return bad_value(key, str(path), expected)
    return UsageError(f"{key}: there is no file or folder {str(path)!r}; expected {expected}.")


def bad_value(key: str, value: object, expected: str) -> UsageError:
    """Return the error for a ``value`` of ``key`` that is not what was ``expected`` (a phrase)."""
    return UsageError(f"{key}: {_shown(value)} is not valid; expected {expected}.")


def _shown(value: object) -> str:
    try:
        text = repr(value)
    except ValueError:  # Python writes no integers of so many digits
        text = f"an integer of {value.bit_length() if isinstance(value, int) else 'too many'} bits"
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
