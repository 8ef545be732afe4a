"""Standard input without --follow: copied beside the store until the run is complete, so that a crash can
be resumed; by the real command line."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
import threading

import pytest
from conftest import environment
from live import PATIENCE_S, add, line, lines, recorded, until

from durproj.events.spool import Spool, kept

RUN = ["run", "-", "--reducer", "counts"]


def copies(folder):
    return sorted(path.name for path in folder.glob("durproj.db.input-*"))


def there(folder):
    return recorded(folder / "durproj.db").get("u1")


@pytest.mark.parametrize("durability", ["step", "fsync", "batch"])
def test_a_crash_in_a_pipe_is_resumed_from_the_copy(durproj, durability):
    ways = ["--crash", 5, "--durability", durability]
    assert durproj(*RUN, *ways, input=lines(range(8))).code == 3
    assert copies(durproj.folder)
    assert durproj("resume").code == 0
    assert there(durproj.folder) == list(range(8))
    assert not copies(durproj.folder)


def test_a_copy_whose_place_another_took_is_not_read_when_a_power_cut_brings_it_back(tmp_path):
    path = str(tmp_path / "durproj.db.input-1")
    for count in (3, 5):
        spool = Spool(path, sync=True)
        spool.write(lines(range(count)))
        if count == 3:
            spool.end()
    assert not os.path.exists(path)
    with open(path, "wb") as former:
        former.write(lines(range(3)))
    assert kept(path) == (f"{path}.part", True)


def test_a_copy_that_a_power_cut_left_with_both_its_names_is_complete(durproj):
    folder = durproj.folder
    assert durproj(*RUN, "--crash", 5, input=lines(range(8))).code == 3
    (name,) = copies(folder)
    os.link(folder / name, folder / f"{name}.part")
    done = durproj("resume")
    assert done.code == 0
    assert "broke off" not in done.err
    assert there(folder) == list(range(8))
    assert not copies(folder)


FSYNC = ["--user", "u1", "--durability", "fsync"]


def crashed_in(folder, durproj, given, step, *options):
    """Crash at `step` of a pipe that has more to bring than was copied by then: the copy."""
    assert durproj(*RUN, *options, "--crash", step, input=given).code == 3
    (part,) = folder.glob("durproj.db.input-*.part")
    assert part.stat().st_size < len(given)
    return part


def many(count):
    """Lines of which no more than 64 go into a block."""
    return [line(number, pad="x" * 1000) for number in range(count)]


def tails(copied, given):
    """What may be behind the last byte that was synced, as far as that can be taken for lines."""
    rest = given[len(copied) :]
    end = rest.index(b"\n") + 1
    return [
        bytes(4096),
        bytes(512) + rest[512:4096],
        rest[:2048] + bytes(2048) + rest[4096:8192],
        rest[:end] + line(999),  # of another file
    ]


@pytest.mark.parametrize("which", range(4))
def test_what_was_never_synced_before_a_power_cut_is_not_read(durproj, which):
    folder, given = durproj.folder, b"".join(many(300))
    part = crashed_in(folder, durproj, given, 100, *FSYNC)
    copied = part.read_bytes()
    assert given.startswith(copied)
    add(part, tails(copied, given)[which])
    done = durproj("resume")
    assert done.code == 0, done.err
    assert "broke off" in done.err
    assert there(folder) == list(range(copied.count(b"\n")))
    assert not copies(folder)
    assert durproj(*RUN, *FSYNC, input=given).code == 0
    assert there(folder) == list(range(300))


def test_what_was_never_synced_is_not_waited_for_when_the_pipe_is_given_again(durproj):
    folder, given = durproj.folder, b"".join(many(300))
    part = crashed_in(folder, durproj, given, 100, *FSYNC)
    add(part, bytes(1 << 20))
    again = crashed_in(folder, durproj, given, 200, *FSYNC)
    assert given.startswith(again.read_bytes())
    assert durproj("resume").code == 0
    assert there(folder)[:200] == list(range(200))


def test_a_copy_that_is_not_synced_is_resumed_whole_after_one_that_was(durproj):
    folder, given = durproj.folder, b"".join(many(300))
    crashed_in(folder, durproj, given, 100, *FSYNC)
    part = crashed_in(folder, durproj, given, 200, "--user", "u1", "--durability", "step")
    copied = part.read_bytes()
    assert durproj("resume").code == 0
    assert there(folder) == list(range(copied.count(b"\n")))


def killed_while_open(folder, given, *options):
    """Kill a run that waits for more, once `given` is in its copy."""
    process = subprocess.Popen(
        [sys.executable, "-m", "durproj", *RUN, "-q", *options],
        cwd=folder,
        env=environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
    )
    process.stdin.write(given)
    process.stdin.flush()
    until(
        lambda: any(path.read_bytes() == given for path in folder.glob("durproj.db.input-*.part"))
    )
    process.kill()
    process.communicate()


def test_a_pipe_that_is_killed_while_it_is_open_is_resumed_and_then_given_again(durproj):
    folder = durproj.folder
    # More than are looked at to tell how to read them; the last one is unfinished.
    killed_while_open(folder, lines(range(150)) + line(150)[:9], "--user", "u1")
    done = durproj("resume")
    assert done.code == 0
    assert "broke off" in done.err
    assert there(folder) == list(range(150))
    done = durproj(*RUN, "--user", "u1", input=lines(range(160)))
    assert done.code == 0
    assert there(folder) == list(range(160))
    assert not copies(folder)


@pytest.mark.parametrize("options", [[], ["--user", "u1"]], ids=["streams", "stream"])
def test_a_finished_pipe_that_breaks_off_when_it_is_given_again_has_not_become_shorter(
    durproj, options
):
    folder, other = durproj.folder, lines(range(3), "u2") * (not options)
    assert durproj(*RUN, *options, input=lines(range(150)) + other).code == 0
    killed_while_open(folder, lines(range(120)), *options)
    done = durproj("resume")
    assert done.code == 0, done.err
    assert "broke off" in done.err
    assert there(folder) == list(range(150))
    assert not copies(folder)
    # A pipe that came to its end is another matter.
    assert durproj(*RUN, *options, input=lines(range(120))).code == 4
    assert durproj(*RUN, *options, input=lines(range(160)) + other).code == 0
    assert there(folder) == list(range(160))


def test_what_came_of_a_pipe_that_broke_off_is_compared(durproj):
    folder = durproj.folder
    assert durproj(*RUN, input=lines(range(150))).code == 0
    killed_while_open(folder, lines([*range(110), *range(200, 210)]))
    done = durproj("resume")
    assert done.code == 4
    assert "projection/u1#110" in done.err


def test_a_parked_event_that_did_not_come_again_before_a_pipe_broke_off_waits_on(durproj):
    folder, poison = durproj.folder, b'{"userId":"p","type":"NeverHeardOf"}\n'
    ways = ["run", "-", "--reducer", "account", "--strict-types", "--on-error", "park"]
    given = b'{"userId":"p","type":"UserRegistered","name":"P","email":"p@p"}\n' * 120
    assert durproj(*ways, input=given + poison).code == 1
    for name in copies(folder):  # else the longer one is resumed
        (folder / name).unlink()
    killed_while_open(folder, given, *ways[2:])
    done = durproj("resume")
    assert done.code == 1, done.err
    assert json.loads(durproj("parked", "list", "--json").out.splitlines()[0])["step"] == 120


@pytest.mark.parametrize("given", [lines(range(3)), lines(range(100, 104)), b""])
def test_input_that_is_refused_does_not_cost_what_a_crash_left(durproj, given):
    assert durproj(*RUN, "--crash", 5, input=lines(range(8))).code == 3
    assert durproj(*RUN, input=given).code == 4
    assert copies(durproj.folder)
    assert durproj("resume").code == 0
    assert there(durproj.folder) == list(range(8))
    assert not copies(durproj.folder)


def test_compressed_input_comes_through_a_pipe_and_is_resumed(durproj):
    whole = gzip.compress(lines(range(300)))
    assert durproj(*RUN, "--crash", 150, input=whole).code == 3
    assert durproj("resume").code == 0
    assert there(durproj.folder) == list(range(300))


def test_a_named_pipe_is_resumed_from_its_copy(durproj):
    path = durproj.folder / "fifo"
    os.mkfifo(path)
    writer = threading.Thread(target=lambda: add(path, lines(range(8))))
    writer.start()
    done = durproj("run", "fifo", "--reducer", "counts", "--crash", 5, timeout=PATIENCE_S)
    writer.join()
    assert done.code == 3
    assert durproj("resume", timeout=PATIENCE_S).code == 0
    assert there(durproj.folder) == list(range(8))
    assert not copies(durproj.folder)


def test_no_room_for_the_copy_is_an_io_error_that_names_it(durproj):
    limit = (
        "import resource, runpy, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (400_000,) * 2);"
    )
    code = (
        limit
        + "sys.argv = ['durproj', *sys.argv[1:]]; runpy.run_module('durproj', run_name='__main__')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *RUN, "-q", "--name", "n"],
        cwd=durproj.folder,
        env=environment(),
        input=lines(range(20_000)),
        capture_output=True,
        check=False,
        timeout=PATIENCE_S,
    )
    assert done.returncode == 74, done.stderr
    assert b"Traceback" not in done.stderr


UNSYNCED_FOLDERS = """
import errno, os, stat
from durproj.cli.app import main

plain = os.fsync

def fsync(descriptor):
    if stat.S_ISDIR(os.fstat(descriptor).st_mode):
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
    plain(descriptor)

os.fsync = fsync
main()
"""


@pytest.mark.parametrize("follow", [[], ["--follow"]])
@pytest.mark.parametrize("durability", ["step", "fsync"])
def test_where_no_name_can_be_synced_a_pipe_is_not_said_to_be(tmp_path, durability, follow):
    ran = subprocess.run(
        [sys.executable, "-c", UNSYNCED_FOLDERS, *RUN, "--durability", durability, *follow],
        cwd=tmp_path,
        env=environment(),
        input=lines(range(3)),
        capture_output=True,
        check=False,
    )
    if durability == "step":
        assert ran.returncode == 0, ran.stderr
        assert there(tmp_path) == [0, 1, 2]
    else:
        # Neither its lines nor what they make is kept: not a step is acknowledged.
        assert ran.returncode == 74
        assert b"cannot spool the input: durproj.db." in ran.stderr
        assert b": Invalid argument\n  name a --store where folders can be synced, or" in ran.stderr
        assert not there(tmp_path)
