"""Where events come from, which of them are wanted, and what a bad line does and does not do."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
import time
from collections import Counter, defaultdict

import pytest
from conftest import ROOT, environment

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

DATA = ROOT.parent / "shared" / "data"
LINES = [
    {"user": "a", "type": "T", "n": 1},
    {"user": "b", "type": "T", "n": 2},
    {"user": "a", "type": "U", "n": 3},
    {"user": "c", "type": "U", "n": 4},
]


def text(lines):
    return "".join(json.dumps(line) + "\n" for line in lines).encode()


@pytest.fixture
def folder(durproj):
    (durproj.folder / "log.jsonl").write_bytes(text(LINES))
    return durproj.folder


def states(durproj, *args, **options):
    """The final state of every projection of a run, by id."""
    done = durproj("run", *args, "--json", **options)
    assert done.code == 0, done.err
    return {
        record["id"].partition("/")[2]: record["state"]
        for record in done.json
        if record["type"] == "projection"
    }


def numbers(durproj, *args, **options):
    return {key: state["n"] for key, state in states(durproj, *args, **options).items()}


MERGE = ("--reducer", "merge")


def test_several_files_are_one_log_in_the_order_given(durproj, folder):
    (folder / "1.jsonl").write_bytes(text(LINES[:2]))
    (folder / "2.jsonl").write_bytes(text(LINES[2:]).rstrip(b"\n"))
    assert numbers(durproj, "1.jsonl", "2.jsonl", *MERGE) == {"a": 3, "b": 2, "c": 4}
    assert numbers(durproj, "2.jsonl", "1.jsonl", *MERGE, "--name", "x") == {"a": 1, "b": 2, "c": 4}


def test_a_glob_stands_for_its_files_sorted_by_name(durproj, folder):
    (folder / "part-2.jsonl").write_bytes(text(LINES[2:]))
    (folder / "part-1.jsonl").write_bytes(text(LINES[:2]))
    assert numbers(durproj, "part-*.jsonl", *MERGE) == {"a": 3, "b": 2, "c": 4}


@pytest.mark.parametrize("pack", [bytes, gzip.compress, zstd.compress], ids=["plain", "gz", "zst"])
def test_standard_input_and_files_are_unpacked_by_content_not_by_name(durproj, folder, pack):
    packed = pack(text(LINES))
    (folder / "log.dat").write_bytes(packed)
    expected = {"a": 3, "b": 2, "c": 4}
    assert numbers(durproj, "log.dat", *MERGE) == expected
    assert numbers(durproj, "-", *MERGE, "--name", "stdin", input=packed) == expected
    assert numbers(durproj, "-", *MERGE, "--name", "one", "--user", "a", input=packed) == {"a": 3}


def test_standard_input_that_stopped_at_a_bad_line_goes_on_when_it_is_given_again(durproj, folder):
    bad = text(LINES[:2]) + b"oops\n"
    assert durproj("run", "-", *MERGE, input=bad).code == 65
    done = durproj("resume")  # reads what came, with the bad line in it
    assert (done.code, ".input-1.part:3: byte" in done.err) == (65, True), done.err
    again = durproj("run", "-", *MERGE, "--json", input=text(LINES))
    assert (again.code, again.json[-1]["cached"], again.json[-1]["executed"]) == (0, 2, 2)
    assert durproj("resume").out == ""
    assert not list(folder.glob("*.input-*"))


def test_a_crash_in_a_pipe_can_be_resumed_from_what_came_through_it(durproj, folder):
    done = durproj("run", "-", *MERGE, "--crash", 1, input=text(LINES))
    assert done.code == 3
    assert "go on with: durproj resume  (with what has come so far)\n" in done.err
    assert done.err.endswith("  or the same command, given the same input\n")
    assert len(list(folder.glob("durproj.db.input-*"))) == 1
    done = durproj("resume", "--json")
    assert (done.code, done.json[-1]["cached"], done.json[-1]["executed"]) == (0, 1, 3)
    assert not list(folder.glob("*.input-*"))


def test_input_that_is_refused_does_not_cost_the_copy_that_a_crash_left(durproj, folder):
    assert durproj("run", "-", *MERGE, "--crash", 1, input=text(LINES)).code == 3
    assert durproj("run", "-", *MERGE, input=text(LINES[::-1][:2])).code == 4
    done = durproj("resume", "--json")
    assert (done.code, done.json[-1]["events"]) == (0, 4)


def test_without_events_the_variable_then_the_last_read_then_the_sample(durproj, folder):
    (folder / "other.jsonl").write_bytes(text(LINES[:2]))
    env = {"DURPROJ_EVENTS": "log.jsonl"}
    assert durproj("run", "--json", "--store", "s.db").json[0]["input"] == "durproj:sample"
    assert durproj("run", *MERGE, "--json", env=env).json[0]["input"] == "log.jsonl"
    assert durproj("run", *MERGE, "--json").json[0]["input"] == "log.jsonl"
    durproj("run", "other.jsonl", *MERGE, "--name", "o")
    assert durproj("run", *MERGE, "--name", "o", "--json").json[0]["input"] == "other.jsonl"
    named = durproj("run", "other.jsonl", *MERGE, "--name", "o", "--json", env=env)
    assert named.json[0]["input"] == "other.jsonl"


def test_the_store_may_be_named_by_the_environment(durproj, folder):
    env = {"DURPROJ_STORE": "mine.db"}
    done = durproj("run", "--crash", "1", env=env)
    assert (done.code, "go on with: durproj resume\n" in done.err) == (3, True)
    assert (folder / "mine.db").exists()
    assert not (folder / "durproj.db").exists()
    assert durproj("resume", "--json", env=env).json[-1]["cached"] == 1


def test_user_filters_when_lines_carry_a_key(durproj, folder):
    assert numbers(durproj, "log.jsonl", *MERGE, "--user", "a") == {"a": 3}
    assert numbers(durproj, "log.jsonl", *MERGE, "--user", "b", "--user", "c") == {"b": 2, "c": 4}
    assert [record["id"] for record in durproj("list", "--json").json] == [
        *("projection/a", "projection/b", "projection/c")
    ]


def test_user_labels_the_whole_log_when_no_line_has_a_key_and_says_so(durproj, folder):
    (folder / "log.jsonl").write_bytes(text([{"type": "T", "n": 1}, {"type": "T", "n": 2}]))
    done = durproj("run", "log.jsonl", *MERGE, "--user", "me", "--json")
    assert done.json[1]["id"] == "projection/me"
    assert done.json[1]["steps"] == 2
    assert "no line has a key: the whole log is one stream, projection/me" in done.err


def test_no_line_with_the_key_asked_for_is_66_with_some_that_are_there(durproj, folder):
    many = [{"user": f"u{n}", "type": "T"} for n in range(50)]
    (folder / "many.jsonl").write_bytes(text(many))
    done = durproj("run", "many.jsonl", *MERGE, "--user", "nobody")
    assert (done.code, done.out) == (66, "")
    assert 'many.jsonl: no event has the key "nobody"' in done.err
    assert done.err.split("\n")[-2].startswith('  keys that are there: "u0", "u1"')
    assert done.err.count('"u') == 10
    assert durproj("list").out == ""


def test_how_the_log_is_read_is_said_on_stderr_and_can_be_told(durproj, folder):
    lines = [
        {"meta": {"who": {"id": 7}, "when": 1}, "kind": "A", "n": "x1", "body": {"v": 1}},
        {"meta": {"who": {"id": 8}, "when": 2}, "kind": "B", "n": "x2", "body": {"v": 2}},
    ]
    (folder / "deep.jsonl").write_bytes(text(lines))
    told = ["--key", "meta.who.id", "--type", "/kind", "--id", "n", "--time", "meta.when"]
    done = durproj("run", "deep.jsonl", *told, "--data", "body", *MERGE, "--json", "-v")
    assert done.code == 0
    assert "id=n type=/kind key=meta.who.id time=meta.when data=body" in done.err
    steps = [record for record in done.json if record["type"] == "step"]
    assert [(step["id"], step["event"]) for step in steps] == [
        ("projection/7", {"id": "x1", "type": "A"}),
        ("projection/8", {"id": "x2", "type": "B"}),
    ]
    assert [record["state"] for record in done.json if "state" in record] == [{"v": 1}, {"v": 2}]


def test_a_line_without_a_key_is_an_error_that_says_what_to_do(durproj, folder):
    (folder / "log.jsonl").write_bytes(text([LINES[0], {"type": "T", "n": 9}, LINES[2]]))
    done = durproj("run", "log.jsonl", *MERGE, "--key", "user", "--store", "s.db")
    assert done.code == 65
    assert f"log.jsonl:2: byte {len(text(LINES[:1]))}: the line has no key" in done.err
    assert "--no-key skip" in done.err
    assert "--no-key NAME" in done.err
    skipped = durproj("run", "log.jsonl", *MERGE, "--key", "user", "--no-key", "skip")
    assert skipped.code == 0
    assert "1 lines without a key" not in skipped.err
    assert "left out: 1 line without a key" in skipped.err
    named = numbers(
        durproj, "log.jsonl", *MERGE, "--key", "user", "--no-key", "none", "--name", "x"
    )
    assert named == {"a": 3, "none": 9}


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        (b'{"user":"a","type":"T"', "the line ends early"),
        (b'{"user":"a","n":NaN}', "NaN"),
        (b'{"user":"a","n":18446744073709551616}', "does not fit 64 bits"),
        (b'["user","a"]', "array"),
        (b'{"user":"a","x":"\xff"}', "UTF-8"),
        (b'{"user":' + b"[" * 2000 + b"]" * 2000 + b"}", "too deep"),
        (b'{"user":{"x":1}}', "the key (user) is an object"),
        (b'{"user":"a","type":1.5}', "the type is a number with a fraction"),
    ],
    ids=["cut", "nan", "65 bits", "array", "not utf-8", "deep", "key", "type"],
)
@pytest.mark.parametrize("only", [[], ["--user", "a"]], ids=["all", "one"])
def test_what_stands_before_a_bad_line_is_safe_and_goes_on_once_it_is_mended(
    durproj, folder, bad, why, only
):
    # The key is named: the sample that it would be found in ends at the bad line.
    args = ["log.jsonl", *MERGE, "--key", "user", "--type", "type", *only, "--json"]
    good = text(LINES[:3])
    (folder / "log.jsonl").write_bytes(good + bad + b"\n" + text(LINES[3:]))
    done = durproj("run", *args)
    assert done.code == 65
    place = f"log.jsonl:4: byte {len(good)}: "
    assert place in done.err
    assert why in done.err.partition(place)[2]
    (a,) = durproj("inspect", "projection/a", "--json").json
    assert (a["status"], a["steps"], a["state"]["n"]) == ("pending", 2, 3)
    assert durproj("resume", "--json").code == 65
    (folder / "log.jsonl").write_bytes(good + b'{"user":"a","type":"T","n":5}\n' + text(LINES[3:]))
    resumed = durproj("resume", "--json")
    assert (resumed.code, resumed.json[-1]["executed"]) == (0, 1 if only else 2)
    assert durproj("inspect", "projection/a", "--json").json[0]["state"]["n"] == 5


def test_blank_lines_are_no_error_and_a_line_too_long_is(durproj, folder):
    (folder / "log.jsonl").write_bytes(b"\n  \r\n" + text(LINES) + b"\n\n")
    assert numbers(durproj, "log.jsonl", *MERGE) == {"a": 3, "b": 2, "c": 4}
    done = durproj("run", "log.jsonl", *MERGE, "--max-line", 20, "--name", "x")
    assert done.code == 65
    assert "log.jsonl:3: byte 5: " in done.err


def test_an_empty_log_is_nothing_to_do(durproj, folder):
    (folder / "empty.jsonl").write_bytes(b"")
    done = durproj("run", "empty.jsonl", "--key", "user")
    assert (done.code, done.out) == (0, "")
    assert done.err.endswith("durproj: nothing to do: there are no events\n")


WIKI = DATA / "wikiticker-2015-09-12-sampled.json.gz"
ZEEK = DATA / "zeek.jsonl"


@pytest.mark.skipif(not WIKI.exists(), reason="the real data is not here (../shared/data)")
def test_a_day_of_wikipedia_comes_to_what_an_independent_count_says(durproj, folder):
    edits, sums = Counter(), Counter()
    with gzip.open(WIKI, "rt", encoding="utf-8") as file:
        for line in file:
            edit = json.loads(line)
            edits[edit["user"]] += 1
            sums[edit["user"]] += edit["delta"]
    (folder / "delta.py").write_text(
        "def total(state, event):\n"
        "    return {'sum': state['sum'] + event.data['delta']}\n"
        "total.initial = {'sum': 0}\n"
    )
    args = (WIKI, "--key", "user", "--durability", "batch")
    counted = states(durproj, *args, "--reducer", "counts")
    assert {user: state["events"] for user, state in counted.items()} == dict(edits)
    summed = states(durproj, *args, "--reducer", "delta.py:total", "--name", "delta")
    assert {user: state["sum"] for user, state in summed.items()} == dict(sums)
    again = durproj("run", *args, "--reducer", "counts", "--json").json[-1]
    assert (again["executed"], again["cached"]) == (0, sum(edits.values()))


@pytest.mark.skipif(not ZEEK.exists(), reason="the real data is not here (../shared/data)")
def test_a_network_log_with_keys_missing_comes_to_what_an_independent_count_says(durproj, folder):
    types, without = defaultdict(Counter), 0
    for line in ZEEK.read_bytes().splitlines():
        record = json.loads(line)
        if "uid" in record:
            types[record["uid"]][record["@stream"]] += 1
        else:
            without += 1
    args = [ZEEK, "--key", "uid", "--no-key", "skip", "--type", "@stream"]
    done = durproj("run", *args, "--reducer", "counts", "--durability", "batch", "--json")
    assert done.code == 0
    assert f"left out: {without:,} lines without a key" in done.err
    found = {
        record["id"].partition("/")[2]: record["state"]["types"]
        for record in done.json
        if record["type"] == "projection"
    }
    assert found == {uid: dict(counts) for uid, counts in types.items()}


@pytest.mark.parametrize("durability", ["step", "batch"])
def test_what_came_through_a_pipe_is_committed_while_the_pipe_stays_open(durproj, durability):
    command = [
        *(sys.executable, "-m", "durproj", "run", "-"),
        "--reducer",
        "counts",
        "--durability",
        durability,
    ]
    with subprocess.Popen(
        command,
        cwd=durproj.folder,
        env=environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as running:
        running.stdin.write(b"".join(b'{"type":"T","n":%d}\n' % n for n in range(150)))
        running.stdin.flush()
        deadline = time.monotonic() + 60
        seen = 0
        while seen < 150 and time.monotonic() < deadline:
            found = durproj("inspect", "projection/all", "--json")
            seen = found.json[0]["steps"] if found.code == 0 else 0
        assert (seen, running.poll()) == (150, None)
        running.stdin.close()
        assert running.wait(60) == 0
