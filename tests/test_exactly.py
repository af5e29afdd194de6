"""The checker on exact numbers: what is proved, what is found below any step, what falls back."""

import builtins
import ctypes
import math
from typing import Any

import numpy as np
import pytest
from exact_programs import PROGRAMS, ROUNDED, X, drawn
from flint import arb, ctx

from handgrad import gradcheck, gradcheck_layer
from handgrad.checker.exactly import LOST, NotExact
from handgrad.errors import BadInput
from handgrad.exact.balls import Ball, precision
from handgrad.exact.numbers import Dual
from handgrad.exact.watching import one_sided

Array = np.ndarray
Arrays = Any


def note_on_proof(report: Any) -> str:
    (note,) = [note for note in report.notes if "proved" in note]
    return note


# Balls

FUNCTIONS = {
    "exp": 0.7, "exp2": -0.3, "expm1": 1e-9, "log": 0.4, "log2": 3.0, "log10": 5.0, "log1p": -0.5,
    "sqrt": 2.0, "sin": 1.0, "cos": 1.0, "tan": 1.0, "arcsin": 0.3, "arccos": -0.6, "arctan": 4.0,
    "sinh": 1.0, "cosh": -2.0, "tanh": 0.9, "arcsinh": -3.0, "arccosh": 1.5, "arctanh": 0.2,
    "square": -1.5, "reciprocal": 0.3, "fabs": -2.0, "absolute": -2.0, "negative": 1.0,
}  # fmt: skip


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_of_numpy_has_the_slope_of_its_difference(name: str) -> None:
    function, at = getattr(np, name), FUNCTIONS[name]
    assert float(function(np.array([Ball.constant(at)]))[0].value) == pytest.approx(function(at))
    with precision():
        h = arb(2) ** -80
        x = np.array([Ball.along(at, 1), Ball(arb(at) + h), Ball(arb(at) - h)])
        x[1:] = [Ball.constant(v.value) for v in x[1:]]
        found, up, down = function(x)
        assert abs(float(found.slope - (up.value - down.value) / (2 * h))) < 1e-40
        assert found.radius < 1e-60


@pytest.mark.parametrize(
    ("power", "at"), [(0.5, 2.0), (-1.5, 0.3), (2.5, 1.1), (3, -2.0), (-2, -0.5), (0, 1.0)]
)
def test_powers_of_balls(power: float, at: float) -> None:
    with precision():
        x = Ball.along(at, 1)
        assert float((x**power).slope) == pytest.approx(power * at ** (power - 1) if power else 0)
        if at > 0:
            assert float((power**x).slope if power > 0 else 1) == pytest.approx(
                power**at * math.log(power) if power > 0 else 1
            )
            assert float((x**x).slope) == pytest.approx(at**at * (math.log(at) + 1))


def test_balls_hold_what_is_true() -> None:
    """√2² is 2 up to the radius, and no comparison tells them apart."""
    with precision():
        two = Ball.constant(2.0).sqrt() ** 2
        assert two == 2
        assert not two < 2
        assert (two - 2).value.contains(0)
        assert Ball.constant(-math.inf).exp() == 0  # a mask of attention
        assert np.array([Ball.along(3.0, 1) * 0.5 + 1 / Ball.along(2.0, 1)])[0].slope == 0.25
        with pytest.raises(ZeroDivisionError):
            1 / (two - 2)
        for function, at in (("sqrt", 0.0), ("log", 0.0), ("log", -1.0), ("arcsin", 2.0)):
            with pytest.raises(BadInput, match="finite value and slope"):
                getattr(Ball.along(at, 1), function)()
        with pytest.raises(BadInput, match="finite"):
            Ball.constant(math.nan)
    assert ctx.prec != 256  # it is put back


@pytest.mark.parametrize("number", [Dual, Ball])
def test_equal_numbers_are_compared_a_little_further_along(number: Any) -> None:
    up, still, down = (number.along(0, s) for s in (1, 0, -1))
    assert up == still == down
    with one_sided() as ties:
        assert up > 0 > down
        assert still == 0
        assert np.maximum(np.array([up, down]), 0)[0].slope == 1
    assert len(ties) == 4


