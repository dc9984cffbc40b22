"""Reads what the documents show: fenced blocks, the commands in them with the output below each, and links. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

_FENCE = re.compile(r"^```(\w*)\s*$")
_LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")


@dataclass(frozen=True)
class Block:
    """One fenced block: its language, its lines, and where it begins (1-based)."""

    language: str
    text: str
    line: int

    @property
    def file_name(self) -> str | None:
        """Name of the file that a block shows: its first line is ``# name.ext`` and nothing else."""
        first = re.fullmatch(r"# (\w+\.(?:py|toml))", self.text.partition("\n")[0])
        return first.group(1) if first else None


@dataclass(frozen=True)
class Command:
    """A shell command as shown after ``$ ``, and the lines shown below it."""

    text: str
    output: tuple[str, ...]

    @property
    def fails(self) -> bool:
        """Whether the document shows that it fails."""
        return any(line.startswith("Error") for line in self.output)


def documents() -> list[Path]:
    """Return the documents that people read, the README first."""
    return [*(ROOT / name for name in TOP), *sorted((ROOT / "docs").rglob("*.md")), STUDIES]


TOP = ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")


LESSONS = ROOT / "docs" / "lessons"
DECKS = [
    LESSONS / f"{deck}.md" for deck in ("scinet-2017", "scinet-2024", "scinet-2026", "wolter-2020", "psc-afternoon")
]
STUDIES = ROOT / "scaling_studies" / "README.md"
# Its commands are typed into a terminal: tests/docs/test_walks.py.
WALKS = ROOT / "docs" / "walks.md"


def blocks(document: Path) -> Iterator[Block]:
    """Yield the fenced blocks of a document."""
    language: str | None = None
    start, lines = 0, list[str]()
    for number, line in enumerate(document.read_text(encoding="utf-8").splitlines(), start=1):
        fence = _FENCE.match(line)
        if fence and language is None:
            language, start, lines = fence.group(1), number, []
        elif fence and language is not None:
            yield Block(language, "\n".join(lines) + "\n", start)
            language = None
        elif language is not None:
            lines.append(line)
    assert language is None, f"{document.name}:{start}: a fenced block is not closed"


def commands(block: Block) -> list[Command]:
    """Return the commands of a ``console`` block: ``$ command``, continued with ``> ``, then what it prints."""
    found: list[tuple[str, list[str]]] = []
    for line in block.text.splitlines():
        if line.startswith("$ "):
            found.append((line[2:], []))
        elif line.startswith("> ") and found and found[-1][0].endswith("\\"):
            text, output = found[-1]
            found[-1] = (text[:-1] + line[2:].lstrip(), output)
        elif line.strip():
            found[-1][1].append(line)
    return [Command(text, tuple(output)) for text, output in found]


_SHAPES = (
    (re.compile(r"\b\d{8}-\d{6}-[0-9a-f]{4}\b"), "RUN"),
    (re.compile(r"-r\d\d-[0-9a-f]{6}\b"), "-REPEAT"),
    (re.compile(r"(?<![\w.])/(?:[\w.~+,=-]+/)*[\w.~+,=-]+"), "PATH"),
    (re.compile(r"\d[\d,.]*(?:e[+-]?\d+)?"), "0"),
    (re.compile(r"─+"), "─"),
    (re.compile(r"\s+"), " "),
)


def shape(line: str) -> str:
    """Return what stays the same of a printed line from run to run: not its numbers, paths, run ids and spaces."""
    for pattern, word in _SHAPES:
        line = pattern.sub(word, line)
    return line.strip()


def missing_lines(shown: tuple[str, ...], printed: str) -> list[str]:
    """Return the shown lines that no printed line is like. ``...`` stands for any rest of a line, or any lines."""
    actual = {shape(line) for line in printed.splitlines()}

    def found(line: str) -> bool:
        text = shape(line)
        if text.endswith("..."):
            return any(other.startswith(text.removesuffix("...").rstrip()) for other in actual)
        return text in actual

    return [line for line in shown if not found(line)]


def links(document: Path) -> list[str]:
    """Return the targets of a document's links and images, but not those inside fenced blocks."""
    text = re.sub(r"^```.*?^```", "", document.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    return _LINK.findall(text)


def anchors(document: Path) -> set[str]:
    """Return the anchors of a document's headings, as GitHub makes them."""
    text = re.sub(r"^```.*?^```", "", document.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.+)$", text, flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}
