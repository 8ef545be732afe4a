"""`python -m bench`: options in, one table and one JSON file out."""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import sqlite3
import sys
import tempfile
from fnmatch import fnmatchcase
from typing import Any

from bench import peers
from bench.findings import Finding
from bench.lab import Lab
from bench.measure import ProgramFailedError
from bench.rows import ROWS, Row

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def main() -> int:
    """Measure the rows asked for; 0 when all of them ran, whatever they show."""
    options, rows = _options()
    if options.list:
        for row in rows:
            beside = f", beside {row.baseline}" if row.baseline else ""
            print(f"{row.name:<17} {row.what}{beside}  [{_goal(row)}]")
        return 0
    name = "bench-peers.json" if options.peers else "bench.json"
    out = os.path.abspath(options.json or os.path.join(ROOT, "build", name))
    os.makedirs(os.path.dirname(out), exist_ok=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    scale = options.scale or (0.05 if options.quick else 1.0)
    done: list[tuple[Row, Finding]] = []
    code = 0
    try:
        with tempfile.TemporaryDirectory(prefix="durproj-bench-") as folder:
            lab = Lab(folder, runs=options.runs, scale=scale, seed=options.seed)
            for number, row in enumerate(rows, 1):
                print(f"[{number}/{len(rows)}] {row.name}: {row.what}", file=sys.stderr, flush=True)
                done.append((row, row.measure(lab)))
    except ProgramFailedError as error:
        print(f"bench: {error}", file=sys.stderr)
        code = 1
    except KeyboardInterrupt:
        code = 130
    if not done:
        return code
    # What was measured before a failure took its time, too, and is shown.
    report = {
        "machine": machine(),
        "runs": options.runs,
        "scale": scale,
        "seed": options.seed,
        "rows": [_record(row, finding) for row, finding in done],
    }
    with open(out, "w", encoding="utf-8") as file:
        json.dump(report, file, indent=1, ensure_ascii=False)
    _print_table(report)
    print(f"written to {min(out, os.path.relpath(out), key=len)}", file=sys.stderr)
    return code


def machine() -> dict[str, Any]:
    """Where the figures are from."""
    model = platform.processor() or platform.machine()
    if os.path.exists("/proc/cpuinfo"):
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            named = (
                line.partition(":")[2].strip() for line in lines if line.startswith("model name")
            )
            model = next(named, model)
    return {
        "cpu": model,
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
    }


def _options() -> tuple[argparse.Namespace, list[Row]]:
    parser = argparse.ArgumentParser(prog="make bench ARGS=…", description=main.__doc__)
    parser.add_argument("--runs", type=int, default=3, help="runs of each thing (3)")
    parser.add_argument("--only", metavar="ROW[,ROW]", help="these rows; * stands for anything")
    parser.add_argument("--quick", action="store_true", help="a twentieth of the size")
    parser.add_argument("--seed", type=int, default=1, help="of the generated logs (1)")
    parser.add_argument("--list", action="store_true", help="name the rows")
    parser.add_argument("--json", metavar="FILE", help="(build/bench.json, build/bench-peers.json)")
    parser.add_argument(
        "--peers", metavar="PYTHON", help="durproj beside its peers instead; PYTHON has them"
    )
    parser.add_argument("--scale", type=float, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.runs < 1:
        parser.error("--runs is at least 1")
    offered = peers.rows(os.path.abspath(options.peers)) if options.peers else ROWS
    patterns = options.only.split(",") if options.only else ["*"]
    for pattern in patterns:
        if not any(fnmatchcase(row.name, pattern) for row in offered):
            parser.error(f"no row {pattern}; there are {', '.join(row.name for row in offered)}")
    rows = [row for row in offered if any(fnmatchcase(row.name, pattern) for pattern in patterns)]
    return options, rows


def _record(row: Row, finding: Finding) -> dict[str, Any]:
    pair = finding.pair
    return {
        "name": row.name,
        "what": row.what,
        "baseline": row.baseline,
        "figure": finding.figure,
        "goal": row.goal,
        "unit": row.unit,
        "met": None if None in (row.goal, finding.figure) else finding.figure <= row.goal,
        "cpu_ratio": pair and pair.cpu_ratio,
        "wall_ratio": pair and pair.wall_ratio,
        "disk_bytes_per_step": finding.disk_per_step,
        "detail": finding.detail,
        "measured_runs": [usage._asdict() for usage in pair.measured] if pair else [],
        "baseline_runs": [usage._asdict() for usage in pair.baseline] if pair else [],
    }


def _print_table(report: dict[str, Any]) -> None:
    # Only now: it would add to the memory this process has while it measures.
    from rich.console import Console
    from rich.table import Table

    cpu, cores, system, python, sqlite = report["machine"].values()
    sized = "" if report["scale"] == 1 else f" · SCALE {report['scale']:g}: the goals do not apply"
    table = Table(
        title=f"{cpu} · {cores} cores · {system} · Python {python} · SQLite {sqlite}"
        f" · medians of {report['runs']}{sized}"
    )
    table.add_column("row", no_wrap=True)
    for column in ("figure", "goal", "CPU x", "wall x", "peak MB", "B/step"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("detail")
    colors = {True: "green", False: "red", None: ""}
    for row in report["rows"]:
        measured = sorted(run["rss_bytes"] for run in row["measured_runs"])
        table.add_row(
            row["name"],
            _figure(row),
            "" if row["goal"] is None else f"{row['goal']:g}",
            _text(row["cpu_ratio"]),
            _text(row["wall_ratio"]),
            f"{measured[len(measured) // 2] / 1e6:.0f}" if measured else "",
            _text(row["disk_bytes_per_step"]),
            ", ".join(f"{label} {_text(value)}" for label, value in row["detail"].items()),
            style=colors[row["met"]],
        )
    console = Console()
    Console(width=None if console.is_terminal else 150).print(table)


def _figure(row: dict[str, Any]) -> str:
    if row["figure"] is None:
        return "not installed"
    return f"{_text(row['figure'])} {row['unit']}".rstrip()


def _text(value: float | str | None) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def _goal(row: Row) -> str:
    return "no goal" if row.goal is None else f"≤ {row.goal:g} {row.unit}".rstrip()


if __name__ == "__main__":
    sys.exit(main())
