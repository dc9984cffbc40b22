"""Skip the tests of a file where a package is not installed, without loading it.

``pytest.importorskip`` would load it while tests are collected, in each of the processes that run them: JupyterLab
alone takes seconds.
"""

from __future__ import annotations

import importlib.util

import pytest


def needs(package: str, reason: str) -> None:
    """Skip the rest of the file, or the test, that calls this where ``package`` is not installed."""
    if importlib.util.find_spec(package) is None:
        pytest.skip(reason, allow_module_level=True)
