"""The report as a command and a call: what it takes, what it writes, and what it refuses."""

from __future__ import annotations

import json
import os
import re
import shutil
import sqlite3
import stat

import pytest
from conftest import CommandLine

import durproj as library
from durproj.stores.journal import Journal
from durproj.stores.sqlite import SqliteStore


@pytest.fixture(scope="module")
def crashed(tmp_path_factory):
    """A store of the sample, that crashed at step 5 and was resumed."""
    durproj = CommandLine(tmp_path_factory.mktemp("crashed"))
    assert durproj("run", "--crash", 5).code == 3
    assert durproj("resume").code == 0
    return durproj.folder / "durproj.db"


@pytest.fixture
def sample(durproj, crashed):
    shutil.copy(crashed, durproj.folder)
    return durproj


def page(durproj, name="report.html"):
    return (durproj.folder / name).read_text(encoding="utf-8")


def test_it_writes_one_page_and_says_what_is_in_it(sample):
    done = sample("report", "projection/u1")
    assert (done.code, done.out) == (0, "")
    assert re.fullmatch(r"durproj: report\.html: 1 workflow, 8 steps, \d+ kB\n", done.err)
    assert page(sample).startswith("<!doctype html>\n<html")
    assert sample("report", "projection/u1", "-q").err == ""


def test_the_record_says_what_is_shown(sample):
    done = sample("report", "projection/u1", "-o", "r.html", "--last", 3, "--json")
    assert done.json == [
        {
            "type": "report",
            "path": "r.html",
            "bytes": len((sample.folder / "r.html").read_bytes()),
            "workflows": [
                {"id": "projection/u1", "status": "resolved", "steps": 8, "from": 5, "to": 7}
            ],
        }
    ]
    assert (
        library.report(
            "projection/u1", sample.folder / "r.html", store=sample.folder / "durproj.db", last=3
        )["workflows"]
        == done.json[0]["workflows"]
    )


def test_the_same_store_gives_the_same_bytes(sample):
    for name in ("a.html", "b.html"):
        assert sample("report", "projection/u1", "-o", name).code == 0
    assert page(sample, "a.html") == page(sample, "b.html")


@pytest.mark.parametrize(
    ("args", "steps"),
    [
        ([], range(8)),
        (["--last", 2], range(6, 8)),
        (["--from", 2, "--to", 4], range(2, 5)),
        (["--from", 6], range(6, 8)),
        (["--to", 3], range(4)),
        (["--to", 3, "--last", 2], range(2, 4)),
        (["--to", 99], range(8)),
    ],
)
def test_steps_are_chosen(sample, args, steps):
    assert sample("report", "projection/u1", *args).code == 0
    text = page(sample)
    assert re.findall(r'<li id="w0-s(\d+)"', text) == [*map(str, steps)]
    assert ("This page shows steps" in text) is (len(steps) < 8)
    assert f"State after step {steps[-1]}" in text


@pytest.mark.parametrize(
    ("args", "code", "said"),
    [
        (["projection/u2"], 66, "projection/u2: no such workflow in durproj.db"),
        (["nonsense"], 2, "'nonsense' is not a workflow id"),
        (["projection/u1", "--from", 8], 66, "projection/u1#8: no such step"),
        (["projection/u1", "--from", 5, "--to", 4], 2, "--from 5 is behind --to 4"),
        (["projection/u1", "--from", 5, "--last", 4], 2, "--from and --last both"),
        (["projection/u1", "--last", 0], 2, "--last"),
        ([], 2, "ID"),
        (
            ["projection/u1", "-o", "no/such/r.html"],
            74,
            "no/such/r.html: cannot be written: No such file",
        ),
        (["projection/u1", "-o", "."], 2, ". is no file"),
        (["projection/u1", "--store", "none.db"], 66, "none.db"),
    ],
)
def test_what_cannot_be_done_is_said(sample, args, code, said):
    done = sample("report", *args)
    assert (done.code, done.out) == (code, "")
    assert said in done.err
    assert "Traceback" not in done.err
    assert {path.name for path in sample.folder.iterdir()} == {"durproj.db"}


