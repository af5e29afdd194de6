"""Is this backward pass the derivative of this forward pass? For any code, not only ours."""

import math
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from handgrad.checker.causes import agreed, cause
from handgrad.checker.code import NARROW, Code, Native, Shaken
from handgrad.checker.landscape import LADDER, ORACLES, Array, Landscape, Slope, fresh_seed
from handgrad.checker.locate import locate
from handgrad.checker.preflight import require_sound
from handgrad.checker.report import (
    FAIL,
    INCONCLUSIVE,
    NONDIFFERENTIABLE,
    PASS,
    ForwardReport,
    ParameterReport,
    Report,
)
from handgrad.checker.stack import Stack
from handgrad.checker.trees import flattened, gradients_like, like
from handgrad.errors import BadInput

VAGUE = 1e-3
"""A tolerance above this share of the gradient proves nothing: inconclusive."""


NOTHING = 1e-290
"""A slope that is 0 to within this is 0: the loss does not depend on the parameter at all."""


def _vague(eps: float) -> float:
    """The same for a dtype: bfloat16 cannot be held to a thousandth."""
    return max(VAGUE, 64 * eps)


def gradcheck(
    loss: Callable[[Any], Any],
    params: Any,
    grads: Any,
    *,
    activations: Callable[[Any], Any] | None = None,
    structure: Stack | None = None,
    reference: Callable[[Any], Any] | None = None,
    points: int = 3,
    directions: int | None = None,
    delta: float = 1e-6,
    seed: int | None = None,
) -> Report:
    """Compare gradients with slopes of the loss along random directions within each parameter.

    loss: params → one number, the same every time. params: float arrays or tensors of any shape, in
    a dict, a list, a tuple, any nesting of them, or alone. grads: the gradients in the same form
    and shapes (None for a parameter that is not used), or a function of params that returns them; a
    function can be checked at `points` points (the given one and others nearby), gradients that
    are given at the given one alone. activations: params → what enters the ReLUs of a stack of
    affine layers (arrays (samples, units), a list, or a dict of them): with it, no kink lies
    between the ends of any difference, for certain, and units that hide mistakes are reported.

    structure: a `Stack` of affine and ReLU layers that is the loss: it brings the activations, and
    causes that need to know the layers (which mask, which axis, which layer, stale weights).

    reference: the same loss in float64, for a loss and grads that are float32, bfloat16 or a
    kernel's: it gets the params in float64, as activations then does. Loss and gradients are held
    to it as closely as their dtype can: see `code.Shaken`.

    directions: random ones for each parameter and point, 2 if left out, 8 for dtypes narrower than
    float32; delta: see `ParameterReport.bound`;
    seed: of the directions, drawn afresh when left out. The number of evaluations of the loss
    does not grow with the size of the parameters, as long as nothing is wrong.

    Raises `BadInput` where loss, params or grads cannot be checked at all.

    >>> import numpy as np
    >>> params = {"x": np.array([1.0, 2.0])}
    >>> def loss(p):
    ...     return (p["x"] ** 2).sum() / 2
    >>> gradcheck(loss, params, lambda p: {"x": p["x"]}).verdict
    'pass'
    >>> gradcheck(loss, params, lambda p: {"x": -p["x"]})["x"].cause
    'its sign is wrong'
    """
    for name, value in (("points", points), ("directions", directions)):
        if value is not None and value < 1:
            raise BadInput(f"{name} must be at least 1, got {value}")
    if not 0 < delta < 1:
        raise BadInput(f"delta must lie between 0 and 1, got {delta}")
    given = flattened(params)

    def of_tree(function: Callable[[Any], Any] | None) -> Callable[[Any], Any] | None:
        """The caller's function, as one of a flat dict; of a flat dict it is that already."""
        flat = function is None or (isinstance(params, dict) and list(params) == list(given))
        return function if flat else lambda p: function(like(params, p))  # type: ignore[misc]

    def gradients(p: Any) -> dict[str, Any]:
        found = of_tree(grads)(p)  # type: ignore[misc]
        return gradients_like(params, found)

    native = Native(given, narrow=reference is not None)
    loss, activations, reference = map(of_tree, (loss, activations, reference))  # type: ignore[assignment]
    fixed = None if callable(grads) else gradients_like(params, grads)
    code = Code(native, loss, fixed or gradients, activations, structure, reference)
    wander = require_sound(code)
    code = replace(code, wander=wander.gradients, loss_wander=wander.loss)
    if structure is not None:
        _require_same(structure, code)
    if directions is None:
        directions = 2 if native.eps < NARROW else 8
    seed = fresh_seed() if seed is None else seed
    rng = np.random.default_rng(seed)
    checks, notes = _survey(code, points, rng)
    notes += wander.notes
    if reference is None and any(a.spacing > 0 and native.eps < 1e-9 for a, _ in checks):
        notes.append(
            "the loss is computed in few digits, coarser than its parameters: is there a float32 "
            "step, or a rounding, at its end?"
        )
    found = {
        name: _parameter(name, checks, directions, delta) if checks else _on_kink(name)
        for name in native.params
    }
    if structure is not None:
        found = _with_structure(structure, found, checks)
        wrong = {name for name, p in found.items() if p.verdict == FAIL}
        notes += filter(None, [structure.between(wrong)])
    evaluations = sum(landscape.evaluations for landscape, _ in checks)
    forward = None if reference is None else _forward(checks)
    return Report(found, evaluations, len(checks), delta, seed, tuple(notes), forward)


