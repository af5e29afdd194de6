"""The bounds on rounding: right code stays below them, a small mistake does not."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from handgrad import Config, make_problem
from handgrad.parity import run_bound as bound_of
from handgrad.problem import Array
from handgrad.rounding import apart, point_bounds, record, run_bound, slope_bound
from handgrad.stages import load
from handgrad.stages.numpy_manual import backward, forward, loss, sgd

Five = tuple[Array, Array, Array, Array, Array, Array]


def network(seed: int, B: int, h: int, dtype: str, sd: float | None = None) -> Five:
    """A batch and parameters; sd None: He's weights, as in a problem."""
    p = make_problem(Config(seed=seed, hidden=h, init="he" if sd is None else f"normal:{sd}"))
    rng = np.random.default_rng(seed)
    params = [q + 0.1 * rng.standard_normal(q.shape) for q in p.params]
    far = np.argsort(-abs(forward(p.x_train, *params)[0]).min(axis=1))[:B]  # from every kink
    return tuple(a.astype(dtype) for a in (p.x_train[far], p.y_train[far], *params))  # type: ignore[return-value]


def slopes(point: Five, step: float) -> list[Array]:
    """Central differences of the loss in every entry of W1, b1, W2, b2."""
    x, y, *params = (a.copy() for a in point)
    found = []
    for p in params:
        slope = np.zeros_like(p)
        for index in np.ndindex(p.shape):
            was, ends = p[index], []
            for s in (step, -step):
                p[index] = was + s
                ends.append(loss(forward(x, *params)[2], y))
            p[index] = was
            slope[index] = (ends[0] - ends[1]) / (2 * step)
        found.append(slope)
    return found


@given(
    seed=st.integers(0, 10**6),
    B=st.sampled_from((1, 2, 32)),
    h=st.sampled_from((1, 2, 3, 8)),
    dtype=st.sampled_from(("float64", "float32")),
    sd=st.sampled_from((None, 0.1)),
    smaller=st.floats(0, 8),
)
@settings(max_examples=300, deadline=None, derandomize=True)
def test_a_right_gradient_is_within_the_bound_of_its_difference_at_every_step(
    seed: int, B: int, h: int, dtype: str, sd: float | None, smaller: float
) -> None:
    point = network(seed, B, h, dtype, sd)
    step = float(abs(forward(point[0], *point[2:])[0]).min()) / 2 * 10**-smaller
    bound = slope_bound(*point, step)
    for gradient, slope in zip(backward(*point), slopes(point, step), strict=True):
        assert abs(gradient - slope).max() <= bound


def test_a_prediction_that_is_nearly_right_is_no_false_alarm() -> None:
    """Where f ≈ y the loss is tiny: a bound of u L alone calls right gradients wrong there."""
    x, y, W1, b1, W2, b2 = network(3, 1, 8, "float64")
    b2 = b2 - (forward(x, W1, b1, W2, b2)[2] - y)[0] + 1e-9  # f − y is 1e-9
    point = (x, y, W1, b1, W2, b2)
    step = 1e-6
    off = max(abs(g - s).max() for g, s in zip(backward(*point), slopes(point, step), strict=True))
    u_L = np.finfo(float).eps / 2 * loss(forward(x, W1, b1, W2, b2)[2], y)
    assert off > 20 * u_L / step
    assert off <= slope_bound(*point, step)


def test_a_slope_bound_sees_an_error_of_a_millionth() -> None:
    for seed in range(20):
        point = network(seed, 32, 8, "float64")
        step = float(abs(forward(point[0], *point[2:])[0]).min()) / 2
        wrong = backward(*point)[2] * (1 + 1e-6)
        assert abs(wrong - slopes(point, step)[2]).max() > slope_bound(*point, step)


def test_a_unit_within_rounding_of_its_kink_may_be_on_or_off() -> None:
    """One program may let through what the other stops: the bound allows it, and no more."""
    x, y, W1, b1, W2, b2 = network(0, 4, 3, "float32")
    b1 = b1 - (forward(x, W1, b1, W2, b2)[0][0]) + np.float32(1e-8)  # the first sample's kinks
    bounds = point_bounds(x, y, W1, b1, W2, b2)
    a1, h1, f = forward(x, W1, b1, W2, b2)
    assert abs(a1[0]).max() < 1e-6
    df = (f - y) / len(x)
    gaps: list[Array] = []
    for mask in (a1 > 0, (a1 > 0) & (np.arange(4) > 0)[:, None]):  # the first sample on, or off
        mask = mask | ((np.arange(4) == 0)[:, None] & (not gaps))
        gaps.append(((df @ W2) * mask).sum(axis=0))
    flipped = abs(gaps[0] - gaps[1]).max()
    assert 1e-4 < flipped <= bounds["db1"]
    assert bounds["db2"] < 1e-4, "nothing beyond the ReLU is allowed more"


def test_exact_zeros_on_a_kink_are_held_to_zero() -> None:
    """x = 0 and b1 = 0: a1 is exactly 0 in every program, so ReLU′(0) = 0 can be demanded."""
    x, y, W1, b1, W2, b2 = network(0, 1, 3, "float64")
    bounds = point_bounds(0 * x, y, W1, 0 * b1, W2, b2)
    assert bounds["da1"] < 1e-14
    assert bounds["db1"] < 1e-14


def test_a_run_on_record_is_copied_and_apart_counts_updates() -> None:
    p = make_problem(Config(epochs=2, n_train=20, n_val=5, batch_size=8, hidden=3))
    run = record(sgd(p.params, p.x_train, p.y_train, np.asarray(p.order), 8, 0.1))
    assert [len(q) for q in run] == [6, 6, 6, 6]
    assert not np.array_equal(run[0][0], run[0][1])
    other = [q.copy() for q in run]
    other[2][3, 0, 1] += 1e-9
    gaps = apart(run, other)
    assert int(gaps.argmax()) == 3
    assert gaps[3] == pytest.approx(1e-9, rel=1e-6)
    assert (np.delete(gaps, 3) == 0).all()


@pytest.mark.parametrize("lr", [0.1, 2.0, 1e5])
def test_the_run_bound_of_arrays_is_that_of_a_problem(lr: float) -> None:
    p = make_problem(Config(epochs=3, lr=lr, hidden=3))
    arrays = p.params, p.x_train, p.y_train, np.asarray(p.order), 32, lr
    assert run_bound(load("numpy_manual").sgd, *arrays) == bound_of(p)


def test_the_order_of_additions_is_part_of_the_run_bound() -> None:
    """Parameters that start at 0 hardly move; what the samples add up to depends on their order."""
    x = np.random.default_rng(0).standard_normal((40, 2))
    x = 300 * np.concatenate([x, -x + 1e-6])  # large numbers with a small sum
    params = tuple(np.zeros(s) for s in ((1, 2), (1,), (1, 1), (1,)))

    def summed(
        params: Any, x: Array, y: Array, order: Array, size: int, lr: float
    ) -> Iterator[Any]:
        W1, b1, W2, b2 = params
        for rows in order:
            for i in range(0, len(rows), size):
                b2 = b2 + np.cumsum(x[rows[i : i + size], 0])[-1]
                yield W1, b1, W2, b2

    order = np.array([np.random.default_rng(k).permutation(80) for k in range(3)])
    given = params, x, x[:, :1], order, 80, 0.1
    backwards = order[:, ::-1]
    run, turned = record(summed(*given)), record(summed(params, x, x[:, :1], backwards, 80, 0.1))
    noise = apart(run, turned).max()
    assert noise > 2e-14, "too small to tell"
    assert run_bound(summed, *given) == pytest.approx(50 * noise)
