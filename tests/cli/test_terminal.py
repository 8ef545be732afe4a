"""Hostile data stays data, on a terminal, in a pipe and in a CI log; and how a terminal is treated."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import struct
import subprocess
import sys
import termios
import threading

import pyte
import pytest
from conftest import environment

DURPROJ = [sys.executable, "-m", "durproj"]
ESC, CSI, OSC, DCS = "\x1b", "\x9b", "\x9d", "\x90"
ATTACKS = {
    "command": "::error::pwned",
    "commands": (
        "##[error]pwned x\n::add-mask::pwned\n  ::error::pwned"
        "x\u2028::error::pwned\u2029\x85::error::pwned"
    ),
    "escapes, characters and markup": (
        f"{ESC}]0;pwned{ESC}\\{OSC}0;pwned\x9c{ESC}]2;pwned\x07{ESC}]52;c;cHduZWQ=\x07"
        f"{ESC}]8;;http://evil.example{ESC}\\click{ESC}]8;;{ESC}\\"
        f"{ESC}[2J{ESC}[H{CSI}2J{ESC}[10A{ESC}[99C{ESC}7{ESC}8\r\b\b"
        f"{DCS}$q{ESC}\\{ESC}P+q{ESC}\\{ESC}[6n"
        + "".join(map(chr, (*range(0x20), *range(0x7F, 0xA0))))
        + "\u202etxt.exe\u2066\u2069\u200f\u061ca\u200bb\u00adc\ufeffd\u2060e"
        "[bold red]pwned[/] [link=http://evil.example]x[/link] :boom: [@click=exit]"
    ),
}
# What our own output may hold besides: SGR with the numbers of plain colors and weights.
SGR = re.compile(r"\x1b\[[0-9;]*m")
REDUCER = """
def f(state, event):
    if event.data.get("fail"):
        raise ValueError(event.data["text"])
    return {"text": event.data.get("text"), event.data.get("text"): event.data.get("text")}
