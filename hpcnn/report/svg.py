"""A matplotlib figure as SVG within a page: its own names, the page's colours and font, no style sheet.

Inline style would need a loose Content-Security-Policy, and matplotlib's own sheet would apply to the whole page; so
every declaration becomes an attribute. A colour of the palette also becomes a class (``f-blue`` for fill, ``s-blue``
for stroke), by which the page's style sheet exchanges it on a dark page.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from xml.etree import ElementTree

from hpcnn.figures.style import COLOURS, rendered

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hpcnn.figures.scaling import Plot

# Characters that XML 1.0 cannot hold: control characters, and halves of surrogate pairs.
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_REFERENCE = re.compile(r"url\(#([^)]+)\)")
_CLASSES = {colour.light: name for name, colour in COLOURS.items()}
_DOTS_PER_INCH = 200  # of images within an SVG
_CLASS_PREFIXES = {"fill": "f", "stroke": "s"}
# Of the root, for all elements, as in matplotlib's own sheet.
_ROOT_ATTRIBUTES = {"stroke-linejoin": "round", "stroke-linecap": "butt", "role": "img"}


def inline_svg(plot: Plot) -> str:
    """Return ``plot`` as an ``<svg>`` element with its title and alternative text."""
    content = rendered(plot.figure, "svg", salt=plot.name, dpi=_DOTS_PER_INCH)
    text = _NOT_XML.sub("�", content.decode("utf-8", "replace"))
    root = ElementTree.fromstring(text)
    for parent in root.iter():
        for child in [child for child in parent if _local_name(child.tag) in ("metadata", "style")]:
            parent.remove(child)
    for element in root.iter():
        element.tag = _local_name(element.tag)
        element.attrib = dict(_attributes(element.attrib, plot.name))
    _, _, width, height = root.get("viewBox", "0 0 0 0").split()
    root.attrib = {
        "viewBox": f"0 0 {width} {height}",
        "aria-labelledby": f"{plot.name}-t {plot.name}-d",
        **_ROOT_ATTRIBUTES,
    }
    for position, (tag, text) in enumerate((("title", plot.title), ("desc", plot.alt))):
        words = ElementTree.Element(tag, {"id": f"{plot.name}-{tag[0]}"})
        words.text = _NOT_XML.sub("�", text)
        root.insert(position, words)
    return ElementTree.tostring(root, encoding="unicode", short_empty_elements=False)


def _local_name(qualified: str) -> str:
    return qualified.rpartition("}")[2]


def _attributes(attributes: dict[str, str], prefix: str) -> Iterator[tuple[str, str]]:
    """Yield an element's attributes: its style as attributes, its names and references with ``prefix``."""
    plain = {_local_name(key): value for key, value in attributes.items() if key != "style"}
    plain |= dict(_declarations(attributes.get("style", "")))
    classes = []
    for key, value in plain.items():
        if key == "id":
            yield key, f"{prefix}-{value}"
        elif key == "href" and value.startswith("#"):
            yield key, f"#{prefix}-{value[1:]}"
        elif key not in ("class", "font-family", "version"):
            yield key, _REFERENCE.sub(rf"url(#{prefix}-\1)", value)
        if key in _CLASS_PREFIXES and value.lower() in _CLASSES:
            classes.append(f"{_CLASS_PREFIXES[key]}-{_CLASSES[value.lower()]}")
    if classes:
        yield "class", " ".join(classes)


def _declarations(style: str) -> Iterator[tuple[str, str]]:
    for declaration in style.split(";"):
        key, colon, value = (part.strip() for part in declaration.partition(":"))
        if colon and key == "font":  # matplotlib 3.8: "font: 9px 'DejaVu Sans', sans-serif"
            size = re.search(r"[\d.]+px", value)
            yield "font-size", size.group() if size else "9px"
        elif colon:
            yield key, value
