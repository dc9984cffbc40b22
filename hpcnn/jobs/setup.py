"""The lines of set-up of a job script: the site's, then the user's, each a whole line of bash."""

from __future__ import annotations

import shutil
import subprocess
from functools import cache

from hpcnn.sites.profile import Site
from hpcnn.specs.software import SoftwareSpec
from hpcnn.util.errors import bad_value


def setup_lines(site: Site, software: SoftwareSpec) -> list[str]:
    """Return the lines of set-up. Raises UsageError for one that would swallow or end what follows it in the script."""
    for key, lines in ((f"site {site.name}: setup", site.setup), ("--setup", software.setup)):
        for line in lines:
            _check(key, line)
    return [*site.setup, *software.setup]


def _check(key: str, line: str) -> None:
    backslashes = len(line) - len(line.rstrip("\\"))
    if not line.strip() or "\n" in line or "\r" in line or "\0" in line or backslashes % 2:
        raise bad_value(key, line, "one line of bash")
    fault = _fault(line)
    if fault:
        raise bad_value(key, line, f"one line of bash ({fault})")


@cache
def _fault(line: str) -> str:
    """Return what bash finds wrong with a line: open quotes, a missing ``fi``, text to follow. Empty for nothing."""
    if shutil.which("bash") is None:
        return ""
    text = f"{line}\n".encode("utf-8", "surrogateescape")
    done = subprocess.run(["bash", "-n"], input=text, capture_output=True, check=False)
    said = done.stderr.decode(errors="replace").strip()
    return said.splitlines()[0].removeprefix("bash: ") if said else ""
