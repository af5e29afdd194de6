"""What the looks at all points say of one parameter."""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from handgrad import running
from handgrad.checker.arrays import Array
from handgrad.checker.causes import agreed, cause
from handgrad.checker.locate import Wrong, locate
from handgrad.checker.look import bound
from handgrad.checker.places import Options, Place
from handgrad.checker.report import (
    CELL,
    DIFFERENCES,
    EXACT,
    FAIL,
    INCONCLUSIVE,
    NONDIFFERENTIABLE,
    PASS,
    ParameterReport,
)

MOST_DIRECTIONS = 8
"""Directions at each point that are taken where two do not tell enough."""

MOST_ENTRIES = 4096
"""Of a wrong gradient, that are measured one by one where that is asked for."""

COARSE = 1e-11
"""Noise above this share of a float64 loss comes from a step that is not float64."""


def judged(name: str, places: Sequence[Place], options: Options) -> ParameterReport:
    """The verdict on one parameter: wrong at any point is wrong."""
    report = _judged(name, places, options)
    exact = any(place.is_exact for place in places)
    cell = CELL if report.certified else DIFFERENCES
    return replace(report, measured=EXACT if exact else cell)


def _judged(name: str, places: Sequence[Place], options: Options) -> ParameterReport:
    failing = [place for place in places if place.fails(name)]
    if len(failing) == 1 and failing[0].has_no_gradient(name):
        failing = []
    if failing:
        return _failed(name, places, failing, options)
    counted = [place for place in places if place.counts(name)]
    report = _passed(name, counted, options)
    if report.verdict != PASS and options.directions is None:
        for place in counted:
            look = place.seen(name)
            if look is not None:
                look.take(MOST_DIRECTIONS)
        failing = [place for place in places if place.fails(name)]
        if failing:
            return _failed(name, places, failing, options)
        report = _passed(name, [p for p in counted if p.counts(name)], options)
    if not counted and any(name in place.kinks for place in places):
        note = _not_counted(name, places) or "there is a kink at the point"
        return ParameterReport(name, NONDIFFERENTIABLE, math.inf, math.inf, False, note)
    uncounted = _not_counted(name, places)
    notes = filter(None, [report.note, uncounted])
    return replace(report, note="; ".join(notes)) if uncounted else report


def _passed(name: str, counted: Sequence[Place], options: Options) -> ParameterReport:
    """What agreement at these points is worth."""
    if not counted:
        note = "the slopes contradict each other: is the loss noisy, or not smooth?"
        return ParameterReport(name, INCONCLUSIVE, math.inf, math.inf, False, note)
    norms = [place.norms[name] for place in counted]
    proved = [(p.proof.off[name], p.norms[name]) for p in counted if p.proof is not None]
    if proved:  # each of these points alone would show an error
        absolute, over = max(off for off, _ in proved), _share(proved)
        return _worth(name, counted, absolute, over, True, options)
    tolerances, relative = [], []
    for place, norm in zip(counted, norms, strict=True):
        found = place.tolerances(name)
        tolerances += found
        relative += [t / norm for t in found if norm]
    size = counted[0].numbers[name]
    looks = [place.seen(name) for place in counted]
    certified = all(look is not None and all(s.certified for s in look.slopes) for look in looks)
    if not tolerances:  # every entry lies on a kink, and each was looked at alone
        return ParameterReport(name, PASS, 0.0, 0.0, False, "every entry lies on a kink")
    absolute, over = bound(tolerances, size, options.delta), math.inf
    if relative:  # a norm of 0 has no share
        over = bound(relative, size, options.delta)
        absolute = over * max(norms)
    return _worth(name, counted, absolute, over, certified, options)


def _share(proved: Sequence[tuple[float, float]]) -> float:
    """The largest error over its gradient's norm; a norm of 0 has no share."""
    return max((off / norm for off, norm in proved if norm), default=math.inf)


def _worth(
    name: str,
    counted: Sequence[Place],
    absolute: float,
    over: float,
    certified: bool,
    options: Options,
) -> ParameterReport:
    """Whether a bound is small enough for a pass."""
    if over <= options.resolve:
        allowed = f"an error of {options.rtol:g} of it was allowed" if options.rtol else None
        return ParameterReport(name, PASS, absolute, over, certified, allowed)
    if max(place.norms[name] for place in counted) <= absolute:
        return _nothing(name, counted, absolute, options)
    note = "its loss is too noisy or too coarse to tell more: try float64, or reference="
    return ParameterReport(name, INCONCLUSIVE, absolute, over, certified, note)


