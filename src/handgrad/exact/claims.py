"""What is claimed of code, how it is run on exact numbers, and where it is wrong."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Protocol

import numpy as np

from handgrad.errors import BadInput
from handgrad.exact.numbers import Degree, Dual, Exact, exact

Array = np.ndarray
Arrays = Mapping[str, Array]


@dataclass(frozen=True)
class Refuted:
    """An entry of a gradient that is wrong, and what it is and must be, exactly.

    >>> from handgrad.exact import prove
    >>> wrong = prove(lambda p: (p["x"] ** 2).sum(), lambda p: p, {"x": (1,)}, draws=1).refuted
    >>> wrong.name, wrong.index, wrong.right == 2 * wrong.given
    ('x', (0,), True)
    >>> print(wrong)
    x[0] is 5.60991908 and must be 11.2198382 (exactly: off by -5.61, a fraction of 47 digits)

    Attributes:
        name: the array's.
        index: the entry.
        given: what the gradient is, a fraction.
        right: what it must be.
    """

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
class Drawn:
    """A point of a pattern, a direction, and what the code gave there."""

    pattern: bytes
    degree: int
    chance: float
    point: Arrays
    direction: Arrays
    found: Any


class Claim(Protocol):
    """What is run on exact numbers, and what must hold of it.

    of: the names that have a direction; run: arrays that move along it, and the same at rest → what
    is found; degree: of the claim; refuted: by what was found at a point.
    """

    @property
    def of(self) -> Sequence[str]: ...

    def run(self, moved: Arrays, plain: Arrays) -> Any: ...

    def degree(self, found: Any) -> int: ...

    def refuted(self, drawn: Drawn) -> Refuted | None: ...


@dataclass(frozen=True)
class Equal:
    """Two functions give the same arrays."""

    one: Callable[[Arrays], Arrays]
    other: Callable[[Arrays], Arrays]
    of: Sequence[str] = ()

    def run(self, moved: Arrays, plain: Arrays) -> tuple[Arrays, Arrays]:
        right = {n: np.asarray(a, dtype=object) for n, a in self.other(plain).items()}
        return _named(self.one(plain), {n: a.shape for n, a in right.items()}), right

    def degree(self, found: tuple[Arrays, Arrays]) -> int:
        given, right = found
        pairs = (p for n, a in right.items() for p in zip(given[n].flat, a.flat, strict=True))
        return max(_counted(one).plus(_counted(other)).above for one, other in pairs)

    def refuted(self, drawn: Drawn) -> Refuted | None:
        given, right = drawn.found
        for name, a in right.items():
            for index in np.ndindex(a.shape):
                values = _value(given[name][index]), _value(a[index])
                if values[0] != values[1]:
                    return Refuted(name, index, *map(Fraction, values))
        return None


@dataclass(frozen=True)
class Derivative:
    """The gradients are the loss's derivative."""

    loss: Callable[[Arrays], Any]
    gradients: Callable[[Arrays], Arrays]
    of: Sequence[str]

    def run(self, moved: Arrays, plain: Arrays) -> tuple[Any, Arrays]:
        shapes = {n: plain[n].shape for n in self.of}
        return one_number(self.loss(moved)), _named(self.gradients(plain), shapes)

    def degree(self, found: tuple[Any, Arrays]) -> int:
        """Of D above its line: dL(v) and each g v have the direction's degree more."""
        value = _counted(found[0])
        total = Degree(0, value.above + value.below, 2 * value.below)
        for g in found[1].values():
            for entry in map(_counted, g.flat):
                total = total.plus(Degree(0, entry.above + 1, entry.below))
        return total.above

    def refuted(self, drawn: Drawn) -> Refuted | None:
        """The entry that is wrong at the point, found by halving what is moved."""
        value, gradients = drawn.found

        def right(direction: Arrays) -> Fraction | int:
            return _slope(one_number(self.loss(duals(drawn.point, direction)[0])))

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


def _named(given: Arrays, shapes: Mapping[str, Sequence[int]]) -> dict[str, Array]:
    found = {n: np.asarray(given[n], dtype=object) for n in shapes}
    for n, g in found.items():
        if g.shape != tuple(shapes[n]):
            raise BadInput(f"{n} must have shape {tuple(shapes[n])}, got {g.shape}")
    return found


def one_number(value: Any) -> Any:
    """The loss, which may be in an array of one entry."""
    value = np.asarray(value, dtype=object)
    if value.size != 1:
        raise BadInput(f"loss must return one number, got shape {value.shape}")
    return value.reshape(()).item()


def duals(point: Arrays, direction: Arrays) -> tuple[dict[str, Array], dict[str, Array]]:
    """The point with the direction for the loss, and without it for the gradients."""
    plain = {n: each(Dual, a) for n, a in point.items()}
    along = {n: each(Dual.along, point[n], v) for n, v in direction.items()}
    return {**plain, **along}, plain


def each(make: Callable[..., Any], *arrays: Array) -> Array:
    """What is made of every entry, or of the entries of several arrays of one shape."""
    made: Array = np.asarray(np.frompyfunc(make, len(arrays), 1)(*arrays), dtype=object)
    return made


def _counted(number: Any) -> Degree:
    return number if isinstance(number, Degree) else Degree.constant(number)


def _slope(number: Any) -> Fraction | int:
    return number.slope if isinstance(number, Dual) else 0


def _value(number: Any) -> Fraction | int:
    return number.value if isinstance(number, Exact) else exact(number)


def _short(number: Fraction) -> str:
    text = str(number)
    return text if len(text) < 40 else f"{float(number):.3g}, a fraction of {len(text)} digits"
