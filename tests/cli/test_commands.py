"""list, rewind, stats and doctor as people read them; help and version."""

from __future__ import annotations

import re

import pytest

LOG = (
    '{"user":"a","type":"T","id":1,"time":"2026-01-01T00:00:00Z"}\n'
    '{"user":"b","type":"T","id":2,"time":"2026-01-01T00:00:05Z"}\n'
    '{"user":"a","type":"U","id":3,"time":"2026-01-01T00:00:01Z"}\n'
)
OPTIONS = {
    "run": "--user --reducer --initial --name --store --durability --crash --crash-with --fail --key --type --id --time --data --no-key --retries --retry-delay --retry-any --max-line --accept-reducer --restart --on-error --max-errors --strict-types --wait --json --stable --quiet -q --verbose -v --color",
    "resume": "--user --store --durability --accept-reducer --restart --on-error --wait --json --stable --quiet -q --verbose -v --color",
    "inspect": "--step --store --json --stable --quiet -q --color",
    "list": "--name --status --limit --store --json --stable --quiet -q --color",
    "log": "--path --type --from --to --limit -n --reverse --store --json --stable --verbose -v --quiet -q --color",
    "diff": "--path --exit-code --no-exit-code --store --json --stable --quiet -q --color",
    "blame": "--store --json --stable --quiet -q --color",
    "find": "--all --last --bisect --all-ids --name --limit --store --json --stable --quiet -q --color --help",
    "verify": "--name --refold --twice --junit --store --json --stable --quiet -q --verbose -v --color",
    "crashtest": "--user --reducer --jq --initial --durability --seeds --seed --seconds --allow-mutation --keep --junit --key --type --id --time --data --seq --format --array --no-key --order --dedupe --on-error --on-bad-line --max-line --strict-types --json --stable --quiet -q --color",
    "compare": "--ignore --final --limit --verbose -v --store --json --stable --quiet -q --color --help",
    "promote": "--force --store --wait --json --stable --quiet -q --color",
    "rewind": "--to --store --wait --json --stable --quiet -q --color",
    "fork": "--as --at --replace-event --drop-event --reducer --accept-reducer --store --wait --json --stable --quiet -q --color",
    "export": "--to --format --journal --name --status --column --table --excel --force --store --json --stable --quiet -q --color",
    "report": "--output -o --from --to --last --store --json --stable --quiet -q --color",
    "gc": "--user --name --older-than --keep-last --keep-latest --drop --vacuum --no-vacuum --dry-run --store --wait --json --stable --quiet -q --color",
    "backup": "--force --store --json --stable --quiet -q --color",
    "stats": "--key --type --id --time --data --max-line --json --stable --quiet -q --color",
    "doctor": "--store --json --stable --quiet -q --color",
    "parked": "--help",
}
COMMON = {"--json", "--stable", "--quiet", "-q", "--color"}
PARKED = {
    "parked list": "--store --json --stable --quiet -q --color",
    "parked show": "--store --json --stable --quiet -q --color",
    "parked retry": ("--all --user --store --wait --json --stable --quiet -q --verbose -v --color"),
    "parked drop": "--user --store --wait --json --stable --quiet -q --verbose -v --color",
}


@pytest.fixture
def folder(durproj):
    (durproj.folder / "log.jsonl").write_text(LOG)
    return durproj.folder


@pytest.fixture
def store(durproj, folder):
    """A workflow that a crash stopped, and two resolved ones."""
    durproj("run", "--name", "sample", "--crash", 5)
    durproj("run", "log.jsonl", "--reducer", "counts")
    return folder / "durproj.db"


def test_list_shows_status_steps_and_id_in_columns(durproj, store):
    listed = durproj("list")
    assert (listed.code, listed.err) == (0, "")
    assert listed.out == (
        "pending         5 steps  sample/u1\n"
        "resolved        2 steps  projection/a\n"
        "resolved         1 step  projection/b\n"
    )


def test_list_can_be_narrowed_by_name_status_and_number(durproj, store):
    assert durproj("list", "--name", "sample").out.split()[-1:] == ["sample/u1"]
    assert durproj("list", "--status", "pending").out.count("\n") == 1
    assert durproj("list", "--limit", 2, "--json").json[-1]["id"] == "projection/a"
    none = durproj("list", "--status", "rejected")
    assert (none.code, none.out) == (0, "")
    assert none.err == "durproj: no workflow in durproj.db stands so\n"


