"""Events that are nested as deep as lines may be, and deeper than states: through every command."""

from __future__ import annotations

import pytest

REDUCERS = """
def names(state, event):
    return {"n": state["n"] + 1, "type": event.type}

names.initial = {"n": 0}

def keeps(state, event):
    return {"last": event.data}

keeps.initial = {}
"""

FOLDED = ["--reducer", "reducers.py:names"]

COMMANDS = [
    (["inspect", "a/u"], 0),
    (["inspect", "a/u", "--step", "1"], 0),
    (["inspect", "a/u", "--step", "1", "--json"], 0),
    (["log", "a/u"], 0),
    (["log", "a/u", "--json"], 0),
    (["diff", "a/u#0", "a/u#1"], 1),
    (["blame", "a/u"], 0),
    (["find", "a/u", "event.data.x == 1"], 0),
    (["find", "a/u", "has(event.data.x)", "--json"], 0),
    (["export", "--journal"], 0),
    (["export", "--journal", "--to", "out.jsonl"], 0),
    (["export", "--journal", "--to", "out.csv"], 0),
    (["export", "--journal", "--to", "out.db"], 0),
    (["export", "--journal", "--to", "out.parquet"], 0),
    (["report", "a/u"], 0),
    (["verify", "--refold"], 0),
    (["stats", "log.jsonl"], 0),
    (["fork", "a/u", "--as", "f/u", "--drop-event", "0"], 0),
    (["fork", "a/u", "--as", "g/u", "--replace-event", "1=@other.json"], 0),
    (["run", "other.jsonl", *FOLDED, "--name", "b"], 0),
    (["compare", "a", "b"], 1),
    (["compare", "a", "b", "--json"], 1),
    # Who keeps all of it keeps more than can be stored.
    (["run", "log.jsonl", "--reducer", "reducers.py:keeps", "--name", "k"], 1),
    (["run", "log.jsonl", "--reducer", "merge", "--name", "p", "--on-error", "park"], 1),
    (["parked", "show", "p/u"], 0),
    (["parked", "show", "p/u", "--json"], 0),
    (["parked", "retry", "p/u"], 1),
    (["parked", "drop", "p/u"], 0),
]


def deep(levels, within=""):
    return "[" * levels + within + "]" * levels


@pytest.fixture(params=[254, 1022])
def folder(request, durproj):
    """Two logs that differ at the bottom, and the first one folded."""
    (durproj.folder / "reducers.py").write_text(REDUCERS)
    events = [f'{{"userId":"u","type":"T","id":"{n}","data":{{"x":1}}}}' for n in range(3)]
    for name, within in (("log", ""), ("other", "7")):
        events[1] = (
            f'{{"userId":"u","type":"T","id":"1","data":{{"x":{deep(request.param, within)}}}}}'
        )
        (durproj.folder / f"{name}.jsonl").write_text("\n".join(events) + "\n")
    (durproj.folder / "other.json").write_text(events[1])
    assert durproj("run", "log.jsonl", *FOLDED, "--name", "a").code == 0
    return durproj.folder


@pytest.mark.usefixtures("folder")
def test_no_command_fails_of_a_deep_event(durproj):
    for words, code in COMMANDS:
        done = durproj(*words)
        assert done.code == code, (words, done.err[-2000:])
        assert "Traceback" not in done.err


def test_the_past_is_guarded_at_any_depth(durproj, folder):
    (folder / "other.jsonl").replace(folder / "log.jsonl")
    refused = durproj("run", "log.jsonl", *FOLDED, "--name", "a")
    assert refused.code == 4
    assert "a/u#1: the past changed" in refused.err
    assert "[[7]]" in refused.err
    for more in ([], ["--json"]):
        found = durproj("verify", "a/u", "--refold", *more)
        assert found.code == 1, found.err
        assert "Traceback" not in found.err
