"""Why is a gradient wrong? Only causes that need no knowledge of the network.

A cause is named when undoing it makes the gradient right, to the tolerance, along directions that
were drawn for this test alone. Everything else stays unknown.
"""

from collections.abc import Iterator, Mapping

import numpy as np

from handgrad.checker.landscape import Array, Landscape

TRIES = 3


def cause(landscape: Landscape, name: str, gradients: Mapping[str, Array]) -> str | None:
    """A sentence, or None."""
    gradient = gradients[name]
    if not gradient.any():
        return "it is zero everywhere"
    for other, h in gradients.items():
        if (
            other != name
            and h.size == gradient.size > 1
            and np.array_equal(h.ravel(), gradient.ravel())
        ):
            return f"it is the gradient of {other}"
    directions = [landscape.rng.standard_normal(gradient.shape) for _ in range(TRIES)]
    slopes = [landscape.slope(name, d) for d in directions]

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
        if abs(ratio) >= 1:
            return f"it must be multiplied by {ratio:.6g}"
        return f"it must be divided by {1 / ratio:.6g}"
    return None


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
