"""Tell by its name, or by the form of its value, whether a variable holds a secret. Must not import any other room."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence

_ENDS = ("TOKEN", "KEY", "SECRET", "PASSWORD", "PASSWD", "PASSPHRASE", "CREDENTIAL", "JWT")
_WORD = re.compile(rf"(.*({'|'.join(_ENDS)})S?|(SECRET|PASSWORD|PASSWD|CREDENTIAL).*)")
# Short forms, which are none by themselves: PWD is a folder, DB_PWD a password.
_LAST_WORDS = ("PASS", "PASSCODE", "PWD", "PW", "PAT", "CREDS")
# https://name:password@host (RFC 3986, "User Information").
_PASSWORD_OF_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^\s/@:]*:[^\s/@]+@")
# A word of a command, or of a line of bash, that gives a name a value; not a value that bash looks up.
_GIVEN = re.compile(r"(?:^|\s)-{0,2}([A-Za-z][\w-]*)=(?![\"']?\$)[\"']?[^\s\"']")
_NO_SECRETS = ("KEY", "KEYS", "SORT_KEY", "PRIMARY_KEY")
# Ends of names whose values are none, and --max-tokens, which is a number of words.
_OTHERS = ("FILE", "PATH", "DIR", "NAME", "ID", "TOKENS")


def is_secret(name: str) -> bool:
    """Return whether a word of a variable's name says that its value is a secret: WANDB_API_KEY, hfToken, PGPASSWORD.

    TOKENIZERS_PARALLELISM is none.
    """
    words = _words(name)
    return any(_WORD.fullmatch(word) for word in words) or (len(words) > 1 and words[-1] in _LAST_WORDS)


def holds_password(value: object) -> bool:
    """Return whether a value is, or has in it, an address with a password: ``https://name:password@proxy:3128``."""
    return _PASSWORD_OF_URL.search(str(value)) is not None


def secrets_of(env: Mapping[str, object]) -> list[str]:
    """Return the names of the variables that hold a secret, by their names or values."""
    return [name for name, value in env.items() if is_secret(name) or holds_password(value)]


def secrets_in_words(words: Sequence[str]) -> Iterator[str]:
    """Yield the names to which words of a command, or lines of bash, give what looks like a secret."""
    for word, following in itertools.pairwise([*words, "-"]):
        for name in _GIVEN.findall(word):
            if _is_given(name):
                yield name
        option = re.fullmatch(r"--?([A-Za-z][\w-]*)", word)
        if option and not following.startswith(("-", "$")) and _is_given(option[1]):
            yield option[1]
        if holds_password(word):
            yield "an address with a password"


def _is_given(name: str) -> bool:
    words = _words(name)
    return is_secret(name) and "_".join(words) not in _NO_SECRETS and words[-1] not in _OTHERS


def _words(name: str) -> list[str]:
    return re.split(r"[^A-Z0-9]+", re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", name).upper())
