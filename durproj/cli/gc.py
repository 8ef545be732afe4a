"""durproj gc: drop what is no longer wanted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from durproj.cli.completion import complete_id
from durproj.cli.options import (
    ColorOption,
    JsonOption,
    NameOption,
    QuietOption,
    StableOption,
    StoreOption,
    UserOption,
    WaitOption,
    screen,
    store_path,
)
from durproj.wording import number

if TYPE_CHECKING:
    from durproj.render import Screen

SHOWN = 20
"""So many workflows are named on the screen; with --json all are."""

LEFT = {
    "unfinished": "not finished, so they keep all their steps",
    "dedupe": "with --dedupe id, events are told apart by the ids in all steps",
    "block": "steps go in whole blocks of up to 256, and the newest of them are to be kept",
    "once": "their events came through a pipe or from a rotated file, and would not come again;"
    " what of one run came so is dropped together",
}


def gc(
    id: Annotated[
        list[str] | None,
        typer.Argument(metavar="[ID]...", help="Only these workflows.", autocompletion=complete_id),
    ] = None,
    user: UserOption = None,
    name: NameOption = None,
    older_than: Annotated[
        str | None,
        typer.Option(
            "--older-than",
            metavar="AGE",
            help="Only workflows last written so long ago: 12h, 30d, 4w.",
        ),
    ] = None,
    keep_last: Annotated[
        int | None,
        typer.Option(
            "--keep-last", metavar="N", min=1, help="Keep the newest N steps (up to a block more)."
        ),
    ] = None,
    keep_latest: Annotated[
        bool,
        typer.Option("--keep-latest", help="Keep the latest state, and as few steps as can be."),
    ] = False,
    drop: Annotated[
        bool, typer.Option("--drop", help="Drop the chosen workflows wholly, with their state.")
    ] = False,
    vacuum: Annotated[
        bool | None,
        typer.Option(
            "--vacuum/--no-vacuum",
            help="Give free space in the file back; by default when it is a tenth of it.",
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")] = False,
    store: StoreOption = "durproj.db",
    wait: WaitOption = 0.0,
    json: JsonOption = False,
    stable: StableOption = False,
    quiet: QuietOption = False,
    color: ColorOption = "auto",
) -> None:
    """Drop workflows that promote has replaced and, if asked for, the oldest steps of others.

    The latest state of every other workflow stays. Only workflows that are resolved lose steps.
    """
    from durproj.cli.reporter import command_for
    from durproj.cli.signals import stoppable
    from durproj.errors import Interrupted, StoreDamaged, UsageError
    from durproj.history.gc import gc as collect

    if keep_latest and keep_last is not None:
        raise UsageError("--keep-latest and --keep-last are two answers", "give one of them")
    shown = screen(json=json, stable=stable, quiet=quiet, color=color)
    with stoppable() as stop:
        try:
            *_, summary = collect(
                id,
                keys=user,
                name=name,
                older_than=older_than,
                keep_last=0 if keep_latest else keep_last,
                drop=drop,
                vacuum=vacuum,
                dry_run=dry_run,
                store=store_path(store),
                wait_s=wait,
                progress=_Shown(shown, store),
                stop=stop,
            )
        except Interrupted as stopped:
            stopped.message, stopped.hint = "stopped; what was dropped so far is dropped", ""
            raise
    if not (json or drop or keep_latest or keep_last):
        shown.note(
            f"histories stay; to drop the oldest steps: {command_for(store, 'gc')} --keep-last N"
        )
    shown.flush()
    if count := summary["damaged"]:
        what = number(count, "workflow is", "workflows are")
        raise StoreDamaged(
            f"{store}: {what} damaged, and left alone",
            "durproj verify names what is; restore the store from a backup, or drop it: durproj gc ID --drop",
        )


class _Shown:
    """Shows each record as it comes."""

    def __init__(self, shown: Screen, store: str) -> None:
        self._screen, self._store = shown, store
        self._count = 0

    def __call__(self, record: dict[str, Any]) -> None:
        if self._screen.style.json:
            self._screen.record(record)
        elif record["type"] == "summary":
            if self._count > SHOWN:
                self._screen.line((f"… and {self._count - SHOWN:,} more", "dim"))
            _summary(self._screen, record, self._store)
        elif record["what"] == "damaged":
            self._screen.note(record["error"])
        else:
            self._count += 1
            if self._count <= SHOWN:
                self._workflow(record)

    def _workflow(self, record: dict[str, Any]) -> None:

        whole = record["what"] == "dropped"
        kept = "" if whole else f", kept from step {record['kept_from']:,}"
        gone = f"{number(record['steps'], 'step')}, {number(record['bytes'], 'byte')}"
        self._screen.line(
            (f"{record['what']:<8}", "red" if whole else "yellow"),
            (f"  {record['id']}", "bold"),
            (f"  {gone}{kept}", ""),
        )


def _summary(shown: Screen, record: dict[str, Any], store: str) -> None:

    for reason, count in record["left"].items():
        shown.note(f"{number(count, 'workflow')} left: {LEFT[reason]}")
    if not record["trimmed"] + record["dropped"]:
        shown.note("nothing to drop")
        return
    would = "would be " if record["dry_run"] else ""
    parts = [
        f"{number(record[what], 'workflow')} {would}{what}"
        for what in ("trimmed", "dropped")
        if record[what]
    ]
    gone = f": {number(record['steps'], 'step')}, {number(record['bytes'], 'byte')}"
    shown.line((", ".join(parts), "bold"), (gone, ""))
    if not record["dry_run"]:
        _show_file(shown, record["file"], store)


def _show_file(shown: Screen, file: dict[str, int], store: str) -> None:
    from durproj.cli.reporter import command_for

    if file["after"] < file["before"]:
        shown.line((f"the file: {file['before']:,} → {number(file['after'], 'byte')}", ""))
    elif file["freed"]:
        command = command_for(store, "gc", "--vacuum")
        freed = number(file["freed"], "byte")
        shown.note(f"{freed} of the file are free for what comes; to make it smaller: {command}")
