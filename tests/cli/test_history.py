"""log, diff and blame as people read them."""

from __future__ import annotations

import json
import re

import pytest
from test_terminal import Terminal, screen_of

REDUCER = """
def f(state, event):
    if event.type == "Bad":
        raise ValueError("no such \\x1b[31m item")
    return {**(state or {}), **event.data}
"""


@pytest.fixture
def sample(durproj):
    durproj("run", "-q")
    return durproj


def fold(durproj, *events, **options):
    lines = [{"user": "u", "type": type, "data": data} for type, data in events]
    (durproj.folder / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (durproj.folder / "r.py").write_text(REDUCER)
    flags = [f"--{name.replace('_', '-')}={value}" for name, value in options.items()]
    return durproj("run", "log.jsonl", "--reducer", "r.py:f", "--key", "user", "-q", *flags)


def test_log_is_a_line_a_step_newest_last(sample):
    shown = sample("log", "projection/u1").out.split("\n")
    assert len(shown) == 9
    assert shown[0] == (
        '#0  2026-01-15T09:00:00Z  UserRegistered  evt_001         name ""→"Alice Chen"'
        '  email ""→"alice@example.com"  eventsProcessed 0→1'
    )
    # Their columns stand below each other, however wide later ones are.
    assert {line.index("2026-") for line in shown[:-1]} == {4}
    widest = "#3  2026-01-15T09:10:00Z  SubscriptionActivated  evt_004  "
    assert all(line[len(widest) - 1] == " " != line[len(widest)] for line in shown[:-1])
    assert shown[5].split() == [
        *("#5", "2026-01-15T09:40:00Z", "OrderShipped", "evt_006"),
        *("-activeOrders[0]", '"ord_001"', "+shippedOrders[0]", '"ord_001"'),
        *("eventsProcessed", "5→6"),
    ]


def test_log_chooses_by_path_type_limit_and_direction(sample):
    def told(*args):
        return re.findall(r"^#\d+", sample("log", "projection/u1", *args).out, re.MULTILINE)

    assert told("--path", "totalOrders") == ["#3", "#4"]
    assert told("--path", "totalOrders", "--path", "email", "-n", "1") == ["#4"]
    assert told("--type", "OrderPlaced", "--type", "OrderShipped") == ["#3", "#4", "#5"]
    assert told("--from", "6", "--reverse") == ["#7", "#6"]
    assert told("--limit", "2", "--to", "4") == ["#3", "#4"]
    assert sample("log", "projection/u1#2").out == sample("log", "projection/u1", "--to", "2").out
    nothing = sample("log", "projection/u1", "--path", "nothing")
    assert (nothing.code, nothing.out) == (0, "")
    assert nothing.err == "durproj: projection/u1: no step is like that\n"


def test_log_verbose_has_each_change_in_full_on_its_own_line(durproj):
    fold(durproj, ("A", {"note": "x" * 200}), ("B", {"note": "y", "n": 1}))
    assert "…" in durproj("log", "projection/u").out
    assert durproj("log", "projection/u", "-v").out.split("\n") == [
        "#0  A",
        f'    +note "{"x" * 200}"',
        "#1  B",
        f'    note "{"x" * 200}"→"y"',
        "    +n 1",
        "",
    ]


def test_log_says_what_was_skipped_and_where_it_stopped(durproj):
    fold(durproj, ("A", {"n": 1}), ("Bad", {}), ("A", {"n": 1}), on_error="skip")
    assert durproj("log", "projection/u").out.split("\n")[1:3] == [
        "#1  Bad  skipped: ValueError: no such \\x1b[31m item",
        "#2  A    nothing changed",
    ]
    fold(durproj, ("A", {"n": 1}), ("Bad", {}), on_error="park", name="p")
    *_, last, end = durproj("log", "p/u").out.split("\n")
    assert (last, end) == ("parked at step 1  Bad  ValueError: no such \\x1b[31m item", "")


def test_log_of_a_program_shows_what_its_functions_returned(durproj):
    (durproj.folder / "program.py").write_text(
        "import durproj\n"
        "def fails(x):\n    raise ValueError('no')\n"
        "def flow(ctx):\n    yield ctx.run(len, 'abc')\n    yield ctx.run(fails, 1)\n"
    )
    import durproj as library

    space = {}
    exec((durproj.folder / "program.py").read_text(), space)
    with pytest.raises(library.StepFailed):
        library.run("flow/A", space["flow"], store=durproj.folder / "durproj.db")
    assert durproj("log", "flow/A").out.split("\n") == [
        "#0  len    → 3",
        "#1  fails  ✗ ValueError: no",
        "rejected at step 1  ValueError: no",
        "",
    ]


@pytest.mark.parametrize("columns", [60, 80, 100, 140])
def test_log_fits_as_many_changes_as_the_terminal_is_wide(tmp_path, columns):
    terminal = Terminal(tmp_path, columns)
    terminal("run", "-q")
    _, shown, _ = terminal("log", "projection/u1", "--from", "1")
    lines = [line.rstrip() for line in screen_of(shown, columns).display if line.strip()]
    assert len(lines) == 7
    assert ("2026" in "".join(lines)) == (columns >= 100)
    if columns == 80:
        assert sum("more" in line for line in lines) == 7
    if columns == 140:
        assert not any("more" in line for line in lines)


def test_diff_names_both_sides_and_marks_what_differs(sample):
    done = sample("diff", "projection/u1#3..6")
    assert done.code == 1
    assert done.out.split("\n") == [
        "--- projection/u1#3  2026-01-15T09:20:00Z  OrderPlaced  evt_004",
        "+++ projection/u1#6  2026-01-15T09:50:00Z  OrderCancelled  evt_007",
        "    #4  2026-01-15T09:30:00Z  OrderPlaced  evt_005",
        "    #5  2026-01-15T09:40:00Z  OrderShipped  evt_006",
        "    #6  2026-01-15T09:50:00Z  OrderCancelled  evt_007",
        "~ totalOrders 1→2",
        "~ cancelledOrders 0→1",
        '- activeOrders[0] "ord_001"',
        '+ shippedOrders[0] "ord_001"',
        "~ eventsProcessed 4→7",
        "",
    ]


def test_diff_exits_as_diff_does(sample):
    same = sample("diff", "projection/u1#3..6", "--path", "name")
    assert (same.code, same.out, same.err) == (0, "", "")
    assert sample("diff", "projection/u1", "projection/u1#7").code == 0
    assert sample("diff", "projection/u1#3").code == 1
    silenced = sample("diff", "projection/u1#3", "--no-exit-code")
    assert (silenced.code, silenced.out != "") == (0, True)
    (record,) = sample("diff", "projection/u1#3..6", "--path", "name", "--json").json
    assert (record["type"], record["changes"]) == ("diff", [])


def test_diff_writes_long_values_below_each_other(durproj):
    long = {"street": "Long Street 1", "city": "A city with a name of many letters", "zip": 1}
    fold(durproj, ("A", {"to": {}}), ("B", {"to": long}))
    shown = durproj("diff", "projection/u#1").out.split("\n")
    assert shown[2:] == [
        '+ to.street "Long Street 1"',
        '+ to.city "A city with a name of many letters"',
        "+ to.zip 1",
        "",
    ]
    fold(durproj, ("A", {"to": 1}), ("B", {"to": long}), name="p")
    assert durproj("diff", "p/u#1").out.split("\n")[2:] == [
        "~ to",
        "-   1",
        "+   {",
        '+     "street": "Long Street 1",',
        '+     "city": "A city with a name of many letters",',
        '+     "zip": 1',
        "+   }",
        "",
    ]


def test_diff_says_how_many_steps_lie_between_without_naming_all(durproj):
    fold(durproj, *(("A", {"n": n}) for n in range(30)))
    lines = durproj("diff", "projection/u#2..25").out.split("\n")
    assert (lines[2], lines[3], lines[12]) == ("    … 13 more", "    #16  A", "    #25  A")


def test_blame_is_the_state_with_its_events_beside_it(sample):
    done = sample("blame", "projection/u1")
    lines = done.out.rstrip("\n").split("\n")
    assert lines[1].split() == ["initial", "│", '"userId":', '"u1",']
    assert lines[3].split() == [
        *("#0", "2026-01-15T09:00:00Z", "UserRegistered", "evt_001", "│"),
        *('"email":', '"alice@example.com",'),
    ]
    assert len({line.index("│") for line in lines}) == 1
    state = json.loads("".join(line.partition("│")[2] for line in lines))
    (record,) = sample("inspect", "projection/u1", "--json").json
    assert state == record["state"]


def test_blame_of_any_state_is_that_state(durproj):
    odd = {"": {"a b": [[], {}, [1, {"x.y": None}]], "0": {"[1]": "│"}}, "é\n": [[[2.50]]]}
    fold(durproj, ("A", odd))
    lines = durproj("blame", "projection/u").out.rstrip("\n").split("\n")
    assert json.loads("".join(line.partition("│")[2] for line in lines)) == odd


def test_blame_of_a_path_is_its_life(sample):
    assert [
        line.split() for line in sample("blame", "projection/u1", "totalOrders").out.split("\n")
    ] == [
        ["initial", "+totalOrders", "0"],
        ["#3", "2026-01-15T09:20:00Z", "OrderPlaced", "evt_004", "totalOrders", "0→1"],
        ["#4", "2026-01-15T09:30:00Z", "OrderPlaced", "evt_005", "totalOrders", "1→2"],
        [],
    ]
    (record,) = sample("blame", "projection/u1", "/shippedOrders/0", "--json").json
    assert (record["step"], record["changes"][0]["path"]) == (5, "shippedOrders[0]")


def test_blame_names_the_initial_state_where_no_event_set_a_value(durproj):
    fold(durproj, ("A", {"n": 1}), initial='{"m":0,"n":0}')
    assert durproj("blame", "projection/u").out.split("\n")[1].startswith('initial    │   "m": 0')
    assert durproj("blame", "projection/u", "m").out.split() == ["initial", "+m", "0"]


@pytest.mark.parametrize("columns", [80, 100])
def test_blame_fits_the_terminal(tmp_path, columns):
    terminal = Terminal(tmp_path, columns)
    terminal("run", "-q")
    _, shown, _ = terminal("blame", "projection/u1")
    lines = [line for line in screen_of(shown, columns).display if line.strip()]
    assert len(lines) == 14
    assert all("│" in line for line in lines)
    assert ("09:00:00Z" in lines[3]) == (columns >= 100)


@pytest.mark.parametrize("columns", [80, 100, 140])
@pytest.mark.parametrize(
    "command",
    [
        ("find", "projection/u", "true", "--all", "-q"),
        ("blame", "projection/u", "last"),
        ("log", "projection/u"),
    ],
)
def test_a_step_is_one_line_of_a_terminal_whatever_the_event_and_the_state_hold(
    tmp_path, command, columns
):
    uuid = "6f1b2c3d-0a1b-4c2d-8e3f-123456789abc"
    log = "".join(
        json.dumps(
            {"id": f"{uuid}{n}", "type": "T" * 30, "user": "u", "time": f"2026-01-01T00:00:0{n}.5Z"}
            | {"last": f"2026-01-01T00:00:0{n}Z " * 3, "long_names_of_values": "x" * 50}
        )
        + "\n"
        for n in range(4)
    )
    (tmp_path / "log.jsonl").write_text(log)
    terminal = Terminal(tmp_path, columns)
    terminal("run", "log.jsonl", "--reducer", "merge", "--key", "user", "-q")
    _, shown, _ = terminal(*command)
    lines = [line for line in screen_of(shown, columns).display if line.strip()]
    assert [step for line in lines for step in re.findall(r"#(\d)", line)] == [*"0123"]
    assert len(lines) == 4, lines


@pytest.fixture
def trimmed(durproj):
    """Three steps, of which the last one is kept, and an initial state that a function made."""
    (durproj.folder / "by_key.py").write_text(BY_KEY)
    lines = [f'{{"user":"u","type":"T","id":"e{n}","n":{n}}}' for n in range(3)]
    (durproj.folder / "log.jsonl").write_text("\n".join(lines))
    durproj("run", "log.jsonl", "--reducer", "by_key.py:f", "--key", "user", "-q")
    return durproj


BY_KEY = """
def f(state, event):
    return {**state, "n": event.data["n"]}
f.initial = lambda key: {"key": key}
"""


def test_what_is_not_known_of_an_initial_state_is_said(trimmed):
    first = trimmed("log", "projection/u").out.split("\n")[0]
    assert first == '#0  T  e0  the initial state is not known  = {"key":"u","n":0}'
    result = trimmed("diff", "projection/u#0")
    assert result.code == 1
    assert "the initial state is not known: a function of the program's made it" in result.out
    assert "initial or #0" in trimmed("blame", "projection/u").out
    found = trimmed("find", "projection/u", "state.n == 0").out
    assert found == "projection/u#0  T  e0  the initial state is not known\n"


def test_what_is_not_kept_is_not_claimed(trimmed):
    trimmed("gc", "projection/u", "--keep-last", "1", "-q")
    assert "#2 or before" in trimmed("blame", "projection/u").out
    assert trimmed("find", "projection/u", "state.n > 0").out == (
        "projection/u#2  T  e2  the state before it is not kept\n"
    )
    assert trimmed("list", "--json").json[0]["kept_from"] == 2
    for args in (["projection/u#1"], ["projection/u", "--to", "1"]):
        result = trimmed("log", *args)
        assert (result.code, result.out) == (66, "")
        assert "no longer kept" in result.err
    trimmed("gc", "projection/u", "--keep-last", "0", "-q")
    assert "#2 or before" in trimmed("blame", "projection/u").out
    assert trimmed("diff", "projection/u#2", "projection/u").code == 0


@pytest.mark.parametrize("verb", ["log", "diff", "blame", "inspect"])
def test_a_step_beyond_the_end_is_not_found(sample, verb):
    result = sample(verb, "projection/u1#99")
    assert result.code == 66
    assert "projection/u1#99: no such step" in result.err
