"""What a command imports: start-up is what short commands cost, and every library is a part of it."""

from __future__ import annotations

import subprocess
import sys

import pytest
from conftest import environment

HEAVY = {
    *("rich", "sqlite_utils", "pydantic", "click", "pluggy", "dateutil", "hypothesis", "pytest"),
    *("asyncio", "multiprocessing", "http", "urllib.request", "ssl", "email", "pdb"),
    *("importlib.resources", "zipfile", "socket", "hashlib", "jq", "cel", "prompt_toolkit"),
    "pyarrow",
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
        *(
            ["run"],
            ["run", "--json"],
            ["resume"],
            ["inspect", "projection/u1"],
            ["list"],
            ["stats"],
        ),
        ["find", "projection/u1", "state.totalOrders > 1", "--bisect"],
        ["compare", "projection", "projection"],
        ["export"],
        ["log", "projection/u1"],
        ["diff", "projection/u1#1", "--no-exit-code"],
        ["blame", "projection/u1"],
        ["verify"],
        ["fork", "projection/u1", "--as", "other", "--drop-event", "2"],
        ["promote", "projection", "other"],
        ["rewind", "projection/u1#3"],
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


def test_a_page_costs_those_who_ask_for_one(tmp_path):
    run = imported(tmp_path, "run")
    assert not [name for name in run if name.startswith(("durproj.page", "xml"))]
    found = imported(tmp_path, "report", "projection/u1")
    # Its policy names the script by its hash.
    assert {name for name in found if name.partition(".")[0] in HEAVY} == {"hashlib"}


def test_stats_imports_no_store(tmp_path):
    assert "sqlite3" not in imported(tmp_path, "stats")


def test_only_a_table_of_sqlite_brings_sqlite_utils_in_and_only_parquet_brings_pyarrow(tmp_path):
    imported(tmp_path, "run")
    heavy = {"sqlite_utils", "pyarrow"}
    assert not heavy & imported(tmp_path, "export", "--to", "out.csv")
    assert heavy & imported(tmp_path, "export", "--to", "out.db") == {"sqlite_utils"}
    assert heavy & imported(tmp_path, "export", "--to", "out.parquet") == {"pyarrow"}


def test_the_version_imports_next_to_nothing(tmp_path):
    found = imported(tmp_path, "--version")
    assert not {"typer", "orjson", "sqlite3", "json", "dataclasses"} & found
    assert {name for name in found if name.startswith("durproj.")} == {
        *("durproj.cli", "durproj.cli.app")
    }


def test_only_find_loads_the_library_of_conditions(tmp_path):
    imported(tmp_path, "run")
    find = ["find", "projection/u1", "step == 0"]
    assert "durproj.history.expressions" in imported(tmp_path, *find)
    for args in (["inspect", "projection/u1"], ["compare", "projection", "projection"]):
        assert "durproj.history.expressions" not in imported(tmp_path, *args)


def test_color_is_what_brings_rich_in(tmp_path):
    assert "rich" in {
        name.partition(".")[0] for name in imported(tmp_path, "run", "--color=always")
    }
