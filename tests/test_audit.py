"""``make audit``: where nothing could be looked up, it does not say that all is well."""

from __future__ import annotations

import json
import runpy
from typing import Any

import pytest

from tests.test_setup import CHECKOUT

verdict = runpy.run_path(str(CHECKOUT / ".ci" / "audit.py"))["verdict"]

# As pip-audit 2.10 writes it.
KNOWN = {"name": "click", "version": "8.5.1", "vulns": []}
WEAK = {
    "name": "h",
    "version": "1",
    "vulns": [{"id": "PYSEC-1", "fix_versions": ["2"], "aliases": [], "description": ""}],
}
UNKNOWN = {"name": "horovod", "skip_reason": "Dependency not found on PyPI and could not be audited: horovod (0.28.1)"}


@pytest.mark.parametrize(
    ("packages", "status", "words"),
    [
        ([KNOWN, KNOWN, UNKNOWN], 0, "2 packages looked up, 0 weaknesses known"),
        ([KNOWN, WEAK], 1, "h 1: PYSEC-1, mended in 2"),
        ([UNKNOWN, UNKNOWN, KNOWN], 75, "the server knows 1 of 3 packages"),
    ],
)
def test_what_a_report_says(packages: list[dict[str, Any]], status: int, words: str) -> None:
    found, said = verdict(json.dumps({"dependencies": packages, "fixes": []}), "")
    assert (found, words in said) == (status, True)


def test_no_report() -> None:
    assert verdict("", "ERROR: a\nConnectionError: no route\n") == (
        75,
        "audit: nothing was looked up; pip-audit: ConnectionError: no route",
    )
