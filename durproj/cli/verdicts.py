"""What `crashtest` found, for people: lines of spans, for `Screen.line`; and as test cases."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from durproj.cli.changed import changes_in_line
from durproj.cli.findings import Line
from durproj.render import safe_json
from durproj.wording import number

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
_BLANKS = str.maketrans("\t\r", "  ")


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


def _warning(record: dict[str, Any]) -> Iterator[Line]:
    yield (
        ("warning  ", "yellow"),
        (record["message"], ""),
        (": ", ""),
        (", ".join(record["effects"]), "bold"),
    )


def _sample(record: dict[str, Any]) -> Iterator[Line]:
    parts = record["parts"]
    yield (
        ("sample  ", "yellow"),
        (f"{record['events']:,} of {_first(record)}{record['of']:,} events", "bold"),
        (
            f", in {number(len(parts), 'part')} from all over it, each tested as a log of its own:",
            "",
        ),
    )
    yield (("  from ", "dim"), (", ".join(f"{part['id']}#{part['step']}" for part in parts), ""))


def _first(record: dict[str, Any]) -> str:
    return "the first " if record["beyond"] else ""


def _crashes(record: dict[str, Any]) -> Iterator[Line]:
    lives, planned = record["lives"], record["planned"]
    struck = lives - record["unstruck"]
    color = "red" if struck > record["survived"] else "green" if struck else "yellow"
    yield (
        (f"{KINDS[record['kind']]:<20}", ""),
        (f"{number(record['kills'], 'crash', 'crashes'):>12}", ""),
        (f"  {record['survived']:,} of {struck:,} survived", color),
        (f"  ({record['unstruck']:,} more without a crash)" if record["unstruck"] else "", "dim"),
        (f"  ({planned - lives:,} more were planned)" if planned > lives else "", "dim"),
    )


def _failure(record: dict[str, Any]) -> Iterator[Line]:
    yield (
        ("lost  ", "red"),
        (f"{record['id']}  " if record["id"] else "", "bold"),
        # A message of several lines: what happened, then what to do.
        ("; ".join(line.strip() for line in record["differs"].splitlines()), ""),
        *changes_in_line(record["changes"]),
    )
    if record["seed"]:
        life = record["life"]
        seed = "" if record["seed"] == life else f", seed {record['seed']}"
        yield ((f"  {KINDS[record['kind']]}{seed}: {life}", ""),)
    if part := record.get("part"):
        yield (
            (f"  in the part that begins with {part['id']}#{part['step']}: that is its step 0", ""),
        )
    if "cause" in record:
        yield from _cause(record)


def _cause(record: dict[str, Any]) -> Iterator[Line]:
    by, step = record["cause"], f"step {record['step']}"
    if by == "unknown":
        why = f"executed alone, {step} gives what was recorded, but it calls {', '.join(record['calls'])}"
        yield (("  the cause is unknown: ", "bold"), (why, ""))
        return
    if by == "durproj":
        why = f"executed alone, {step} gives what was recorded without a crash: please report it"
    else:
        why = f"executed alone, {step} does not always give what was recorded"
    calls = f"; it calls {', '.join(record['calls'])}" if "calls" in record else ""
    yield ((f"  the cause is {by}: ", "bold"), (why, ""), (calls, ""))


def _reproduction(record: dict[str, Any]) -> Iterator[Line]:
    yield (("  again: ", ""), (record["reproduce"], "bold"))
    if "kept" in record:
        yield ((f"  kept: {record['kept']}", "dim"),)
    for line in record.get("log", ()):
        # A tab or a carriage return stands between what JSON has to say: never raw within a string.
        yield (("  log: ", "dim"), (safe_json(line.translate(_BLANKS)), ""))


def _summary(record: dict[str, Any]) -> Iterator[Line]:
    events = number(record["of"], "event")
    if record["events"] < record["of"] or record["beyond"]:
        events = f"{record['events']:,} of {_first(record)}{events}"
    what = f"{number(record['projections'], 'projection')}, {events}: "
    crashes = number(record["crashes"], "crash", "crashes")
    probed = ""
    if record["probed"]:
        of = f" of {_first(record)}{record['of']:,}"
        of = "" if record["probed"] >= record["of"] and not record["beyond"] else of
        probed = (
            f"; {record['probed']:,}{of} steps executed again to see whether the reducer is pure"
        )
    if not record["exit"]:
        yield ((what, "bold"), (f"survived {crashes}", "green"), (probed, "dim"))
    elif lost := record["lives"] - record["survived"] - record["unstruck"]:
        yield (
            (what, "bold"),
            (f"{number(lost, 'life', 'lives')} lost", "red"),
            (f", {crashes}", ""),
        )
    elif record["faults"]:
        yield ((what, "bold"), ("not crash-tested: the reducer is not pure", "red"))
    elif record["wrong"]:
        yield (
            (what, "bold"),
            ("not crash-tested: the result is already wrong without a crash", "red"),
        )
    else:
        yield ((what, "bold"), ("not enough was tested", "red"), (f", {crashes}", ""))
    for lack in record["uncovered"]:
        yield (("  not covered: ", "yellow"), (lack, ""))


_LINES = {
    "fault": _fault,
    "warning": _warning,
    "sample": _sample,
    "crashes": _crashes,
    "failure": _failure,
    "reproduction": _reproduction,
    "summary": _summary,
}


def cases_of(records: Sequence[dict[str, Any]]) -> list[Case]:
    """The records of one crash test as test cases, always of the same names: the reducer, and each kind of crash;
    and in case of need what is lost without a crash, or that not enough was tested."""
    from durproj.cli.junit import Case

    again = [
        line
        for record in records
        if record["type"] == "reproduction"
        for line in _reproduction(record)
    ]
    faults = [record for record in records if record["type"] == "fault"]
    failure = next((record for record in records if record["type"] == "failure"), None)
    lived = {record["kind"]: record for record in records if record["type"] == "crashes"}
    if faults:
        lines = (*(line for fault in faults for line in verdict(fault)), *again)
        cases = [Case("reducer", "pure", "failure", "impure", lines)]
    else:
        cases = [_pure(failure, records[-1])]
    for kind, name in KINDS.items():
        if failure and failure["kind"] == kind:
            cases.append(Case("crash", name, "failure", "lost", (*verdict(failure), *again)))
        elif kind != "fold":
            cases.append(_crashed(name, lived.get(kind)))
    if records[-1]["exit"] and not faults and not failure:
        lines = tuple(_summary(records[-1]))
        cases.append(Case("crash", "enough", "error", "uncovered", lines))
    return cases


def _crashed(name: str, record: dict[str, Any] | None) -> Case:
    """A kind of crash in which nothing was lost, as a test case; skipped where none of it happened."""
    from durproj.cli.junit import Case

    if record and record["lives"] > record["unstruck"]:
        return Case("crash", name)
    lines = tuple(verdict(record)) if record else ((("it was not tested", ""),),)
    return Case("crash", name, "skipped", "", lines)


def _pure(failure: dict[str, Any] | None, summary: dict[str, Any]) -> Case:
    """The reducer, in which no fault was found, as a test case: by what was lost it may have one all the same."""
    from durproj.cli.junit import Case

    by = failure.get("cause", "durproj") if failure else "durproj"
    if failure and by == "the reducer":
        return Case("reducer", "pure", "failure", "impure", tuple(_cause(failure)))
    if failure and by != "durproj":
        return Case("reducer", "pure", "skipped", "", tuple(_cause(failure)))
    if not summary["probed"]:
        return Case("reducer", "pure", "skipped", "", ((("it was not tested", ""),),))
    return Case("reducer", "pure")
