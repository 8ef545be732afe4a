"""Lines that are no events, left out where that is asked for."""

from __future__ import annotations

import pytest

GOOD = ['{"user":"a","type":"T"}', '{"user":"b","type":"T"}', '{"user":"a","type":"U"}']
BAD = ["{oops", "null", '{"type":"T"}', '"text"', '{"user":"a","n":1e999}', '{"user":[]}']
COUNTS = ("--reducer", "counts", "--key", "user", "--type", "type")
SKIP = ("--on-bad-line", "skip")


@pytest.fixture
def logs(durproj):
    mixed = [line for pair in zip(BAD, [*GOOD, *GOOD], strict=True) for line in pair]
    (durproj.folder / "mixed.jsonl").write_text("\n".join(mixed) + "\n")
    (durproj.folder / "good.jsonl").write_text("\n".join([*GOOD, *GOOD]) + "\n")
    return durproj


def projections(done):
    return {line["id"]: line for line in done.json if line["type"] == "projection"}


@pytest.mark.parametrize("only", [(), ("--user", "a")], ids=["many", "one"])
@pytest.mark.parametrize("durability", ["step", "batch"])
def test_bad_lines_are_left_out_as_if_they_were_not_there(logs, only, durability):
    asked = (*COUNTS, *only, "--durability", durability, "--json", "--stable")
    done = logs("run", "mixed.jsonl", *asked, *SKIP, "--store", "mixed.db")
    clean = logs("run", "good.jsonl", *asked, "--store", "good.db")
    assert projections(done) == projections(clean)
    assert (done.code, done.json[-1]["bad_lines"], done.json[-1]["exit"]) == (1, len(BAD), 1)
    assert (clean.code, "bad_lines" in clean.json[-1]) == (0, False)


def test_the_first_of_them_is_named_with_its_reason(logs):
    done = logs("run", "mixed.jsonl", *COUNTS, *SKIP)
    assert "6 bad lines were left out, the first: mixed.jsonl:1: byte 0: " in done.err
    assert "2 projections, 6 events: 6 executed" in done.out


def test_only_those_that_are_new_count_for_the_exit_code(logs):
    assert logs("run", "mixed.jsonl", *COUNTS, *SKIP).code == 1
    again = logs("run", "mixed.jsonl", *COUNTS, *SKIP, "--json")
    assert (again.code, again.json[-1]["cached"]) == (0, 6)
    with (logs.folder / "mixed.jsonl").open("a") as log:
        log.write("{torn\n" + GOOD[0] + "\n")
    done = logs("run", "mixed.jsonl", *COUNTS, *SKIP, "--json")
    assert (done.code, done.json[-1]["bad_lines"], done.json[-1]["executed"]) == (1, 1, 1)


def test_without_the_option_the_run_stops_there_and_names_it(logs):
    done = logs("run", "mixed.jsonl", *COUNTS)
    assert done.code == 65
    assert "--on-bad-line skip" in done.err
    assert logs("run", "mixed.jsonl", *COUNTS, *SKIP).code == 1


def test_a_resumed_run_goes_on_leaving_them_out(logs):
    assert logs("run", "mixed.jsonl", *COUNTS, *SKIP, "--crash", 1).code == 3
    done = logs("resume", "--json")
    assert (done.code, done.json[-1]["events"], done.json[-1]["bad_lines"]) == (1, 6, len(BAD))


def test_a_line_that_was_mended_later_is_an_event_that_came_into_the_past(logs):
    log = logs.folder / "mixed.jsonl"
    assert logs("run", "mixed.jsonl", *COUNTS, *SKIP).code == 1
    log.write_text(log.read_text().replace("{oops", GOOD[2]))
    assert logs("run", "mixed.jsonl", *COUNTS, *SKIP).code == 4
