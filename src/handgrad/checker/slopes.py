"""The loss near one point, and its slope along any direction."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from handgrad.checker.arrays import Array, Params, drawn, size_of
from handgrad.checker.differences import Difference, difference
from handgrad.checker.gpu import has_stopped
from handgrad.checker.levels import SAFETY, Side
from handgrad.checker.noise import spacing

MANY = 16
"""So many values of a loss show the format that they are in."""


@dataclass(frozen=True)
class Slope:
    """The loss's slope along a direction, and how far off it may be.

    certified: no kink of a ReLU lies within the steps; noise: how far the loss is from smooth;
    sides: the slopes on the left and on the right, each with its bound, where there is a kink at
    the point; tread: the height of a staircase's, where the loss is one.
    """

    value: float
    tolerance: float
    step: float
    certified: bool
    noise: float = 0.0
    sides: tuple[Side, Side] | None = None
    tread: float = 0.0

    def allows(self, value: float, more: float = 0.0) -> bool:
        """Whether the slope may be this value, which may itself be off by `more`."""
        return abs(self.value - value) <= self.tolerance + more


class Slopes:
    """The loss at `point` and near it. `evaluations` counts its calls, and is all that changes.

    activations: what enters the ReLUs of a stack of affine layers, as one vector; value: the loss
    at the point, where it is known; noise: how far it differs from call to call; exact: the slope
    along directions by name, for code that runs on exact numbers; None where it does not.
    """

    def __init__(
        self,
        loss: Callable[[Params], float],
        point: Params,
        activations: Callable[[Params], Array] | None = None,
        *,
        value: float | None = None,
        noise: float = 0.0,
    ) -> None:
        self._loss, self.point, self.activations = loss, point, activations
        self.noise, self.evaluations = noise, 0
        self._seen: set[float] = set()
        self.exact: Callable[[Mapping[str, Array]], Slope | None] = lambda _: None
        self.value = self.loss(point) if value is None else value
        self.eps = max(float(np.finfo(p.dtype).eps) for p in point.values())
        self.z = None if activations is None else activations(point)

    def loss(self, point: Params) -> float:
        """NaN where the loss is not defined, as a logarithm may not be a step away."""
        self.evaluations += 1
        try:
            value = float(self._loss(point))
            if len(self._seen) < MANY:
                self._seen.add(value)
            return value
        except Exception as error:  # whatever code raises that is not defined here
            if has_stopped(error):
                raise
            return math.nan

    @property
    def floor(self) -> float:
        """The noise; or the spacing of the values that were seen, which a flat direction hides."""
        return max(self.noise, spacing(self._seen) if len(self._seen) >= MANY else 0.0)

    def release(self) -> None:
        """Let go of all arrays: no slope can be taken any more."""
        self._loss, self.point, self.z, self.exact = lambda _: math.nan, {}, None, lambda _: None

    def moved(self, directions: Mapping[str, Array], step: float) -> dict[str, Array]:
        """The point with some of its parameters moved."""
        point = dict(self.point)
        for name, direction in directions.items():
            p = step * direction
            p += self.point[name]
            point[name] = p.astype(self.point[name].dtype, copy=False)
        return point

    def ends(self, moves: Mapping[str, Array]) -> list[float]:
        """The loss at the point with the moves added, and with them taken away."""
        found = []
        for move in (np.add, np.subtract):
            point = dict(self.point)
            for name, v in moves.items():
                point[name] = move(point[name], v).astype(point[name].dtype, copy=False)
            found.append(self.loss(point))
        return found

    def size(self, name: str) -> float:
        """The typical size of a parameter's entries; 1 where all are zero."""
        return size_of(self.point[name])

    def method(self, name: str, rng: np.random.Generator) -> "Method":
        """How slopes within one parameter are taken here."""
        size = self.size(name)
        plain = Method(self, name, size, certified=False)
        if self.activations is None:
            return plain
        certified = Method(self, name, size, certified=True)
        return certified if certified.is_straight(rng) else plain


