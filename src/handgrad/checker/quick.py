"""All parameters at once: where a few losses agree with the gradients, nothing is suspect."""

import math
from collections.abc import Iterator, Mapping

import numpy as np

from handgrad.checker.arrays import Array, drawn
from handgrad.checker.differences import RATIO, SAFETY
from handgrad.checker.rounding import Results
from handgrad.checker.slopes import Slopes

STEPS = 2.0**-13, 2.0**-20
"""Of the parameters' sizes; the second is for what has many kinks."""

SHARP = 1e-5
"""A tolerance above this share of the slopes clears nothing: each parameter is looked at alone."""

SHARE = 1e-3
"""A parameter that can change the loss by less than this share of the others is left out."""


def cleared(
    slopes: Slopes, results: Results, rng: np.random.Generator, directions: int, rtol: float
) -> dict[str, list[float]]:
    """The tolerances, over the gradient's norm, within which each parameter agrees.

    Every parameter moves at once, by 1 / ‖g‖, so that an error of 1 % is as large in each. None is
    cleared unless all are. A bend at the point, a slope that still changes, values that are coarse:
    all of that is for differences within one parameter.
    """
    norms = {n: float(np.linalg.norm(g)) for n, g in results.gradients.items()}
    changes = {n: norm * slopes.size(n) for n, norm in norms.items()}
    least = SHARE * max(changes.values())
    names = [n for n, change in changes.items() if change >= least > 0]
    if not names:
        return {}
    largest = min(changes[n] for n in names)
    found = []
    for _ in range(directions):
        directions_at_once = {n: drawn(rng, slopes.point[n].shape) for n in names}
        for n, v in directions_at_once.items():
            v /= norms[n]
        tolerance = _agrees(slopes, results, directions_at_once, largest, rtol)
        if tolerance is None:
            return {}
        found.append(tolerance)
    return dict.fromkeys(names, found)


def _agrees(
    slopes: Slopes, results: Results, directions: Mapping[str, Array], largest: float, rtol: float
) -> float | None:
    """The tolerance within which the slope is the gradient's; None where it is not."""
    expected = sum(float(np.vdot(results.gradients[n], v)) for n, v in directions.items())
    count = len(directions)
    slack = results.rounding(directions) + 3 * rtol * math.sqrt(count)
    for share in STEPS:
        h = largest * share
        (odd, even), (odd_finer, even_finer) = _pairs(slopes, directions, h)
        slope = (RATIO**2 * odd_finer - odd) / (RATIO**2 - 1)  # Richardson
        spacing = slopes.eps * (abs(slopes.value) + 2 * abs(even_finer) * largest)
        noise = max(slopes.noise, spacing) * SAFETY * RATIO / h
        tolerance = noise + 1e-3 * abs(odd - odd_finer) + slack
        bend = abs(even_finer - even / RATIO)  # of a smooth loss it shrinks with the step
        smooth = bend <= 0.1 * abs(even_finer) + noise
        if smooth and abs(slope - expected) <= tolerance <= SHARP + slack:
            return tolerance
        if smooth and abs(odd - odd_finer) <= 1e-6 * math.sqrt(count):
            return None  # sure of itself, and another
    return None


def _pairs(
    slopes: Slopes, directions: Mapping[str, Array], h: float
) -> Iterator[tuple[float, float]]:
    """The odd and the even part of the change over the step, at two steps."""
    for step in (h, h / RATIO):
        up, down = (slopes.loss(slopes.moved(directions, s)) - slopes.value for s in (step, -step))
        yield (up - down) / (2 * step), (up + down) / (2 * step)