# What is proved


@pytest.mark.parametrize("name", PROGRAMS)
@pytest.mark.parametrize("seed", range(10))
def test_code_with_functions_is_proved_at_three_points(name: str, seed: int) -> None:
    loss, grads, params = PROGRAMS[name]
    report = gradcheck(loss, params(seed), grads, seed=seed)
    assert report, str(report)
    note = note_on_proof(report)
    assert note.startswith("proved with 77 digits at 3 points") or name in ROUNDED, note
    for p in report.parameters.values():
        assert 0 < p.relative_bound < 1e-12  # rounding alone
        assert p.certified


@pytest.mark.parametrize("name", PROGRAMS)
@pytest.mark.parametrize("seed", range(5))
def test_an_error_that_no_step_can_see_is_found_in_its_entry(name: str, seed: int) -> None:
    loss, grads, params = PROGRAMS[name]
    first = next(iter(params(seed)))

    def off(p: Arrays) -> Arrays:
        found = grads(p)
        found[first].flat[1] = found[first].flat[1] + 1e-11 * abs(found[first]).max()
        return found

    report = gradcheck(loss, params(seed), off, seed=seed)[first]
    assert report.verdict == "fail"
    assert np.ravel_multi_index(report.index or (), params(seed)[first].shape) == 1
    assert report.error is not None
    assert 1e-14 < report.error < 1e-10


def polynomial(p: Arrays) -> Any:
    return ((X @ p["W"]).clip(0) ** 2).sum() / 7


def polynomial_grads(p: Arrays, factor: Any = 1) -> Arrays:
    return {"W": X.T @ (X @ p["W"]).clip(0) * 2 / 7 * factor}


@pytest.mark.parametrize("seed", range(10))
def test_fractions_are_taken_where_they_do(seed: int) -> None:
    report = gradcheck(polynomial, drawn(W=(4, 3))(seed), polynomial_grads, seed=seed)
    assert report, str(report)
    assert note_on_proof(report) == (
        "proved exactly at 3 points: a wrong gradient passes there with a chance below 5e-19"
    )


@pytest.mark.parametrize("power", [3, 1.5])
def test_a_single_number_is_proved(power: float) -> None:
    report = gradcheck(
        lambda p: p["w"] ** power,
        {"w": np.array(0.7)},
        lambda p: {"w": power * p["w"] ** (power - 1)},
    )
    assert report, str(report)
    assert note_on_proof(report).startswith("proved")


@pytest.mark.parametrize("seed", range(3))
def test_nothing_is_called_proved_that_is_not(seed: int) -> None:
    """One unit in the last place is below rounding: it passes, and no proof is claimed."""
    params = drawn(W=(4, 3))(seed)
    report = gradcheck(polynomial, params, lambda p: polynomial_grads(p, 1 + 2.0**-52), seed=seed)
    assert report, str(report)
    assert note_on_proof(report).startswith("not proved: on exact numbers a gradient is off, by")


@pytest.mark.parametrize("far", [1e-10, 1e-7, 0.01])
def test_exact_numbers_are_never_the_only_witness_of_a_gradient(far: float) -> None:
    def right_for_objects(p: Arrays) -> Arrays:
        return polynomial_grads(p, 1 if p["W"].dtype == object else 1 + far)

    report = gradcheck(polynomial, drawn(W=(4, 3))(0), right_for_objects, seed=0)
    if far < LOST:  # it counts as rounding, and the bound says so
        assert report["W"].relative_bound > 0.99 * far
    else:
        assert report["W"].verdict == "fail"


def test_exact_numbers_are_never_the_only_witness_of_a_loss() -> None:
    def another_for_objects(p: Arrays) -> Any:
        return polynomial(p) * (2 if p["W"].dtype == object else 1)

    def grads(p: Arrays) -> Arrays:
        return polynomial_grads(p, 2)

    report = gradcheck(another_for_objects, drawn(W=(4, 3))(0), grads, seed=0)
    assert report["W"].verdict == "fail"
    assert report["W"].cause == "it must be divided by 2"
    assert not [note for note in report.notes if "proved" in note]


