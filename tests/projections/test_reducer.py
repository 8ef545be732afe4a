from __future__ import annotations

import functools
import os
import py_compile
import sys
import textwrap
from pathlib import Path

import pytest

from durproj.errors import UsageError
from durproj.projections.reducer import from_function, load

SHOP = """
    from shop_rules import STEP
    def orders(state, event):
        return {**state, "open": state["open"] + STEP}
    def bare(state, event): return state
    orders.initial = {"open": 0, "list": []}
    orders.summary = lambda state: f"open={state['open']}"
    class Book:
        @staticmethod
        def keep(state, event): return state
    NUMBER = 3
    def one(state): return state
    def three(state, event, more): return state
    def optional(state, event, more=1): return state
    def stars(*args): return args[0]
    def keyword(state, event, *, more): return state
    async def later(state, event): return state
    def many(state, event): yield state
"""


@pytest.fixture(autouse=True)
def clean_imports(monkeypatch):
    monkeypatch.setattr(sys, "path", list(sys.path))
    known = set(sys.modules)
    yield
    for name in set(sys.modules) - known:
        del sys.modules[name]


@pytest.fixture
def shop(tmp_path):
    folder = tmp_path / "lib"
    folder.mkdir()
    (folder / "shop.py").write_text(textwrap.dedent(SHOP))
    (folder / "shop_rules.py").write_text("STEP = 2\n")
    return folder


def refused(ref, base, initial=None):
    with pytest.raises(UsageError) as met:
        load(ref, initial, base)
    assert met.value.exit_code == 2
    return f"{met.value.message}\n{met.value.hint}"


@pytest.mark.parametrize("name", ["account", "counts", "merge"])
def test_built_in(name, tmp_path):
    reducer = load(name, None, tmp_path)
    assert reducer.ref == reducer.fn.__name__ == name
    assert reducer.summary(reducer.initial("u1"))
    assert load(name, None, tmp_path).fingerprint == reducer.fingerprint


def test_account_starts_with_its_key(tmp_path):
    reducer = load("account", None, tmp_path)
    assert reducer.initial("u7")["userId"] == "u7"
    assert reducer.initial_source == load("account", None, tmp_path).initial_source
    assert load("account", '{"n":1}', tmp_path).initial("u7") == {"n": 1}


def test_a_file_with_a_sibling(shop):
    for base, ref in ((shop, "shop.py:orders"), (shop.parent, "lib/shop.py:orders")):
        reducer = load(ref, None, base)
        assert reducer.ref == ref
        assert reducer.fn(reducer.initial("k"), None) == {"open": 2, "list": []}
        assert reducer.summary({"open": 4}) == "open=4"
        assert reducer.initial_source == '{"open":0,"list":[]}'
    assert not list(shop.rglob("*.pyc"))


def test_a_module(shop):
    reducer = load("shop:orders", None, shop)
    assert reducer.fn({"open": 1}, None) == {"open": 3}
    assert load("shop:Book.keep", None, shop).fn(1, None) == 1
    assert load("operator:or_", None, shop).fn(1, 2) == 3


def test_an_edit_within_the_same_second_is_seen(shop):
    path = shop / "quick.py"
    seen = []
    for sign in "+-":
        path.write_text(f"def f(state, event): return {sign}1\n")
        os.utime(path, (1, 1))
        if not seen:
            py_compile.compile(str(path))  # as an import elsewhere would have left it
        reducer = load("quick.py:f", None, shop)
        seen.append((reducer.fn(0, None), reducer.fingerprint))
    assert [value for value, _ in seen] == [1, -1]
    assert seen[0][1] != seen[1][1]


def test_a_file_called_like_a_standard_module(shop):
    (shop / "json.py").write_text("def f(state, event): return 'mine'\n")
    assert load("json.py:f", None, shop).fn(None, None) == "mine"
    assert sys.modules["json"].loads("1") == 1


def test_initial_states_are_fresh_for_each_key(shop):
    for initial in (None, '{"open":0,"list":[]}'):
        reducer = load("shop.py:orders", initial, shop)
        reducer.initial("a")["list"].append("shared")
        assert reducer.initial("b") == {"open": 0, "list": []}


def test_where_the_initial_state_comes_from(shop):
    assert load("shop.py:bare", None, shop).initial("k") == {}
    assert load("shop.py:orders", " [1, 2] ", shop).initial_source == "[1,2]"
    assert load("shop.py:orders", "null", shop).initial("k") is None


