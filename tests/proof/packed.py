"""gzip and zstd, sound, cut, damaged and without end (P4): the lines that a log holds, or exit 65; and memory for
a few lines, whatever comes out of them."""

from __future__ import annotations

import gzip
import re
import subprocess
import sys
import zlib
from pathlib import Path

from conftest import environment

from durproj import zstd
from durproj.errors import BadEvent
from durproj.events.envelope import Envelope
from durproj.events.log import Index
from durproj.events.reader import MAX_LINE, Source
from proof.lines import GOOD, member
from proof.reading import WHOLE, by_the_book
from proof.trial import Proof, Trial


def packed_logs(trial: Trial) -> None:
    """gzip and zstd, in one piece or many: whole, they are the log; cut or damaged, the lines before that, and
    then it is said."""
    path = trial.folder / "log.jsonl"
    while trial.cases < trial.count:
        content = b"".join(
            trial.rng.choice(GOOD) + b"\n" for _ in range(trial.rng.randrange(1, 400))
        )
        pack = trial.rng.choice((gzip.compress, zstd.compress))
        cut = trial.rng.randrange(len(content))
        packed = trial.rng.choice(
            (
                pack(content),
                pack(content[:cut]) + pack(content[cut:]),
                pack(content[:cut]) + pack(b"") + pack(content[cut:]),
            )
        )
        how = trial.rng.choice(("whole", "cut", "flipped"))
        harmed = bytearray(packed)
        if how == "cut":
            del harmed[trial.rng.randrange(4, len(packed)) :]
        elif how == "flipped" and pack is gzip.compress:  # of zstd, a frame has no checksum
            harmed[trial.rng.randrange(2, len(packed))] ^= 1 << trial.rng.randrange(8)
        path.write_bytes(harmed)
        block = trial.rng.choice((1, 100, 1 << 16))
        with trial.case(f"{pack.__module__}, {len(content)} bytes, {how}, in blocks of {block}"):
            whole = by_the_book(content, WHOLE)
            lines, error = _lines(path, block)
            sound = lines == [event.line for event in whole.events][: len(lines)]
            # A flipped bit may be met only at the checksum, after the bytes that it changed.
            assert sound or (how == "flipped" and error), (lines, error)
            assert sound or "corrupt" not in error.why or "may be changed" in error.hint, error
            assert error or len(lines) == len(whole.events), "lines are missing without a word"
            assert how != "whole" or not error, error


def _lines(path: Path, block: int) -> tuple[list[bytes], BadEvent | None]:
    with Index.build(Source([str(path)], block=block), Envelope(WHOLE)) as index:
        lines = [
            line
            for numbers in [range(1, len(index) + 1)]
            for batch in index.lines_of(numbers)
            for line in batch
        ]
        return lines, index.error


MEMORY = """
import atexit, re, sys
def told():
    print("peak", re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1], file=sys.stderr)
atexit.register(told)
from durproj.cli.app import main
main()
"""
MIB = 1 << 20


def endless_lines(trial: Trial) -> None:
    """Lines beyond all bounds, packed and not: refused within four times the longest line that is accepted,
    on top of what the line before takes. Long lines that are accepted: many take what two do."""
    short = GOOD[0] + b"\n"
    long = member("p", b'"%b"' % (b"x" * (15 * MIB))) + b"\n"
    refused = rf"log.jsonl:2: byte {len(short)}: .*longer than"
    refused_after_long = rf"log.jsonl:2: byte {len(long)}: .*longer than"
    cases = [
        ("zeros in gzip", short, _gzip_of(b"\0" * MIB, 200), refused),
        ("a line of 100 MB", short, short + b'{"user":"' + b"x" * (100 * MIB), refused),
        (
            "a text in zstd",
            short,
            zstd.compress(short + b'{"user":"' + b"x" * (400 * MIB)),
            refused,
        ),
        ("blanks in gzip", short, _gzip_of(b" " * MIB, 400), refused),
        ("brackets", short, short + b"[" * (100 * MIB) + b"\n", refused),
        ("one of 100 MB after one of 15", long, long + b"x" * (100 * MIB), refused_after_long),
        ("30 of 15 MB", long * 2, long * 30, None),
    ]
    with trial.scratch() as folder:
        log = folder / "log.jsonl"
        for what, before, content, error in cases[: trial.count]:
            with trial.case(what):
                log.write_bytes(before)
                _, _, floor = _peak(folder)
                log.write_bytes(content)
                code, said, peak = _peak(folder)
                assert code == (65 if error else 0), said
                assert error is None or re.search(error, said), said
                assert peak - floor < 4 * MAX_LINE, (
                    f"{(peak - floor) // MIB} MiB more than what is before it takes"
                )


def _gzip_of(piece: bytes, times: int) -> bytes:
    packer = zlib.compressobj(1, wbits=31)
    head = packer.compress(GOOD[0] + b"\n")
    return head + b"".join([*(packer.compress(piece) for _ in range(times)), packer.flush()])


def _peak(folder: Path) -> tuple[int, str, int]:
    """The exit code of a run over the log, what it said, and the most bytes of memory that it held."""
    (folder / "durproj.db").unlink(missing_ok=True)
    args = ["run", "log.jsonl", "--reducer", "counts", "--key", "user", "-q"]
    done = subprocess.run(
        [sys.executable, "-c", MEMORY, *args],
        cwd=folder, env=environment(), capture_output=True, check=False,
    )  # fmt: skip
    said, _, peak = done.stderr.decode().rpartition("peak ")
    return done.returncode, said, int(peak) * 1024


PROOFS = [
    Proof("packed logs, cut and damaged", ("P4",), packed_logs, 60, 4_000, case_ms=9.2),
    Proof("lines and packed logs without end", ("P4",), endless_lines, 1, 7, case_ms=2500),
]
