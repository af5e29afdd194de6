"""Why is a gradient wrong? Only causes that need no knowledge of the network.

A cause is named when undoing it makes the gradient right, to the tolerance, along directions that
were drawn for this test alone, at every point where the gradient is wrong. Everything else stays
unknown.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from handgrad.checker.arrays import Array, drawn
from handgrad.checker.look import Look

TRIES = 3


def cause(look: Look) -> str | None:
    """A sentence, or None."""
    name, gradient, gradients = look.method.name, look.gradient, look.results.gradients
    if not gradient.any():
        return "it is zero everywhere"
    for other, h in gradients.items():
        if (
            other != name
            and h.size == gradient.size > 1
            and np.array_equal(h.ravel(), gradient.ravel())
        ):
            return f"it is the gradient of {other}"
    directions = [drawn(look.rng, gradient.shape) for _ in range(TRIES)]
    slopes = [look.method(d) for d in directions]
    rounding = [look.results.rounding({name: d}) for d in directions]
    slopes = [replace(s, tolerance=s.tolerance + r) for s, r in zip(slopes, rounding, strict=True)]

    def right(candidate: Array) -> bool:
        pairs = zip(slopes, directions, strict=True)
        return all(s.allows(float((candidate * d).sum())) for s, d in pairs)

    for sentence, candidate in _undone(name, gradients):
        if right(candidate):
            return sentence
    if gradient.size == 1:  # any two numbers have a ratio
        return None
    along = [float((gradient * d).sum()) for d in directions]
    sharpest = max(range(TRIES), key=lambda k: abs(along[k]) / (slopes[k].tolerance or 1e-300))
    if not along[sharpest]:
        return None
    ratio = slopes[sharpest].value / along[sharpest]
    unsure = slopes[sharpest].tolerance / abs(along[sharpest])  # the ratio is measured too
    pairs = zip(slopes, along, strict=True)
    if (
        ratio
        and abs(ratio - 1) > 2 * unsure
        and all(abs(s.value - ratio * v) <= s.tolerance + unsure * abs(v) for s, v in pairs)
    ):
        return _factor(ratio)
    return None


def agreed(causes: Sequence[str | None]) -> str | None:
    """The cause that is true at all points; where a factor differs between them, that is said."""
    first = causes[0] if causes else None
    if all(c == first for c in causes):
        return first
    ratios = [_ratio(c) for c in causes]
    if any(r is None for r in ratios):
        return None
    known = [r for r in ratios if r is not None]
    if max(abs(r / known[0] - 1) for r in known) < 1e-3:  # each was measured
        return first
    low, high = min(known), max(known)
    return f"no constant factor: it must be multiplied by {low:.4g} to {high:.4g} at these points"


FACTOR = "it must be multiplied by ", "it must be divided by "


def _factor(ratio: float) -> str | None:
    """The sentence for a factor; with as many digits as tell it from 1."""
    times = abs(ratio) >= 1
    number = ratio if times else 1 / ratio
    for digits in (6, 9, 12):
        if f"{number:.{digits}g}" != "1":
            return f"{FACTOR[0 if times else 1]}{number:.{digits}g}"
    return None


def _ratio(sentence: str | None) -> float | None:
    """The factor that the sentence names."""
    if sentence is None or not sentence.startswith(FACTOR):
        return None
    number = float(sentence.rsplit(" ", 1)[1])
    return number if sentence.startswith(FACTOR[0]) else 1 / number


def _undone(name: str, gradients: Mapping[str, Array]) -> Iterator[tuple[str, Array]]:
    """Each mistake that can be undone, and the gradient with it undone."""
    g = gradients[name]
    yield "its sign is wrong", -g
    if g.ndim == 2:
        yield "it is transposed and read in the wrong order", g.reshape(g.shape[::-1]).T
    for axis in range(g.ndim):
        kind = ("rows", "columns")[axis] if g.ndim == 2 else "entries"
        if g.shape[axis] > 1:
            for shift in (1, -1):
                yield f"its {kind} are shifted by one", np.roll(g, shift, axis)
    for other, h in gradients.items():
        if other != name and h.size == g.size:
            yield f"it and the gradient of {other} have changed places", h.reshape(g.shape)
