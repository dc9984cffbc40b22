"""The checks of `make lint`, as a test: in `make test` they run beside the others."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[1]


@pytest.mark.slow
@pytest.mark.skipif(Path(sys.prefix) != CHECKOUT / ".venv", reason="`make lint` checks with the tools of .venv")
def test_make_lint_finds_nothing() -> None:
    done = subprocess.run(["make", "lint"], cwd=CHECKOUT, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
