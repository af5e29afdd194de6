"""Do two engines agree? At single points, and along a whole run.

Two right engines differ by rounding alone, so every bound here is made from the arithmetic:
`point_bounds` for values and gradients, `run_bound` for the parameters of a training.
"""

import math
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from handgrad.problem import Array, BadInput, Parameters, Problem
from handgrad.stages import REFERENCE, Stage, load
from handgrad.training import Run, train

FORWARD = ("a1", "h1", "f", "L")
GRADIENTS = ("dW1", "db1", "dW2", "db2")

POINT_FLOOR = {"float64": 2e-14, "float32": 2e-14 * 2.0**29}
"""The least bound on values and gradients; float32 has 29 bits fewer than float64."""

RUN_FLOOR = {"float64": 1e-12, "float32": 1e-5}
RUN_LIMIT = {"float64": 1e-9, "float32": 1e-3}
"""The least bound on a run, and the largest at which "equal" still means something."""


class Point(NamedTuple):
    """Where two engines are compared: a batch x (B, 2), y (B, 1), and parameters."""

    x: Array
    y: Array
    params: Parameters


def random_points(problem: Problem) -> list[Point]:
    """The initial network and four with random weights and biases, on batches of four sizes.

    The biases are random because zeros hide mistakes: with b1 = 0 and x = 0, say, every unit sits
    on its kink.
    """
    c = problem.config
    # A stream of its own: the problem's three are spawned from the same seed by other keys.
    rng = np.random.default_rng(np.random.SeedSequence(c.seed, spawn_key=(3,)))
    points = [Point(problem.x_train, problem.y_train, problem.params)]
    for size in (c.n_train, c.batch_size, min(3, c.n_train), 1):
        rows = rng.permutation(c.n_train)[:size]
        shapes = [p.shape for p in problem.params]
        fan_in = (2, 2, c.hidden, c.hidden)  # a bias as large as a weight beside it
        draws = (
            (rng.standard_normal(shape) * math.sqrt(2 / n)).astype(c.dtype)
            for shape, n in zip(shapes, fan_in, strict=True)
        )
        points.append(Point(problem.x_train[rows], problem.y_train[rows], Parameters(*draws)))
    return points


def values(stage: Stage, point: Point, device: str = "cpu") -> dict[str, Array]:
    """What the stage computes there: a1, h1, f, L, dW1, db1, dW2, db2."""
    x, y, *params = (stage.to_native(a, device) for a in (point.x, point.y, *point.params))
    a1, h1, f = stage.forward(x, *params)
    native = (a1, h1, f, stage.loss(f, y), *stage.backward(x, y, *params))
    for name, value in zip((*FORWARD, *GRADIENTS), native, strict=True):
        if value is None:
            raise ValueError(f"{name} is None: nothing reached it")
    arrays = (np.array(stage.to_numpy(v)) for v in native)
    return dict(zip((*FORWARD, *GRADIENTS), arrays, strict=True))


def point_bounds(point: Point) -> dict[str, float]:
    """How far rounding may carry two right engines apart at this point, by quantity.

    The larger of `POINT_FLOOR` and (4 + n / 4) u S. S is the sum of the magnitudes that were added
    up: the same network with every number replaced by its absolute value. n additions lead from x
    to the quantity, each with a rounding error of up to u = ε/2 (Higham 2002, Accuracy and
    Stability of Numerical Algorithms, 4.2). The libraries add in interleaved chains: in 3,000
    random networks of all sizes n / 6 was seen, where all samples are alike, the worst case.
    """
    x, y, params = point
    u = float(np.finfo(x.dtype).eps) / 2
    magnitudes = Point(abs(x), -abs(y), Parameters(*map(abs, params)))  # f − (−|y|) = f + |y|
    sums = values(load(REFERENCE), magnitudes)
    to_a1, to_f = 3, 3 + len(params.b1) + 1
    additions = {"a1": to_a1, "h1": to_a1, "f": to_f}
    floor = POINT_FLOOR[x.dtype.name]
    return {
        name: max(floor, (4 + additions.get(name, to_f + len(x)) / 4) * u * float(S.max()))
        for name, S in sums.items()
    }


