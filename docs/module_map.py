"""The module map: a table a room, each module with the first line of its docstring.

The site's build puts it into docs/modules.md (``conf.py``). It reads the sources and imports none of them.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1] / "hpcnn"


def module_map(package: Path = PACKAGE) -> str:
    """Return the map as Markdown: the package's own modules first, then its rooms by name."""
    rooms = sorted(file.parent for file in package.glob("*/__init__.py"))
    sections = [_section("hpcnn", package, package.glob("*.py"))]
    sections += [_section(room.name, package, room.rglob("*.py")) for room in rooms]
    return "\n".join(sections)


def first_line(module: Path) -> str:
    """Return the first line of a module's docstring; empty where it has none."""
    return (ast.get_docstring(ast.parse(module.read_text(encoding="utf-8"))) or "").partition("\n")[0]


def name(module: Path, package: Path = PACKAGE) -> str:
    """Return a module as documents write it: ``train/loop.py``; the module of a folder as the folder, ``train/``."""
    path = module.relative_to(package).as_posix()
    return path.removesuffix("__init__.py") or path


def _section(title: str, package: Path, modules: Iterable[Path]) -> str:
    rows = (f"| `{name(module, package)}` | {_cell(first_line(module))} |" for module in sorted(modules, key=name))
    return "\n".join([f"## {title}", "", "| module | what it is for |", "|---|---|", *rows, ""])


def _cell(line: str) -> str:
    """Return a docstring's line as a cell of a Markdown table: reStructuredText's double backquotes become single."""
    return line.replace("``", "`").replace("|", r"\|")
