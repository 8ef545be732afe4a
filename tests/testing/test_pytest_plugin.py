"""The pytest plugin, as its users have it: found by itself in a pytest of their own."""

from __future__ import annotations

import subprocess
import sys

from conftest import environment

TESTS = """
import threading

import durproj
from durproj.testing import given


def total(state, event):
    return {"sum": state.get("sum", 0) + event.data["n"]}


EVENTS = [("T", {"n": n}) for n in range(3)]


def test_store(durproj_store, tmp_path):
    assert not durproj_store.exists()
    log = tmp_path / "log.jsonl"
    log.write_text('{"type":"T","data":{"n":4}}')
    durproj.fold(log, reducer=total, store=durproj_store)
    assert durproj.inspect("projection/all", store=durproj_store)["state"] == {"sum": 4}


def test_crashes(crash_everywhere):
    assert crash_everywhere(EVENTS, total) == {"all": {"sum": 3}}


def test_crashes_beside_a_thread(crash_everywhere):
    done = threading.Event()
    thread = threading.Thread(target=done.wait)
    thread.start()
    try:
        crash_everywhere(EVENTS, total)
    finally:
        done.set()
        thread.join()
"""


def run_pytest(folder, *args):
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider", *args],
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_its_fixtures_are_there_without_being_asked_for(tmp_path):
    (tmp_path / "test_total.py").write_text(TESTS)
    for args in ([], ["-n", "2"], ["-s"]):
        done = run_pytest(tmp_path, *args)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "3 passed" in done.stdout


def test_its_fixtures_say_what_they_are(tmp_path):
    shown = run_pytest(tmp_path, "--fixtures").stdout
    assert "durproj_store -- " in shown
    assert "The path of a store for this test alone" in shown
    assert "crash_everywhere -- " in shown


def test_a_run_that_does_not_use_it_imports_nothing_of_it(tmp_path):
    (tmp_path / "test_bare.py").write_text(
        "import sys\n\n"
        "def test_bare():\n"
        "    found = {name for name in sys.modules if name.partition('.')[0] == 'durproj'}\n"
        "    assert found == {'durproj', 'durproj.pytest_plugin'}\n"
        "    assert not {'orjson', 'msgspec', 'blake3', 'sqlite_utils'} & set(sys.modules)\n"
    )
    done = run_pytest(tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_failed_test_shows_its_own_line_and_what_differs(tmp_path):
    (tmp_path / "test_total.py").write_text(
        TESTS
        + "\n\ndef test_wrong():\n    given(EVENTS).using(total).then({'sum': 4})  # this line\n"
    )
    shown = run_pytest(tmp_path, "-k", "wrong").stdout
    assert ">       given(EVENTS).using(total).then({'sum': 4})  # this line" in shown
    assert "E       AssertionError: 1 difference in the state after 3 events" in shown
    assert "E         sum: expected 4, was 3 (set by event 2 T)" in shown
    assert "scenario.py" not in shown
