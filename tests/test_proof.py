"""Exact arithmetic proves what is right, refutes what is wrong, and says where it cannot decide."""

import re
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from engines import copy_of, with_gradients

from handgrad.errors import BadInput
from handgrad.exact import (
    Degree,
    Dual,
    equivalent,
    prove,
    prove_equal,
    prove_sgd,
    prove_stack,
    prove_stage,
)
from handgrad.exact.numbers import LONGEST, exact
from handgrad.exact.watching import decisions
from handgrad.mistakes import CATALOGUE, backward
from handgrad.stages import REFERENCE, numpy_manual

Array = np.ndarray
Arrays = Any
TINY = Fraction(1, 10**30)


# Numbers


def duals(*numbers: Any) -> Array:
    return np.array([Dual(Fraction(n), k) for k, n in enumerate(numbers)], dtype=object)


@pytest.mark.parametrize(
    ("function", "derivative"),
    [
        (lambda x: x**3 - 2 * x + 1, lambda x: 3 * x**2 - 2),
        (lambda x: 1 / x - x / 4, lambda x: -1 / x**2 - Fraction(1, 4)),
        (lambda x: (x + 1) ** -2, lambda x: -2 / (x + 1) ** 3),
        (lambda x: abs(x) * 0.5, lambda x: Fraction(1, 2) if x > 0 else Fraction(-1, 2)),
        (lambda x: np.float64(2.5) - x, lambda x: -1),
        (lambda x: (3 - x) * True + np.int64(2) / x, lambda x: -1 - 2 / x**2),
    ],
)
@pytest.mark.parametrize("at", [Fraction(2, 3), Fraction(-5, 7), Fraction(10**40 + 1, 10**40)])
def test_a_dual_number_knows_its_derivative(
    function: Callable[[Any], Any], derivative: Callable[[Any], Any], at: Fraction
) -> None:
    assert function(Dual(at, 1)).slope == derivative(at)


def test_arrays_of_duals_go_through_numpy_as_they_are() -> None:
    x = duals(3, -2, Fraction(1, 2))
    assert (x * x).sum().slope == 2 * (-2) * 1 + 2 * Fraction(1, 2) * 2
    assert [v.value for v in np.maximum(x, 0)[[0, 2]]] == [3, Fraction(1, 2)]
    assert (x > 0).dtype == bool
    assert (x @ x).value == 9 + 4 + Fraction(1, 4)
    assert x.mean().value == Fraction(3, 6)
    assert x.var().value == (x**2).mean().value - x.mean().value ** 2
    assert np.where(x > 0, x, 0)[1] == 0
    assert (Dual(2, 1) * x)[1].slope == 2 * 1 + -2 * 1


def test_degrees_are_counted() -> None:
    x = Degree(Fraction(2), 1)
    assert (x * x + x).above == 2
    assert ((x + 1) / (x * x)).above == 1
    assert ((x + 1) / (x * x)).below == 2
    assert (1 / x + 1 / x).above == 1
    assert (x**5 * 0.25).above == 5


def test_comparisons_are_written_down() -> None:
    with decisions() as taken:
        np.maximum(duals(1, -1), 0)
        assert Dual(3) != 4
    assert taken == [True, False, True]
    with decisions() as nothing:
        pass
    assert nothing == []


@pytest.mark.parametrize("number", [np.nan, np.inf, 1j, "1", None, [1]])
def test_what_is_no_exact_number_is_refused(number: Any) -> None:
    with pytest.raises(BadInput, match="exact arithmetic must have"):
        exact(number)


# Proofs and refutations


@pytest.mark.parametrize(("h", "B"), [(1, 1), (1, 7), (2, 2), (3, 5), (8, 7), (64, 1), (5, 64)])
def test_stage_one_is_proved(h: int, B: int) -> None:
    proof = prove_stage(numpy_manual, h, B, draws=2, seed=h)
    assert proof, str(proof)
    assert proof.degree == 6
    assert 0 < proof.chance < 1e-17
    assert proof.shapes["W1"] == (h, 2)


