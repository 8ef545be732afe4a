"""What a command imports: start-up is what short commands cost, and every library is a part of it."""

from __future__ import annotations

import subprocess
import sys

import pytest
from conftest import environment

HEAVY = {
    *("rich", "sqlite_utils", "pydantic", "click", "pluggy", "dateutil", "hypothesis", "pytest"),
    *("asyncio", "multiprocessing", "http", "urllib.request", "ssl", "email", "pdb"),
    *("importlib.resources", "zipfile", "socket", "hashlib", "jq"),
}


def imported(folder, *args):
    """The modules that a command imports."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "durproj", *args],
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    lines = [line for line in done.stderr.split("\n") if line.startswith("import time:")]
    found = {line.rpartition("|")[2].strip() for line in lines}
    assert {"durproj", "os"} <= found
    return found


@pytest.mark.parametrize(
    "args",
    [
        ["run"],
        ["run", "--json"],
        ["resume"],
        ["inspect", "projection/u1"],
        ["list"],
        ["stats"],
        ["gc"],
    ],
    ids=" ".join,
)
def test_a_command_imports_nothing_heavy(tmp_path, args):
    imported(tmp_path, "run")
    found = imported(tmp_path, *args)
    assert {name for name in found if name in HEAVY or name.partition(".")[0] in HEAVY} == set()


def test_detection_costs_those_who_need_it(tmp_path):
    (tmp_path / "log.jsonl").write_text('{"type":"A","user":"u1"}\n')
    conventions, formats = "durproj.events.formats.conventions", "durproj.events.formats.detection"
    assert conventions not in imported(tmp_path, "run")
    first = imported(tmp_path, "run", "log.jsonl", "--reducer", "counts", "--name", "log")
    assert {conventions, formats} <= first
    assert formats not in imported(tmp_path, "run")
    assert formats not in imported(tmp_path, "run", "log.jsonl", "--name", "log")


def test_stats_imports_no_store(tmp_path):
    assert "sqlite3" not in imported(tmp_path, "stats")


def test_the_version_imports_next_to_nothing(tmp_path):
    found = imported(tmp_path, "--version")
    assert not {"typer", "orjson", "sqlite3", "json", "dataclasses"} & found
    assert {name for name in found if name.startswith("durproj.")} == {
        *("durproj.cli", "durproj.cli.app")
    }


def test_color_is_what_brings_rich_in(tmp_path):
    assert "rich" in {
        name.partition(".")[0] for name in imported(tmp_path, "run", "--color=always")
    }
