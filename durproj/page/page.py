"""The page: what it says without its script, and the data that the script reads."""

from __future__ import annotations

import os
from base64 import b64encode
from collections.abc import Sequence
from hashlib import sha256
from typing import Any
from xml.etree.ElementTree import Element

from durproj import codec
from durproj.page.charts import LANES, charts, lanes
from durproj.page.data import Moment, Story
from durproj.page.lines import Line, in_short
from durproj.page.markup import Inside, code, html, node
from durproj.render import shortened
from durproj.wording import number

WIDEST_CHANGE = 40
"""Of a value in the line of a step, in characters; below it, it is shown whole."""

CHANGES_IN_LINE = 3
MOST_CHANGES = 200
"""Of more changes at one step, so many are listed."""

MOST_FINAL_LINES = 5_000


def page_of(stories: Sequence[Story]) -> str:
    """The page over these workflows. The same stories give the same text."""
    script, style = _file("page.js"), _file("page.css")
    title = stories[0].id if len(stories) == 1 else number(len(stories), "workflow")
    policy = (
        f"default-src 'none'; script-src '{_digest(script)}'; style-src '{_digest(style)}';"
        " base-uri 'none'; form-action 'none'"
    )
    head = node(
        "head",
        None,
        node("meta", {"charset": "utf-8"}),
        node("meta", {"http-equiv": "Content-Security-Policy", "content": policy}),
        node("meta", {"name": "viewport", "content": "width=device-width, initial-scale=1"}),
        node("meta", {"name": "color-scheme", "content": "light dark"}),
        node("meta", {"name": "generator", "content": "durproj"}),
        node("title", None, f"{title} · durproj report"),
        code("style", {}, style),
    )
    body = node(
        "body",
        None,
        _header(stories),
        node("main", None, *(_section(place, story) for place, story in enumerate(stories))),
        code("script", {"type": "application/json", "id": "data"}, _data(stories)),
        code("script", {}, script),
    )
    return html(node("html", {"lang": "en"}, head, body))


def _file(name: str) -> str:
    with open(os.path.join(os.path.dirname(__file__), name), encoding="utf-8") as file:
        return file.read()


def _digest(text: str) -> str:
    return f"sha256-{b64encode(sha256(text.encode()).digest()).decode()}"


def _data(stories: Sequence[Story]) -> str:
    """What the script needs besides what is on the page: the states, line by line."""
    data = [
        {
            "base": story.base,
            "origin": story.origin,
            "states": story.is_projection,
            "edits": [moment.edit for moment in story.moments],
        }
        for story in stories
    ]
    # No text in it can end the script that holds it, nor begin a comment.
    return codec.to_json(data).replace("<", "\\u003c")


def _header(stories: Sequence[Story]) -> Element:
    links = [
        node("li", None, node("a", {"href": f"#w{place}"}, node("bdi", None, story.id)))
        for place, story in enumerate(stories)
    ]
    switch = [node("nav", {"aria-label": "Workflows"}, node("ul", None, *links))]
    return node(
        "header",
        {"class": "top"},
        node("p", {"class": "mark"}, "durproj report"),
        *(switch if len(stories) > 1 else ()),
    )


def _section(place: int, story: Story) -> Element:
    prefix = f"w{place}"
    facts = [
        node("div", None, node("dt", None, name), node("dd", None, value))
        for name, value in story.facts
    ]
    status = node("span", {"class": f"status {story.status}"}, story.status)
    title = node("h1", None, node("bdi", None, story.id), " ", status)
    drawn = charts(story)
    return node(
        "section",
        {"id": prefix, "class": "workflow", "data-id": story.id},
        title,
        node("dl", {"class": "facts"}, *facts),
        *_left_out(story),
        node("div", {"class": "track"}, lanes(story)),
        node("div", {"class": "player"}),
        *([node("div", {"class": "charts"}, *drawn)] if drawn else ()),
        *_final(prefix, story),
        node("h2", None, "Steps"),
        node("ol", {"class": "steps"}, *(_step(prefix, moment) for moment in story.moments))
        if story.moments
        else node(
            "p", {"class": "empty"}, "None is kept." if story.steps else "None is recorded yet."
        ),
        _legend(story),
    )


def _left_out(story: Story) -> list[Element]:
    """What the page does not show, in words."""
    steps = [moment.step for moment in story.moments if moment.recorded]
    said = []
    if story.kept == story.steps > 0:
        said.append("The store keeps none of its steps, only what came of them.")
    elif story.kept:
        said.append(f"The store keeps the steps from {story.kept:,} on.")
    if steps and (steps[0] > story.kept or steps[-1] < story.steps - 1):
        said.append(
            f"This page shows steps {steps[0]:,} to {steps[-1]:,}"
            f" of {story.kept:,} to {story.steps - 1:,}; --from, --to and --last choose others."
        )
    return [node("p", {"class": "left-out"}, " ".join(said))] if said else []


