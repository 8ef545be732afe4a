"""Keys that would be paths, SQL, escapes or each other: every stream stays its own, is found again under the
id that is printed for it, and no file outside of the store's folder is touched for its name."""

from __future__ import annotations

import csv
import io
import json
import random
import sqlite3
import unicodedata
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from durproj.ids import split_id, workflow_id
from proof.children import command
from proof.pages import expect_ours
from proof.trial import Proof, Trial

KEYS = (
    *(
        "",
        ".",
        "..",
        "../../x",
        "/etc/passwd",
        "/",
        "//",
        "a/b",
        "-",
        "--",
        "~",
        "C:\\x",
        "\\\\h\\s",
    ),
    *(
        "é",
        "e\u0301",
        "É",
        "u1",
        "U1",
        "u1 ",
        " u1",
        "u1\u200b",
        "ﬁ",
        "fi",
        "ß",
        "ss",
        "\u0130",
        "i\u0307",
    ),
    *(
        "😀",
        "\U0001f468\u200d\U0001f469",
        "\u202etxt",
        "\u0645\u06cc\u200c",
        "\ufeffu1",
        "\U0010ffff",
        "\uffff",
    ),
    *(
        "\x1b]0;x\x07",
        "\x00",
        "a\x00b",
        "\n",
        "\r\n",
        "\t",
        "\x7f",
        "\x9b2J",
        "::error::x",
        "a\u2028b",
    ),
    *(
        "'); DROP TABLE step;--",
        '"',
        "'",
        "`",
        "$(id)",
        "${HOME}",
        "%s%n",
        "{0}",
        "*",
        "?",
        "[a]",
        "null",
    ),
    *(
        "%2e",
        "%2e%2e%2f",
        "%",
        "%25",
        "%00",
        "%zz",
        "+",
        "a@5",
        "a#5",
        "#",
        "#0",
        "a..b",
        "0..2",
        "=1+1",
        "@x",
    ),
    *("007", "7", "-7", "1e3", "0x10", "true", "NaN", "k" * 10_000, "#" * 3_000, "é" * 5_000),
    *(
        "</script><script>x",
        "<!--",
        "&amp;",
        "projection/u1",
        "projection",
        "=cmd|'/c'!A1",
        "\\",
        "\\n",
    ),
)
LONGEST_ARGUMENT = 100_000
STEPS = 3


def ids(trial: Trial) -> None:
    """Stores of fixed and of drawn keys; of each key, whole listings and some commands of its own."""
    fresh = [*KEYS]
    while trial.cases < trial.count:
        with trial.scratch() as folder:
            keys = list(
                dict.fromkeys([*trial.rng.sample(fresh, min(40, len(fresh))), *drawn(trial.rng)])
            )
            fresh = [key for key in fresh if key not in keys] or [*KEYS]
            _one_store(trial, folder, keys)


def drawn(rng: random.Random) -> list[str]:
    """A few keys, and others that are nearly the same."""
    keys = []
    for _ in range(3):
        length = rng.choice([1, 2, 5, 40])
        ranges = (
            (0, 0xA0),
            (0x20, 0x7F),
            (0x300, 0x370),
            (0x590, 0x700),
            (0x2000, 0x2070),
            (0, 0xD800),
        )
        key = "".join(chr(rng.randrange(*rng.choice(ranges))) for _ in range(length))
        near: tuple[Callable[[str], str], ...] = (
            str.swapcase, str.casefold, str.strip, lambda k: k + "\0", lambda k: k + " ", lambda k: f"./{k}",
            lambda k: unicodedata.normalize("NFC", k), lambda k: unicodedata.normalize("NFKD", k),
            lambda k: workflow_id("p", k)[2:], lambda k: k + "#1",
        )  # fmt: skip
        keys += [key, *(make(key) for make in rng.sample(near, 2))]
    return keys


def _one_store(trial: Trial, folder: Path, keys: list[str]) -> None:
    if trial.count >= 1_000 and trial.rng.random() < 0.1:
        keys.append("m" * 1_000_000)
    inner = folder / "a" / "b"
    inner.mkdir(parents=True)
    (folder / "x").write_text("a decoy")
    write_log(inner, keys)
    with trial.case(f"run and resume {len(keys)} keys"):
        crashed = command(
            ["run", "log.jsonl", "--reducer", "merge", "--key", "user", "--crash", 1], inner
        )
        assert crashed.code == 3, crashed
        done = command(["resume", "--json"], inner)
        assert (done.code, done.json[-1]["projections"]) == (0, len(keys)), done
    with trial.case("export to CSV and SQLite"):
        _exports(inner, keys)
    listed = {
        split_id(record["id"])[1]: record["id"]
        for record in command(["list", "--json"], inner).json
    }
    with trial.case("distinct keys have distinct ids, and each leads back to its key"):
        assert [*listed] == keys, {*listed} ^ {*keys}
    with trial.case("the page about all of them"):
        _page_of(inner, [id for id in listed.values() if len(id.encode()) < LONGEST_ARGUMENT])
    whole = {record["key"]: record for record in command(["export", "--json"], inner).json}
    for number, key in enumerate(keys):
        with trial.case(f"{key[:80]!a} among all"):
            assert listed[key] == workflow_id("projection", key)
            _own(whole[key], listed[key], key, number)
        if len(listed[key].encode()) < LONGEST_ARGUMENT:
            for ask in trial.rng.sample(ASKED, 1 if trial.count < 1_000 else len(ASKED)):
                with trial.case(f"{ask.__name__} of {key[:80]!a}"):
                    ask(inner, listed[key], key, number)
    with trial.case("nothing beside the store was touched"):
        assert sorted(path.name for path in folder.iterdir()) == ["a", "x"]
        assert [path.name for path in (folder / "a").iterdir()] == ["b"]
        assert (folder / "x").read_text() == "a decoy"
        assert {path.name for path in inner.iterdir()} <= MADE, [*inner.iterdir()]


