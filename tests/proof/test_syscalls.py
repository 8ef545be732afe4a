import os
from contextlib import nullcontext

import pytest

from proof import syscalls
from proof.children import Ended, begin
from proof.quick import tests_of
from proof.trial import Trial
from proof.verbs import VERBS, Template

test_syscalls = tests_of(syscalls.PROOFS)


@pytest.fixture
def template(tmp_path):
    return Template(VERBS[0], tmp_path / "template")


def test_every_call_that_a_command_makes_is_a_place(template, tmp_path):
    trial = Trial("seed", 1, tmp_path)
    every = syscalls._places(template, trial, syscalls.CALLS)
    assert len(every) > 300
    numbers = {}
    for call, at in every:
        numbers.setdefault(call, []).append(at)
    assert {call: at[-1] for call, at in numbers.items()} == {
        call: len(at) for call, at in numbers.items()
    }


class Told:
    """In the place of a template: which verb it is of."""

    def __init__(self, verb, _):
        self.verb = verb

    def copy(self, folder):
        return nullcontext(folder)


def test_few_cases_are_one_of_each_command(tmp_path, monkeypatch):
    killed = []
    monkeypatch.setattr(syscalls, "Template", Told)
    monkeypatch.setattr(syscalls, "_places", lambda *_: [("write", 1), ("write", 2)])
    monkeypatch.setattr(
        syscalls,
        "_killed",
        lambda told, *_: killed.append(told.verb.words[0]) or Ended(0, b"", b""),
    )
    syscalls.prove_syscalls(Trial("seed", 9, tmp_path))
    assert sorted(killed) == sorted({verb.words[0] for verb in VERBS})


def test_what_strace_does_not_come_to_is_not_left_behind(template, tmp_path, monkeypatch):
    refusing = tmp_path / "refusing"
    refusing.write_text("#!/bin/sh\necho it is not permitted >&2\n")
    refusing.chmod(0o755)
    monkeypatch.setattr(syscalls, "strace", lambda: str(refusing))
    begun = []
    monkeypatch.setattr(
        syscalls, "begin", lambda *args, **how: begun.append(begin(*args, **how)) or begun[-1]
    )
    with (
        template.copy(tmp_path / "copy") as folder,
        pytest.raises(AssertionError, match="not permitted"),
    ):
        syscalls.traced(template, folder, ["trace=write"])
    with pytest.raises(ProcessLookupError):
        os.kill(begun[0].pid, 0)
