"""Lines of every kind, good and bad (P4, P8): what a log holds is read to the value, or refused with exit 65 at
the line and byte where it stops being what it should; never changed without a word, and never at the price
of all memory."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

from proof.children import command
from proof.reading import MAPPINGS, WHOLE, Reading, by_the_book, compare
from proof.trial import Proof, Trial

GOOD = (
    b'{"user":"a","type":"T","id":1,"time":"2026-01-01T00:00:00Z","data":{"n":1.5,"s":"x"}}',
    b'{"user":"b","type":"U","id":"e-2","time":17,"data":[1,-0.0,1e5,null,true]}',
    '{"user":"é😀","type":"V","data":{"k\\u0000":"\u2028\x85"}}'.encode(),
    b'{"user":7,"id":null,"data":{"big":18446744073709551615,"small":-9223372036854775808}}',
)


def member(name: str, value: bytes) -> bytes:
    return b'{"user":"a","type":"T","%b":%b}' % (name.encode(), value)


def _deep(levels: int) -> bytes:
    return member("n", b"[" * (levels - 1) + b"]" * (levels - 1))


def _n(*values: bytes) -> list[bytes]:
    return [member("n", value) for value in values]


FIXED = (
    *(b"", b" ", b"\t \t", b"\r", b" \r", b"{}", b'{"user":"a"}', b' {"user":"a"} ', b'{"user":"a"}\r'),
    *(b'{"user":"a"', b'{"user":"a', b'{"user":"a"}}', b'{"user":"a",}', b'{"user":"a"}{"user":"b"}', b"{", b"}"),
    *(b'{"user":"a"}\r{"user":"b"}', b'{"user" "a"}', b"{'user':'a'}", b'{user:"a"}', b'{"user":"a"}\0', b"\0"),
    *(b"null", b"true", b"7", b"1.5", b'"a"', b"[]", b'[{"user":"a"}]', b"// x", b"# x", b"NaN", b"a,b,c"),
    *(b"\xef\xbb\xbf" + GOOD[0], GOOD[0].decode().encode("utf-16"), GOOD[0].decode().encode("utf-16-le")),
    *(GOOD[0].decode().encode("utf-32"), GOOD[0][:-1] + b',"n":"\xff"}', b'{"user":"\xc3"}', b'{"user":"\xc0\x80"}'),
    *_n(b'"\xed\xa0\x80"', b'"\xf4\x90\x80\x80"', b'"\\ud800"', b'"\\udc00\\ud800"', b'"\\ud83d\\ude00"', b'"\\u0000"'),
    *_n(b'"\0"', b'"\t"', b'"\x1b"', b'"\x7f"', b'"\\x41"', b'"\\u12"', b'"\\"', b'"\xe2\x80\xa8"', b'"\xc2\x85"'),
    *_n(b"NaN", b"Infinity", b"-Infinity", b"1e400", b"-1e400", b"1e308", b"1e-400", b"1E+2", b"0.1", b"-0.0", b"-0"),
    *_n(b"9223372036854775807", b"9223372036854775808", b"-9223372036854775808", b"-9223372036854775809"),
    *_n(b"18446744073709551615", b"18446744073709551616", b"123456789012345678901234567890", b"1" * 5000),
    *_n(b"18446744073709551616.0", b"0." + b"3" * 400, b"1" * 300 + b".5", b"01", b"+1", b".5", b"1.", b"1e", b"0x1"),
    *_n(b"true", b"null", b"[1,]", b"[,1]", b"{}", b'{"a":1,"a":2}', b'{"":{"":[]}}', b"[1 2]", b"tru", b"\xff"),
    *(_deep(255), _deep(700), _deep(1024), _deep(1025), _deep(100_000), b'{"user":"a","user":"b","type":"T"}'),
    *(b'{"type":"T"}', b'{"user":null}', b'{"user":true}', b'{"user":1.0}', b'{"user":[]}', b'{"user":{}}', b'{"user":""}'),
    *(b'{"user":18446744073709551616}', b'{"user":-1}', b'{"user":"a","type":true}', b'{"user":"a","type":7}'),
    *(b'{"user":"a","type":null}', b'{"user":"a","id":true}', b'{"user":"a","id":1.5}', b'{"user":"a","id":[]}'),
    *(b'{"user":"a","id":18446744073709551616}', b'{"user":"a","time":{"x":[NaN]}}', b'{"user":"a","data":null}'),
    *(b'{"user":"\\ud800"}', b'{"user":"a","\\ud800":1}', b'{"\\u0075ser":"a"}', b'{"USER":"a"}', b'{"user\\u0000":"a"}'),
)  # fmt: skip


def placed(line: bytes) -> Iterator[tuple[str, bytes]]:
    """A log with `line` in each of the places that a line can be at."""
    one, two, *rest = GOOD
    yield "first", b"\n".join((line, one, two, *rest, b""))
    yield "in the middle", b"\r\n".join((one, two, line, *rest, b""))
    yield "last", b"\n".join((one, two, *rest, line, b""))
    yield "last, without a line end", b"\n".join((one, two, *rest, line))


def fixed_lines(trial: Trial) -> None:
    """Each of the fixed lines at each place, by every way of reading, and whole or in blocks."""
    cases = [(line, *place) for line in FIXED for place in placed(line)]
    trial.rng.shuffle(cases)
    path = trial.folder / "log.jsonl"
    for line, place, content in cases[: trial.count]:
        path.write_bytes(content)
        with trial.case(f"{line[:80]!r}, {place}"):
            for mapping in MAPPINGS:
                compare(path, trial.rng.choice((1, 3, 50, 1 << 16)), mapping, by_the_book)


REDUCER = """
import hashlib
def keep(state, event):
    try:
        shown = repr(event.body)
    except RecursionError:
        shown = "too deep to show"
    shown = hashlib.sha256(shown.encode()).hexdigest()
    return {"seen": state.get("seen", 0) + 1, "last": shown, "type": event.type, "id": event.id}
