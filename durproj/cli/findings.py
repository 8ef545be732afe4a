"""What `verify` found, for people: lines of spans, for `Screen.line`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal

from durproj.cli.changed import changes_in_line
from durproj.ids import split_id
from durproj.render import Span
from durproj.wording import number

if TYPE_CHECKING:
    from durproj.cli.junit import Case

Line = tuple[Span, ...]

_COLORS = {"ok": "green", "unverifiable": "yellow"}
_WHAT = {
    ("refold", "state"): "gives another state now:",
    ("refold", "event"): "the log has another event here:",
    ("refold", "length"): "is not to be folded again:",
    ("refold", "failure"): "fails now:",
    ("twice", "state"): "gives another state when it is executed again:",
    ("twice", "failure"): "fails when it is executed again:",
}


def finding(record: dict[str, Any]) -> Iterator[Line]:
    """The record of one workflow, or of the store as a whole: a line, or one for each difference."""
    status = record["status"]
    start = (f"{status:<12}  ", _COLORS.get(status, "red"))
    if status == "different":
        for found in record["differences"]:
            yield (start, (f"{record['id']}#{found['step']}", "bold"), *difference(found))
        return
    text = record.get("error") or record.get("reason") or _extent(record)
    # What is damaged names itself.
    named = "" if status == "damaged" or record["id"] is None else f"{record['id']}  "
    yield (start, (named, "bold"), (text, ""))


def _extent(record: dict[str, Any]) -> str:
    """How many steps of a workflow were verified, and executed again where those are others."""
    steps, first = record["steps"], record.get("kept_from", 0)
    parts = [f"{steps:,} of {number(steps + first, 'step')}, kept from {first:,}"]
    parts = parts if first else [number(steps, "step")]
    for name, what in (("refolded", "folded again"), ("folded_twice", "folded twice")):
        if record.get(name, steps) != steps:
            parts.append(f"{what}: {number(record[name], 'step')}")
    return "; ".join(parts)


def difference(found: dict[str, Any]) -> Iterator[Span]:
    """What is different at a step: its event, the paths, and the reason as far as there is one."""
    if event := found["event"]:
        yield (f"  {event['type']}", "cyan")
        yield ("" if event["id"] is None else f" {event['id']}", "")
    yield (f"  {_WHAT[found['check'], found['differs']]}", "")
    yield from changes_in_line(found["changes"])
    if reason := found.get("reason"):
        yield (f"  ({reason})" if found["changes"] else f" {reason}", "")


_OUTCOMES: dict[str, Literal["failure", "error"]] = {
    "damaged": "failure",
    "different": "failure",
    "unverifiable": "error",
}


def case_of(record: dict[str, Any]) -> Case:
    """The record of one workflow, or of the store as a whole, as a test case. What is damaged or different
    is a failure, what cannot be verified an error."""
    from durproj.cli.junit import Case

    # Damage that is no workflow's is the store's.
    group, name = split_id(record["id"]) if record["id"] else ("durproj", "store")
    outcome = _OUTCOMES.get(record["status"])
    lines = tuple(finding(record)) if outcome else ()
    return Case(group, name, outcome, record["status"], lines)


class Tally:
    """What the records of one `verify` come to. add: takes the next one in."""

    def __init__(self) -> None:
        self.notes: dict[str, None] = {}
        self._sources: Counter[str] = Counter()

    def add(self, record: dict[str, Any]) -> None:
        """Count a record; `notes` are what is to be said once, however often it was met."""
        if "from" in record:
            self._sources[record["from"]] += 1
        if "note" in record:
            self.notes[record["note"]] = None

    def line(self, summary: dict[str, Any]) -> Line:
        """All of it in one line."""
        bad = ("damaged", "different", "unverifiable")
        counts = [f"{summary[status]:,} {status}" for status in bad if summary[status]]
        good = f"{summary['ok']:,} verified" if counts else "all verified"
        what = f"{number(summary['workflows'], 'workflow')}, {number(summary['steps'], 'step')}: "
        return (
            (what, "bold"),
            ("".join(f"{count}, " for count in counts), "red"),
            (good, "green" if not counts else ""),
            (self._folded(summary), "dim"),
        )

    def _folded(self, summary: dict[str, Any]) -> str:
        """What was folded again, and how many steps that was where it was not each of them."""
        sources = [f"{count:,} from the {name}" for name, count in sorted(self._sources.items())]
        again, twice = (
            [number(summary[name], "step")]
            if summary.get(name, summary["steps"]) != summary["steps"]
            else []
            for name in ("refolded", "folded_twice")
        )
        text = f"; folded again: {', '.join(sources + again)}" if sources else ""
        return text + (f"; folded twice: {twice[0]}" if twice else "")
