"""durproj doctor: what durproj stands on, and whether the store is sound."""

from __future__ import annotations

import platform
from typing import TYPE_CHECKING, Any

from durproj.cli.options import (
    ColorOption,
    JsonOption,
    QuietOption,
    StableOption,
    StoreOption,
    screen,
    store_path,
)

if TYPE_CHECKING:
    from durproj.render import Screen


def doctor(
    store: StoreOption = "durproj.db",
    json: JsonOption = False,
    stable: StableOption = False,
    quiet: QuietOption = False,
    color: ColorOption = "auto",
) -> None:
    """Check Python, SQLite and the store: schema, integrity, who holds it, what is unfinished.

    Exit 74 when the store is damaged.
    """
    from durproj import __version__
    from durproj.stores.examine import examine, sqlite_remark, sqlite_version

    path = store_path(store)
    shown = screen(json=json, stable=stable, quiet=quiet, color=color)
    report: dict[str, Any] = {
        "type": "doctor",
        "durproj": __version__,
        "python": platform.python_version(),
        "sqlite": sqlite_version(),
        "remarks": [remark for remark in (sqlite_remark(),) if remark],
        "store": None,
    }
    found = examine(path) if path.exists() else None
    if found:
        report["store"] = found.record()
        report["remarks"] += found.remarks
        if found.held_since:
            report["timing"] = {"held_since": found.held_since}
    if json:
        shown.record(report)
    else:
        _show(shown, report, str(path))
    shown.flush()
    if found and found.error:
        raise found.error


def _show(shown: Screen, report: dict[str, Any], path: str) -> None:
    def row(name: str, *spans: tuple[str, str]) -> None:
        shown.line((f"{name:<14}", "dim"), *spans)

    for name in ("durproj", "python", "sqlite"):
        row(name, (report[name], ""))
    store = report["store"]
    if store is None:
        row("store", (f"{path}: not there yet; durproj run makes it", ""))
    else:
        sound = store["error"] is None
        row("store", (path, ""), ("  sound", "green") if sound else ("  NOT SOUND", "red"))
        tables = [f"{table} {count:,}" for table, count in store["tables"].items()]
        workflows = [f"{count:,} {status}" for status, count in store["workflows"].items()]
        since = report.get("timing", {}).get("held_since")
        held = f"{store['held_by']}" + (f" since {since}" if since else "")
        for name, value in (
            ("bytes", f"{store['bytes']:,}"),
            ("journal", store["journal"]),
            ("schema", str(store["schema"])),
            ("held by", held if store["held_by"] else ""),
            ("rows", ", ".join(tables) or "none"),
            ("workflows", ", ".join(workflows)),
            ("unfinished", f"{store['unfinished']:,}"),
        ):
            if value:
                row(f"  {name}", (value, ""))
    for remark in report["remarks"]:
        shown.line((f"{'note':<14}", "yellow"), (remark, ""))
