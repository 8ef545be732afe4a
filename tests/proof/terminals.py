"""Hostile data stays data (P8): on a terminal, in a pipe and in a CI log, through every command.

What an attacker may choose (keys, ids, types, states, error messages, file names, arguments) is put
everywhere, as raw as JSON and the system allow; what is printed is fed to a terminal emulator.
"""

from __future__ import annotations

import math
import random
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pyte
from wcwidth import wcwidth

from durproj.cli import progress
from proof.characters import acting
from proof.children import command
from proof.hostile_commands import commands
from proof.pages import expect_ours
from proof.trial import Proof, Trial

ESC, CSI, OSC, DCS = "\x1b", "\x9b", "\x9d", "\x90"
ATTACKS = {
    "command": "::error::pwned",
    "markup": "</script><script>pwned</script><!--<img src=x onerror=pwned>\"'><a href=//evil.example>",
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
        + "\u202etxt.exe\u2066\u2069\u200f\u061ca\u200bb\u00adc\ufeffd\u2060e\u180ef\U000e0041"
        "[bold red]pwned[/] [link=http://evil.example]x[/link] :boom: [@click=exit]"
    ),
}
PIECES = (
    *(
        "::error::",
        "::add-mask::x",
        "::stop-commands::x",
        "\n::set-env name=X::y",
        "##[group]",
        "  ::",
    ),
    *(f"{ESC}]0;t\x07", f"{OSC}2;t\x9c", f"{ESC}]52;c;eA==\x07", f"{ESC}]8;;http://e{ESC}\\x"),
    *(
        f"{ESC}[8m",
        f"{ESC}[31;5m",
        f"{ESC}[?1049h",
        f"{ESC}[?25l",
        f"{ESC}c",
        f"{ESC}#8",
        f"{ESC}(0",
    ),
    *(
        f"{CSI}2J",
        f"{ESC}[H",
        f"{ESC}[5A",
        f"{DCS}q#0;{ESC}\\",
        f"{ESC}_x{ESC}\\",
        f"{ESC}^x{ESC}\\",
    ),
    *("\r", "\b" * 5, "\x0b\x0c", "\t", "\x07", "\x00", "\x7f", "\x0e", "\x84\x85\x8d", "\r\n\n"),
    *(
        "\u202e",
        "\u2066\u2069",
        "\u061c\u200e\u200f",
        "\ufeff",
        "\u200b\u2060",
        "\xad",
        "\ufff9\ufffb",
    ),
    *(
        "\u2028::error::",
        "\u2029",
        "\U000e0041\U000e007f",
        "\u0301" * 9,
        "\u180e",
        "\u3164",
        "\ud7ff",
    ),
    *(
        "[red]x[/]",
        "[link=x]",
        ":boom:",
        "\\x1b[0m",
        "%1B%5B0m",
        "\\u001b",
        "'); --",
        '","x":"',
        "</script><script>",
        "<!--",
        "\"'><img onerror=x>",
        "{}",
        "#",
    ),
    *(
        "\U0001f468\u200d\U0001f469",
        "\uff1a\uff1a",
        "\uffff",
        "\U0010ffff",
        "\ue000",
        "Z\u0337",
        "a" * 300,
    ),
)
CHANNELS = {
    "a terminal": (f"{ESC}]0;t\x07", f"{OSC}2;t\x9c", f"{ESC}[8;5m", f"{CSI}2J", f"{ESC}[?25l", "\r\x1b[2K", "\b" * 5),
    "a line": ("\u202e", "\u2066", "\u200b\u2060", "\ufeff", "\xad", "\u061c", "\U000e0041"),
    "a CI log": ("\n::error::x", "\n##[error]x", "\r::error::x", "\u2028::error::x", "\x85::add-mask::x"),
    "a page": ("</script><script>", "<!--", "<img src=x onerror=x>", "<a href=//e>", "</title>"),
    "a quoted text": ("\"'>&amp;", '",\n"', "]]>&", '\\"', "''`"),
    "markup": ("[red]x[/]", "[/]", "[link=x]", ":boom:", "[@click=exit]"),
}  # fmt: skip
"""What is meant for one channel of the output; every attack has something for each."""
# What our own output may hold besides text: SGR with the numbers of plain colors and weights.
SGR = re.compile(r"\x1b\[(?:[0-4]|3[0-7]|9[0-7])?(?:;(?:[0-4]|3[0-7]|9[0-7]))*m")
SETUP = 3
"""So many commands at the beginning give the others something to show."""


def harmless(shown: str, *, colored: bool = True) -> list[str]:
    """What `shown` does besides showing; empty when nothing. colored: it may hold our colors."""
    plain = SGR.sub("", shown) if colored else shown
    lines = plain.splitlines()
    commands = [line for line in lines if line.strip().startswith("::") or "##[" in line]
    return [*map(ascii, acting(plain.replace("\r\n", "\n"))), *commands]


def screen_of(shown: str, columns: int = 100, rows: int = 400) -> pyte.Screen:
    """A terminal that was fed `shown`."""
    screen = pyte.Screen(columns, rows)
    pyte.Stream(screen).feed(shown)
    return screen