@pytest.mark.parametrize("widths", [[1, 1], [3, 2], [2, 3, 1], [2, 3, 4, 2], [1, 2, 2, 2, 2, 1]])
@pytest.mark.parametrize("seed", range(3))
def test_a_stack_of_any_depth_is_proved(widths: list[int], seed: int) -> None:
    def mean_over_outputs(Ws: Any, bs: Any, x: Any, y: Any) -> Any:
        dWs, dbs = backward(Ws, bs, x, y)
        return [dW / y.shape[1] for dW in dWs], [db / y.shape[1] for db in dbs]

    proof = prove_stack(mean_over_outputs, widths, B=3, draws=3, seed=seed)
    assert proof, str(proof)


def test_all_patterns_that_there_are_are_met_where_they_are_few() -> None:
    for h, B, there_are in ((1, 1, 2), (1, 2, 4), (2, 1, 4), (2, 2, 16)):
        assert prove_stage(numpy_manual, h, B, draws=20 * there_are).patterns == there_are


def test_two_steps_of_sgd_are_proved_and_a_wrong_one_is_not() -> None:
    assert prove_sgd(numpy_manual, 3, 2)
    wrong = copy_of(REFERENCE)
    right = wrong.sgd

    def forgets(params: Any, x: Any, y: Any, order: Any, batch_size: int, lr: float) -> Any:
        for k, step in enumerate(right(params, x, y, order, batch_size, lr)):
            yield step if k == 0 else (*step[:3], step[3] + TINY)

    wrong.sgd = forgets  # type: ignore[attr-defined]
    refuted = prove_sgd(wrong, 3, 2).refuted
    assert refuted is not None
    assert (refuted.name, refuted.given - refuted.right) == ("b2", TINY)


def spoilt(change: Callable[..., Any]) -> Any:
    def gradients(x: Any, y: Any, W1: Any, b1: Any, W2: Any, b2: Any) -> Any:
        right = numpy_manual.backward(x, y, W1, b1, W2, b2)
        return change(*(g.copy() for g in right), W1=W1, b1=b1)

    return with_gradients(REFERENCE, gradients)


@pytest.mark.parametrize("seed", range(5))
def test_one_entry_off_by_1e_30_is_refuted_with_both_values(seed: int) -> None:
    def change(dW1: Array, *others: Array, **_: Any) -> Any:
        dW1[2, 1] = dW1[2, 1] + TINY
        return dW1, *others

    proof = prove_stage(spoilt(change), 4, 3, draws=1, seed=seed)
    assert not proof
    assert proof.refuted is not None
    assert (proof.refuted.name, proof.refuted.index) == ("W1", (2, 1))
    assert proof.refuted.given - proof.refuted.right == TINY
    assert "W1[2, 1] is" in str(proof)
    assert "must be" in str(proof)


def test_what_is_wrong_in_one_pattern_is_refuted_when_it_is_met_and_not_claimed_before() -> None:
    def change(dW1: Array, db1: Array, *others: Array, W1: Array, b1: Array) -> Any:
        if (W1 > 0).all() and (b1 > 0).all():
            db1 = 2 * db1
        return dW1, db1, *others

    engine = spoilt(change)
    found = [prove_stage(engine, 2, 2, draws=1, seed=seed) for seed in range(300)]
    wrong = [proof for proof in found if not proof]
    assert 0 < len(wrong) < 30  # one pattern of parameters in 64
    assert all(proof.refuted is not None and proof.refuted.name == "b1" for proof in wrong)
    assert all(proof.patterns == 1 for proof in found)


def test_what_is_wrong_at_0_alone_is_no_matter_of_a_proof() -> None:
    """It is a set without volume: the network worked by hand stands on a kink for that."""
    engine = copy_of(REFERENCE)
    engine.relu_derivative = lambda a: a >= 0  # type: ignore[attr-defined]
    assert prove_stage(engine, 3, 3)


@pytest.mark.parametrize("name", sorted(CATALOGUE))
def test_every_mistake_is_refuted_at_the_first_draw_or_is_an_equivalent(name: str) -> None:
    mistake = CATALOGUE[name]
    for layer in mistake.layers(2):
        if equivalent(mistake, layer, [2, 3, 1], 8):
            continue
        for seed in range(3):
            try:
                assert not prove_stack(mistake.backward(layer), [2, 3, 1], 8, draws=1, seed=seed)
            except (BadInput, ValueError) as refused:
                assert "shape" in str(refused) or "matmul" in str(refused)  # noqa: PT017


