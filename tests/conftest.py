"""What all tests share: hypothesis profiles, and the command line run as its users run it."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from subprocess import PIPE, Popen
from typing import TYPE_CHECKING, Any

import pytest
from forked import popen
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from live import Following

ROOT = Path(__file__).resolve().parent.parent

TIMES = float(os.environ.get("HYPOTHESIS_TIMES", "1"))
"""How many times the examples of `make test` a law is given; `make proof` asks for more than once."""


def examples(number: int) -> settings:
    """So many examples of a law, in `make test`."""
    return settings(max_examples=max(1, round(number * TIMES)))


# On a busy machine slow generation says nothing about the code.
settings.register_profile(
    "dev", examples(50), deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile(
    "ci", settings.get_profile("dev"), derandomize=True, database=None, print_blob=True
)
settings.register_profile(
    "nightly",
    settings.get_profile("dev"),
    derandomize=False,  # as it is where CI is set
    database=None,
    print_blob=True,
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "dev"))


def hear_signals() -> None:
    """A shell lets what it starts in the background ignore these, and all that is started in turn inherits
    that. What is caught is not inherited: hangups are still no end of the tests themselves."""
    caught = {
        signal.SIGINT: signal.default_int_handler,
        signal.SIGQUIT: signal.SIG_DFL,
        signal.SIGHUP: lambda *_: None,
    }
    for signum, handler in caught.items():
        if signal.getsignal(signum) is signal.SIG_IGN:
            signal.signal(signum, handler)


hear_signals()


@dataclass(frozen=True)
class Result:
    """How a command ended: its exit code (-n when signal n killed it) and what it printed."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> list[Any]:
        """The lines of stdout, each one JSON document."""
        # Not splitlines(): JSON strings may hold U+2028 and its like.
        return [json.loads(line) for line in self.out.split("\n") if line]


def environment(**additions: str) -> dict[str, str]:
    """An environment that no setting of the developer's or of CI's reaches."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}
    return kept | {
        "PYTHONPATH": str(ROOT),
        # Where the size of files is limited, a cut one would be what the next process imports.
        "PYTHONDONTWRITEBYTECODE": "1",
        "LC_ALL": "C.UTF-8",
        "TERM": "xterm-256color",
        "COLUMNS": "100",
        **additions,
    }


def start(
    *args: object, folder: Path | str, env: Mapping[str, str] | None = None, **streams: Any
) -> Popen[bytes]:
    """Start the real command line in `folder`, in a process of its own."""
    return popen([*map(str, args)], env=env or {}, base=environment(), cwd=folder, **streams)


class CommandLine:
    """`durproj(*args)` runs the real command line in a subprocess, in `folder` unless told otherwise."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(
        self,
        *args: object,
        input: bytes = b"",
        env: Mapping[str, str] | None = None,
        cwd: Path | str | None = None,
        timeout: float = 60,
    ) -> Result:
        process = start(
            *args, folder=cwd or self.folder, env=env, stdin=PIPE, stdout=PIPE, stderr=PIPE
        )
        with process:
            try:
                out, err = process.communicate(input, timeout=timeout)
            except BaseException:
                process.kill()
                raise
        return Result(process.returncode, out.decode(), err.decode())


@pytest.fixture
def durproj(tmp_path: Path) -> CommandLine:
    return CommandLine(tmp_path)


@pytest.fixture
def follow(tmp_path: Path) -> Iterator[Callable[..., Following]]:
    """`follow(INPUT, *args)` begins to follow an input; it ends with the test, at the latest."""
    from live import Following

    begun: list[Following] = []

    def start(*args: object, **how: Any) -> Following:
        begun.append(Following(tmp_path, *args, **how))
        return begun[-1]

    yield start
    for following in begun:
        if not following.process.stdout.closed:
            following.process.kill()
            following.process.communicate()


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "app.log"
