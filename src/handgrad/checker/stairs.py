"""Is what a window misses the tread of a staircase, or a bend?"""

import math

from handgrad.checker.levels import Levels, Window
from handgrad.checker.polynomials import RATIO, lagrange

TREADS = 4
"""The first level missed of a staircase is no coarser: there are hundreds of treads in the step."""


def looks_like_stairs(levels: Levels, fine: Window) -> bool:
    """Whether what the window misses begins close by and grows about as the step does.

    Many equal treads do so. One jump does not grow, and a curve grows faster.
    """
    missed = _missed(levels, fine)
    if missed is None or missed[0] < TREADS:
        return False
    j, side = missed
    first, last = _rest(levels, fine, side, j), _rest(levels, fine, side, 0)
    return RATIO ** (0.4 * j) < last / first < RATIO ** (1.7 * j)


def jump(levels: Levels, fine: Window) -> float:
    """The size of the jump between the levels that `fine` fits and those it misses, or 0."""
    missed = _missed(levels, fine)
    if missed is None:
        return 0.0
    j, side = missed
    return _search(levels, fine, side * levels.steps[j + 1], side * levels.steps[j])


def _missed(levels: Levels, fine: Window) -> tuple[int, int] | None:
    """The first coarser level that the window misses, and on which side."""
    allowed = 4 * max(fine.misfit, levels.floor)
    for j in range(fine.k - 1, -1, -1):
        for side in (1, -1):
            if _rest(levels, fine, side, j) > allowed:
                return j, side
    return None


def _rest(levels: Levels, w: Window, side: int, j: int) -> float:
    """By how much the window misses a level; 0 where the function is not defined."""
    rest = abs(levels.sides[side][j] - _model(levels, w, side * levels.steps[j]))
    return rest if math.isfinite(rest) else 0.0


def _model(levels: Levels, w: Window, t: float) -> float:
    """The window's polynomials at any t."""
    ratio = abs(t) / levels.steps[w.k]
    nodes = [RATIO ** (-2 * i) for i in range(w.p)]
    weights = lagrange(nodes, ratio**2)
    odd = sum(b * ratio * RATIO**i * levels.odd[w.k + i] for i, b in enumerate(weights))
    even = sum(
        b * ratio**2 * RATIO ** (2 * i) * levels.even[w.k + i] for i, b in enumerate(weights)
    )
    return even + math.copysign(1.0, t) * odd


def _search(levels: Levels, fine: Window, near: float, far: float) -> float:
    """Halve the interval, always into the half that changes more: a jump keeps its size.

    Over the last five halvings a smooth change shrinks by 32.
    """

    def rest(t: float) -> float:
        return levels.rise(t) - _model(levels, fine, t)

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
