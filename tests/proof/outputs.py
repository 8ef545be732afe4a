"""What scripts read (the command-line contract): every line of --json is one object of a known form, the same
wherever it goes, with no clock outside of `timing`; and every option is in the help of its command."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import typer

from durproj.cli.commands import COMMANDS, command_line
from proof.children import command
from proof.trial import Proof, Trial

LOG = "".join(
    json.dumps(
        {
            "user": key,
            "type": kind,
            "id": f"{key}{n}",
            "time": f"2026-01-0{n + 1}T00:00:00Z",
            "n": n,
        }
    )
    + "\n"
    for n, kind in enumerate(("Opened", "Used", "Used", "Closed"))
    for key in ("a", "b")
)
RUN = ("run", "log.jsonl", "--reducer", "merge", "--key", "user")
COUNT = ("run", "log.jsonl", "--reducer", "counts", "--key", "user")
FAILING = (
    "run",
    "log.jsonl",
    "--reducer",
    "r.py:fails",
    "--key",
    "user",
    "--name",
    "failing",
    "--on-error",
    "park",
)
# Of which `crashtest` takes samples: with a reducer that takes 20 ms, more does not fit into a minute.
LONG = "".join(json.dumps({"user": "abc"[n % 3], "type": "Used", "n": n}) + "\n" for n in range(60))
CRASHES = (
    ("crashtest", "log.jsonl", "--reducer", "r.py:impure", "--key", "user", "--keep", "kept"),
    (
        *(
            "crashtest",
            "log.jsonl",
            "--reducer",
            "r.py:remembers",
            "--key",
            "user",
            "--keep",
            "kept",
        ),
        *("--seed", "step:after@3"),
    ),
    (
        *("crashtest", "long.jsonl", "--reducer", "r.py:slow", "--key", "user", "--seconds", "60"),
        *("--seed", "step:after@3"),
    ),
)
REDUCER = """
import os, time
seen = []

def fails(state, event):
    if event.data["n"] == 2 and event.key == "b":
        raise ValueError("no")
    return event.data

def impure(state, event):
    open(os.devnull, "w").close()
    return {"at": time.time()}

def remembers(state, event):
    seen.append(event)
    return {"seen": len(seen)}

def slow(state, event):
    time.sleep(0.02)
    return event.data
