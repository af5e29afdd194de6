"""Small promises of the checker's parts, from its arrays to its kinks, one at a time."""

import math
from types import SimpleNamespace
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
import torch

from handgrad import assert_gradients, gradcheck, gradcheck_layer, gradcheck_module
from handgrad.checker import Stack, causes, differences
from handgrad.checker.arrays import Native
from handgrad.checker.batches import _nearby, differing_batches
from handgrad.checker.complex_numbers import Pairs
from handgrad.checker.differences import difference
from handgrad.checker.jax_function import _same
from handgrad.checker.levels import Levels, Window
from handgrad.checker.slopes import Slope
from handgrad.errors import BadInput

Array = np.ndarray
Params = dict[str, Any]


# Arrays


def test_dtypes_below_float32_are_refused_unless_asked_for() -> None:
    params = {"x": np.ones(2, np.float16)}
    with pytest.raises(BadInput, match="params must be float32 or float64"):
        Native(params)
    assert Native(params, narrow=True).eps > 1e-6


@pytest.mark.parametrize("make", [np.asarray, torch.from_numpy, jnp.asarray])
def test_complex_arrays_are_taken_apart_at_their_end_and_put_together(make: Any) -> None:
    z = make(np.array([[1 + 2j, 3 - 4j, 0.5j]], np.complex64))
    pairs = Pairs.of({"z": z})
    apart = pairs.apart({"z": z})
    assert type(apart["z"]) is type(z)
    assert np.asarray(apart["z"]).tolist() == [[[1, 2], [3, -4], [0, 0.5]]]
    assert np.asarray(pairs.together(apart)["z"]).tolist() == np.asarray(z).tolist()


def test_a_complex_parameter_s_gradient_may_be_real() -> None:
    params = {"z": np.array([1 + 2j, 3 - 4j])}
    assert gradcheck(lambda p: 2 * p["z"].real.sum(), params, {"z": np.full(2, 2.0)}, seed=0)


# JAX


def test_results_of_another_shape_are_not_the_same() -> None:
    one = jnp.ones(2)
    assert _same(one, one)
    assert not _same(one, jnp.ones((2, 1)))
    assert not _same(one, jnp.ones(3))


def test_a_function_of_jax_in_bfloat16_needs_a_reference() -> None:
    with pytest.raises(BadInput, match="params must be float32 or float64, or come with reference"):
        gradcheck_module(jnp.exp, jnp.ones(3, jnp.bfloat16), seed=0)


# Assertions


def test_a_traceback_ends_in_the_test_that_asserts() -> None:
    """pytest leaves out the frames below it."""
    with pytest.raises(BadInput, match="got 0 arguments") as refused:
        assert_gradients()
    with pytest.raises(AssertionError) as failed:
        assert_gradients(lambda p: (p["w"] ** 2).sum(), {"w": np.ones(2)}, lambda p: p)
    for raised in (refused, failed):
        shown = [entry.name for entry in raised.traceback.filter(raised)]
        assert shown == ["test_a_traceback_ends_in_the_test_that_asserts"]


# Batches


@pytest.mark.parametrize("says", ["it raised IndexError: too far", "not what a loop gives"])
def test_of_each_way_to_batch_one_difference_is_told(says: str) -> None:
    """What follows from it, as a gradient from its outputs, is not told as well."""

    def batched(run: Any, axis: int) -> Any:
        def whole(*stacked: Array) -> list[Array]:
            if says.startswith("it raised"):
                raise IndexError("too far")
            return list(stacked)

        return whole

    def functions(names: Any) -> Any:
        return [(lambda x: [x * x], ["output 0"]), (lambda x: [2 * x], ["the gradient of x"])]

    params, rng = {"x": np.ones(3)}, np.random.default_rng(0)
    told = differing_batches(functions, params, rng, batched, np.stack, np.array_equal, [])
    assert [text.partition(": ")[0] for text in told] == [
        "vmap over the first axis",
        "vmap over the last axis",
    ]
    assert all(says in text for text in told)


def test_samples_to_batch_are_of_the_given_dtype_however_narrow() -> None:
    x = torch.tensor([0.5, 1.5, -2.0], dtype=torch.bfloat16)
    samples = _nearby("x", x, np.random.default_rng(0))
    assert [s.dtype for s in samples] == 3 * [torch.bfloat16]
    assert not any(torch.equal(s, x) for s in samples)


# Calls


