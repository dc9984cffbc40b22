"""The version of hpcnn, and the Pythons it supports, where every part may read them. Imports nothing.

``SUPPORTED_PYTHONS`` is the one list: ``pyproject.toml``, the Makefile, ``hpcnn doctor``, the check of images and the
documents follow it (tests/test_setup.py). The oldest is what the dependencies support, the newest what TensorFlow has
wheels for.
"""

__version__ = "0.2.0"

SUPPORTED_PYTHONS = ("3.10", "3.11", "3.12", "3.13")


def supported_pythons() -> str:
    """Return the supported Pythons in words: 3.10, 3.11 or 3.12."""
    return ", ".join(SUPPORTED_PYTHONS[:-1]) + f" or {SUPPORTED_PYTHONS[-1]}"
