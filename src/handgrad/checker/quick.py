"""All parameters at once: where a few losses agree with the gradients, nothing is suspect."""

import math
from collections.abc import Mapping

import numpy as np

from handgrad.checker.arrays import Array, drawn
from handgrad.checker.levels import SAFETY
from handgrad.checker.polynomials import RATIO
from handgrad.checker.rounding import Results
from handgrad.checker.slopes import Slopes

STEP, SHORT = 2.0**-13, 2.0**-18
"""Of the parameters' sizes: at the given point, and where a rougher look is enough."""

SHARP = 1e-5
"""A tolerance above this share of the slopes clears nothing: each parameter is looked at alone."""

SHARE = 1e-3
"""A parameter that can change the loss by less than this share of the others is left out."""


def cleared(
    slopes: Slopes,
    results: Results,
    norms: Mapping[str, float],
    sizes: Mapping[str, float],
    rng: np.random.Generator,
    directions: int,
    rtol: float,
    rough: bool,
) -> dict[str, list[float]]:
    """The tolerances, over the gradient's norm, within which each parameter agrees.

    norms: of the gradients; sizes: of the parameters' entries; rough: one step is enough.

    Every parameter moves at once, by 1 / ‖g‖, so that an error of 1 % is as large in each. None is
    cleared unless all are. A bend at the point, a slope that still changes, values that are coarse:
    all of that is for differences within one parameter.
    """
    changes = {n: norm * sizes[n] for n, norm in norms.items()}
    least = SHARE * max(changes.values())
    names = [n for n, change in changes.items() if change >= least > 0]
    if not names:
        return {}
    known = [changes[n] for n in names]
    largest, rounding = min(known), slopes.eps * sum(known)  # of what is moved
    found = []
    for _ in range(directions):
        at_once = {n: drawn(rng, slopes.point[n].shape, 1 / norms[n]) for n in names}
        tolerance = _agrees(slopes, results, at_once, largest, rounding, rtol, rough)
        if tolerance is None:
            return {}
        found.append(tolerance)
    return dict.fromkeys(names, found)


def _agrees(
    slopes: Slopes,
    results: Results,
    directions: Mapping[str, Array],
    largest: float,
    rounding: float,
    rtol: float,
    rough: bool,
) -> float | None:
    """The tolerance within which the slope is the gradient's; None where it is not."""
    expected = sum(float(np.vdot(results.gradients[n], v)) for n, v in directions.items())
    count = math.sqrt(len(directions))
    slack, allowed = results.rounding(directions), 3 * rtol * count
    h = largest * (SHORT if rough else STEP)
    slope, even = _parts(slopes, directions, h)
    curved, growth = 0.0, 1.0
    if not rough:
        finer, even_finer = _parts(slopes, directions, h / RATIO)
        curved, growth = 1e-3 * abs(slope - finer), RATIO
        slope = (RATIO**2 * finer - slope) / (RATIO**2 - 1)  # Richardson
        bend = abs(even_finer - even / RATIO)  # of a smooth loss it shrinks with the step
        even = even_finer
    else:
        bend = abs(even) if abs(even) > 1e-2 * abs(slope) else 0.0
    spacing = slopes.eps * (abs(slopes.value) + 2 * abs(even) * largest)
    noise = max(slopes.noise, spacing, rounding) * SAFETY * growth / h
    tolerance = noise + curved + slack
    agrees = abs(slope - expected) <= tolerance + allowed and tolerance <= SHARP
    return tolerance if agrees and bend <= 0.1 * abs(even) + noise else None


def _parts(slopes: Slopes, directions: Mapping[str, Array], step: float) -> tuple[float, float]:
    """The odd and the even part of the change over a step."""
    ends = slopes.ends({n: step * v for n, v in directions.items()})
    up, down = (end - slopes.value for end in ends)
    return (up - down) / (2 * step), (up + down) / (2 * step)