@pytest.mark.parametrize("large", [1e6, 1e9, 1e12])
def test_a_loss_with_no_digits_left_is_decided(large: float) -> None:
    """A difference of a loss of 1e12 has three digits, if any."""
    x = {"x": np.array([1.0, 0.5, -2.0])}
    right = gradcheck(lambda p: large + (p["x"] ** 2).sum(), x, lambda p: {"x": 2 * p["x"]}, seed=0)
    assert right, str(right)
    wrong = gradcheck(
        lambda p: large + (p["x"] ** 2).sum(), x, lambda p: {"x": 2.001 * p["x"]}, seed=0
    )
    assert wrong.verdict == "fail" or large > 1e10


# Kinks at the given point


def relu(p: Arrays) -> Any:
    return (np.maximum(p["x"], 0) * np.array([1.0, 2, 3, 4])).sum() + np.exp(p["x"]).sum()


@pytest.mark.parametrize(
    ("at_0", "verdict"), [(0.0, "pass"), (0.5, "pass"), (1.0, "pass"), (1.1, "fail"), (-1, "fail")]
)
@pytest.mark.parametrize("seed", range(5))
def test_a_convention_at_a_kink_is_told_from_an_error(at_0: float, verdict: str, seed: int) -> None:
    def grads(p: Arrays) -> Arrays:
        on = np.where(p["x"] == 0, at_0, (p["x"] > 0) * 1.0)
        return {"x": on * np.array([1.0, 2, 3, 4]) + np.exp(p["x"])}

    report = gradcheck(relu, {"x": np.array([1.0, 0.0, -2.0, 0.0])}, grads, seed=seed)
    assert report.verdict == verdict, str(report)
    if verdict == "pass":
        assert note_on_proof(report).startswith("proved with 77 digits at 2 points")
        assert report["x"].bound < 1e-13
    else:
        assert "slopes are" in (report["x"].cause or "")


@pytest.mark.parametrize("shares", [[0.5, 0.5], [1, 0], [0.25, 0.75]])
def test_shares_of_a_tie_add_up(shares: list[float]) -> None:
    def grads(p: Arrays, factor: float = 1.0) -> Arrays:
        top = p["x"] == p["x"].max()
        return {"x": factor * (np.array([*shares, 0]) if top.sum() == 2 else top * 1.0)}

    params = {"x": np.array([1.0, 1.0, -2.0])}
    assert gradcheck(lambda p: p["x"].max(), params, grads, seed=0)
    wrong = gradcheck(lambda p: p["x"].max(), params, lambda p: grads(p, 1.1), seed=0)
    assert wrong.verdict == "fail"


# What falls back, and says why


def zeros(p: Arrays) -> Any:
    out = np.zeros(3)
    out[:] = (p["W"] ** 2).sum(axis=0)
    return out.sum()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda p: float((p["W"] ** 2).sum()), "it takes floats alone, at line"),
        (zeros, "it takes floats alone, at line"),
        (lambda p: (p["W"].astype(float) ** 2).sum(), "it takes floats alone, at line"),
        (lambda p: sum(math.pow(w, 2) for w in p["W"].flat), "it takes floats alone, at line"),
        (lambda p: (p["W"] ** 2)[np.isfinite(p["W"])].sum(), "it takes floats alone, at line"),
        (lambda p: (p["W"] ** 2).sum() + 0 * np.cbrt(p["W"]).sum(), "there is no exact cbrt, at"),
        (lambda p: (p["W"] ** 2).sum() + 0 * np.sqrt(0 * p["W"]).sum(), "√x has not at 0"),
    ],
    ids=["float", "zeros", "astype", "math", "isfinite", "cbrt", "sqrt"],
)
def test_code_that_takes_no_exact_numbers_is_checked_by_slopes(change: Any, says: str) -> None:
    params = drawn(W=(4, 3))(0)
    report = gradcheck(change, params, lambda p: {"W": 2 * p["W"]}, seed=0)
    assert report, str(report)
    note = note_on_proof(report)
    assert note.startswith("not proved: ")
    assert says in note
    assert "\n" not in note
    wrong = gradcheck(change, params, lambda p: {"W": 2.1 * p["W"]}, seed=0)
    assert wrong.verdict == "fail"


