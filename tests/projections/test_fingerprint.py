from __future__ import annotations

import functools
import importlib
import itertools
import os
import sys
import textwrap

import pytest

from durproj.projections.fingerprint import fingerprint

COUNTER = itertools.count()

BASE = '''
import math
from decimal import Decimal as D

LIMIT = 10
TABLE = {"a": 1}
UNUSED = 1
handlers = {}

class Rule:
    top: int = 5
    def check(self, n):
        return n < self.top

def on(type):
    def keep(fn):
        handlers[type] = fn
        return fn
    return keep

@on("Placed")
def placed(state, event):
    return state + 1

def deep(n):
    return min(n, LIMIT)

def near(n, by=2):
    return deep(n) * by

def apply(state, event, factor=1):
    """What it does."""
    parts = [near(x) for x in state]
    if Rule().check(len(parts)):
        return handlers[event.type](state, event)
    return f"{TABLE['a']!r:>{factor}} {math.floor(1.5)}"

def unrelated():
    return UNUSED
'''


def of(source, name="apply"):
    """The fingerprint of a function in a module with this source."""
    folder = of.folder / str(next(COUNTER))
    folder.mkdir()
    path = folder / "module.py"
    path.write_text(textwrap.dedent(source))
    scope = {"__name__": "module_under_test"}
    exec(compile(path.read_text(), str(path), "exec"), scope)
    return fingerprint(eval(name, scope))


@pytest.fixture(autouse=True)
def folder(tmp_path):
    of.folder = tmp_path


def changed(*edits):
    source = BASE
    for old, new in edits:
        assert old in source, old
        source = source.replace(old, new)
    return source


def test_form():
    found = of(BASE)
    assert len(found) == 16
    assert int(found, 16) >= 0
    assert found == of(BASE)


@pytest.mark.parametrize(
    "edit",
    [
        ('    """What it does."""\n', "    # a comment\n"),
        ('    """What it does."""\n', '    "Other words."\n'),
        ("\ndef apply", "\n\n\n# moved\ndef apply"),
        (
            "    parts = [near(x) for x in state]\n",
            "    parts = [\n        near(x)\n        for x in state  # all\n    ]\n",
        ),
        ("return state + 1", "return (state + 1)"),
        ('{"a": 1}', "{'a': 1}"),
        ("UNUSED = 1", "UNUSED = 2"),
        ("    return UNUSED", "    return 7"),
        ("    return min(n, LIMIT)", '    """Doc."""\n    return min(n, LIMIT)'),
        ("    top: int = 5", '    """Doc."""\n\n    top: int = 5'),
    ],
    ids=lambda edit: edit[1][:20],
)
def test_what_does_not_matter(edit):
    assert of(changed(edit)) == of(BASE)


@pytest.mark.parametrize(
    "edit",
    [
        ("len(parts)", "len(parts) + 0"),
        ("factor=1", "factor=2"),
        ("def apply(state, event", "@functools.cache\ndef apply(state, event"),
        ("by=2", "by=3"),
        ("min(n, LIMIT)", "max(n, LIMIT)"),
        ("LIMIT = 10", "LIMIT = 11"),
        ("LIMIT = 10", "LIMIT: int = 10"),
        ("LIMIT = 10", "LIMIT = 10\nLIMIT += 1"),
        ("LIMIT = 10", "if True:\n    LIMIT = 10"),
        ('{"a": 1}', '{"a": 2}'),
        ('TABLE = {"a": 1}', 'TABLE = {"a": 1}\nTABLE["b"] = 2'),
        ('TABLE = {"a": 1}', 'TABLE = {"a": 1}\nTABLE.update(b=2)'),
        ('TABLE = {"a": 1}', 'TABLE = {"a": 1}\ndel TABLE["a"]'),
        ("n < self.top", "n <= self.top"),
        ("top: int = 5", "top: int = 6"),
        ("return state + 1", "return state + 2"),
        ('@on("Placed")', '@on("Paid")'),
        ("def unrelated", "near.scale = 3\n\ndef unrelated"),
        ("import math", "import cmath as math, math as m"),
        ("!r:", "!s:"),
        ("(1.5)", "(2.5)"),
    ],
    ids=lambda edit: edit[1][:30],
)
def test_what_matters(edit):
    edits = [edit]
    if "functools" in edit[1]:
        edits.append(("import math", "import functools\nimport math"))
    assert of(changed(*edits)) != of(BASE)


