"""The keys of site profiles and studies as Markdown tables, from the fields of the classes that read them.

The site's build puts them into docs/keys.md (``conf.py``).
"""

from __future__ import annotations

import dataclasses
import re

from hpcnn.sites.profile import Site
from hpcnn.specs.fields import Field, facts_of
from hpcnn.specs.resources import Resources
from hpcnn.specs.software import SoftwareSpec
from hpcnn.specs.study import StudySpec
from hpcnn.specs.train import TrainSpec

# The headings of docs/keys.md, and the class whose fields are the keys below each.
PARTS = {
    "A site profile": Site,
    "A study": StudySpec,
    "The table train": TrainSpec,
    "The table resources": Resources,
    "The table software": SoftwareSpec,
}


def with_tables(page: str) -> str:
    """Return docs/keys.md with a table at the end of each of its parts. Raises KeyError for a part without keys."""
    head, *parts = page.rstrip().split("\n## ")
    return "\n## ".join(
        [head, *(f"{part.rstrip()}\n\n{_table(PARTS[part.partition(chr(10))[0]])}\n" for part in parts)]
    )


def _table(kind: type) -> str:
    rows = (_row(field) for field in dataclasses.fields(kind))
    return "\n".join(["| key | type | default | meaning |", "|---|---|---|---|", *rows])


def _row(field: Field) -> str:
    facts = facts_of(field)
    meaning, choices = facts["help"], facts.get("choices")
    if choices:
        meaning += " One of: " + ", ".join(f"`{choice}`" for choice in choices) + "."
    cells = (f"`{field.name}`", f"`{_type(str(field.type))}`", _default(field), meaning)
    return "| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |"


def _type(text: str) -> str:
    """Return a type as TOML calls it."""
    text = re.sub(r"\s*\|\s*None", "", text)
    for pattern, word in ((r"tuple\[.*", "list"), (r"(dict|Mapping)\[.*", "table"), (r"\bstr\b", "string")):
        text = re.sub(pattern, word, text)
    return {"int": "integer", "bool": "true or false", "float": "number"}.get(text, text)


def _default(field: Field) -> str:
    if field.default_factory is not dataclasses.MISSING:
        value: object = field.default_factory()
    else:
        value = field.default
    if value is dataclasses.MISSING:
        return ""
    return "" if value in (None, "", (), {}) else f"`{str(value).lower() if isinstance(value, bool) else value}`"
