"""The main job: train the stages on one problem and prove them equal, or say which is wrong where.

Five independent checks: stage 1's gradients proved in exact arithmetic, every stage against the
network that `exact` worked in fractions, stage 1 against central differences of its own loss,
values and gradients against stage 1's at several points, and the whole run against stage 1's. The
first three do not trust stage 1, so that an error in it is not blamed on the others.
"""

import math
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from handgrad import exact
from handgrad.checker.slopes import Slopes
from handgrad.errors import BadInput
from handgrad.history import Epoch
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
from handgrad.stages import REFERENCE, STAGES, Stage, load, require_device
from handgrad.training import Run, train

EQUAL, NOT_EQUAL, UNDECIDED = "equal", "not equal", "undecided"

ALL = "all"
"""Stands for the stage where a run decides nothing."""


@dataclass(frozen=True)
class Comparison:
    """What one stage has, beside what a witness has; `ok` unless the stage is to blame.

    check: "proof", "exact", "finite difference", "forward", "gradient" or "run"; quantity: a1, h1,
    f, L, a gradient dW1 … db2, a parameter W1 … b2, or "" where the stage raised an exception;
    index: of the largest difference (for a run, of the largest when it left the bound); message:
    one line that says what is wrong, empty where nothing is; stage: "all" where a run decides
    nothing.
    """

    stage: str
    check: str
    quantity: str
    max_abs_diff: float = math.inf
    bound: float = 0.0
    index: tuple[int, ...] = ()
    got: float | None = None
    expected: float | None = None
    epoch: int | None = None
    step: int | None = None
    message: str = ""

    @property
    def ok(self) -> bool:
        """Whether the stage is right here; a comparison is true where this is."""
        return not self.message

    def __bool__(self) -> bool:
        return self.ok


@dataclass(frozen=True, eq=False)
class Verification:
    """Everything that `verify` measured, the failures among it, and the runs, by stage.

    proof: of stage 1's gradients; or why there is none.
    """

    problem: Problem
    stages: tuple[str, ...]
    comparisons: tuple[Comparison, ...]
    runs: Mapping[str, Run]
    proof: exact.Proof | str

    @property
    def failures(self) -> list[Comparison]:
        """What does not hold: the largest difference of each stage, check and quantity."""
        found: dict[tuple[str, str, str], Comparison] = {}
        for c in self.comparisons:
            key = c.stage, c.check, c.quantity
            if not c.ok and (key not in found or c.max_abs_diff > found[key].max_abs_diff):
                found[key] = c
        return list(found.values())

    @property
    def verdict(self) -> str:
        """`EQUAL`; `NOT_EQUAL` where a stage is to blame; else, where runs decide nothing,
        `UNDECIDED`.
        """
        if not self.failures:
            return EQUAL
        return UNDECIDED if all(c.stage == ALL for c in self.failures) else NOT_EQUAL

    @property
    def ok(self) -> bool:
        """Whether every bound held; a verification is true where this is."""
        return self.verdict == EQUAL

    def __bool__(self) -> bool:
        return self.ok

    def largest(self, stage: str, check: str, quantity: str | None = None) -> Comparison | None:
        """The largest difference of a stage in a check, a failure first; None where none is."""
        found = (
            c
            for c in self.comparisons
            if (c.stage, c.check) == (stage, check) and quantity in (None, c.quantity)
        )
        return max(found, key=lambda c: (not c.ok, c.max_abs_diff), default=None)