keep.initial = {}
"""


def through_the_command(trial: Trial) -> None:
    """Each of the fixed lines at one place or another, through `run`: its exit code, what it says, and what
    is in the store afterwards."""
    cases = [
        (line, *trial.rng.choice([*placed(line)])) for line in trial.rng.sample(FIXED, len(FIXED))
    ]
    while len(cases) < trial.count:
        line = trial.rng.choice(FIXED)
        cases.append((line, *trial.rng.choice([*placed(line)])))
    for line, place, content in cases[: trial.count]:
        with trial.case(f"{line[:80]!r}, {place}"), trial.scratch() as folder:
            (folder / "log.jsonl").write_bytes(content)
            (folder / "r.py").write_text(REDUCER)
            _judge_run(folder, by_the_book(content, WHOLE))


FOLD = [
    "run",
    "log.jsonl",
    "--reducer",
    "r.py:keep",
    "--format",
    "plain",
    "--key",
    "user",
    "--type",
    "type",
    "--id",
    "id",
    "--time",
    "time",
    "--json",
]


def _judge_run(folder: Path, expected: Reading) -> None:
    done = command(FOLD, folder)
    assert "Traceback" not in done.err
    if expected.bad is None:
        assert done.code == 0, done
    else:
        assert done.code == 65, done
        where = f"log.jsonl:{expected.bad.line}: byte {expected.bad.offset}: "
        assert where in done.err, (where, done.err)
    states = {
        record["id"]: record["state"] for record in done.json if record["type"] == "projection"
    }
    if not expected.bad:
        assert states == _states(folder, expected)
    skipped = command([*FOLD, "--on-bad-line", "skip", "--name", "skipped"], folder)
    if skipped.code == 65 and expected.bad == (1, 0):
        # What a file begins with tells that it is of another kind: there is no line to leave out.
        assert "not JSON lines" in skipped.err
        return
    assert skipped.code == (1 if expected.bad else 0), skipped
    if expected.bad:
        assert skipped.json[-1]["bad_lines"] >= 1
        assert f"byte {expected.bad.offset}: " in skipped.err


def _states(folder: Path, expected: Reading) -> dict[str, object]:
    """What the reducer makes of the events, in this process."""
    from types import SimpleNamespace

    from durproj.ids import workflow_id

    made: dict[str, object] = {}
    exec(REDUCER, made)
    states: dict[str, object] = {}
    for event in expected.events:
        id = workflow_id("projection", event.key)
        stand_in = SimpleNamespace(body=event.data, type=event.type, id=event.id)
        states[id] = made["keep"](states.get(id, {}), stand_in)  # type: ignore[operator]
    return states


# -- drawn


def mutated_lines(trial: Trial) -> None:
    """Good lines with bytes taken away, put in, doubled or changed, in any order, in blocks of any size."""
    path = trial.folder / "log.jsonl"
    while trial.cases < trial.count:
        lines = [mutated(trial.rng) for _ in range(trial.rng.randrange(1, 6))]
        content = trial.rng.choice((b"\n", b"\n", b"\r\n")).join(lines) + trial.rng.choice(
            (b"", b"\n")
        )
        block = trial.rng.choice((1, 2, 5, 31, 64, 300, 1 << 16))
        mapping = trial.rng.choice(MAPPINGS)
        path.write_bytes(content)
        with trial.case(f"{content!r} in blocks of {block}, payload at {mapping.data}"):
            if content.startswith((b"\x1f\x8b", b"\x28\xb5\x2f\xfd")):
                continue  # packed, by its first bytes: another proof's
            compare(path, block, mapping, by_the_book)


BYTES = (
    *(b'"', b"\\", b"{", b"}", b"[", b"]", b",", b":", b"0", b"9" * 19, b"-", b"e", b"e999", b".", b"\0", b"\n", b"\r"),
    *(b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xef\xbb\xbf", b"\\ud800", b"\\u0000", b"NaN", b"null", b" ", b"\t", b"1e400"),
    *(b'"user":', b'"type":', b'"id":', b"18446744073709551616", b"\xe2\x80\xa8", b"\x1b", b"\x7f", b"[" * 1100),
)  # fmt: skip


def mutated(rng: random.Random) -> bytes:
    """A good line, changed at up to three places."""
    line = bytearray(rng.choice((*GOOD, *GOOD, rng.choice(FIXED)[:2000])))
    for _ in range(rng.choice((0, 1, 1, 1, 2, 3))):
        at = rng.randrange(len(line) + 1)
        match rng.randrange(5):
            case 0:
                del line[at : at + rng.randrange(1, 9)]
            case 1:
                line[at:at] = rng.choice(BYTES)
            case 2:
                line[at : at + 1] = bytes([rng.randrange(256)])
            case 3:
                line[at:at] = line[max(0, at - rng.randrange(1, 40)) : at]
            case 4:
                line[at : at + rng.randrange(4)] = rng.choice(BYTES)
    return bytes(line)


def block_borders(trial: Trial) -> None:
    """The same log in blocks of every size: every byte of it is the last of a block, and the first."""
    content = (
        b"\n".join((*GOOD, b"", b" \r", *GOOD[:2]))
        + b"\r\n"
        + b'{"user":"a","n":1e999}\n'
        + GOOD[0]
    )
    path = trial.folder / "log.jsonl"
    path.write_bytes(content)
    for size in range(1, min(trial.count, len(content)) + 1):
        with trial.case(f"blocks of {size}"):
            compare(path, size, MAPPINGS[size % 2], by_the_book)
    # At the size that is read by default, with a line before that brings each byte there in turn.
    for shift in range(min(trial.count // 4, len(content))):
        filler = member("pad", b'"%b"' % (b"x" * ((1 << 16) - 40 - shift)))
        path.write_bytes(filler + b"\n" + content)
        with trial.case(f"the first block ends {shift} bytes later"):
            compare(path, 1 << 16, WHOLE, by_the_book)


PROOFS = [
    Proof("fixed lines, good and bad", ("P4",), fixed_lines, 200, 488, case_ms=5),
    Proof("fixed lines through the command", ("P4",), through_the_command, 30, 1_500, case_ms=65),
    Proof("drawn lines", ("P4",), mutated_lines, 400, 25_000, case_ms=0.6),
    Proof("lines across the borders of blocks", ("P4",), block_borders, 120, 1_154, case_ms=5),
]
