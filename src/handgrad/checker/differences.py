"""The slope at t = 0 of a function of one number, from its values alone, and how far off it may be.

The function may be noisy, rounded, a staircase, bent at 0 or next to it, or undefined on a side.
Nothing of this is known before. The method, in the order of the code:

1. Values φ(±h) at levels h_j = L · 3.7^−j, and their odd and even parts.
2. A *window* of one to three neighbouring levels gives the odd polynomial s t + c t³ + e t⁵ and the
   even one that pass through them. How far both miss the values at all *finer* levels is one number
   for rounding, noise, stairs, curvature and kinks together: the misfit. The slope s may be off by
   12 · G · misfit, G the sum of its weights over the steps. The window with the smallest such bound
   is taken.
3. Windows must agree. Where one contradicts it, the function is searched, between the last level
   that the finer one fits and the first that it misses, by halving: a jump keeps its size, a bend
   shrinks. After a jump the fine levels lie on the tread of a staircase: its height is noise for
   all. After a bend the fine window is right, and what contradicts it is dropped.
4. If the values on the two sides have different slopes, there is a kink at 0: both are returned.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from handgrad.checker.noise import spacing

RATIO = 3.7
"""Of one level's step to the next. Not 4: differences of 64, 16 and 4 roundings look linear."""

SAFETY = 12
"""How many times its misfit a window may be off."""

TERMS, FINER = 3, 3
"""The most levels in a window, and the fewest finer levels that it must be held to."""

LEVELS, DEEPEST = 14, 22
"""How many levels are taken, and how many while the function still bends at the finest."""


TREADS = 4
"""The first level missed of a staircase is no coarser: there are hundreds of treads in the step."""


@dataclass(frozen=True)
class Difference:
    """A slope from differences, and by how much it may be off.

    step: the finest of its window; noise: how far its window misses the values; sides: the slopes
    on the left and on the right, each with its bound, where there is a kink at 0; tread: the height
    of a staircase's, where the values are one; calls: of the function.
    """

    value: float
    bound: float
    step: float
    noise: float = 0.0
    sides: tuple[tuple[float, float], tuple[float, float]] | None = None
    tread: float = 0.0
    calls: int = 0


def difference(
    phi: Callable[[float], float],
    scale: float,
    *,
    at_0: float,
    eps: float = 2.0**-52,
    noise: float = 0.0,
    expected: float = math.nan,
    hasty: bool = False,
    most: int = DEEPEST,
) -> Difference:
    """The slope of `phi` at 0.

    >>> found = difference(lambda t: math.sin(t), 1.0, at_0=0.0)
    >>> abs(found.value - 1) <= found.bound < 1e-9
    True

    phi: a function that may return NaN; scale: a step over which it may change as a whole, the
    first that is taken; at_0: its value there; eps: the relative spacing of what is moved; noise:
    by how much two calls are known to differ. expected: a slope that, once it is confirmed to
    nine digits, need not be confirmed further; hasty: nor, once contradicted, contradicted again;
    most: levels.
    """
    levels = _Levels(phi, scale, at_0, eps, noise)
    while levels.wants_more(most) and not levels.settles(expected, hasty):
        levels.add()
    return levels.result()


def _lagrange(nodes: Sequence[float], at: float) -> list[float]:
    """The weights of the values at the nodes in their polynomial's value at another place."""
    return [math.prod((at - m) / (n - m) for m in nodes if m != n) for n in nodes]


class _Weights:
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
            at_0 = _lagrange(nodes[:p], 0.0)
            self.slope.append([w / t[i] for i, w in enumerate(at_0)])
            self.growth.append(sum(map(abs, self.slope[-1])))
            self.at.append(
                [
                    [w * (t[q] / t[i]) ** first for i, w in enumerate(_lagrange(nodes[:p], node))]
                    for q, node in enumerate(nodes)
                ]
            )


_ODD, _EVEN, _SIDE = _Weights(1, 2), _Weights(2, 2), _Weights(1, 1)


def _sum(weights: Sequence[float], values: Sequence[float]) -> float:
    return sum(w * v for w, v in zip(weights, values, strict=True))


@dataclass
class _Window:
    """Levels k to k + p − 1, the slope through them, and how far they miss the finer ones."""

    k: int
    p: int
    slope: float
    growth: float
    misfit: float = 0.0
    finer: int = 0


