"""Look up the pinned versions in a database of known weaknesses: ``audit.py PIP-AUDIT REQUIREMENTS``.

Exit status 0: none is known. 1: some are, and listed. 75: the database was not reached, so nothing is known. pip-audit
itself ends with 0 where a server knows none of the packages, as a mirror without the database does.
"""

from __future__ import annotations

import json
import subprocess
import sys

# sysexits.h, EX_TEMPFAIL
NOT_REACHED = 75
# Packages that the database does not know, of all: Horovod's local versions, say, but not half of what the world uses.
_MOST_UNKNOWN = 0.5


def main(words: list[str]) -> int:
    """Run pip-audit, and print what it found."""
    program, requirements = words
    options = ["--no-deps", "--disable-pip", "--progress-spinner", "off", "--format", "json"]
    done = subprocess.run(
        [program, "--requirement", requirements, *options], capture_output=True, text=True, check=False
    )
    status, said = verdict(done.stdout, done.stderr)
    print(said, file=sys.stderr if status else sys.stdout)
    return status


def verdict(report: str, errors: str) -> tuple[int, str]:
    """Return the exit status, and what to say, from the report of pip-audit (JSON) and its messages."""
    try:
        packages = json.loads(report)["dependencies"]
    except (ValueError, KeyError, TypeError):
        last = (errors.strip().splitlines() or ["it said nothing"])[-1]
        return NOT_REACHED, f"audit: nothing was looked up; pip-audit: {last}"
    unknown = [package["name"] for package in packages if "skip_reason" in package]
    if len(unknown) > _MOST_UNKNOWN * len(packages):
        return NOT_REACHED, (
            f"audit: nothing was looked up: the server knows {len(packages) - len(unknown)} of {len(packages)} "
            "packages. Run this where the internet, and the Python index itself, can be reached"
        )
    weak = [
        f"{package['name']} {package['version']}: {known['id']}, mended in {', '.join(known['fix_versions']) or 'none'}"
        for package in packages
        for known in package.get("vulns", ())
    ]
    said = f"audit: {len(packages) - len(unknown)} packages looked up, {len(weak)} weaknesses known"
    more = [f"not known to the database: {', '.join(unknown)}"] if unknown else []
    return bool(weak), "\n".join([said, *weak, *more])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
