"""What a terminal shows and a pipe is given; that hostile data stays data is proved in proof/terminals.py."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import struct
import subprocess
import termios
import threading

import pyte
import pytest
from conftest import start
from proof.hostile_commands import hostile_log
from proof.terminals import ATTACKS, SGR, harmless, screen_of


class Terminal:
    """Runs durproj with a terminal for its standard streams; `stdout=False`: for stderr only."""

    def __init__(self, folder, columns=100):
        self.folder, self.columns = folder, columns

    def __call__(self, *args, stdout=True, env=()):
        leader, follower = pty.openpty()
        fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 40, self.columns, 0, 0))
        process = start(
            *args,
            folder=self.folder,
            # The size is the terminal's to tell: an empty one is none.
            env={"COLUMNS": "", **dict(env)},
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
