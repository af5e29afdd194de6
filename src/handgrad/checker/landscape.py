"""The loss around one point: its rounding noise, and its slope along a direction.

A central difference is wrong for three reasons: rounding, which grows as the step shrinks;
curvature of the third order, which shrinks with it; and kinks between the two ends. The tolerance
of a slope is the sum of an estimate of each, taken from the loss itself, so that multiplying the
loss by a million changes nothing. Two finer oracles have no kinks at all, and take steps as large
as they like: a complex step, and the loss with every ReLU held as it is at the point. Each is used
only once it has agreed with a difference.
"""

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

Array = np.ndarray
Point = Mapping[str, Array]

SAFETY = 16
"""How many times the estimated noise a right slope may be off; see `benchmarks/gradcheck.py`."""

COMPLEX, FROZEN = "complex step", "frozen pattern"
CELL, LADDER = "difference within a cell", "ladder of differences"
ORACLES = (COMPLEX, FROZEN, CELL, LADDER)  # the finest first


@dataclass(frozen=True)
class Slope:
    """The loss's slope along a direction, how far off it may be, and how it was found.

    oracle: one of `ORACLES`.
    rounding: the part of the tolerance that is the gradient's own, not the slope's.
    on_kink: the loss bends by the same angle however short the step: the point sits on a kink.
    """

    value: float
    tolerance: float
    step: float
    oracle: str
    on_kink: bool = False
    rounding: float = 0.0

    @property
    def certified(self) -> bool:
        """Whether no kink can have disturbed it."""
        return self.oracle != LADDER

    def allows(self, value: float) -> bool:
        """Whether the slope may be this value."""
        return abs(self.value - value) <= self.tolerance

    @property
    def vague(self) -> bool:
        """Whether noise makes up so much of the slope that it can show nothing to be wrong."""
        return self.tolerance - self.rounding > 0.05 * abs(self.value)


Oracle = Callable[[str, Array, float], Slope | None]
"""(name, direction, expected slope) → the slope; None where this oracle has none."""


