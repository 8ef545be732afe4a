"""What a shell completes, and that what was read from events cannot run anything there."""

from __future__ import annotations

import json
import os
import pty
import re
import shutil
import subprocess
import sys

import pyte
import pytest
from conftest import environment

LOG = "".join(
    f'{{"user":"{key}","type":"T"}}\n' for key in ("a", "b", "v:1", "b=2", "Zoë", "x+y@z", "a")
)
HOSTILE = [
    *(
        "w$(touch pwned)",
        "$(touch pwned)",
        "`touch pwned`",
        "$((1))",
        ";touch pwned",
        "|touch pwned",
        "&touch pwned",
    ),
    *(
        ">pwned",
        "<a",
        "x'y",
        'x"y',
        "x\\y",
        "*",
        "?",
        "[a]",
        "{a,b}",
        "!!",
        "a b",
        "a\u00a0b",
    ),
    *("~", "^a", "a\u202eb", "(a)", "a,b", "a\u2028b"),
]


@pytest.fixture
def store(durproj):
    """A workflow that a crash stopped, and some resolved ones."""
    (durproj.folder / "log.jsonl").write_text(LOG)
    durproj("run", "--name", "sample", "--crash", 5)
    durproj("run", "log.jsonl", "--reducer", "counts", "--key", "user")
    return durproj.folder / "durproj.db"


def completed(durproj, words, **env):
    """What bash is offered for the last of `words`, as it breaks them."""
    asked = {
        "_DURPROJ_COMPLETE": "complete_bash",
        "COMP_WORDS": "\n".join(words),
        "COMP_CWORD": str(len(words) - 1),
    }
    done = durproj(env=asked | env)
    assert (done.code, done.err) == (0, "")
    return done.out.split("\n")[:-1]


def test_ids_and_keys_of_the_store_are_offered(durproj, store):
    assert completed(durproj, ["durproj", "rewind", "sam"]) == ["sample/u1"]
    assert completed(durproj, ["durproj", "resume", "sam"]) == ["sample/u1"]
    assert completed(durproj, ["durproj", "run", "--user", ""])[:3] == ["u1", "a", "b"]
    assert completed(durproj, ["durproj", "resume", "--user", "u"]) == ["u1"]
    found = completed(durproj, ["durproj", "inspect", "pro"])
    keys = ["a", "b", "v:1", "b=2", "Zoë", "x+y@z"]
    assert found == [f"projection/{key}" for key in keys]


@pytest.mark.parametrize("command", ["inspect", "log", "diff", "blame", "rewind", "fork"])
def test_steps_are_offered_where_a_command_takes_one(durproj, store, command):
    steps = completed(durproj, ["durproj", command, "projection/a#"])
    assert sorted(steps) == ["projection/a#0", "projection/a#1"]
    assert completed(durproj, ["durproj", command, "projection/a#1"]) == ["projection/a#1"]
    assert completed(durproj, ["durproj", command, "projection/a#7"]) == []
    assert completed(durproj, ["durproj", command, "nothing/a#"]) == []


def test_of_many_steps_the_newest_are_offered_and_those_with_the_digits_typed(durproj, store):
    (durproj.folder / "long.jsonl").write_text('{"user":"long","type":"T"}\n' * 1200)
    durproj("run", "long.jsonl", "--reducer", "counts", "--key", "user", "--durability", "batch")

    def numbers(text):
        words = ["durproj", "log", f"projection/long#{text}"]
        return [int(found.partition("#")[2]) for found in completed(durproj, words)]

    assert sorted(numbers("")) == [*range(1150, 1200)]
    assert sorted(numbers("7")) == [*range(750, 800)]
    assert sorted(numbers("73")) == [73, *range(730, 740)]
    assert numbers("0") == [0]
    assert numbers("00") == []
    durproj("gc", "projection/long", "--keep-last", "20")
    (kept,) = durproj("inspect", "projection/long", "--json").json
    assert min(numbers(str(kept["kept_from"])[:2])) == kept["kept_from"] > 0


@pytest.mark.parametrize("command", ["find", "gc", "list", "verify", "export"])
def test_names_are_offered_where_one_is_asked_for(durproj, store, command):
    assert completed(durproj, ["durproj", command, "--name", ""]) == ["sample", "projection"]
    assert completed(durproj, ["durproj", command, "--name", "sa"]) == ["sample"]


def test_compare_and_export_are_offered_names_and_ids_and_promote_names(durproj, store):
    for command in ("compare", "export"):
        assert completed(durproj, ["durproj", command, "sa"]) == ["sample", "sample/u1"]
    assert completed(durproj, ["durproj", "promote", ""]) == ["sample", "projection"]


def test_the_store_that_is_named_is_looked_into(durproj, store):
    store.rename(durproj.folder / "other.db")
    words = ["durproj", "inspect", "--store", "other.db", "sam"]
    assert completed(durproj, words) == ["sample/u1"]
    words = ["durproj", "inspect", "--store", "=", "other.db", "sam"]
    assert completed(durproj, words) == ["sample/u1"]
    assert completed(durproj, ["durproj", "inspect", "sam"], DURPROJ_STORE="other.db") == [
        "sample/u1"
    ]
    assert completed(durproj, ["durproj", "inspect", "sam"]) == []


