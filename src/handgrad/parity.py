"""Do two engines agree? At single points, and along a whole run.

Two right engines differ by rounding alone, so every bound here is made from the arithmetic, see
`handgrad.rounding`: `point_bounds` for values and gradients, `run_bound` for the parameters of a
training.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from handgrad import rounding
from handgrad.errors import BadInput
from handgrad.inputs import is_number, require_type, shown
from handgrad.problem import Array, Parameters, Problem
from handgrad.rounding import RUN_FLOOR, RUN_LIMIT
from handgrad.stages import REFERENCE, Stage, load
from handgrad.training import ROOM, Run, train

FORWARD = ("a1", "h1", "f", "L")
GRADIENTS = ("dW1", "db1", "dW2", "db2")

POINT_FLOOR = {"float64": 2e-14, "float32": 2e-14 * 2.0**29}
"""The least bound on values and gradients; float32 has 29 bits fewer than float64."""


class Point(NamedTuple):
    """Where two engines are compared: a batch x (B, 2), y (B, 1), and parameters."""

    x: Array
    y: Array
    params: Parameters


def random_points(problem: Problem) -> list[Point]:
    """The initial network and four with random weights and biases, on batches of four sizes.

    The largest batch is the whole training set, or as many samples of it as make `ROOM` numbers of
    h1. The biases are random because zeros hide mistakes: with b1 = 0 and x = 0, say, every unit
    sits on its kink.
    """
    c = problem.config
    # A stream of its own: the problem's three are spawned from the same seed by other keys.
    rng = np.random.default_rng(np.random.SeedSequence(c.seed, spawn_key=(3,)))
    most = min(c.n_train, max(1, ROOM // c.hidden))
    points = [Point(problem.x_train[:most], problem.y_train[:most], problem.params)]
    for size in (most, min(most, c.batch_size), min(3, most), 1):
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

    The larger of `POINT_FLOOR` and `rounding.point_bounds`.
    """
    floor = POINT_FLOOR[point.x.dtype.name]
    bounds = rounding.point_bounds(point.x, point.y, *point.params)
    return {name: max(floor, bounds[name]) for name in (*FORWARD, *GRADIENTS)}


def run_bound(problem: Problem, run: Run | None = None) -> float:
    """How far rounding may carry two right engines apart along the run: `rounding.run_bound`.

    run: stage 1's recorded run of the problem, made here when left out.
    """
    p, c = problem, problem.config
    if c.epochs == 0:
        return RUN_FLOOR[c.dtype]
    run = run or train(problem, record=True)
    if run.diverged_at is not None:
        return math.inf
    order = np.asarray(p.order)  # the recorded runs are no smaller
    given = p.params, p.x_train, p.y_train, order, c.batch_size, c.lr
    return rounding.run_bound(load(REFERENCE).sgd, *given, split(recorded(run)[1:]))


def recorded(run: Run) -> Array:
    """(steps + 1, 4h + 1): all parameters before the first step and after every one."""
    if run.trajectory is None:
        raise BadInput("both runs must be recorded: train them with record=True")
    return run.trajectory


@dataclass(frozen=True)
class Agreement:
    """What the comparison of two runs gave.

    >>> from handgrad import Config, make_problem, train
    >>> run = train(make_problem(Config(epochs=1)), record=True)
    >>> found = agreement(run, run)
    >>> found.ok, found.verdict, found.max_abs_diff, found.bound
    (True, 'equal', 0.0, 1e-12)

    Attributes:
        verdict: "equal", "different", or "not decidable" where rounding alone carries two right
            engines so far apart that a mistake of 1e-9 (float32: 1e-3) could hide.
        max_abs_diff: over all parameters and steps.
        bound: how far rounding may carry two right engines apart: `handgrad.rounding.run_bound`.
        parameter: where the run left the bound: W1, b1, W2 or b2.
        index: the entry of the parameter.
        epoch: in which it happened, the first is 1.
        step: after which update.
        got: what the run held there.
        expected: what the reference held there.
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

    @property
    def ok(self) -> bool:
        """Whether the verdict is "equal"; an agreement is true where this is."""
        return self.verdict == "equal"

    def __bool__(self) -> bool:
        return self.ok


def agreement(run: Run, reference: Run, bound: float | None = None) -> Agreement:
    """Do two recorded runs of one problem agree after every step?

    >>> from handgrad import Config, make_problem, train
    >>> problem = make_problem(Config(epochs=2))
    >>> by_hand = train(problem, record=True)
    >>> agreement(by_hand, by_hand).verdict
    'equal'

    Args:
        run: from `train(…, record=True)`.
        reference: another of the same problem, to which it is held.
        bound: the largest difference allowed, made by `run_bound` where left out.

    Returns:
        An `Agreement`, which is true if they are equal.

    Raises:
        BadInput: for runs of two problems, and for runs that were not recorded.
    """
    require_type("run", run, Run)
    require_type("reference", reference, Run)
    if bound is not None and not (is_number(bound) and bound >= 0):
        raise BadInput(f"bound must be a number of at least 0, got {shown(bound)}")
    problem = reference.problem
    if run.problem is not problem and (
        run.problem.config != problem.config or run.problem.digest() != problem.digest()
    ):
        raise BadInput("both runs must be of one problem: make it once and train both on it")
    one, other = recorded(run), recorded(reference)
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
    parameter, index = parameter_at(column, problem.config.hidden)
    got, expected = float(one[step, column]), float(other[step, column])
    epoch = _epoch(step, problem)
    return Agreement("different", largest, bound, parameter, index, epoch, step, got, expected)


def parameter_at(column: int, hidden: int) -> tuple[str, tuple[int, ...]]:
    """Which parameter and index a trajectory's column holds.

    >>> parameter_at(5, hidden=2)
    ('b1', (1,))
    """
    for name, columns in split(np.arange(4 * hidden + 1))._asdict().items():
        where = np.argwhere(columns == column)
        if len(where):
            return name, tuple(map(int, where[0]))
    raise BadInput(f"column must be below {4 * hidden + 1}, got {column}")


def split(flat: Array) -> Parameters:
    """The parameters (…, 4h + 1) in a row, as four arrays with the same leading axes."""
    h, ahead = flat.shape[-1] // 4, flat.shape[:-1]
    W1, b1, W2, b2 = np.split(flat, [2 * h, 3 * h, 4 * h], axis=-1)
    return Parameters(W1.reshape(*ahead, h, 2), b1, W2.reshape(*ahead, 1, h), b2)


def _epoch(step: int, problem: Problem) -> int:
    return -(-step // problem.config.steps_per_epoch)