def test_names_in_inner_scopes_reach_out():
    template = "K = {k}\ndef apply(s, e):\n    {body}\n"
    for body in (
        "return (lambda x: x + K)(s)",
        "return [K for x in s]",
        "return [x for x in s if K]",
        "return [[y for y in x] for x in K]",
        "def inner():\n        return K\n    return inner()",
        "class Inner:\n        field = K\n    return Inner.field",
        "global K\n    K = K + 1\n    return K",
        "match s:\n        case {{'a': x}} if x == K:\n            return x",
        "return f'{{K}}'",
        "try:\n        return s\n    except ValueError as error:\n        return K",
    ):
        one, two = (of(template.format(k=k, body=body.format())) for k in (1, 2))
        assert one != two, body


def test_local_names_hide_global_ones():
    template = "K = {k}\ndef apply(s, K):\n    e = [x for x in K]\n    return (lambda K=1: K)()\n"
    assert of(template.format(k=1)) == of(template.format(k=2))
    template = "x = {k}\ndef apply(s, e):\n    return [x for x in s]\n"
    assert of(template.format(k=1)) == of(template.format(k=2))
    template = "x = {k}\ndef apply(s, e):\n    return [x for x in s] + [x]\n"
    assert of(template.format(k=1)) != of(template.format(k=2))


def test_recursion_and_cycles_end():
    source = "def apply(s, e):\n    return other(s, e)\ndef other(s, e):\n    return apply(s, {n}) if s else e\n"
    assert of(source.format(n=1)) != of(source.format(n=2))
    ring = []
    loop = functools.partial(lambda _ring, s, _e: s, ring)
    ring.append(loop)
    made = []

    def self_holding(s, e):
        return made

    made.append(self_holding)
    assert fingerprint(loop) == fingerprint(loop)
    assert fingerprint(self_holding) == fingerprint(self_holding)

    def recursive(s, e):
        return recursive(s, e)

    assert fingerprint(recursive) == fingerprint(recursive)


def make(n, inner=None, default=0):
    def apply(state, event, by=default):
        return state + n if inner is None else inner(state, by)

    return apply


def test_closures():
    assert fingerprint(make(1)) == fingerprint(make(1))
    assert fingerprint(make(1)) != fingerprint(make(2))
    assert fingerprint(make(1, default=1)) != fingerprint(make(1, default=2))
    assert fingerprint(make(1, make(3))) != fingerprint(make(1, make(4)))
    assert fingerprint(make({1})) == fingerprint(make({2}))
    assert fingerprint(make(object())) == fingerprint(make(object()))


def test_lambdas_on_one_line():
    one, two, three = (lambda s, _e: s + 1), (lambda s, _e: s + 2), (lambda s, _e: s + 1)  # fmt: skip
    assert fingerprint(one) != fingerprint(two)
    assert fingerprint(one) == fingerprint(three)


def test_partials_methods_and_objects():
    def apply(by, state, event):
        return state + by

    assert fingerprint(functools.partial(apply, 1)) == fingerprint(functools.partial(apply, 1))
    assert fingerprint(functools.partial(apply, 1)) != fingerprint(functools.partial(apply, 2))
    assert fingerprint(functools.partial(apply, by=1)) != fingerprint(
        functools.partial(apply, by=2)
    )
    source = """
        class Shop:
            rate = {rate}
            def __init__(self, n): self.n = n
            def price(self): return self.rate
            def apply(self, state, event): return self.price()
            def __call__(self, state, event): return self.price()
    """
    for name in ("Shop(1).apply", "Shop(1)"):
        assert of(source.format(rate=1), name) == of(source.format(rate=1), name)
        assert of(source.format(rate=1), name) != of(source.format(rate=2), name)
        assert of(source.format(rate=1), name) != of(source.format(rate=1), name.replace("1", "2"))


