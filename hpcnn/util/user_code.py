"""Import a user's own function: a network, a data set, a loss. Must not import any other room."""

from __future__ import annotations

import importlib
import importlib.machinery
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from hpcnn.util.errors import UsageError, bad_value
from hpcnn.util.types import Json, UserFunction

if TYPE_CHECKING:
    from pathlib import Path

# The form of the name of a user's own network, data set or loss.
OWN = "package.module:function"
# The forms of data whose names have a colon too: those of zoo/forms.py.
DATA_FORMS = ("npy", "h5", "images", "zarr", "tfrecord", "parquet")
_NO_CODE = tuple(f"{form}:" for form in (*DATA_FORMS, "synthetic"))
# The folders of installed packages, in any prefix.
_PACKAGES = {"site-packages", "dist-packages"}
_KERAS = ("keras.applications:", "keras.applications.")


def own_code(train: Mapping[str, Json]) -> list[str]:
    """Return the names of the user's own functions among the options of a training: model, data set, loss."""
    values = (train.get(key) for key in ("model", "data", "loss"))
    return [
        value
        for value in values
        if isinstance(value, str) and ":" in value and not value.startswith((*_KERAS, *_NO_CODE))
    ]


def code_digest(name: str) -> str | None:
    """Return the SHA-256 of the file that holds a user's own function, found as Python would, and not imported.

    None where there is no such file.
    """
    from pathlib import Path

    from hpcnn.util import pickled
    from hpcnn.util.files import file_sha256

    home = name.rpartition(":")[0]
    if pickled.is_pickled(name):
        file: Path | None = Path(home)
    else:
        file = _file_of(home.split("."), [str(Path.cwd()), *sys.path])
    try:
        return None if file is None else file_sha256(file)
    except OSError:
        return None


def _file_of(parts: Sequence[str], folders: Sequence[str]) -> Path | None:
    """Return the file of a module, without importing the packages above it."""
    try:
        found = importlib.machinery.PathFinder.find_spec(parts[0], list(folders))
    except (ImportError, ValueError, OSError):
        return None
    from pathlib import Path

    if found is None:
        return None
    if len(parts) > 1:
        return _file_of(parts[1:], list(found.submodule_search_locations or ()))
    return Path(found.origin) if found.origin else None


def import_function(option: str, name: str) -> UserFunction:
    """Return a user's ``package.module:function``, found as Python finds it, with the current directory first.

    Raises UsageError naming the ``option`` for a name of another form, for a module that cannot be imported (with its
    exception and the line), and for a name in it that cannot be called.
    """
    from pathlib import Path

    from hpcnn.util import pickled

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


def of_others(error: BaseException) -> bool:
    """Return whether an error was raised on the way through code that is neither hpcnn's nor installed: a user's.

    Modules of a cluster install packages wherever PYTHONPATH says, so what stands beside click is installed too.
    """
    import traceback
    from pathlib import Path

    import click

    own, packages = Path(__file__).parent.parent, Path(click.__file__).parent.parent
    installed = {Path(place) for place in (sys.prefix, sys.base_prefix, own, packages)}
    files = [Path(frame.filename) for frame in traceback.extract_tb(error.__traceback__)]
    files = [file for file in files if file.is_absolute() and file.name != "hpcnn"]  # its console script
    return any(not installed.intersection(file.parents) and not _PACKAGES.intersection(file.parts) for file in files)


def _place(error: Exception) -> str:
    """Return the user's line at which an import failed, as `` (my_net.py:3)``; empty if no line of theirs ran."""
    import traceback
    from pathlib import Path

    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "importlib" not in frame.filename]
    inner = frames[-1]
    if isinstance(error, SyntaxError) or inner.filename == __file__:
        return ""  # Python's own message names the line, or no line of the user's ran
    return f" ({Path(inner.filename).name}:{inner.lineno})"
