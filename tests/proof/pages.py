"""Report pages, as a browser takes them apart."""

from __future__ import annotations

import json
from html.parser import HTMLParser

from proof.characters import acting

ELEMENTS = frozenset((
    "a", "b", "bdi", "body", "code", "dd", "del", "details", "div", "dl", "dt", "figcaption",
    "figure", "footer", "h1", "h2", "head", "header", "html", "ins", "li", "main", "meta",
    "nav", "ol", "p", "path", "pre", "script", "section", "small", "span", "style", "summary",
    "svg", "title", "ul",
))  # fmt: skip
ATTRIBUTES = frozenset((
    "aria-hidden", "aria-label", "charset", "class", "content", "d", "data-id", "data-path",
    "href", "http-equiv", "id", "lang", "name", "preserveaspectratio", "role", "title", "type",
    "viewbox",
))  # fmt: skip
"""All that there may be on a page."""


class _Page(HTMLParser):
    """The elements, attributes and scripts of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.elements: set[str] = set()
        self.attributes: set[str] = set()
        self.links: list[str] = []
        self.workflows = 0
        self.scripts: list[str] = []
        self.others: list[str] = []
        self.texts: list[str] = []
        self._in_script = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.add(tag)
        self.attributes |= {name for name, _ in attrs}
        given = {name: value or "" for name, value in attrs}
        self.texts += given.values()
        self.links += [given[name] for name in ("href", "xlink:href", "src") if name in given]
        if tag == "section":
            self.workflows += 1
        self._in_script = tag == "script"
        if self._in_script:
            self.scripts.append("")

    def handle_endtag(self, tag: str) -> None:
        self._in_script = self._in_script and tag != "script"

    def handle_data(self, data: str) -> None:
        if self._in_script:
            self.scripts[-1] += data
        else:
            self.texts.append(data)

    def handle_comment(self, data: str) -> None:
        self.others.append(data)

    handle_pi = unknown_decl = handle_comment


def expect_ours(text: str, count: int) -> None:
    """The page is about so many workflows, and nothing in their data has become a part of it: an element,
    an attribute, a link, a script; what is read on it neither hides nor reorders anything."""
    page = _Page()
    page.feed(text)
    page.close()
    assert page.workflows == count
    assert page.elements <= ELEMENTS, page.elements - ELEMENTS
    assert page.attributes <= ATTRIBUTES, page.attributes - ATTRIBUTES
    assert all(link.startswith("#") for link in page.links), page.links
    assert not page.others, page.others
    assert not acting("".join(page.texts))
    data, script = page.scripts
    assert len(json.loads(data)) == count
    # With the next step of a browser's grammar these would end the script, or begin a comment in it.
    assert "<" not in data, "a `<` in the data is as it came"
    assert "<script" not in script
