"""The README's examples are run, in order, in one folder, and their output compared.

```console   `$ ` begins a command, `> ` goes on with one that is unfinished (a trailing `\\`, or a
             here-document); what follows is its output, stdout and stderr as they come. `# exit N`
             at the end of a command is its exit code. In the output a line `...` stands for any
             lines, `<...>` within a line for any text.
```python    is run as the script example.py.
# file: NAME as the first line of a python, json, jsonl, sh or yaml block: the rest is written there.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from conftest import environment
from proof.proofs import PROOFS

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"
TEXT = README.read_text(encoding="utf-8") if README.exists() else ""

BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FILE = re.compile(r"# file: (\S+)\n")
EXIT = re.compile(r"#\s*exit (\d+)\s*$")
WRITTEN = {"python", "json", "jsonl", "sh", "yaml"}


@dataclass
class Command:
    text: str
    output: list[str] = field(default_factory=list)

    @property
    def code(self) -> int:
        found = EXIT.search(self.text)
        return int(found[1]) if found else 0


@dataclass(frozen=True)
class Block:
    line: int
    kind: str
    body: str

    def __str__(self) -> str:
        return f"line {self.line}, {self.kind}"


def blocks(text: str) -> list[Block]:
    """The blocks of `text` that are to be run or written."""
    found = [
        Block(text.count("\n", 0, match.start()) + 1, match[1], match[2])
        for match in BLOCK.finditer(text)
    ]
    return [
        block
        for block in found
        if block.kind in {"console", "python"} or (block.kind in WRITTEN and FILE.match(block.body))
    ]


def commands(body: str) -> list[Command]:
    """The commands of a console block, each with the output it is to give."""
    found: list[Command] = []
    for line in body.splitlines():
        if line.startswith("$ "):
            found.append(Command(line[2:]))
        elif not found:
            raise ValueError(f"output before the first command: {line!r}")
        elif line.startswith("> ") and not found[-1].output and unfinished(found[-1].text):
            found[-1].text += "\n" + line[2:]
        else:
            found[-1].output.append(line.rstrip())
    return found


def unfinished(text: str) -> bool:
    return text.endswith("\\") or "<<" in text.split("\n", 1)[0]


def pattern(output: list[str]) -> re.Pattern[str]:
    """What the expected `output` matches, one newline after each line."""
    parts = []
    for line in output:
        if line == "...":
            parts.append(r"(?:.*\n)*?")
        else:
            parts.append(".*?".join(map(re.escape, line.split("<...>"))) + r"\n")
    return re.compile("".join(parts))


def matches(output: list[str], shown: str) -> bool:
    """Whether `shown` is the expected `output`; blank lines at its end do not count."""
    lines = [line.rstrip() for line in shown.rstrip().split("\n")] if shown.strip() else []
    expected = "\n".join(output).rstrip().split("\n") if any(output) else []
    return pattern(expected).fullmatch("".join(f"{line}\n" for line in lines)) is not None


class Folder:
    """The folder that the README's reader would be in."""

    def __init__(self, path: Path) -> None:
        self.path = path
        # Unbuffered, so that stdout and stderr come in the order in which they were written.
        self.env = environment(
            PATH=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            PYTHONUNBUFFERED="1",
            TMPDIR=str(path.parent),  # `crashtest` keeps what failed
        )

    def run(self, block: Block) -> list[str]:
        """Do what `block` says; what went otherwise than it says, in words."""
        named = FILE.match(block.body) if block.kind in WRITTEN else None
        if named:
            target = self.path / named[1]
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(block.body[named.end() :], encoding="utf-8")
            return []
        if block.kind == "python":
            # From a file: reducers are fingerprinted by their source.
            (self.path / "example.py").write_text(block.body, encoding="utf-8")
            code, shown = self.start([sys.executable, "example.py"])
            return [f"exit {code}, it said:\n{shown}"] if code else []
        return [
            f"$ {command.text}\nexit {code}, expected {command.code}; it said:\n{shown}"
            for command in commands(block.body)
            for code, shown in [self.start(["bash", "-c", command.text])]
            if code != command.code or not matches(command.output, shown)
        ]

    def start(self, argv: list[str]) -> tuple[int, str]:
        done = subprocess.run(
            argv,
            cwd=self.path,
            env=self.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=60,
            check=False,
        )
        return done.returncode, done.stdout.decode()