@pytest.mark.parametrize(
    ("ref", "texts"),
    [
        ("acount", ["no built-in reducer is called 'acount'", "did you mean 'account'?"]),
        ("shop.py", ["no built-in", "FILE.py:FUNCTION"]),
        ("shop.py:", ["incomplete"]),
        (":orders", ["incomplete"]),
        ("", ["FILE.py:FUNCTION"]),
        ("none.py:orders", ["no such file: none.py", "looked in"]),
        ("no_such_module:f", ["no module named 'no_such_module'"]),
        ("shop.py:ordres", ["shop.py has no function 'ordres'", "did you mean 'orders'?"]),
        ("shop.py:zzz", ["shop.py has: bare, keyword, later"]),
        ("shop.py:Book.kep", ["no function 'Book.kep'"]),
        ("shop.py:NUMBER", ["is a int, not a function"]),
        ("shop.py:Book", ["it is a class"]),
        ("shop.py:one", ["its parameters are (state)", "(state, event)"]),
        ("shop.py:three", ["its parameters are (state, event, more)"]),
        ("shop.py:keyword", ["its parameters are"]),
        ("shop.py:later", ["generator or coroutine"]),
        ("shop.py:many", ["generator or coroutine"]),
    ],
)
def test_what_is_no_reducer_is_explained(shop, ref, texts):
    told = refused(ref, shop)
    for text in texts:
        assert text in told


@pytest.mark.parametrize("name", ["optional", "stars"])
def test_two_parameters_are_enough(shop, name):
    assert load(f"shop.py:{name}", None, shop).fn(1, None) == 1


@pytest.mark.parametrize(
    ("code", "text"),
    [
        (
            "import no_such_thing",
            "broken.py, line 2: ModuleNotFoundError: No module named 'no_such_thing'",
        ),
        ("raise SystemExit(3)", "broken.py, line 2: it called exit (3)"),
        ("def f(:", "broken.py, line 2: SyntaxError: "),
        ("1 / 0", "broken.py, line 2: ZeroDivisionError: division by zero"),
        ("import json; json.loads('{')", "broken.py, line 2: JSONDecodeError: "),
        ("import broken_too", "broken_too.py, line 1: SyntaxError: "),
    ],
)
@pytest.mark.parametrize("ref", ["broken.py:f", "broken:f"])
def test_an_import_that_fails_names_the_line(shop, code, text, ref):
    (shop / "broken.py").write_text(f"x = 1\n{code}\n")
    (shop / "broken_too.py").write_text("def (\n")
    told = refused(ref, shop)
    if ref == "broken.py:f" or "JSON" not in text:
        assert text in told
    assert "Traceback" not in told


@pytest.mark.parametrize("initial", ["{", "NaN", "1" * 30, "[1,]", "\udcff"])
def test_an_initial_state_that_is_not_json(tmp_path, initial):
    assert "--initial is not JSON" in refused("merge", tmp_path, initial)


@pytest.mark.parametrize("initial", ["{1, 2}", "float('nan')", "{1: 2}", "lambda key: {key}"])
def test_an_initial_state_that_cannot_be_stored(tmp_path, initial):
    (tmp_path / "odd.py").write_text(f"def f(s, e): return s\nf.initial = {initial}\n")
    with pytest.raises(UsageError, match=r"the initial state of odd\.py:f cannot be stored"):
        load("odd.py:f", None, tmp_path).initial("k")


def plain(state, event):
    return state


def test_from_function():
    reducer = from_function(plain)
    assert reducer.ref == f"{__name__}:plain"
    assert reducer.initial("k") == {}
    assert reducer.summary is None
    assert from_function(plain, {"n": (1, 2)}).initial("k") == {"n": [1, 2]}
    assert from_function(plain, None).initial("k") is None
    assert from_function(plain, lambda key: [key]).initial("k") == ["k"]
    assert from_function(lambda s, _e: s).ref == f"{__name__}:test_from_function.<locals>.<lambda>"
    assert from_function(functools.partial(lambda by, s, _e: s + by, 3)).fn(1, None) == 4
    with pytest.raises(UsageError, match="parameters"):
        from_function(lambda s: s)


def test_from_a_script_the_file_is_named(monkeypatch, tmp_path):
    monkeypatch.setattr(plain, "__module__", "__main__")
    monkeypatch.setattr(
        sys.modules["__main__"], "__file__", str(tmp_path / "script.py"), raising=False
    )
    assert from_function(plain).ref == f"{tmp_path / 'script.py'}:plain"


def test_base_may_be_relative(shop, monkeypatch):
    monkeypatch.chdir(shop)
    assert load("shop.py:orders", None, Path()).fn({"open": 0}, None) == {"open": 2}
