from __future__ import annotations

import functools
import itertools
import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from durproj.projections import syntax
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


EVERYTHING = '''
"""Module."""
from __future__ import annotations
import a.b as c, d
from . import e
@dec(1)
async def f(a, /, b: int = 1, *args, c=2.5, **kw) -> None:
    """Doc."""
    async with x as y, z: await y
    f"a" "b" f"{a!r:>{b}.2f}{{}}{c=}{d:}" f"" "end"
    f"{a:{'x'}}" rb"\\x00" 1j ... if False else 10**30
    return {**a, 'b': [*c]} | {i: j for i, j in k if i} or not -1
class G(H, metaclass=I):
    "Doc."
    x: int
    @property
    def y(self): return (yield), (yield from self)
try:
    pass
except* (OSError, ValueError) as err: raise E from None
match p:
    case {"a": [1, *rest], **more} | Point(x=0, y=_) if q: del a[1:2, ::3]
    case -1 | 2+3j | None | "s" as w: pass
for i in x: continue
else: assert (n := 3), "m"
while 1: break
global gg
lambda *a, k=1: (yield)
print(123456789012345678901234567890, 1e400, 0x1F, "\\ud800", True)
'''.replace(
    '    f"{a:{\'x\'}}" rb"\\x00" 1j ... if False', '    f"{a:{b}}"; rb"\\x00"; 1j; ... if False'
)

PROGRAM = """
import ast, hashlib, importlib.util, sys
spec = importlib.util.spec_from_file_location("syntax", sys.argv[1])
syntax = importlib.util.module_from_spec(spec)
spec.loader.exec_module(syntax)
tree = ast.parse(open(sys.argv[2], encoding="utf-8").read())
text = syntax.canonical(tree) + repr(sorted(syntax.free_names(tree)))
print(hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest())
"""


def interpreters():
    names = [f"python3.{minor}" for minor in range(11, 16)]
    found = [shutil.which(name) for name in names]
    versions = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    found += [str(path) for name in names for path in versions.glob(f"*/bin/{name}")]
    # A version manager's stand-in is found by name, but need not run.
    return [path for path in found if path and _runs(path)]


def _runs(python):
    return not subprocess.run([python, "-c", ""], capture_output=True, check=False).returncode


def test_the_canonical_text_is_the_same_on_every_python(tmp_path):
    others = interpreters()
    if not others:
        pytest.skip("no other Python 3.11 or later is on this machine")
    sample = tmp_path / "everything.py"
    sample.write_text(EVERYTHING)
    for source in (sample, Path(syntax.__file__), Path(__file__)):
        digests = {
            subprocess.run(
                [python, "-c", PROGRAM, syntax.__file__, str(source)],
                capture_output=True,
                text=True,
                check=True,
            ).stdout
            for python in [sys.executable, *others]
        }
        assert len(digests) == 1, source


def test_the_digest_of_a_known_function():
    # Pins the form: a change of it would refuse every journal written before.
    source = "K = 3\ndef apply(state, event):\n    return [state, K, f'{event}']\n"
    assert of(source) == "c7f405e05f6005ac"
