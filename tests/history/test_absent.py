"""What is refused because it is not there, or is a program's, and what is said to do instead."""

from __future__ import annotations

import shlex

import pytest

import durproj


def program(ctx):
    return (yield ctx.run(str, 1))


@pytest.fixture
def store(tmp_path):
    path = tmp_path / "s.db"
    durproj.run("checkout/A; touch pwned", program, store=path)
    (tmp_path / "log.jsonl").write_text('{"user":"b; touch pwned","type":"T"}\n')
    durproj.fold(tmp_path / "log.jsonl", reducer="counts", store=path)
    return path


def test_an_id_in_a_hint_can_be_pasted_into_a_shell(store):
    id = "checkout/A; touch pwned"
    for refused in (
        lambda: durproj.diff(f"{id}#0", store=store),
        lambda: list(durproj.blame(id, store=store)),
        lambda: list(durproj.find(id, "true", store=store)),
        lambda: list(durproj.find(None, "true", name="checkout", store=store)),
        lambda: list(durproj.log(id, path="a", store=store)),
    ):
        with pytest.raises(durproj.UsageError, match="a program's workflow") as told:
            refused()
        assert told.value.hint == f"durproj log {shlex.quote(id)} shows what each of them returned"


@pytest.mark.parametrize(
    "ask",
    [
        lambda absent, store: durproj.inspect(absent, store=store),
        lambda absent, store: durproj.rewind(absent, 0, store=store),
        lambda absent, store: durproj.resume([absent], store=store),
        lambda absent, store: list(durproj.verify([absent], store=store)),
        lambda absent, store: list(durproj.gc([absent], store=store)),
        lambda absent, store: durproj.fork(absent, "other", store=store),
    ],
    ids=["inspect", "rewind", "resume", "verify", "gc", "fork"],
)
def test_a_workflow_that_is_not_there_is_told_in_the_same_words_everywhere(store, ask):
    with pytest.raises(durproj.NotFound) as told:
        ask("checkout/A;", store)
    assert told.value.message == f"checkout/A;: no such workflow in {store}"
    assert told.value.hint == "did you mean 'checkout/A; touch pwned'?"
    with pytest.raises(durproj.NotFound) as told:
        ask("checkout/B", store)
    assert told.value.hint == "durproj list shows those there are"


def test_the_workflows_of_a_store_are_listed_by_name_and_status(store):
    listed = list(durproj.workflows(store=store))
    assert [each["steps"] for each in listed] == [1, 1]
    (one,) = durproj.workflows(name="checkout", store=store)
    assert one == {
        "type": "workflow", "id": "checkout/A; touch pwned", "status": "resolved", "steps": 1
    }  # fmt: skip
    assert list(durproj.workflows(status="parked", store=store)) == []
    with pytest.raises(durproj.NotFound):
        list(durproj.workflows(store=store.with_name("none.db")))
