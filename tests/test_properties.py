"""What holds for every problem, every pair of runs, and every gradient that hypothesis makes up."""

from dataclasses import replace
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from handgrad import Config, Problem, agreement, gradcheck, make_problem, train
from handgrad.parity import parameter_at

MANY = settings(max_examples=200, deadline=None, derandomize=True)

SEEDS = st.none() | st.integers(0, 2**40)


@st.composite
def configs(draw: st.DrawFn) -> Config:
    n_train = draw(st.integers(1, 40))
    return Config(
        seed=draw(st.integers(0, 2**64)),
        hidden=draw(st.integers(1, 12)),
        epochs=draw(st.integers(0, 12)),
        lr=draw(st.floats(1e-6, 1e3)),
        batch_size=draw(st.integers(1, n_train)),
        n_train=n_train,
        n_val=draw(st.integers(1, 20)),
        init=draw(st.just("he") | st.floats(1e-3, 10).map(lambda sd: f"normal:{sd}")),
        dtype=draw(st.sampled_from(["float64", "float32"])),
        data_seed=draw(SEEDS),
        init_seed=draw(SEEDS),
        order_seed=draw(SEEDS),
    )


def arrays(problem: Problem) -> dict[str, list[np.ndarray]]:
    """By the stream that they are drawn from."""
    p = problem
    data = [p.x_train, p.y_train, p.x_val, p.y_val]
    return {"data": data, "init": list(p.params), "order": [np.asarray(p.order)]}


@MANY
@given(config=configs())
def test_a_configuration_is_its_dict_and_makes_one_problem(config: Config) -> None:
    assert Config.from_dict(config.as_dict()) == config
    one, other = make_problem(config), make_problem(Config.from_dict(config.as_dict()))
    assert one.digest() == other.digest()
    order = np.asarray(one.order)
    assert (np.sort(order, axis=1) == np.arange(config.n_train)).all()
    assert (np.concatenate([order[:0], *one.orders(numbers=7)]) == order).all()
    assert {a.dtype.name for kind in ("data", "init") for a in arrays(one)[kind]} == {config.dtype}
    assert ((one.y_train > 0) == (one.x_train.prod(axis=1, keepdims=True) < 0)).all()


@MANY
@given(config=configs(), stream=st.sampled_from(["data", "init", "order"]))
def test_a_streams_own_seed_moves_that_stream_alone(config: Config, stream: str) -> None:
    config = replace(config, epochs=3, n_train=30, batch_size=1)
    before = config.seed if (own := getattr(config, f"{stream}_seed")) is None else own
    one = arrays(make_problem(config))
    seed: Any = {f"{stream}_seed": before + 1}
    other = arrays(make_problem(replace(config, **seed)))
    for kind in one:
        same = all(np.array_equal(a, b) for a, b in zip(one[kind], other[kind], strict=True))
        assert same == (kind != stream)


@MANY
@given(config=configs(), more=st.integers(1, 5))
def test_more_epochs_begin_with_the_same_ones(config: Config, more: int) -> None:
    longer = np.asarray(make_problem(replace(config, epochs=config.epochs + more)).order)
    assert (longer[: config.epochs] == np.asarray(make_problem(config).order)).all()


PROBLEM = make_problem(Config(hidden=3, epochs=4, n_train=10, batch_size=4, n_val=5))
RUN = train(PROBLEM, record=True)


@MANY
@given(
    step=st.integers(0, 12),
    column=st.integers(0, 12),
    times=st.floats(0.01, 0.99) | st.floats(1.01, 1e6) | st.just(float("nan")),
    sign=st.sampled_from([-1, 1]),
)
def test_a_run_is_equal_up_to_the_bound_and_told_where_it_leaves_it(
    step: int, column: int, times: float, sign: int
) -> None:
    assert RUN.trajectory is not None
    bound = 1e-9
    moved = RUN.trajectory.copy()
    moved[step, column] += sign * times * bound
    found = agreement(replace(RUN, trajectory=moved), RUN, bound)
    if times < 1:
        assert found.ok
        assert found.max_abs_diff <= bound
        return
    assert found.verdict == "different"
    assert (found.parameter, found.index) == parameter_at(column, 3)
    assert found.epoch == -(-step // 3)
    assert found.step == step
    assert found.expected == RUN.trajectory[step, column]


@st.composite
def polynomials(draw: st.DrawFn) -> tuple[Any, np.ndarray, Any]:
    """A loss Σ cₖ (Aₖ p)ᵏ with random numbers of any size, its parameter, and its gradient."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    n, scale = draw(st.integers(1, 6)), 10.0 ** draw(st.integers(-6, 6))
    shape = (n,) if draw(st.booleans()) else (1, n)
    A, c = rng.standard_normal((3, 4, n)), scale * rng.standard_normal(3)

    def loss(p: np.ndarray) -> float:
        return float(sum(c[k] * ((A[k] @ p.ravel()) ** (k + 1)).sum() for k in range(3)))

    def gradient(p: np.ndarray) -> np.ndarray:
        parts = (c[k] * (k + 1) * A[k].T @ (A[k] @ p.ravel()) ** k for k in range(3))
        return np.sum(list(parts), axis=0).reshape(p.shape)

    return loss, rng.standard_normal(shape) * 10.0 ** draw(st.integers(-2, 2)), gradient


@MANY
@given(case=polynomials(), seed=st.integers(0, 2**32 - 1))
def test_a_right_gradient_passes_whatever_its_size(case: Any, seed: int) -> None:
    loss, p, gradient = case
    report = gradcheck(loss, p, gradient, seed=seed)
    assert report.ok, report


@MANY
@given(
    case=polynomials(),
    seed=st.integers(0, 2**32 - 1),
    where=st.integers(0, 5),
    share=st.floats(0.02, 100),
)
def test_a_wrong_entry_fails_and_is_the_one_that_is_named(
    case: Any, seed: int, where: int, share: float
) -> None:
    loss, p, gradient = case

    def wrong(p: np.ndarray) -> np.ndarray:
        spoilt = gradient(p)
        spoilt.flat[where % p.size] += share * np.linalg.norm(spoilt)
        return spoilt

    (found,) = gradcheck(loss, p, wrong, seed=seed).parameters.values()
    assert found.verdict == "fail"
    assert found.index == np.unravel_index(where % p.size, p.shape)
