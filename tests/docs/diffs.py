"""The diffs that documents show of example files: made anew from the files.

``python -m tests.docs.diffs`` rewrites every ``diff`` block of the documents below whose first two lines name files.
"""

from __future__ import annotations

import difflib
import re

from tests.docs.documents import ROOT

WITH_DIFFS = ("docs/own-script.md", "docs/horovod-script.md", "docs/lessons/from-script-to-cluster.md")

_BLOCK = re.compile(r"(?<=^```diff\n)--- (\S+)\n\+\+\+ (\S+)\n.*?(?=^```$)", re.MULTILINE | re.DOTALL)


def diff(before: str, after: str) -> str:
    """Return the unified diff of two files of the checkout, as it stands in a document."""
    lines = [(ROOT / name).read_text(encoding="utf-8").splitlines() for name in (before, after)]
    changed = difflib.unified_diff(lines[0], lines[1], before, after, lineterm="")
    return "".join(f"{line}\n" for line in changed)


def renewed(text: str) -> str:
    """Return a document's text with its diffs made anew."""
    return _BLOCK.sub(lambda block: diff(block[1], block[2]), text)


if __name__ == "__main__":
    for name in WITH_DIFFS:
        file = ROOT / name
        file.write_text(renewed(file.read_text(encoding="utf-8")), encoding="utf-8")
