"""What `crashtest` found, for people: lines of spans, for `Screen.line`; and as test cases."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from durproj.cli.changed import changes_in_line
from durproj.cli.findings import Line
from durproj.render import number

if TYPE_CHECKING:
    from durproj.cli.junit import Case

KINDS = {
    "before": "before a commit",
    "after": "after a commit",
    "twice": "twice in a row",
    "backoff": "in back-off",
    "race": "with two runners",
    "random": "at random instants",
    "fold": "no crash at all",
}


def verdict(record: dict[str, Any]) -> Iterator[Line]:
    """A record in lines."""
    return _LINES[record["type"]](record)


def _fault(record: dict[str, Any]) -> Iterator[Line]:
    event = record["event"]
    named = "" if event["id"] is None else f" {event['id']}"
    yield (
        ("impure  ", "red"),
        (f"{record['id']}#{record['step']}", "bold"),
        (f"  {event['type'] or ''}", "cyan"),
        (named, ""),
        *changes_in_line(record["changes"]),
        (f"  ({record['reason']})" if "reason" in record else "", ""),
    )
    yield (("  the reducer is not pure: ", ""), (record["message"], "bold"))
    if calls := record.get("calls"):
        yield (("  it calls ", ""), (", ".join(calls), ""))
    yield ((f"  {record['advice']}", ""),)
    yield from _again(record)


def _crashes(record: dict[str, Any]) -> Iterator[Line]:
    lives, planned = record["lives"], record["planned"]
    lost = lives - record["survived"]
    yield (
        (f"{KINDS[record['kind']]:<20}", ""),
        (f"{number(record['kills'], 'crash').replace('crashs', 'crashes'):>12}", ""),
        (f"  {record['survived']:,} of {lives:,} survived", "red" if lost else "green"),
        (f"  ({planned - lives:,} more were planned)" if planned > lives else "", "dim"),
    )


def _failure(record: dict[str, Any]) -> Iterator[Line]:
    yield (
        ("lost  ", "red"),
        (f"{record['id']}  " if record["id"] else "", "bold"),
        (record["differs"], ""),
        *changes_in_line(record["changes"]),
    )
    if record["seed"]:
        life = record["life"]
        seed = "" if record["seed"] == life else f", seed {record['seed']}"
        yield ((f"  {KINDS[record['kind']]}{seed}: {life}", ""),)
    yield from _again(record)


def _again(record: dict[str, Any]) -> Iterator[Line]:
    if "reproduce" in record:
        yield (("  again: ", ""), (record["reproduce"], "bold"))
        yield ((f"  kept: {record['kept']}", "dim"),)


def _summary(record: dict[str, Any]) -> Iterator[Line]:
    what = f"{number(record['projections'], 'projection')}, {number(record['events'], 'event')}: "
    crashes = number(record["crashes"], "crash").replace("crashs", "crashes")
    if record["exit"]:
        lost = record["lives"] - record["survived"]
        end = (
            f"{number(lost, 'life').replace('lifes', 'lives')} lost"
            if lost
            else "something is wrong"
        )
        yield ((what, "bold"), (end, "red"), (f", {crashes}", ""))
        return
    left = (
        ""
        if record["complete"]
        else f"; the time was over before {record['planned'] - record['lives']:,} more"
    )
    yield ((what, "bold"), (f"survived {crashes}", "green"), (left, "dim"))


_LINES = {"fault": _fault, "crashes": _crashes, "failure": _failure, "summary": _summary}


def cases_of(records: Sequence[dict[str, Any]]) -> list[Case]:
    """The records of one crash test as test cases: the reducer, and each kind of crash."""
    from durproj.cli.junit import Case

    faults = [record for record in records if record["type"] == "fault"]
    failure = next((record for record in records if record["type"] == "failure"), None)
    cases = [
        Case("reducer", fault["kind"], "failure", "impure", tuple(verdict(fault)))
        for fault in faults
    ] or [Case("reducer", "pure")]
    kinds = [record["kind"] for record in records if record["type"] == "crashes"]
    if failure and failure["kind"] not in kinds:
        kinds.append(failure["kind"])
    for kind in kinds:
        if failure and failure["kind"] == kind:
            cases.append(Case("crash", KINDS[kind], "failure", "lost", tuple(verdict(failure))))
        else:
            cases.append(Case("crash", KINDS[kind]))
    return cases