class _Levels:
    """The values taken so far, and the windows over them."""

    def __init__(
        self, phi: Callable[[float], float], scale: float, at_0: float, eps: float, noise: float
    ) -> None:
        self.phi, self.scale, self.at_0, self.eps = phi, scale, at_0, eps
        self.steps: list[float] = []
        self.sides: dict[int, list[float]] = {1: [], -1: []}  # values there, less that at 0
        self.odd: list[float] = []
        self.even: list[float] = []
        self.windows: list[_Window] = []
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
            odd = _sum(_ODD.at[w.p - 1][j - w.k], self.odd[inside])
            even = _sum(_EVEN.at[w.p - 1][j - w.k], self.even[inside])
            w.misfit = max(w.misfit, abs(self.odd[j] - odd), abs(self.even[j] - even))
            w.finer += 1

    def _open(self, j: int) -> None:
        """The windows whose finest level is the new one."""
        for p in range(1, TERMS + 1):
            k = j - p + 1
            inside = self.odd[max(k, 0) : j + 1]
            if k < 0 or not all(map(math.isfinite, inside)):
                break
            slope = _sum(_ODD.slope[p - 1], inside) / self.steps[k]
            self.windows.append(_Window(k, p, slope, _ODD.growth[p - 1] / self.steps[k]))

    def bound(self, w: _Window) -> float:
        """By how much the window's slope may be off."""
        # What is moved is rounded too, and moves the value by as much as it changes there.
        steepest = abs(w.slope) + 2 * abs(self.even[w.k]) / self.steps[w.k]
        return SAFETY * w.growth * max(w.misfit, self.floor, self.eps * steepest * self.scale)

    def tested(self) -> list[_Window]:
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

    def _at_the_floor(self, best: _Window, tested: list[_Window]) -> bool:
        """Whether finer levels can only be worse: their noise is the format's, and grows."""
        finest = max(tested, key=lambda w: (w.k, -w.p))
        self.learn_spacing()
        worse = SAFETY * finest.growth * self.floor > self.bound(best)
        return finest.misfit <= 4 * self.floor and worse and finest.k > best.k

    def result(self) -> Difference:
        """The slope of the best window, once all that contradicts it was heard."""
        self.learn_spacing()
        windows = self.tested()
        best = min(windows, key=self.bound, default=None)
        while best is not None:
            clash = self._clash(best, windows)
            if clash is None and not self._looks_like_stairs(best):
                break
            fine, coarse = (best, clash) if clash is None or best.k > clash.k else (clash, best)
            jump = self._jump(fine)
            if jump > self.floor:
                self.floor = self.tread = jump
            elif coarse is None:
                break
            else:  # a bend: the fine window is right, and what contradicts it is not
                windows = [w for w in windows if w is not coarse and not self._denies(w, fine)]
            best = min(windows, key=self.bound, default=None)
        if best is None:
            return self._one_sided()
        bound, step = self.bound(best), self.steps[best.k + best.p - 1]
        noise = max(best.misfit, self.floor)
        sides = self._kink(bound) if bound > 1e-3 * abs(best.slope) else None
        if sides is None:
            return Difference(best.slope, bound, step, noise, None, self.tread, self.calls)
        (left, off_left), (right, off_right) = sides
        bound = abs(left - right) / 2 + max(off_left, off_right)
        return Difference((left + right) / 2, bound, step, noise, sides, self.tread, self.calls)

    def _denies(self, w: _Window, best: _Window) -> bool:
        """Whether the window contradicts the best one."""
        if not best.slope and not best.misfit and w.k < best.k and w.slope:
            return True  # all is flat at the finest levels: is that the whole truth?
        return abs(w.slope - best.slope) > self.bound(w) + self.bound(best)

    def _clash(self, best: _Window, windows: list[_Window]) -> _Window | None:
        """The window that contradicts the best one most clearly."""
        return max(
            (w for w in windows if self._denies(w, best)),
            key=lambda w: abs(w.slope - best.slope) / (self.bound(w) or 1e-300),
            default=None,
        )

    def _missed(self, fine: _Window) -> tuple[int, int] | None:
        """The first coarser level that the window misses, and on which side."""
        allowed = 4 * max(fine.misfit, self.floor)
        for j in range(fine.k - 1, -1, -1):
            for side in (1, -1):
                if self._rest(fine, side, j) > allowed:
                    return j, side
        return None

    def _rest(self, w: _Window, side: int, j: int) -> float:
        """By how much the window misses a level; 0 where the function is not defined."""
        rest = abs(self.sides[side][j] - self._model(w, side * self.steps[j]))
        return rest if math.isfinite(rest) else 0.0

    def _looks_like_stairs(self, fine: _Window) -> bool:
        """Whether what the window misses begins close by and grows about as the step does.

        Many equal treads do so. One jump does not grow, and a curve grows faster.
        """
        missed = self._missed(fine)
        if missed is None or missed[0] < TREADS:
            return False
        j, side = missed
        first, last = self._rest(fine, side, j), self._rest(fine, side, 0)
        return RATIO ** (0.4 * j) < last / first < RATIO ** (1.7 * j)

    def _jump(self, fine: _Window) -> float:
        """The size of the jump between the levels that `fine` fits and those it misses, or 0."""
        missed = self._missed(fine)
        if missed is None:
            return 0.0
        j, side = missed
        return self._search(fine, side * self.steps[j + 1], side * self.steps[j])

    def _model(self, w: _Window, t: float) -> float:
        """The window's polynomials at any t."""
        ratio = abs(t) / self.steps[w.k]
        nodes = [RATIO ** (-2 * i) for i in range(w.p)]
        weights = _lagrange(nodes, ratio**2)
        odd = sum(b * ratio * RATIO**i * self.odd[w.k + i] for i, b in enumerate(weights))
        even = sum(
            b * ratio**2 * RATIO ** (2 * i) * self.even[w.k + i] for i, b in enumerate(weights)
        )
        return even + math.copysign(1.0, t) * odd

    def _search(self, fine: _Window, near: float, far: float) -> float:
        """Halve the interval, always into the half that changes more: a jump keeps its size.

        Over the last five halvings a smooth change shrinks by 32.
        """

        def rest(t: float) -> float:
            return self.rise(t) - self._model(fine, t)

        a, b = rest(near), rest(far)
        changes = []
        for _ in range(10):
            middle = (near + far) / 2
            m = rest(middle)
            if abs(m - a) > abs(b - m):
                far, b = middle, m
            else:
                near, a = middle, m
            changes.append(abs(b - a))
        return changes[-1] if changes[-1] > 0.2 * changes[4] else 0.0

    def _kink(self, bound: float) -> tuple[tuple[float, float], tuple[float, float]] | None:
        """Both one-sided slopes, where they differ and say more than the two-sided one."""
        left, right = self._side(-1), self._side(1)
        if left is None or right is None:
            return None
        off = left[1] + right[1]
        return (left, right) if off < min(abs(left[0] - right[0]), 2 * bound) else None

    def _one_sided(self) -> Difference:
        """Where only one side is defined, its slope; an infinite bound where none is."""
        found = [side for side in (self._side(-1), self._side(1)) if side is not None]
        value, bound = found[0] if len(found) == 1 else (0.0, math.inf)
        return Difference(value, bound, self.steps[-1], self.floor, None, self.tread, self.calls)

    def _side(self, side: int) -> tuple[float, float] | None:
        """The slope from one side alone, and its bound: the same windows, in all powers of t."""
        rises, n = self.sides[side], len(self.steps)
        found: list[tuple[float, float]] = []
        for k in range(n):
            for p in range(1, TERMS + 1):
                inside = rises[k : k + p]
                finer = [j for j in range(k + p, n) if math.isfinite(rises[j])]
                if len(finer) < FINER or not all(map(math.isfinite, inside)):
                    break
                misses = [abs(rises[j] - _sum(_SIDE.at[p - 1][j - k], inside)) for j in finer]
                slope = _sum(_SIDE.slope[p - 1], inside) / self.steps[k]
                noise = max(*misses, self.floor, self.eps * abs(slope) * self.scale)
                found.append((side * slope, SAFETY * _SIDE.growth[p - 1] / self.steps[k] * noise))
        return min(found, key=lambda s: s[1], default=None)
