"""Every row of the table of exit codes, and no traceback on any of them but a bug's."""

from __future__ import annotations

import fcntl
import json
import os
import re
import shlex
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager

import pytest
from conftest import ROOT, environment

from durproj.cli.failures import failure

DURPROJ = [sys.executable, "-m", "durproj"]
LOG = (
    '{"user":"a","type":"T","n":1}\n{"user":"b","type":"T","n":2}\n{"user":"a","type":"U","n":3}\n'
)
SLOW = """
import pathlib, time
def slow(state, event):
    pathlib.Path("begun").touch()
    time.sleep({seconds})
    return {{"n": state.get("n", 0) + 1}}
"""


@pytest.fixture
def folder(durproj):
    (durproj.folder / "log.jsonl").write_text(LOG)
    return durproj.folder


def refused(done, code, *said):
    """The command ended with `code`, told why in words on stderr, and printed no traceback."""
    assert done.code == code, done.err
    assert "Traceback" not in done.err
    lines = done.err.split("\n")
    assert any(line.startswith("durproj: ") for line in lines)
    for text in said:
        assert text in done.err
    return True


def test_0_done_and_nothing_to_do(durproj):
    assert durproj("run").code == 0
    assert durproj("run").code == 0
    done = durproj("resume")
    assert (done.code, done.out) == (0, "")
    assert done.err == "durproj: nothing to resume: every workflow is finished\n"


