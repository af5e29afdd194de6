"""Details of slopes, layers, verdicts and reports: each test says what must stay so."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from test_gradcheck import custom
from torch import nn

from handgrad import BadInput, gradcheck, gradcheck_layer, gradcheck_module
from handgrad.checker.arrays import Native
from handgrad.checker.differences import difference
from handgrad.checker.levels import Levels
from handgrad.checker.look import MARGIN, Look
from handgrad.checker.noise import spacing
from handgrad.checker.places import Options
from handgrad.checker.preflight import require_sound
from handgrad.checker.program import Program
from handgrad.checker.report import ForwardReport, ParameterReport, Report
from handgrad.checker.rounding import SHAKE_SAFETY, Results
from handgrad.checker.second import UPSTREAM, Gradients
from handgrad.checker.slopes import Slope, Slopes
from handgrad.checker.stack import Stack
from handgrad.checker.stairs import jump
from handgrad.checker.trees import flattened, like
from handgrad.checker.verdict import judged
from handgrad.checker.ways import Ways
from handgrad.mistakes import CATALOGUE

Array = np.ndarray
Params = dict[str, Any]


# Slopes


@pytest.mark.parametrize("size", [1.0, 1e-3])
def test_a_function_that_bends_far_below_the_first_step_is_followed_down_to_it(size: float) -> None:
    found = difference(lambda t: size * math.tanh(1e7 * t), 1.0, at_0=0.0)
    assert abs(found.value - 1e7 * size) <= found.bound < 1e4 * size


def test_a_slope_that_the_coarse_levels_contradict_is_looked_for_at_the_fine_ones() -> None:
    """They alone see that the function is flatter within 1e-5 of the point."""

    def phi(t: float) -> float:
        return t - 8e-11 * math.tanh(t / 1e-5)

    found = difference(phi, 1.0, at_0=0.0, expected=1 - 8e-6)
    assert abs(found.value - (1 - 8e-6)) <= found.bound < 1e-6


def test_one_contradiction_is_enough_in_haste_however_small_the_slopes() -> None:
    for size in (1.0, 1e-3, 1e3):
        hasty, slow = (
            difference(
                lambda t, size=size: size * math.sin(t),  # type: ignore[misc]
                1.0,
                at_0=0.0,
                expected=2 * size,
                hasty=haste,
            )
            for haste in (True, False)
        )
        assert hasty.calls < slow.calls
        assert abs(hasty.value - size) <= hasty.bound < 0.1 * size


def test_a_slope_is_not_taken_in_haste_unless_that_is_asked_for() -> None:
    """From afar the loss has the slope 1; the gradient is right, within 1e-5, with 1.01."""
    start = np.array([0.7, -1.1, 0.4])

    def loss(p: Params) -> float:
        w = np.array(p["w"], float)
        return float((w + 1e-7 * np.tanh((w - start) / 1e-5)).sum())

    def grads(p: Params) -> Params:
        return {"w": 1 + 1e-2 / np.cosh((p["w"] - start) / 1e-5) ** 2}

    for seed in range(3):
        assert gradcheck(loss, {"w": start}, grads, points=1, seed=seed).ok


def test_numbers_that_are_not_finite_and_zeros_tell_nothing_of_a_format() -> None:
    values = [1.0, 1.25, 3.5]
    assert spacing([*values, math.nan, math.inf]) == spacing(values) > 0
    assert spacing([0.5, 0.25, 0.0]) == 0


def test_a_difference_counts_the_calls_of_its_function() -> None:
    calls = []

    def sine(t: float) -> float:
        calls.append(t)
        return math.sin(t)

    assert difference(sine, 1.0, at_0=0.0).calls == len(calls) > 10


def test_a_jump_along_one_parameter_hides_no_error_of_another() -> None:
    def loss(p: Params) -> float:
        jump = 0.003 * (p["a"] > 1.003).sum()
        return float(np.sin(p["a"]).sum() + jump + np.sin(p["b"]).sum())

    def grads(p: Params) -> Params:
        return {"a": np.cos(p["a"]), "b": 1.01 * np.cos(p["b"])}

    params = {"a": np.array([1.0, 0.4, 2.0]), "b": np.array([0.3, 0.7, -0.2])}
    for seed in (0, 1, 2):
        report = gradcheck(loss, params, grads, points=1, seed=seed)
        assert (report["a"].verdict, report["b"].verdict) == ("pass", "fail"), str(report)


def test_a_loss_of_which_no_noise_is_known_is_taken_to_have_none() -> None:
    params = {"w": np.array([0.3, 1.2, -0.7])}
    near = Slopes(lambda p: float(np.sin(p["w"]).sum()), params)
    along = np.array([1.0, -2.0, 0.5])
    slope = near.method("w", np.random.default_rng(0))(along)
    assert slope.tolerance < 1e-6
    assert slope.allows(float(np.cos(params["w"]) @ along))


def test_a_jump_is_found_beyond_a_slope_and_a_curve() -> None:
    levels = Levels(lambda t: 3 * t + 5 * t**2 + 0.01 * (t > 1e-3), 1.0, 0.0, 2.0**-52, 1e-12)
    for _ in range(14):
        levels.add()
    (fine,) = (w for w in levels.windows if (w.k, w.p) == (9, 1))
    assert jump(levels, fine) == pytest.approx(0.01, rel=1e-2)


def still(value: float, tolerance: float) -> Any:
    """A method that finds the same slope along every direction."""

    class Method:
        name = "w"

        def __call__(self, direction: Array, *_: Any) -> Slope:
            return Slope(value, tolerance, 1.0, False)

    return Method()


def test_slopes_may_fail_to_add_up_by_as_much_as_all_three_are_off() -> None:
    """One and one are one to within three times 0.4, and not within three times 0.3."""
    results = Results(2.0**-52, 1.0, {"w": np.ones(2)})
    for tolerance, linear in ((0.4, True), (0.3, False)):
        method = still(1.0, tolerance)
        look = Look(method, results, np.random.default_rng(0), slopes=[method(np.ones(2))])
        assert look.is_linear() == linear
        assert look.allowed(np.ones(2)) == 0  # unless some error is asked for


def test_what_is_blurred_and_unevenly_noisy_must_be_clearly_wrong() -> None:
    def margin(tolerance: float, *noises: float) -> float:
        slopes = [Slope(1.0, tolerance, 1.0, False, noise) for noise in noises]
        results = Results(2.0**-52, 1.0, {"w": np.ones(2)})
        return Look(still(1.0, 0.1), results, np.random.default_rng(0), slopes=slopes).margin

    assert margin(0.01, 1e-3, 2e-3) == MARGIN
    assert margin(1e-4, 1e-3, 2e-3) == margin(0.01, 1e-3, 1e-3) == 1


def test_what_moves_next_to_the_point_is_rounding() -> None:
    g, v = np.array([1.0, 2.0]), np.array([1.0, -1.0])
    around = [{"w": g + 0.1}, {"w": g + np.array([0.0, 0.3])}, {"w": g - np.array([0.3, 0.0])}]
    results = Results(0.0, 1.0, {"w": g}, around=around)
    assert results.rounding({"w": v}) == pytest.approx(SHAKE_SAFETY * 0.3 * math.sqrt(2 / 3))
    assert Results(0.0, 1.0, {"w": g}).rounding({"w": v}) == 0


def test_a_certified_gradient_that_is_right_passes_along_any_number_of_directions() -> None:
    rng = np.random.default_rng(0)
    x, y, w = rng.standard_normal((5, 3)), rng.standard_normal((5, 2)), rng.standard_normal((3, 2))

    def loss(p: Params) -> float:  # on floats alone
        return float(0.5 * np.square(np.maximum(x @ np.array(p["w"], float), 0) - y).sum())

    def grads(p: Params) -> Params:
        a = x @ p["w"]
        return {"w": x.T @ ((np.maximum(a, 0) - y) * (a > 0))}

    report = gradcheck(
        loss, {"w": w}, grads, activations=lambda p: x @ p["w"], directions=4, seed=0
    )
    assert report.ok, str(report)
    assert report["w"].certified
    assert report["w"].measured == "differences, kinks certified"


@pytest.mark.parametrize("factor", [1.0, 1.003])
def test_tiny_entries_beside_a_huge_one_are_seen_in_float32(factor: float) -> None:
    sizes = np.array([1e5, *[2.0] * 7], np.float32)
    start = np.linspace(0.1, 0.8, 8, dtype=np.float32)

    def loss(p: Params) -> Any:
        return (sizes.astype(p["w"].dtype) * np.maximum(p["w"], 0) ** 2).sum() / 2

    def grads(p: Params) -> Params:
        g = sizes * np.maximum(p["w"], 0)
        g[1:] *= np.float32(factor)
        return {"w": g}

    for seed in range(3):
        report = gradcheck(
            loss,
            {"w": start},
            grads,
            reference=loss,
            activations=lambda p: p["w"],
            points=1,
            seed=seed,
        )
        assert report["w"].verdict == ("pass" if factor == 1 else "fail"), str(report)


def test_a_program_that_is_not_defined_a_little_further_is_checked_where_it_is() -> None:
    start = {"w": np.array([0.3, 1.2])}

    def near(p: Params) -> Array:
        if abs(p["w"] - start["w"]).max() > 1e-7:
            raise ValueError("not defined here")
        return p["w"]

    report = gradcheck(
        lambda p: np.sin(near(p)).sum(),
        start,
        lambda p: {"w": np.cos(near(p))},
        reference=lambda p: np.sin(p["w"]).sum(),
        points=1,
        seed=0,
    )
    assert report.ok, str(report)


def test_a_zero_is_moved_as_its_peers_are_and_by_one_spacing_where_all_are_zero() -> None:
    seen: list[Array] = []

    def loss(p: Params) -> Any:
        seen.append(p["w"])
        return p["w"].sum()

    for w in (np.array([0.0, 100.0]), np.zeros(2)):
        program = Program(Native({"w": w}), loss, lambda p: {"w": p["w"]}, reference=loss)
        seen.clear()
        program.results({"w": w}, np.random.default_rng(0))
        moved = max(abs(p[0]) for p in seen[1:9])
        assert moved == pytest.approx(2.0**-52 * (w.max() or 1.0), rel=1e-6, abs=0)


# Wrong entries and causes


def test_a_wrong_column_is_told_as_a_column() -> None:
    w = np.random.default_rng(0).standard_normal((4, 3))

    def grads(p: Params) -> Params:
        g = np.cos(p["w"])
        g[:, 1] *= 1.5
        return {"w": g}

    report = gradcheck(lambda p: float(np.sin(p["w"]).sum()), {"w": w}, grads, seed=0)
    assert report["w"].where == "column [1]"


def test_a_long_wrong_column_is_told_as_a_column() -> None:
    w = np.random.default_rng(0).standard_normal((40, 3))

    def grads(p: Params) -> Params:
        g = np.cos(p["w"])
        g[:, 2] *= 1.5
        return {"w": g}

    report = gradcheck(lambda p: float(np.sin(p["w"]).sum()), {"w": w}, grads, seed=0)
    assert report["w"].where == "column [2]"


def test_the_search_for_wrong_entries_ends_where_many_are() -> None:
    """33 among 600 take about 3000 losses, and all of them more than ten times as many."""
    factors = 1 + np.random.default_rng(1).uniform(0.1, 0.9, 600)
    report = gradcheck(
        lambda p: float(np.sin(p["w"]).sum()),
        {"w": np.random.default_rng(0).standard_normal(600)},
        lambda p: {"w": factors * np.cos(p["w"])},
        points=1,
        seed=0,
    )
    assert report["w"].where == "dense"
    assert report.evaluations < 10_000


def test_a_structure_of_unequal_widths_rules_out_the_mistakes_that_its_shapes_refuse() -> None:
    rng = np.random.default_rng(0)
    widths = (2, 3, 5, 1)
    p = {f"W{k}": rng.standard_normal((widths[k + 1], widths[k])) for k in range(3)}
    p |= {f"b{k}": rng.standard_normal(widths[k + 1]) for k in range(3)}
    weights, biases = ([f"{kind}{k}" for k in range(3)] for kind in "Wb")
    x, y = rng.standard_normal((4, 2)), rng.standard_normal((4, 1))
    wrong = CATALOGUE["ReLU left out"].backward(2)
    dWs, dbs = wrong([p[w] for w in weights], [p[b] for b in biases], x, y)
    given = dict(zip([*weights, *biases], [*dWs, *dbs], strict=True))
    causes = Stack(weights, biases, x, y).causes(p, given)
    assert any("In layer 3: `da = dh`" in cause for cause in causes)


def test_of_a_parameter_that_is_moved_along_a_few_ways_no_entry_is_named() -> None:
    params = {"large": np.zeros(501), "small": np.zeros(2)}
    ways = Ways(lambda p: 0.0, lambda p, v: 0.0, params, np.random.default_rng(0))
    found = {
        name: ParameterReport(name, "fail", math.inf, math.inf, False, index=(1,))
        for name in params
    }
    told = ways.told(Report(found, 1, 1, 0.01, 0))
    assert (told["large"].index, told["small"].index) == (None, (1,))


def test_the_causes_of_a_tiny_input_are_named_too() -> None:
    """The outputs' shares are differences over a step of the input's own size."""

    def forward(x: torch.Tensor) -> torch.Tensor:
        return torch.softmax(1e3 * x, 0)

    def backward(saved: Any, g: torch.Tensor) -> torch.Tensor:
        s = forward(saved[0])
        return 1e3 * g * s * (1 - s)

    x = 1e-3 * torch.tensor([0.3, -0.4, 0.9, 0.1], dtype=torch.float64)
    report = gradcheck_module(custom(forward, backward), x, seed=0)
    assert report["input 0"].cause == "only the diagonal of its Jacobian is used"


def test_the_causes_that_show_in_a_layer_s_outputs_are_named() -> None:
    def forward(x: Array) -> tuple[Array, Array]:
        e = np.exp(x - x.max())
        return e / e.sum(), e / e.sum()

    def backward(dout: Array, cache: Array) -> Array:
        return dout * cache * (1 - cache)

    report = gradcheck_layer(forward, backward, np.array([0.3, -0.4, 0.9, 0.1]), seed=0)
    assert report["x"].cause == "only the diagonal of its Jacobian is used"


def test_a_mistake_without_a_learning_rate_is_told_without_one() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((4, 2)), rng.standard_normal((4, 1))
    stack = Stack(["W1", "W2"], ["b1", "b2"], x, y)
    shapes = {"W1": (3, 2), "W2": (1, 3), "b1": (3,), "b2": (1,)}
    p = {name: rng.standard_normal(shape) for name, shape in shapes.items()}
    wrong = CATALOGUE["ReLU left out"].backward(1)
    dWs, dbs = wrong([p["W1"], p["W2"]], [p["b1"], p["b2"]], x, y)
    causes = stack.causes(p, dict(zip(shapes, [*dWs, *dbs], strict=True)))
    assert any("In layer 2: `da = dh`, where `da = dh * (a > 0)` belongs" in c for c in causes)


# Points


def test_a_few_losses_are_enough_where_nothing_is_suspect() -> None:
    def loss(p: Params) -> float:
        return float(sum(np.sin(np.array(a, float)).sum() for a in p.values()))

    params = {name: np.linspace(0.1, 1.0, 5) for name in "abcd"}
    report = gradcheck(loss, params, lambda p: {n: np.cos(a) for n, a in p.items()}, seed=0)
    assert report.ok
    assert report.evaluations <= 12


def test_a_point_where_slopes_do_not_add_up_is_not_counted() -> None:
    """The median of equal numbers has a slope along every direction, and no gradient."""

    def median(p: Params) -> float:
        return float(np.median(np.array(p["w"], float)))

    report = gradcheck(median, {"w": np.ones(5)}, {"w": np.ones(5) / 5}, points=1, seed=0)
    assert report["w"].verdict == "nondifferentiable", str(report)
    assert "do not add up" in str(report["w"].note)


# Layers


def test_a_cache_that_is_no_float_array_of_an_output_s_shape_is_a_cache() -> None:
    def forward(x: Array) -> tuple[Array, Array]:
        return np.maximum(x, 0), x > 0

    def backward(dout: Array, data: Array) -> Array:
        return dout * data

    def wide(x: Array) -> tuple[Array, Array]:
        return np.sin(x).sum(), x

    x = np.array([0.5, -1.5, 2.5])
    assert gradcheck_layer(forward, backward, x, seed=0).ok
    assert gradcheck_layer(wide, lambda dout, data: dout * np.cos(data), x, seed=0).ok


def test_a_cache_is_told_from_an_output_by_the_name_of_the_last_argument() -> None:
    def forward(x: Array) -> tuple[Array, Array, Array]:
        return np.sin(x), np.cos(x), x

    def backward(dsine: Array, dcosine: Array, x: Array) -> Array:
        return dsine * np.cos(x) - dcosine * np.sin(x)

    assert gradcheck_layer(forward, backward, np.array([0.5, -1.5, 2.5]), seed=0).ok


class Scale:
    """Keeps its gradients beside its parameters, from the beginning."""

    def __init__(self) -> None:
        self.W, self.b = np.array([0.5, -1.5, 2.5]), np.zeros(3)
        self.dW, self.grads = np.zeros(3), {"b": np.zeros(3)}

    def forward(self, x: Array) -> Array:
        self.x = x
        return self.W * x + self.b

    def backward(self, dout: Array) -> Array:
        self.dW, self.grads = dout * self.x, {"b": 1.0 * dout}
        return dout * self.W


def test_an_object_s_gradients_are_none_of_its_parameters() -> None:
    report = gradcheck_layer(Scale(), inputs=np.array([1.0, 2.0, 3.0]), seed=0)
    assert report.ok
    assert set(report.parameters) == {"x", "W", "b"}
    assert not any("not checked" in note for note in report.notes)


def test_a_tree_keeps_its_lists_and_tuples() -> None:
    tree = {"a": [1.0, (2.0, [3.0])]}
    assert like(tree, flattened(tree)) == tree


def test_a_staircase_is_one_along_a_parameter_that_hardly_climbs_it_too() -> None:
    """Along b alone a few treads look like a slope, or like none."""
    for seed in range(1, 5):
        rng = np.random.default_rng(seed)
        params = {"a": rng.standard_normal(4), "b": rng.standard_normal(4)}

        def loss(p: Params) -> float:
            a, b = np.array(p["a"], float), np.array(p["b"], float)
            return float(np.floor((np.sin(a).sum() + 1e-3 * np.sin(b).sum()) / 0.017) * 0.017)

        def grads(p: Params) -> Params:
            return {"a": np.cos(p["a"]), "b": 1e-3 * np.cos(p["b"])}

        assert gradcheck(loss, params, grads, points=1, seed=seed)["b"].verdict != "fail"


# Verdicts and reports


def test_gradients_that_are_given_as_arrays_differ_by_nothing_from_call_to_call() -> None:
    w = np.array([0.5, -1.5])
    report = gradcheck(lambda p: float(np.sin(p["w"]).sum()), {"w": w}, {"w": np.cos(w)}, seed=0)
    assert report.ok
    assert not any("from call to call" in note for note in report.notes)


def test_names_of_gradients_that_are_missing_are_told_beside_those_given() -> None:
    def loss(p: Params) -> float:
        return float((p["w"] ** 2).sum())

    params = {"w": np.ones(2)}

    def grads(p: Params) -> Params:
        return {"v": 2 * p["w"]}

    with pytest.raises(BadInput, match=r"\['w'\], got \['v'\]"):
        gradcheck(loss, params, grads)
    with pytest.raises(BadInput, match=r"\['w'\], got \['v'\]"):
        require_sound(Program(Native(params), loss, grads))
    with pytest.raises(BadInput, match=r"\['w'\], got ndarray"):
        require_sound(Program(Native(params), loss, lambda p: 2 * p["w"]))


def test_a_parameter_that_no_point_shows_is_not_certified() -> None:
    report = judged("w", [], Options())
    assert (report.verdict, report.certified) == ("inconclusive", False)
    assert report.measured == "differences"


def test_options_are_held_to_what_makes_sense() -> None:
    with pytest.raises(BadInput, match=r"resolve must lie above 0, got -0\.5"):
        Options(resolve=-0.5)
    with pytest.raises(BadInput, match="rtol must lie between 0 and 1, got 2"):
        Options(rtol=2)


def test_a_program_below_float32_is_seen_along_more_directions_unless_they_are_given() -> None:
    assert Options().of(1e-3).directions == 8
    assert Options(directions=3).of(1e-3).directions == 3
    assert Options().of(1e-7).directions is None


def test_on_a_gpu_below_float64_some_error_is_allowed_and_never_less_than_was() -> None:
    assert Options().of(1e-7, on_a_gpu=True).rtol == 1e-4
    assert Options(rtol=0.01).of(1e-7, on_a_gpu=True).rtol == 0.01
    assert Options().of(1e-16, on_a_gpu=True).rtol == 0


def test_a_line_tells_both_bounds_where_the_gradient_is_not_zero() -> None:
    passed = ParameterReport("w", "pass", 2e-9, 1e-9, True)
    assert passed.line().endswith(
        "correct to within 2.0e-09 (1.0e-09 of its norm), kinks certified"
    )
    nothing = replace(passed, relative_bound=math.inf, certified=False)
    assert nothing.line().endswith("correct to within 2.0e-09")


def test_a_head_tells_how_probable_a_bound_is() -> None:
    report = gradcheck(lambda x: float((x**2).sum()), np.ones(2), lambda x: 2 * x, delta=0.05)
    assert "a bound holds with probability 0.95)" in report.head


def test_a_proof_is_told_from_what_was_measured() -> None:
    exact = gradcheck(lambda x: (x**2).sum(), np.ones(2), lambda x: 2 * x, seed=0)
    assert exact["params"].measured == "exact numbers"
    floats = gradcheck(
        lambda x: float(np.sin(np.array(x, float)).sum()), np.ones(2), np.cos, seed=0
    )
    assert floats["params"].measured == "differences"


def test_a_table_tells_the_note_of_what_does_not_fail() -> None:
    noted = ParameterReport("w", "inconclusive", 1.0, math.inf, False, "it is too noisy")
    assert noted.row.cause == "it is too noisy"
    assert replace(noted, note=None).row.cause == ""


def test_the_loss_s_line_tells_how_far_it_is_from_the_reference() -> None:
    line = ForwardReport("pass", 2.5, 2.0, 1.0).line()
    assert "2.5 is 5.0e-01 from the reference; rounding may move it by 1.0e+00" in line


def test_where_every_entry_lies_on_a_kink_the_gradient_is_off_by_nothing() -> None:
    report = gradcheck(lambda x: float(abs(x).sum()), np.zeros(3), np.sign, points=1, seed=0)
    (found,) = report.parameters.values()
    assert (found.verdict, found.note) == ("pass", "every entry lies on a kink")
    assert found.bound == found.relative_bound == 0


def test_the_loss_beside_its_reference_has_a_row_in_the_table() -> None:
    def loss(p: Params) -> Any:
        return (p["w"] ** 2).sum()

    params = {"w": np.array([0.5, -1.5], np.float32)}
    report = gradcheck(loss, params, lambda p: {"w": 2 * p["w"]}, reference=loss, seed=0)
    rows = {row.what: row for row in report.rows}
    assert set(rows) == {"the loss", "w"}
    assert rows["the loss"].measured == "beside the reference"
    assert ", reference " in rows["the loss"].place


def test_what_an_entry_should_be_is_told_where_it_is_known() -> None:
    wrong = ParameterReport(
        "w", "fail", math.inf, math.inf, False, index=(1,), analytic=2.0, numeric=3.0
    )
    assert wrong.place == "[1] is 2, should be 3"
    assert replace(wrong, numeric=math.nan).place == "[1] is 2"
    assert replace(wrong, numeric=None).place == "[1] is 2"


def test_a_structure_can_be_kept_in_a_set() -> None:
    one, other = (Stack(["W"], ["b"], np.ones((2, 3)), np.ones((2, 1))) for _ in range(2))
    assert len({one, other, one}) == 2
    assert one != other


# PyTorch


def test_a_float32_module_with_a_float32_constant_inside_is_checked_as_it_is() -> None:
    """In float64 it cannot compute: its constant is no parameter, and is not widened."""

    class Mixed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer, self.constant = nn.Linear(3, 3), [torch.eye(3)]

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.tanh(self.layer(x)) @ self.constant[0]

    torch.manual_seed(0)
    assert gradcheck_module(Mixed(), torch.randn(4, 3), seed=0).verdict != "fail"


def test_what_is_cut_off_is_found_behind_what_is_not() -> None:
    def product(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return torch.sin(a) * torch.exp(b).detach()

    x = torch.tensor([0.3, -0.4, 0.9], dtype=torch.float64)
    report = gradcheck_module(product, [x, x.clone()], seed=0)
    assert report["input 0"].verdict == "pass", str(report)
    assert report["input 1"].verdict == "inconclusive", str(report)


def test_a_second_derivative_by_an_input_that_is_not_used_is_zero() -> None:
    def square(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return a**2

    x = torch.tensor([0.3, -0.4, 0.9], dtype=torch.float64)
    assert gradcheck_module(square, [x, x.clone()], second=True, seed=0).ok


def test_a_gradient_that_autograd_holds_constant_keeps_its_value() -> None:
    constant = torch.tensor([2.0, 3.0], dtype=torch.float64)
    made = custom(lambda x: constant * x, lambda saved, g: (constant * g).detach())
    x = torch.tensor([0.3, -0.4], dtype=torch.float64, requires_grad=True)
    upstream = torch.tensor([5.0, 7.0], dtype=torch.float64, requires_grad=True)
    (found,) = Gradients(made, [])(x, **{UPSTREAM: [upstream]})
    assert found.detach().tolist() == [10, 21]
    assert torch.autograd.grad(found.sum(), upstream)[0].tolist() == [0, 0]


def test_a_check_leaves_no_hooks_in_the_caller_s_module() -> None:
    net = nn.Sequential(nn.ReLU())
    assert gradcheck_module(net, torch.tensor([0.3, -0.4, 0.9], dtype=torch.float64), seed=0).ok
    assert not net[0]._forward_pre_hooks
