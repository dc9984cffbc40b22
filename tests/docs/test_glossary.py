"""Every page links a word of the glossary where it first uses it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.docs.documents import ROOT, anchors

DOCS = ROOT / "docs"
# The pages that need no such link: the glossary itself, lists of links, and the lectures' own pages.
_WITHOUT = {"glossary.md", "index.md"}
PAGES = sorted(page for page in (*DOCS.glob("*.md"), *DOCS.glob("howto/*.md")) if page.name not in _WITHOUT)
# By the anchor of its entry, how a word is written. A rank test is one of statistics.
WORDS = {
    "rank": r"ranks?(?! tests?)",
    "base-case": r"base cases?",
    "median-interval-coverage": r"coverage",
    "exposed-communication": r"exposed communication",
    "allreduce": r"allreduces?",
    "strong-scaling": r"strong scaling",
    "weak-scaling": r"weak scaling",
    "parallel-efficiency": r"efficienc(?:y|ies)",
    "sweet-spot": r"sweet spots?",
}


def prose(text: str) -> str:
    """Return a page without blocks, comments, headings, code, and links to anything but the glossary."""
    text = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    text = re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL)
    text = re.sub(r"^#.*$", "", text, flags=re.MULTILINE)
    text = re.sub(r"`[^`]*`", "", text)
    return re.sub(r"\[([^\]]*)\]\((?!\S*glossary\.md)[^)]*\)", "", text)


def without_link(page: str) -> list[str]:
    """Return the entries whose word a page uses, and first so without a link to the entry."""
    text = prose(page)
    missing = []
    for anchor, word in WORDS.items():
        link = rf"\[[^\]]*\]\([./]*glossary\.md#{anchor}\)"
        first = re.search(rf"(?P<link>{link})|\b{word}\b", re.sub(r"\s+", " ", text), re.IGNORECASE)
        if first is not None and first["link"] is None:
            missing.append(anchor)
    return missing


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(DOCS).as_posix())
def test_a_word_of_the_glossary_is_linked_where_it_is_used_first(page: Path) -> None:
    assert without_link(page.read_text(encoding="utf-8")) == []


def test_the_entries_are_there() -> None:
    assert set(WORDS) <= anchors(DOCS / "glossary.md")


def test_a_missing_link_is_seen() -> None:
    linked = "More [ranks](../glossary.md#rank) do an\n[allreduce](glossary.md#allreduce); `rank 0` and two ranks."
    assert without_link(linked) == []
    assert without_link("Two ranks. " + linked) == ["rank"]
    assert without_link("A rank test of [an allreduce](measuring.md)\n```\nweak scaling\n```\n") == []
    assert without_link("The weak\nscaling of it") == ["weak-scaling"]
