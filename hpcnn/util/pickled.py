"""Pickle notebook functions for ranks: a model or a data set that no other process could import.

Such a function is called ``FILE.pkl:function``, which is valid wherever ``package.module:function`` is. The file's name
ends with a digest of its content: the same function gives the same file, and a report takes its runs for repeats; a
changed function gives another file. Reading a pickle executes code, as importing a module does. Must not import any
other room.
"""

from __future__ import annotations

import hashlib
import io
import os
import pickle
import sys
from collections.abc import Mapping
from pathlib import Path
from types import CodeType, ModuleType

from hpcnn.util.errors import UsageError
from hpcnn.util.types import UserFunction

_SUFFIX = ".pkl"
_DIGITS = 8


def is_pickled(name: str) -> bool:
    """Return whether ``name`` has the form ``FILE.pkl:function``."""
    return name.rpartition(":")[0].endswith(_SUFFIX)


def name_of(function: UserFunction, folder: Path) -> str:
    """Return a name by which another process finds ``function``; pickle it into ``folder`` if it is in no module.

    A function of a module is ``package.module:function``. A function of a notebook or of the main program, a lambda and
    a nested function are pickled by value, with all that they refer to. Raises UsageError for a function that cannot be
    pickled, and HpcnnError without cloudpickle.
    """
    module, qualified = getattr(function, "__module__", None), getattr(function, "__qualname__", "")
    if module not in (None, "__main__") and getattr(sys.modules.get(str(module)), qualified, None) is function:
        return f"{module}:{qualified}"
    word = getattr(function, "__name__", "function")
    word = word if word.isidentifier() else "function"
    content = _pickled({word: function})
    file = folder / f"{word}-{hashlib.sha256(content).hexdigest()[:_DIGITS]}{_SUFFIX}"
    if not file.exists():
        from hpcnn.util.files import write_bytes

        write_bytes(file, content)
    return f"{_from_here(file)}:{word}"


def read(option: str, name: str) -> UserFunction:
    """Return the pickled function that ``name_of`` called ``name``.

    Raises UsageError, naming the ``option``, where the file is missing or cannot be read here, and HpcnnError without
    cloudpickle.
    """
    _cloudpickle()
    file, _, word = name.rpartition(":")
    try:
        function: UserFunction = pickle.loads(Path(file).read_bytes())[word]
    except FileNotFoundError as error:
        raise UsageError(f"{option}: {name!r}: there is no file {str(Path(file).absolute())!r}") from error
    except Exception as error:  # unpickling may raise anything that the user's own classes and modules raise
        raise UsageError(f"{option}: {name!r} cannot be read: {type(error).__name__}: {error}") from error
    return function


def _pickled(content: Mapping[str, UserFunction]) -> bytes:
    cloudpickle = _cloudpickle()

    class Pickler(cloudpickle.Pickler):  # type: ignore[misc, name-defined]  # a class of an optional package
        """cloudpickle's pickler without the file name of a notebook's cell, which differs from kernel to kernel."""

        def reducer_override(self, obj: object) -> object:
            if isinstance(obj, CodeType) and obj.co_filename != "notebook":
                return self.dispatch_table[CodeType](obj.replace(co_filename="notebook"))
            return super().reducer_override(obj)

    buffer = io.BytesIO()
    try:
        Pickler(buffer).dump(content)
    except Exception as error:  # TypeError, PicklingError, or what a user's own object raises
        raise UsageError(
            f"{next(iter(content))}: this function cannot be given to another process: {error}. Write it to a module "
            "(%%writefile my_module.py) and give 'my_module:function'"
        ) from error
    return buffer.getvalue()


def _cloudpickle() -> ModuleType:
    from hpcnn.util.extras import optional_module

    return optional_module("cloudpickle", "a function that is in no module")


def _from_here(file: Path) -> str:
    """Return the path of a file for a job, which runs in this directory: relative if the file is below it."""
    path = file.absolute()
    return os.path.relpath(path) if path.is_relative_to(Path.cwd()) else str(path)