"""


def harmless(shown):
    """What `shown` does besides showing; empty when nothing."""
    if rest := re.findall(r"[^\n\x20-\x7e]", SGR.sub("", shown).replace("\r\n", "\n")):
        # Letters, marks and signs of any script; our own arrows, dots, crosses and bars among them.
        rest = [character for character in rest if not character.isprintable()]
    lines = SGR.sub("", shown).splitlines()
    commands = [line for line in lines if line.strip().startswith("::") or "##[" in line]
    return [*map(ascii, rest), *commands]


def screen_of(shown, columns=100, rows=400):
    """A terminal that was fed `shown`."""
    screen = pyte.Screen(columns, rows)
    pyte.Stream(screen).feed(shown)
    return screen


class Terminal:
    """Runs durproj with a terminal for its standard streams; `stdout=False`: for stderr only."""

    def __init__(self, folder, columns=100):
        self.folder, self.columns = folder, columns

    def __call__(self, *args, stdout=True, env=()):
        leader, follower = pty.openpty()
        fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 40, self.columns, 0, 0))
        settings = environment(**dict(env))
        # The size is the terminal's to tell.
        del settings["COLUMNS"]
        process = subprocess.Popen(
            [*DURPROJ, *map(str, args)],
            cwd=self.folder,
            env=settings,
            stdin=follower,
            stdout=follower if stdout else subprocess.PIPE,
            stderr=follower,
        )
        os.close(follower)
        taken = bytearray()

        def take():
            try:
                while block := os.read(leader, 65536):
                    taken.extend(block)
            except OSError:
                pass  # Linux says EIO when the last writer has gone

        reader = threading.Thread(target=take)
        reader.start()
        out = process.communicate(timeout=60)[0]
        reader.join()
        os.close(leader)
        return process.returncode, taken.decode(), (out or b"").decode()


@pytest.fixture
def terminal(tmp_path):
    return Terminal(tmp_path)


def hostile_log(folder, attack):
    """A log, a reducer file and file names that hold `attack` wherever they can."""
    lines = [
        {"user": attack, "type": attack, "id": attack, "text": attack, "time": attack},
        {"user": attack + "2", "type": attack, "id": 7, "text": attack},
        {"user": attack, "type": attack, "id": attack, "text": attack},
        {"user": attack, "type": attack, "id": attack, "text": attack, "fail": True},
    ]
    (folder / "log.jsonl").write_bytes(
        # As raw as JSON allows: only the C0 characters have to be escaped.
        b"".join(json.dumps(line, ensure_ascii=False).encode() + b"\n" for line in lines)
    )
    (folder / "r.py").write_text(REDUCER)
    return ["log.jsonl", "--reducer", "r.py:f", "--key", "user"]


def commands(folder, attack, json_lines):
    """Every command, with `attack` wherever the user's data or words go."""
    log = hostile_log(folder, attack)
    words = attack.replace("\0", "")
    id = re.sub(
        "[#%\x00-\x1f\x7f-\x9f]",
        lambda match: "".join(f"%{byte:02X}" for byte in match[0].encode()),
        f"projection/{attack}",
    )
    flags = ["--json"] if json_lines else []
    name = words.replace("/", "")[:60]
    with (folder / name).open("w") as file:
        file.write("{oops" + attack)
    return [
        ["run", *log, "-v", *flags],
        ["resume", *flags],
        ["list", *flags],
        ["export", *flags],
        ["export", "--journal", *flags],
        ["export", id, *flags],
        ["export", words, "--name", words, *flags],
        ["export", *([] if json_lines else ["--format", "csv"])],
        ["export", *([] if json_lines else ["--format", "csv", "--excel"])],
        ["export", "--to", f"{name}.csv", *flags],
        ["export", "--to", f"{name}.csv", *flags],
        ["export", "--to", "out.db", "--table", words, *flags],
        ["export", "--to", "out.db", "--table", words, *flags],
        ["export", "--to", "absent.csv", "--column", words, *flags],
        ["export", "--to", words, *flags],
        ["inspect", id, *flags],
        ["inspect", f"{id}#0", *flags],
        ["inspect", f"projection/{words}", *flags],
        ["find", "--all-ids", "state.text != null", "--all", *flags],
        ["find", id, f"state.{words} < 0", *flags],
        ["find", "--name", words, "step == 0", *flags],
        ["run", *log, "--reducer", "counts", "--name", "counted", *flags],
        ["compare", "projection", "counted", "-v", *flags],
        ["compare", id, f"counted/{words}", "--ignore", words, *flags],
        ["log", id, *flags],
        ["log", id, "-v", "--type", words, "--path", words, *flags],
        ["diff", f"{id}#0", *flags],
        ["diff", id, f"{id}2", *flags],
        ["blame", id, *flags],
        ["blame", id, "text", *flags],
        ["blame", f"projection/{words}", words, *flags],
        # Quietly: a bar, which folding twice takes long enough for, moves the cursor.
        ["verify", "-q", "-v", *flags],
        ["verify", "-q", id, "--refold", "--twice", *flags],
        ["verify", "-q", f"projection/{words}", "--name", words, *flags],
        ["verify", "-q", "--junit", f"./{name}/x.xml", *flags],
        # Life 0 alone: what is tested is what it says. Quietly or not, its bar would move the cursor.
        ["crashtest", *log, "--on-error", "skip", "--seed", "0", "--json"],
        ["crashtest", *log, "--seed", words, *flags],
        ["crashtest", f"./{name}", "--junit", f"./{name}/x.xml", *flags],
        ["report", id, "-o", "report.html", *flags],
        ["report", f"projection/{words}", "-o", f"{name}.html", *flags],
        ["report", id, "-o", name, *flags],
        ["fork", id, "--as", "other", *flags],
        ["fork", id, "--as", id.replace("projection/", "again/"), "--drop-event", "0", *flags],
        ["fork", id, "--as", words, *flags],
        ["fork", id, "--as", "third", "--replace-event", f"1={words}", *flags],
        ["fork", id, "--as", "third", "--replace-event", words, *flags],
        ["fork", id, "--as", "third", "--replace-event", f"1=@{words}", *flags],
        ["inspect", id.replace("projection/", "again/"), *flags],
        ["promote", words, "projection", *flags],
        ["rewind", id, "--to", "0", *flags],
        ["backup", f"./{name}.copy", *flags],
        ["backup", f"./{name}.copy", *flags],
        ["gc", "--user", words, *flags],
        ["gc", f"projection/{words}", *flags],
        ["gc", "--older-than", words, *flags],
        ["gc", id, "--drop", *flags],
        ["stats", "log.jsonl", "--key", "user", *flags],
        ["stats", f"./{name}", *flags],
        ["doctor", *flags],
        ["run", f"./{name}", *flags],
        ["run", "log.jsonl", "--reducer", words, *flags],
        ["run", "log.jsonl", "--reducer", f"r.py:{words}", *flags],
        ["run", "log.jsonl", "--user", words, *flags],
        ["run", *log, "--name", words, *flags],
        ["run", "log.jsonl", "--key", words, *flags],
        ["run", "--durability", words, *flags],
        ["run", "--fail", words, *flags],
        ["list", "--store", f"{name}.db", *flags],
        ["promote", "projection", "new", "--force", *flags],
        ["run", "log.jsonl", "--user", words, "--reducer", "counts", "--key", "user", *flags],
        ["promote", "new", "projection", *flags],
        ["run", f"--{words}", *flags],
        [words],
    ]


