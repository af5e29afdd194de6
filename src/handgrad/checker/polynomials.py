"""Polynomials through the values at a few neighbouring levels: slopes, and values elsewhere."""

import math
from collections.abc import Sequence

RATIO = 3.7
"""Of one level's step to the next. Not 4: differences of 64, 16 and 4 roundings look linear."""

TERMS, DEEPEST = 3, 22
"""The most levels that a polynomial goes through, and the most levels there are."""


def lagrange(nodes: Sequence[float], at: float) -> list[float]:
    """The weights of the values at the nodes in their polynomial's value at another place."""
    return [math.prod((at - m) / (n - m) for m in nodes if m != n) for n in nodes]


class Weights:
    """Of the values of a window's levels, the same at every scale.

    powers: those of t that the polynomial has, its slope's or its bend's first: t, t³, t⁵ (odd),
    t², t⁴, t⁶ (even) or t, t², t³ (one side). Divided by the first they are powers of t² or of t.
    """

    def __init__(self, first: int, between: int) -> None:
        t = [RATIO**-q for q in range(DEEPEST + 1)]
        nodes = [v**between for v in t]
        self.slope: list[list[float]] = []  # by the number of levels
        self.growth: list[float] = []  # of an error in a value to one in the slope
        self.at: list[list[list[float]]] = []  # by that, and by how many levels finer
        for p in range(1, TERMS + 1):
            at_0 = lagrange(nodes[:p], 0.0)
            self.slope.append([w / t[i] for i, w in enumerate(at_0)])
            self.growth.append(sum(map(abs, self.slope[-1])))
            self.at.append(
                [
                    [w * (t[q] / t[i]) ** first for i, w in enumerate(lagrange(nodes[:p], node))]
                    for q, node in enumerate(nodes)
                ]
            )


ODD, EVEN, SIDE = Weights(1, 2), Weights(2, 2), Weights(1, 1)


def total(weights: Sequence[float], values: Sequence[float]) -> float:
    return sum(w * v for w, v in zip(weights, values, strict=True))
