"""Tell by its name whether a variable holds a secret. Must not import any other room."""

from __future__ import annotations

import re

_ENDS = ("TOKEN", "KEY", "SECRET", "PASSWORD", "PASSWD", "PASSPHRASE", "CREDENTIAL", "JWT")
_WORD = re.compile(rf"(.*({'|'.join(_ENDS)})S?|(SECRET|PASSWORD|PASSWD|CREDENTIAL).*)")


def is_secret(name: str) -> bool:
    """Return whether a word of a variable's name says that its value is a secret: WANDB_API_KEY, hfToken, PGPASSWORD.

    TOKENIZERS_PARALLELISM is none.
    """
    words = re.split(r"[^A-Z0-9]+", re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", name).upper())
    return any(_WORD.fullmatch(word) for word in words)
