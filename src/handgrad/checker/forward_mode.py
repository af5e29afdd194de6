"""Forward mode: a rule for J v, how the outputs change as the inputs move along v.

It is held to the slopes, to the backward pass by ⟨v, Jᵀ g⟩ = ⟨J v, g⟩, and must be linear in v.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from handgrad.checker.arrays import Array, Native, drawn, size_of
from handgrad.checker.check import check
from handgrad.checker.places import Options
from handgrad.checker.program import Program
from handgrad.checker.report import FAIL, Report, joined

MOST = 500
"""A parameter of so many numbers is moved along each of them, a larger one along a few ways."""

WAYS = 16
"""So many then, drawn at random."""

FLOAT32_STEP = 1e-5
"""Where the slopes agree, so small a difference between two rules is a narrow step's rounding."""

Loss = Callable[[Any], Any]
Tangent = Callable[[Any, Any], Any]


def with_forward_mode(
    report: Report,
    loss: Loss,
    grads: Callable[[Any], Mapping[str, Any]],
    tangent: Tangent,
    params: Mapping[str, Any],
    options: Options,
) -> Report:
    """The report, and after it what was found of the rule.

    tangent: (params, {name: v}) → the change of the loss along v; a name that is left out does not
    move. grads: by the backward pass.
    """
    rule = _Rule(loss, tangent, params, np.random.default_rng([options.seed, 3]))
    # `both` has it measured and not proved: a rule is called for each number.
    program = Program(rule.start, rule.loss, rule.gradients, both=rule.both)
    found = check(program, options, rule.rng)
    own = {n: replace(p, index=None) if rule.few[n] else p for n, p in found.parameters.items()}
    passed = [n for n, p in own.items() if FAIL not in (p.verdict, report[n].verdict)]
    backward = Native.to_arrays(grads(params))
    calls = rule.not_linear(backward) or rule.against(backward, passed)
    return joined(report, replace(found, parameters=own, calls=tuple(calls)), "jvp")


class _Rule:
    """The rule at points near the given one, as gradients by each number, or along a few ways."""

    def __init__(
        self, loss: Loss, tangent: Tangent, params: Mapping[str, Any], rng: np.random.Generator
    ) -> None:
        self.loss_at, self.tangent, self.params, self.rng = loss, tangent, params, rng
        self.native = Native(params)
        self.given = self.native.arrays()
        self.few = {n: x.size > MOST for n, x in self.given.items()}
        self.ways = {n: self._ways(n, x) for n, x in self.given.items()}
        moved = {n: np.zeros(WAYS) if self.few[n] else x for n, x in self.given.items()}
        self.start = Native(self.native.build(moved))

    def _ways(self, name: str, x: Array) -> Array:
        """Directions (ways, *shape)."""
        if self.few[name]:
            return drawn(self.rng, (WAYS, *x.shape), size_of(x))
        return np.eye(x.size).reshape(x.size, *x.shape)

    def point(self, p: Mapping[str, Any]) -> Mapping[str, Any]:
        """The parameters, of which those with many numbers are given by how far along each way."""
        if not any(self.few.values()):
            return p
        far = Native.to_arrays({n: p[n] for n, few in self.few.items() if few})
        at = {n: self.given[n] + np.tensordot(t, self.ways[n], 1) for n, t in far.items()}
        return {**p, **self.native.build(at)}

    def loss(self, p: Mapping[str, Any]) -> Any:
        """The loss, by how far along each way."""
        return self.loss_at(self.point(p))

    def both(self, p: Mapping[str, Any]) -> tuple[Any, dict[str, Array]]:
        """The loss and the gradients."""
        return self.loss(p), self.gradients(p)

    def gradients(self, p: Mapping[str, Any]) -> dict[str, Array]:
        """The rule along each way."""
        here = self.point(p)
        return {
            name: np.array([self._along(here, {name: v}) for v in ways]).reshape(np.shape(p[name]))
            for name, ways in self.ways.items()
        }

    def _along(self, point: Mapping[str, Any], v: Mapping[str, Array]) -> Any:
        return self.tangent(point, self.native.build(v))

    def drawn(self) -> dict[str, Array]:
        """A direction for all parameters at once."""
        return {n: drawn(self.rng, x.shape, size_of(x)) for n, x in self.given.items()}

    def not_linear(self, backward: Mapping[str, Array]) -> list[str]:
        """The rule along 3 u − v must be 3 times that along u, less that along v."""
        u, v = self.drawn(), self.drawn()
        one, other, found = (
            float(self._along(self.params, w)) for w in (u, v, {n: 3 * u[n] - v[n] for n in u})
        )
        size = sum(float(abs(backward[n] * (3 * abs(u[n]) + abs(v[n]))).sum()) for n in u)
        off = abs(found - (3 * one - other))
        return ["jvp is not linear in its tangents"] if off > self.allowed * size else []

    def against(self, backward: Mapping[str, Array], names: Collection[str]) -> list[str]:
        """⟨v, Jᵀ g⟩ = ⟨J v, g⟩, for each of these along a direction of its own."""
        wrong = []
        for name, v in self.drawn().items():
            if name not in names:
                continue
            parts = backward[name] * v
            by_backward, found = float(parts.sum()), float(self._along(self.params, {name: v}))
            if abs(found - by_backward) > self.allowed * float(abs(parts).sum()):
                wrong.append(
                    f"jvp and backward contradict each other at {name}: ⟨J v, g⟩ = {found:.6g}, "
                    f"⟨v, Jᵀ g⟩ = {by_backward:.6g}"
                )
        return wrong

    @property
    def allowed(self) -> float:
        """Of the sizes that are summed: rounding, and that of a float32 step inside."""
        return max(FLOAT32_STEP, self.native.eps**0.5)
