"""A derivative that is known along directions alone, as gradients that can be checked."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from handgrad.checker.arrays import Array, Native, drawn, size_of
from handgrad.checker.program import Program
from handgrad.checker.report import Report

MOST = 500
"""A parameter of so many numbers is moved along each of them, a larger one along a few ways."""

WAYS = 16
"""So many then, drawn at random."""

Loss = Callable[[Any], Any]
Tangent = Callable[[Any, Any], Any]


class Ways:
    """A loss and its derivative along directions.

    tangent: (params, {name: v}) → the change of the loss along v; a name that is left out does not
    move.
    """

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

    @property
    def program(self) -> Program:
        """`both` has it measured and not proved: the derivative is called for each number."""
        return Program(self.start, self.loss, self.gradients, both=self.both)

    def told(self, report: Report) -> Report:
        """Of a parameter along a few ways no entry can be named."""
        own = {
            n: replace(p, index=None) if self.few[n] else p for n, p in report.parameters.items()
        }
        return replace(report, parameters=own)

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
        """The derivative along each way."""
        here = self.point(p)
        return {
            name: np.array([self.along(here, {name: v}) for v in ways]).reshape(np.shape(p[name]))
            for name, ways in self.ways.items()
        }

    def along(self, point: Mapping[str, Any], v: Mapping[str, Array]) -> float:
        """The derivative along one."""
        return float(self.tangent(point, self.native.build(v)))

    def drawn(self) -> dict[str, Array]:
        """A direction for all parameters at once."""
        return {n: drawn(self.rng, x.shape, size_of(x)) for n, x in self.given.items()}
