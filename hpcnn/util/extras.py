"""Importing what only the extras of the package bring, with an error that says how to get it."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from hpcnn.util.errors import HpcnnError
from hpcnn.util.tf_import import import_tensorflow

if TYPE_CHECKING:
    from types import ModuleType


def optional_module(module: str, purpose: str, extra: str = "cpu") -> ModuleType:
    """Import ``module``, which ``extra`` brings. Raises HpcnnError saying what needed it and how to install it."""
    try:
        if module.partition(".")[0] == "keras":
            import_tensorflow()
        return importlib.import_module(module)
    except ImportError as error:
        advice = f"Install it with: pip install 'hpcnn[{extra}]'"
        raise HpcnnError(f"{purpose} needs {module}: {error}. {advice}") from error