@pytest.mark.parametrize("how", ["the file", "a link"])
@pytest.mark.parametrize("holds", ["the store", "a log"])
def test_what_is_no_page_is_not_overwritten(sample, holds, how):
    target = sample.folder / ("durproj.db" if holds == "the store" else "log.jsonl")
    if holds == "a log":
        target.write_text('{"user":"u1"}\n')
    before = target.read_bytes()
    name = target.name
    if how == "a link":
        name = "link.html"
        (sample.folder / name).symlink_to(target)
    done = sample("report", "projection/u1", "-o", name)
    assert done.code == 2
    assert f"{name} is there, and is no web page: it is left as it is" in done.err
    assert target.read_bytes() == before


def test_a_device_is_not_replaced(sample):
    os.mkfifo(sample.folder / "pipe")
    done = sample("report", "projection/u1", "-o", "pipe")
    assert done.code == 2
    assert stat.S_ISFIFO((sample.folder / "pipe").stat().st_mode)


def test_an_older_page_is_replaced_at_once_also_behind_a_link(sample):
    folder = sample.folder / "out"
    folder.mkdir()
    (sample.folder / "r.html").symlink_to(folder / "real.html")
    assert sample("report", "projection/u1", "-o", "r.html", "--last", 1).code == 0
    first = (folder / "real.html").stat().st_ino
    assert sample("report", "projection/u1", "-o", "r.html").code == 0
    assert (folder / "real.html").stat().st_ino != first
    assert 'id="w0-s0"' in page(sample, "r.html")
    assert [path.name for path in folder.iterdir()] == ["real.html"]
    assert (sample.folder / "r.html").is_symlink()


def test_damage_is_reported_and_the_page_of_before_stays(sample):
    assert sample("report", "projection/u1").code == 0
    before = page(sample)
    with sqlite3.connect(sample.folder / "durproj.db") as store:
        store.execute("UPDATE step SET output = x'7b7d' WHERE step = 2")
        store.execute("UPDATE segment SET packed = x'00'")
    store.close()
    done = sample("report", "projection/u1", "--last", 1)
    assert done.code == 74
    assert "the store is damaged" in done.err
    assert page(sample) == before


def test_a_page_names_no_other_place(sample):
    sample("report", "projection/u1")
    text = page(sample)
    assert not re.search(r"(?:src|href|url|srcset|action)\s*[=(]\s*[\"']?(?!#)[a-z/]", text)
    assert "://" not in text


def test_every_state_is_read_once(sample, monkeypatch):
    from durproj.stores import loading

    (sample.folder / "log.jsonl").write_text('{"user":"a","type":"T"}\n' * 2000)
    assert (
        sample("run", "log.jsonl", "--reducer", "counts", "--durability", "batch", "-q").code == 0
    )
    unpacked = []
    unpack = loading.unpack
    monkeypatch.setattr(loading, "unpack", lambda *args: unpacked.append(1) or unpack(*args))
    path = sample.folder / "r.html"
    library.report("projection/a", path, store=sample.folder / "durproj.db", last=10)
    few = len(unpacked)
    unpacked.clear()
    library.report("projection/a", path, store=sample.folder / "durproj.db", last=1500)
    assert few <= 2
    assert len(unpacked) <= 8