def test_rewind_drops_the_steps_after_one_and_resume_folds_them_again(durproj, store):
    before = durproj("inspect", "projection/a", "--json").json[0]["state"]
    dropped = durproj("rewind", "projection/a", "--to", 0)
    assert (dropped.code, dropped.out) == (0, "")
    assert dropped.err == (
        "durproj: projection/a: dropped 1 step; step 0 is kept\ndurproj: go on with: durproj resume\n"
    )
    (stands,) = durproj("inspect", "projection/a", "--json").json
    assert (stands["status"], stands["steps"]) == ("pending", 1)
    assert "  goes on at  step 1: durproj resume\n" in durproj("inspect", "projection/a").out
    assert durproj("resume", "projection/a", "--json").json[-1]["executed"] == 1
    assert durproj("inspect", "projection/a", "--json").json[0]["state"] == before


def test_rewind_to_a_marked_step_or_to_nothing(durproj, store):
    assert "dropped 2 steps; steps 0 to 2 are kept" in durproj("rewind", "sample/u1#2").err
    assert "dropped 3 steps; none is kept" in durproj("rewind", "sample/u1", "--to", -1).err
    assert durproj("inspect", "sample/u1", "--json").json[0]["steps"] == 0
    quiet = durproj("rewind", "projection/a", "--to", 0, "-q")
    assert (quiet.code, quiet.out, quiet.err) == (0, "", "")


def test_rewind_to_the_last_step_of_what_is_finished_changes_nothing(durproj, store):
    before = durproj("inspect", "projection/a", "--json").out
    done = durproj("rewind", "projection/a", "--to", 1)
    assert (done.code, done.out) == (0, "")
    assert done.err == "durproj: projection/a: dropped 0 steps; steps 0 to 1 are kept\n"
    assert durproj("inspect", "projection/a", "--json").out == before
    assert durproj("resume", "projection/a").err.startswith("durproj: nothing to resume")


@pytest.mark.parametrize("on_error", ["park", "skip", "stop"])
def test_rewind_lets_an_event_that_failed_be_tried_again(durproj, folder, on_error):
    (folder / "r.py").write_text("def f(state, event):\n    return {'n': 1 / event.data['by']}\n")
    (folder / "log.jsonl").write_text('{"user":"a","by":1}\n{"user":"a","by":0}\n')
    run = ("run", "log.jsonl", "--key", "user", "--reducer", "r.py:f", "--on-error", on_error)
    assert durproj(*run).code == 1
    (folder / "r.py").write_text("def f(state, event):\n    return {'n': event.data['by']}\n")
    done = durproj("rewind", "projection/a#0")
    assert f"dropped {int(on_error == 'skip')} step" in done.err
    assert "go on with: durproj resume" in done.err
    assert durproj("inspect", "projection/a", "--json").json[0]["status"] == "pending"
    resumed = durproj("resume", "--accept-reducer", "--json").json[-1]
    assert (resumed["executed"], resumed["parked"], resumed["skipped"]) == (1, 0, 0)
    assert durproj("inspect", "projection/a", "--json").json[0]["state"] == {"n": 0}


def test_rewind_of_a_programs_workflow_leaves_it_to_the_program(durproj, folder):
    import durproj as library

    def program(ctx):
        one = yield ctx.run(str, 1)
        return (yield ctx.run(str, one))

    library.run("p/1", program, store=folder / "durproj.db")
    done = durproj("rewind", "p/1#0")
    assert done.err == (
        "durproj: p/1: dropped 1 step; step 0 is kept\n"
        "durproj: go on with the program that began it\n"
    )
    assert library.run("p/1", program, store=folder / "durproj.db") == "1"


@pytest.mark.parametrize("id", ["oops", "projection/zz", "projection/a#7"])
def test_rewind_of_what_is_not_there_is_refused(durproj, store, id):
    done = durproj("rewind", id, *([] if "#" in id else ["--to", 0]))
    assert (done.code, done.out) == (2 if id == "oops" else 66, "")


def test_stats_describes_a_log_and_makes_no_store(durproj, folder):
    shown = durproj("stats", "log.jsonl")
    assert (shown.code, shown.err) == (0, "")
    assert shown.out == (
        "log.jsonl\n"
        "read as     id=id type=type key=user time=time data=(whole line)\n"
        "events      3\n"
        "keys        2\n"
        "time        2026-01-01T00:00:00Z … 2026-01-01T00:00:05Z  (zoned, 3 events)\n"
        "            1 time earlier than the event before\n"
        "duplicates  0 repeated; 0 with another's id\n"
        "types\n"
        "           2  T\n"
        "           1  U\n"
        "most events\n"
        "           2  a\n"
        "           1  b\n"
    )
    assert [path.name for path in folder.iterdir()] == ["log.jsonl"]


