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
from collections.abc import Callable
from dataclasses import dataclass

from handgrad.checker.levels import Levels, Side, Window
from handgrad.checker.polynomials import DEEPEST
from handgrad.checker.stairs import jump, looks_like_stairs


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
    sides: tuple[Side, Side] | None = None
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
    levels = Levels(phi, scale, at_0, eps, noise)
    while levels.wants_more(most) and not levels.settles(expected, hasty):
        levels.add()
    return _result(levels)


def _result(levels: Levels) -> Difference:
    """The slope of the best window, once all that contradicts it was heard."""
    levels.learn_spacing()
    windows = levels.tested()
    best = min(windows, key=levels.bound, default=None)
    while best is not None:
        clash = _clash(levels, best, windows)
        if clash is None and not looks_like_stairs(levels, best):
            break
        fine, coarse = (best, clash) if clash is None or best.k > clash.k else (clash, best)
        height = jump(levels, fine)
        if height > levels.floor:
            levels.floor = levels.tread = height
        elif coarse is None:
            break
        else:  # a bend: the fine window is right, and what contradicts it is not
            windows = [w for w in windows if w is not coarse and not _denies(levels, w, fine)]
        best = min(windows, key=levels.bound, default=None)
    if best is None:
        return _one_sided(levels)
    bound, step = levels.bound(best), levels.steps[best.k + best.p - 1]
    noise = max(best.misfit, levels.floor)
    sides = _kink(levels, bound) if bound > 1e-3 * abs(best.slope) else None
    if sides is None:
        return Difference(best.slope, bound, step, noise, None, levels.tread, levels.calls)
    (left, off_left), (right, off_right) = sides
    bound = abs(left - right) / 2 + max(off_left, off_right)
    return Difference((left + right) / 2, bound, step, noise, sides, levels.tread, levels.calls)


def _denies(levels: Levels, w: Window, best: Window) -> bool:
    """Whether the window contradicts the best one."""
    if not best.slope and not best.misfit and w.k < best.k and w.slope:
        return True  # all is flat at the finest levels: is that the whole truth?
    return abs(w.slope - best.slope) > levels.bound(w) + levels.bound(best)


def _clash(levels: Levels, best: Window, windows: list[Window]) -> Window | None:
    """The window that contradicts the best one most clearly."""
    return max(
        (w for w in windows if _denies(levels, w, best)),
        key=lambda w: abs(w.slope - best.slope) / (levels.bound(w) or 1e-300),
        default=None,
    )


def _kink(levels: Levels, bound: float) -> tuple[Side, Side] | None:
    """Both one-sided slopes, where they differ and say more than the two-sided one."""
    left, right = levels.side(-1), levels.side(1)
    if left is None or right is None:
        return None
    off = left[1] + right[1]
    return (left, right) if off < min(abs(left[0] - right[0]), 2 * bound) else None


def _one_sided(levels: Levels) -> Difference:
    """Where only one side is defined, its slope; an infinite bound where none is."""
    found = [side for side in (levels.side(-1), levels.side(1)) if side is not None]
    value, bound = found[0] if len(found) == 1 else (0.0, math.inf)
    return Difference(
        value, bound, levels.steps[-1], levels.floor, None, levels.tread, levels.calls
    )
