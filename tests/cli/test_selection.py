"""--order, --dedupe and --seq as their users meet them."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from time import sleep

import pytest
from conftest import ROOT, environment

WIKI = ROOT.parent / "shared" / "data" / "wikiticker-2015-09-12-sampled.json.gz"

UNORDERED = """\
{"id":"e1","type":"Opened","user":"u1","time":"2024-05-01T10:00:00Z","n":1}
{"id":"e2","type":"Closed","user":"u1","time":"2024-05-01T12:00:00+01:00","n":6}
{"id":"e3","type":"Paid","user":"u1","time":"2024-05-01T10:30:00Z","n":3}
{"id":"e1","type":"Opened","user":"u1","time":"2024-05-01T10:00:00Z","n":1}
"""
LATE = '{"id":"e4","type":"Late","user":"u1","time":"2024-05-01T10:15:00Z","n":2}\n'


@pytest.fixture
def log(durproj):
    path = durproj.folder / "log.jsonl"
    path.write_text(UNORDERED)
    return path


def test_ids_in_a_path_that_leads_nowhere_are_a_wrong_option(durproj, log):
    args = ["run", "log.jsonl", "--reducer", "counts", "--dedupe", "id"]
    done = durproj(*args, "--id", "no\x1bsuch")
    assert (done.code, done.out) == (2, "")
    assert (
        "durproj: --dedupe id: the first 4 lines have no id in 'no\\x1bsuch'\n"
        "  say where: --id PATH; or fold with --dedupe none\n"
    ) in done.err


def test_a_followed_log_may_go_on_with_lines_that_have_no_id(durproj, log):
    args = ["run", "log.jsonl", "--follow", "--reducer", "counts", "--dedupe", "id"]
    log.write_text('{"id":"e1","type":"Opened","user":"u1"}\n')
    command = [sys.executable, "-m", "durproj", *args]
    with subprocess.Popen(command, cwd=durproj.folder, env=environment()) as following:
        while following.poll() is None and durproj("inspect", "projection/u1").code:
            sleep(0.05)
        following.terminate()
    log.unlink()
    log.write_text('{"type":"Noted","user":"u1"}\n' * 2)
    done = durproj(*args, "--rotated", "--crash", "2")
    assert done.code == 3, done.err
    assert types(durproj) == ["Opened", "Noted"]


def types(durproj, id="projection/u1"):
    """The types of the events of a workflow, step after step."""
    steps = durproj("inspect", id, "--json").json[0]["steps"]
    found = [durproj("inspect", id, "--step", n, "--json").json[0] for n in range(steps)]
    return [step["event"]["type"] for step in found]


@pytest.mark.parametrize("feed", ["file", "gzip", "pipe"])
@pytest.mark.parametrize("key", ["user", ""])
@pytest.mark.parametrize("order", [["time"], ["seq", "--seq", "n"]])
def test_events_are_taken_in_their_order_from_any_input(durproj, log, feed, key, order):
    name, data = "log.jsonl", log.read_bytes()
    if feed == "gzip":
        log.write_bytes(gzip.compress(data))
    if feed == "pipe":
        name = "-"
    args = [name, "--key", key, "--user", "u1", "--reducer", "counts", "--dedupe", "id"]
    done = durproj("run", *args, "--order", *order, "--json", input=data if feed == "pipe" else b"")
    assert done.code == 0
    assert types(durproj) == ["Opened", "Paid", "Closed"]
    summary = done.json[-1]
    assert (summary["duplicates"], summary["reordered"]) == (1, 1)
    assert "durproj: out of order in the log: 1 event\n" in done.err


def test_people_are_told_of_duplicates_order_and_gaps(durproj, log):
    args = ["run", "log.jsonl", "--reducer", "counts", "--dedupe", "id", "--seq", "n", "--stable"]
    done = durproj(*args)
    assert (
        "projection/u1  resolved  3 steps (3 executed, 0 cached), 1 duplicate dropped\n" in done.out
    )
    gaps = "gaps in the sequence: 3 missing, first after 1 in projection/u1; 1 back"
    assert f"durproj: {gaps}\n" in done.err
    with log.open("a") as file:
        file.write(UNORDERED.replace("u1", "u2"))
    done = durproj("run", "--stable")
    assert "\n2 projections, 6 events: 3 executed, 3 cached, 2 duplicates dropped\n" in done.out
    again = durproj("run", "--stable", "--json")
    assert again.json[-1]["duplicates"] == 2
    assert again.json[-1]["gaps"]["missing"] == 6
    assert durproj("run", "--quiet").err == ""


def test_without_the_options_the_summary_says_nothing_of_them(durproj, log):
    summary = durproj("run", "log.jsonl", "--reducer", "counts", "--json").json[-1]
    assert not {"duplicates", "reordered", "gaps"} & set(summary)


def test_an_event_that_comes_late_is_refused_with_the_way_on(durproj, log):
    args = ["run", "log.jsonl", "--reducer", "counts", "--order", "time", "--dedupe", "id"]
    assert durproj(*args).code == 0
    with log.open("a") as file:
        file.write(LATE)
    done = durproj("run")
    assert (done.code, done.out) == (4, "")
    assert done.err == (
        "durproj: projection/u1#1: the past changed\n"
        '    recorded: {"id":"e3","type":"Paid","user":"u1","time":"2024-05-01T10:30:00Z","n":3}\n'
        '    now:      {"id":"e4","type":"Late","user":"u1","time":"2024-05-01T10:15:00Z","n":2}\n'
        "              it came late: by --order time it is before the recorded event\n"
        "  drop the steps from 1 on with rewind, and run again\n"
        "  fold again from the start:  durproj run --restart …\n"
        "  keep both:  durproj run --name OTHER …\n"
        "  to rewind:  durproj rewind 'projection/u1#0'\n"
    )
    assert durproj("rewind", "projection/u1#0").code == 0
    assert durproj("resume").code == 0
    assert types(durproj) == ["Opened", "Late", "Paid", "Closed"]


def test_an_edited_event_is_not_taken_for_a_late_one(durproj, log):
    args = ["run", "log.jsonl", "--reducer", "counts", "--order", "time"]
    assert durproj(*args).code == 0
    log.write_text(UNORDERED.replace("Paid", "Paip"))
    done = durproj("run")
    assert done.code == 4
    assert 'type = "Paip"' in done.err
    assert "late" not in done.err


def test_a_crashed_run_in_order_is_resumed_to_the_same_bytes(durproj, log):
    for folder in ("one", "two"):
        (durproj.folder / folder).mkdir()
        (durproj.folder / folder / "log.jsonl").write_text(UNORDERED + LATE)
    args = ["run", "log.jsonl", "--reducer", "counts", "--order", "time", "--dedupe", "id"]
    one, two = durproj.folder / "one", durproj.folder / "two"
    assert durproj(*args, cwd=one).code == 0
    assert durproj(*args, "--crash", "2", "--crash-with", "KILL", cwd=two).code == -9
    assert durproj("resume", cwd=two).code == 0
    shown = [
        durproj("inspect", "projection/u1", "--json", "--stable", cwd=at).out for at in (one, two)
    ]
    assert shown[0] == shown[1]


@pytest.mark.parametrize(
    ("lines", "options", "error"),
    [
        (
            ['{"user":"u","time":1}', '{"user":"u","time":"2024-01-01"}'],
            ["--order", "time"],
            ("log.jsonl:2: byte 22: the time is a time without a zone, after a number in the same stream\n"
            "  mend the line, say where to look with --time PATH, or fold with --order file\n"),
        ),
        (
            ['{"user":"u","no":"7"}', "", '{"user":"u"}'],
            ["--order", "seq", "--seq", "no"],
            ("log.jsonl:3: byte 23: the line has no sequence number\n"
            "  mend the line, say where to look with --seq PATH, or fold with --order file\n"),
        ),
        (
            ['{"user":"u","id":"\\u001b[31m"}', '{"user":"u","id":"\\u001b[31m","more":1}'],
            ["--dedupe", "id"],
            ('log.jsonl:2: byte 31: the id "\\u001b[31m" was there before with other bytes: log.jsonl:1\n'
            "  an event that comes again must be the same: mend one of the two, or fold with --dedupe none\n"),
        ),
    ],
)  # fmt: skip
def test_what_has_no_place_is_a_bad_line(durproj, log, lines, options, error):
    log.write_text("".join(f"{line}\n" for line in lines))
    done = durproj("run", "log.jsonl", "--reducer", "counts", *options)
    assert done.code == 65
    assert done.err.endswith(f"durproj: {error}")


def test_an_order_that_nothing_is_known_of_is_a_wrong_use(durproj, log):
    log.write_text('{"user":"u"}\n')
    done = durproj("run", "log.jsonl", "--order", "seq")
    assert done.code == 2
    assert done.err.endswith(
        "durproj: --order seq: no field is known to hold the sequence number\n"
        "  say where: --seq PATH; or fold with --order file\n"
    )
    done = durproj("run", "log.jsonl", "--dedupe", "id", "--id", "no.such")
    assert "durproj: --dedupe id: the first line has no id in no.such\n" in done.err


def test_stats_shows_the_gaps_of_a_sequence_that_is_named(durproj, log):
    shown = durproj("stats", "log.jsonl", "--seq", "n").out
    assert "sequence    3 missing, first after 1 in u1; 1 repeated, 1 back\n" in shown
    found = durproj("stats", "log.jsonl", "--seq", "n", "--json").json[0]["gaps"]
    assert found == {"missing": 3, "repeated": 1, "back": 1, "first": {"id": "u1", "after": 1}}
    assert "gaps" not in durproj("stats", "log.jsonl", "--json").json[0]


@pytest.mark.skipif(not WIKI.exists(), reason="the real data is not here (../shared/data)")
def test_a_day_of_wikipedia_in_the_order_of_its_times(durproj):
    edits = {}
    with gzip.open(WIKI, "rt", encoding="utf-8") as file:
        for line in file:
            edit = json.loads(line)
            edits.setdefault(edit["channel"], []).append((edit["time"], edit["page"]))
    # They are all written in one way, so that text order is the order of time.
    late = 0
    for pages in edits.values():
        most = ""
        for time, _ in pages:
            late += time < most
            most = max(most, time)
    (durproj.folder / "last.py").write_text(
        "def pages(state, event):\n"
        "    return (state + [event.body['page']])[-50:]\n"
        "pages.initial = []\n"
    )
    args = [WIKI, "--key", "channel", "--reducer", "last.py:pages", "--order", "time"]
    done = durproj("run", *args, "--durability", "batch", "--json")
    assert done.code == 0
    states = {
        record["id"]: record["state"] for record in done.json if record["type"] == "projection"
    }
    assert states == {
        f"projection/{channel.replace('#', '%23')}": [
            page for _, page in sorted(pages, key=lambda edit: edit[0])
        ][-50:]
        for channel, pages in edits.items()
    }
    assert done.json[-1]["reordered"] == late > 0


def test_a_stream_that_breaks_off_at_a_conflict_is_pending(durproj, log):
    log.write_text(UNORDERED + '{"id":"e3","type":"Paid","user":"u1","amount":5}\n')
    done = durproj("run", "log.jsonl", "--reducer", "counts", "--dedupe", "id", "--json")
    assert done.code == 65
    assert [(record["id"], record["status"], record["steps"]) for record in done.json[1:-1]] == [
        ("projection/u1", "pending", 3)
    ]
