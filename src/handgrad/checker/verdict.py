"""What the looks at all points say of one parameter."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from handgrad.checker.arrays import NARROW, Point
from handgrad.checker.causes import Shares, agreed, cause
from handgrad.checker.judgement import Judgement
from handgrad.checker.kinks import judge
from handgrad.checker.locate import locate
from handgrad.checker.look import Look, bound
from handgrad.checker.program import Program
from handgrad.checker.quick import cleared
from handgrad.checker.report import (
    FAIL,
    INCONCLUSIVE,
    NONDIFFERENTIABLE,
    PASS,
    ParameterReport,
)
from handgrad.checker.rounding import Results
from handgrad.errors import BadInput

MOST = 8
"""Directions at each point that are taken where two do not tell enough."""

COARSE = 1e-11
"""Noise above this share of a float64 loss comes from a step that is not float64."""


@dataclass(frozen=True)
class Options:
    """Those of `gradcheck`. Raises `BadInput` where one makes no sense."""

    points: int = 3
    directions: int | None = None
    rtol: float = 0.0
    resolve: float = 0.01
    delta: float = 0.01
    seed: int | None = None

    def __post_init__(self) -> None:
        for name, least in (("points", 1), ("directions", 1), ("seed", 0)):
            value = getattr(self, name)
            whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
            if value is not None and not (whole and value >= least):
                raise BadInput(f"{name} must be a whole number of at least {least}, got {value}")
        for name, low, high in (("delta", 0, 1), ("resolve", 0, math.inf), ("rtol", -1e-300, 1)):
            value = getattr(self, name)
            if not (isinstance(value, float | int | np.number) and low < value < high):
                between = f"between {max(low, 0)} and {high}" if high < math.inf else "above 0"
                raise BadInput(f"{name} must lie {between}, got {value}")

    def of(self, eps: float) -> "Options":
        """What a program with this spacing can be held to."""
        directions = 8 if self.directions is None and eps > NARROW else self.directions
        return replace(self, directions=directions, resolve=max(self.resolve, 64 * eps))


class Place:
    """One point: the loss around it, the gradients there, and what was seen of each parameter.

    number: 0 is the given point.
    """

    def __init__(self, number: int, program: Program, point: Point, results: Results) -> None:
        self.number, self.results = number, results
        self.slopes = program.slopes(point, results)
        self._program, self._given = program, point
        self._finer: Results | None = None
        self.value = self.slopes.value
        self.norms = {n: float(np.linalg.norm(g)) for n, g in results.gradients.items()}
        self.numbers = {n: g.size for n, g in results.gradients.items()}
        self.sizes = {n: self.slopes.size(n) for n in results.gradients}
        self.quick: dict[str, list[float]] = {}
        self.looks: dict[str, Look] = {}
        self.kinks: dict[str, Judgement] = {}

    def look(self, rng: np.random.Generator, options: Options) -> None:
        """All parameters at once, where no kink has to be certified, and each that is suspect."""
        if self.slopes.activations is None:
            count = options.directions or 1
            rough = self.number > 0
            self.quick = cleared(self.slopes, self.results, rng, count, options.rtol, rough)
        for name in self.norms:
            if name not in self.quick:
                self._look_at(name, rng, options)
        treads = [s.tread for look in self.looks.values() for s in look.slopes if s.tread]
        if treads:  # the loss is a staircase along every direction, whether it showed or not
            self.slopes.noise = max(self.slopes.noise, float(np.median(treads)))
            for name in [name for name, look in self.looks.items() if look.wrong]:
                self._look_at(name, rng, options)

    def release(self) -> None:
        """Let go of all arrays, where nothing was suspect: they may be large."""
        if not self.looks:
            self.results = replace(self.results, gradients={}, around=[])
            self._given = {}
            self.slopes.release()

    def _look_at(self, name: str, rng: np.random.Generator, options: Options) -> None:
        method = self.slopes.method(name, rng)
        look = Look(method, self.results, rng, options.rtol, finer=lambda: self._with_noise(rng))
        look.take(options.directions or 2)
        self.looks[name] = look
        if look.has_kink:
            self.kinks[name] = judge(look)
        elif not look.wrong and look.is_uneven and self.results.around:
            level = Look(method, self.results, rng, options.rtol, level=True)
            level.take(2)
            if level.fails and not level.has_kink:
                self.looks[name] = level

    def _with_noise(self, rng: np.random.Generator) -> Results:
        """The results with how far they are from smooth, measured once."""
        if self._finer is None:
            self._finer = self._program.with_noise(self.results, self._given, rng)
        return self._finer

    def seen(self, name: str) -> "Look | None":
        """The look that counts: at a kinked point, that at the entries without a kink."""
        judgement = self.kinks.get(name)
        return self.looks.get(name) if judgement is None else judgement.smooth

    def fails(self, name: str) -> bool:
        """Whether the gradient is wrong here."""
        judgement, look = self.kinks.get(name), self.seen(name)
        kinked = judgement is not None and judgement.wrong is not None
        return kinked or (look is not None and look.fails)

    def counts(self, name: str) -> bool:
        """Whether the gradient was seen to be right here."""
        if name in self.quick:
            return True
        judgement, look = self.kinks.get(name), self.seen(name)
        right = look is None or not look.wrong
        return right and (judgement is None or judgement.counts)

    def shares(self, name: str) -> Shares | None:
        """Of each output in the gradient of an entry, where the program tells."""
        shares, built = self._program.shares, self._program.native.build(self._given)
        return None if shares is None else partial(shares, built, name)

    def has_no_gradient(self, name: str) -> bool:
        """Whether the slopes here are not those of any gradient; then the point is not counted."""
        look = self.looks[name]
        if name in self.kinks or self.number > 0 or look.is_linear():
            return False
        why = "its slopes along two directions and along their sum do not add up"
        self.kinks[name] = Judgement((), None, None, why, counts=False)
        return True

    def tolerances(self, name: str) -> list[float]:
        """Of each direction, in the units of the gradient."""
        if name in self.quick:
            return [self.norms[name] * tolerance for tolerance in self.quick[name]]
        look = self.seen(name)
        return [] if look is None else look.tolerances


def judged(name: str, places: Sequence[Place], options: Options) -> ParameterReport:
    """The verdict on one parameter: wrong at any point is wrong."""
    failing = [place for place in places if place.fails(name)]
    if len(failing) == 1 and failing[0].has_no_gradient(name):
        failing = []
    if failing:
        return _failed(name, places, failing)
    counted = [place for place in places if place.counts(name)]
    report = _passed(name, counted, options)
    if report.verdict != PASS and options.directions is None:
        for place in counted:
            look = place.seen(name)
            if look is not None:
                look.take(MOST)
        failing = [place for place in places if place.fails(name)]
        if failing:
            return _failed(name, places, failing)
        report = _passed(name, [p for p in counted if p.counts(name)], options)
    if not counted and any(name in place.kinks for place in places):
        note = _not_counted(name, places) or "there is a kink at the point"
        return ParameterReport(name, NONDIFFERENTIABLE, math.inf, math.inf, False, note)
    notes = filter(None, [report.note, _not_counted(name, places)])
    return replace(report, note="; ".join(notes) or None)


def _passed(name: str, counted: Sequence[Place], options: Options) -> ParameterReport:
    """What agreement at these points is worth."""
    if not counted:
        note = "the slopes contradict each other: is the loss noisy, or not smooth?"
        return ParameterReport(name, INCONCLUSIVE, math.inf, math.inf, False, note)
    tolerances, relative = [], []
    norms = [place.norms[name] for place in counted]
    for place, norm in zip(counted, norms, strict=True):
        found = place.tolerances(name)
        tolerances += found
        relative += [t / norm for t in found if norm]
    size = counted[0].numbers[name]
    certified = all(
        look is not None and all(s.certified for s in look.slopes)
        for look in (place.seen(name) for place in counted)
    )
    if not tolerances:  # every entry lies on a kink, and each was looked at alone
        return ParameterReport(name, PASS, 0.0, 0.0, False, "every entry lies on a kink")
    absolute, over = bound(tolerances, size, options.delta), math.inf
    if relative:  # a norm of 0 has no share
        over = bound(relative, size, options.delta)
        absolute = over * max(norms)
    if over <= options.resolve:
        allowed = f"an error of {options.rtol:g} of it was allowed" if options.rtol else None
        return ParameterReport(name, PASS, absolute, over, certified, allowed)
    if max(norms) <= absolute:
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


def _failed(name: str, places: Sequence[Place], failing: Sequence[Place]) -> ParameterReport:
    place = failing[0]
    judgement = place.kinks.get(name)
    only_here = place.number == 0 and len(failing) < len(places) and len(failing) == 1
    here = "wrong at the given point only" if only_here else None
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
    )


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


def fresh_seed() -> int:
    """A seed from the system's entropy, to be printed, so that a check can be repeated."""
    return int(np.random.SeedSequence().generate_state(1)[0])