@dataclass(frozen=True)
class Method:
    """Slopes within one parameter; `certified`: the steps stay where no ReLU changes its sign."""

    slopes: Slopes
    name: str
    size: float
    certified: bool

    def __call__(self, direction: Array, expected: float = math.nan, hasty: bool = False) -> Slope:
        """The slope along a direction.

        expected, hasty: see `difference`. Where the first difference within a cell is what was
        expected, to rounding alone, it is enough.
        """
        slopes = self.slopes
        exact = slopes.exact({self.name: direction})
        if exact is not None:
            return exact
        largest = self._largest_step(direction)
        step = self._step_within_the_cell(direction, largest) if self.certified else None

        phi = self._along(direction)
        if step is not None and not math.isnan(expected):
            up, down = phi(step), phi(-step)
            bend = abs(up - 2 * slopes.value + down) * largest / step
            noise = max(slopes.noise, slopes.eps * max(abs(up), abs(down), abs(slopes.value), bend))
            tolerance = 2 * SAFETY * noise / step
            central = (up - down) / (2 * step)
            if abs(central - expected) <= tolerance:
                return Slope(central, tolerance, step, True)
        found = self._difference(phi, step or largest, expected=expected, hasty=hasty)
        return _slope(found, step is not None)

    def close(self, direction: Array) -> Slope:
        """The slope, or both, so close to the point that only its own kinks are met."""
        exact = self.slopes.exact({self.name: direction})
        if exact is not None:
            return exact
        step = 2.0**-6 * self._largest_step(direction)
        return _slope(self._difference(self._along(direction), step, most=9), False)

    def _difference(self, phi: Callable[[float], float], step: float, **options: Any) -> Difference:
        slopes = self.slopes
        own = {"at_0": slopes.value, "eps": slopes.eps, **options}
        found = difference(phi, step, noise=slopes.noise, **own)
        if found.value or slopes.floor <= found.noise:
            return found
        return difference(phi, step, noise=slopes.floor, **own)  # flat, between two roundings

    def _along(self, direction: Array) -> Callable[[float], float]:
        return lambda t: self.slopes.loss(self.slopes.moved({self.name: direction}, t))

    def is_straight(self, rng: np.random.Generator) -> bool:
        """Whether pre-activations move on straight lines within a cell, in a random direction."""
        direction = drawn(rng, self.slopes.point[self.name].shape)
        largest = self._largest_step(direction)
        step = self._step_within_the_cell(direction, largest)
        if step is None:
            return False
        z, probe = self._z(), self._probe(largest)
        rate = self._rate(direction, probe)
        size = float(abs(z).max(initial=0.0))
        for _ in range(8):
            moved = self._activations(direction, step) - z
            slack = (
                32 * self.slopes.eps * size * (1 + step / probe)
            )  # what rounding did to the rate
            straight = abs(moved - step * rate).max(initial=0.0) <= slack
            if straight and ((abs(moved) < abs(z)) | (moved == 0)).all():
                return True
            step /= 4
        return False

    def _largest_step(self, direction: Array) -> float:
        """The step that moves the parameter by its own size."""
        return self.size / (float(np.linalg.norm(direction)) / math.sqrt(direction.size) or 1.0)

    def _step_within_the_cell(self, direction: Array, largest: float) -> float | None:
        """A large step, by a power of two, that no unit's sign changes on, up or down; or None.

        In an affine stack, a direction within one parameter moves every pre-activation on a
        straight line as long as none before it has changed its sign. So one small step shows where
        all of them go, and how far none of them gets to 0.
        """
        z, rate = self._z(), self._rate(direction, self._probe(largest))
        far = np.full_like(z, math.inf)
        room = np.divide(abs(z), abs(rate), out=far, where=rate != 0).min(initial=math.inf)
        if not room:
            return None  # the point itself sits on a kink in this direction
        return min(largest, 2.0 ** math.floor(math.log2(room / 2))) if room < math.inf else largest

    def _z(self) -> Array:
        assert self.slopes.z is not None
        return self.slopes.z

    def _probe(self, largest: float) -> float:
        return largest * math.sqrt(self.slopes.eps)

    def _rate(self, direction: Array, probe: float) -> Array:
        return (self._activations(direction, probe) - self._z()) / probe

    def _activations(self, direction: Array, step: float) -> Array:
        assert self.slopes.activations is not None
        return self.slopes.activations(self.slopes.moved({self.name: direction}, step))


def _slope(found: Difference, certified: bool) -> Slope:
    return Slope(
        found.value, found.bound, found.step, certified, found.noise, found.sides, found.tread
    )