def assert_gradients(*arguments: Any, **options: Any) -> None:
    """`gradcheck`, for a test: raises `AssertionError` with the report unless it passes."""
    gradcheck(*arguments, **options).raise_if_failed()


@dataclass(frozen=True)
class _AtPoint:
    """One parameter at one point: the slopes, and how far the gradient is from each."""

    verdict: str
    bound: float
    norm: float
    oracle: str

    @property
    def relative_bound(self) -> float:
        """The bound over the gradient's norm."""
        return self.bound / self.norm if self.norm else math.inf

    @property
    def certified(self) -> bool:
        return self.oracle != LADDER


def _parameter(
    name: str, checks: list[tuple[Landscape, Shaken]], directions: int, delta: float
) -> ParameterReport:
    """The verdict on one parameter: wrong anywhere is wrong, right somewhere is right."""
    found = [_at_point(a, name, shaken, directions, delta) for a, shaken in checks]
    failing = [k for k, at in enumerate(found) if at.verdict == FAIL]
    if failing:
        at, (landscape, shaken) = found[failing[0]], checks[failing[0]]
        wrong = locate(landscape, name, shaken.gradients[name])
        why = agreed([cause(checks[k][0], name, checks[k][1].gradients) for k in failing])
        return ParameterReport(
            name,
            FAIL,
            at.bound,
            at.relative_bound,
            at.certified,
            at.oracle,
            wrong.index,
            wrong.analytic,
            wrong.numeric,
            wrong.where,
            why,
        )
    at = min(found, key=lambda at: (at.verdict != PASS, at.relative_bound))
    return ParameterReport(name, at.verdict, at.bound, at.relative_bound, at.certified, at.oracle)


def _at_point(
    landscape: Landscape, name: str, shaken: Shaken, directions: int, delta: float
) -> _AtPoint:
    gradients, gradient = shaken.gradients, shaken.gradients[name]
    if gradient.size == 1:
        directions = 1  # there is no other

    def measure() -> tuple[Slope, bool]:
        direction = np.ones(gradient.shape)
        if gradient.size > 1:
            direction = landscape.rng.standard_normal(gradient.shape)
        along = float((gradient * direction).sum())
        slope = landscape.slope(name, direction, along)
        return slope, slope.allows(along)

    measured = [measure() for _ in range(directions)]
    oracle = max((slope.oracle for slope, _ in measured), key=ORACLES.index)
    certified = oracle != LADDER
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
    elif wrong or tolerance > max(_vague(shaken.eps) * size, NOTHING):
        verdict = INCONCLUSIVE
    else:
        verdict = PASS
    bound = 2 * tolerance
    if gradient.size > 1:
        # For v ~ N(0, I) and m of them, P(all |e·v| ≤ 2τ) ≤ (√(2/π) 2τ / ‖e‖)^m, solved for ‖e‖.
        bound *= math.sqrt(2 / math.pi) * delta ** (-1 / directions)
    return _AtPoint(verdict, bound, norm, oracle)