def _legend(story: Story) -> Element:
    met = {lane for moment in story.moments for lane in moment.lanes}
    entries: list[Inside] = []
    for lane, (sign, meaning) in LANES.items():
        if lane in met:
            name = node("dt", None, node("span", {"class": f"sign {lane}"}, sign), f" {lane}")
            entries.append(node("div", None, name, node("dd", None, meaning)))
    return node("footer", None, node("dl", {"class": "legend"}, *entries))


def _final(prefix: str, story: Story) -> list[Element]:
    """The lines after the last step shown, each with the step that last set it."""
    if not story.sheet.lines:
        return []
    last = max((moment.step for moment in story.moments if moment.recorded), default=None)
    is_result = not story.is_projection and story.status == "resolved"
    if is_result:
        title = "Result"
    elif last is None:
        title = "Latest state" if story.steps else "State before the first step"
    else:
        title = (
            f"State after step {last:,}" if story.is_projection else f"What step {last:,} returned"
        )
    shown = list(zip(story.sheet.lines, story.sheet.blame, strict=True))[:MOST_FINAL_LINES]
    lines = [_line(line, _blame(prefix, line, step, story)) for line, step in shown]
    left = len(story.sheet.lines) - len(lines)
    more = [node("p", {"class": "empty"}, f"… {left:,} more lines")] if left else []
    panel = node("div", {"class": "state"}, *lines)
    # What the player shows of the last step is hidden where there is one.
    shown_always = is_result or not story.moments
    name = "final result" if shown_always else "final"
    return [node("div", {"class": name}, node("h2", None, title), panel, *more)]


def _blame(prefix: str, line: Line, step: int | None, story: Story) -> Element:
    """The step that last set a line, as a link to it; for brackets and what programs return, nothing."""
    if not line.is_leaf or not story.is_projection:
        return node("span", {"class": "blame"})
    if step is None:
        return node(
            "span", {"class": "blame"}, "" if story.kept == story.steps > 0 else story.origin
        )
    return node("a", {"class": "blame", "href": f"#{prefix}-s{step}"}, f"#{step}")


def _line(line: Line, blame: Element) -> Element:
    text = f"{'  ' * line.depth}{line.name}{': ' if line.name else ''}{line.text}"
    return node("div", {"class": "line"}, blame, node("span", {"class": "text"}, text))


def _step(prefix: str, moment: Moment) -> Element:
    """A step in one line, and opened: its event whole, and all that it changed."""
    signs = [
        node("span", {"class": f"sign {lane}", "title": LANES[lane][1]}, LANES[lane][0], f" {lane}")
        for lane in moment.lanes
    ]
    known = [str(value) for value in (moment.id, moment.time) if value is not None]
    line = node(
        "summary",
        None,
        node("a", {"class": "number", "href": f"#{prefix}-s{moment.step}"}, f"#{moment.step}"),
        node("span", {"class": "signs"}, *signs),
        node("bdi", {"class": "type"}, shortened(moment.type, 200)),
        node("bdi", {"class": "named"}, shortened(" · ".join(known), 200)),
        node("span", {"class": "brief"}, *_in_line(moment)),
    )
    inside: list[Element] = []
    if moment.error:
        inside.append(node("p", {"class": "error"}, moment.error))
    if moment.attempts:
        failed = [node("li", None, text) for text in moment.attempts]
        inside.append(node("ul", {"class": "attempts"}, *failed))
    if moment.event:
        inside.append(node("pre", {"class": "event"}, moment.event))
    if moment.changes:
        inside.append(_changes(moment))
    return node("li", {"id": f"{prefix}-s{moment.step}"}, node("details", None, line, *inside))


def _in_line(moment: Moment) -> list[Element]:
    if moment.is_cut:
        return [node("span", {"class": "more"}, "the state before it is not known")]
    shown = [_change(change.record(), WIDEST_CHANGE) for change in moment.changes[:CHANGES_IN_LINE]]
    left = len(moment.changes) - len(shown)
    return [*shown, node("span", {"class": "more"}, f"{left:,} more")] if left else shown


def _changes(moment: Moment) -> Element:
    shown = [
        node("li", None, _change(each.record(), None)) for each in moment.changes[:MOST_CHANGES]
    ]
    left = len(moment.changes) - len(shown)
    more = [node("li", None, f"… {left:,} more")] if left else []
    return node("ul", {"class": "changes"}, *shown, *more)


def _change(change: dict[str, Any], width: int | None) -> Element:
    """`+ path new`, `- path old` or `path old → new`. width: of a value, in characters."""
    sign = {"added": "+", "removed": "\u2212", "changed": "~"}[change["kind"]]
    parts: list[Inside] = [f"{sign} ", node("code", None, change["path"]), " "]
    sides = [
        node(tag, None, shortened(in_short(change[side]), width or len(in_short(change[side]))))
        for tag, side in (("del", "old"), ("ins", "new"))
        if side in change
    ]
    parts += sides if len(sides) == 1 else [sides[0], " → ", sides[1]]
    return node("span", {"class": f"change {change['kind']}"}, *parts)
