"""The values of a function at ever smaller steps, and the windows over them."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from handgrad.checker.noise import spacing
from handgrad.checker.polynomials import EVEN, ODD, RATIO, SIDE, TERMS, total

SAFETY = 12
"""How many times its misfit a window may be off."""

FINER = 3
"""The fewest finer levels that a window must be held to."""

LEVELS = 14
"""How many levels are taken, and up to `DEEPEST` while the function still bends at the finest."""


Side = tuple[float, float]
"""A slope from one side, and its bound."""


@dataclass
class Window:
    """Levels k to k + p − 1, the slope through them, and how far they miss the finer ones."""

    k: int
    p: int
    slope: float
    growth: float
    misfit: float = 0.0
    finer: int = 0


class Levels:
    """The values taken so far, and the windows over them."""

    def __init__(
        self, phi: Callable[[float], float], scale: float, at_0: float, eps: float, noise: float
    ) -> None:
        self.phi, self.scale, self.at_0, self.eps = phi, scale, at_0, eps
        self.steps: list[float] = []
        self.sides: dict[int, list[float]] = {1: [], -1: []}  # values there, less that at 0
        self.odd: list[float] = []
        self.even: list[float] = []
        self.windows: list[Window] = []
        self.values = {at_0}
        self.calls = 0
        self.floor = max(noise, 2.0**-52 * abs(at_0))
        self.tread = 0.0
        self.finer = FINER

    def rise(self, t: float) -> float:
        """The function's value, less that at 0."""
        self.calls += 1
        value = self.phi(t)
        self.values.add(value)
        return value - self.at_0

    def add(self) -> None:
        """Take one more level."""
        j = len(self.steps)
        self.steps.append(self.scale * RATIO**-j)
        for side, rises in self.sides.items():
            rises.append(self.rise(side * self.steps[j]))
        up, down = self.sides[1][j], self.sides[-1][j]
        self.odd.append((up - down) / 2)
        self.even.append((up + down) / 2)
        if math.isfinite(up + down):
            self._hold(j)
            self._open(j)

    def _hold(self, j: int) -> None:
        """Hold the windows of coarser levels to the new one."""
        for w in self.windows:
            inside = slice(w.k, w.k + w.p)
            odd = total(ODD.at[w.p - 1][j - w.k], self.odd[inside])
            even = total(EVEN.at[w.p - 1][j - w.k], self.even[inside])
            w.misfit = max(w.misfit, abs(self.odd[j] - odd), abs(self.even[j] - even))
            w.finer += 1

    def _open(self, j: int) -> None:
        """The windows whose finest level is the new one."""
        for p in range(1, TERMS + 1):
            k = j - p + 1
            inside = self.odd[max(k, 0) : j + 1]
            if k < 0 or not all(map(math.isfinite, inside)):
                break
            slope = total(ODD.slope[p - 1], inside) / self.steps[k]
            self.windows.append(Window(k, p, slope, ODD.growth[p - 1] / self.steps[k]))

    def bound(self, w: Window) -> float:
        """By how much the window's slope may be off."""
        # What is moved is rounded too, and moves the value by as much as it changes there.
        steepest = abs(w.slope) + 2 * abs(self.even[w.k]) / self.steps[w.k]
        return SAFETY * w.growth * max(w.misfit, self.floor, self.eps * steepest * self.scale)

    def tested(self) -> list[Window]:
        """The windows that were held to enough finer levels."""
        return [w for w in self.windows if w.finer >= self.finer]

    def settles(self, expected: float, hasty: bool) -> bool:
        """Whether it is clear already that the slope is, or is not, what was expected."""
        if math.isnan(expected) or not self.windows:
            return False
        self.learn_spacing()
        if hasty:
            self.finer = 1
            best = min(self.tested(), key=self.bound, default=None)
            if best is not None and abs(best.slope - expected) > 16 * self.bound(best):
                return True
            self.finer = FINER
        best = min(self.tested(), key=self.bound, default=None)
        if best is None:
            return False
        bound = self.bound(best)
        return abs(best.slope - expected) <= bound <= 1e-9 * abs(expected)

    def wants_more(self, most: int) -> bool:
        """Whether a finer level could still say more."""
        n = len(self.steps)
        if n < TERMS + FINER or n >= most:
            return n < most
        tested = self.tested()
        best = min(tested, key=self.bound, default=None)
        if n < LEVELS:
            return best is None or not self._at_the_floor(best, tested)
        if sum(map(math.isfinite, self.odd)) < TERMS + FINER + 2:
            return True  # it starts to be defined
        if best is None or self.bound(best) <= 1e-3 * abs(best.slope):
            return False
        # Deeper only while a difference still shrinks with the step, above all rounding.
        self.learn_spacing()
        last, before = abs(self.odd[-1]), abs(self.odd[-2])
        return max(last, abs(self.even[-1])) > 64 * self.floor and last < before / 2

    def learn_spacing(self) -> None:
        """If the values are those of a coarse format, nothing finer than it can be told."""
        self.floor = max(self.floor, spacing(self.values))

    def _at_the_floor(self, best: Window, tested: list[Window]) -> bool:
        """Whether finer levels can only be worse: their noise is the format's, and grows."""
        finest = max(tested, key=lambda w: (w.k, -w.p))
        self.learn_spacing()
        worse = SAFETY * finest.growth * self.floor > self.bound(best)
        return finest.misfit <= 4 * self.floor and worse and finest.k > best.k

    def side(self, side: int) -> Side | None:
        """The slope from one side alone, and its bound: the same windows, in all powers of t."""
        rises, n = self.sides[side], len(self.steps)
        found: list[Side] = []
        for k in range(n):
            for p in range(1, TERMS + 1):
                inside = rises[k : k + p]
                finer = [j for j in range(k + p, n) if math.isfinite(rises[j])]
                if len(finer) < FINER or not all(map(math.isfinite, inside)):
                    break
                misses = [abs(rises[j] - total(SIDE.at[p - 1][j - k], inside)) for j in finer]
                slope = total(SIDE.slope[p - 1], inside) / self.steps[k]
                noise = max(*misses, self.floor, self.eps * abs(slope) * self.scale)
                found.append((side * slope, SAFETY * SIDE.growth[p - 1] / self.steps[k] * noise))
        return min(found, key=lambda s: s[1], default=None)