def verify(
    problem: Problem,
    stages: Sequence[str | Stage] = STAGES,
    *,
    device: str = "cpu",
    patterns: int | None = None,
    on_epoch: Callable[[str, int, Epoch], None] | None = None,
) -> Verification:
    """Hold the stages, and engines of your own, to stage 1 and to the three other witnesses.

    device: where the tensors live; patterns: how many are drawn for the proof of stage 1, as many
    as take less than a second where left out; on_epoch: called with the stage's name, the epoch and
    its row of the history. Raises `BadInput` for an unknown stage or a device that is not there;
    whatever an engine raises while it is at work is a failure of that engine.

    >>> from handgrad import Config, make_problem
    >>> verify(make_problem(Config(epochs=2)), ["pytorch_no_autograd"]).ok
    True
    """
    stages = [stages] if isinstance(stages, str) else list(stages)
    if not stages:
        raise BadInput("stages must name at least one to hold to stage 1, got none")
    engines = _by_name([REFERENCE, *stages])
    dtype = problem.config.dtype
    for engine in engines.values():
        require_device(engine, device, dtype)
    if patterns is not None and patterns < 1:
        raise BadInput(f"prove must be a whole number of at least 1, got {patterns}")
    comparisons: list[Comparison] = []
    for name, engine in engines.items():
        comparisons += _guarded(name, "exact", check_exact(engine, dtype, device))
    finite_differences = check_finite_differences(engines[REFERENCE], problem)
    comparisons += _guarded(REFERENCE, "finite difference", finite_differences)
    suspects = {c.stage for c in comparisons if not c.ok}
    comparisons += check_points(engines, problem, device, suspects)
    runs, failures = train_all(engines, problem, device, on_epoch)
    comparisons += [*failures, *check_runs(runs, problem, suspects)]
    proof = prove_reference(engines[REFERENCE], problem, patterns)  # last: an engine may remember
    comparisons += _refutation(proof)
    return Verification(problem, tuple(engines), tuple(comparisons), runs, proof)


def _by_name(stages: Sequence[str | Stage]) -> dict[str, Stage]:
    """The engines by name. Raises `BadInput` where two, or one and a stage, have the same name."""
    engines: dict[str, Stage] = {}
    for engine in map(load, stages):
        name = engine.name
        others = [engines.get(name, engine), load(name) if name in STAGES else engine]
        if any(other is not engine for other in others):
            raise BadInput(
                f"an engine must have a name of its own, got another {name!r}: rename it"
            )
        engines[name] = engine
    return engines


