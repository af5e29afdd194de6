"""Proves that a gradient is the derivative of a loss, from one exact evaluation near each point.

Where all comparisons come out alike (one activation *pattern*), loss and gradients are quotients of
polynomials. So is D = dL(v) − g·v, the derivative along v less what the gradients say of it. If D
is not 0 everywhere, it is 0 at a point that is drawn uniformly, each coordinate from N values, with
a chance of at most degree / N (Schwartz and Zippel). `docs/proof.md` derives it.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from handgrad.errors import BadInput
from handgrad.exact.claims import (
    Array,
    Arrays,
    Claim,
    Derivative,
    Drawn,
    Equal,
    Refuted,
    duals,
    each,
)
from handgrad.exact.numbers import Degree
from handgrad.exact.watching import decisions
from handgrad.inputs import require_functions, require_type, whole_number

GRID = 2**61
"""So many values are drawn from for a coordinate, at first."""

HALVINGS, BASES = 20, 20
"""How often the box is halved until it lies within one pattern; how often another is tried."""

FAR, FINE, BOX = 512, 64, 2**74
"""A base point has coordinates of up to 512/64; the box beside it a side of 2⁻¹³ of the largest."""


@dataclass(frozen=True)
class Proof:
    """What was shown; true where nothing was refuted.

    >>> def loss(p):
    ...     return (p["x"] ** 2).sum()
    >>> proof = prove(loss, lambda p: {"x": 2 * p["x"]}, {"x": (2,)}, draws=1)
    >>> proof.ok, proof.patterns, proof.degree, proof.chance < 1e-17
    (True, 1, 2, True)

    Attributes:
        patterns: so many were met.
        degree: of D, the highest.
        chance: with which a gradient that is wrong in one of the patterns was not seen there, at
            most.
        shapes: of what was drawn.
        refuted: the entry that is wrong, or None.
    """

    patterns: int
    degree: int
    chance: float
    shapes: Mapping[str, Sequence[int]]
    refuted: Refuted | None = None

    @property
    def ok(self) -> bool:
        """Whether the gradients are proved."""
        return self.refuted is None

    def __bool__(self) -> bool:
        return self.ok

    def __str__(self) -> str:
        if self.refuted is not None:
            return f"refuted: {self.refuted}"
        met = "the pattern" if self.patterns == 1 else f"the {self.patterns} patterns"
        return (
            f"proved exactly in {met} met: a gradient that is wrong in any of them passes with a "
            f"chance below {rounded_up(self.chance)}"
        )


def prove(
    loss: Callable[[Any], Any],
    gradients: Callable[[Any], Any],
    shapes: Mapping[str, Sequence[int]],
    of: Sequence[str] | None = None,
    *,
    draws: int = 20,
    seed: int = 0,
) -> Proof:
    """Prove, or refute, that `gradients` are the derivative of `loss`.

    >>> def loss(p):
    ...     return ((p["w"] * p["x"]).sum() - 1) ** 2
    >>> def gradients(p):
    ...     return {"w": 2 * ((p["w"] * p["x"]).sum() - 1) * p["x"]}
    >>> proof = prove(loss, gradients, {"w": (3,), "x": (3,)}, of=["w"])
    >>> proof.ok, proof.degree, proof.chance < 1e-17
    (True, 4, True)

    Args:
        loss: arrays by name → one number. The arrays hold exact numbers, not floats.
        gradients: arrays by name → the gradients by name, of those in `of`.
        shapes: of the arrays; all their entries are drawn.
        of: the names that have a gradient; all where left out.
        draws: so many base points, each with its pattern.
        seed: of the draws.

    Returns:
        A `Proof`. Its claim is about this function, at these shapes, in the patterns met.

    Raises:
        BadInput: where the functions do not keep to + − × ÷, whole powers and comparisons.

    Source: Schwartz, J. ACM 27 (1980) 701; Zippel, EUROSAM 1979, 216.
    """
    require_functions(loss=loss, gradients=gradients)
    require_type("shapes", shapes, Mapping)
    claim = Derivative(loss, gradients, list(shapes if of is None else of))
    return _proof(claim, _draws(shapes, draws, seed), np.random.default_rng((seed, 1)))


def prove_equal(
    one: Callable[[Arrays], Arrays],
    other: Callable[[Arrays], Arrays],
    shapes: Mapping[str, Sequence[int]],
    *,
    draws: int = 20,
    seed: int = 0,
) -> Proof:
    """Prove, or refute, that two functions of arrays give the same arrays, by name.

    >>> square = lambda p: {"y": p["x"] ** 2 - 1}
    >>> product = lambda p: {"y": (p["x"] - 1) * (p["x"] + 1)}
    >>> bool(prove_equal(square, product, {"x": (2,)}))
    True

    Args:
        one: arrays by name → arrays by name. A refutation calls it wrong.
        other: the same.
        shapes: of the arrays that they are given; all entries are drawn.
        draws: so many base points, each with its pattern.
        seed: of the draws.

    Returns:
        A `Proof`.

    Raises:
        BadInput: where the functions do not keep to + − × ÷, whole powers and comparisons.
    """
    require_functions(one=one, other=other)
    require_type("shapes", shapes, Mapping)
    claim = Equal(one, other)
    return _proof(claim, _draws(shapes, draws, seed), np.random.default_rng((seed, 1)))


def _draws(
    shapes: Mapping[str, Sequence[int]], draws: int, seed: int
) -> Iterator[Iterator[dict[str, Array]]]:
    """For each draw some base points, of which the first that will do is taken."""
    draws, seed = whole_number("draws", draws, 1), whole_number("seed", seed, 0)
    for name, shape in shapes.items():
        require_type(f"the shape of {name}", shape, Sequence)
        for size in shape:
            whole_number(f"each size in the shape of {name}", size, 0)
    rng = np.random.default_rng(seed)
    for _ in range(draws):
        yield ({n: _fractions(rng, s) for n, s in shapes.items()} for _ in range(BASES))


def _proof(claim: Claim, draws: Iterable[Iterable[Arrays]], rng: np.random.Generator) -> Proof:
    """A chance for each pattern: the draws in one multiply."""
    chances, highest, shapes = dict[bytes, float](), 0, dict[str, Sequence[int]]()
    for bases in draws:
        drawn = _drawn(claim, bases, rng)
        highest = max(highest, drawn.degree)
        shapes = {n: a.shape for n, a in drawn.point.items()}
        refuted = claim.refuted(drawn)
        if refuted is not None:
            return Proof(len(chances | {drawn.pattern: 0.0}), highest, 0.0, shapes, refuted)
        chances[drawn.pattern] = chances.get(drawn.pattern, 1.0) * drawn.chance
    return Proof(len(chances), highest, max(chances.values()), shapes)


def _drawn(claim: Claim, bases: Iterable[Arrays], rng: np.random.Generator) -> Drawn:
    """In two steps: a base point fixes the pattern; then a point of the grid in a box around it."""
    for base in bases:
        direction = {n: rng.integers(0, GRID, base[n].shape).astype(object) for n in claim.of}
        try:
            counted = {n: each(lambda v: Degree(v, 1), a) for n, a in base.items()}
            with decisions() as taken:
                found = _exactly(claim, counted, counted)
            highest, chance = max(claim.degree(found), 1), 0.0
            for halving in range(HALVINGS):
                count = GRID >> halving
                chance += highest / count
                point = {n: a + _offsets(rng, count, a) for n, a in base.items()}
                with decisions() as near:
                    found = _exactly(claim, *duals(point, direction))
                if near == taken:
                    return Drawn(bytes(taken), highest, chance, point, direction, found)
        except ZeroDivisionError:  # at this point; at all of them?
            continue
    raise BadInput(
        "the code must come out alike next to a point, but its comparisons differ however near, it "
        "divides by exactly 0, or it draws random numbers"
    )


def _exactly(claim: Claim, moved: Arrays, plain: Arrays) -> Any:
    """The caller's code on exact numbers. Where it cannot take them, NumPy raises a TypeError."""
    try:
        return claim.run(moved, plain)
    except TypeError as error:
        said = " ".join(str(error).split())
        raise BadInput(
            "exact arithmetic must have code of + − × ÷, whole powers, comparisons and NumPy's "
            f"functions of these, on arrays that it is given or makes like them, but: {said}"
        ) from None


def _fractions(rng: np.random.Generator, shape: Sequence[int]) -> Array:
    return each(lambda n: Fraction(int(n), FINE), rng.integers(-FAR, FAR + 1, tuple(shape)))


def _offsets(rng: np.random.Generator, count: int, base: Array) -> Array:
    """From 0 to a small share of the largest entry, `count` values on a grid."""
    size = Fraction(2) ** math.frexp(max((abs(float(a)) for a in base.flat), default=0.0) or 1.0)[1]
    return each(lambda u: size * Fraction(int(u), BOX), rng.integers(0, count, base.shape))


def rounded_up(chance: float) -> str:
    """The chance with one digit, rounded up.

    >>> rounded_up(2.6e-18), rounded_up(9.5e-18)
    ('3e-18', '1e-17')
    """
    chance = max(chance, 1e-300)  # many draws of one pattern
    power = math.floor(math.log10(chance))
    first = math.ceil(chance / 10.0**power)
    return f"{first}e{power}" if first < 10 else f"1e{power + 1}"