def test_the_line_is_shown() -> None:
    report = gradcheck(zeros, drawn(W=(4, 3))(0), lambda p: {"W": 2 * p["W"]}, seed=0)
    assert note_on_proof(report).endswith('_exactly.py (out[:] = (p["W"] ** 2).sum(axis=0))')


def test_without_python_flint_polynomials_are_proved_and_the_line_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    imported = builtins.__import__

    def without(name: str, *arguments: Any, **named: Any) -> Any:
        if name == "handgrad.exact.balls":
            raise ImportError(name)
        return imported(name, *arguments, **named)

    monkeypatch.setattr(builtins, "__import__", without)
    params = drawn(W=(4, 3))(0)
    assert "proved exactly" in note_on_proof(gradcheck(polynomial, params, polynomial_grads))
    loss, grads, of = PROGRAMS["tanh"]
    report = gradcheck(loss, of(0), grads)
    assert report
    said = note_on_proof(report)
    assert "there is no exact tanh" in said
    assert said.endswith("without python-flint: pip install 'handgrad[exact]'")


def test_what_takes_too_long_is_not_proved() -> None:
    x = np.random.default_rng(0).standard_normal((60, 50))

    def loss(p: Arrays) -> Any:
        return ((x @ p["w"]) ** 2).sum()

    def grads(p: Arrays) -> Arrays:
        return {"w": 2 * x.T @ (x @ p["w"])}

    report = gradcheck(loss, {"w": np.ones(50)}, grads, seed=0)
    assert report
    assert note_on_proof(report) == "not proved: it takes more than 5,000 sums and products"
    large = gradcheck(
        lambda p: (p["w"] ** 2).sum(), {"w": np.ones(1001)}, lambda p: {"w": 2 * p["w"]}
    )
    assert note_on_proof(large) == "not proved: it has more than 1,000 numbers"


def test_what_runs_at_the_point_but_not_along_some_direction_has_plain_slopes_there() -> None:
    def loss(p: Arrays) -> Any:
        w = p["w"]
        if w.dtype == object and w[0].slope > 0:  # no honest code does this
            raise NotExact("here")
        return (w**2).sum()

    for factor, verdict in ((2.0, "pass"), (2.1, "fail")):
        report = gradcheck(loss, {"w": np.ones(3)}, lambda p, k=factor: {"w": k * p["w"]}, seed=1)
        assert report.verdict == verdict, str(report)


class Keeps:
    """Activations are kept for the gradients, as many layers do."""

    def loss(self, p: Arrays) -> Any:
        self.h = np.tanh(X @ p["W"])
        return (self.h**2).sum()

    def grads(self, p: Arrays) -> Arrays:
        return {"W": X.T @ (2 * self.h * (1 - self.h**2))}


def test_what_the_code_keeps_are_floats_again() -> None:
    network = Keeps()
    report = gradcheck(network.loss, drawn(W=(4, 3))(0), network.grads, seed=0)
    assert note_on_proof(report).startswith("proved with 77 digits at 3 points")
    assert network.h.dtype == np.float64


def test_an_array_of_exact_numbers_has_no_address_for_c_code() -> None:
    """C code that is handed one would write over the addresses of objects: Python would die."""
    c = ctypes.CDLL(None)

    def copied(x: np.ndarray) -> np.ndarray:
        y = np.empty_like(x)
        c.memcpy(ctypes.c_void_p(y.ctypes.data), ctypes.c_void_p(x.ctypes.data), x.nbytes)
        return y

    report = gradcheck_layer(copied, copied, np.arange(1.0, 5), seed=0)
    assert report.verdict == "pass"
    assert any("not proved: it takes floats alone" in note for note in report.notes)
    assert np.zeros(2, dtype=object).ctypes.data  # elsewhere it has one