class Views(torch.autograd.Function):
    """Its backward pass refuses an upstream gradient that is not contiguous."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(x)
        return x**2

    @staticmethod
    def backward(ctx: Any, *upstream: Any) -> Any:
        (x,) = ctx.saved_tensors
        return 2 * x * upstream[0].view(-1).view(x.shape)


def test_a_layout_that_backward_refuses_is_noted() -> None:
    x = torch.from_numpy(np.random.default_rng(0).standard_normal((3, 4)))
    report = gradcheck_module(Views.apply, x, seed=0)
    assert report.verdict == "pass"
    told = "a transposed upstream gradient with the same values: it raised RuntimeError: view size"
    assert any(note.startswith(told) for note in report.notes)


# Forward mode


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_a_jvp_is_held_to_be_linear_however_small_the_inputs_are(scale: float) -> None:
    x = scale * np.random.default_rng(0).uniform(0.5, 2.0, 4)

    def calls(jvp: Any) -> tuple[str, ...]:
        layer = (lambda x: (x**2, x)), (lambda d, x: 2 * x * d)
        return gradcheck_layer(*layer, [x], jvp=jvp, seed=0).calls

    assert not calls(lambda dx, x: 2 * x * dx)
    assert "jvp is not linear in its tangents" in calls(lambda dx, x: 2 * x * abs(dx))


# Differences


def test_the_step_of_a_one_sided_slope_is_its_finest() -> None:
    found = difference(lambda t: t**1.5 + t if t >= 0 else math.nan, 1.0, at_0=0.0)
    assert 0 < found.step < 1e-3


def test_a_contradicted_slope_is_measured_to_the_end_unless_in_haste() -> None:
    plain = difference(math.exp, 1.0, at_0=1.0)
    contradicted = difference(math.exp, 1.0, at_0=1.0, expected=2.0)
    hasty = difference(math.exp, 1.0, at_0=1.0, expected=2.0, hasty=True)
    assert hasty.calls < contradicted.calls == plain.calls
    assert contradicted.bound < hasty.bound


def test_of_two_windows_that_contradict_the_clearer_one_is_heard() -> None:
    levels = Levels(math.sin, 1.0, 0.0, 2.0**-52, 0.0)
    for _ in range(4):
        levels.add()
    best = Window(3, 1, 1.0, 1.0, 1e-9)
    rough, sharp = Window(0, 1, 2.0, 1.0, 1e-3), Window(1, 1, 1.5, 1.0, 1e-6)
    assert differences._clash(levels, best, [rough, sharp, best]) is sharp
    assert differences._clash(levels, best, [best]) is None


# Kinks


@pytest.mark.parametrize(("total", "verdict"), [(3.0, "pass"), (3.004, "pass"), (3.03, "fail")])
def test_shares_of_a_tie_are_held_to_a_thousandth_of_its_bend(total: float, verdict: str) -> None:
    tie = {"x": np.array([0.5, 0.5])}
    given = {"x": np.array([1.8, total - 1.8])}
    report = gradcheck(lambda p: 3 * float(p["x"].max()), tie, given, seed=0)
    assert report.verdict == verdict


@pytest.mark.parametrize(
    ("given", "verdict"), [(4.0, "nondifferentiable"), (0.0, "nondifferentiable"), (6.0, "fail")]
)
def test_where_two_kinks_meet_any_share_of_both_is_let_be(given: float, verdict: str) -> None:
    """3 (1) + 2 (½) = 4 is neither of the slopes 2 and 3, and 6 is more than 3 + 2."""

    def loss(p: Params) -> float:
        kinks = 3 * max(p["x"][0] + p["a"], 0) - 2 * max(p["b"] - p["x"][0], 0)
        return float(kinks + p["x"][1] ** 2)

    params = {"x": np.array([0.0, 4.0]), "a": np.array(0.0), "b": np.array(0.0)}
    grads = {"x": np.array([given, 8.0]), "a": np.array(3.0), "b": np.array(-2.0)}
    assert gradcheck(loss, params, grads, seed=0)["x"].verdict == verdict


# Causes


@pytest.mark.parametrize("scale", [1e-9, 1.0, 1e9])
def test_a_factor_is_named_however_large_the_loss_is(scale: float) -> None:
    params = {"x": np.array([0.3, 1.1, -0.7])}
    report = gradcheck(
        lambda p: scale * np.sin(p["x"]).sum(),
        params,
        lambda p: {"x": scale * np.cos(p["x"]) / 2},
        seed=0,
    )
    cause = report["x"].cause
    assert cause is not None
    assert cause.startswith("it must be multiplied by 2")


def test_a_transposed_gradient_that_was_given_the_right_shape_again_is_named() -> None:
    W = np.random.default_rng(0).standard_normal((2, 3))
    report = gradcheck(
        lambda p: (p["W"] ** 2).sum() / 2, {"W": W}, lambda p: {"W": p["W"].T.reshape(2, 3)}, seed=0
    )
    assert report["W"].cause == "it is transposed and read in the wrong order"


def test_shifted_entries_of_three_axes_are_named() -> None:
    x = np.random.default_rng(0).standard_normal((2, 2, 3))
    report = gradcheck(
        lambda p: (p["x"] ** 2).sum() / 2,
        {"x": x},
        lambda p: {"x": np.roll(p["x"], 1, axis=2)},
        seed=0,
    )
    assert report["x"].cause == "its entries are shifted by one"


def test_a_factor_that_is_hardly_another_than_1_is_named() -> None:
    assert causes._factor(1 + 2e-11) == "it must be multiplied by 1.00000000002"
    assert causes._factor(1 + 1e-14) is None


def test_rounding_is_allowed_for_however_small_the_factor_is() -> None:
    """The slopes are no sharper where the gradient is far too large."""
    slopes = [Slope(1.0, 1e-6, 1.0, False), Slope(1.0 + 9e-7, 1e-6, 1.0, False)]
    slopes.append(Slope(100.0, 1e-9, 1.0, False))
    ratio = causes._ratio_to(slopes, [1e3, 1e3, 1e5])
    assert ratio == pytest.approx(1e-3)


@pytest.mark.parametrize("seed", range(3))
def test_every_entry_of_a_small_gradient_is_held_to_the_outputs_shares(seed: int) -> None:
    seen = set[int]()

    def shares(entry: int) -> tuple[Array, Array]:
        seen.add(entry)
        return np.ones(2), np.array([3.0, 5.0])

    look: Any = SimpleNamespace(rng=np.random.default_rng(seed), gradient=np.full(6, 5.0))
    assert causes._in_shares(look, 0, shares) is not None
    assert seen == set(range(6))


# Functions


def test_a_set_comes_with_a_function_for_the_gradients_and_nothing_else() -> None:
    params = {"W": np.ones((1, 2)), "b": np.ones(1)}
    stack = Stack(["W"], ["b"], np.ones((3, 2)), np.ones((3, 1)))

    def loss(p: Params) -> float:
        return float(0.5 * ((np.ones((3, 2)) @ p["W"].T + p["b"] - 1) ** 2).mean())

    def check(grads: Any, **options: Any) -> None:
        gradcheck(loss, params, grads, project=lambda p: p, seed=0, **options)

    for grads, options in (
        (params, {}),
        (lambda p: p, {"structure": stack}),
        (lambda p: p, {"activations": lambda p: p["W"]}),
        (lambda p: p, {"reference": loss}),
    ):
        with pytest.raises(BadInput, match="project must come with loss, real params and grads"):
            check(grads, **options)


# Exact numbers


def test_nothing_is_said_of_a_proof_in_float32() -> None:
    """Exact numbers are for float64, also where a loss takes float32 alone."""

    def loss(p: Params) -> Any:
        if p["x"].dtype == np.float64:
            raise TypeError("float32 alone")
        return (p["x"] ** 2).sum() / 2

    params = {"x": np.array([1.0, 2.0], np.float32)}
    report = gradcheck(loss, params, lambda p: {"x": p["x"]}, seed=0)
    assert report.verdict == "pass"
    assert not any("proved" in note for note in report.notes)


def test_why_nothing_is_proved_is_told_with_the_caller_s_line() -> None:
    """Not with the library's line, or ours, where it stops."""

    def loss(p: Params) -> Any:
        return np.linalg.det(p["W"])

    def grads(p: Params) -> Params:
        return {"W": np.linalg.det(p["W"]) * np.linalg.inv(p["W"]).T}

    W = np.array([[1.0, 2.0], [3.0, 5.0]])
    report = gradcheck(loss, {"W": W}, grads, seed=0)
    assert report.verdict == "pass"
    (told,) = (note for note in report.notes if "proved" in note)
    line = loss.__code__.co_firstlineno + 1
    assert told.startswith(f"not proved: it takes floats alone, at line {line} of test_checker_")
