"""Functions that no other process can import, as files that it can read: a model or a data set of a notebook.

Such a function has a name of its own, ``FILE.pkl:function``, which goes wherever ``package.module:function`` goes. The
file's name ends with a digest of its content: the same function is the same file, and its runs are repeats of each
other in a report; a changed one is another. Reading a pickle runs what is in it, as importing a module does. Must not
know what a function is for.
"""

from __future__ import annotations

import hashlib
import io
import os
import pickle
import sys
from collections.abc import Callable
from pathlib import Path
from types import CodeType
from typing import Any

from hpcnn.util.errors import UsageError

_SUFFIX = ".pkl"
_DIGITS = 8


def is_pickled(name: str) -> bool:
    """Say whether ``name`` is one of a function in a file of this module."""
    return name.rpartition(":")[0].endswith(_SUFFIX)


def name_of(function: Callable[..., Any], folder: Path) -> str:
    """Return a name by which another process finds ``function``; writes a file into ``folder`` where it needs one.

    A function of a module is ``package.module:function``. One of a notebook or of the program that runs, a lambda and
    a function within a function are pickled by value, with all that they refer to. Raises UsageError for one that
    cannot be, and HpcnnError without cloudpickle.
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


def read(option: str, name: str) -> Callable[..., Any]:
    """Return the function that ``name_of`` gave this ``name``.

    Raises UsageError, naming the ``option``, where the file is missing or cannot be read here, and HpcnnError without
    cloudpickle.
    """
    _cloudpickle()
    file, _, word = name.rpartition(":")
    try:
        function: Callable[..., Any] = pickle.loads(Path(file).read_bytes())[word]
    except FileNotFoundError as error:
        raise UsageError(f"{option}: {name!r}: there is no file {str(Path(file).absolute())!r}") from error
    except Exception as error:  # whatever the user's own classes and modules raise when they are put together again
        raise UsageError(f"{option}: {name!r} cannot be read: {type(error).__name__}: {error}") from error
    return function


def _pickled(content: Any) -> bytes:
    cloudpickle = _cloudpickle()

    class Pickler(cloudpickle.Pickler):  # type: ignore[misc, name-defined]  # a class of an optional package
        """As cloudpickle's, but a notebook's cell is the same in every kernel: its file is named for the process."""

        def reducer_override(self, obj: Any) -> Any:
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


def _cloudpickle() -> Any:
    from hpcnn.util.extras import optional_module

    return optional_module("cloudpickle", "a function that is in no module")


def _from_here(file: Path) -> str:
    """Return a path as the job finds it, which runs in this directory: short where it is below."""
    path = file.absolute()
    return os.path.relpath(path) if path.is_relative_to(Path.cwd()) else str(path)
