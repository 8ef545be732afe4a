"""The rules of the house that no linter knows."""

from __future__ import annotations

import importlib
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "durproj"
FILES = sorted(PACKAGE.rglob("*.py"))
MODULES = sorted(
    ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    for file in FILES
    if file.name != "__main__.py"
)
LINES = 320
FORBIDDEN = {"utils", "util", "helpers", "helper", "manager", "common", "misc", "core"}


def test_files_stay_small_enough_to_hold_in_the_head():
    lines = {str(file.relative_to(ROOT)): len(file.read_text().splitlines()) for file in FILES}
    assert {name: count for name, count in lines.items() if count > LINES} == {}


def test_modules_are_named_after_what_they_hold():
    named = {name for module in MODULES for name in module.split(".")}
    assert named & FORBIDDEN == set()


@pytest.mark.parametrize("module", MODULES)
def test_every_module_can_be_imported(module):
    importlib.import_module(module)


def test_the_packaged_sample_is_the_one_people_can_look_at():
    packaged = (PACKAGE / "events" / "sample.jsonl").read_bytes()
    assert packaged == (ROOT / "sample_events" / "account.jsonl").read_bytes()
    assert packaged.count(b"\n") == 8
    assert b"\r" not in packaged


@pytest.mark.slow
def test_a_wheel_holds_every_file_of_the_package(tmp_path):
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check"]
    subprocess.run(
        [*build, "--no-deps", "--no-build-isolation", "--wheel-dir", tmp_path, ROOT],
        check=True,
        stdin=subprocess.DEVNULL,
    )
    (wheel,) = tmp_path.glob("durproj-*.whl")
    inside = set(zipfile.ZipFile(wheel).namelist())
    code_and_data = {
        str(file.relative_to(ROOT))
        for pattern in ("*.py", "py.typed", "*.jsonl", "*.sql", "*.css", "*.js")
        for file in PACKAGE.rglob(pattern)
    }
    assert {"durproj/py.typed", "durproj/events/sample.jsonl"} <= code_and_data
    assert code_and_data - inside == set()
    assert {name for name in inside if not name.startswith(("durproj/", "durproj-"))} == set()