def test_completion_never_fails(durproj):
    assert completed(durproj, ["durproj", "inspect", "pro"]) == []
    assert not (durproj.folder / "durproj.db").exists()
    (durproj.folder / "durproj.db").write_bytes(b"junk" * 500)
    for word in ("pro", "projection/a#", "projection/#1", "#", "@"):
        assert completed(durproj, ["durproj", "inspect", word]) == []
    for more in ({"COMP_CWORD": "9"}, {"COMP_WORDS": ""}):
        completed(durproj, ["durproj", "inspect", "pro"], **more)


@pytest.fixture
def hostile(durproj):
    events = [{"user": key, "type": "T"} for key in ("plain", *HOSTILE)]
    (durproj.folder / "log.jsonl").write_text("".join(json.dumps(each) + "\n" for each in events))
    durproj("run", "log.jsonl", "--reducer", "counts", "--key", "user")
    listed = durproj("list", "--json").json
    assert len(listed) == len(events)
    return [each["id"] for each in listed]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_what_a_shell_might_read_as_anything_but_itself_is_not_offered(durproj, hostile, shell):
    for line in ("durproj log ", "durproj gc --user ", "durproj log projection/"):
        asked = {
            "_DURPROJ_COMPLETE": f"complete_{shell}",
            "COMP_WORDS": line.replace(" ", "\n"),
            "COMP_CWORD": str(line.count(" ")),
            "_TYPER_COMPLETE_ARGS": line,
            "_TYPER_COMPLETE_FISH_ACTION": "get-args",
        }
        offered = durproj(env=asked).out
        assert re.findall(r"(?:projection/)?plain", offered)
        assert "pwned" not in offered
        if shell != "zsh":
            assert offered.split() in (["projection/plain"], ["plain"])


needs_bash = pytest.mark.skipif(not shutil.which("bash"), reason="without bash")


def typed(durproj, *keys):
    """What stands on bash's screen after each of `keys` was typed at it and then another prompt came."""
    folder = durproj.folder
    shown = durproj("--show-completion", "bash", env=DETECTED).out
    assert "complete " in shown
    program = folder / "bin" / "durproj"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m durproj "$@"\n')
    program.chmod(0o755)
    (folder / "rc").write_text(
        f"PS1='$ '; bind 'set enable-bracketed-paste off'; bind 'set bell-style none'\n{shown}"
        f"PATH={str(program.parent)!r}:$PATH\n"
    )
    leader, follower = pty.openpty()
    bash = subprocess.Popen(
        ["bash", "--noprofile", "--rcfile", "rc", "-i"],
        cwd=folder,
        env=environment(HISTFILE="/dev/null"),
        stdin=follower,
        stdout=follower,
        stderr=follower,
        start_new_session=True,
    )
    os.close(follower)
    for key in keys:
        os.write(leader, key.encode())
    os.write(leader, b"exit\n")
    said = b""
    while True:
        try:
            if not (more := os.read(leader, 65536)):
                break
        except OSError:
            break
        said += more
    os.close(leader)
    bash.wait(timeout=30)
    screen = pyte.Screen(150, 200)
    pyte.Stream(screen).feed(said.decode())
    return "\n".join(line.rstrip() for line in screen.display).strip()


DETECTED = {"_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"}


@needs_bash
def test_bash_completes_ids_names_and_steps_also_behind_characters_at_which_it_breaks_words(
    durproj,
):
    durproj("run")
    durproj("run", "--name", "other@old")
    durproj("run", "--name", "o:p=q")
    shown = typed(
        durproj,
        *("durproj list --name=pro\t\n", "durproj log other\t#7\n", "durproj log other@o\t#6\n"),
        *("durproj log --store=durproj.db o:\t#5\n", "durproj log 'other@old/\t\n"),
        *("durproj rewind --to=6 o:p=\t\n",),
    )
    for command in (
        *("durproj list --name=projection ", "durproj log other@old/u1 #7"),
        *("durproj log other@old/u1 #6", "durproj log --store=durproj.db o:p=q/u1 #5"),
        *("durproj log 'other@old/u1' ", "durproj rewind --to=6 o:p=q/u1 "),
    ):
        assert f"$ {command.rstrip()}\n" in shown, shown


@needs_bash
def test_bash_runs_nothing_that_a_key_says(durproj, hostile):
    letters = ["$", "`", ";", "|", "&", ">", "x", "*", "[", "(", "!", "~", ""]
    before = sorted(path.name for path in durproj.folder.iterdir())
    shown = typed(
        durproj,
        *(f"durproj log projection/{key}\t\t\x15" for key in letters),
        "durproj log projection/w\t\n",
        *("durproj log projection/\t\n", "durproj gc --dry-run --user \t\t\n"),
    )
    assert "$ durproj log projection/plain\n" in shown
    after = sorted(path.name for path in durproj.folder.iterdir())
    assert after == sorted([*before, "bin", "rc"])
