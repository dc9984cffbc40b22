"""The settings of the site that `make docs` makes of the documents, which are plain Markdown for any reader.

The lists of links in the pages named index.md are the navigation: each heading a part of it, each link a page. To some
pages the build adds what it reads from the code: commands and options, keys, the module map, the Python interface. The
pages ask nothing of the network: no fonts, no scripts from elsewhere.
"""

from __future__ import annotations

import inspect
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpcnn import __version__

sys.path.insert(0, str(Path(__file__).parent))
from console_lexer import ConsoleLexer
from key_tables import with_tables
from module_map import module_map

if TYPE_CHECKING:
    from sphinx.application import Sphinx

project = "hpcnn"
copyright = "the hpcnn developers"
release = __version__

# The source folder is the checkout, so that a link from a document to any file of it stays one.
include_patterns = ["docs/**", "*.md", "*/README.md"]
exclude_patterns = [".*", "build", "dist", "runs", "tests", "docs/images"]
root_doc = "docs/index"

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx_click", "sphinx_copybutton"]
source_suffix = {".md": "markdown"}
myst_heading_anchors = 4  # links to headings are written as GitHub names them

suppress_warnings = ["misc.highlighting_failure"]  # what a command prints need not read as the shell's language

copybutton_prompt_text = "$ "  # it is not copied, nor is what a command prints

smartquotes = False  # they would make dashes of options

html_theme = "furo"
html_title = f"hpcnn {release}"
html_extra_path = ["site"]
html_static_path = ["style"]
html_css_files = ["hpcnn.css"]
html_copy_source = False
html_show_copyright = False

# In the order of the source, with the names of types as the source has them.
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True}
autodoc_typehints_format = "short"
python_use_unqualified_type_names = True
add_module_names = False

_COMMANDS = """
.. click:: hpcnn.cli.main:main
   :prog: hpcnn
   :nested: full
"""

# What the pages of the Python interface document, below which headings.
_MODULE = """
.. automodule:: {}
   :imported-members:
"""
_API = {
    "docs/api/hpcnn": {
        "Scripts": ".. autofunction:: hpcnn.init\n\n.. autoclass:: hpcnn.Run",
        "Notebooks": ".. autofunction:: hpcnn.run\n\n.. autoclass:: hpcnn.Result",
    },
    "docs/api/report": {
        "hpcnn.report": _MODULE.format("hpcnn.report"),
        # its other names are those of hpcnn.report
        "hpcnn.report.load": ".. autofunction:: hpcnn.report.load.find_runs",
        **{
            module: _MODULE.format(module)
            for module in (f"hpcnn.report.{name}" for name in ("fits", "diagnose", "plots", "advice"))
        },
    },
    "docs/api/networks-and-data": {
        "Networks": ".. autofunction:: hpcnn.models.registry.build",
        "Data": ".. autofunction:: hpcnn.data.registry.load",
        "The decision boundary": ".. autofunction:: hpcnn.scratch.boundary\n\n.. autoclass:: hpcnn.scratch.Boundary",
    },
    "docs/api/errors": {"The errors": _MODULE.format("hpcnn.errors")},
}


def setup(app: Sphinx) -> None:
    """Tell Sphinx what to change in the documents as it reads them."""
    app.add_lexer("console", ConsoleLexer)
    app.connect("source-read", _read)
    app.connect("autodoc-process-docstring", _parameters)
    app.connect("autodoc-skip-member", _is_field)


def _read(app: Sphinx, document: str, source: list[str]) -> None:
    if document.endswith("/index"):
        source[0] += "".join(_toctrees(source[0]))
    elif document == "docs/commands":
        source[0] += _directives(_COMMANDS)
    elif document == "docs/modules":
        source[0] += f"\n{module_map()}"
    elif document == "docs/keys":
        source[0] = with_tables(source[0])
    elif document in _API:
        source[0] += "".join(f"\n## {title}\n{_directives(text)}" for title, text in _API[document].items())


def _directives(text: str) -> str:
    return f"\n```{{eval-rst}}\n{text.strip()}\n```\n"


def _toctrees(index: str) -> list[str]:
    """Return the navigation that a document's headings and lists of links amount to."""
    start, *parts = re.split(r"^## ", index, flags=re.MULTILINE)
    trees = []
    for caption, text in [("", start), *((part.split("\n", 1)) for part in parts)]:
        pages = re.findall(r"^- \[(.+?)\]\(([\w./-]+)\.md\)", text, flags=re.MULTILINE)
        if pages:
            entries = "\n".join(f"{title} <{page}>" for title, page in pages)
            option = f":caption: {caption}\n" if caption else ""
            trees.append(f"\n```{{toctree}}\n:hidden:\n{option}\n{entries}\n```\n")
    return trees


def _parameters(app: Sphinx, what: str, name: str, documented: Any, options: Any, lines: list[str]) -> None:
    """Show the paragraphs ``name: its meaning`` of a docstring as Sphinx shows parameters."""
    try:
        names = "|".join(inspect.signature(documented).parameters)
    except (TypeError, ValueError):  # a module, a property
        return
    word = rf"(?:``)?(?:{names})(?:``)?"
    start = re.compile(rf"(?:^ *|(?<=[.;] ))({word}(?:, {word})*): ", re.MULTILINE)
    shown = []
    for paragraph in "\n".join(lines).split("\n\n") if names else []:
        _, *found = start.split(paragraph) if start.match(paragraph) else [""]
        fields = [
            f":param {parameter.strip('`')}: {' '.join(meaning.split()).rstrip(';')}"
            for several, meaning in zip(found[::2], found[1::2], strict=True)
            for parameter in several.split(", ")
        ]
        shown += [*(fields or paragraph.splitlines()), ""]
    lines[:] = shown or lines


def _is_field(app: Sphinx, what: str, name: str, member: Any, skip: bool, options: Any) -> bool | None:
    """Leave out the fields of named tuples: their class's docstring says what they are. None: as Sphinx decides."""
    return True if type(member).__name__ == "_tuplegetter" else None
