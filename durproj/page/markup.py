"""HTML as a tree of nodes: whatever is put into it is text, and is escaped where it is written."""

from __future__ import annotations

from xml.etree.ElementTree import Element, tostring

from durproj.render import safe

Inside = Element | str
"""What a node may hold."""


def node(tag: str, attributes: dict[str, str] | None = None, *inside: Inside) -> Element:
    """An element. Texts and attributes may hold anything: control characters and those that reorder a line
    are written out; line ends stay."""
    made = Element(tag, {name: _visible(value) for name, value in (attributes or {}).items()})
    last: Element | None = None
    for part in inside:
        if isinstance(part, Element):
            made.append(part)
            last = part
        elif last is None:
            made.text = (made.text or "") + _visible(part)
        else:
            last.tail = (last.tail or "") + _visible(part)
    return made


def code(tag: str, attributes: dict[str, str], text: str) -> Element:
    """A script or a style sheet of this package, or data: written as it is."""
    if "</" in text:
        raise ValueError(f"text that could end <{tag}>")
    made = Element(tag, attributes)
    made.text = text
    return made


def html(root: Element) -> str:
    """The document."""
    return f"<!doctype html>\n{tostring(root, encoding='unicode', method='html')}\n"


def _visible(text: str) -> str:
    return "\n".join(map(safe, text.split("\n")))
