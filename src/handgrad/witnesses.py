"""The witnesses: what each stage is held to.

Five independent checks: stage 1's gradients proved in exact arithmetic, every stage against the
network that `exact` worked in fractions, stage 1 against central differences of its own loss,
values and gradients against stage 1's at several points, and the whole run against stage 1's. The
first three do not trust stage 1, so that an error in it is not blamed on the others.
"""

import math
from collections import deque
from collections.abc import Collection, Iterator, Mapping
from functools import partial

import numpy as np

from handgrad import exact
from handgrad.checker.slopes import Slopes
from handgrad.comparison import ALL, Comparison, blamed, compare, label, raised
from handgrad.parity import (
    FORWARD,
    GRADIENTS,
    POINT_FLOOR,
    Point,
    agreement,
    point_bounds,
    random_points,
    run_bound,
    values,
)
from handgrad.problem import Array, Parameters, Problem
from handgrad.rounding import RUN_LIMIT
from handgrad.stages import BREAKS, REFERENCE, Stage
from handgrad.training import Run


def prove_reference(engine: Stage, problem: Problem, patterns: int | None) -> exact.Proof | str:
    """Stage 1's gradients, proved at sizes near the problem's; or why they cannot be."""
    h = min(problem.config.hidden, 256)
    B = max(2, min(7, problem.config.batch_size, 512 // h))
    draws = max(1, min(20, 1200 // (h * B))) if patterns is None else patterns
    try:
        return exact.prove_stage(engine, h, B, draws=draws, seed=problem.config.seed)
    except BREAKS as error:  # it cannot be run on exact numbers; the other witnesses can
        return " ".join(str(error).split())


def refutation(proof: exact.Proof | str) -> Iterator[Comparison]:
    if isinstance(proof, exact.Proof) and proof.refuted is not None:
        wrong = proof.refuted
        given, right = float(wrong.given), float(wrong.right)
        yield Comparison(
            REFERENCE,
            "proof",
            f"d{wrong.name}",
            abs(given - right),
            0.0,
            wrong.index,
            given,
            right,
            message=f"{REFERENCE}: refuted in exact arithmetic: d{wrong}",
        )


def check_exact(engine: Stage, dtype: str, device: str) -> Iterator[Comparison]:
    """Against the network worked in fractions: values, gradients, parameters after one epoch.

    To the last bit, but for the parameters in float32, which have not room for all their digits.
    """
    w = exact.worked()
    x, y = w.x.astype(dtype), w.y.astype(dtype)
    params = Parameters(*(p.astype(dtype) for p in w.params))
    batch = Point(x[: exact.BATCH_SIZE], y[: exact.BATCH_SIZE], params)
    got = values(engine, batch, device)
    order = np.arange(len(x))[np.newaxis]
    given = dict(zip((*params._fields, "x", "y", "order"), (*params, x, y, order), strict=True))
    native = {name: engine.to_native(a, device) for name, a in given.items()}
    shared = [n for n, a in given.items() if np.shares_memory(engine.to_numpy(native[n]), a)]
    start = tuple(native[name] for name in params._fields)
    rest = (native["x"], native["y"], native["order"], exact.BATCH_SIZE, float(exact.LR))
    updates = deque(engine.sgd(start, *rest), maxlen=1)
    if not updates:
        raise ValueError("sgd yielded nothing")
    changed = [n for n, a in given.items() if not np.array_equal(engine.to_numpy(native[n]), a)]
    for names, what in ((shared, "to_native must copy"), (changed, "sgd must not change")):
        if names:
            message = f"{engine.name}: {what} the arrays it receives, and does not: {names}"
            yield Comparison(engine.name, "exact", names[0], message=message)
    got |= {q: engine.to_numpy(p) for q, p in zip(params._fields, updates[-1], strict=True)}
    # Far from 0 too, and still exact: times a power of two.
    far = batch._replace(
        x=x[: exact.BATCH_SIZE] * 4096, params=params._replace(b1=params.b1 * 4096)
    )
    found, right = values(engine, far, device)["h1"], (w.forward["h1"] * 4096).astype(dtype)
    yield compare(engine.name, "exact", "h1", found, right, 0.0, "fractions give")
    expected = w.forward | dict(zip(GRADIENTS, w.gradients, strict=True)) | w.after._asdict()
    for quantity, array in expected.items():
        bound = POINT_FLOOR[dtype] if quantity in params._fields and dtype == "float32" else 0.0
        witness = "fractions give"
        right = array.astype(dtype)
        yield compare(engine.name, "exact", quantity, got[quantity], right, bound, witness)


def check_finite_differences(stage: Stage, problem: Problem) -> Iterator[Comparison]:
    """Stage 1's gradients against slopes of its own loss, entry by entry, by the gradient checker.

    In float64, with steps that cross no kink, and at the most 64 entries a parameter.
    """
    for x, y, params in random_points(problem)[1:]:
        point = Point(x[:32], y[:32], params)
        gradients, bounds = values(stage, point), point_bounds(point)
        near = _slopes_of(stage, point)
        for quantity, name in zip(GRADIENTS, params._fields, strict=True):
            got = gradients[quantity].astype(np.float64)
            slopes, tolerance = _entries(near, name, got)
            bound, witness = tolerance + bounds[quantity], "central differences give"
            yield compare(stage.name, "finite difference", quantity, got, slopes, bound, witness)


def check_points(
    engines: Mapping[str, Stage], problem: Problem, device: str, suspects: Collection[str] = ()
) -> Iterator[Comparison]:
    """Values and gradients against stage 1's at several points."""
    for point in random_points(problem):
        seen = {}
        for name, engine in engines.items():
            try:
                seen[name] = values(engine, point, device)
            except BREAKS as error:
                yield raised(name, "gradient", error)
        if REFERENCE not in seen:
            continue
        finite = all(np.isfinite(array).all() for array in seen[REFERENCE].values())
        if not finite and REFERENCE not in suspects:  # numbers beyond the dtype: nothing is decided
            continue
        for quantity, bound in point_bounds(point).items():
            yield from blamed(list(seen), partial(_compare_values, seen, quantity, bound), suspects)


def check_runs(
    runs: Mapping[str, Run], problem: Problem, suspects: Collection[str] = ()
) -> Iterator[Comparison]:
    """The parameters after every step against stage 1's."""
    if REFERENCE not in runs:
        return
    bound = run_bound(problem, runs[REFERENCE])
    yield from blamed(list(runs), partial(_compare_runs, runs, bound), suspects)
    limit = RUN_LIMIT[problem.config.dtype]
    if bound > limit and not suspects:
        why = (
            f"rounding alone may carry two right ones {bound:.1e} apart, so that a mistake of "
            f"{limit:.0e} could hide"
            if math.isfinite(bound)
            else "the training diverges"
        )
        message = (
            f"all: the runs are not decidable at a learning rate of {problem.config.lr:g}: {why}"
        )
        yield Comparison(ALL, "run", "", bound=bound, message=f"{message}; try a smaller rate")


def _compare_values(
    seen: Mapping[str, Mapping[str, Array]], quantity: str, bound: float, stage: str, witness: str
) -> Comparison:
    check = "forward" if quantity in FORWARD else "gradient"
    got, expected = seen[stage][quantity], seen[witness][quantity]
    return compare(stage, check, quantity, got, expected, bound, f"{witness} has")


def _compare_runs(runs: Mapping[str, Run], bound: float, stage: str, witness: str) -> Comparison:
    run, reference = runs[stage], runs[witness]
    a = agreement(run, reference, bound)
    if a.verdict != "different":
        message = ""
    elif a.parameter is None:
        message = (
            f"{stage}: the run ended after {run.steps} steps, {witness}'s after {reference.steps}"
        )
    else:
        message = (
            f"{stage}: {label(a.parameter, a.index)} left the bound {bound:.1e} in epoch "
            f"{a.epoch}, step {a.step}: it is {a.got:.17g}, {witness} has {a.expected:.17g}"
        )
    return Comparison(
        stage,
        "run",
        a.parameter or "",
        a.max_abs_diff,
        bound,
        a.index,
        a.got,
        a.expected,
        a.epoch,
        a.step,
        message,
    )


def _slopes_of(stage: Stage, point: Point) -> Slopes:
    """Stage 1's loss around the point, in float64."""
    x, y = point.x.astype(np.float64), point.y.astype(np.float64)
    params = {name: p.astype(np.float64) for name, p in point.params._asdict().items()}
    return Slopes(
        lambda p: float(stage.loss(stage.forward(x, **p)[2], y)),
        params,
        lambda p: stage.forward(x, **p)[0].ravel(),
    )


def _entries(near: Slopes, name: str, gradient: Array) -> tuple[Array, float]:
    """∂L/∂name at 64 entries spread evenly, `gradient`'s own elsewhere; the largest tolerance."""
    shape = near.point[name].shape
    slope_of = near.method(name, np.random.default_rng(0))
    slopes, tolerance = gradient.copy() if gradient.shape == shape else np.zeros(shape), 0.0
    for entry in np.unique(np.linspace(0, slopes.size - 1, 64).astype(int)):
        direction = np.zeros(shape)
        direction.flat[entry] = 1
        slope = slope_of(direction)
        slopes.flat[entry], tolerance = slope.value, max(tolerance, slope.tolerance)
    return slopes, tolerance
