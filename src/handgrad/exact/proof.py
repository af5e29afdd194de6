"""Proves that a gradient is the derivative of a loss, from one exact evaluation near each point.

Where all comparisons come out alike (one activation *pattern*), loss and gradients are quotients of
polynomials. So is D = dL(v) − g·v, the derivative along v less what the gradients say of it. If D
is not 0 everywhere, it is 0 at a point that is drawn uniformly, each coordinate from N values, with
a chance of at most degree / N (Schwartz and Zippel). `docs/proof.md` derives it.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from handgrad.errors import BadInput
from handgrad.exact.numbers import Degree, Dual, Exact, decisions, exact

Array = np.ndarray
Arrays = Mapping[str, Array]

GRID = 2**61
"""So many values are drawn from for a coordinate, at first."""

HALVINGS, BASES = 20, 20
"""How often the box is halved until it lies within one pattern; how often another is tried."""

FAR, FINE, BOX = 512, 64, 2**71
"""A base point has coordinates of up to 512/64 in size; the box around it a side of 2⁶¹/2⁷¹."""


@dataclass(frozen=True)
class Refuted:
    """An entry of a gradient that is wrong, and what it is and must be, exactly."""

    name: str
    index: tuple[int, ...]
    given: Fraction
    right: Fraction

    def __str__(self) -> str:
        return (
            f"{self.name}{list(self.index)} is {float(self.given):.9g} and must be "
            f"{float(self.right):.9g} (exactly: off by {_short(self.given - self.right)})"
        )


@dataclass(frozen=True)
class Proof:
    """What was shown; true where nothing was refuted.

    patterns: so many were met; degree: of D, the highest; chance: with which a gradient that is
    wrong in one of the patterns was not seen there, at most; shapes: of what was drawn.
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
            f"chance below {_above(self.chance)}"
        )


