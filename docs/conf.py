"""The settings of the site that `make docs` makes of the documents, which are plain Markdown for any reader.

The lists of links in index.md are the navigation: each heading a part of it, each link a page. The pages ask nothing of
the network: no fonts, no scripts from elsewhere.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from hpcnn import __version__

if TYPE_CHECKING:
    from sphinx.application import Sphinx

project = "hpcnn"
copyright = "the hpcnn developers"
release = __version__

# The source folder is the checkout, so that a link from a document to any file of it stays one.
include_patterns = ["docs/**", "README.md", "CHANGELOG.md", "*/README.md"]
exclude_patterns = [".*", "build", "dist", "runs", "tests", "docs/images"]
root_doc = "docs/index"

extensions = ["myst_parser", "sphinx_click"]
source_suffix = {".md": "markdown"}
myst_heading_anchors = 4  # links to headings are written as GitHub names them

suppress_warnings = ["misc.highlighting_failure"]  # what a command prints need not read as the shell's language

smartquotes = False  # they would make dashes of options

html_theme = "furo"
html_title = f"hpcnn {release}"
html_extra_path = ["site"]
html_copy_source = False
html_show_copyright = False

_COMMANDS = """
```{eval-rst}
.. click:: hpcnn.cli.main:main
   :prog: hpcnn
   :nested: full
```
"""


def setup(app: Sphinx) -> None:
    """Tell Sphinx what to change in the documents as it reads them."""
    app.connect("source-read", _read)


def _read(app: Sphinx, document: str, source: list[str]) -> None:
    if document == root_doc:
        source[0] += "".join(_toctrees(source[0]))
    elif document == "docs/commands":
        source[0] += _COMMANDS


def _toctrees(index: str) -> list[str]:
    """Return the navigation that a document's headings and lists of links amount to."""
    trees = []
    for part in re.split(r"^## ", index, flags=re.MULTILINE)[1:]:
        caption, _, text = part.partition("\n")
        pages = re.findall(r"^- \[(.+?)\]\(([\w./-]+)\.md\)", text, flags=re.MULTILINE)
        if pages:
            entries = "\n".join(f"{title} <{page}>" for title, page in pages)
            trees.append(f"\n```{{toctree}}\n:hidden:\n:caption: {caption}\n\n{entries}\n```\n")
    return trees
