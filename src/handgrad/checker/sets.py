"""Parameters that live in a set: a simplex, symmetric or orthogonal matrices.

The loss may not be defined outside, or mean nothing there. So its slope is that of
L(project(x + h v)), and the gradient is compared along the direction in which project(x + h v)
leaves x: a tangent of the set, which need not be flat.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from handgrad.checker.arrays import DOUBLE, Native, size_of
from handgrad.checker.causes import CONSTANT
from handgrad.checker.check import check
from handgrad.checker.places import Options
from handgrad.checker.program import Program
from handgrad.checker.report import FAIL, PASS, Report
from handgrad.checker.ways import Loss, Ways
from handgrad.errors import BadInput

Function = Callable[[Mapping[str, Any]], Any]

STEP = 1e-3
"""Of a parameter's size: the fourth order's error and rounding are both about 1e-13 then."""

ROUGH = 2e-12
"""So closely, of their size, the gradients along them are known."""

SLACK = 1e-6
"""So far may `project` move what is in the set: it may be an iteration."""


def check_on_a_set(
    loss: Loss, grads: Function, project: Function, params: Mapping[str, Any], options: Options
) -> Report:
    """The check along directions that stay in the set. All functions take params by name."""
    native = Native(params)
    if native.eps > DOUBLE:
        raise BadInput("params must be float64 where project is given: its steps are small")
    kept: list[Any] = [None, {}]

    def gradients(p: Mapping[str, Any]) -> dict[str, Any]:
        """The same for every direction at one point."""
        if kept[0] is not p:
            kept[:] = p, Native.to_arrays(grads(projected(p)))
        return kept[1]

    def projected(p: Mapping[str, Any]) -> Mapping[str, Any]:
        found = Native.to_arrays(project(p))
        given = Native.to_arrays(p)
        if {n: a.shape for n, a in found.items()} != {n: a.shape for n, a in given.items()}:
            raise BadInput("project must return params in the same form and shapes")
        return native.build(found)

    def tangent(p: Mapping[str, Any], v: Mapping[str, Any]) -> float:
        """The gradient's product with the direction in which project(p + h v) moves."""
        at, given = Native.to_arrays(p), gradients(p)
        moves = Native.to_arrays(v)
        (name,) = moves
        far = STEP * size_of(at[name]) / float(np.linalg.norm(moves[name]) or 1.0)

        def ends(k: int) -> dict[str, Any]:
            up, down = (
                Native.to_arrays(projected(native.build({**at, name: at[name] + t * moves[name]})))
                for t in (k * far, -k * far)
            )
            return {n: up[n] - down[n] for n in up}

        near, further = ends(1), ends(2)
        along = {n: (8 * near[n] - further[n]) / (12 * far) for n in near}
        return float(sum(np.vdot(given[n], along[n]) for n in along))

    _require_a_projection(projected, native, options)
    ways = Ways(lambda p: loss(projected(p)), tangent, params, np.random.default_rng(options.seed))
    report = ways.told(check(replace(ways.program, rough=ROUGH), options, ways.rng))
    note = "compared along directions that stay in the set: what should be is the part within it"
    unseen = _unseen(loss, grads, native, options) if report.verdict == PASS else []
    return replace(report, notes=(*report.notes, note, *unseen))


def _require_a_projection(projected: Function, native: Native, options: Options) -> None:
    """The given point must be in the set, and the set must stay where it is."""
    at, rng = native.arrays(), np.random.default_rng([options.seed, 5])
    moved = {n: a + 0.1 * size_of(a) * rng.standard_normal(a.shape) for n, a in at.items()}
    near = Native.to_arrays(projected(native.build(moved)))
    points = {"params must lie in the set": at, "project must keep what is in the set": near}
    for told, point in points.items():
        again = Native.to_arrays(projected(native.build(point)))
        for name, a in point.items():
            far = float(abs(again[name] - a).max())
            if not far <= max(SLACK, native.eps**0.5) * size_of(a):
                raise BadInput(
                    f"{told}, but project moves {name} by {far:.2g}: begin at project(…)"
                )


def _unseen(loss: Loss, grads: Function, native: Native, options: Options) -> list[str]:
    """What differs from the gradient without the set, where the loss has one."""
    at = native.build(native.arrays())
    try:
        found = check(
            Program(native, loss, dict(grads(at))), options, np.random.default_rng(options.seed)
        )
    except Exception:  # outside the set the loss is not defined
        return []
    return [
        f"{_off(name, p.cause)} the gradient without the set, which no direction inside it can see"
        for name, p in found.parameters.items()
        if p.verdict == FAIL
    ]


def _off(name: str, cause: str | None) -> str:
    if cause is None or not cause.startswith(CONSTANT):
        return f"{name} differs from"
    return f"{name} is off by one constant ({cause.removeprefix(CONSTANT)} to be added) from"
