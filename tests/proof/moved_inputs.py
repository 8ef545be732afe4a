"""The log that is not where it was, or is another file, when a crashed run goes on: its rest is read when its
events are the recorded ones, and otherwise it is told which file is missing, or which step differs."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path

from dying import tables

from proof.children import command
from proof.half_runs import EVENTS, WRITTEN, expect_sound, journal, write_log
from proof.trial import Proof, Trial

LOG = "log.jsonl"
MORE = b'{"key": "u1", "type": "T", "id": "more", "v": 99}\n'


def _moved(folder: Path) -> None:
    os.rename(folder / LOG, folder / "moved.jsonl")


def _replaced(by: Callable[[list[bytes]], list[bytes]]) -> Callable[[Path], None]:
    """The name is a link to another file, with what `by` makes of the lines."""

    def replace(folder: Path) -> None:
        lines = (folder / LOG).read_bytes().splitlines(keepends=True)
        (folder / "other.jsonl").write_bytes(b"".join(by(lines)))
        os.unlink(folder / LOG)
        os.symlink("other.jsonl", folder / LOG)

    return replace


def _folder(folder: Path) -> None:
    _moved(folder)
    (folder / LOG).mkdir()


def _dangling(folder: Path) -> None:
    os.unlink(folder / LOG)
    os.symlink("nowhere.jsonl", folder / LOG)


def _circle(folder: Path) -> None:
    os.unlink(folder / LOG)
    os.symlink(LOG, folder / LOG)


def _rotated(folder: Path) -> None:
    os.rename(folder / LOG, folder / f"{LOG}.1")
    (folder / LOG).write_bytes(MORE)


CASES: Mapping[str, tuple[Callable[[Path], None], tuple[str, ...], int, int]] = {
    "moved": (_moved, ("resume",), 66, WRITTEN),
    "moved, and run again": (_moved, ("run", LOG), 66, WRITTEN),
    "moved, and given by its new name": (_moved, ("run", "moved.jsonl"), 0, EVENTS),
    "a folder now": (_folder, ("resume",), 66, WRITTEN),
    "a link to nothing": (_dangling, ("resume",), 66, WRITTEN),
    "a link to itself": (_circle, ("resume",), 66, WRITTEN),
    "a link to the same events": (_replaced(lambda lines: lines), ("resume",), 0, EVENTS),
    "a link to more events": (_replaced(lambda lines: [*lines, MORE]), ("resume",), 0, EVENTS + 1),
    "a link to other events": (_replaced(lambda lines: [MORE, *lines]), ("resume",), 4, WRITTEN),
    "a link to fewer events": (_replaced(lambda lines: lines[:2]), ("resume",), 4, WRITTEN),
    "rotated": (_rotated, ("resume",), 4, WRITTEN),
    "rotated, and both given": (_rotated, ("run", f"{LOG}.1", LOG), 0, EVENTS + 1),
    "rotated, and both given the wrong way": (_rotated, ("run", LOG, f"{LOG}.1"), 4, WRITTEN),
}
"""By what becomes of the log: what makes it so, the command that follows, how it ends, and the steps there are
then."""


def moved(trial: Trial) -> None:
    cases = trial.rng.sample(sorted(CASES), len(CASES))
    for n in range(trial.count):
        kind = cases[n % len(cases)]
        act, words, code, steps = CASES[kind]
        durability = trial.rng.choice(("step", "batch"))
        run = ("--reducer", "merge", "--durability", durability)
        with trial.case(f"the log is {kind}, durability {durability}"), trial.scratch() as folder:
            write_log(folder)
            assert command(["run", LOG, *run, "--crash", WRITTEN], folder).code == 3
            was, before = tables(folder / "durproj.db"), journal(folder)
            act(folder)
            done = command([*words, *(run if words[0] == "run" else ())], folder)
            assert done.code == code, done
            found = journal(folder)
            assert found[:WRITTEN] == before
            assert [record["step"] for record in found] == list(range(steps))
            if code:
                assert (LOG if code == 66 else "projection/u1#") in done.err, done.err
                assert tables(folder / "durproj.db") == was, "what is refused changed the store"
                _put_back(folder)
                assert command(["resume"], folder).code == 0
                assert len(journal(folder)) == EVENTS
            expect_sound(folder)


def _put_back(folder: Path) -> None:
    log = folder / LOG
    if log.is_dir():
        log.rmdir()
    else:
        log.unlink(missing_ok=True)
    write_log(folder)


def broken_off(trial: Trial) -> None:
    """A copy that ends within its last line, and then the whole log, in any order of its events: what is recorded
    is gone on with, but where the line was left out and is an event that belongs before recorded ones."""
    for _ in range(trial.count):
        places = trial.rng.sample(range(6), 6)
        order = trial.rng.choice(("file", "time", "seq"))
        skips, at = trial.rng.random() < 0.5, trial.rng.choice((1, 2, 9, 30))
        what = f"events {places} by {order}, {at} bytes short, bad lines are left out: {skips}"
        with trial.case(what), trial.scratch() as folder:
            lines = [_placed(place) for place in places]
            ordered = places if order == "file" else sorted(places)
            run = ["run", LOG, "--reducer", "merge", "--order", order, "--seq", "v"]
            run += ["--on-bad-line", "skip"] if skips else []
            (folder / LOG).write_bytes(b"".join(lines)[:-at])
            # Without its line end it is whole.
            whole = at == 1
            broken = command(run, folder)
            assert broken.code == (0 if whole else 1 if skips else 65), broken
            there = ordered
            if not whole:
                there = [place for place in ordered if place != places[-1]]
                there = there if skips or order == "file" else []
            assert _recorded(folder) == there
            (folder / LOG).write_bytes(b"".join(lines))
            was = tables(folder / "durproj.db")
            done = command(run, folder)
            late = there != ordered[: len(there)]
            assert done.code == (4 if late else 0), done
            assert not late or skips
            assert _recorded(folder) == (there if late else ordered)
            assert not late or tables(folder / "durproj.db") == was
            expect_sound(folder)


def _placed(place: int) -> bytes:
    time = f"2026-01-0{place + 1}T00:00:00Z"
    return json.dumps({"key": "u1", "type": "T", "time": time, "v": place}).encode() + b"\n"


def _recorded(folder: Path) -> list[int]:
    """The places of the events that are recorded."""
    return [record["state"]["v"] for record in journal(folder)]


PROOFS = [
    Proof("the log moved, linked, rotated between crash and resume", ("P2", "P5"), moved, 13, 260,
          case_ms=110),
    Proof("a log broken off in its last line, in any order, then whole", ("P2", "P5"), broken_off, 12, 900,
          case_ms=78),
]  # fmt: skip