def still(shown: str, columns: int = 100) -> None:
    """Assert that a terminal has not moved, but for the lines: no title, all modes as they were, and the
    cursor below the last line of all that was printed."""
    # What has no width moves nothing; but the emulator drops what comes after a joiner, and begins a row
    # for a combining character.
    shown = "".join(each for each in shown if wcwidth(each))
    lines = SGR.sub("", shown).replace("\r\n", "\n").split("\n")
    rows = sum(_rows(line, columns) for line in lines[:-1])
    before, after = screen_of("", columns), screen_of(shown, columns, rows + 10)
    assert (after.title, after.icon_name) == ("", "")
    assert after.mode == before.mode
    assert (after.cursor.y, after.cursor.x) == (rows, 0)


def _rows(line: str, columns: int) -> int:
    """How many rows a line of characters, some of them wide, takes."""
    rows, at = 1, 0
    for width in map(wcwidth, line):
        if width > 0:
            if at == columns:
                rows, at = rows + 1, 0
            at = min(columns, at + width)
    return rows


def attack_of(rng: random.Random, number: int) -> str:
    """The planned attacks first, then such as are drawn; after each of them something for every channel."""
    channels = [rng.choice(pieces) for pieces in CHANNELS.values()]
    rng.shuffle(channels)
    if number < len(ATTACKS):
        return "".join([[*ATTACKS.values()][number], *channels])
    drawn = rng.choices(PIECES, k=rng.randrange(1, 7))
    drawn += [chr(rng.randrange(0xD800)) for _ in range(rng.randrange(4))]
    drawn += [chr(rng.randrange(0xA0)) for _ in range(rng.randrange(3))]
    rng.shuffle(drawn)
    return "".join([*drawn, *channels])


WAYS: tuple[tuple[str, bool, bool], ...] = (
    ("a terminal", True, False), ("a pipe", False, False), ("a pipe, --json", False, True),
    ("a terminal, --json", True, True),
)  # fmt: skip
PLACES: Sequence[dict[str, str]] = (
    {}, {"GITHUB_ACTIONS": "true", "CI": "true"}, {"NO_COLOR": "1"}, {"FORCE_COLOR": "1"}, {"TERM": "dumb"},
)  # fmt: skip


def hostile_data(trial: Trial) -> None:
    """Rounds of an attack, a way to look at it and a place; in each the first commands, and half of the
    rest: all of them in two rounds."""
    number, left = 0, list[int]()
    while trial.cases < trial.count:
        attack = attack_of(trial.rng, number)
        how, terminal, json_lines = WAYS[number % len(WAYS)]
        place = PLACES[0] if number < 2 else trial.rng.choice(PLACES)
        with trial.scratch() as folder:
            every = commands(folder, attack, json_lines=json_lines)
            rest = range(SETUP, len(every))
            left = left or trial.rng.sample(rest, len(rest))
            half = (len(rest) + 1) // 2
            chosen, left = sorted(left[:half]), left[half:]
            for at in [*range(SETUP), *chosen][: trial.count - trial.cases]:
                args = every[at]
                with trial.case(f"{how}, {place}: {args!a}"):
                    _judge(folder, args, place, terminal=terminal, json_lines=json_lines)
        number += 1


def _judge(
    folder: Path, args: list[str], place: dict[str, str], *, terminal: bool, json_lines: bool
) -> None:
    done = command(args, folder, env=place, terminal=terminal, before=_no_bars)
    colored = terminal or "FORCE_COLOR" in place
    assert "Traceback" not in done.out + done.err
    assert done.code in {0, 1, 2, 4, 65, 66, 74, 75}, done.code
    for shown in (done.out, done.err):
        found = harmless(shown, colored=colored)
        assert not found, found
    for made in (*folder.glob("report.html"), *folder.glob("verify.xml")):
        text = made.read_text(encoding="utf-8")
        made.unlink()
        if made.suffix == ".html":
            expect_ours(text, 1)
        else:
            ET.fromstring(text)
            assert not acting(text)
    if terminal:
        still(done.out)
    elif json_lines:
        assert all(type(record) is dict for record in done.json)


def _no_bars() -> None:
    """However slow the machine is: a bar moves the cursor."""
    progress.PATIENCE_S = math.inf


def a_raw_title(trial: Trial) -> None:
    """With a screen that prints as it is told, the harness has to see titles, commands and moves."""

    def raw() -> None:
        _no_bars()
        from durproj import render

        plain: Any = str
        render.safe = render.safe_json = plain

    with trial.scratch() as folder:
        hostile = f"{ESC}]0;pwned\x07"
        for args in commands(folder, hostile, json_lines=False)[: trial.count]:
            with trial.case(f"{args!a}"):
                done = command(args, folder, terminal=True, before=raw)
                found = harmless(done.out)
                assert not found, f"besides showing it does {found}"
                still(done.out)


PROOFS = [
    Proof(
        "hostile bytes on terminals, in pipes and CI logs",
        ("P8",),
        hostile_data,
        90,
        5_000,
        case_ms=65,
    ),
    Proof(
        "control: output printed as it came",
        ("P8",),
        a_raw_title,
        4,
        20,
        case_ms=50,
        control="besides showing it does",
    ),
]