MADE = {"log.jsonl", "durproj.db", "durproj.db.lock", "all.csv", "all.db", "one.html"}


def write_log(folder: Path, keys: list[str]) -> None:
    lines = [
        {"user": key, "type": key, "id": f"{number}.{step}", "own": number, "step": step}
        for step in range(STEPS)
        for number, key in enumerate(keys)
    ]
    (folder / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


def _own(record: dict[str, Any], id: str, key: str, number: int) -> None:
    assert (record["id"], record["status"], record["steps"]) == (id, "resolved", STEPS)
    state = record["state"]
    assert (state["user"], state["own"], state["step"]) == (key, number, STEPS - 1)


def _asked(folder: Path, *args: object) -> list[Any]:
    done = command([*args, "--json"], folder)
    assert done.code == 0, done
    return done.json


def _exports(folder: Path, keys: list[str]) -> None:
    for name in ("all.csv", "all.db"):
        (folder / name).unlink(missing_ok=True)
        _asked(folder, "export", "--to", name)
    with io.StringIO((folder / "all.csv").read_bytes().decode(), newline="") as file:
        csv.field_size_limit(1 << 24)
        rows = [*csv.DictReader(file)]
    assert [row["_key"] for row in rows] == keys
    assert [row["own"] for row in rows] == [*map(str, range(len(keys)))]
    with closing(sqlite3.connect(folder / "all.db")) as conn:
        found = dict(conn.execute("SELECT _key, own FROM projections").fetchall())
    assert found == {key: number for number, key in enumerate(keys)}


def _page_of(folder: Path, ids: list[str]) -> None:
    (record,) = _asked(folder, "report", *ids, "-o", "one.html")
    assert [each["id"] for each in record["workflows"]] == ids
    expect_ours((folder / "one.html").read_text(encoding="utf-8"), len(ids))
    (folder / "one.html").unlink()


def inspect(folder: Path, id: str, key: str, number: int) -> None:
    (record,) = _asked(folder, "inspect", id)
    _own(record, id, key, number)


def inspect_a_step(folder: Path, id: str, key: str, number: int) -> None:
    (record,) = _asked(folder, "inspect", f"{id}#1")
    assert (record["id"], record["step"], record["event"]["id"]) == (id, 1, f"{number}.1")
    assert record["state"]["user"] == key


def log(folder: Path, id: str, key: str, number: int) -> None:
    steps = _asked(folder, "log", id)
    assert [step["event"]["id"] for step in steps] == [f"{number}.{step}" for step in range(STEPS)]
    assert {step["id"] for step in steps} == {id}


def export(folder: Path, id: str, key: str, number: int) -> None:
    (record,) = _asked(folder, "export", id)
    _own(record, id, key, number)


def report(folder: Path, id: str, key: str, number: int) -> None:
    _page_of(folder, [id])


def rewind_and_resume(folder: Path, id: str, key: str, number: int) -> None:
    (record,) = _asked(folder, "rewind", id, "--to", 0)
    assert (record["id"], record["steps"]) == (id, 1)
    resumed = [each for each in _asked(folder, "resume", id) if each["type"] == "projection"]
    assert [(each["cached"], each["executed"]) for each in resumed] == [(1, STEPS - 1)]
    _own(resumed[0], id, key, number)


def run_again(folder: Path, id: str, key: str, number: int) -> None:
    if key.startswith("-") or "\0" in key:
        return  # an option to whoever reads arguments; and no argument
    done = _asked(folder, "run", "log.jsonl", "--reducer", "merge", "--key", "user", "--user", key)
    (record,) = [each for each in done if each["type"] == "projection"]
    assert (record["cached"], record["executed"]) == (STEPS, 0)
    _own(record, id, key, number)


ASKED = (inspect, inspect_a_step, log, export, report, rewind_and_resume, run_again)


PROOFS = [
    Proof("hostile ids", ("P8",), ids, 100, 12_000, case_ms=29),
]
