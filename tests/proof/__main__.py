"""`python -m proof`: options in, one table out; 1 when anything was lost."""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import secrets
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

from proof.proofs import PROOFS
from proof.trial import Proof

ROOT = Path(__file__).resolve().parents[2]


def main() -> int:
    """Prove what was asked for, each kind of fault in a process of its own, so many at a time."""
    options, proofs = _options()
    if options.list:
        for proof in proofs:
            print(
                f"{', '.join(proof.promises):<11} {proof.fault}  [{proof.quick}, {proof.nightly}]"
            )
        return 0
    seed = options.seed or secrets.token_hex(4)
    print(f"seed {seed}", file=sys.stderr, flush=True)
    rows = []
    for row in _rows(proofs, seed, options):
        rows.append(row)
        kept = "" if not row["faults"] else ": NOT HELD"
        print(
            f"[{len(rows)}/{len(proofs)}] {row['fault']}: {row['cases']} cases, "
            f"{row['seconds']:.0f} s{kept}",
            file=sys.stderr, flush=True,
        )  # fmt: skip
    rows.sort(key=lambda row: [proof.fault for proof in proofs].index(row["fault"]))
    report = {"seed": seed, "rows": rows}
    out = options.json or ROOT / "build" / "proof.json"
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(report, indent=1, ensure_ascii=False))
    print_table(report)
    return 1 if any(row["faults"] for row in rows) else 0


def print_table(report: dict[str, Any]) -> None:
    """The table, as Markdown, and under it what to know of its rows; what was lost on stderr."""
    print("| fault | promises | cases | survived | lost | seconds |")
    print("|---|---|---:|---:|---:|---:|")
    for row in report["rows"]:
        survived = "" if row["control"] else f"{row['cases'] - row['lost']:,}"
        lost = f"{row['lost']:,} (control)" if row["control"] else f"{row['lost']:,}"
        promises = ", ".join(row["promises"])
        print(
            f"| {row['fault']} | {promises} | {row['cases']:,} | {survived} | {lost} "
            f"| {row['seconds']:.0f} |"
        )
    print(f"\nseed {report['seed']}")
    for row in report["rows"]:
        for note in row["notes"]:
            print(f"{row['fault']}: {note}")
    for row in report["rows"]:
        for fault in row["faults"]:
            again = f"make proof ARGS='--seed {report['seed']} --only \"{row['fault']}\"'"
            print(f"\n{row['fault']}, again with: {again}\n{fault}", file=sys.stderr)


def _rows(proofs: list[Proof], seed: str, options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """What came of each, as it comes."""
    spawn = multiprocessing.get_context("spawn")
    with (
        tempfile.TemporaryDirectory(prefix="durproj-proof-") as folder,
        ProcessPoolExecutor(options.jobs, mp_context=spawn, max_tasks_per_child=1) as pool,
    ):
        # The long ones first: the last to end is then a short one.
        order = sorted(proofs, key=lambda proof: -proof.nightly)
        waiting: list[Future[dict[str, Any]]] = [
            pool.submit(prove, proof.fault, seed, options.quick, options.scale, folder)
            for proof in order
        ]
        try:
            for done in as_completed(waiting):
                yield done.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def prove(fault: str, seed: str, quick: bool, scale: float, folder: str) -> dict[str, Any]:
    """Run the proof of `fault`: its row."""
    proof = next(each for each in PROOFS if each.fault == fault)
    count = max(1, round((proof.quick if quick else proof.nightly) * scale))
    began = time.monotonic()
    trial = proof.run(seed, count, Path(folder))
    return {
        "fault": fault,
        "promises": proof.promises,
        "control": proof.control,
        "cases": trial.cases,
        "lost": trial.lost,
        "seconds": round(time.monotonic() - began, 1),
        "notes": trial.notes,
        "faults": proof.faults(trial),
    }


def _options() -> tuple[argparse.Namespace, list[Proof]]:
    parser = argparse.ArgumentParser(prog="make proof ARGS=…", description=main.__doc__)
    parser.add_argument("--seed", help="a fresh one is drawn and told")
    parser.add_argument("--quick", action="store_true", help="the counts of make test")
    parser.add_argument("--scale", type=float, default=1.0, help="times the counts (1)")
    parser.add_argument("--only", metavar="WORDS", action="append", help="faults that are named so")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="at a time (one a core)")
    parser.add_argument("--list", action="store_true", help="name the faults, with both counts")
    parser.add_argument("--json", type=Path, metavar="FILE", help="(build/proof.json)")
    options = parser.parse_args()
    chosen = [
        proof
        for proof in PROOFS
        if not options.only or any(words in proof.fault for words in options.only)
    ]
    if not chosen:
        parser.error("no such fault; --list names them")
    return options, chosen


if __name__ == "__main__":
    # The processes that prove find `prove` by the name of its module, which is not `__main__` to them.
    from proof import __main__ as proper

    sys.exit(proper.main())
