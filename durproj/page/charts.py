"""The pictures of a workflow's steps, as SVG: the lanes that its steps ran in, and how its numbers went."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from xml.etree.ElementTree import Element

from durproj import codec
from durproj.history.paths import Place, show_path
from durproj.page.data import Lane, Story
from durproj.page.markup import node
from durproj.page.series import Points
from durproj.render import shortened

LANES: dict[Lane, tuple[str, str]] = {
    "executed": ("●", "recorded when it was executed"),
    "cached": ("○", "served from the journal when the workflow was resumed after the crash"),
    "retried": ("↻", "recorded after attempts that failed"),
    "crashed": ("✕", "the planned crash happened here"),
    "skipped": ("⊘", "its event failed and was skipped; the state stayed as it was"),
    "failed": ("✗", "the function failed for good; the workflow went on"),
    "replaced": ("⇄", "its event took the place of another when the workflow was forked"),
    "parked": ("‖", "the stream waits here, at an event that failed"),
    "rejected": ("■", "the workflow stopped here"),
    "pending": ("…", "the workflow is to go on here"),
}
"""In the order shown: the sign of a lane, and what it means."""

MOST_CHARTS = 12
_HEIGHT = 24


def lanes(story: Story) -> Element:
    """A row for every lane that there are steps in, with its name and number, and a mark a step."""
    width = max(1, len(story.moments))
    rows = []
    for lane, (sign, meaning) in LANES.items():
        at = [place for place, moment in enumerate(story.moments) if lane in moment.lanes]
        if not at:
            continue
        marks = " ".join(f"M{start} .5H{stop}" for start, stop in _stretches(at))
        picture = node(
            "svg",
            {
                "viewBox": f"0 0 {width} 1",
                "preserveAspectRatio": "none",
                "class": f"lane {lane}",
                "aria-hidden": "true",
            },
            node("path", {"d": marks, "class": "area"}),
            # However narrow a step is, it can be seen.
            *(_tick(place) for place in at if lane not in ("executed", "cached")),
        )
        name = node(
            "dt",
            {"title": meaning},
            node("span", {"class": f"sign {lane}"}, sign),
            f" {lane} ",
            node("span", {"class": "count"}, f"{len(at):,}"),
        )
        rows.append(node("div", {}, name, node("dd", {}, picture)))
    return node("dl", {"class": "lanes"}, *rows)


def _tick(place: int) -> Element:
    return node("path", {"d": f"M{place + 0.5:g} 0V1", "class": "tick"})


def _stretches(places: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Consecutive places together, each as (first, the one behind the last)."""
    start = places[0]
    for place, following in pairwise([*places, places[-1] + 2]):
        if following != place + 1:
            yield start, place + 1
            start = following


def charts(story: Story) -> list[Element]:
    """A chart for each of the numbers that changed most often."""
    if not story.moments:
        return []
    return [_chart(story, *found) for found in story.series.liveliest(MOST_CHARTS)]


def _chart(story: Story, path: Place, points: Points) -> Element:
    first, width = story.moments[0].step, len(story.moments)
    values = [value for value in points.values() if value is not None]
    low, high = min(values), max(values)
    name = show_path(path)
    shown = [codec.to_json(value) for value in (low, high, [*points.values()][-1])]
    picture = node(
        "svg",
        {
            "viewBox": f"0 0 {width} {_HEIGHT}",
            "preserveAspectRatio": "none",
            "role": "img",
            "aria-label": f"{name}: from {shown[0]} to {shown[1]}, {shown[2]} in the end",
        },
        node("path", {"class": "curve", "d": _curve(points, first, width, low, high)}),
    )
    caption = node(
        "figcaption",
        {},
        node("code", {"title": name}, shortened(name, 40)),
        " ",
        node("b", {}, shown[2]),
    )
    plot = node("div", {"class": "plot"}, picture)
    scale = node("small", {}, f"{shown[0]} … {shown[1]}")
    return node("figure", {"class": "chart", "data-path": name}, caption, plot, scale)


def _curve(points: Points, first: int, width: int, low: float, high: float) -> str:
    """How a number went, as the path of a line: it is level but where it changes."""
    margin = 2
    scale = (_HEIGHT - 2 * margin) / (high - low) if high > low else 0
    text, pen_down = "", False
    for step, value in points.items():
        place = step - first
        if value is None:
            text += f"H{place}" if pen_down else ""
            pen_down = False
            continue
        y = f"{_HEIGHT - margin - (value - low) * scale:.3g}"
        text += f"H{place}V{y}" if pen_down else f"M{place} {y}"
        pen_down = True
    return f"{text}H{width}" if pen_down else text