def test_objects_with_slots_are_known_by_what_these_hold():
    class Base:
        __slots__ = ("__rate", "unset")

        def __init__(self, rate):
            self.__rate = rate

        def __call__(self, state, _event):
            return state

        def apply(self, state, _event):
            return state

    class Tax(Base):
        __slots__ = ("__dict__", "name")

        def __init__(self, rate, name, **more):
            super().__init__(rate)
            self.name = name
            self.__dict__ |= more

    things = [Tax(1, "a"), Tax(2, "a"), Tax(1, "b"), Tax(1, "a", x=1)]
    assert len({fingerprint(thing) for thing in things}) == 4
    assert len({fingerprint(thing.apply) for thing in things}) == 4
    assert fingerprint(Tax(1, "a")) == fingerprint(things[0])


def test_decorators_are_seen_through():
    source = """
        import functools
        def loud(fn):
            @functools.wraps(fn)
            def wrapper(*args): return {loud}
            return wrapper
        def plain(fn):
            def wrapper(*args): return fn(*args)
            return wrapper
        @functools.singledispatch
        def by_kind(state, event): return {base}
        @by_kind.register
        def _(state: int, event): return {registered}
        @loud
        def wrapped(state, event): return {base}
        @plain
        def hidden(state, event): return {base}
        @functools.lru_cache
        def cached(state, event): return {base}
    """
    values = {"loud": 1, "base": 1, "registered": 1}
    for name, matters in (
        ("wrapped", {"loud", "base"}),
        ("hidden", {"base"}),
        ("cached", {"base"}),
        ("by_kind", {"base"}),
    ):
        before = of(source.format(**values), name)
        for value in values:
            after = of(source.format(**{**values, value: 2}), name)
            assert (after != before) == (value in matters), (name, value)


def test_singledispatch_reached_by_name():
    source = """
        import functools
        @functools.singledispatch
        def by_kind(state, event): return 1
        @by_kind.register
        def _(state: int, event): return {n}
        def apply(state, event): return by_kind(state, event)
    """
    assert of(source.format(n=1)) != of(source.format(n=2))


def test_a_version_stands_for_the_code():
    source = "def apply(s, e):\n    return {n}\napply.version = {version!r}\n"
    assert of(source.format(n=1, version="1")) == of(source.format(n=2, version="1"))
    assert of(source.format(n=1, version="1")) != of(source.format(n=1, version="2"))
    assert of(source.format(n=1, version="1")) != of(source.format(n=1, version=1))
    assert of(source.format(n=1, version=True)) != of(source.format(n=2, version=True))
    renamed = source.replace("apply", "other")
    assert of(source.format(n=1, version=1)) != of(renamed.format(n=1, version=1), "other")


def test_native_and_standard_functions_are_their_names():
    assert fingerprint(max) == fingerprint(max) != fingerprint(min)
    assert fingerprint(os.path.join) != fingerprint(os.path.split)
    assert fingerprint(make(0, os.path.join)) != fingerprint(make(0, os.path.split))


def test_without_source_the_bytecode_stands_in():
    def made(code):
        scope = {}
        exec(code, scope)
        return scope["apply"]

    one = "def apply(s, e):\n    return [x for x in s if x in {1, 2, 3}]\n"
    assert fingerprint(made(one)) == fingerprint(made("# moved\n\n" + one))
    assert fingerprint(made(one)) != fingerprint(made(one.replace("3", "4")))