def prove_reference(engine: Stage, problem: Problem, patterns: int | None) -> exact.Proof | str:
    """Stage 1's gradients, proved at sizes near the problem's; or why they cannot be."""
    h = min(problem.config.hidden, 256)
    B = max(2, min(7, problem.config.batch_size, 512 // h))
    draws = max(1, min(20, 1200 // (h * B))) if patterns is None else patterns
    try:
        return exact.prove_stage(engine, h, B, draws=draws, seed=problem.config.seed)
    except Exception as error:  # it cannot be run on exact numbers; the other witnesses can
        return " ".join(str(error).split())


def _refutation(proof: exact.Proof | str) -> Iterator[Comparison]:
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
    yield _compare(engine.name, "exact", "h1", found, right, 0.0, "fractions give")
    expected = w.forward | dict(zip(GRADIENTS, w.gradients, strict=True)) | w.after._asdict()
    for quantity, array in expected.items():
        bound = POINT_FLOOR[dtype] if quantity in params._fields and dtype == "float32" else 0.0
        witness = "fractions give"
        right = array.astype(dtype)
        yield _compare(engine.name, "exact", quantity, got[quantity], right, bound, witness)


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
            yield _compare(stage.name, "finite difference", quantity, got, slopes, bound, witness)


def check_points(
    engines: Mapping[str, Stage], problem: Problem, device: str, suspects: Collection[str] = ()
) -> Iterator[Comparison]:
    """Values and gradients against stage 1's at several points."""
    for point in random_points(problem):
        seen = {}
        for name, engine in engines.items():
            try:
                seen[name] = values(engine, point, device)
            except Exception as error:
                yield _raised(name, "gradient", error)
        if REFERENCE not in seen:
            continue
        for quantity, bound in point_bounds(point).items():
            yield from _blame(list(seen), partial(_compare_values, seen, quantity, bound), suspects)


def train_all(
    engines: Mapping[str, Stage],
    problem: Problem,
    device: str,
    on_epoch: Callable[[str, int, Epoch], None] | None = None,
) -> tuple[dict[str, Run], list[Comparison]]:
    """The recorded runs, and a failure for every engine that could not be trained."""
    runs, failures = {}, []
    for name, engine in engines.items():
        told: list[Exception] = []

        def tell(epoch: int, row: Epoch, name: str = name, told: list[Exception] = told) -> None:
            try:
                if on_epoch is not None:
                    on_epoch(name, epoch, row)
            except Exception as error:
                told.append(error)
                raise

        try:
            runs[name] = train(problem, engine, device=device, record=True, on_epoch=tell)
        except Exception as error:
            if error in told:  # the caller's, not the engine's
                raise
            failures.append(_raised(name, "run", error))
    return runs, failures


def check_runs(
    runs: Mapping[str, Run], problem: Problem, suspects: Collection[str] = ()
) -> Iterator[Comparison]:
    """The parameters after every step against stage 1's."""
    if REFERENCE not in runs:
        return
    bound = run_bound(problem, runs[REFERENCE])
    yield from _blame(list(runs), partial(_compare_runs, runs, bound), suspects)
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


def _blame(
    names: list[str], compare: Callable[[str, str], Comparison], suspects: Collection[str]
) -> Iterator[Comparison]:
    """Each stage beside stage 1; where stage 1 is the odd one out, the blame is its own.

    It is where all the others differ from it, and either it failed a check of its own or they
    agree with each other; unless it is they who failed checks of their own.
    """
    found = [compare(name, REFERENCE) for name in names]
    others = [name for name in names if name != REFERENCE]
    stages = [name for name in others if name in STAGES]  # engines of one author prove nothing
    away = {c.stage for c in found if not c.ok}
    if others and away >= set(others) and not away <= set(suspects):
        united = len(stages) > 1 and all(compare(name, stages[0]).ok for name in stages[1:])
        if REFERENCE in suspects or united:
            found = [replace(c, message="") for c in found]
            yield compare(REFERENCE, others[0])
    yield from found


def _compare(
    stage: str, check: str, quantity: str, got: Array, expected: Array, bound: float, witness: str
) -> Comparison:
    """Shape and dtype first, then the entries. witness: who has `expected`, with its verb."""
    for what in ("shape", "dtype"):
        has, must = getattr(got, what), getattr(expected, what)
        if has != must:
            message = f"{stage}: {quantity} has {what} {has}, must have {must}"
            return Comparison(stage, check, quantity, math.inf, bound, message=message)
    gaps = np.where(np.isfinite(got), abs(got - expected), math.inf)
    index = tuple(map(int, np.unravel_index(gaps.argmax(), gaps.shape)))
    gap, one, other = (float(a[index]) for a in (gaps, got, expected))
    message = (
        ""
        if gap <= bound
        else f"{stage}: {label(quantity, index)} is {one:.17g}, {witness} {other:.17g} "
        f"({check}; {gap:.1e} apart, the bound is {bound:.1e})"
    )
    return Comparison(stage, check, quantity, gap, bound, index, one, other, message=message)


def _compare_values(
    seen: Mapping[str, Mapping[str, Array]], quantity: str, bound: float, stage: str, witness: str
) -> Comparison:
    check = "forward" if quantity in FORWARD else "gradient"
    got, expected = seen[stage][quantity], seen[witness][quantity]
    return _compare(stage, check, quantity, got, expected, bound, f"{witness} has")


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


def _raised(stage: str, check: str, error: Exception) -> Comparison:
    said = " ".join(str(error).split())
    message = f"{stage}: raised {type(error).__name__} ({check}): {said}"
    return Comparison(stage, check, "", message=message)


def _guarded(stage: str, check: str, found: Iterator[Comparison]) -> Iterator[Comparison]:
    """What was found, and a failure of the stage if it raised on the way."""
    try:
        yield from found
    except Exception as error:
        yield _raised(stage, check, error)


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


def label(quantity: str, index: Sequence[int]) -> str:
    """A quantity with its index, as one writes it.

    >>> label("dW1", (3, 0)), label("L", ())
    ('dW1[3, 0]', 'L')
    """
    return f"{quantity}[{', '.join(map(str, index))}]" if index else quantity
