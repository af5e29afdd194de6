"""Forward mode: a rule for J v, how the outputs change as the inputs move along v.

It is held to the slopes, to the backward pass by ⟨v, Jᵀ g⟩ = ⟨J v, g⟩, and must be linear in v.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from handgrad.checker.arrays import Array, Native
from handgrad.checker.check import check
from handgrad.checker.places import Options
from handgrad.checker.report import FAIL, Report, joined
from handgrad.checker.ways import Loss, Tangent, Ways

FLOAT32_STEP = 1e-5
"""Where the slopes agree, so small a difference between two rules is a narrow step's rounding."""


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
    found = rule.told(check(rule.program, options, rule.rng))
    passed = [n for n, p in found.parameters.items() if FAIL not in (p.verdict, report[n].verdict)]
    backward = Native.to_arrays(grads(params))
    calls = rule.not_linear(backward) or rule.against(backward, passed)
    return joined(report, replace(found, calls=tuple(calls)), "jvp")


class _Rule(Ways):
    """The rule, and what must be true of it besides."""

    def not_linear(self, backward: Mapping[str, Array]) -> list[str]:
        """The rule along 3 u − v must be 3 times that along u, less that along v."""
        u, v = self.drawn(), self.drawn()
        one, other, found = (
            self.along(self.params, w) for w in (u, v, {n: 3 * u[n] - v[n] for n in u})
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
            by_backward, found = float(parts.sum()), self.along(self.params, {name: v})
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