def test_stats_counts_duplicates_blanks_and_lines_without_a_key(durproj, folder):
    lines = LOG.split("\n")
    (folder / "log.jsonl").write_text(
        "\n".join([*lines[:3], "", lines[0], lines[1].replace('"T"', '"X"'), '{"type":"T","id":9}'])
    )
    (found,) = durproj("stats", "log.jsonl", "--key", "user", "--id", "id", "--json").json
    assert (found["events"], found["blank"], found["keyless"]) == (6, 1, 1)
    assert (found["repeated"], found["conflicting"]) == (1, 1)
    shown = durproj("stats", "log.jsonl", "--key", "user").out
    assert "events      6, and 1 blank line\n" in shown
    assert "keys        2; 1 event without\n" in shown


def test_stats_shows_what_stands_before_a_bad_line_and_then_the_error(durproj, folder):
    (folder / "log.jsonl").write_text(LOG + "oops\n")
    done = durproj("stats", "log.jsonl", "--json")
    assert done.code == 65
    assert (done.json[0]["events"], done.json[0]["complete"]) == (3, False)
    assert done.err.startswith(f"durproj: log.jsonl:4: byte {len(LOG)}: ")


def test_stats_reads_standard_input_the_variable_and_the_sample(durproj, folder):
    assert durproj("stats", "-", "--json", input=LOG.encode()).json[0]["events"] == 3
    by_name = durproj("stats", "--json", env={"DURPROJ_EVENTS": "log.jsonl"})
    assert by_name.json[0]["input"] == "log.jsonl"
    assert durproj("stats", "--json").json[0]["events"] == 8


def test_doctor_tells_what_durproj_stands_on_and_that_the_store_is_sound(durproj, store):
    told = durproj("doctor")
    assert told.code == 0
    assert re.search(r"^python +3\.\d+\.\d+$", told.out, re.MULTILINE)
    assert re.search(r"^sqlite +3\.\d+\.\d+$", told.out, re.MULTILINE)
    assert re.search(r"^store +durproj\.db  sound$", told.out, re.MULTILINE)
    assert re.search(r"^  workflows +1 pending, 2 resolved$", told.out, re.MULTILINE)
    assert re.search(r"^  unfinished +1$", told.out, re.MULTILINE)
    (record,) = durproj("doctor", "--json").json
    assert record["store"]["tables"]["workflow"] == 3
    assert record["store"]["error"] is None


def test_doctor_without_a_store_says_so_and_makes_none(durproj):
    told = durproj("doctor")
    assert told.code == 0
    assert "durproj.db: not there yet; durproj run makes it" in told.out
    assert durproj("doctor", "--json").json[0]["store"] is None
    assert list(durproj.folder.iterdir()) == []


def test_many_projections_are_listed_in_columns_and_summed_up(durproj, folder):
    done = durproj("run", "log.jsonl", "--reducer", "counts", "--stable")
    blank = done.out.split("\n").index("")
    assert done.out.split("\n")[blank + 1 :] == [
        "  projection/a  resolved  2 steps (2 executed, 0 cached)  events=2 types=2 last=2026-01-01T00:00:01Z",
        "  projection/b  resolved  1 step (1 executed, 0 cached)   events=1 types=1 last=2026-01-01T00:00:05Z",
        "2 projections, 3 events: 3 executed, 0 cached",
        "",
    ]
    long = "".join(f'{{"user":"{"u" * (n % 60)}{n}","type":"T"}}\n' for n in range(300))
    (folder / "long.jsonl").write_text(long)
    done = durproj("run", "long.jsonl", "--reducer", "counts", "--stable")
    lines = done.out.split("\n")
    assert len(lines) == 23
    assert len({line.index("resolved") for line in lines[:20] if len(line) < 120}) == 1
    assert lines[20] == "  … of 300; all of them: durproj list"
    assert lines[21] == "300 projections, 300 events: 300 executed, 0 cached"


def test_one_of_each_is_said_in_the_singular(durproj, folder):
    (folder / "one.jsonl").write_text('{"user":"a","type":"T"}\n')
    done = durproj("run", "one.jsonl", "--reducer", "counts")
    assert "projection/a  resolved  1 step (1 executed, 0 cached)\n" in done.out


