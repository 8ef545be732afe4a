"""The public face: what `import durproj` offers, what it costs, and what type checkers make of it."""

from __future__ import annotations

import ast
import importlib
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import durproj

ROOT = Path(__file__).resolve().parent.parent


def test_all_is_sorted_and_can_be_had():
    assert durproj.__all__ == sorted(set(durproj.__all__))
    for name in durproj.__all__:
        assert getattr(durproj, name) is not None
    assert set(durproj.__all__) <= set(dir(durproj))


def test_all_is_what_type_checkers_are_told():
    tree = ast.parse((ROOT / "durproj" / "__init__.py").read_text())
    told = {
        alias.asname or alias.name: node.module
        for block in tree.body
        if isinstance(block, ast.If)
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert set(told) == set(durproj.__all__)
    for name, module in told.items():
        assert getattr(importlib.import_module(module), name) is getattr(durproj, name)


def test_every_error_meant_for_users_is_public():
    from durproj import errors

    found = {
        name
        for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, Exception)
    }
    assert found <= set(durproj.__all__)


def test_what_is_not_there_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'durproj' has no attribute 'nothing'"):
        _ = durproj.nothing
    assert not hasattr(durproj, "__wrapped__")


def test_importing_it_imports_nothing_heavy():
    code = (
        "import sys; before = set(sys.modules); import durproj;"
        "print(sorted({name.partition('.')[0] for name in set(sys.modules) - before}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    imported = set(ast.literal_eval(done.stdout))
    assert "durproj" in imported
    heavy = {"sqlite3", "typer", "rich", "orjson", "sqlite_utils", "click", "json", "asyncio"}
    assert imported & heavy == set()


@pytest.mark.parametrize("name", [*durproj.__all__, ""])
def test_every_public_name_has_a_docstring(name):
    thing = getattr(durproj, name) if name else durproj
    assert inspect.getdoc(thing)
    if not inspect.isclass(thing):
        return
    for method, value in vars(thing).items():
        if method.startswith("_") or not (callable(value) or isinstance(value, property)):
            continue
        # What Silent leaves undone, Observer describes.
        described = durproj.Observer if thing is durproj.Silent else thing
        assert inspect.getdoc(getattr(described, method)), f"{name}.{method}"


TYPED = """
from __future__ import annotations

from typing import Any

import durproj
from durproj import Context, Event, Exponential, Step, StepFailed


def quote(order: str) -> int:
    return len(order)


def charge(order: str, price: int, *, card: str = "") -> dict[str, int]:
    return {order: price}


def checkout(ctx: Context, order: str) -> Any:
    price = yield from ctx.run(quote, order)
    reveal_type(price)
    reveal_type(ctx.run(charge, order, price))
    try:
        paid = yield from ctx.run(charge, order, price, card="x").options(retry=Exponential(retries=3))
        reveal_type(paid)
        return paid
    except StepFailed as failed:
        return f"declined: {failed.kind}"


def by_yield(ctx: Context, order: str) -> Any:
    price = yield ctx.run(quote, order)
    return (yield ctx.run(charge, order, price))


def orders(state: dict[str, int], event: Event) -> dict[str, int]:
    match event.type:
        case "OrderPlaced":
            return state | {"open": state["open"] + 1}
        case _:
            return state


def main() -> None:
    result = durproj.run("checkout/A-17", checkout, "A-17", store="shop.db")
    durproj.run("checkout/A-18", by_yield, "A-18", retry=durproj.Never())
    counts = durproj.fold("events.jsonl", reducer=orders, initial={"open": 0}, store="shop.db")
    reveal_type(counts)
    reveal_type(durproj.inspect("projection/u1"))
    reveal_type(durproj.resume())


def wrong(ctx: Context) -> Any:
    yield ctx.run(quote, 5)
    yield ctx.run(quote)
    yield ctx.run(charge, "a", 1, cash=True)
"""

REVEALED = [
    "int",
    "durproj.runtime.workflow.Step[dict[str, int]]",
    "dict[str, int]",
    "durproj.runtime.observer.Counts",
    "dict[str, Any]",
    "durproj.runtime.observer.Counts",
]
REFUSED = ["arg-type", "call-arg", "call-arg"]


@pytest.mark.slow
def test_type_checkers_know_what_steps_give(tmp_path):
    pytest.importorskip("mypy")
    program = tmp_path / "program.py"
    program.write_text(TYPED)
    done = subprocess.run(
        [
            sys.executable, "-m", "mypy", "--strict", "--no-error-summary", "--config-file", "",
            "--cache-dir", str(tmp_path / "cache"), str(program),
        ],
        cwd=tmp_path, env={"MYPYPATH": str(ROOT), "PATH": ""}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    lines = [line for line in done.stdout.splitlines() if "program.py" in line]
    revealed = [line.split('"')[1] for line in lines if "Revealed type" in line]
    # Some versions of mypy write builtins.int, some int.
    assert [each.replace("builtins.", "") for each in revealed] == REVEALED, (
        done.stdout + done.stderr
    )
    errors = [line for line in lines if " error: " in line]
    assert [line.rpartition("[")[2].rstrip("]") for line in errors] == REFUSED, done.stdout