def prove(
    loss: Callable[[Arrays], Any],
    gradients: Callable[[Arrays], Arrays],
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
    of = list(shapes if of is None else of)

    def run(moved: Arrays, plain: Arrays) -> tuple[Any, dict[str, Array]]:
        return _number(loss(moved)), _named(gradients(plain), {n: shapes[n] for n in of})

    def wrong(drawn: _Drawn) -> Refuted | None:
        return _wrong(loss, drawn)

    return _proof(run, _degree_of_difference, wrong, shapes, of, draws, seed)


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

    Arguments, result and errors are those of `prove`; a refutation calls `one` wrong.
    """

    def run(_: Arrays, plain: Arrays) -> tuple[Arrays, Arrays]:
        right = {n: np.asarray(a, dtype=object) for n, a in other(plain).items()}
        return _named(one(plain), {n: a.shape for n, a in right.items()}), right

    def degree(given: Arrays, right: Arrays) -> int:
        pairs = (p for n, a in right.items() for p in zip(given[n].flat, a.flat, strict=True))
        return max(_counted(one).plus(_counted(other)).above for one, other in pairs)

    def wrong(drawn: _Drawn) -> Refuted | None:
        given, right = drawn.found
        for name, a in right.items():
            for index in np.ndindex(a.shape):
                values = _value(given[name][index]), _value(a[index])
                if values[0] != values[1]:
                    return Refuted(name, index, *map(Fraction, values))
        return None

    return _proof(run, degree, wrong, shapes, [], draws, seed)


@dataclass(frozen=True)
class _Drawn:
    """A point of a pattern, a direction, and what the code gave there."""

    pattern: bytes
    degree: int
    chance: float
    point: Arrays
    direction: Arrays
    found: Any


def _proof(
    run: Callable[[Arrays, Arrays], Any],
    degree: Callable[..., int],
    wrong: Callable[[_Drawn], Refuted | None],
    shapes: Mapping[str, Sequence[int]],
    of: Sequence[str],
    draws: int,
    seed: int,
) -> Proof:
    """A chance for each pattern: the draws in one multiply."""
    if not isinstance(draws, int) or draws < 1:
        raise BadInput(f"draws must be a whole number of at least 1, got {draws}")
    rng, chances, highest = np.random.default_rng(seed), dict[bytes, float](), 0
    for _ in range(draws):
        drawn = _drawn(run, degree, shapes, of, rng)
        highest = max(highest, drawn.degree)
        refuted = wrong(drawn)
        if refuted is not None:
            return Proof(len(chances | {drawn.pattern: 0.0}), highest, 0.0, shapes, refuted)
        chances[drawn.pattern] = chances.get(drawn.pattern, 1.0) * drawn.chance
    return Proof(len(chances), highest, max(chances.values()), shapes)


def _drawn(
    run: Callable[[Arrays, Arrays], Any],
    degree: Callable[..., int],
    shapes: Mapping[str, Sequence[int]],
    of: Sequence[str],
    rng: np.random.Generator,
) -> _Drawn:
    """In two steps: a base point fixes the pattern; then a point of the grid in a box around it."""
    for _ in range(BASES):
        base = {n: _fractions(rng, shape) for n, shape in shapes.items()}
        direction = {n: rng.integers(0, GRID, base[n].shape).astype(object) for n in of}
        try:
            counted = {n: _each(lambda v: Degree(v, 1), a) for n, a in base.items()}
            with decisions() as taken:
                found = _exactly(run, counted, counted)
            highest, chance = max(degree(*found), 1), 0.0
            for halving in range(HALVINGS):
                count = GRID >> halving
                chance += highest / count
                point = {n: a + _offsets(rng, count, a.shape) for n, a in base.items()}
                with decisions() as near:
                    found = _exactly(run, *_duals(point, direction))
                if near == taken:
                    return _Drawn(bytes(taken), highest, chance, point, direction, found)
        except ZeroDivisionError:  # at this point; at all of them?
            continue
    raise BadInput(
        "the code must come out alike next to a point, but its comparisons differ however near, or "
        "it divides by exactly 0"
    )


def _exactly(run: Callable[[Arrays, Arrays], Any], moved: Arrays, plain: Arrays) -> Any:
    """The caller's code on exact numbers. Where it cannot take them, NumPy raises a TypeError."""
    try:
        return run(moved, plain)
    except TypeError as error:
        said = " ".join(str(error).split())
        raise BadInput(
            "exact arithmetic must have code of + − × ÷, whole powers, comparisons and NumPy's "
            f"functions of these, on arrays that it is given or makes like them, but: {said}"
        ) from None


def _named(given: Arrays, shapes: Mapping[str, Sequence[int]]) -> dict[str, Array]:
    found = {n: np.asarray(given[n], dtype=object) for n in shapes}
    for n, g in found.items():
        if g.shape != tuple(shapes[n]):
            raise BadInput(f"{n} must have shape {tuple(shapes[n])}, got {g.shape}")
    return found


def _number(value: Any) -> Any:
    value = np.asarray(value, dtype=object)
    if value.size != 1:
        raise BadInput(f"loss must return one number, got shape {value.shape}")
    return value.reshape(()).item()


def _duals(point: Arrays, direction: Arrays) -> tuple[dict[str, Array], dict[str, Array]]:
    """The point with the direction for the loss, and without it for the gradients."""
    plain = {n: _each(Dual, a) for n, a in point.items()}
    along = {n: np.frompyfunc(Dual, 2, 1)(point[n], v.astype(object)) for n, v in direction.items()}
    return {**plain, **along}, plain


def _wrong(loss: Callable[[Arrays], Any], drawn: _Drawn) -> Refuted | None:
    """The entry that is wrong at the point, found by halving what is moved."""
    value, gradients = drawn.found

    def right(direction: Arrays) -> Fraction | int:
        return _slope(_number(loss(_duals(drawn.point, direction)[0])))

    def given(direction: Arrays) -> Fraction | int:
        pairs = ((gradients[n].flat, v.flat) for n, v in direction.items())
        return sum(_value(g) * u for gs, us in pairs for g, u in zip(gs, us, strict=True))

    def within(name: str, entries: Array) -> dict[str, Array]:
        v = np.zeros_like(drawn.direction[name])
        v.flat[entries] = drawn.direction[name].flat[entries]
        return {name: v}

    def differs(name: str, entries: Array) -> bool:
        return right(within(name, entries)) != given(within(name, entries))

    if _slope(value) == given(drawn.direction):
        return None
    name = next(n for n, v in drawn.direction.items() if differs(n, np.arange(v.size)))
    entries = np.arange(drawn.direction[name].size)
    while len(entries) > 1:
        half = entries[: len(entries) // 2]
        entries = half if differs(name, half) else entries[len(half) :]
    unit = np.zeros_like(drawn.direction[name])
    unit.flat[entries] = 1
    index = tuple(int(i) for i in np.unravel_index(entries[0], unit.shape))
    return Refuted(name, index, Fraction(given({name: unit})), Fraction(right({name: unit})))


def _degree_of_difference(value: Any, gradients: Arrays) -> int:
    """Of D above its line: dL(v) and each g v have the direction's degree more."""
    value = _counted(value)
    total = Degree(0, value.above + value.below, 2 * value.below)
    for g in gradients.values():
        for entry in map(_counted, g.flat):
            total = total.plus(Degree(0, entry.above + 1, entry.below))
    return total.above


def _counted(number: Any) -> Degree:
    return number if isinstance(number, Degree) else Degree.constant(number)


def _slope(number: Any) -> Fraction | int:
    return number.slope if isinstance(number, Dual) else 0


def _fractions(rng: np.random.Generator, shape: Sequence[int]) -> Array:
    return _each(lambda n: Fraction(int(n), FINE), rng.integers(-FAR, FAR + 1, tuple(shape)))


def _offsets(rng: np.random.Generator, count: int, shape: tuple[int, ...]) -> Array:
    return _each(lambda u: Fraction(int(u), BOX), rng.integers(0, count, shape))


def _each(make: Callable[[Any], Any], array: Array) -> Array:
    made: Array = np.asarray(np.frompyfunc(make, 1, 1)(array), dtype=object)
    return made


def _value(number: Any) -> Fraction | int:
    return number.value if isinstance(number, Exact) else exact(number)


def _above(chance: float) -> str:
    """The chance with one digit, rounded up.

    >>> _above(2.6e-18), _above(9.5e-18)
    ('3e-18', '1e-17')
    """
    chance = max(chance, 1e-300)  # many draws of one pattern
    power = math.floor(math.log10(chance))
    first = math.ceil(chance / 10.0**power)
    return f"{first}e{power}" if first < 10 else f"1e{power + 1}"


def _short(number: Fraction) -> str:
    text = str(number)
    return text if len(text) < 40 else f"{float(number):.3g}, a fraction of {len(text)} digits"