def test_an_edited_file_is_read_again(tmp_path):
    seen = []
    path = tmp_path / "edited.py"
    for n in (1, 22):
        path.write_text(f"def apply(s, e):\n    return {n}\n")
        scope = {"__name__": "edited"}
        exec(compile(path.read_text(), str(path), "exec"), scope)
        seen.append(fingerprint(scope["apply"]))
    assert seen[0] != seen[1]


def test_the_digest_of_a_known_function():
    # Pins the form: a change of it would refuse every journal written before.
    source = "K = 3\ndef apply(state, event):\n    return [state, K, f'{event}']\n"
    assert of(source) == "c7f405e05f6005ac"


def test_a_module_that_has_a_name_of_the_library_is_guarded(tmp_path, monkeypatch):
    import profile

    monkeypatch.setitem(sys.modules, "profile", None)
    monkeypatch.syspath_prepend(tmp_path)
    seen = {fingerprint(profile.run)}
    for by in (1, 22):
        (tmp_path / "profile.py").write_text(f"def run(state, event):\n    return state + {by}\n")
        monkeypatch.delitem(sys.modules, "profile")
        importlib.invalidate_caches()
        seen.add(fingerprint(importlib.import_module("profile").run))
    assert len(seen) == 3


def test_a_method_of_a_class_does_not_change_with_where_the_class_stands():
    source = """
class Made:
    limit = 1
    def __new__(cls):
        return 2
    @classmethod
    def apply(cls, state, event):
        return state + cls.more()
class Below(Made):
    limit = 3
    @classmethod
    def more(cls):
        return 5
"""
    was = of(source, "Below.apply")
    assert of("\n\n" + source, "Below.apply") == was
    assert (
        of(source.replace("class Below(Made):", "class Below(Made):\n    'Doc.'"), "Below.apply")
        == was
    )
    for old, new in (("limit = 3", "limit = 4"), ("return 5", "return 6")):
        assert of(source.replace(old, new), "Below.apply") != was
    assert of(source + "    def __new__(cls):\n        return 4\n", "Below.apply") != was


CONSTANTS = [
    *(
        "1",
        "'1'",
        "b'1'",
        "b'2'",
        "None",
        "True",
        "0.5",
        "float('nan')",
        "float('inf')",
        "10**30",
        "10**5000",
    ),
    *("()", "(1, 2)", "[1, 3]", "(b'1',)", "((b'1',),)", "{'a': 1}", "{2: b'1'}", "{3: b'1'}"),
    *("frozenset('abc')", "frozenset('abd')", "frozenset({(1, 'a')})"),
]


@pytest.mark.parametrize("name", ["limit", "__limit__"])
def test_a_constant_of_a_class_that_a_call_made_counts_by_its_value(name):
    source = f"""
        def make(value):
            class Made:
                {name} = value
                @classmethod
                def apply(cls, state, event): return state
            return Made.apply
    """
    found = {of(source, f"make({constant})") for constant in CONSTANTS}
    assert len(found) == len(CONSTANTS)
    assert of(source, "make(frozenset('cba'))") in found


def test_a_constant_of_a_class_that_holds_itself_counts_by_its_type():
    source = """
        def make(*held):
            limits = [*held]
            limits += [limits, limits]
            class Made:
                __limits__ = limits
                @classmethod
                def apply(cls, state, event): return state, limits
            return Made.apply
    """
    assert of(source, "make(1)") == of(source, "make(2)")


@pytest.mark.parametrize(
    "reducer", ["Made()", "Made().apply", "Below()", "Below().apply", "Below.of"]
)
def test_what_a_class_holds_that_a_call_made_counts_for_its_objects_and_subclasses(reducer):
    source = f"""
        def make(value):
            class Made:
                limit = value
                def apply(self, state, event): return self.limit
                __call__ = apply
                @classmethod
                def of(cls, state, event): return cls.limit
            class Below(Made):
                __slots__ = ("more",)
                def apply(self, state, event): return super().apply(state, event)
            return {reducer}
    """
    assert of(source, "make(1)") == of(source, "make(1)") != of(source, "make(2)")