def _survey(
    code: Code, points: int, rng: np.random.Generator
) -> tuple[list[tuple[Landscape, Shaken]], list[str]]:
    """The landscape and the gradients at each point that sits on no kink; notes."""
    checks: list[tuple[Landscape, Shaken]] = []
    seen, notes = [], []
    for number, (point, shaken) in enumerate(_tried(code, points, rng)):
        layers = code.layers_at(point)
        if layers is not None:
            seen.append(layers)
            kink = _kink(layers)
            if kink is not None and number == 0:
                notes.append(f"at the given point {kink}: the loss has a kink there")
            if kink is not None:
                continue
        first = checks[0][0] if checks else None
        checks.append((code.landscape(point, shaken, rng, first), shaken))
    if notes and checks:
        notes.append(f"checked at {len(checks)} nearby points instead")
    return checks, notes + _coverage(seen)


def _require_same(structure: Stack, code: Code) -> None:
    """The structure must be the loss, or what it says of causes would be about something else."""
    point = code.native.arrays()
    try:
        ours, theirs = structure.loss(point), code.loss_at(point)
    except (KeyError, ValueError) as error:
        raise BadInput(
            f"structure must fit params, x and y: {' '.join(str(error).split())}"
        ) from None
    if not abs(ours - theirs) <= 1e4 * code.native.eps * max(abs(ours), abs(theirs)):
        raise BadInput(
            f"structure must be the loss, but gives {ours:.9g} where loss gives {theirs:.9g}: "
            "compare its layers, x and y with the loss's"
        )


def _forward(checks: list[tuple[Landscape, Shaken]]) -> ForwardReport | None:
    """The caller's loss beside the reference, at the point where they are furthest apart."""
    found = [
        ForwardReport(
            PASS if abs(shaken.loss - landscape.value) <= shaken.loss_rounding else FAIL,
            shaken.loss,
            landscape.value,
            shaken.loss_rounding,
        )
        for landscape, shaken in checks
    ]
    return max(found, key=lambda f: (f.verdict == FAIL, abs(f.loss - f.reference)), default=None)


def _with_structure(
    structure: Stack,
    found: dict[str, ParameterReport],
    checks: list[tuple[Landscape, Shaken]],
) -> dict[str, ParameterReport]:
    """A mistake of the catalogue, named at every parameter that it spoils, if all points agree."""
    if all(p.verdict != FAIL for p in found.values()):
        return found
    first, *others = (structure.causes(a.point, shaken.gradients) for a, shaken in checks)
    fits = [sentence for sentence in first if all(sentence in there for there in others)]
    if not fits:
        return found
    why = " Or: ".join(fits)  # where several fit at every point, nobody can tell which it is
    return {n: replace(p, cause=why) if p.verdict == FAIL else p for n, p in found.items()}


def _on_kink(name: str) -> ParameterReport:
    return ParameterReport(name, NONDIFFERENTIABLE, math.inf, math.inf, certified=False)


def _tried(
    code: Code, points: int, rng: np.random.Generator
) -> Iterator[tuple[dict[str, Array], Shaken]]:
    """The given point, then others so near that loss and gradients are finite there."""
    start = code.native.arrays()
    yield start, code.shake(start, rng)
    for _ in range(points - 1 if callable(code.grads) else 0):
        for share in (0.05, 0.01, 0.001):
            moved = {
                name: p + share * (float(abs(p).mean()) or 1.0) * rng.standard_normal(p.shape)
                for name, p in start.items()
            }
            point = code.native.rounded(moved)
            shaken = None
            with suppress(Exception), np.errstate(all="ignore"):  # not defined there
                shaken = code.shake(point, rng)
            if shaken is not None and shaken.is_finite:
                yield point, shaken
                break


def _kink(layers: dict[str, Array]) -> str | None:
    """Where a pre-activation is exactly 0."""
    for layer, a in layers.items():
        zeros = np.argwhere(a == 0)
        if len(zeros):
            place = [int(i) for i in zeros[0]]
            more = f", as {len(zeros) - 1} more are" if len(zeros) > 1 else ""
            after = ""
            if (a >= 0).all():
                after = " (are these the ReLU's outputs? activations must be what enters it)"
            return f"the pre-activation {layer}{place} (sample, unit) is exactly 0{more}{after}"
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
