"""`python -m proof`: options in, one table out; 1 when anything was lost, or was not put to the test."""

from __future__ import annotations

import argparse
import json
import os
import secrets
import shutil
import signal
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from proof.proofs import PROOFS
from proof.rows import rows
from proof.trial import Proof

ROOT = Path(__file__).resolve().parents[2]


class _Stopped(BaseException):
    """A signal asks for the end. signum: which."""

    def __init__(self, signum: int) -> None:
        self.signum = signum


def main() -> int:
    """Prove what was asked for, each kind of fault in a process of its own, so many at a time."""
    options, proofs = _options()
    asked = [(proof, _count(proof, options)) for proof in proofs]
    if options.list:
        for proof, count in asked:
            promises = ", ".join(proof.promises)
            print(f"{promises:<22} {count:>7,} cases of {proof.case_ms:>6,} ms  {proof.fault}")
        return 0
    seed = options.seed or secrets.token_hex(4)
    minutes = sum(proof.case_ms * count for proof, count in asked) / 60e3
    _say(
        f"{len(asked)} kinds of fault, {sum(count for _, count in asked):,} cases, {options.jobs} kinds at a "
        f"time, about {minutes / options.jobs:.1f} minutes, seed {seed}"
    )
    began = time.monotonic()
    found, code = _prove(asked, seed, options.jobs)
    report = {
        "seed": seed,
        "counts": _counts(options),
        "seconds": round(time.monotonic() - began, 1),
        "rows": found,
    }
    out = options.json or ROOT / "build" / "proof.json"
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(report, indent=1, ensure_ascii=False))
    print_table(report)
    _tell_not_run(found)
    if len(found) < len(asked):
        _say(f"\nstopped: {len(asked) - len(found)} kinds of fault did not come to their end")
    return code or _verdict(found, allow_missing=options.allow_missing)


def _prove(
    asked: list[tuple[Proof, int]], seed: str, jobs: int
) -> tuple[list[dict[str, Any]], int]:
    """The rows, in the order of the table, and the exit code of the signal that ended it, if one did."""
    found: list[dict[str, Any]] = []
    code = 0
    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(signum) in (signal.SIG_DFL, signal.default_int_handler):
            signal.signal(signum, _stop)
    try:
        for row in rows(asked, seed, jobs, _tell):
            found.append(row)
            _tell(())
            _say(f"[{len(found)}/{len(asked)}] {row['fault']}: {_told(row)}")
    except _Stopped as stopped:
        code = 128 + stopped.signum
    _tell(())
    order = [proof.fault for proof, _ in asked]
    found.sort(key=lambda row: order.index(row["fault"]))
    return found, code


def _verdict(found: list[dict[str, Any]], *, allow_missing: bool) -> int:
    """1 when a row was not held, or not put to the test and that is not allowed; else 0."""
    return int(any(row["faults"] or (row["not_run"] and not allow_missing) for row in found))


def _stop(signum: int, _: FrameType | None) -> NoReturn:
    # What is done then does not take long, and another one must not come between.
    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(each, signal.SIG_IGN)
    raise _Stopped(signum)


def _told(row: dict[str, Any]) -> str:
    if row["not_run"]:
        return f"not run: {row['not_run']}"
    kept = ": NOT HELD" if row["faults"] else ""
    return f"{row['cases']:,} cases, {row['seconds']:.0f} s{kept}"


def _tell(at_work: Sequence[str]) -> None:
    """On a terminal: what is at work, on a line that the next one replaces."""
    if sys.stderr.isatty():
        width = shutil.get_terminal_size().columns - 1
        text = f"at work: {'; '.join(at_work)}" if at_work else ""
        sys.stderr.write(f"\r\x1b[2K{text[:width]}")
        sys.stderr.flush()


