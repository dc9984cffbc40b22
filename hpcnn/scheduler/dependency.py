"""What ``--after`` takes: job ids, or any form of sbatch's ``--dependency`` (sbatch(1)). Pure."""

from __future__ import annotations

import re

from hpcnn.util.errors import UsageError, bad_value, unknown_value

_ID = r"\d+(?:_\d+)?"
_OF_JOBS = ("afterok", "afterany", "afternotok", "aftercorr", "afterburstbuffer", "after")
_FORMS = "job ids (1,2), or a form of sbatch's --dependency, e.g. afterany:3:4, afternotok:5, after:6+10, singleton"


def dependency(text: str, name: str = "--after") -> str:
    """Return the value of sbatch's ``--dependency``; ids without a type are of jobs that must complete (``afterok``).

    ``1,2`` and ``afterok:1,afterany:2`` wait for all, ``afterok:1?afterok:2`` for one of them. Raises UsageError, which
    calls the value ``name``.
    """
    if "," in text and "?" in text:
        raise bad_value(name, text, "either commas (all of them) or question marks (one of them), as sbatch does")
    separator = "?" if "?" in text else ","
    items = [_item(item.strip(), text, name) for item in text.split(separator)]
    plain = [item for item in items if item.isdigit() or re.fullmatch(_ID, item)]
    if separator == "," and len(plain) == len(items):
        return f"afterok:{':'.join(items)}"
    return separator.join(f"afterok:{item}" if item in plain else item for item in items)


def _item(item: str, text: str, name: str) -> str:
    if item == "singleton" or re.fullmatch(_ID, item):
        return item
    kind, colon, jobs = item.partition(":")
    if not colon or not kind[:1].isalpha():
        raise bad_value(name, text, _FORMS)
    if kind not in _OF_JOBS:
        raise unknown_value(f"{name} {text}", kind, [*_OF_JOBS, "singleton"])
    one = rf"{_ID}(?:\+\d+)?" if kind == "after" else _ID
    if not re.fullmatch(rf"{one}(?::{one})*", jobs):
        raise UsageError(
            f"{name}: {text!r} is not valid; {kind} is followed by :ID of each job"
            + (", with +MINUTES after it if it shall start later" if kind == "after" else "")
        )
    return item