"""
# In this order in one folder: each finds what those before it left.
ASKED: tuple[tuple[str, ...], ...] = (
    (*RUN, "-v"), (*RUN, "-v"), (*RUN, "--crash", "2", "--name", "crashed"), ("resume",), FAILING,
    (*COUNT, "--name", "counted"), ("list",), ("inspect", "projection/a"), ("inspect", "projection/a#2"),
    ("log", "projection/a"), ("log", "projection/a", "-v"), ("diff", "projection/a#1"),
    ("diff", "projection/a", "projection/b"), ("blame", "projection/a"), ("blame", "projection/a", "n"),
    ("find", "--all-ids", "state.n > 1", "--all"), ("find", "projection/a", "state.n == 9"),
    ("verify",), ("verify", "-v", "--refold", "--twice"), ("compare", "projection", "counted", "-v"),
    ("export",), ("export", "--journal"), ("export", "projection/a"), ("export", "--to", "out.csv"),
    ("export", "--to", "out.db"), ("report", "projection/a", "-o", "r.html"), ("parked", "list"),
    ("stats", "log.jsonl", "--key", "user"), ("doctor",), ("backup", "copy.db"), ("gc",),
    ("fork", "projection/a", "--as", "forked/a", "--drop-event", "1"), ("promote", "counted", "projection"),
    ("rewind", "projection/a", "--to", "1"), ("gc", "projection/b", "--drop"), ("inspect", "projection/none"),
    ("run", "none.jsonl"), ("list", "--store", "none.db"), ("inspect", "projection/a#99"), *CRASHES,
)  # fmt: skip
FEW = (
    COUNT,
    FAILING,
    ("list",),
    ("find", "failing/a", "state.n == 9"),
    ("inspect", "projection/none"),
)
"""Those that are asked in every place when there is no time for all."""

BAD = {
    "run log.jsonl --reducer merge --key user --crash 2 --name crashed": 3, " ".join(FAILING): 1,
    "diff projection/a#1": 1, "diff projection/a projection/b": 1, "find projection/a state.n == 9": 1,
    "find failing/a state.n == 9": 1, "compare projection counted -v": 1, "inspect projection/none": 66,
    "run none.jsonl": 66, "list --store none.db": 66, "inspect projection/a#99": 66,
    " ".join(CRASHES[0]): 1, " ".join(CRASHES[1]): 1,
}  # fmt: skip
"""The exit codes of those that do not end with 0."""

# The forms of records: the names of their members, in order.
FORMS = {
    "run": ("type v input name reducer store durability",),
    "step": (
        "type id step event source attempts",
        "type id step event source attempts state function",
        "type id step event changes",
        "type id name key step event state",
    ),
    "projection": (
        "type id status steps cached executed state",
        "type id status steps cached executed state error",
        "type id status steps cached executed state reducer durability input events_seen",
        "type id name key status steps state",
        "type id name key status steps state error",
    ),
    "summary": (
        "type projections events cached executed failed parked skipped exit",
        "type projections events cached executed failed parked skipped waiting exit",
        "type workflows steps ok damaged different unverifiable exit",
        "type workflows steps refolded folded_twice ok damaged different unverifiable exit",
        "type first second keys same different event steps only_first only_second",
        "type trimmed dropped damaged steps bytes left dry_run file",
        (
            "type projections events of beyond probed lives crashes survived unstruck planned faults wrong"
            " complete uncovered exit"
        ),
    ),
    "warning": ("type message effects",),
    "fault": ("type kind id step event message changes calls advice",),
    "sample": ("type events of beyond parts",),
    "crashes": ("type kind planned lives kills survived unstruck",),
    "failure": ("type kind seed life id differs changes cause step",),
    "reproduction": ("type reproduce log",),
    "crash": ("type id step planned",),
    "workflow": ("type id status steps",),
    "diff": ("type old new steps events changes", "type old new changes"),
    "blame": ("type id path value step event",),
    "match": ("type id step became event changes state",),
    "verification": ("type id status steps", "type id status steps refolded from folded_twice"),
    "comparison": ("type key result ids steps status step event changes final",),
    "export": ("type to format rows columns", "type to format table rows columns"),
    "report": ("type path bytes workflows",),
    "parked": ("type id step event error",),
    "stats": (
        (
            "type input mapping events blank types keys keyless top_keys times back_in_time repeated"
            " conflicting complete"
        ),
    ),
    "doctor": ("type durproj python sqlite remarks store",),
    "backup": ("type store to bytes workflows unfinished left_out",),
    "fork": ("type id from at replaced dropped steps copied executed skipped state changes",),
    "promote": (
        "type name from workflows steps old old_workflows old_steps missing behind same_input",
    ),
    "rewind": ("type id dropped steps status goes_on",),
    "gc": ("type id what steps bytes",),
}
PLACES: tuple[tuple[str, bool, dict[str, str]], ...] = (
    ("a pipe", False, {}), ("a terminal", True, {}), ("NO_COLOR", False, {"NO_COLOR": "1"}),
    ("GitHub's runner", False, {"CI": "true", "GITHUB_ACTIONS": "true"}),
    ("forced color", False, {"FORCE_COLOR": "1"}), ("a dumb terminal", True, {"TERM": "dumb"}),
)  # fmt: skip


def forms(trial: Trial) -> None:
    """Every command with --json --stable, in every place: the same records, each of a known form."""
    expected: dict[int, tuple[int, list[Any]]] = {}
    asked = ASKED if trial.count >= len(ASKED) * len(PLACES) else FEW
    for what, terminal, env in PLACES:
        with trial.scratch() as folder:
            (folder / "log.jsonl").write_text(LOG)
            (folder / "long.jsonl").write_text(LONG)
            (folder / "r.py").write_text(REDUCER)
            for number, args in enumerate(asked):
                with trial.case(f"{' '.join(args)}, {what}"):
                    found = _records(folder, args, env, terminal=terminal)
                    assert found == expected.setdefault(number, found), "other than in a pipe"


def _records(
    folder: Path, args: tuple[str, ...], env: dict[str, str], *, terminal: bool
) -> tuple[int, list[Any]]:
    done = command([*args, "--json", "--stable"], folder, env=env, terminal=terminal)
    lines = done.out.replace("\r\n", "\n").split("\n")
    # On a terminal messages are in between.
    shown = [line for line in lines if (line.startswith("{") if terminal else line)]
    records = [*map(_of_known_form, shown)]
    assert done.code == BAD.get(" ".join(args), 0), done
    assert records or done.code == 66 or args[0] in ("find", "gc"), done
    return done.code, records


def _of_known_form(line: str) -> Any:
    pairs = json.loads(line, object_pairs_hook=list)
    assert pairs[0][0] == "type", "its first member is not its type"
    kind, names = pairs[0][1], " ".join(name for name, _ in pairs)
    assert names in FORMS.get(kind, ()), f"no known form of {kind}: {names}"
    return json.loads(line)


def helped(trial: Trial) -> None:
    """The help of every command names every option that it takes, and its arguments."""
    whole = typer.main.get_command(command_line(None))
    for path, each in _commands(whole, ()):
        for place, terminal, env in PLACES[: max(1, trial.count // len(COMMANDS))]:
            with trial.case(f"{' '.join(path)} --help, {place}"):
                done = command([*path, "--help"], trial.folder, env=env, terminal=terminal)
                assert done.code == 0
                missing = [name for name in _names(each) if name not in done.out]
                assert not missing, missing


def _names(each: Any) -> list[str]:
    """What a command's help has to name: its options, and its arguments as they are shown."""
    names: list[str] = []
    for parameter in each.params:
        if parameter.param_type_name == "argument":
            names.append(parameter.metavar or parameter.name.upper())
        elif not parameter.hidden:
            names += parameter.opts
    return names


def _commands(group: Any, path: tuple[str, ...]) -> list[tuple[tuple[str, ...], Any]]:
    found = [(path, group)]
    for name, each in getattr(group, "commands", {}).items():
        found += _commands(each, (*path, name))
    return found


PROOFS = [
    Proof("--json in every place", ("P8",), forms, 30, 252, case_ms=350),
    Proof("--help names every option", ("P8",), helped, 20, 130, case_ms=80),
]