def run_bound(problem: Problem, run: Run | None = None) -> float:
    """How far rounding may carry two right engines apart along the run.

    The larger of `RUN_FLOOR`, for parameters up to 4 and in proportion beyond, and 50 times how far
    stage 1 moves from itself in two experiments: when it adds up the samples of every batch, and
    its hidden units, in the reverse order; and when its initial parameters become the next number.
    run: stage 1's recorded run of the problem, made here when left out.
    """
    run = run or train(problem, record=True)
    nudged = Parameters(*(np.nextafter(p, np.inf, dtype=p.dtype) for p in problem.params))
    others = [train(p, record=True) for p in (_backwards(problem), replace(problem, params=nudged))]
    if any(r.diverged_at is not None for r in (run, *others)):
        return math.inf
    base, turned, moved = (_recorded(r) for r in (run, *others))
    columns = np.arange(4 * problem.config.hidden + 1)
    turned = turned[:, np.concatenate([p.ravel() for p in _reverse_units(_split(columns))])]
    floor = RUN_FLOOR[problem.config.dtype] * max(1.0, float(abs(base).max()) / 4)
    noise = float(abs(base - moved).max())
    # In one step rounding does not go far: a stage 1 that does depends on the order by mistake.
    if float(abs(base - turned)[:2].max()) <= floor:
        noise = max(noise, float(abs(base - turned).max()))
    return max(floor, 50 * noise)


def _backwards(problem: Problem) -> Problem:
    """The same sums in the reverse order: each batch's samples, and the hidden units."""
    order, size = problem.order.copy(), problem.config.batch_size
    for i in range(0, problem.config.n_train, size):
        order[:, i : i + size] = problem.order[:, i : i + size][:, ::-1]
    return replace(problem, params=_reverse_units(problem.params), order=order)


def _recorded(run: Run) -> Array:
    if run.trajectory is None:
        raise BadInput("both runs must be recorded: train them with record=True")
    return run.trajectory


@dataclass(frozen=True)
class Agreement:
    """What the comparison of two runs gave.

    verdict: "equal", "different", or "not decidable" where rounding alone carries two right
    engines so far apart that a mistake of 1e-9 (float32: 1e-3) could hide; max_abs_diff: over all
    parameters and steps; bound: see `run_bound`. Where a run left the bound: parameter, index,
    epoch and step, and what run and reference held there.
    """

    verdict: str
    max_abs_diff: float
    bound: float
    parameter: str | None = None
    index: tuple[int, ...] = ()
    epoch: int | None = None
    step: int | None = None
    got: float | None = None
    expected: float | None = None


def agreement(run: Run, reference: Run, bound: float | None = None) -> Agreement:
    """Do two recorded runs of one problem agree after every step?

    bound: the largest difference allowed, made by `run_bound` when left out. Raises `BadInput`
    for runs of two problems, and for runs that were not recorded.

    >>> from handgrad import Config, make_problem, train
    >>> problem = make_problem(Config(epochs=2))
    >>> by_hand = train(problem, record=True)
    >>> agreement(by_hand, by_hand).verdict
    'equal'
    """
    problem = reference.problem
    if run.problem is not problem and (
        run.problem.config != problem.config or run.problem.digest() != problem.digest()
    ):
        raise BadInput("both runs must be of one problem: make it once and train both on it")
    one, other = _recorded(run), _recorded(reference)
    bound = run_bound(problem) if bound is None else bound
    both = min(len(one), len(other))
    gaps = abs(one[:both] - other[:both])
    gaps = np.where(np.isfinite(gaps), gaps, math.inf)  # NaN is within no bound
    largest = float(gaps.max())
    if not bound <= RUN_LIMIT[problem.config.dtype]:
        return Agreement("not decidable", largest, bound)
    outside = gaps.max(axis=1) > bound
    if not outside.any():
        if run.steps == reference.steps:
            return Agreement("equal", largest, bound)
        epoch = _epoch(both, problem)
        return Agreement("different", math.inf, bound, epoch=epoch, step=both)
    step = int(outside.argmax())
    column = int(gaps[step].argmax())
    parameter, index = locate(column, problem.config.hidden)
    got, expected = float(one[step, column]), float(other[step, column])
    epoch = _epoch(step, problem)
    return Agreement("different", largest, bound, parameter, index, epoch, step, got, expected)


def locate(column: int, hidden: int) -> tuple[str, tuple[int, ...]]:
    """Which parameter and index a trajectory's column holds.

    >>> locate(5, hidden=2)
    ('b1', (1,))
    """
    for name, columns in _split(np.arange(4 * hidden + 1))._asdict().items():
        where = np.argwhere(columns == column)
        if len(where):
            return name, tuple(map(int, where[0]))
    raise BadInput(f"column must be below {4 * hidden + 1}, got {column}")


def _split(flat: Array) -> Parameters:
    h = len(flat) // 4
    W1, b1, W2, b2 = np.split(flat, [2 * h, 3 * h, 4 * h])
    return Parameters(W1.reshape(h, 2), b1, W2.reshape(1, h), b2)


def _reverse_units(p: Parameters) -> Parameters:
    return Parameters(p.W1[::-1], p.b1[::-1], p.W2[:, ::-1], p.b2)


def _epoch(step: int, problem: Problem) -> int:
    return -(-step // problem.config.steps_per_epoch)