class Landscape:
    """The loss at `point` and near it. `evaluations` counts the calls of the loss.

    activations: what enters the ReLUs of a stack of affine layers, as one vector; complex_loss: the
    loss of complex parameters; frozen: the loss with the ReLUs held as they are at the point;
    rounding: (name, direction) → how far rounding may have moved the gradient that is compared;
    like: the same loss at another point, whose noise, and what was shown of its activations, hold
    here too; value: the loss at the point, where it is known; wander: how far it differs from call
    to call.
    """

    def __init__(
        self,
        loss: Callable[[Point], float],
        point: Point,
        activations: Callable[[Point], Array] | None = None,
        rng: np.random.Generator | None = None,
        *,
        complex_loss: Callable[[Point], complex] | None = None,
        frozen: Callable[[Point], float] | None = None,
        rounding: Callable[[str, Array], float] = lambda name, direction: 0.0,
        like: "Landscape | None" = None,
        value: float | None = None,
        wander: float = 0.0,
    ) -> None:
        self._loss, self.point, self._activations = loss, point, activations
        self._complex_loss, self._frozen, self._rounding = complex_loss, frozen, rounding
        self._oracles: dict[str, Oracle] = {}
        self._vouched: dict[str, float] = {}
        self._straight: set[str] = set() if like is None else like._straight
        self._scales: dict[str, float] = {}
        self.rng = rng or np.random.default_rng()
        self.eps = max(float(np.finfo(p.dtype).eps) for p in point.values())
        self.evaluations = 0
        self.value = self.loss(point) if value is None else value
        self.z = None if activations is None else activations(point)
        alike = like is not None and abs(like.value) / 2 <= abs(self.value) <= 2 * abs(like.value)
        self.spacing: float = like.spacing if like else 0.0
        self.noise: float = like.noise if like and alike else self._measure_noise()
        self.noise = max(self.noise, wander)

    def loss(self, point: Point) -> float:
        """NaN where the loss is not defined, as a logarithm may not be a step away."""
        self.evaluations += 1
        try:
            with np.errstate(all="ignore"):
                return float(self._loss(point))
        except Exception:  # whatever code raises that is not defined here
            return math.nan

    def moved(self, name: str, direction: Array, step: float) -> dict[str, Array]:
        """The point with one parameter moved."""
        p = self.point[name]
        return {**self.point, name: (p + step * direction).astype(p.dtype, copy=False)}

    def scale(self, name: str) -> float:
        """The typical size of a parameter's entries; 1 where all are zero."""
        if name not in self._scales:
            p = self.point[name].astype(np.float64)
            size = float(abs(p).max()) or 1.0  # its square may overflow
            self._scales[name] = size * float(np.sqrt(np.mean(np.square(p / size)))) or 1.0
        return self._scales[name]

    def slope(self, name: str, direction: Array, expected: float = math.nan) -> Slope:
        """The slope along a direction within one parameter, by the finest oracle that is sound.

        Where the first difference is what was expected, to rounding alone, no others are taken.
        """
        oracle = self._oracles.get(name, self._first_slope)
        slope = oracle(name, direction, expected)
        if slope is None or (slope.oracle in (COMPLEX, FROZEN) and not slope.allows(expected)):
            # It may have dropped a term: that something is wrong is for differences to say.
            self._oracles[name] = self._difference
            slope = self._difference(name, direction, expected)
        rounding = self._rounding(name, direction)
        return replace(slope, tolerance=slope.tolerance + rounding, rounding=rounding)

    def _first_slope(self, name: str, direction: Array, expected: float) -> Slope:
        """A difference, and the oracles held to it; the first that agrees is used from now on.

        It is trusted no further than the difference can tell: what it drops may be as large.
        """
        difference = self._difference(name, direction, expected)
        self._oracles[name] = self._difference
        if difference.vague or difference.on_kink:
            return difference
        oracles: tuple[Oracle, ...] = (self._complex_step, self._frozen_pattern)
        for oracle in oracles:
            finer = oracle(name, direction, expected)
            if finer is not None and difference.allows(finer.value):
                self._vouched[name], self._oracles[name] = difference.tolerance, oracle
                return replace(finer, tolerance=difference.tolerance)
        return difference

    def _complex_step(self, name: str, direction: Array, _: float) -> Slope | None:
        """Im L(p + ihv) / h with h tiny (Squire and Trapp 1998): nothing is subtracted.

        NumPy's `maximum` and `>` compare real parts first, so that a ReLU stays as it is. None
        where the code does not take complex numbers, or drops an imaginary part with a warning.
        """
        if self._complex_loss is None:
            return None
        step = 2.0**-100 * self._largest_step(name, direction)
        self.evaluations += 1
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error", np.exceptions.ComplexWarning)
                value = self._complex_loss(
                    {**self.point, name: self.point[name] + 1j * step * direction}
                )
        except Exception:  # whatever code that was written for real numbers may raise
            self._complex_loss = None
            return None
        rounding = SAFETY * self.noise / self._largest_step(name, direction)
        tolerance = max(rounding, self._vouched.get(name, 0.0))
        return Slope(value.imag / step, tolerance, step, COMPLEX)

    def _frozen_pattern(self, name: str, direction: Array, _: float) -> Slope | None:
        """A central difference of the loss without its kinks, as far as the parameter is large.

        Within one parameter the loss is then quadratic, and such a difference exact.
        """
        if self._frozen is None:
            return None
        self.evaluations += 2
        step = self._largest_step(name, direction)
        up = self._frozen(self.moved(name, direction, step))
        down = self._frozen(self.moved(name, direction, -step))
        noise = max(self.noise, self.eps * max(abs(up), abs(down)))
        tolerance = max(SAFETY * noise / step, self._vouched.get(name, 0.0))
        return Slope((up - down) / (2 * step), tolerance, step, FROZEN)

    def _difference(self, name: str, direction: Array, expected: float) -> Slope:
        """Central differences with ever smaller steps; the one whose tolerance is the smallest."""
        largest = self._largest_step(name, direction)
        certified = self._step_within_the_cell(name, direction, largest)
        oracle = LADDER if certified is None else CELL
        step = certified or largest / 16
        best, before = Slope(0.0, math.inf, step, LADDER), None
        for _ in range(16):
            up = self.loss(self.moved(name, direction, step))
            down = self.loss(self.moved(name, direction, -step))
            central, second = (up - down) / (2 * step), (up - 2 * self.value + down) / step
            if not math.isfinite(up + down):  # the step left where the loss is defined
                before, step = None, step / 4
                continue
            noise = max(self.noise, self.eps * max(abs(up), abs(down)))
            # A gradient of nearly 0 is what is left of larger terms, and of their rounding.
            left = self.eps * abs(second) * largest / step
            rounding = SAFETY * (noise / step + left)
            if certified and abs(central - expected) <= rounding:
                return Slope(central, rounding, step, oracle)
            if before is not None:
                curvature = abs(central - before[0])
                # A step a quarter as long has a second difference a quarter as large, unless a
                # kink lies between the ends: then it stays.
                kink = 0.0 if certified else abs(second - before[1] / 4)
                tolerance = rounding + curvature + kink
                if tolerance < best.tolerance:
                    value = central + (central - before[0]) / 15  # Richardson
                    bent = abs(second) > max(abs(before[1]) / 2, 2 * rounding)
                    best = Slope(value, tolerance, step, oracle, bent)
                if rounding + SAFETY * noise / step > best.tolerance:
                    break
            before = central, second
            step /= 4
        return best

    def _largest_step(self, name: str, direction: Array) -> float:
        """The step that moves the parameter by its own size."""
        return self.scale(name) / (
            float(np.linalg.norm(direction)) / math.sqrt(direction.size) or 1.0
        )

    def _step_within_the_cell(self, name: str, direction: Array, largest: float) -> float | None:
        """A large step, by a power of two, that no unit's sign changes on, up or down; or None.

        In an affine stack, a direction within one parameter moves every pre-activation on a
        straight line as long as none before it has changed its sign. So one small step shows where
        all of them go, and how far none of them gets to 0. That the lines are straight is shown
        once for each parameter, at the end of its step.
        """
        if self._activations is None or self.z is None:
            return None
        probe = largest * math.sqrt(self.eps)
        rate = (self._activations(self.moved(name, direction, probe)) - self.z) / probe
        far = np.full_like(self.z, math.inf)
        room = np.divide(abs(self.z), abs(rate), out=far, where=rate != 0).min(initial=math.inf)
        if not room:
            return None  # the point itself sits on a kink in this direction
        step = min(largest, 2.0 ** math.floor(math.log2(room / 2))) if room < math.inf else largest
        if name in self._straight:
            return step
        size = float(abs(self.z).max(initial=0.0))
        for _ in range(8):
            moved = self._activations(self.moved(name, direction, step)) - self.z
            slack = 32 * self.eps * size * (1 + step / probe)  # what rounding did to the rate
            straight = abs(moved - step * rate).max(initial=0.0) <= slack
            if straight and ((abs(moved) < abs(self.z)) | (moved == 0)).all():
                self._straight.add(name)
                return step
            step /= 4
        return None

    def _measure_noise(self) -> float:
        """How far rounding moves the loss, from a difference table (Moré and Wild 2011, ECnoise).

        Seven values a few units in the last place apart: differences of order k take away what is
        smooth, and what is left is noise, √((k!)² / (2k)!) of it.
        """
        directions = {name: self.rng.standard_normal(p.shape) for name, p in self.point.items()}

        def at(step: float) -> float:
            point = {}
            for name, p in self.point.items():
                move = step * self.scale(name)
                point[name] = (p + move * directions[name]).astype(p.dtype)
            return self.loss(point)

        table = [self.value, *(at(i * 64 * self.eps) for i in range(1, 7))]
        self.spacing = spacing([*table, *(at(0.01 / 7**i) for i in range(4))])
        differences, levels = np.array(table), []
        for k in range(1, 6):
            differences = np.diff(differences)
            if k > 1:
                ratio = math.factorial(k) ** 2 / math.factorial(2 * k)
                levels.append(math.sqrt(ratio * float(np.mean(differences**2))))
        if not math.isfinite(sum(levels)):
            return math.inf
        smallest = float(np.finfo(np.float64).tiny)
        return max(*levels, self.eps * abs(self.value), self.spacing, smallest)


