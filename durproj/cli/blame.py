"""durproj blame: which step last set each value of a state, and the life of one value."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from durproj.cli.options import (
    ColorOption,
    JsonOption,
    QuietOption,
    StableOption,
    StepArgument,
    StoreOption,
    screen,
    store_path,
)

if TYPE_CHECKING:
    from durproj.history.paths import Place
    from durproj.render import Screen

WIDEST = 24
"""Longer types and ids of events are cut."""


def blame(
    id: StepArgument,
    path: Annotated[
        str | None,
        typer.Argument(
            metavar="[PATH]", help="One value: address.city, orders[0], /orders/0; its whole life."
        ),
    ] = None,
    store: StoreOption = "durproj.db",
    json: JsonOption = False,
    stable: StableOption = False,
    quiet: QuietOption = False,
    color: ColorOption = "auto",
) -> None:
    """Show which step last set each value of the newest state; of one PATH, every step that changed it.

    projection/u1#5 is the state after step 5.
    """
    from durproj.history.blame import blame as read

    location = store_path(store)
    shown = screen(json=json, stable=stable, quiet=quiet, color=color)
    records = read(id, path, store=location)
    if json:
        for record in records:
            shown.record(record)
    elif path is None:
        _show_leaves(shown, list(records))
    else:
        from durproj.cli.steps import StepLines

        lines = StepLines(shown)
        for record in lines.aligned(records):
            lines.show(record)
    shown.flush()


def _show_leaves(shown: Screen, leaves: list[dict[str, Any]]) -> None:
    from durproj.cli.steps import NARROW
    from durproj.history.paths import parse_path
    from durproj.render import shortened

    if not leaves:
        shown.note("no step yet, and no initial state that the store knows of")
        return
    columns = shown.columns()
    notes = [_annotation(leaf, timed=columns is None or columns >= NARROW) for leaf in leaves]
    widths = [max(map(len, column)) for column in zip(*notes, strict=True)]
    nothing = [""] * len(widths)
    for line, at in _document([(parse_path(leaf["path"]), leaf["value"]) for leaf in leaves]):
        cells = nothing if at is None else notes[at]
        left = "  ".join(
            f"{cell:<{width}}" for cell, width in zip(cells, widths, strict=True) if width
        )
        room = len(line) if columns is None else max(20, columns - len(left) - 3)
        shown.line((left, "dim"), (" │ ", "dim"), (shortened(line, room), ""))


def _annotation(leaf: dict[str, Any], *, timed: bool) -> tuple[str, ...]:
    """Step, time, type and id of what set a leaf."""
    from durproj.cli.steps import step_text, time_text
    from durproj.render import safe, shortened

    event = leaf["event"] or {"type": "", "id": None, "time": None}
    id = "" if event["id"] is None else str(event["id"])
    time = time_text(event["time"]) if timed else ""
    texts = (step_text(leaf), time, event["type"], id)
    return tuple(shortened(safe(text), WIDEST) for text in texts)


def _document(leaves: list[tuple[Place, Any]]) -> Iterator[tuple[str, int | None]]:
    """The lines of a state as indented JSON, each with the number of the leaf that it shows, if any."""
    tree: dict[str | int, Any] = {}
    for number, (place, _) in enumerate(leaves):
        if not place:
            return _lines(number, leaves)
        node = tree
        for part in place[:-1]:
            node = node.setdefault(part, {})
        node[place[-1]] = number
    return _lines(tree, leaves)


def _lines(
    node: Any, leaves: list[tuple[Place, Any]], begin: str = "", end: str = ""
) -> Iterator[tuple[str, int | None]]:
    from durproj.cli.changed import in_json

    if isinstance(node, int):
        yield f"{begin}{in_json(leaves[node][1], None)}{end}", node
        return
    is_list = isinstance(next(iter(node)), int)
    yield begin + ("[" if is_list else "{"), None
    indent = " " * (len(begin) - len(begin.lstrip(" ")) + 2)
    for count, (part, child) in enumerate(node.items(), 1):
        name = "" if is_list else f"{in_json(part, None)}: "
        yield from _lines(child, leaves, indent + name, "," if count < len(node) else "")
    yield indent[2:] + ("]" if is_list else "}") + end, None
