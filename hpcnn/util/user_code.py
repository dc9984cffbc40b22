"""Import a user's own function: a network, a data set, a loss. Must not import any other room."""

from __future__ import annotations

import importlib
import sys
import traceback
from pathlib import Path

from hpcnn.util import pickled
from hpcnn.util.errors import UsageError, bad_value
from hpcnn.util.types import UserFunction

# The form of the name of a user's own network, data set or loss.
OWN = "package.module:function"


def import_function(option: str, name: str) -> UserFunction:
    """Return a user's ``package.module:function``, found as Python finds it, with the current directory first.

    Raises UsageError naming the ``option`` for a name of another form, for a module that cannot be imported (with its
    exception and the line), and for a name in it that cannot be called.
    """
    if pickled.is_pickled(name):
        return pickled.read(option, name)
    module_name, _, function_name = name.partition(":")
    if not module_name or not function_name.isidentifier():
        raise bad_value(option, name, OWN)
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        module = importlib.import_module(module_name)
    except Exception as error:  # a user's module may fail in any way; the message says which
        raise UsageError(
            f"{option}: {name!r}: cannot import {module_name!r}: {type(error).__name__}: {error}{_place(error)}"
        ) from error
    function = getattr(module, function_name, None)
    if not callable(function):
        raise UsageError(f"{option}: {name!r}: module {module_name!r} has no function {function_name!r}")
    return function  # type: ignore[no-any-return]


def _place(error: Exception) -> str:
    """Return the user's line at which an import failed, as `` (my_net.py:3)``; empty if no line of theirs ran."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "importlib" not in frame.filename]
    inner = frames[-1]
    if isinstance(error, SyntaxError) or inner.filename == __file__:
        return ""  # Python's own message names the line, or no line of the user's ran
    return f" ({Path(inner.filename).name}:{inner.lineno})"
