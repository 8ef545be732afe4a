"""What the page shows of one workflow, read from its journal in one pass."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from durproj import codec
from durproj.history.changes import Change, changes
from durproj.history.paths import ABSENT
from durproj.history.standing import forked_from
from durproj.history.timeline import Checkpoint, Timeline
from durproj.page.lines import Edit, Line, Sheet, lines_of
from durproj.page.series import Series
from durproj.render import described, safe_json, shortened
from durproj.runtime.request import FORK, REPLACED_BY
from durproj.stores.base import Store
from durproj.stores.stored import CAUSE, ERROR, stored_line, stored_record, stored_value

WIDEST_EVENT = 20_000
"""Of a longer event the page shows so many characters."""

SHOWN_ATTEMPTS = 3
"""Of more failed attempts at a step, the last ones are shown."""

Lane = Literal[
    "executed",
    "cached",
    "retried",
    "crashed",
    "skipped",
    "failed",
    "replaced",
    "parked",
    "rejected",
    "pending",
]
"""What the store knows of a step. executed: it was recorded, and not needed again; cached: it was recorded
before a planned crash, and served from the journal when the workflow was resumed; retried: attempts at it
failed; crashed: the planned crash happened here; skipped, failed (a program's): it was recorded so; replaced:
its event took the place of another when the workflow was forked. Of the step at which the workflow stands:
parked, rejected, pending."""


@dataclass
class Moment:
    """A step, or where the workflow stands after its last one.

    type, id, time: of the event (of a program's step: `type` is the function); event: what the step was
    given, as indented JSON; changes: of the state before it; edit: of the lines before it; error: why
    it failed, stopped or was skipped; attempts: the failed ones, as text; recorded: it is a step; is_cut:
    the state before it is not known, so nor is what it changed.
    """

    step: int
    type: str
    id: Any = None
    time: Any = None
    event: str = ""
    lanes: list[Lane] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)
    edit: Edit = field(default_factory=list)
    error: str = ""
    attempts: list[str] = field(default_factory=list)
    recorded: bool = True
    is_cut: bool = False


@dataclass
class Story:
    """The steps of workflow `id` that the page shows, and where it stands.

    base: the lines before the first of them; origin: what these are: the "initial" state, what was "before",
    or, where the initial state is not known, what the "start" (that state and step 0) came to; sheet: the
    lines after the last one (or of what a program returned in the end); series: the numbers; kept: the
    first step that the store has; steps: how many the workflow has. is_projection: as a Timeline's. facts:
    names and values.
    """

    id: str
    status: str
    facts: list[tuple[str, str]]
    is_projection: bool
    kept: int
    steps: int
    base: list[Line]
    origin: Literal["initial", "start", "before"]
    moments: list[Moment]
    sheet: Sheet
    series: Series


def story_of(store: Store, timeline: Timeline, first: int, stop: int) -> Story:
    """What there is to show of steps `first` to `stop` - 1 of a workflow. Raises StoreDamaged."""
    first, stop = max(first, timeline.first), min(stop, timeline.steps)
    before = timeline.state_before(first) if timeline.is_projection else ABSENT
    is_known = before is not ABSENT
    if timeline.is_projection and not is_known:
        # What step `first` changed cannot be known: it did not make all of the state.
        before = _latest(timeline) if first >= stop else timeline.at(first).state
    story = Story(
        timeline.id,
        timeline.head.status,
        list(_facts(timeline)),
        timeline.is_projection,
        timeline.first,
        timeline.steps,
        list(lines_of(before)),
        "before" if first else "initial" if is_known else "start",
        [],
        Sheet(before, None),
        Series(first, before),
    )
    for moment in _moments(timeline, story, before, first, stop):
        moment.attempts = _attempts(store, timeline, moment.step, moment.error)
        moment.is_cut = moment.step == first and timeline.is_projection and not is_known
        story.moments.append(moment)
    if stop == timeline.steps:
        story.moments += _standing(store, timeline)
    if not timeline.is_projection and timeline.head.status == "resolved":
        story.sheet = Sheet(_latest(timeline), None)
    _color(store, timeline, story.moments)
    replaced = _replaced(timeline.options.get(FORK))
    for moment in story.moments:
        if moment.recorded and moment.step in replaced:
            moment.lanes.append("replaced")
    return story


def _replaced(fork: dict[str, Any] | None) -> set[int]:
    """The steps of a fork whose events are others than in what it was made of."""
    if fork is None:
        return set()
    return {step - bisect_left(fork["dropped"], step) for step in fork["replaced"]}


def _latest(timeline: Timeline) -> Any:
    """What the head has: the state, or what a program returned."""
    state = timeline.head.state
    return ABSENT if state is None else stored_value(state)


def _moments(
    timeline: Timeline, story: Story, before: Any, first: int, stop: int
) -> Iterator[Moment]:
    output: bytes | None = None
    for checkpoint in timeline.forward(first, stop):
        short = checkpoint.record_of_event()
        moment = Moment(
            checkpoint.step, short["type"], short["id"], short["time"], _given(checkpoint)
        )
        if "skipped" in checkpoint.meta:
            moment.error = described(checkpoint.meta["skipped"])
            moment.lanes.append("skipped")
        if checkpoint.record.output != output or not timeline.is_projection:
            output = checkpoint.record.output
            before = _show_state(story, moment, checkpoint, before)
        yield moment


def _show_state(story: Story, moment: Moment, checkpoint: Checkpoint, before: Any) -> Any:
    """Note what a step did to the state, or what a program's step returned; gives that."""
    state = checkpoint.state
    if state is ABSENT:
        moment.error = described(stored_record(checkpoint.record.output, CAUSE))
        moment.lanes.append("failed")
    if story.is_projection:
        moment.changes = changes(before, state)
        story.series.take(moment.step, moment.changes)
        moment.edit = story.sheet.turn(state, moment.step)
    else:
        gone = len(story.sheet.lines)
        story.sheet = Sheet(state, moment.step)
        moment.edit = [(gone, story.sheet.lines)]
    return state


def _given(checkpoint: Checkpoint) -> str:
    return pretty(stored_line(checkpoint.record.input))


def pretty(value: Any) -> str:
    """A value as indented JSON, cut where it is very long."""
    text = "\n".join(map(safe_json, codec.to_json(value, indent=True).split("\n")))
    return shortened(text, WIDEST_EVENT)


def _facts(timeline: Timeline) -> Iterator[tuple[str, str]]:
    options = timeline.options
    yield "steps", f"{timeline.steps:,}"
    if timeline.is_projection:
        yield "reducer", " ".join(str(options.get("reducer")).split())
        yield "input", " ".join(map(str, options.get("inputs", ())))
    else:
        yield "workflow", str(options.get("workflow"))
        yield "arguments", str(options.get("args"))
    if options.get("durability"):
        yield "durability", str(options["durability"])
    if FORK in options:
        yield "forked from", forked_from(options[FORK])
    if REPLACED_BY in options:
        yield "replaced by", options[REPLACED_BY]
    if timeline.head.error is not None:
        error = stored_record(timeline.head.error, ERROR)
        yield "error", f"step {error['step']:,}: {described(error)}"


def _standing(store: Store, timeline: Timeline) -> Iterator[Moment]:
    """Where the workflow waits or ended, if not after its last step."""
    head = timeline.head
    error = stored_record(head.error, ERROR) if head.error is not None else None
    attempts = _attempts(store, timeline, timeline.steps, described(error) if error else "")
    if error is None or error["step"] != timeline.steps:
        assert head.no is not None
        if head.status == "pending" and (attempts or store.crashed(head.no, timeline.steps)):
            yield Moment(timeline.steps, "", lanes=["pending"], attempts=attempts, recorded=False)
        return
    event = error.get("event") or {}
    moment = Moment(timeline.steps, event.get("type") or "", event.get("id"), recorded=False)
    moment.lanes = ["parked" if head.status == "parked" else "rejected"]
    moment.error, moment.attempts = described(error), attempts
    if line := error.get("line"):
        moment.event = pretty(stored_line(line))
    yield moment


def _attempts(store: Store, timeline: Timeline, step: int, error: str) -> list[str]:
    """The failed attempts at a step; none when the only one was what is told by `error` already."""
    assert timeline.head.no is not None
    failed = [
        described({"kind": each.kind, "message": each.message})
        for each in store.attempts(timeline.head.no, step)
    ]
    if failed == [error]:
        return []
    texts = [f"attempt {number}: {text}" for number, text in enumerate(failed, 1)]
    left = len(texts) - SHOWN_ATTEMPTS
    return [f"{left:,} earlier attempts failed", *texts[-SHOWN_ATTEMPTS:]] if left > 0 else texts


def _color(store: Store, timeline: Timeline, moments: list[Moment]) -> None:
    """Put every moment into its lanes."""
    served = False
    assert timeline.head.no is not None
    for moment in reversed(moments):
        plain = moment.recorded and not moment.lanes
        if moment.attempts and (plain or "pending" in moment.lanes):
            moment.lanes.append("retried")
        if plain:
            moment.lanes.insert(0, "cached" if served else "executed")
        if store.crashed(timeline.head.no, moment.step):
            moment.lanes.append("crashed")
            served = served or "pending" not in moment.lanes