@pytest.mark.parametrize("args", [["--user", "zz"], ["--user", "zz", "--user", "yy"]])
def test_an_error_before_any_event_is_not_preceded_by_a_count_of_nothing(durproj, folder, args):
    assert durproj("run", "log.jsonl", *args, "--reducer", "counts").out == ""


@pytest.mark.parametrize("size", [1, 60], ids=["small", "large"])
def test_a_run_that_is_refused_before_it_does_anything_says_only_why(durproj, folder, size):
    log = "".join(f'{{"user":"{user}","type":"T","n":{n}}}\n' for n in range(size) for user in "ab")
    (folder / "log.jsonl").write_text(log)
    durproj("run", "log.jsonl", "--reducer", "counts")
    b = log.rindex('"b"')
    (folder / "log.jsonl").write_text(log[:b] + log[b:].replace('"T"', '"X"'))
    done = durproj("run", "log.jsonl", "--reducer", "counts")
    assert (done.code, done.out) == (4, "")
    assert "the past changed" in done.err


def test_before_an_error_only_what_is_new_is_listed(durproj, folder):
    log = "".join(f'{{"user":"{user}","type":"T","n":{n}}}\n' for n in range(60) for user in "abc")
    (folder / "log.jsonl").write_text(log)
    (folder / "r.py").write_text(
        "def f(state, event):\n    return {'n': 1 / event.data.get('by', 1)}\n"
    )
    args = ("run", "log.jsonl", "--reducer", "r.py:f", "--stable")
    durproj(*args)
    with (folder / "log.jsonl").open("a") as file:
        file.write('{"user":"b","type":"T"}\n{"user":"c","type":"T","by":0}\n')
    done = durproj(*args)
    assert (done.code, "ZeroDivisionError" in done.err) == (1, True)
    b, c, total, _ = done.out.split("\n")
    assert b.startswith("  projection/b  resolved  61 steps (1 executed, 60 cached)")
    assert c.startswith("  projection/c  rejected  60 steps (0 executed, 60 cached)")
    assert ": 1 executed, " in total
    assert total.endswith(", 1 failed")
    again = durproj(*args)
    assert again.code == 1
    assert [line.split()[0] for line in again.out.split("\n")[:-2]] == ["projection/c"]


def test_help_says_what_is_kept_from_the_fold_that_was_begun(durproj):
    told = " ".join(durproj("run", "--help").out.split())
    assert "by default the one that the same fold was begun with, else account." in told
    assert "by default what the same fold was begun with, else error." in told


def test_quiet_prints_results_only(durproj, folder):
    done = durproj("run", "log.jsonl", "--user", "a", "--reducer", "counts", "-q")
    assert done.err == ""
    assert done.out.startswith("projection/a  resolved  2 steps (2 executed, 0 cached)\n{\n")


def test_verbose_shows_every_step_of_a_long_log(durproj, folder):
    (folder / "long.jsonl").write_text('{"user":"a","type":"T"}\n' * 300)
    assert "[event" not in durproj("run", "long.jsonl", "--reducer", "counts").out
    shown = durproj("run", "long.jsonl", "--reducer", "counts", "-v", "--restart").out
    assert shown.count("  [event ") == 300
    assert "  [event 299]  T  →  events=300 types=1\n" in shown


@pytest.mark.parametrize("command", [*OPTIONS, *PARKED])
def test_help_lists_every_option_with_a_word_about_it(durproj, command):
    told = durproj(*command.split(), "--help", env={"COLUMNS": "100"})
    assert (told.code, told.err) == (0, "")
    assert told.out.startswith(f"Usage: durproj {command} ")
    shown = told.out.partition("Options:")[2]
    found = set(re.findall(r"(?<![\w-])--?[a-z][a-z-]*", shown))
    assert set((OPTIONS | PARKED)[command].split()) <= found
    assert command == "parked" or found >= COMMON
    for line in re.split(r"\n  (?=-)", shown)[1:]:
        assert re.search(r"  +\S", line), f"{line!r} says nothing"


def test_help_names_every_command(durproj):
    told = durproj("--help")
    assert told.code == 0
    assert re.findall(r"^  ([a-z]+)  ", told.out.partition("Commands:")[2], re.MULTILINE) == [
        *OPTIONS
    ]


def test_version(durproj):
    told = durproj("--version")
    assert (told.code, told.err) == (0, "")
    assert re.fullmatch(r"durproj \d+\.\d+\.\d+\n", told.out)