def spacing(values: Sequence[float]) -> float:
    """The distance of neighbouring numbers in the coarsest format that holds all the values.

    That of a float64, 0 here, unless every value is a float32, a float16, or has few decimals: then
    the loss was cast or rounded, and steps between such numbers are all that can be seen of it.

    >>> spacing([0.123456, 1.5, 0.1])
    1e-06
    """
    array = np.array([v for v in values if math.isfinite(v) and v])
    if len(array) < 3 or len(np.unique(array)) < 3:
        return 0.0  # a constant, or nearly: its digits tell nothing
    largest = float(abs(array).max())
    with np.errstate(over="ignore"):
        for dtype in (np.float16, np.float32):
            if (array.astype(dtype) == array).all():
                return float(np.finfo(dtype).eps) * largest
    for decimals in range(10):
        if (np.round(array, decimals) == array).all():
            return float(10.0**-decimals)
    return 0.0


def flat(activations: Any) -> Array:
    """Pre-activations in any form (an array, a list, a dict of arrays) as one vector."""
    if isinstance(activations, Mapping):
        activations = list(activations.values())
    if isinstance(activations, list | tuple):
        return np.concatenate([flat(a) for a in activations])
    return np.asarray(as_array(activations), dtype=np.float64).ravel()


def as_array(value: Any) -> Any:
    """A tensor as NumPy's array, which may share its memory; anything else as it is."""
    if not hasattr(value, "detach"):
        return value
    tensor = value.detach().cpu().to_dense()
    narrow = tensor.is_floating_point() and tensor.element_size() < 4  # NumPy has no bfloat16
    return (tensor.float() if narrow else tensor).numpy()


def fresh_seed() -> int:
    """A seed from the system's entropy, to be printed, so that a check can be repeated."""
    return int(np.random.SeedSequence().generate_state(1)[0])