def _nothing(
    name: str, counted: Sequence[Place], absolute: float, options: Options
) -> ParameterReport:
    """A gradient of 0, as far as can be seen: is that little beside what others change?"""
    place = counted[0]
    left = absolute * place.sizes[name]
    change = max(norm * place.sizes[n] for n, norm in place.norms.items())
    scale = max(change if change > left else 0.0, abs(place.value))
    if left <= options.resolve * scale:
        note = f"0 to within {absolute:.1e}, which is all that was shown"
        return ParameterReport(name, PASS, absolute, math.inf, False, note)
    note = (
        f"its gradient is 0, but one that moves the loss by {left:.1e} of {scale:.1e} would not "
        "be seen"
    )
    return ParameterReport(name, INCONCLUSIVE, absolute, math.inf, False, note)


def _failed(
    name: str, places: Sequence[Place], failing: Sequence[Place], options: Options
) -> ParameterReport:
    place = failing[0]
    judgement = place.kinks.get(name)
    if judgement is not None and judgement.wrong is not None:
        wrong, why, error = judgement.wrong, judgement.why, None
    else:
        look = place.seen(name)
        assert look is not None
        wrong = locate(look)
        worst = int(np.ravel_multi_index(wrong.index, look.gradient.shape))
        looks = [(p.seen(name), p.shares(name)) for p in failing]
        why = agreed(
            [cause(a, worst, shares) for a, shares in looks if a is not None and a.only is None]
        )
        error = look.error
    others = [other for other in places if other not in failing]
    only_here = place.number == 0 and len(failing) == 1 and _see(name, others, wrong, options.delta)
    here = "wrong at the given point only" if only_here else None
    given, right = _entries(place, name, options)
    return ParameterReport(
        name,
        FAIL,
        math.inf,
        math.inf,
        False,
        error=error,
        index=wrong.index,
        analytic=wrong.analytic,
        numeric=wrong.numeric,
        where=wrong.where,
        cause="; ".join(filter(None, [why, here])) or None,
        given=given,
        right=right,
    )


def _entries(place: Place, name: str, options: Options) -> tuple[Array | None, Array | None]:
    """The gradient that was given and the slope by each entry, where they are asked for."""
    given = place.results.gradients[name]
    if not options.entries or given.size > MOST_ENTRIES:
        return None, None
    method = place.looks[name].method
    axes = np.eye(given.size).reshape(-1, *given.shape)
    return given, np.array([method(axis).value for axis in axes]).reshape(given.shape)


def _see(name: str, others: Sequence[Place], wrong: Wrong, delta: float) -> bool:
    """Whether the other points would have shown an error of this size."""
    off = abs(wrong.analytic - wrong.numeric)  # unknown where a group of entries is wrong
    bounds = [bound(p.tolerances(name), p.numbers[name], delta) for p in others if p.counts(name)]
    return bool(bounds) and not off <= max(bounds)


def _not_counted(name: str, places: Sequence[Place]) -> str | None:
    """Which points say nothing of a parameter, because the loss has a kink there."""
    for place in places:
        judgement = place.kinks.get(name)
        if judgement is not None and not judgement.counts:
            where = "the given point" if place.number == 0 else "a point nearby"
            if judgement.why:
                return f"{where} is not counted: {judgement.why}"
            entries = ", ".join(str(list(k)) for k in judgement.kinked[:3])
            more = " and others" if len(judgement.kinked) > 3 else ""
            return f"{where} is not counted: the loss has a kink at {entries}{more}"
    return None


def about(places: Sequence[Place], eps: float) -> list[str]:
    """What the slopes say of the program: how many digits its loss has."""
    noises = [
        slope.noise / abs(place.value)
        for place in places
        for look in place.looks.values()
        for slope in look.slopes
        if place.value and slope.noise and slope.sides is None
    ]
    if not noises or eps > COARSE or min(noises) < COARSE:
        return []
    digits = max(1, math.floor(-math.log10(min(noises))))
    return [
        f"the loss is computed in about {digits} digits, coarser than its parameters: is there a "
        "float32 step, or a tolerance, inside?"
    ]


def fresh_seed(seed: int | None) -> int:
    """The seed, the running test's, or one drawn afresh. It is printed: a check can be repeated."""
    if seed is not None:
        return seed
    test = running.current
    made = None if test is None else test.next_seed()
    if made is None:
        made = int(np.random.SeedSequence().generate_state(1)[0])
    if test is not None:
        test.seeds.append(made)
    return made