@pytest.mark.parametrize("json_lines", [False, True], ids=["human", "json"])
@pytest.mark.parametrize("attack", ATTACKS)
def test_hostile_text_reaches_no_pipe_raw(durproj, attack, json_lines):
    for args in commands(durproj.folder, ATTACKS[attack], json_lines):
        done = durproj(*args)
        assert "Traceback" not in done.err, args
        assert harmless(done.out) == [], args
        assert harmless(done.err) == [], args
        if json_lines:
            assert all(type(record) is dict for record in done.json)


@pytest.mark.parametrize("attack", ATTACKS)
def test_hostile_text_moves_nothing_on_a_terminal(terminal, attack):
    for args in commands(terminal.folder, ATTACKS[attack], json_lines=False):
        _, shown, _ = terminal(*args)
        assert harmless(shown) == [], args
        after = screen_of(shown)
        assert (after.title, after.icon_name) == ("", ""), args
        # What a command printed is all there, and the cursor stands below its last line.
        lines = SGR.sub("", shown).replace("\r\n", "\n").split("\n")
        folded = sum(max(1, -(-len(line) // 100)) for line in lines[:-1])
        assert (after.cursor.y, after.cursor.x) == (folded, 0), args


def test_hostile_text_comes_back_from_json_as_it_was(durproj):
    attack = "".join(ATTACKS.values())
    hostile_log(durproj.folder, attack)
    done = durproj("run", "log.jsonl", "--reducer", "merge", "--key", "user", "--json", "-v")
    assert done.code == 0
    assert harmless(done.out) == []
    states = [record["state"] for record in done.json if record["type"] == "projection"]
    assert [state["user"] for state in states] == [attack, attack + "2"]
    assert done.json[1]["event"] == {"id": attack, "type": attack}
    listed = durproj("list", "--json").json
    (shown,) = durproj("inspect", listed[0]["id"], "--json").json
    assert shown["state"]["text"] == attack


def test_a_document_for_people_is_json_still(durproj):
    attack = "".join(ATTACKS.values())
    hostile_log(durproj.folder, attack)
    args = ["run", "log.jsonl", "--reducer", "merge", "--key", "user", "--user", attack + "2"]
    # An argument cannot hold NUL.
    attack = attack.replace("\0", "")
    hostile_log(durproj.folder, attack)
    shown = durproj(*args[:-1], attack + "2", "-q").out
    assert json.loads(shown[shown.index("{\n") :])["text"] == attack


def test_joiners_are_shown_as_they_are_so_that_an_id_can_be_pasted_back(durproj):
    family = "\U0001f468\u200d\U0001f469\u200d\U0001f467 \u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645"
    line = {"user": family, "type": "T\u200b\u200e\u200f"}
    (durproj.folder / "log.jsonl").write_text(json.dumps(line, ensure_ascii=False) + "\n")
    done = durproj("run", "log.jsonl", "--reducer", "counts", "--key", "user")
    assert "T\\u200b\\u200e\\u200f" in done.out
    id = durproj("list").out.split("step  ")[1].rstrip("\n")
    assert id == f"projection/{family}"
    assert durproj("list", "--json").out.count(family) == 1
    assert durproj("inspect", id, "--json").json[0]["steps"] == 1


@pytest.mark.parametrize(
    ("args", "env", "colored"),
    [
        ([], {}, True),
        (["--color=never"], {}, False),
        (["--color=always"], {"NO_COLOR": "1"}, True),
        ([], {"NO_COLOR": "1"}, False),
        ([], {"NO_COLOR": ""}, True),
        ([], {"TERM": "dumb"}, False),
        (["--color=always"], {"TERM": "dumb"}, True),
        ([], {"NO_COLOR": "1", "FORCE_COLOR": "1"}, False),
    ],
    ids=str,
)
def test_color_on_a_terminal(terminal, args, env, colored):
    code, shown, _ = terminal("run", *args, env=env)
    assert code == 0
    assert bool(SGR.search(shown)) is colored
    assert harmless(shown) == []


@pytest.mark.parametrize(
    ("args", "env", "colored"),
    [
        ([], {}, False),
        (["--color=always"], {}, True),
        ([], {"FORCE_COLOR": "1"}, True),
        ([], {"FORCE_COLOR": "0"}, False),
        (["--color=never"], {"FORCE_COLOR": "1"}, False),
        (["--color=always", "--json"], {}, False),
    ],
    ids=str,
)
def test_color_in_a_pipe(durproj, args, env, colored):
    done = durproj("run", *args, env=env)
    assert done.code == 0
    assert bool(SGR.search(done.out)) is colored


def test_each_stream_is_colored_for_itself(terminal):
    code, shown, out = terminal("run", "--crash", 5, stdout=False)
    assert code == 3
    assert SGR.search(shown)
    assert "\x1b" not in out
    assert "[event 05]" in out


SLOW = """
import time
def slow(state, event):
    time.sleep(0.004)
    return {"n": state.get("n", 0) + 1}
def loud(state, event):
    print("a word from the reducer")
    return slow(state, event)
"""


def slow_log(folder):
    (folder / "slow.py").write_text(SLOW)
    (folder / "log.jsonl").write_text('{"user":"a","type":"T"}\n{"user":"b","type":"T"}\n' * 150)
    return ["log.jsonl", "--reducer", "slow.py:slow"]


def test_a_long_run_draws_a_bar_on_stderr_and_wipes_it(terminal):
    args = slow_log(terminal.folder)
    code, shown, out = terminal("run", *args, stdout=False)
    assert code == 0
    assert "folding" in shown
    assert re.search(r"\d+/300", SGR.sub("", shown))
    assert "folding" not in out
    assert "2 projections, 300 events: 300 executed, 0 cached" in out
    after = screen_of(shown)
    assert not any("folding" in line for line in after.display)
    # Whether the cursor can be seen is kept as a mode.
    assert pyte.modes.DECTCEM in after.mode


@pytest.mark.parametrize("color", ["always", "never"])
def test_a_bar_makes_room_for_what_is_said_meanwhile(terminal, color):
    args = slow_log(terminal.folder)
    # The first stream takes longer than the patience for a bar: the second one fails under it.
    more = ["--fail", "140", "--retry-delay", "0.01", f"--color={color}"]
    code, shown, _ = terminal("run", *args, *more)
    assert code == 0
    assert "folding" in shown
    lines = screen_of(shown).display
    assert len([line for line in lines if line.startswith("Runtime. Function")]) == 2
    assert not any("folding" in line for line in lines)


@pytest.mark.parametrize(
    ("args", "env"), [(["-q"], {}), ([], {"CI": "true"}), ([], {"TERM": "dumb"}), (["--json"], {})]
)
def test_nothing_is_drawn_where_nobody_wants_it(terminal, args, env):
    _, shown, _ = terminal("run", *slow_log(terminal.folder), *args, env=env)
    assert "folding" not in shown
    assert "\x1b[?25l" not in shown


def test_nothing_is_drawn_in_a_pipe(durproj):
    done = durproj("run", *slow_log(durproj.folder))
    assert done.code == 0
    assert "\x1b" not in done.out + done.err
    assert "\r" not in done.out + done.err
    assert "folding" not in done.out + done.err


@pytest.mark.parametrize("columns", [20, 60])
def test_lines_are_whole_on_a_narrow_terminal(terminal, columns):
    terminal.columns = columns
    code, shown, _ = terminal("run", "--color=always")
    assert code == 0
    lines = SGR.sub("", shown).replace("\r\n", "\n").split("\n")
    event = '  [event 03]  OrderPlaced  →  name="Alice Chen-Watson" sub=active orders=1 active=[ord_001]'
    assert event in lines
    code, shown, _ = terminal("run", *slow_log(terminal.folder), "--name", "x")
    assert code == 0
    assert not any("folding" in line for line in screen_of(shown, columns).display)


def test_a_long_state_is_cut_to_a_line_and_a_long_id_is_not(durproj):
    key, text = "k" * 3000, "t" * 5000
    log = [{"text": text, "user": key, "type": "T"}, {"user": "b", "type": "T"}]
    (durproj.folder / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in log))
    (durproj.folder / "r.py").write_text(
        "def plain(state, event):\n    return event.data\n"
        "def summed(state, event):\n    return event.data\n"
        "summed.summary = lambda state: state.get('text', '')\n"
    )
    for reducer in ("plain", "summed"):
        done = durproj("run", "log.jsonl", "--reducer", f"r.py:{reducer}", "--name", reducer)
        assert done.code == 0
        assert "t" * 50 in done.out
        assert "t" * 201 not in done.out
        assert f"{reducer}/{key}  resolved  1 step" in done.out
    assert f"plain/{key}\n" in durproj("list").out
    assert durproj("inspect", f"plain/{key}", "--json").json[0]["state"]["text"] == text