@pytest.fixture(scope="module")
def faults(tmp_path_factory: pytest.TempPathFactory) -> dict[int, list[str]]:
    """All blocks run once, so that one of them can be asked for alone: line → what went wrong."""
    folder = Folder(tmp_path_factory.mktemp("readme"))
    shutil.copytree(
        ROOT / "sample_events",
        folder.path / "sample_events",
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    return {block.line: folder.run(block) for block in blocks(TEXT)}


@pytest.mark.timeout(600)
@pytest.mark.parametrize("block", blocks(TEXT), ids=str)
def test_example_does_what_the_readme_says(block, faults):
    assert not faults[block.line], "\n\n".join(faults[block.line])


def test_every_command_is_in_the_readme(durproj):
    told = durproj("--help").out
    listed = re.findall(
        r"^  ([a-z][a-z-]*)(?=\s{2}|$)", told.partition("Commands")[2], re.MULTILINE
    )
    assert listed, told
    missing = [name for name in listed if not re.search(rf"(durproj |`){name}\b", TEXT)]
    assert missing == []


def test_what_holds_a_promise_is_there():
    rows = re.findall(r"^\| (P\d) .*\| ([^|]*) \|$", TEXT, re.MULTILINE)
    assert [promise for promise, _ in rows] == [f"P{n}" for n in range(1, 9)]
    named = [(promise, name) for promise, held in rows for name in re.findall(r"`([^`]+)`", held)]
    assert all((ROOT / name).is_file() for _, name in named if name.startswith("tests/"))
    faults = [(name, promise) for promise, name in named if not name.startswith("tests/")]
    absent = [
        (promise, name)
        for name, promise in faults
        if not any(name in proof.fault and promise in proof.promises for proof in PROOFS)
    ]
    assert absent == []
    unnamed = [
        (proof.fault, promise)
        for proof in PROOFS
        for promise in proof.promises
        if not proof.control
        and not any(name in proof.fault for name, told in faults if told == promise)
    ]
    assert unnamed == []


def test_expected_output_is_compared_line_by_line():
    assert matches(["a <...> c", "...", "z"], "a b c\nx\ny\nz\n")
    assert matches(["a", "...", "z"], "a\nz\n")
    assert matches([], "")
    assert matches(["a  b", ""], "a  b\n\n")
    assert not matches(["a", "z"], "a\nx\nz\n")
    assert not matches(["a"], "a\nb\n")
    assert not matches([], "a\n")
    assert not matches(["a"], "")
    assert not matches(["<...>"], "a\nb\n")
    assert not matches(["a.c"], "abc\n")


def test_blocks_are_found_and_read():
    text = (
        "```text\nno\n```\n```sh\nno\n```\n"
        '```json\n# file: a/b.json\n{"x": 1}\n```\n'
        "```console\n$ cat > f <<END\n> one\n> END\n$ cat f; false  # exit 1\none\n> two\n```\n"
    )
    first, second = blocks(text)
    assert (first.line, second.line) == (7, 11)
    written, read = commands(second.body)
    assert (written.text, written.code, written.output) == ("cat > f <<END\none\nEND", 0, [])
    assert (read.code, read.output) == (1, ["one", "> two"])


def test_a_wrong_readme_is_told_what_went_wrong(tmp_path):
    folder = Folder(tmp_path)
    assert folder.run(Block(1, "json", '# file: a/b.json\n{"x": 1}\n')) == []
    assert (tmp_path / "a" / "b.json").read_text() == '{"x": 1}\n'
    assert folder.run(Block(1, "console", "$ cat a/b.json\n{<...>: 1}\n")) == []
    assert (
        folder.run(Block(1, "console", "$ echo out; echo err >&2; exit 3 # exit 3\nout\nerr\n"))
        == []
    )
    assert folder.run(Block(1, "python", "import os; assert os.path.exists('a/b.json')")) == []
    (fault,) = folder.run(Block(1, "console", "$ exit 4\n"))
    assert "exit 4, expected 0" in fault
    (fault,) = folder.run(Block(1, "console", "$ echo other\nthis\n"))
    assert "other" in fault
    (fault,) = folder.run(Block(1, "python", "raise SystemExit('no')"))
    assert "no" in fault
