"""Import optional packages; the error for a missing one says which extra installs it."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from hpcnn.util.errors import HpcnnError
from hpcnn.util.tf_import import import_tensorflow

if TYPE_CHECKING:
    from types import ModuleType


def optional_module(module: str, purpose: str, extra: str = "cpu") -> ModuleType:
    """Import ``module``, which ``extra`` installs.

    purpose: what needs it, for the error. Raises HpcnnError that says how to install a missing module.
    """
    try:
        if module.partition(".")[0] == "keras":
            import_tensorflow()
        return importlib.import_module(module)
    except ImportError as error:
        advice = f"Install it with: pip install 'hpcnn[{extra}]'"
        raise HpcnnError(f"{purpose} needs {module}: {error}. {advice}") from error