def test_the_equivalents_of_the_ladder_s_network() -> None:
    """W2 has one row: it rolls onto itself, and its transposed has the same numbers in a row."""
    found = {
        (n, k) for n, m in CATALOGUE.items() for k in m.layers(2) if equivalent(m, k, [2, 3, 1], 8)
    }
    assert found == {("dW transposed", 1), ("dW rows rolled", 1), ("ReLU with ≥ at 0", 1)}


def test_more_draws_of_one_pattern_multiply() -> None:
    one = prove_stage(numpy_manual, 1, 1, draws=1)
    many = prove_stage(numpy_manual, 1, 1, draws=12)
    assert many.patterns == 2
    assert many.chance < 1e-30 < one.chance
    assert "below 1e-300" in str(prove_stage(numpy_manual, 1, 1, draws=60))


def test_quotients_have_a_degree_too() -> None:
    def loss(p: Arrays) -> Any:
        return (p["x"] / (1 + p["x"] ** 2)).sum()

    def gradients(p: Arrays, power: int = 2) -> Arrays:
        return {"x": (1 - p["x"] ** 2) / (1 + p["x"] ** 2) ** power}

    assert prove(loss, gradients, {"x": (3,)})
    assert not prove(loss, lambda p: gradients(p, 3), {"x": (3,)}, draws=1)


def test_the_page_about_proofs_shows_what_its_code_prints(
    capsys: pytest.CaptureFixture[str],
) -> None:
    page = (Path(__file__).parent.parent / "docs" / "proof.md").read_text()
    shown = re.search(r"```python\n(.+?)```\n+```text\n(.+?)```", page, re.DOTALL)
    assert shown is not None
    exec(shown[1], {})
    assert capsys.readouterr().out == shown[2]


# Code that it cannot take


@pytest.mark.parametrize(
    ("loss", "said"),
    [
        (lambda p: np.exp(p["x"]).sum(), "exp"),
        (lambda p: sum(float(v) for v in p["x"]), "float"),
        (lambda p: np.asarray(p["x"], dtype=float).sum(), "float"),
        (lambda p: p["x"], "one number"),
        (lambda p: (p["x"] * np.nan).sum(), "finite"),
        (lambda p: (p["x"] ** 0.5).sum(), "whole powers"),
        (lambda p: (p["x"] / (p["x"] - p["x"])).sum(), "exactly 0"),
    ],
)
def test_code_that_is_not_exact_is_refused_in_one_line(loss: Any, said: str) -> None:
    with pytest.raises(BadInput, match=said) as refused:
        prove(loss, lambda p: {"x": p["x"]}, {"x": (2,)})
    assert "\n" not in str(refused.value)


def test_numbers_that_grow_without_end_are_stopped() -> None:
    def loss(p: Arrays) -> Any:
        x = p["x"].sum()
        while True:
            x = x * x

    with pytest.raises(BadInput, match=f"below {LONGEST} binary digits"):
        prove(loss, lambda p: p, {"x": (1,)})


def test_gradients_of_another_shape_are_refused() -> None:
    engine = SimpleNamespace(**vars(numpy_manual))
    engine.backward = lambda *a, **k: numpy_manual.backward(*a, **k)[::-1]
    with pytest.raises(BadInput, match="W1 must have shape"):
        prove_stage(engine, 2, 3)


@pytest.mark.parametrize("draws", [0, -1, 2.5])
def test_draws_are_counted(draws: Any) -> None:
    with pytest.raises(BadInput, match="draws must be a whole number"):
        prove_stage(numpy_manual, 1, 1, draws=draws)


def test_functions_that_are_equal_are_told_from_others() -> None:
    def one(p: Arrays) -> Arrays:
        return {"y": (p["x"] + p["z"]) ** 2}

    def other(p: Arrays) -> Arrays:
        return {"y": p["x"] ** 2 + 2 * p["x"] * p["z"] + p["z"] ** 2}

    def off(p: Arrays) -> Arrays:
        return {"y": other(p)["y"] + TINY * p["z"]}

    shapes = {"x": (2,), "z": (2,)}
    assert prove_equal(one, other, shapes)
    assert not prove_equal(one, off, shapes, draws=1)


# In the gradient checker
