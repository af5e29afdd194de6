"""Is this backward pass the derivative of this forward pass? For any code, not only ours."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from handgrad.gradcheck.causes import cause
from handgrad.gradcheck.landscape import Array, Landscape, Slope, flat, fresh_seed
from handgrad.gradcheck.locate import locate
from handgrad.gradcheck.preflight import Native, require_sound
from handgrad.gradcheck.report import (
    FAIL,
    INCONCLUSIVE,
    NONDIFFERENTIABLE,
    PASS,
    ParameterReport,
    Refusal,
    Report,
)
from handgrad.gradcheck.stack import Stack

VAGUE = 1e-3
"""A tolerance above this share of the gradient proves nothing: inconclusive."""


def gradcheck(
    loss: Callable[[Any], Any],
    params: Mapping[str, Any],
    grads: Mapping[str, Any] | Callable[[Any], Mapping[str, Any]],
    *,
    activations: Callable[[Any], Any] | None = None,
    structure: Stack | None = None,
    points: int = 3,
    directions: int = 2,
    delta: float = 1e-6,
    seed: int | None = None,
) -> Report:
    """Compare gradients with slopes of the loss along random directions within each parameter.

    loss: params → one number, the same every time. params: name → float array or tensor of any
    shape. grads: the gradients under the same names and shapes, or a function of params that
    returns them; a function can be checked at `points` points (the given one and others nearby),
    a mapping at the given one alone. activations: params → what enters the ReLUs of a stack of
    affine layers (arrays (samples, units), a list, or a dict of them): with it, no kink lies
    between the ends of any difference, for certain, and units that hide mistakes are reported.

    structure: a `Stack` of affine and ReLU layers that is the loss: it brings the activations, and
    causes that need to know the layers (which mask, which axis, which layer, stale weights).

    directions: random ones for each parameter and point; delta: see `ParameterReport.bound`;
    seed: of the directions, drawn afresh when left out. The number of evaluations of the loss
    does not grow with the size of the parameters, as long as nothing is wrong.

    Raises `Refusal` where loss, params or grads cannot be checked at all.

    >>> import numpy as np
    >>> params = {"x": np.array([1.0, 2.0])}
    >>> def loss(p):
    ...     return (p["x"] ** 2).sum() / 2
    >>> gradcheck(loss, params, lambda p: {"x": p["x"]}).verdict
    'pass'
    >>> gradcheck(loss, params, lambda p: {"x": -p["x"]})["x"].cause
    'its sign is wrong'
    """
    native = Native(params)
    require_sound(native, loss, grads)
    if structure is not None:
        _require_same(structure, native, loss)
        activations = activations or (lambda p: structure.activations(native.to_arrays(p)))
    seed = fresh_seed() if seed is None else seed
    rng = np.random.default_rng(seed)
    start = native.arrays()
    tried = [start] if not callable(grads) else _nearby(start, points, rng)
    checks, layers, notes = _survey(native, loss, grads, activations, tried, rng)
    notes += _coverage(layers)
    found = {
        name: _parameter(name, checks, directions, delta) if checks else _on_kink(name)
        for name in start
    }
    if structure is not None:
        found = _with_structure(structure, found, checks)
        wrong = {name for name, p in found.items() if p.verdict == FAIL}
        notes += filter(None, [structure.between(wrong)])
    evaluations = sum(landscape.evaluations for landscape, _ in checks)
    return Report(found, evaluations, len(checks), delta, seed, tuple(notes))


def assert_gradients(*arguments: Any, **options: Any) -> None:
    """`gradcheck`, for a test: raises `AssertionError` with the report unless it passes."""
    gradcheck(*arguments, **options).raise_if_failed()


@dataclass(frozen=True)
class _AtPoint:
    """One parameter at one point: the slopes, and how far the gradient is from each."""

    verdict: str
    tolerance: float
    norm: float
    certified: bool


def _parameter(
    name: str, checks: list[tuple[Landscape, dict[str, Array]]], directions: int, delta: float
) -> ParameterReport:
    """The verdict on one parameter: wrong anywhere is wrong, right somewhere is right."""
    found = []
    for landscape, gradients in checks:
        at = _at_point(landscape, name, gradients, directions)
        if at.verdict == FAIL:
            wrong = locate(landscape, name, gradients[name])
            why = cause(landscape, name, gradients)
            return ParameterReport(
                name,
                FAIL,
                *_bound(at, directions, delta),
                at.certified,
                wrong.index,
                wrong.analytic,
                wrong.numeric,
                wrong.where,
                why,
            )
        found.append(at)
    best = min(found, key=lambda at: (at.verdict != PASS, at.tolerance / (at.norm or 1)))
    return ParameterReport(name, best.verdict, *_bound(best, directions, delta), best.certified)


def _at_point(
    landscape: Landscape, name: str, gradients: dict[str, Array], directions: int
) -> _AtPoint:
    gradient = gradients[name]

    def measure() -> tuple[Slope, bool]:
        direction = landscape.rng.standard_normal(gradient.shape)
        slope = landscape.slope(name, direction)
        return slope, slope.allows(float((gradient * direction).sum()))

    measured = [measure() for _ in range(directions)]
    certified = all(slope.certified for slope, _ in measured)
    if not all(right for _, right in measured) and not certified:
        measured += [measure() for _ in range(6)]  # a kink misleads one direction, not all
    tolerance = max(slope.tolerance for slope, _ in measured)
    norm = float(np.linalg.norm(gradient))
    # A gradient of zero has no size of its own; the others' tells what small is.
    size = max(norm, 1e-3 * max(float(np.linalg.norm(g)) for g in gradients.values()))
    wrong = sum(not right for _, right in measured)
    # A kink at the point bends the loss along nearly every direction, and misleads only some.
    bent = any(slope.on_kink for slope, _ in measured)
    if wrong and (bent or any(slope.vague for slope, right in measured if not right)):
        verdict = INCONCLUSIVE
    elif wrong > (0 if certified else len(measured) // 2):
        verdict = FAIL
    elif wrong or tolerance > VAGUE * size:
        verdict = INCONCLUSIVE
    else:
        verdict = PASS
    return _AtPoint(verdict, tolerance, norm, certified)


def _survey(
    native: Native,
    loss: Callable[[Any], Any],
    grads: Any,
    activations: Callable[[Any], Any] | None,
    tried: list[dict[str, Array]],
    rng: np.random.Generator,
) -> tuple[list[tuple[Landscape, dict[str, Array]]], list[dict[str, Array]], list[str]]:
    """The landscape and the gradients at each point that sits on no kink; activations; notes."""
    checks, layers, notes = [], [], []
    for number, point in enumerate(tried):
        if activations is not None:
            layers.append(_layers(activations(native.build(point))))
            kink = _kink(layers[-1])
            if kink is not None and number == 0:
                notes.append(f"at the given point {kink}: the loss has a kink there")
            if kink is not None:
                continue
        landscape = Landscape(
            lambda p: native.number(loss(native.build(p))),
            point,
            None if activations is None else lambda p: flat(activations(native.build(p))),
            rng,
        )
        given = grads(native.build(point)) if callable(grads) else grads
        checks.append((landscape, native.to_arrays(given)))
    if notes and checks:
        notes.append(f"checked at {len(checks)} nearby points instead")
    return checks, layers, notes


def _require_same(structure: Stack, native: Native, loss: Callable[[Any], Any]) -> None:
    """The structure must be the loss, or what it says of causes would be about something else."""
    point = native.arrays()
    ours, theirs = structure.loss(point), native.number(loss(native.build(point)))
    eps = max(float(np.finfo(p.dtype).eps) for p in point.values())
    if not abs(ours - theirs) <= 1e4 * eps * max(abs(ours), abs(theirs)):
        raise Refusal(
            f"structure must be the loss, but gives {ours:.9g} where loss gives {theirs:.9g}: "
            "compare its layers, x and y with the loss's"
        )


def _with_structure(
    structure: Stack,
    found: dict[str, ParameterReport],
    checks: list[tuple[Landscape, dict[str, Array]]],
) -> dict[str, ParameterReport]:
    """A mistake of the catalogue, named at every parameter that it spoils, if all points agree."""
    if all(p.verdict != FAIL for p in found.values()):
        return found
    first, *others = (structure.causes(landscape.point, given) for landscape, given in checks)
    fits = [sentence for sentence in first if all(sentence in there for there in others)]
    if not fits:
        return found
    return {n: replace(p, cause=fits[0]) if p.verdict == FAIL else p for n, p in found.items()}


def _bound(at: _AtPoint, directions: int, delta: float) -> tuple[float, float]:
    """For v ~ N(0, I) and m directions, P(all |e·v| ≤ 2τ) ≤ (√(2/π) 2τ / ‖e‖)^m, solved for ‖e‖."""
    bound = 2 * math.sqrt(2 / math.pi) * at.tolerance * delta ** (-1 / directions)
    return bound, bound / at.norm if at.norm else math.inf


def _on_kink(name: str) -> ParameterReport:
    return ParameterReport(name, NONDIFFERENTIABLE, math.inf, math.inf, certified=False)


def _nearby(
    start: dict[str, Array], points: int, rng: np.random.Generator
) -> list[dict[str, Array]]:
    tried = [start]
    for _ in range(points - 1):
        moved = {}
        for name, p in start.items():
            size = 0.05 * (float(np.sqrt(np.mean(np.square(p)))) or 1.0)
            moved[name] = (p + size * rng.standard_normal(p.shape)).astype(p.dtype)
        tried.append(moved)
    return tried


def _layers(z: Any) -> dict[str, Array]:
    """Activations in any form as arrays by the layer's name."""
    if not isinstance(z, Mapping):
        z = {f"layer {k}": a for k, a in enumerate(z if isinstance(z, list | tuple) else [z], 1)}
    return Native.to_arrays(z)


def _kink(layers: dict[str, Array]) -> str | None:
    """Where a pre-activation is exactly 0."""
    for layer, a in layers.items():
        zeros = np.argwhere(a == 0)
        if len(zeros):
            place = [int(i) for i in zeros[0]]
            more = f", as {len(zeros) - 1} more are" if len(zeros) > 1 else ""
            return f"the pre-activation {layer}{place} (sample, unit) is exactly 0{more}"
    return None


def _coverage(seen: list[dict[str, Array]]) -> list[str]:
    """Units that were on, or off, for every sample at every point: what they could hide."""
    notes = []
    for layer in seen[0] if seen else ():
        z = np.concatenate([np.atleast_2d(layers[layer]) for layers in seen])
        never_on = [int(u) for u in np.flatnonzero((z <= 0).all(axis=0))]
        never_off = [int(u) for u in np.flatnonzero((z > 0).all(axis=0))]
        if never_on:
            notes.append(
                f"{layer}: units {never_on} are never on, and hide any mistake before them"
            )
        if never_off:
            notes.append(f"{layer}: units {never_off} are never off, and hide a missing mask")
    return notes
