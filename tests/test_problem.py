"""The problem: three streams of chance, checked arrays, and one line for each wrong option."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from handgrad import BadInput, Config, Parameters, make_problem

DATA = ("x_train", "y_train", "x_val", "y_val")


def same(one: Any, other: Any) -> dict[str, bool]:
    """Which of the three streams gave the same arrays in both problems."""
    return {
        "data": all(np.array_equal(getattr(one, k), getattr(other, k)) for k in DATA),
        "init": all(map(np.array_equal, one.params, other.params)),
        "order": np.array_equal(list(one.order), list(other.order)),
    }


def test_a_seed_gives_the_same_problem_twice() -> None:
    assert make_problem(Config(seed=7)).digest() == make_problem(Config(seed=7)).digest()


@pytest.mark.parametrize("stream", ["data", "init", "order"])
def test_each_stream_varies_alone(stream: str) -> None:
    one, other = (make_problem(Config.from_dict({f"{stream}_seed": seed})) for seed in (1, 2))
    assert same(one, other) == {name: name != stream for name in ("data", "init", "order")}


def test_a_stream_with_the_seed_of_all_is_the_same_stream() -> None:
    one = make_problem(Config(seed=3))
    other = make_problem(Config(seed=9, data_seed=3, init_seed=3, order_seed=3))
    assert all(same(one, other).values())


def test_the_number_of_samples_leaves_weights_and_the_other_samples_alone() -> None:
    few, many = make_problem(Config(n_train=100)), make_problem(Config(n_train=500))
    assert same(few, many)["init"]
    assert np.array_equal(few.x_val, many.x_val)
    assert np.array_equal(few.x_train, many.x_train[:100])


def test_more_epochs_begin_with_the_same_orders() -> None:
    few, many = (make_problem(Config(epochs=epochs)) for epochs in (3, 9))
    assert np.array_equal(list(few.order), list(many.order)[:3])


def test_every_epoch_visits_every_row_once_and_no_two_alike() -> None:
    order = np.array(list(make_problem(Config(epochs=50)).order))
    assert (np.sort(order, axis=1) == np.arange(500)).all()
    assert len(np.unique(order, axis=0)) == 50


def test_the_classes_are_the_signs_of_the_product() -> None:
    p = make_problem(Config(n_train=5000, epochs=1))
    assert abs(p.x_train).max() <= 1
    assert np.array_equal(p.y_train[:, 0] == 1, p.x_train[:, 0] * p.x_train[:, 1] < 0)
    assert abs(p.y_train.mean() - 0.5) < 0.03


def test_the_initial_weights_have_the_named_standard_deviation() -> None:
    he = make_problem(Config(hidden=5000, epochs=0)).params
    assert he.W1.std() == pytest.approx(1.0, rel=0.05)  # √(2/2)
    assert he.W2.std() == pytest.approx(np.sqrt(2 / 5000), rel=0.05)
    assert not he.b1.any()
    assert not he.b2.any()
    narrow = make_problem(Config(hidden=5000, epochs=0, init="normal:0.1")).params
    assert narrow.W1.std() == pytest.approx(0.1, rel=0.05)
    assert narrow.W2.std() == pytest.approx(0.1, rel=0.05)


def test_float32_is_the_float64_problem_cast() -> None:
    wide, narrow = (make_problem(Config(dtype=dtype)) for dtype in ("float64", "float32"))
    assert narrow.x_train.dtype == narrow.params.W1.dtype == np.float32
    assert np.array_equal(narrow.x_train, wide.x_train.astype(np.float32))
    assert np.array_equal(narrow.params.W2, wide.params.W2.astype(np.float32))


def test_the_arrays_are_read_only_copies() -> None:
    x = make_problem().x_train.copy()
    problem = replace(make_problem(), x_train=x)
    x[:] = 0
    assert problem.x_train.any()
    with pytest.raises(ValueError, match="read-only"):
        problem.x_train[0] = 0
    with pytest.raises(ValueError, match="read-only"):
        problem.params.W1[0] = 0


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"hidden": 0}, "hidden must be a whole number of at least 1, got 0"),
        ({"n_train": -1}, "n_train must be a whole number of at least 1, got -1"),
        ({"n_val": 0}, "n_val must be"),
        ({"batch_size": 0}, "batch_size must be"),
        ({"epochs": -1}, "epochs must be a whole number of at least 0"),
        ({"seed": -1}, "seed must be"),
        ({"seed": 1.5}, "seed must be"),
        ({"hidden": True}, "hidden must be"),
        ({"data_seed": "x"}, "data_seed must be"),
        ({"lr": 0.0}, "lr must be a finite number above 0, got 0.0: try 0.1"),
        ({"lr": float("nan")}, "lr must be a finite number above 0, got nan"),
        ({"lr": float("inf")}, "lr must be a finite number above 0, got inf"),
        ({"batch_size": 501}, "batch_size must not exceed n_train, got 501 > 500"),
        ({"dtype": "float16"}, "dtype must be float64 or float32, got 'float16'"),
        ({"init": "xavier"}, "init must be he or normal:SD"),
        ({"init": "normal:-1"}, "got 'normal:-1': try normal:0.1"),
        ({"init": "normal:inf"}, "init must be he or normal:SD"),
    ],
)
def test_a_wrong_option_is_told_in_one_line(wrong: dict[str, Any], says: str) -> None:
    with pytest.raises(BadInput) as error:
        Config(**wrong)
    assert says in str(error.value)
    assert "\n" not in str(error.value)


def spoilt(array: np.ndarray, value: float) -> np.ndarray:
    array = array.copy()
    array[3, 0] = value
    return array


@pytest.mark.parametrize(
    ("field", "change", "says"),
    [
        ("y_train", lambda y: y[:, 0], "y_train must have shape (500, 1), got (500,)"),
        ("y_train", lambda y: y[:, 0], "reshape it to (500, 1)"),
        ("y_train", lambda y: y[:99], "y_train must have shape (500, 1), got (99, 1)"),
        ("x_val", lambda x: x.T, "x_val must have shape (500, 2), got (2, 500)"),
        ("x_train", lambda x: spoilt(x, np.nan), "x_train must be finite, got nan at (3, 0)"),
        ("x_train", lambda x: spoilt(x, -np.inf), "x_train must be finite, got -inf at (3, 0)"),
        ("x_train", lambda x: x.astype(complex), "x_train must hold numbers that fit float64"),
        ("x_train", lambda x: x.astype(str), "x_train must hold numbers that fit float64"),
        (
            "order",
            lambda order: np.asarray(order) * 0,
            "order must hold every training row's number",
        ),
        ("order", lambda order: list(order)[:3], "order must have shape (200, 500), got (3, 500)"),
        ("order", lambda order: replace(order, n=4), "order must have shape (200, 500), got (200"),
        ("order", lambda order: None, "order must have shape (200, 500), got ()"),
        ("x_train", lambda x: [[0.1, 0.2], [0.3]], "x_train must have shape (500, 2), got rows"),
        ("params", lambda p: None, "params must be W1, b1, W2, b2, got NoneType"),
        ("params", lambda p: p[:3], "params must be W1, b1, W2, b2, got tuple"),
        ("params", lambda p: p._replace(W1=p.W1.T), "W1 must have shape (8, 2), got (2, 8)"),
    ],
)
def test_a_wrong_array_is_told_in_one_line(field: str, change: Any, says: str) -> None:
    problem = make_problem()
    with pytest.raises(BadInput) as error:
        replace(problem, **{field: change(getattr(problem, field))})
    assert says in str(error.value)
    assert "\n" not in str(error.value)


def test_a_configuration_goes_to_json_and_back() -> None:
    config = Config(seed=5, init="normal:0.1", order_seed=4)
    assert Config.from_dict(config.as_dict()) == config
    assert config.short_hash() != Config().short_hash()
    with pytest.raises(BadInput, match="no field layers"):
        Config.from_dict({"layers": 3})


def test_parameters_copy_is_their_own() -> None:
    params = Parameters(*(np.zeros(1) for _ in range(4)))
    copied = params.copy()
    copied.W1[0] = 1
    assert params.W1[0] == 0