def test_1_a_step_failed_for_good(durproj, folder):
    (folder / "r.py").write_text("def f(state, event):\n    return {'n': state['absent']}\n")
    done = durproj("run", "log.jsonl", "--reducer", "r.py:f")
    assert refused(done, 1, "projection/a#0: KeyError: 'absent'", "then: durproj resume")


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["run", "--bogus"], ["--bogus", "durproj run --help"]),
        (["bogus"], ["bogus", "durproj --help"]),
        (["inspect"], ["ID", "durproj inspect --help"]),
        (["run", "--crash", "x"], ["--crash", "'x'"]),
        (["run", "--crash=-1"], ["--crash", "-1"]),
        (["run", "--durability", "x"], ["--durability", "fsync"]),
        (["run", "--fail", "5y"], ["--fail 5y", "--fail 5x3"]),
        (["run", "--retry-delay", "nan"], ["--retry-delay", "nan is not a number of seconds"]),
        (["run", "--wait", "inf"], ["--wait", "inf is not a number of seconds"]),
        (["resume", "--wait", "nan"], ["--wait", "nan is not a number of seconds"]),
        (["run", "--initial", "{"], ["--initial", "not JSON"]),
        (["run", "--name", "a/b"], ["'a/b' is not a name"]),
        (["run", "log.jsonl", "--reducer", "conuts"], ["'conuts'", "did you mean 'counts'?"]),
        (["run", "log.jsonl", "--reducer", "no.py:f"], ["no such file: no.py"]),
        (["run", "log.jsonl", "--reducer", "r.py:g"], ["has no function 'g'", "r.py has: f"]),
        (["run", "log.jsonl", "--reducer", "syntax.py:f"], ["syntax.py, line 1", "SyntaxError"]),
        (["run", "log.jsonl", "--key", "a..b"], ["a..b", "cannot be read"]),
        (["run", "two.jsonl"], ["user ", "subject ", "choose one: --key"]),
        (["run", "log.jsonl", "log.jsonl"], ["given twice"]),
        (["run", "--store", "postgresql://host/x"], ["postgresql", "name a SQLite file"]),
        (["run", "--store", ""], ["--store is empty"]),
        (["inspect", "u1"], ["not a workflow id", "projection/u1"]),
        (["inspect", "projection/u1#x"], ["'x' is not a step number"]),
        (["inspect", "projection/u1#1", "--step", "2"], ["name two steps"]),
        (["log", "u1"], ["not a workflow id", "projection/u1"]),
        (["log", "projection/u1#1", "--to", "2"], ["name two ends"]),
        (["log", "projection/u1", "--from", "2", "--to", "1"], ["from step 2 to step 1"]),
        (["log", "projection/u1", "--path", "a..b"], ["a..b", "cannot be read"]),
        (["diff", "projection/u1"], ["with what?", "projection/u1#4..6"]),
        (["diff", "projection/u1#x..2"], ["'x' is not a step number"]),
        (["diff", "projection/u1#1..2", "projection/u1"], ["a range names two states"]),
        (["blame", "projection/u1", "a["], ["a[", "cannot be read"]),
        (["rewind", "projection/u1"], ["the last step to keep", "--to 4"]),
        (["rewind", "projection/u1#1", "--to", "1"], ["the last step to keep"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_2_usage_says_what_was_met_and_what_to_write(durproj, folder, args, said):
    (folder / "r.py").write_text("def f(state, event):\n    return state\n")
    (folder / "syntax.py").write_text("def f(\n")
    (folder / "two.jsonl").write_text('{"user":"a","subject":"b"}\n')
    if args[0] in ("log", "diff", "blame"):
        durproj("run", "-q")
    done = durproj(*args)
    assert refused(done, 2, *said)
    assert done.out == ""


@pytest.mark.parametrize(
    "args",
    [["run", "--user"], ["run", "--name"], ["run", "--no-key"], ["run"], ["inspect"], ["stats"]],
    ids=" ".join,
)
def test_2_an_argument_that_is_not_text_is_named_before_anything_is_done(durproj, folder, args):
    done = durproj(*args, os.fsdecode(b"projection/\xff"))
    assert refused(done, 2, "durproj: projection/\\xff: not UTF-8")
    assert refused(durproj("list", env={"DURPROJ_STORE": "\udcff"}), 2, "DURPROJ_STORE=\\xff")
    assert not (folder / "durproj.db").exists()


def test_2_no_command_shows_the_commands(durproj):
    done = durproj()
    assert (done.code, done.err) == (2, "")
    assert done.out.startswith("Usage: durproj ")


def test_3_a_planned_crash(durproj):
    assert durproj("run", "--crash", 5).code == 3


def test_4_the_past_changed(durproj, folder):
    assert durproj("run", "log.jsonl", "--reducer", "counts").code == 0
    (folder / "log.jsonl").write_text(LOG.replace('"n":3', '"n":4'))
    done = durproj("run", "log.jsonl", "--reducer", "counts")
    assert refused(
        done,
        4,
        "projection/a#1: the past changed",
        "n = 3",
        "n = 4",
        "durproj rewind 'projection/a#0'",
        "--restart",
        "--name OTHER",
    )
    (folder / "log.jsonl").write_text(LOG)
    done = durproj("run", "log.jsonl", "--reducer", "merge")
    assert refused(done, 4, "reducer counts", "reducer merge", "--accept-reducer")


@pytest.mark.parametrize(
    "key", ["a b", "x'; touch pwned; '", "$(touch pwned)", "\u06cc\u200c\u06a9"]
)
def test_4_the_rewind_that_is_proposed_can_be_pasted_whatever_the_key_is(durproj, folder, key):
    lines = [json.dumps({"user": key, "type": "T", "n": n}) + "\n" for n in range(3)]
    args = ("run", "log.jsonl", "--key", "user", "--reducer", "counts", "--store", "my store.db")
    (folder / "log.jsonl").write_text("".join(lines))
    assert durproj(*args).code == 0
    (folder / "log.jsonl").write_text("".join([*lines[:2], lines[2].replace('"n": 2', '"n": 9')]))
    done = durproj(*args)
    assert refused(done, 4, "the past changed", "n = 9")
    (proposed,) = re.findall("durproj rewind .*", done.err)
    words = shlex.split(proposed)
    assert words[1:] == ["rewind", f"projection/{key}#1", "--store", "my store.db"]
    pasted = f'durproj() {{ {shlex.join(DURPROJ)} "$@"; }}; {proposed}'
    subprocess.run(["bash", "-c", pasted], cwd=folder, env=environment(), check=True, timeout=60)
    assert not (folder / "pwned").exists()
    assert durproj(*args).code == 0


def test_4_at_the_first_step_there_is_nothing_to_rewind_to(durproj, folder):
    durproj("run", "log.jsonl", "--reducer", "counts")
    (folder / "log.jsonl").write_text(LOG.replace('"n":1', '"n":9'))
    done = durproj("run", "log.jsonl", "--reducer", "counts")
    assert refused(done, 4, "projection/a#0: the past changed", "--restart")
    assert "durproj rewind" not in done.err


def test_65_a_bad_line_is_named_by_file_line_and_byte(durproj, folder):
    (folder / "log.jsonl").write_text(LOG + "{oops\n")
    done = durproj("run", "log.jsonl", "--reducer", "counts")
    assert refused(done, 65, f"log.jsonl:4: byte {len(LOG)}: a field name must be")


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["run", "absent.jsonl"], ["absent.jsonl"]),
        (["run", "absent*.jsonl"], ["no file matches", "absent*.jsonl"]),
        (["run", "."], ["is a directory", "*.jsonl"]),
        (["run", "log.jsonl", "--user", "zz"], ['"zz"', 'keys that are there: "a", "b"']),
        (["inspect", "projection/u9"], ["no such workflow", "durproj list"]),
        (["inspect", "projection/u1#8"], ["no such step", "steps 0 to 7"]),
        (["inspect", "rojection/u"], ["did you mean projection/u1?"]),
        (["verify", "rojection/u"], ["did you mean projection/u1?"]),
        (["resume", "rojection/u"], ["did you mean projection/u1?"]),
        (["rewind", "rojection/u#0"], ["did you mean projection/u1?"]),
        (["gc", "rojection/u"], ["did you mean projection/u1?"]),
        (["verify", "--name", "rojection"], ["has the name rojection", "projection"]),
        (["promote", "rojection", "x"], ["has the name rojection", "projection"]),
        (["log", "projection/u9"], ["no such workflow", "durproj list"]),
        (["log", "projection/u1", "--from", "8"], ["no such step", "steps 0 to 7"]),
        (["diff", "projection/u1#3..8"], ["no such step", "steps 0 to 7"]),
        (["diff", "projection/u1", "projection/u9"], ["no such workflow"]),
        (["blame", "projection/u1#8"], ["no such step"]),
        (["blame", "projection/u1", "nope"], ["has never had it", "durproj blame projection/u1"]),
        (["blame", "projection/u1", "activeOrders[0]"], ["no such element"]),
        (["log", "projection/u1", "--store", "absent.db"], ["absent.db: no such store"]),
        (["rewind", "projection/u1", "--to", "8"], ["no such step", "8 steps"]),
        (["rewind", "projection/u9", "--to", "0"], ["no such workflow"]),
        (["resume", "projection/u9"], ["no such workflow", "durproj list"]),
        (["resume", "--user", "u9"], ['"u9"']),
        (["resume", "--store", "absent.db"], ["absent.db: no such store", "durproj run makes"]),
        (["list", "--store", "absent.db"], ["absent.db: no such store"]),
        (["inspect", "projection/u1", "--store", "absent.db"], ["absent.db: no such store"]),
        (["stats", "absent.jsonl"], ["no such file: absent.jsonl"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_66_what_is_not_there_is_named_with_what_is(durproj, folder, args, said):
    durproj("run", "-q")
    done = durproj(*args)
    assert refused(done, 66, *said)
    assert done.out == ""
    assert not (folder / "absent.db").exists()


def test_70_a_bug_of_durproj_asks_for_a_report(tmp_path):
    shutil.copytree(ROOT / "durproj", tmp_path / "durproj")
    with (tmp_path / "durproj" / "history" / "standing.py").open("a") as file:
        file.write("\n\ndef workflows(*_, **__):\n    raise RuntimeError('nobody\\x1b foresaw')\n")
    env = environment(PYTHONPATH=str(tmp_path))
    run = {"cwd": tmp_path, "env": env, "capture_output": True, "text": True, "timeout": 60}
    subprocess.run([*DURPROJ, "run"], check=True, **run)
    done = subprocess.run([*DURPROJ, "list"], check=False, **run)
    assert done.returncode == 70
    assert done.stderr.startswith("durproj: a bug in durproj; what is recorded is safe\n")
    assert "RuntimeError: nobody\\x1b foresaw" in done.stderr
    assert "please report it" in done.stderr


def test_74_a_damaged_store_is_reported_and_nothing_of_it_printed(durproj, folder):
    durproj("run", "-q")
    with sqlite3.connect(folder / "durproj.db") as store:
        store.execute(
            "UPDATE step SET output = CAST(replace(CAST(output AS TEXT), '_001', '_666') AS BLOB)"
        )
    store.close()
    readers = ("inspect", "log", "blame")
    for args in (*([name, "projection/u1"] for name in readers), ["diff", "projection/u1#3..4"]):
        done = durproj(*args)
        assert refused(done, 74, "projection/u1#3: the store is damaged", "from a backup")
        assert "_666" not in done.out + done.err
    (folder / "junk.db").write_bytes(b"this is no database" * 100)
    for command in (
        ["run"],
        ["resume"],
        ["list"],
        ["inspect", "projection/u1"],
        ["doctor"],
        ["export"],
    ):
        assert refused(durproj(*command, "--store", "junk.db"), 74, "junk.db")
    assert (folder / "junk.db").read_bytes() == b"this is no database" * 100


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full here")
@pytest.mark.parametrize(
    "args",
    [
        *(["run"], ["run", "--json"], ["list"], ["inspect", "projection/u1"], ["stats"]),
        *(["log", "projection/u1"], ["diff", "projection/u1#1"], ["blame", "projection/u1"]),
        *(["export"], ["export", "--format", "csv"]),
        *(["doctor"], ["verify", "-v"], ["--help"], ["--version"], ["resume", "--json"]),
    ],
    ids=" ".join,
)
def test_74_when_the_output_has_no_room(durproj, folder, args):
    durproj("run", "-q")
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [*DURPROJ, *args],
            cwd=folder,
            env=environment(),
            stdout=full,
            stderr=subprocess.PIPE,
            check=False,
            timeout=60,
        )
    assert done.returncode == 74
    assert b"Traceback" not in done.stderr
    assert b"Exception ignored" not in done.stderr
    assert args == ["--version"] or b"No space left on device" in done.stderr


@pytest.mark.parametrize(
    "args",
    [["run"], ["run", "--json"], ["list"], ["stats"], ["--help"], ["--version"]],
    ids=" ".join,
)
def test_74_when_the_output_is_closed(durproj, folder, args):
    durproj("run", "-q")
    done = shell(folder, args, ">&-")
    assert done.returncode == 74
    assert "Traceback" not in done.stderr
    assert args == ["--version"] or "Bad file descriptor" in done.stderr
    assert durproj("doctor").code == 0


def test_closed_standard_input_is_an_input_that_cannot_be_read(folder):
    done = shell(folder, ["run", "-"], "<&-")
    assert (done.returncode, done.stdout) == (74, "")
    assert done.stderr == "durproj: cannot read -: Bad file descriptor\n"


def test_closed_standard_error_keeps_nobody_from_working(durproj, folder):
    done = shell(folder, ["run", "--fail", "5", "--retry-delay", "0.01"], "2>&-")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("  [event ") == 9
    assert shell(folder, ["run", "--bogus"], "<&- >&- 2>&-").returncode == 2
    assert durproj("doctor").code == 0


def shell(folder, args, redirection):
    """durproj as a shell starts it, with a redirection."""
    return subprocess.run(
        ["bash", "-c", f"{shlex.join([*DURPROJ, *args])} {redirection}"],
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@contextmanager
def running(folder, seconds, *args, reducer="slow", **popen):
    """`durproj run` over a slow reducer, in the middle of its first step."""
    (folder / "slow.py").write_text(SLOW.format(seconds=seconds))
    (folder / "begun").unlink(missing_ok=True)
    process = subprocess.Popen(
        [*DURPROJ, "run", "log.jsonl", "--reducer", f"slow.py:{reducer}", *args],
        cwd=folder,
        env=environment(),
        **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True} | popen,
    )
    try:
        deadline = time.monotonic() + 30
        while not (folder / "begun").exists():
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.01)
        yield process
    finally:
        process.kill()
        process.communicate()


def test_75_a_second_runner_is_told_who_holds_the_store_and_may_wait(durproj, folder):
    with running(folder, 0.5) as first:
        done = durproj("run", "log.jsonl", "--reducer", "slow.py:slow")
        assert refused(done, 75, f"process {first.pid} on ", " since ", "--wait SECONDS")
        assert refused(durproj("rewind", "projection/a", "--to", "-1"), 75, str(first.pid))
        # Readers are not in its way.
        assert durproj("list").code == 0
        waited = durproj("run", "log.jsonl", "--reducer", "slow.py:slow", "--wait", "30", "--json")
        assert waited.code == 0
        assert waited.json[-1]["executed"] == 0
        assert first.wait(timeout=30) == 0


# Root may do anything; without these capabilities its permissions count as everybody's do.
MORTAL = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if not os.geteuid() else []


@pytest.mark.skipif(MORTAL and not shutil.which("setpriv"), reason="root, and no setpriv here")
def test_77_without_permission(durproj, folder):
    durproj("run", "-q")
    (folder / "secret.jsonl").write_text(LOG)
    (folder / "secret.jsonl").chmod(0)
    (folder / "secret.db").touch(0)
    (folder / "shut").mkdir(0o555)
    commands = {
        "secret.jsonl": [["run", "secret.jsonl"], ["stats", "secret.jsonl"]],
        "secret.db": [["inspect", "projection/u1", "--store", "secret.db"]],
        "shut/new.db": [["run", "--store", "shut/new.db"], ["backup", "shut/new.db"]],
        "shut/new.csv": [["export", "--to", "shut/new.csv"]],
        "shut/new.html": [["report", "projection/u1", "-o", "shut/new.html"]],
    }
    for name, args in ((name, args) for name, runs in commands.items() for args in runs):
        done = subprocess.run(
            [*MORTAL, *DURPROJ, *args],
            cwd=folder,
            env=environment(),
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == 77, (args, done.stderr)
        assert name in done.stderr
        assert "Traceback" not in done.stderr


@pytest.mark.parametrize(("name", "code"), [("SIGINT", 130), ("SIGTERM", 143), ("SIGHUP", 129)])
def test_128_and_more_the_first_signal_lets_the_step_in_hand_finish(durproj, folder, name, code):
    with running(folder, 0.7, "--json", "--store", "s.db") as process:
        process.send_signal(getattr(signal, name))
        out, err = process.communicate(timeout=30)
    assert process.returncode == code
    assert "finishing the step in hand; once more to leave at once" in err
    assert "go on with: durproj resume --store s.db" in err
    assert f'"executed":1,"failed":0,"parked":0,"skipped":0,"exit":{code},' in out
    (stands,) = durproj("inspect", "projection/a", "--json", "--store", "s.db").json
    assert (stands["steps"], stands["state"]) == (1, {"n": 1})
    (folder / "slow.py").write_text(SLOW.format(seconds=0))
    resumed = durproj("resume", "--store", "s.db", "--json", "--accept-reducer")
    assert (resumed.code, resumed.json[-1]["executed"]) == (0, 2)


@pytest.mark.parametrize(
    ("name", "code", "input", "begun"),
    [
        ("SIGINT", 130, "-", True),
        ("SIGINT", 130, "-", False),
        ("SIGHUP", 129, "pipe", True),
        ("SIGTERM", 143, "pipe", False),
    ],
    ids=["some came of stdin", "nothing of stdin", "some of a fifo", "nothing of a fifo"],
)
def test_a_signal_ends_the_wait_for_input_at_once(durproj, folder, name, code, input, begun):
    os.mkfifo(folder / "pipe")
    lines = b'{"user":"a","type":"T"}\n' * 300
    with subprocess.Popen(
        [*DURPROJ, "run", input, "--reducer", "counts", "--user", "a"],
        cwd=folder,
        env=environment(),
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        try:
            until((folder / "durproj.db.lock").exists)
            with ExitStack() as stack:
                if begun:
                    pipe = folder / input
                    writer = process.stdin if input == "-" else stack.enter_context(pipe.open("wb"))
                    writer.write(lines)
                    writer.flush()
                    until(lambda: '"steps":300}' in durproj("list", "--json").out)
                # A signal before the wait is heard as well, but announced as one that may take time.
                time.sleep(1)
                process.send_signal(getattr(signal, name))
                assert process.wait(timeout=10) == code
        finally:
            process.kill()
        said = process.stderr.read().decode()
    assert "stopped; every finished step is checkpointed" in said
    assert "finishing the step in hand" not in said
    again = durproj("run", "-", "--reducer", "counts", "--user", "a", "--json", input=lines)
    assert (again.code, again.json[-1]["events"]) == (0, 300)


def until(true):
    """Wait for something to become true."""
    deadline = time.monotonic() + 30
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_141_a_reader_that_leaves_ends_the_run_quietly(durproj, folder):
    (folder / "many.jsonl").write_text('{"user":"a","type":"T"}\n' * 20000)
    # Pipes hold 64 kB: the run has far more to say than that.
    piped = subprocess.run(
        [
            "bash",
            "-c",
            'set -o pipefail; "$@" | head -1; exit "${PIPESTATUS[0]}"',
            "-",
            *[*DURPROJ, "run", "many.jsonl", "--reducer", "counts", "--json", "-v"],
            *["--durability", "batch"],
        ],
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert piped.returncode == 141
    assert piped.stdout.startswith('{"type":"run",')
    assert "Traceback" not in piped.stderr
    assert "Exception" not in piped.stderr
    assert durproj("doctor").code == 0
    assert durproj("resume", "--json").json[-1]["exit"] == 0


def test_130_an_interrupt_while_starting_is_quiet(durproj, folder):
    (folder / "typer.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGINT)\n")
    done = durproj("run", env={"PYTHONPATH": f"{folder}{os.pathsep}{ROOT}"})
    assert (done.code, done.out, done.err) == (130, "", "")


def test_an_error_of_the_system_is_no_bug():
    denied = failure(PermissionError(13, "Permission denied", "x"))
    assert (denied.exit_code, denied.message) == (77, "x: Permission denied")
    assert failure(OSError(28, "No space left on device")).exit_code == 74


def test_an_interrupt_while_reading_only_is_quiet(durproj, folder):
    os.mkfifo(folder / "pipe")
    process = subprocess.Popen(
        [*DURPROJ, "stats", "pipe"],
        cwd=folder,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    with process, (folder / "pipe").open("wb", buffering=0) as pipe:
        fcntl.fcntl(pipe, fcntl.F_SETFL, os.O_NONBLOCK)
        pipe.write(b'{"user":"a"}\n')
        time.sleep(0.3)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
    assert process.returncode == 130
    assert (out, err) == (b"", b"")
