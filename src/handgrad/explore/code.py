"""Which line of each stage computes a quantity: found in the stages' own source."""

import ast
import inspect
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from handgrad.problem import Parameters
from handgrad.stages import Stage

RECORDED_BY = {
    "df": "L",
    "dW2": "f",
    "db2": "f",
    "dh1": "f",
    "da1": "h1",
    "dW1": "a1",
    "db1": "a1",
}
"""Where autograd does it: the forward quantity whose line recorded what it differentiates."""

QUANTITIES = ("a1", "h1", "f", "L", *RECORDED_BY, *Parameters._fields)


class Line(NamedTuple):
    """A line of source: place, "numpy_manual.py, line 57, backward"; text without its indent."""

    place: str
    text: str


def code(stage: Stage) -> dict[str, list[Line]]:
    """The lines of a stage that compute each of `QUANTITIES`, in the order in which they run.

    A gradient that autograd computes has two: the forward line that recorded it, and `.backward()`.
    A parameter's line is its update.

    >>> from handgrad.stages import load
    >>> [line.text for line in code(load("numpy_manual"))["dW1"]]
    ['dW1 = da1.T @ x  # (h, 2)']
    """
    source = inspect.getsource(stage)  # type: ignore[arg-type]
    statements = list(_statements(Path(inspect.getfile(stage)).name, source))  # type: ignore[arg-type]
    return {quantity: _of(quantity, statements) for quantity in QUANTITIES}


class _Statement(NamedTuple):
    function: str
    node: ast.stmt
    line: Line


def _statements(file: str, source: str) -> Iterator[_Statement]:
    """Every statement of one line that stands in a function."""
    lines = source.splitlines()
    functions = [n for n in ast.walk(ast.parse(source)) if isinstance(n, ast.FunctionDef)]
    for function in functions:
        for node in ast.walk(function):
            if isinstance(node, ast.stmt) and node.lineno == node.end_lineno:
                place = f"{file}, line {node.lineno}, {function.name}"
                text = lines[node.lineno - 1].strip()
                yield _Statement(function.name, node, Line(place, text))


def _of(quantity: str, statements: list[_Statement]) -> list[Line]:
    if quantity in Parameters._fields:
        return _first(statements, "sgd", lambda n: _updates(n, quantity)) or _first(
            statements, "sgd", lambda n: _calls(n, "step")
        )
    if quantity == "L":
        return _first(statements, "loss", lambda n: isinstance(n, ast.Return))
    if quantity == "h1":
        relu = _first(statements, "relu", lambda n: isinstance(n, ast.Return))
        return [*_first(statements, "forward", lambda n: _assigns(n, quantity)), *relu]
    if quantity not in RECORDED_BY:
        return _first(statements, "forward", lambda n: _assigns(n, quantity))
    by_hand = _first(statements, "backward", lambda n: _assigns(n, quantity))
    autograd = _first(statements, "backward", lambda n: _calls(n, "backward"))
    return by_hand or [*_of(RECORDED_BY[quantity], statements), *autograd]


def _first(
    statements: list[_Statement], function: str, fits: Callable[[ast.stmt], bool]
) -> list[Line]:
    return [s.line for s in statements if s.function == function and fits(s.node)][:1]


def _assigns(node: ast.stmt, name: str) -> bool:
    targets = node.targets if isinstance(node, ast.Assign) else []
    return any(isinstance(t, ast.Name) and t.id == name for t in targets)


def _updates(node: ast.stmt, name: str) -> bool:
    target = node.target if isinstance(node, ast.AugAssign) else None
    return isinstance(target, ast.Name) and target.id == name


def _calls(node: ast.stmt, method: str) -> bool:
    call = node.value if isinstance(node, ast.Expr) else None
    called = call.func if isinstance(call, ast.Call) else None
    return isinstance(called, ast.Attribute) and called.attr == method
