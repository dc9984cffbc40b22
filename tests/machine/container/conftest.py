"""A machine on which ``hpcnn container`` finds what it calls: shell scripts stand in for the programs."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

# Takes `build ... IMAGE DEFINITION`, in the folder of the build, and notes each call.
BUILDS = """#!/bin/sh
echo "$@" >>"$CALLS"
echo 'INFO:    Starting build...'
echo '==> Python packages'
sleep "${SLOW:-0}"
if [ -n "$FAILS" ]; then echo "$FAILS"; exit 255; fi
for word; do image=$definition definition=$word; done
cat "$definition" pip/pip.conf >"$image"
echo 'INFO:    Creating SIF file...'
"""


@pytest.fixture
def machine(tmp_path: Path) -> dict[str, str]:
    """The environment of a machine with stand-ins for apptainer and debootstrap, and an empty cache."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, text in (("apptainer", BUILDS), ("debootstrap", "#!/bin/sh\n")):
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    return {
        **os.environ,
        "PATH": f"{programs}:/usr/bin:/bin",
        "HPCNN_CACHE": str(tmp_path / "cache"),
        "CALLS": str(tmp_path / "calls"),
    }