def _tell_not_run(found: list[dict[str, Any]]) -> None:
    """On stderr: what is lacking, and for how many kinds of fault."""
    lacking = Counter(row["not_run"] for row in found if row["not_run"])
    for what, kinds in lacking.items():
        _say(f"\nnot run: {kinds} of {len(found)} kinds of fault: {what}")


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def print_table(report: dict[str, Any]) -> None:
    """The table, as Markdown, and under it what to know of its rows; what was lost on stderr."""
    print("| fault | promises | cases | survived | lost | seconds |")
    print("|---|---|---:|---:|---:|---:|")
    for row in report["rows"]:
        print(f"| {' | '.join([row['fault'], ', '.join(row['promises']), *_cells(row)])} |")
    print(f"| all, without the cases of controls | | {' | '.join(_totals(report))} |")
    print(f"\nseed {report['seed']}")
    for row in report["rows"]:
        for note in row["notes"]:
            print(f"{row['fault']}: {note}")
    for row in report["rows"]:
        for fault in row["faults"]:
            words = f'--seed {report["seed"]}{report["counts"]} --only "{row["fault"]}"'
            again = f"make proof ARGS='{words}'"
            _say(f"\n{row['fault']}, again with: {again}\n{fault}")


def _cells(row: dict[str, Any]) -> list[str]:
    """Cases, survived, lost, seconds."""
    if row["not_run"]:
        return [f"not run: {row['not_run']}", "", "", ""]
    survived = "" if row["control"] else f"{row['cases'] - row['lost']:,}"
    lost = f"{_lost(row)} (control)" if row["control"] else _lost(row)
    return [f"{row['cases']:,}", survived, lost, f"{row['seconds']:.0f}"]


def _lost(row: dict[str, Any]) -> str:
    """How many were lost, of a control by what is broken in it, unless that number would hide that the row
    proves nothing."""
    if row["broke_off"]:
        return f"{row['lost']:,}, broke off" if row["lost"] else "broke off"
    if row["control"] and row["faults"]:
        return f"found too little: {row['judged']:,}" if row["judged"] else "found nothing"
    return f"{row['judged' if row['control'] else 'lost']:,}"


def _totals(report: dict[str, Any]) -> list[str]:
    """The same of all rows together, and how many of them prove nothing; the cases of controls, which have to be
    lost, do not count."""
    found = report["rows"]
    proved = [row for row in found if not row["control"]]
    cases, lost = (sum(row[name] for row in proved) for name in ("cases", "lost"))
    kinds = {
        "broke off": sum(row["broke_off"] for row in found),
        "found too little": sum(
            bool(row["control"] and row["faults"]) and not row["broke_off"] for row in found
        ),
        "not run": sum(bool(row["not_run"]) for row in found),
    }
    nothing = "".join(f", {count:,} {kind}" for kind, count in kinds.items() if count)
    return [f"{cases:,}", f"{cases - lost:,}", f"{lost:,}{nothing}", f"{report['seconds']:.0f}"]


def _counts(options: argparse.Namespace) -> str:
    """The options that say how many cases there are: what is drawn is the same with the same ones only."""
    quick = " --quick" if options.quick else ""
    return quick if options.scale == 1 else f"{quick} --scale {options.scale}"


def _count(proof: Proof, options: argparse.Namespace) -> int:
    """How many cases are asked for."""
    return max(1, round((proof.quick if options.quick else proof.nightly) * options.scale))


def _options() -> tuple[argparse.Namespace, list[Proof]]:
    parser = argparse.ArgumentParser(prog="make proof ARGS=…", description=main.__doc__)
    parser.add_argument("--seed", help="a fresh one is drawn and told")
    parser.add_argument("--quick", action="store_true", help="the counts of make test")
    parser.add_argument("--scale", type=float, default=1.0, help="times the counts (1)")
    parser.add_argument("--only", metavar="WORDS", action="append", help="faults that are named so")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="at a time (one a core)")
    parser.add_argument("--list", action="store_true", help="name the faults, with their counts")
    parser.add_argument(
        "--allow-missing",
        action="store_true",
        help="0 although something that rows need is not there",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="(build/proof.json)")
    options = parser.parse_args()
    for words in options.only or ():
        if not any(words in proof.fault for proof in PROOFS):
            parser.error(f"no fault is named {words!r}; --list names them")
    chosen = [
        proof
        for proof in PROOFS
        if not options.only or any(words in proof.fault for words in options.only)
    ]
    return options, chosen


if __name__ == "__main__":
    try:
        code = main()
        sys.stdout.flush()
    except (
        BrokenPipeError
    ):  # its reader has left; nothing more can be told, and nothing of it is left
        code = 128 + signal.SIGPIPE
        for stream in (sys.stdout, sys.stderr):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    sys.exit(code)
