"""The loss around one point: its rounding noise, and its slope along a direction.

A central difference is wrong for three reasons: rounding, which grows as the step shrinks;
curvature of the third order, which shrinks with it; and kinks between the two ends. The tolerance
of a slope is the sum of an estimate of each, taken from the loss itself, so that multiplying the
loss by a million changes nothing.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray
Point = Mapping[str, Array]

SAFETY = 16
"""How many times the estimated noise a right slope may be off; see `benchmarks/gradcheck.py`."""


@dataclass(frozen=True)
class Slope:
    """The loss's slope along a direction, how far off it may be, and how it was found.

    certified: whether equal signs of all pre-activations at both ends prove that no kink lies
    between them. In an affine stack, a direction within one parameter moves every pre-activation
    on a straight line as long as none before it has changed its sign, so the ends are enough.
    on_kink: the loss bends by the same angle however short the step: the point sits on a kink.
    """

    value: float
    tolerance: float
    step: float
    certified: bool
    on_kink: bool = False

    def allows(self, value: float) -> bool:
        """Whether the slope may be this value."""
        return abs(self.value - value) <= self.tolerance

    @property
    def vague(self) -> bool:
        """Whether noise makes up so much of the slope that it can show nothing to be wrong."""
        return self.tolerance > 0.05 * abs(self.value)


class Landscape:
    """The loss at `point` and near it. `evaluations` counts the calls of the loss."""

    def __init__(
        self,
        loss: Callable[[Point], float],
        point: Point,
        activations: Callable[[Point], Array] | None = None,
        rng: np.random.Generator | None = None,
    ) -> None:
        self._loss, self.point, self._activations = loss, point, activations
        self.rng = rng or np.random.default_rng()
        self.evaluations = 0
        self.value = self.loss(point)
        self.z = None if activations is None else activations(point)
        self.noise = self._measure_noise()

    def loss(self, point: Point) -> float:
        self.evaluations += 1
        return float(self._loss(point))

    def moved(self, name: str, direction: Array, step: float) -> dict[str, Array]:
        """The point with one parameter moved."""
        p = self.point[name]
        return {**self.point, name: (p + step * direction).astype(p.dtype)}

    def scale(self, name: str) -> float:
        """The typical size of a parameter's entries; 1 where all are zero."""
        return float(np.sqrt(np.mean(np.square(self.point[name], dtype=np.float64)))) or 1.0

    def slope(self, name: str, direction: Array) -> Slope:
        """The slope along a direction within one parameter, with the best step that was found."""
        largest = self.scale(name) / float(np.sqrt(np.mean(direction**2)) or 1.0)
        certified = self._step_within_the_cell(name, direction, largest)
        step = largest / 16 if certified is None else certified
        best, before = None, None
        for _ in range(16):
            up = self.loss(self.moved(name, direction, step))
            down = self.loss(self.moved(name, direction, -step))
            central, second = (up - down) / (2 * step), (up - 2 * self.value + down) / step
            rounding = SAFETY * self.noise / step
            if before is not None:
                curvature = abs(central - before[0])
                # A step a quarter as long has a second difference a quarter as large, unless a
                # kink lies between the ends: then it stays.
                kink = 0.0 if certified else abs(second - before[1] / 4)
                tolerance = rounding + curvature + kink
                if best is None or tolerance < best.tolerance:
                    value = central + (central - before[0]) / 15  # Richardson
                    bent = abs(second) > max(abs(before[1]) / 2, 2 * rounding)
                    best = Slope(value, tolerance, step, certified is not None, bent)
                if rounding + SAFETY * self.noise / step > best.tolerance:
                    break
            before = central, second
            step /= 4
        assert best is not None
        return best

    def _step_within_the_cell(self, name: str, direction: Array, largest: float) -> float | None:
        """The largest step, by a power of two, at both ends of which all signs are the point's."""
        if self._activations is None or self.z is None:
            return None
        small = largest * 2.0**-20
        rate = (self._activations(self.moved(name, direction, small)) - self.z) / small
        moving = rate != 0
        if (self.z[moving] == 0).any():
            return None  # the point itself sits on a kink in this direction
        room = float((abs(self.z[moving]) / abs(rate[moving])).min()) if moving.any() else math.inf
        step = min(
            largest, 2.0 ** math.floor(math.log2(room / 2)) if 0 < room < math.inf else largest
        )
        for _ in range(8):
            ends = (self._activations(self.moved(name, direction, s)) for s in (step, -step))
            if all((np.sign(z) == np.sign(self.z)).all() for z in ends):
                return step
            step /= 4
        return None

    def _measure_noise(self) -> float:
        """How far rounding moves the loss, from a difference table (Moré and Wild 2011, ECnoise).

        Seven values a few units in the last place apart: differences of order k take away what is
        smooth, and what is left is noise, √((k!)² / (2k)!) of it.
        """
        directions = {name: self.rng.standard_normal(p.shape) for name, p in self.point.items()}
        table = [self.value]
        for i in range(1, 7):
            point = {}
            for name, p in self.point.items():
                move = i * 64 * float(np.finfo(p.dtype).eps) * self.scale(name)
                point[name] = (p + move * directions[name]).astype(p.dtype)
            table.append(self.loss(point))
        differences, levels = np.array(table), []
        for k in range(1, 6):
            differences = np.diff(differences)
            if k > 1:
                ratio = math.factorial(k) ** 2 / math.factorial(2 * k)
                levels.append(math.sqrt(ratio * float(np.mean(differences**2))))
        eps = max(float(np.finfo(p.dtype).eps) for p in self.point.values())
        return max(*levels, eps * abs(self.value), float(np.finfo(np.float64).tiny))


def flat(activations: Any) -> Array:
    """Pre-activations in any form (an array, a list, a dict of arrays) as one vector."""
    if isinstance(activations, Mapping):
        activations = list(activations.values())
    if isinstance(activations, list | tuple):
        return np.concatenate([flat(a) for a in activations])
    return np.asarray(as_array(activations), dtype=np.float64).ravel()


def as_array(value: Any) -> Any:
    """A tensor as NumPy's array, which may share its memory; anything else as it is."""
    return value.detach().cpu().numpy() if hasattr(value, "detach") else value


def fresh_seed() -> int:
    """A seed from the system's entropy, to be printed, so that a check can be repeated."""
    return int(np.random.SeedSequence().generate_state(1)[0])
