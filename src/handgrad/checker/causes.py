"""Why is a gradient wrong? Only causes that need no knowledge of the network.

A cause is named when undoing it makes the gradient right, to the tolerance, along directions that
were drawn for this test alone, at every point where the gradient is wrong. Where each output's
share of an entry is known (a PyTorch program's), causes that show in the shares are named too, if
they give exactly the gradient at every entry that is looked at. Everything else stays unknown.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction

import numpy as np

from handgrad.checker.arrays import Array, drawn
from handgrad.checker.look import Look
from handgrad.checker.slopes import Slope

TRIES = 3

ENTRIES = 8
"""So many, the worst among them, are looked at for causes that show in the outputs' shares."""

Shares = Callable[[int], tuple[Array, Array]]
"""An entry → the derivatives of all outputs by it, and their upstream gradients."""

CONSTANT = "it is off by one constant: to every entry must be added "


def cause(look: Look, worst: int = 0, shares: Shares | None = None) -> str | None:
    """A sentence, or None. worst: the entry that is furthest off."""
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
    slopes = [_with_rounding(look, d, look.method(d)) for d in directions]

    def right(candidate: Array) -> bool:
        pairs = zip(slopes, directions, strict=True)
        return all(s.allows(float((candidate * d).sum())) for s, d in pairs)

    for sentence, candidate in _undone(name, gradients):
        if right(candidate):
            return sentence
    if gradient.size == 1:  # any two numbers have a ratio
        return None
    along = [float((gradient * d).sum()) for d in directions]
    ratio = _ratio_to(slopes, along)
    if ratio is not None:
        return _factor(ratio)
    ones = np.ones(gradient.shape)
    missing = (look.method(ones).value - float(gradient.sum())) / gradient.size
    if missing and right(gradient + missing):
        return f"{CONSTANT}{missing:.6g}"
    return None if shares is None else _in_shares(look, worst, shares)


def _with_rounding(look: Look, direction: Array, slope: Slope) -> Slope:
    rounding = look.results.rounding({look.method.name: direction})
    return replace(slope, tolerance=slope.tolerance + rounding)


def _ratio_to(slopes: Sequence[Slope], along: Sequence[float]) -> float | None:
    """The one factor between the gradient and the slopes along all directions."""
    sharpest = max(range(TRIES), key=lambda k: abs(along[k]) / (slopes[k].tolerance or 1e-300))
    if not along[sharpest]:
        return None
    ratio = slopes[sharpest].value / along[sharpest]
    unsure = slopes[sharpest].tolerance / abs(along[sharpest])  # the ratio is measured too
    pairs = zip(slopes, along, strict=True)
    scale = max(1.0, abs(ratio))  # the gradient's own rounding is multiplied as well
    same = all(abs(s.value - ratio * v) <= scale * s.tolerance + unsure * abs(v) for s, v in pairs)
    return ratio if ratio and same and abs(ratio - 1) > 2 * unsure else None


def _in_shares(look: Look, worst: int, shares: Shares) -> str | None:
    """A cause that explains the gradient of every entry from what each output gives to it."""
    others = look.rng.choice(look.gradient.size, min(ENTRIES, look.gradient.size), replace=False)
    fits: set[str] | None = None
    differs: set[str] = set()
    for entry in {worst, *map(int, others)}:
        try:
            derivatives, upstream = shares(entry)
        except Exception:  # not defined a step away
            return None
        parts = derivatives * upstream
        size = 1e-6 * float(abs(parts).sum() + abs(derivatives).sum())
        made = _mistaken(entry, look.gradient.size, derivatives, parts)
        given = float(look.gradient.flat[entry])
        fits_here = {name for name, value in made.items() if abs(value - given) <= size}
        fits = fits_here if fits is None else fits & fits_here
        differs |= {name for name, value in made.items() if abs(value - parts.sum()) > 10 * size}
    found = sorted((fits or set()) & differs)
    return found[0] if len(found) == 1 else None  # where two fit, nobody can tell


def _mistaken(entry: int, size: int, derivatives: Array, parts: Array) -> dict[str, float]:
    """What the gradient of an entry is under each mistake."""
    used = np.flatnonzero(abs(derivatives) > 1e-7 * abs(derivatives).max(initial=0.0))
    first, last = (parts[used[0]], parts[used[-1]]) if len(used) else (0.0, 0.0)
    made = {
        "the upstream gradient is taken for ones": float(derivatives.sum()),
        "where several outputs use one entry, the last one overwrites the others": float(last),
        "where several outputs use one entry, only the first one counts": float(first),
    }
    if len(parts) == size:
        made["only the diagonal of its Jacobian is used"] = float(parts[entry])
    return made


def agreed(causes: Sequence[str | None]) -> str | None:
    """The cause that is true at all points; where a factor differs between them, that is said."""
    first = causes[0] if causes else None
    if all(c == first for c in causes):
        return first
    if all(c is not None and c.startswith(CONSTANT) for c in causes):
        return "it is off by one constant at each point, not the same at all"
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
            return f"{FACTOR[0 if times else 1]}{number:.{digits}g}{_count(ratio)}"
    return None


def _count(ratio: float) -> str:
    """What a factor of whole numbers looks like: a mean over the wrong count."""
    near = Fraction(ratio).limit_denominator(100)
    if ratio <= 0 or near <= 1 or abs(near / Fraction(ratio) - 1) > 1e-7:
        return ""
    if near.denominator == 1:
        return f" (as if it were divided by a count of {near.numerator} too often)"
    return f" (as if it were divided by {near.numerator} where {near.denominator} belongs)"


def _ratio(sentence: str | None) -> float | None:
    """The factor that the sentence names."""
    if sentence is None or not sentence.startswith(FACTOR):
        return None
    start = FACTOR[0] if sentence.startswith(FACTOR[0]) else FACTOR[1]
    number = float(sentence.removeprefix(start).split(" ", 1)[0])
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
        if g.shape[axis] > 1:
            yield f"its {kind} are in the reverse order", np.flip(g, axis)
    for other, h in gradients.items():
        if other != name and h.size == g.size:
            yield f"it and the gradient of {other} have changed places", h.reshape(g.shape)