def test_a_thousand_steps_of_an_account_make_less_than_two_megabytes(durproj):
    kinds = ["OrderPlaced", "OrderShipped", "ProfileUpdated"]
    lines = [
        {
            "id": f"evt_{n:05}",
            "type": kinds[n % 3],
            "userId": "u1",
            "timestamp": f"2024-01-01T00:{n // 60 % 60:02}:{n % 60:02}Z",
            "data": {"orderId": f"ord_{n - n % 3}", "total": n, "name": f"Name {n}"},
        }
        for n in range(1500)
    ]
    (durproj.folder / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert durproj("run", "log.jsonl", "--durability", "batch", "-q").code == 0
    done = durproj("report", "projection/u1", "--json")
    assert done.code == 0
    assert done.json[0]["workflows"][0] | {"status": ""} == {
        "id": "projection/u1", "status": "", "steps": 1500, "from": 500, "to": 1499,
    }  # fmt: skip
    assert done.json[0]["bytes"] < 2_000_000


PROGRAM = """
import durproj
def price(order): return {"order": order, "amount": 5}
def charge(order): raise ValueError("no <b>funds</b>")
def checkout(ctx, order):
    found = yield ctx.run(price, order)
    try:
        yield ctx.run(charge, order)
    except durproj.StepFailed as failed:
        return f"declined: {failed.kind}"
durproj.run("checkout/A-17", checkout, "A-17", store="durproj.db")
"""


def test_a_program_is_shown_as_what_its_steps_were_given_and_returned(durproj, monkeypatch):
    monkeypatch.chdir(durproj.folder)
    exec(compile(PROGRAM, "program.py", "exec"), {"__name__": "program"})
    assert durproj("report", "checkout/A-17").code == 0
    text = page(durproj)
    assert re.findall(r'<bdi class="type">(\w+)', text) == ["price", "charge"]
    assert "ValueError: no &lt;b&gt;funds&lt;/b&gt;" in text
    assert "declined: ValueError" in text
    assert ">Result<" in text


def test_a_workflow_without_steps_has_a_page(durproj):
    (durproj.folder / "log.jsonl").write_text('{"user":"a","type":"T"}\n')
    (durproj.folder / "r.py").write_text("def f(state, event):\n    raise ValueError('bad')\n")
    durproj("run", "log.jsonl", "--reducer", "r.py:f", "--on-error", "park")
    done = durproj("report", "projection/a", "--json")
    assert done.code == 0
    assert done.json[0]["workflows"][0]["from"] is None
    assert "ValueError: bad" in page(durproj)


def test_the_first_step_made_all_of_a_state_that_began_unknown(durproj):
    (durproj.folder / "log.jsonl").write_text('{"user":"a","type":"T"}\n' * 2)
    (durproj.folder / "r.py").write_text(
        "def f(state, event):\n    return state | {'n': state['n'] + 1}\n"
        "f.initial = lambda key: {'key': key, 'n': 0}\n"
    )
    assert durproj("run", "log.jsonl", "--reducer", "r.py:f").code == 0
    durproj("report", "projection/a")
    blame = re.findall(
        r'class="blame"[^>]*>(#\d|start)<[^>]*><span class="text">\s*("\w+")', page(durproj)
    )
    assert blame == [("start", '"key"'), ("#1", '"n"')]
    assert page(durproj).count("the state before it is not known") == 1


@pytest.fixture
def trimmed(durproj):
    """The command line beside a store of 600 steps of `projection/a`, of which those from 256 on are kept."""
    log = durproj.folder / "log.jsonl"
    log.write_text("".join(f'{{"user":"a","type":"T","id":"e{n}"}}\n' for n in range(600)))
    store = durproj.folder / "durproj.db"
    library.fold(log, reducer="counts", store=store, durability="batch")
    for _ in library.gc(store=store, keep_last=200):
        pass
    return durproj


@pytest.mark.parametrize("args", [["--from", 5], ["--to", 5], ["--from", 5, "--to", 9]])
def test_steps_that_are_not_kept_are_told(trimmed, args):
    done = trimmed("report", "projection/a", *args)
    assert (done.code, done.out) == (66, "")
    assert "projection/a#5: no longer kept: durproj gc dropped the first 256 steps" in done.err
    assert not (trimmed.folder / "report.html").exists()


def test_only_what_is_kept_can_be_left_out(trimmed):
    told = trimmed("report", "projection/a", "--last", 8).err
    assert "256 steps no longer kept\n" in told
    assert "336 steps left out; --from, --to and --last choose" in told
    record = library.report(
        "projection/a", trimmed.folder / "r.html", store=trimmed.folder / "durproj.db", first=256
    )
    assert record["workflows"] == [
        {"id": "projection/a", "status": "resolved", "steps": 600, "kept_from": 256, "from": 256, "to": 599}
    ]  # fmt: skip


def test_a_state_is_shown_though_none_of_its_steps_is_kept(trimmed):
    opened = SqliteStore.open_writer(trimmed.folder / "durproj.db")
    Journal.open(opened, "projection/a").trim(0)
    opened.close()
    assert trimmed("report", "projection/a").code == 0
    text = page(trimmed)
    assert re.findall(r'class="text">\s*"T": (\d+)', text) == ["600"]
    assert ">Latest state<" in text
    assert "The store keeps none of its steps" in text


def test_a_fork_and_what_was_replaced_say_so(durproj):
    for name in ("projection", "next"):
        assert durproj("run", "--name", name).code == 0
    event = durproj("inspect", "projection/u1#4", "--json").json[0]["event"]
    other = f"4={json.dumps(event | {'id': 'other'})}"
    forked = durproj(
        "fork", "projection/u1#6", "--as", "what", "--replace-event", other, "--drop-event", 2
    )
    assert forked.code == 0, forked.err
    assert durproj("promote", "next", "projection").code == 0
    assert durproj("report", "what/u1", "projection@old/u1").code == 0
    text = page(durproj)
    facts = dict(re.findall("<dt>((?:forked|replaced) .*?)</dt><dd>(.*?)</dd>", text))
    assert facts == {
        "forked from": "projection/u1#6; event replaced: 4; event dropped: 2",
        "replaced by": "projection",
    }
    marked = re.findall(r'<li id="(w\d-s\d+)"><details><summary>(?:(?!</summary>).)*⇄', text)
    assert marked == ["w0-s3"]


@pytest.mark.parametrize("how", ["park", "skip"])
def test_why_a_step_failed_is_told_once(durproj, how):
    (durproj.folder / "log.jsonl").write_text('{"user":"a","type":"T"}\n')
    (durproj.folder / "r.py").write_text("def f(state, event):\n    raise ValueError('bad')\n")
    durproj("run", "log.jsonl", "--reducer", "r.py:f", "--on-error", how)
    assert durproj("report", "projection/a").code == 0
    steps = page(durproj).partition('<ol class="steps">')[2]
    assert steps.count("ValueError: bad") == 1


@pytest.mark.parametrize("name", ["durproj.db-wal", "durproj.db.live-x#synced"])
def test_what_is_empty_and_belongs_to_the_store_is_left_alone(sample, name):
    (sample.folder / name).touch()
    done = sample("report", "projection/u1", "-o", name)
    assert (done.code, f"{name}: the store: it is left as it is" in done.err) == (2, True)
    assert (sample.folder / name).read_bytes() == b""


def test_an_empty_log_is_left_alone_too(sample):
    log = sample.folder / "log.jsonl"
    log.write_text('{"user":"a","type":"T"}\n')
    assert sample("run", "log.jsonl", "--reducer", "counts", "--name", "other").code == 0
    log.write_text("")
    done = sample("report", "projection/u1", "-o", "log.jsonl")
    assert done.code == 2
    assert "log.jsonl: an input of durproj.db, folded as other" in done.err
    assert log.read_text() == ""


def test_what_a_killed_report_of_the_same_process_number_left_is_in_nobodys_way(tmp_path):
    page, store = tmp_path / "r.html", tmp_path / "s.db"
    library.fold(store=store)
    left = page.with_name(f"{page.name}.{os.getpid()}.tmp")
    left.write_text("half a page")
    library.report("projection/u1", page, store=store)
    assert page.read_text().rstrip().endswith("</html>")
    assert left.read_text() == "half a page"
