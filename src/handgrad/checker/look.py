"""One parameter at one point: slopes along random directions beside the gradient's."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from handgrad.checker.arrays import DOUBLE, Array, drawn
from handgrad.checker.rounding import Results
from handgrad.checker.slopes import Method, Slope

SURE, CONFIRMED = 3, 6
"""So many directions must contradict, of the most that are taken then, for a gradient to be wrong:
a bound may fail, and a kink mislead, once."""

MARGIN = 4.0
"""How clearly a program must be wrong whose loss shows few digits of its slopes."""

BLURRED, BENT = 1e-3, 1.5
"""Of the slopes, the share that is not seen; and how much more than rounding the values are off:
steps that must be so large meet kinks."""

UNEVEN = 1e-4
"""Of the largest entry: what lies below is not made visible."""

LINE = 257
"""Points on a line on which jumps are counted."""

PAIRS = 8
"""Of directions whose slopes must add up, before a gradient is wrong at the given point only."""

DENSITY = 4 / math.sqrt(6)
"""For v of uniform entries with variance 1, P(|e·v| ≤ 2τ) ≤ 4/√6 · τ / ‖e‖ (Ball 1986)."""


@dataclass
class Look:
    """What was measured.

    rtol: an error of the gradient, over its norm, that is allowed; only: the entries that are
    moved, all where left out; finer: measures the gradient's noise; level: whether entries move the
    more, the smaller their gradient is, so that a tiny one is as visible as a huge one.
    """

    method: Method
    results: Results
    rng: np.random.Generator
    rtol: float = 0.0
    only: Array | None = None
    finer: Callable[[], Results] | None = None
    level: bool = False
    directions: list[Array] = field(default_factory=list)
    slopes: list[Slope] = field(default_factory=list)

    @property
    def gradient(self) -> Array:
        """The caller's."""
        return self.results.gradients[self.method.name]

    @property
    def norm(self) -> float:
        """Of the gradient."""
        return float(np.linalg.norm(self.gradient))

    def take(self, count: int) -> None:
        """Measure until there are so many directions, and more where one contradicts."""
        while len(self.slopes) < count and not self.has_kink:
            self._measure()
        if self.wrong and not self.has_kink:
            self._confirm()

    def _confirm(self) -> None:
        if self.finer is not None and self.error <= (3e-2 if self.results.eps > DOUBLE else 1e-3):
            self.results, self.finer = self.finer(), None  # is it a narrow step's rounding?
        while self.wrong and not self.fails and len(self.slopes) < CONFIRMED and not self.has_kink:
            self._measure()

    def _measure(self) -> None:
        direction = drawn(self.rng, self.gradient.shape)
        if direction.size == 1:  # of any length
            direction = np.full(direction.shape, self.rng.uniform(0.7, 1.4))
        if self.only is not None:
            direction = np.where(self.only, direction, 0.0)
        if self.level:
            size = abs(self.gradient)
            direction /= size + UNEVEN * float(size.max())
            direction *= math.sqrt(direction.size) / float(np.linalg.norm(direction))
        self.directions.append(direction)
        self.slopes.append(self.method(direction, self.along(direction)))

    def along(self, direction: Array) -> float:
        """The gradient's product with the direction."""
        return float(np.vdot(self.gradient, direction))

    def allowed(self, direction: Array) -> float:
        """What `rtol` allows along a direction: more than three times ‖e‖ is rare."""
        if not self.rtol:
            return 0.0
        length = 3.0 if direction.size > 1 else float(abs(direction).max())
        slopes = [slope.value for slope in self.slopes]  # their mean square is the right norm's
        right = float(np.linalg.norm(slopes)) / math.sqrt(len(slopes) or 1)
        return self.rtol * max(self.norm, right) * length

    def tolerance(self, direction: Array, slope: Slope) -> float:
        """By how much the two may differ."""
        rounding = self.results.rounding({self.method.name: direction})
        return slope.tolerance + rounding + self.allowed(direction)

    def differs(self, direction: Array, slope: Slope, margin: float = 1.0) -> bool:
        """Whether the slope says that the gradient is wrong, by `margin` times what is allowed."""
        off = abs(slope.value - self.along(direction))
        return off > margin * self.tolerance(direction, slope)

    def jumps_alone(self, tread: float) -> bool:
        """Whether the loss is smooth but for a few jumps of this height: then it is no staircase.

        A staircase jumps in nearly every interval of a line as long as the parameter is large, and
        may be flat between its jumps.
        """
        plain = [s for s in self.slopes if not s.tread]
        if not plain or any(abs(s.value) <= s.tolerance for s in plain):
            return False
        slopes, name = self.method.slopes, self.method.name
        steps = self.method.size * np.linspace(-1, 1, LINE)
        line = [slopes.loss(slopes.moved({name: self.directions[0]}, t)) for t in steps]
        return float(np.mean(abs(np.diff(line, 2)) < tread / 8)) > 0.75

    @property
    def margin(self) -> float:
        """Of a loss with few digits, and no narrow one's reference: kinks hide below its noise."""
        if all(s.certified for s in self.slopes):
            return 1.0
        if self.results.eps > DOUBLE and not self.results.around:
            return MARGIN
        noises = [s.noise for s in self.slopes]
        largest = max(abs(s.value) for s in self.slopes)
        blurred = np.median([s.tolerance for s in self.slopes]) > BLURRED * largest
        return MARGIN if blurred and max(noises) > BENT * min(noises) else 1.0

    @property
    def is_uneven(self) -> bool:
        """Whether most entries of the gradient are tiny beside its largest."""
        size = abs(self.gradient)
        return float(np.median(size)) < 0.01 * float(size.max(initial=0.0))

    @property
    def has_kink(self) -> bool:
        """Whether the loss bends at the point, or has no slope there at all.

        A staircase bends everywhere: there the two sides are its noise.
        """
        bends = any(s.sides is not None and not s.tread for s in self.slopes)
        return bends or any(math.isinf(s.tolerance) for s in self.slopes)

    def is_linear(self) -> bool:
        """Whether the slopes of two directions add up to that of their sum, as a gradient's do.

        A median of equal numbers has a slope along every direction and no bend, and no gradient.
        """
        if self.gradient.size == 1 or all(s.certified for s in self.slopes):
            return True  # nothing else is possible
        for _ in range(PAIRS):
            u, v = (drawn(self.rng, self.gradient.shape) for _ in range(2))
            one, other, both = map(self.method, (u, v, u + v))
            far = one.tolerance + other.tolerance + both.tolerance
            if abs(one.value + other.value - both.value) > far:
                return False
        return True

    @property
    def wrong(self) -> int:
        """How many directions contradict."""
        return sum(map(self.differs, self.directions, self.slopes))

    @property
    def fails(self) -> bool:
        """Whether the gradient is wrong: at least half of the directions say so, clearly."""
        pairs = zip(self.directions, self.slopes, strict=True)
        clearly = sum(self.differs(d, s, self.margin) for d, s in pairs)
        return clearly >= SURE and 2 * clearly >= len(self.slopes)

    @property
    def error(self) -> float:
        """The gradient's error over the right one's norm, as far as the slopes tell.

        Along random directions the mean of (e·v)² is ‖e‖².
        """
        slopes = np.array([slope.value for slope in self.slopes])
        off = slopes - [self.along(direction) for direction in self.directions]
        size = float(np.linalg.norm(slopes))
        return float(np.linalg.norm(off)) / size if size else math.inf

    @property
    def tolerances(self) -> list[float]:
        """Of each direction, without what `rtol` allows; for a single number, over its length."""
        return [
            (self.tolerance(d, s) - self.allowed(d)) / (float(abs(d).max()) if d.size == 1 else 1.0)
            for d, s in zip(self.directions, self.slopes, strict=True)
        ]


def bound(tolerances: Sequence[float], size: int, delta: float) -> float:
    """The error ‖e‖ that all directions together miss with a probability of at most δ.

    Each misses it with 4/√6 · τ / ‖e‖ at the most; the product of all m is δ at
    ‖e‖ = (Π 4/√6 τ / δ)^(1/m). A single number has one direction only.

    >>> bound([1e-9], size=1, delta=0.01)
    2e-09
    """
    known = [t for t in tolerances if math.isfinite(t)]
    if size == 1 or not known or not min(known):
        return 2 * min(known, default=math.inf)
    logs = sum(math.log(DENSITY * t) for t in known)
    return math.exp((logs - math.log(delta)) / len(known))
