"""The gradient checker: right code passes, wrong code fails where it is wrong, and says so."""

import inspect
import itertools
import math
import random
import re
import subprocess
import sys
from functools import partial
from importlib import import_module
from typing import Any

import numpy as np
import pytest
import torch
import torch.utils.checkpoint
from torch import nn

from handgrad import assert_gradients, gradcheck, gradcheck_module
from handgrad.checker import Stack
from handgrad.checker.arrays import drawn, flat
from handgrad.checker.slopes import Slopes
from handgrad.errors import BadInput
from handgrad.exact import equivalent
from handgrad.mistakes import CATALOGUE, backward

Params = dict[str, np.ndarray]


@pytest.fixture(autouse=True)
def same_seeds(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same directions in every run; the benchmark draws fresh ones by the thousand."""
    seeds = itertools.count()
    for home in ("functions", "pytorch"):
        monkeypatch.setattr(f"handgrad.checker.{home}.fresh_seed", lambda seed: next(seeds))


class Network:
    """Two layers with squared loss on normal data; its gradients by the catalogue's right lines."""

    def __init__(self, seed: int, d: int = 3, h: int = 5, B: int = 20, scale: float = 1.0) -> None:
        rng = np.random.default_rng(seed)
        self.x, self.y = rng.standard_normal((B, d)), rng.standard_normal((B, 1))
        W1, W2 = rng.standard_normal((h, d)), rng.standard_normal((1, h))
        self.params = {
            "W1": W1,
            "b1": rng.standard_normal(h),
            "W2": W2,
            "b2": rng.standard_normal(1),
        }
        self.scale = scale
        self.calls = 0

    def activations(self, p: Params) -> dict[str, np.ndarray]:
        return {"a1": self.x @ p["W1"].T + p["b1"]}

    def loss(self, p: Params) -> float:
        self.calls += 1
        f = np.maximum(self.activations(p)["a1"], 0) @ p["W2"].T + p["b2"]
        return float(self.scale * 0.5 * ((f - self.y) ** 2).mean())

    def grads(self, p: Params, using: Any = backward) -> Params:
        (dW1, dW2), (db1, db2) = using([p["W1"], p["W2"]], [p["b1"], p["b2"]], self.x, self.y)
        return {k: self.scale * g for k, g in zip(p, (dW1, db1, dW2, db2), strict=True)}

    def check(self, spoil: Any = None, certify: bool = True, **options: Any) -> Any:
        def grads(p: Params) -> Params:
            g = self.grads(p)
            if spoil is not None:
                spoil(g)
            return g

        activations = self.activations if certify else None
        return gradcheck(self.loss, self.params, grads, activations=activations, **options)


# Right code


@pytest.mark.parametrize("certify", [True, False])
@pytest.mark.parametrize("seed", range(12))
def test_right_gradients_pass(seed: int, certify: bool) -> None:
    report = Network(seed).check(certify=certify)
    assert report.verdict == "pass", str(report)
    assert all(p.certified == certify for p in report.parameters.values())
    assert ("kinks certified" in str(report)) == certify
    assert all(p.relative_bound < 1e-3 for p in report.parameters.values())


def test_large_right_gradients_pass_with_as_few_evaluations() -> None:
    small, large = Network(0), Network(0, d=64, h=128, B=64)
    assert small.check().verdict == large.check().verdict == "pass"
    assert large.calls <= small.calls + 40


@pytest.mark.parametrize("scale", [1e-6, 1e6])
@pytest.mark.parametrize("right", [True, False])
def test_the_size_of_the_loss_changes_no_verdict(scale: float, right: bool) -> None:
    def spoil(g: Params) -> None:
        if not right:
            g["b1"][2] *= -1

    report = Network(1, scale=scale).check(spoil)
    assert report.verdict == ("pass" if right else "fail"), str(report)
    assert report["b1"].index == (None if right else (2,))


def test_smooth_functions_pass_and_tiny_mistakes_in_them_fail() -> None:
    x = np.linspace(-1, 1, 5)

    def loss(p: Params) -> float:
        return float(np.tanh(p["w"] * x).sum() ** 2)

    def grads(p: Params, factor: float = 1.0) -> Params:
        t = np.tanh(p["w"] * x)
        return {"w": factor * 2 * t.sum() * (1 - t**2) * x}

    params = {"w": np.arange(1.0, 6.0)}
    assert gradcheck(loss, params, grads).verdict == "pass"
    assert gradcheck(loss, params, lambda p: grads(p, 1 + 1e-6)).verdict == "fail"


# Wrong code


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("certify", [True, False])
@pytest.mark.parametrize(
    ("spoil", "name", "where", "cause"),
    [
        (lambda g: g["W1"].__imul__(-1), "W1", "all entries", "its sign is wrong"),
        (lambda g: g["b1"].__imul__(2), "b1", "all entries", "it must be divided by 2"),
        (lambda g: g["W2"].__imul__(1 / 7), "W2", "all entries", "it must be multiplied by 7"),
        (lambda g: g["b2"].__imul__(0), "b2", "all entries", "it is zero everywhere"),
        (lambda g: g.update(W1=np.roll(g["W1"], 1, 0)), "W1", "all", "its rows are shifted by one"),
        (lambda g: g.update(W1=g["W1"].T.reshape(5, 3)), "W1", "", "transposed"),
        (lambda g: g.update(b1=g["W2"][0].copy()), "b1", "", "it is the gradient of W2"),
        (lambda g: g["W1"].__setitem__((3, 1), 0.5), "W1", "entries [[3, 1]]", None),
        (lambda g: g["W1"].__setitem__(2, 1.0), "W1", "row [2]", None),
        (lambda g: g["W1"].__setitem__((slice(None), 1), 1.0), "W1", "column [1]", None),
    ],
)  # fmt: skip
def test_a_mistake_is_found_located_and_named(
    spoil: Any, name: str, where: str, cause: str | None, certify: bool, seed: int
) -> None:
    report = Network(seed).check(spoil, certify)
    assert report.verdict == report[name].verdict == "fail", str(report)
    assert [p.name for p in report.parameters.values() if p.verdict == "fail"] == [name]
    assert where in report[name].where
    assert cause in report[name].cause if cause else report[name].cause is None


def test_the_worst_entry_is_named_with_both_values() -> None:
    network = Network(4)
    true = network.grads(network.params)["W1"][4, 2]
    report = network.check(lambda g: g["W1"].__setitem__((4, 2), 9.0))["W1"]
    assert report.index == (4, 2)
    assert report.analytic == 9.0
    assert report.numeric == pytest.approx(true, rel=1e-6)
    assert "[4, 2] is 9, should be" in str(report)


def test_one_wrong_entry_among_16384_is_located_in_200_evaluations() -> None:
    network = Network(0, d=64, h=256, B=64)

    def spoil(g: Params) -> None:
        g["W1"][100, 17] = 0

    passing = network.check(points=1).evaluations
    report = network.check(spoil, points=1)
    assert report["W1"].where == "entries [[100, 17]]"
    assert report.evaluations - passing <= 200


# Mistakes that are seen before anything is measured.
REFUSED = {
    "dW accumulated": "must be the same in a second call",
    "db accumulated": "must be the same in a second call",
    "db not summed": "must have shape",
    "db over the wrong axis": "must have shape",
}


@pytest.mark.parametrize("name", CATALOGUE)
def test_every_mistake_of_the_catalogue_fails(name: str) -> None:
    network, mistake = Network(5), CATALOGUE[name]
    for layer in mistake.layers(2):
        if equivalent(mistake, layer, [3, 5, 1], 20) or name.startswith("short batch"):
            continue  # a single batch is never short
        wrong = mistake.backward(layer, batch_size=len(network.x))
        grads = partial(network.grads, using=wrong)
        if name in REFUSED:
            with pytest.raises(BadInput, match=REFUSED[name]):
                gradcheck(network.loss, network.params, grads)
        else:
            assert gradcheck(network.loss, network.params, grads).verdict == "fail", (name, layer)


@pytest.mark.slow
def test_an_error_at_twice_the_bound_is_always_seen() -> None:
    network = Network(6)
    rng = np.random.default_rng(0)
    for _ in range(400):
        bound = network.check(points=1, delta=1e-6)["W1"].bound
        direction = rng.standard_normal(network.params["W1"].shape)
        error = 2 * bound * direction / np.linalg.norm(direction)
        report = network.check(lambda g: g["W1"].__iadd__(error), points=1)  # noqa: B023
        assert report["W1"].verdict == "fail"


# Kinks


def on_kinks(seed: int) -> Network:
    """A network each of whose units sits on its kink for sample 2."""
    network = Network(seed)
    network.x[2] = 0
    network.params["b1"][:] = 0
    return network


@pytest.mark.parametrize("certify", [True, False])
def test_a_given_point_on_a_kink_is_told_and_counts(certify: bool) -> None:
    network = on_kinks(7)
    report = network.check(certify=certify)
    assert report.verdict == "pass", str(report)
    if certify:
        assert "a1[2, 0] (sample, unit) is exactly 0, as 4 more are" in report.notes[0]
    wrong = network.check(lambda g: g["b1"].__imul__(1.01), certify)
    assert wrong["b1"].verdict == "fail"


@pytest.mark.parametrize("seed", range(7, 12))
def test_gradients_that_are_given_on_a_kink_are_judged_there(seed: int) -> None:
    network = on_kinks(seed)
    given = network.grads(network.params)
    for activations in (network.activations, None):
        report = gradcheck(network.loss, network.params, given, activations=activations)
        assert report.verdict == "pass", str(report)
        for name, entry in (("b1", 1), ("W1", 3), ("W2", 2)):
            wrong = {**given, name: given[name].copy()}
            wrong[name].flat[entry] += 10 * abs(given[name]).max()
            assert gradcheck(network.loss, network.params, wrong)[name].verdict == "fail"


def test_a_certificate_is_not_given_across_a_kink() -> None:
    network = Network(8)
    loss: Any = network.loss
    near = Slopes(loss, network.params, lambda p: flat(network.activations(dict(p))))
    rng = np.random.default_rng(0)
    direction = drawn(rng, network.params["b1"].shape)
    method = near.method("b1", rng)
    along = float((network.grads(network.params)["b1"] * direction).sum())
    slope = method(direction, along)  # one difference, with the largest step there is
    assert method.certified
    assert slope.certified
    assert slope.allows(along)
    a1 = network.activations(network.params)["a1"]
    for step in (slope.step, -slope.step):
        moved = network.activations(near.moved({"b1": direction}, step))["a1"]
        assert (np.sign(moved) == np.sign(a1)).all()
    room = abs(a1 / direction).min()  # of b1, a1 moves by the step itself
    assert slope.step < room
    beyond = network.activations(near.moved({"b1": direction}, 1.01 * room))["a1"]
    other_side = network.activations(near.moved({"b1": direction}, -1.01 * room))["a1"]
    assert (np.sign(beyond) != np.sign(a1)).any() or (np.sign(other_side) != np.sign(a1)).any()


def test_noise_that_drowns_the_slope_is_inconclusive() -> None:
    def loss(p: Params) -> float:
        return float((p["w"] ** 2).sum()) + random.Random(p["w"].tobytes()).random()

    for seed in range(20):
        params = {"w": np.array([0.3, 0.7])}
        report = gradcheck(loss, params, lambda p: {"w": 2 * p["w"]}, seed=seed)
        assert report.verdict == "inconclusive"
    with pytest.raises(AssertionError, match="inconclusive"):
        report.raise_if_failed()


def test_gradients_that_changed_places_are_named() -> None:
    def spoil(g: Params) -> None:
        g["b1"], g["W2"] = g["W2"][0].copy(), g["b1"].reshape(1, 5).copy()

    report = Network(2).check(spoil)
    assert report["b1"].cause == "it and the gradient of W2 have changed places"
    assert report["W2"].cause == "it and the gradient of b1 have changed places"


def test_units_that_could_hide_a_mistake_are_reported() -> None:
    network = Network(9)
    network.params["b1"][:] = [100, -100, 0.1, 0.2, 0.3]
    notes = " ".join(network.check().notes)
    assert "a1: units [1] are never on" in notes
    assert "a1: units [0] are never off" in notes


# Preflight


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"params": {}}, "params must be a dict of name → float array"),
        ({"params": {"w": np.array([1, 2])}}, "w must be of a float dtype, got int"),
        ({"params": {"w": np.array([1.0, np.nan])}}, "w must be finite, got nan"),
        ({"loss": lambda p: p["w"] ** 2}, "loss must return one number, got shape (2,)"),
        (
            {"loss": lambda p: np.random.default_rng().random()},
            "loss must give the same number twice",
        ),
        ({"loss": lambda p: np.inf}, "loss must be finite at the given parameters, got inf"),
        ({"loss": lambda p: p["w"].__iadd__(0.0).sum() + p["w"].__imul__(2).max() * 0}, "must"),
        ({"grads": {"v": np.ones(2)}}, "grads must have the names of params, ['w'], got ['v']"),
        ({"grads": {"w": np.ones((2, 1))}}, "grads: w must have shape (2,), got (2, 1)"),
        ({"grads": {"w": np.array([np.nan, 1])}}, "grads: w must be finite, got nan"),
        ({"grads": lambda p: {"w": p["w"].__imul__(2)}}, "grads must not change its parameters"),
    ],
)
def test_what_cannot_be_checked_is_refused(change: dict[str, Any], says: str) -> None:
    given: dict[str, Any] = {
        "loss": lambda p: float((p["w"] ** 2).sum()),
        "params": {"w": np.array([1.0, 2.0])},
        "grads": lambda p: {"w": 2 * p["w"]},
    }
    assert gradcheck(**given).verdict == "pass"
    with pytest.raises(BadInput) as refusal:
        gradcheck(**{**given, **change})
    assert says in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_gradients_that_accumulate_or_share_memory_are_refused() -> None:
    network = Network(10)
    kept: Params = {}

    def accumulating(p: Params) -> Params:
        for name, g in network.grads(p).items():
            kept[name] = kept.get(name, 0) + g
        return dict(kept)

    with pytest.raises(BadInput, match="it accumulates: clear it before each call"):
        gradcheck(network.loss, network.params, accumulating)
    both = np.ones(2)
    with pytest.raises(BadInput, match="a and b must not share memory"):
        gradcheck(
            lambda p: float(p["a"].sum() + p["b"].sum()),
            {"a": np.ones(2), "b": np.ones(2)},
            {"a": both, "b": both},
        )


# PyTorch


def test_modules_are_certified_through_their_relus() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(3, 6), nn.ReLU(), nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 2))
    report = gradcheck_module(net.double(), torch.randn(9, 3, dtype=torch.float64))
    assert report.verdict == "pass", str(report)
    assert report["0.weight"].certified
    assert report["input 0"].verdict == "pass"


def test_tensors_may_be_given_as_they_are() -> None:
    x = torch.randn(6, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    W = torch.randn(4, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))

    def loss(p: dict[str, torch.Tensor]) -> torch.Tensor:
        return (torch.relu(x @ p["W"].T) ** 2).sum()

    def grads(p: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        return {"W": 2 * torch.relu(x @ p["W"].T).T @ x}

    params = {"W": W.requires_grad_()}
    report = gradcheck(loss, params, grads, activations=lambda p: [x @ p["W"].T])
    assert report.verdict == "pass", str(report)
    assert report["W"].certified
    wrong = gradcheck(loss, params, lambda p: {"W": grads(p)["W"].flip(0)})
    assert wrong.verdict == "fail"


class Exp(torch.autograd.Function):
    """exp, with a derivative that may be wrong."""

    factor = 1.0

    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        y = x.exp()
        ctx.save_for_backward(y)
        return y, 2 * y

    @staticmethod
    def backward(ctx: Any, *dy: Any) -> Any:
        return Exp.factor * (dy[0] + 2 * dy[1]) * ctx.saved_tensors[0]


@pytest.mark.parametrize(("factor", "verdict"), [(1.0, "pass"), (1.0005, "fail"), (-1.0, "fail")])
def test_a_function_with_several_outputs(
    factor: float, verdict: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Exp, "factor", factor)
    apply: Any = Exp.apply
    report = gradcheck_module(apply, torch.linspace(-1, 1, 6, dtype=torch.float64))
    assert report.verdict == verdict
    if factor == -1:
        assert report["input 0"].cause == "its sign is wrong"


def test_a_gradient_of_zero_does_not_pass_for_a_softmax() -> None:
    class Softmax(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            return torch.softmax(x, dim=-1)

        @staticmethod
        def backward(ctx: Any, *dy: Any) -> Any:
            return torch.zeros_like(dy[0])  # right for a covector of ones, and for no other

    apply: Any = Softmax.apply
    report = gradcheck_module(apply, torch.randn(3, 4, dtype=torch.float64))
    assert report["input 0"].cause == "it is zero everywhere"


def test_dropout_is_checked_with_the_random_state_fixed_and_restored() -> None:
    net = nn.Sequential(nn.Linear(3, 20), nn.Dropout()).double()
    x, before = torch.randn(4, 3, dtype=torch.float64), torch.random.get_rng_state()
    report = gradcheck_module(net, x)
    assert report.verdict == "pass"
    assert any("random state was fixed" in note for note in report.notes)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_randomness_that_cannot_be_fixed_is_refused() -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(BadInput, match="dropout"):
        gradcheck_module(lambda x: x * rng.standard_normal(), torch.randn(3, dtype=torch.float64))


@pytest.mark.gradcheck(points=2)
def test_assert_gradients_raises_with_the_report() -> None:
    network = Network(11)
    assert_gradients(network.loss, network.params, network.grads)
    with pytest.raises(AssertionError, match="gradient check: fail"):
        assert_gradients(
            network.loss, network.params, lambda p: {**network.grads(p), "b2": np.zeros(1)}
        )


@pytest.mark.parametrize("stage", ["numpy_manual", "pytorch_no_autograd", "pytorch_autograd"])
def test_the_stages_pass_the_checker(stage: str) -> None:
    from handgrad import make_problem
    from handgrad.parity import Point, random_points, values
    from handgrad.problem import Parameters
    from handgrad.stages import load

    engine = load(stage)
    x, y, params = random_points(make_problem())[2]

    def at(p: Params) -> dict[str, np.ndarray]:
        return values(engine, Point(x, y, Parameters(**p)))

    report = gradcheck(
        lambda p: at(p)["L"],
        params._asdict(),
        lambda p: {name: at(p)[f"d{name}"] for name in p},
        activations=lambda p: {"a1": at(p)["a1"]},
    )
    assert report.verdict == "pass", str(report)


# With the structure, the catalogue's mistakes are named


def stack_of(network: Network, y: Any = None) -> Stack:
    return Stack(("W1", "W2"), ("b1", "b2"), network.x, network.y if y is None else y)


SEEN_BUT_NOT_NAMED = {
    "short batch miscounted": "its batch size is not the structure's to know: a factor is named",
}


@pytest.mark.parametrize("name", CATALOGUE)
def test_mistakes_of_the_catalogue_are_named(name: str) -> None:
    if name in REFUSED or name in ("ReLU with ≥ at 0", "short batch dropped"):
        return  # refused before, or the same as right here
    network, mistake = Network(5), CATALOGUE[name]
    for layer in mistake.layers(2):
        if (name, layer) in {("dW transposed", 1), ("dW rows rolled", 1)}:
            continue
        wrong = partial(network.grads, using=mistake.backward(layer, lr=0.37, batch_size=27))
        report = gradcheck(network.loss, network.params, wrong, structure=stack_of(network))
        assert report.verdict == "fail"
        causes = {p.cause for p in report.parameters.values() if p.verdict == "fail"}
        if name in SEEN_BUT_NOT_NAMED:
            said = "it must be multiplied by 1.35 (as if it were divided by 27 where 20 belongs)"
            assert causes == {said, None}  # b2 has one entry
            continue
        (cause,) = causes
        assert cause is not None
        same = [m for m in CATALOGUE.values() if m.sentence in cause]
        assert mistake in same, (name, layer, cause)
        assert f"In layer {layer + 1}: `{mistake.line}`" in cause
        if name == "updated weights":
            assert "with a learning rate of 0.37" in cause


def test_an_unknown_mistake_is_placed_between_layers_and_not_named() -> None:
    network = Network(5)

    def spoil(g: Params) -> None:
        g["W1"], g["b1"] = g["W1"] ** 3, g["b1"] ** 3

    report = network.check(spoil, certify=False, structure=stack_of(network))
    assert {p.cause for p in report.parameters.values()} == {None}
    assert "the mistake lies between layers 2 and 1" in report.notes[-1]


def test_two_mistakes_at_once_are_not_named() -> None:
    network = Network(5)

    def spoil(g: Params) -> None:
        g["W1"][0], g["b2"] = 0, g["b2"] + 1

    report = network.check(spoil, certify=False, structure=stack_of(network))
    assert {p.cause for p in report.parameters.values()} == {None}


def test_equivalent_programs_are_not_mistakes() -> None:
    network = Network(5)

    def grads(p: Params) -> Params:  # the mask from h1 > 0, not from a1 > 0
        h1 = np.maximum(network.activations(p)["a1"], 0)
        df = (h1 @ p["W2"].T + p["b2"] - network.y) / len(network.x)
        da1 = df @ p["W2"] * (h1 > 0)
        db1, db2 = da1.sum(axis=0), df.sum(axis=0)
        return {"W1": da1.T @ network.x, "b1": db1, "W2": df.T @ h1, "b2": db2}

    report = gradcheck(network.loss, network.params, grads, structure=stack_of(network))
    assert report.verdict == "pass"


def test_a_structure_of_another_loss_is_refused() -> None:
    network = Network(5)
    other = stack_of(network, y=network.y + 1e-3)
    with pytest.raises(BadInput, match="structure must be the loss, but gives"):
        gradcheck(network.loss, network.params, network.grads, structure=other)


# What differences can tell, and what is certified


def test_a_term_that_is_smaller_than_any_difference_can_tell_is_no_failure() -> None:
    X = np.random.default_rng(1).standard_normal((40, 6))
    y = np.random.default_rng(2).standard_normal(40) * 1e5 + 3e5

    def loss(p: Params) -> Any:
        return ((X @ p["w"] - y) ** 2).mean() + 0.01 * np.abs(p["w"]).sum()

    def grads(p: Params) -> Params:
        return {"w": 2 * X.T @ (X @ p["w"] - y) / 40 + 0.01 * np.sign(p["w"])}

    for seed in range(10):
        assert gradcheck(loss, {"w": 0.1257 * np.arange(1, 7)}, grads, seed=seed).verdict == "pass"
    x = {"x": np.array(0.7)}
    forgotten = gradcheck(
        lambda p: 1e10 + p["x"] ** 2 + 1e-3 * abs(p["x"]), x, lambda p: {"x": 2 * p["x"]}
    )
    assert forgotten.verdict != "pass" or forgotten["x"].bound > 1e-3


def test_lines_that_are_not_straight_are_not_certified() -> None:
    network = Network(3)

    def bent(p: Params) -> dict[str, np.ndarray]:
        a1 = network.activations(p)["a1"]
        return {"a1": np.sign(a1) * np.sqrt(abs(a1))}  # the same signs, on no lines

    for seed in range(20):
        report = gradcheck(network.loss, network.params, network.grads, activations=bent, seed=seed)
        assert report.verdict == "pass", str(report)
        assert not report["W1"].certified


# Narrow dtypes, held to a reference


def narrow(network: Network, dtype: torch.dtype) -> dict[str, Any]:
    """The network as a program in another dtype, and its loss in float64."""
    x, y = torch.tensor(network.x, dtype=dtype), torch.tensor(network.y, dtype=dtype)

    def loss(p: Any) -> Any:
        f = torch.relu(x @ p["W1"].T + p["b1"]) @ p["W2"].T + p["b2"]
        return 0.5 * ((f - y) ** 2).mean()

    def reference(p: Any) -> Any:
        f = torch.relu(x.double() @ p["W1"].T + p["b1"]) @ p["W2"].T + p["b2"]
        return 0.5 * ((f - y.double()) ** 2).mean()

    def grads(p: Any) -> Any:
        return dict(zip(p, torch.autograd.grad(loss(p), list(p.values())), strict=True))

    def activations(p: Any) -> Any:
        return x.double() @ p["W1"].T + p["b1"]

    params = {n: torch.tensor(p, dtype=dtype).requires_grad_() for n, p in network.params.items()}
    return {
        "loss": loss,
        "params": params,
        "grads": grads,
        "reference": reference,
        "activations": activations,
    }


@pytest.mark.parametrize("seed", range(8))
def test_float32_passes_beside_its_reference(seed: int) -> None:
    report = gradcheck(**narrow(Network(seed), torch.float32))
    assert report.verdict == "pass", str(report)
    assert all(p.certified and p.relative_bound < 0.1 for p in report.parameters.values())
    assert "the loss     pass" in str(report)
    assert "from the reference; rounding may move it by" in str(report)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_wrong_gradients_fail_in_every_dtype(dtype: torch.dtype) -> None:
    given = narrow(Network(1), dtype)
    assert gradcheck(**given).verdict in ("pass", "inconclusive")
    right = given["grads"]
    for factor in (-1, 2, 0):
        given["grads"] = lambda p: {**right(p), "W1": factor * right(p)["W1"]}  # noqa: B023
        report = gradcheck(**given)
        assert report["W1"].verdict == "fail", str(report)
        assert {report[n].verdict for n in ("b1", "W2", "b2")} <= {"pass", "inconclusive"}


def test_a_small_mistake_in_float32_is_found_and_located() -> None:
    given = narrow(Network(1), torch.float32)
    right = given["grads"]

    def wrong(p: Any) -> Any:
        g = right(p)
        g["W1"][3, 1] *= 1.001
        return g

    report = gradcheck(**{**given, "grads": wrong})
    assert report["W1"].index == (3, 1), str(report)


def test_a_forward_pass_that_leaves_its_reference_fails() -> None:
    given = narrow(Network(1), torch.float32)
    loss = given["loss"]
    report = gradcheck(**{**given, "loss": lambda p: loss(p) * 1.0001})
    assert report.verdict == "fail"
    assert "the loss     fail" in str(report)
    assert {p.verdict for p in report.parameters.values()} == {"pass"}
    assert gradcheck(**{**given, "loss": lambda p: loss(p) * (1 + 2e-7)}).verdict == "pass"


def test_numpy_in_float32_beside_a_reference() -> None:
    network = Network(2)
    params = {n: p.astype(np.float32) for n, p in network.params.items()}
    x, y = network.x.astype(np.float32), network.y.astype(np.float32)
    network.x, network.y = x.astype(np.float64), y.astype(np.float64)

    def loss(p: Params) -> Any:
        f = np.maximum(x @ p["W1"].T + p["b1"], 0) @ p["W2"].T + p["b2"]
        return 0.5 * ((f - y) ** 2).mean()

    def grads(p: Params) -> Params:
        (dW1, dW2), (db1, db2) = backward([p["W1"], p["W2"]], [p["b1"], p["b2"]], x, y)
        return {"W1": dW1, "b1": db1, "W2": dW2, "b2": db2}

    report = gradcheck(loss, params, grads, reference=network.loss)
    assert report.verdict == "pass", str(report)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"reference": lambda p: np.float32(1)}, "must compute in float64, but returned float32"),
        ({"reference": lambda p: np.random.default_rng().random()}, "reference must give the same"),
        ({"grads": {"w": np.ones(2, np.float32)}}, "grads must be a function of params where"),
    ],
)
def test_a_reference_that_is_none_is_refused(change: dict[str, Any], says: str) -> None:
    given: dict[str, Any] = {
        "loss": lambda p: (p["w"] ** 2).sum(),
        "params": {"w": np.array([1.0, 2.0], np.float32)},
        "grads": lambda p: {"w": 2 * p["w"]},
        "reference": lambda p: (p["w"] ** 2).sum(),
    }
    assert gradcheck(**given).verdict == "pass"
    with pytest.raises(BadInput, match=says):
        gradcheck(**{**given, **change})


def test_narrow_dtypes_without_a_reference_are_refused() -> None:
    given = narrow(Network(1), torch.bfloat16)
    with pytest.raises(BadInput, match="or come with reference="):
        gradcheck(given["loss"], given["params"], given["grads"])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_narrow_module_is_its_own_reference(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3)).to(dtype)
    report = gradcheck_module(net, torch.randn(6, 4, dtype=dtype))
    assert "the loss     pass" in str(report)
    assert report.verdict in ("pass", "inconclusive")
    assert report["0.weight"].certified


def test_a_kernel_is_held_to_a_function_of_float64() -> None:
    class Square(torch.autograd.Function):
        """Computes in float32 whatever it gets, as a kernel does."""

        factor = 2.0

        @staticmethod
        def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
            ctx.save_for_backward(x)
            return x.float() ** 2

        @staticmethod
        def backward(ctx: Any, *dy: Any) -> Any:
            return Square.factor * ctx.saved_tensors[0] * dy[0]

    x = torch.randn(5, 3, generator=torch.Generator().manual_seed(0))
    apply: Any = Square.apply
    assert gradcheck_module(apply, x, reference=lambda x: x**2).verdict == "pass"
    Square.factor = 2.01
    report = gradcheck_module(apply, x, reference=lambda x: x**2)
    assert report["input 0"].cause == "it must be divided by 1.005"


# The edges of what a loss is defined on


@pytest.mark.parametrize("seed", range(5))
def test_steps_out_of_the_domain_are_not_taken(seed: int) -> None:
    x = {"x": np.array([0.02, 0.3, 0.68])}
    logarithm = gradcheck(lambda p: np.log(p["x"]).sum(), x, lambda p: {"x": 1 / p["x"]}, seed=seed)
    assert logarithm.verdict == "pass", str(logarithm)
    python = gradcheck(
        lambda p: sum(map(math.log, p["x"].tolist())), x, lambda p: {"x": 1 / p["x"]}, seed=seed
    )
    assert python.verdict == "pass", str(python)
    wrong = gradcheck(lambda p: np.log(p["x"]).sum(), x, lambda p: {"x": 1.1 / p["x"]}, seed=seed)
    assert wrong.verdict == "fail"


@pytest.mark.parametrize("seed", range(5))
def test_at_an_optimum_what_is_left_of_the_gradient_is_rounding(seed: int) -> None:
    rng = np.random.default_rng(seed)
    A, x = rng.standard_normal((7, 5)), rng.standard_normal(5)
    b = A @ x

    def loss(p: Params) -> float:
        return float(((A @ p["x"] - b) ** 2).sum())

    report = gradcheck(loss, {"x": x}, lambda p: {"x": 2 * A.T @ (A @ p["x"] - b)}, seed=seed)
    assert report.verdict == "pass", str(report)
    network = Network(seed)
    network.y = (
        np.maximum(network.activations(network.params)["a1"], 0) @ network.params["W2"].T
        + network.params["b2"]
    )
    report = gradcheck(
        network.loss, network.params, network.grads, structure=stack_of(network), seed=seed
    )
    assert report.verdict == "pass", str(report)


def test_gradients_that_use_what_the_loss_kept() -> None:
    network, kept = Network(4), {}

    def loss(p: Params) -> float:
        kept.update(p)
        return network.loss(p)

    assert gradcheck(loss, network.params, lambda p: network.grads(dict(kept))).verdict == "pass"


def test_float32_gradients_of_float64_parameters() -> None:
    network = Network(4)

    def grads(p: Params) -> Params:
        return {name: g.astype(np.float32) for name, g in network.grads(p).items()}

    assert network.check().verdict == "pass"
    assert gradcheck(network.loss, network.params, grads).verdict == "pass"


def test_float32_from_zero_on_data_far_from_zero() -> None:
    rng = np.random.default_rng(0)
    x = (50 + rng.standard_normal((2000, 3))).astype(np.float32)
    y = np.sign(rng.standard_normal(2000)).astype(np.float32)

    def loss(p: Params) -> Any:
        return np.log1p(np.exp(-y * (x @ p["w"] + p["b"]))).mean()

    def grads(p: Params) -> Params:
        s = -y / (1 + np.exp(y * (x @ p["w"] + p["b"]))) / np.float32(len(y))
        return {"w": x.T @ s, "b": s.sum(keepdims=True)}

    def reference(p: Params) -> Any:
        return np.log1p(np.exp(-y * (x.astype(np.float64) @ p["w"] + p["b"]))).mean()

    start = {"w": np.zeros(3, np.float32), "b": np.zeros(1, np.float32)}
    for seed in range(5):
        report = gradcheck(loss, start, grads, reference=reference, seed=seed)
        assert report.verdict == "pass", str(report)


def test_modules_that_write_in_place_or_hold_a_layer_twice() -> None:
    torch.manual_seed(0)
    x, relu = torch.randn(6, 4, dtype=torch.float64), nn.ReLU()
    within = nn.Sequential(nn.Linear(4, 5), nn.ReLU(inplace=True), nn.Linear(5, 2)).double()
    assert gradcheck_module(within, x)["0.weight"].certified
    twice = nn.Sequential(nn.Linear(4, 5), relu, nn.Linear(5, 5), relu, nn.Linear(5, 2)).double()
    report = gradcheck_module(twice, x)
    assert report.verdict in ("pass", "inconclusive")
    assert not report["0.weight"].certified
    norm = nn.BatchNorm1d(4).double()
    gradcheck_module(norm, x)
    assert norm.running_mean is not None
    assert not norm.running_mean.any()
    lstm = gradcheck_module(nn.LSTM(3, 4).double(), torch.randn(5, 2, 3, dtype=torch.float64))
    assert lstm.verdict == "pass", str(lstm)
    scale = {"s": torch.tensor(1.5, dtype=torch.float64)}
    assert gradcheck(lambda p: p["s"] ** 2, scale, lambda p: {"s": 2 * p["s"]}).verdict == "pass"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"loss": lambda p: (p["w"].sum(), None)}, "loss must return one real number, got tuple"),
        ({"loss": lambda p: None}, "loss must return one real number, got NoneType"),
        ({"loss": lambda p: 1j * p["w"].sum()}, "loss must return one real number, got complex"),
        ({"params": {"w": np.ones((0, 3))}}, "w must not be empty, got shape (0, 3)"),
        ({"grads": {"w": [[1.0], [1.0, 2.0]]}}, "w must be one array, got rows of unequal length"),
        ({"grads": {"w": np.ones(2) * 1j}}, "w must be an array of a float dtype, got complex128"),
        ({"activations": lambda p: None}, "activations must return what enters the ReLUs"),
        ({"directions": 0}, "directions must be a whole number of at least 1, got 0"),
        ({"points": 0}, "points must be a whole number of at least 1, got 0"),
        ({"delta": 2}, "delta must lie between 0 and 1, got 2"),
        (
            {"structure": Stack(["W"], ["b"], np.ones((2, 2)), np.ones((2, 1)))},
            "structure must fit",
        ),
    ],
)
def test_what_makes_no_sense_is_refused(change: dict[str, Any], says: str) -> None:
    given: dict[str, Any] = {
        "loss": lambda p: (p["w"] ** 2).sum(),
        "params": {"w": np.array([1.0, 2.0])},
        "grads": lambda p: {"w": 2 * p["w"]},
    }
    with pytest.raises(BadInput, match=re.escape(says)):
        gradcheck(**{**given, **change})


# A report can be asserted, and the package's names are plain


def test_a_report_is_true_only_if_it_passes() -> None:
    params = {"w": np.array([1.0, -2.0])}

    def check(k: int) -> Any:
        return gradcheck(lambda p: (p["w"] ** 2).sum(), params, lambda p: {"w": k * p["w"]})

    right, wrong = check(2), check(3)
    assert right
    assert right.ok
    with pytest.raises(AssertionError):
        assert wrong
    assert wrong.verdict == "fail"


def test_the_old_package_says_where_it_went() -> None:
    with pytest.raises(ImportError, match=r"from handgrad import gradcheck.*now handgrad\.checker"):
        import_module("handgrad.gradcheck")
    assert callable(gradcheck)
    assert list(inspect.signature(gradcheck).parameters)[:3] == ["loss", "params", "grads"]
    assert list(inspect.signature(gradcheck_module).parameters)[:2] == ["module", "inputs"]


def test_the_checker_alone_loads_no_torch() -> None:
    code = "import sys, handgrad.checker; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# Ordinary code, as it is written elsewhere


def cube(p: Any) -> Any:
    """A form of parameters: numbers, lists, tuples, nested dicts; the loss adds up their cubes."""
    if isinstance(p, dict):
        return sum(map(cube, p.values()))
    if isinstance(p, list | tuple):
        return sum(map(cube, p))
    return (np.asarray(p) ** 3).sum()


def slope_of_cube(p: Any, k: float = 3.0) -> Any:
    if isinstance(p, dict):
        return {name: slope_of_cube(part, k) for name, part in p.items()}
    if isinstance(p, list | tuple):
        return type(p)(slope_of_cube(part, k) for part in p)
    return k * np.asarray(p) ** 2


@pytest.mark.parametrize(
    "params",
    [
        np.array([1.0, -2.0]),
        1.5,
        [np.ones(2), np.array([[2.0, 0.5]])],
        (np.ones(2), 3.0),
        {"a": {"w": np.ones(3), "b": [np.array([2.0])]}, "c": 0.5},
    ],
    ids=["array", "number", "list", "tuple", "nested"],
)
def test_parameters_come_in_any_form(params: Any) -> None:
    assert gradcheck(cube, params, slope_of_cube)
    assert gradcheck(cube, params, slope_of_cube(params))
    report = gradcheck(cube, params, partial(slope_of_cube, k=-3.0))
    assert report.verdict == "fail"
    assert {p.verdict for p in report.parameters.values()} == {"fail"}


def test_the_names_of_nested_parameters_say_where_they_are() -> None:
    params = {"a": {"w": np.ones(3)}, "b": [np.ones(2), np.ones(1)]}
    report = gradcheck(cube, params, slope_of_cube)
    assert list(report.parameters) == ["a.w", "b[0]", "b[1]"]
    with pytest.raises(BadInput, match=r"names of params, \['a', 'b'\], got \['a'\]"):
        gradcheck(cube, params, lambda p: {"a": p["a"]})


def test_none_and_whole_numbers_are_gradients() -> None:
    params = {"x": np.array([1.0, -2.0, 3.0]), "y": np.ones(2)}

    def loss(p: Params) -> float:
        return float(np.maximum(p["x"], 0).sum())

    assert gradcheck(loss, params, lambda p: {"x": (p["x"] > 0).astype(int), "y": None})
    wrong = gradcheck(loss, params, lambda p: {"x": None, "y": None})
    assert wrong["x"].cause == "it is zero everywhere"


@pytest.mark.parametrize("error", [AssertionError, IndexError, RuntimeError, KeyError])
def test_whatever_is_raised_where_parameters_were_moved_means_not_defined(error: Any) -> None:
    def log(p: Params) -> float:
        if (p["x"] <= 0).any():
            raise error("not here")
        return float(np.log(p["x"]).sum())

    params = {"x": np.array([1e-3, 5.0])}
    assert gradcheck(log, params, lambda p: {"x": 1 / p["x"]})
    assert gradcheck(log, params, lambda p: {"x": 1.1 / p["x"]}).verdict == "fail"
    with pytest.raises(error, match="not here"):
        gradcheck(log, {"x": np.array([-1.0])}, lambda p: {"x": 1 / p["x"]})


R = torch.Generator().manual_seed(1)


def rand(*shape: int, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.randn(*shape, dtype=dtype, generator=R)


def custom(forward: Any, backward: Any) -> Any:
    """A function of tensors with this backward pass: saved tensors, upstream → gradients."""

    class Custom(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, *tensors: Any) -> Any:
            ctx.save_for_backward(*tensors)
            return forward(*tensors)

        @staticmethod
        def backward(ctx: Any, *upstream: Any) -> Any:
            return backward(ctx.saved_tensors, *upstream)

    return Custom.apply


class Recomputed(nn.Module):
    """A layer whose backward pass runs its forward pass again."""

    def __init__(self, reentrant: bool) -> None:
        super().__init__()
        self.inner, self.reentrant = nn.Linear(3, 4).double(), reentrant

    def forward(self, x: torch.Tensor) -> Any:
        layer = lambda t: torch.tanh(self.inner(t))  # noqa: E731
        return torch.utils.checkpoint.checkpoint(layer, x, use_reentrant=self.reentrant)


@pytest.mark.parametrize("reentrant", [False, True])
def test_a_backward_pass_that_runs_the_forward_pass_again(reentrant: bool) -> None:
    module, x = Recomputed(reentrant), rand(5, 3).requires_grad_()
    before = [p.detach().clone() for p in module.parameters()]
    report = gradcheck_module(module, x)
    assert report.verdict == "pass", str(report)
    assert set(report.parameters) == {"inner.weight", "inner.bias", "input 0"}
    assert all(p.grad is None for p in (*module.parameters(), x)), "nobody's tensor is touched"
    assert all(map(torch.equal, module.parameters(), before))


def test_complex_numbers_are_checked_in_both_parts() -> None:
    z = rand(3, dtype=torch.complex128)
    assert gradcheck_module(lambda z: z.abs().square().sum(), z)
    assert gradcheck_module(torch.fft.fft, rand(6))
    assert gradcheck_module(nn.Linear(3, 2, dtype=torch.complex128), rand(4, 3, dtype=z.dtype))
    conjugated = custom(lambda z: z.abs().square().sum(), lambda s, g: (2 * g * s[0]).conj())
    assert gradcheck_module(conjugated, z).verdict == "fail"
    scaled = custom(lambda x: torch.fft.fft(x), lambda s, g: torch.fft.ifft(g).real)
    assert gradcheck_module(scaled, rand(6)).verdict == "fail"


def test_finite_entries_beside_infinite_ones_are_checked() -> None:
    scores = torch.tensor([1.0, 2.0, -torch.inf], dtype=torch.float64)
    assert gradcheck_module(lambda s: torch.softmax(s, -1), scores)
    wrong = custom(
        lambda s, x: s.clamp(min=-5).sum() + x.sum(),
        lambda s, g: (torch.full((3,), 99.0, dtype=g.dtype), g.expand(2)),
    )
    report = gradcheck_module(wrong, [scores, rand(2)])
    assert (report["input 0"].verdict, report["input 1"].verdict) == ("fail", "pass")


@pytest.mark.parametrize("layout", [torch.sparse_coo, torch.sparse_csr])
@pytest.mark.filterwarnings("ignore:Sparse:UserWarning")
def test_the_values_of_a_sparse_tensor_are_checked(layout: torch.layout) -> None:
    sparse = torch.diag(rand(3)).to_sparse(layout=layout)
    assert gradcheck_module(torch.sparse.mm, [sparse, rand(3, 2)])
    doubled = custom(lambda y: 2 * y, lambda y, g: g)
    report = gradcheck_module(lambda s, x: doubled(s @ x), [sparse, rand(3, 2)])
    assert report["input 0"].verdict == "fail"


def test_what_requires_a_gradient_says_what_is_checked() -> None:
    x, y = rand(3).requires_grad_(), rand(3)
    report = gradcheck_module(lambda x, y: (x * y).sum(), [x, y])
    assert list(report.parameters) == ["input 0"]
    assert any(note.startswith("input 1: not checked") for note in report.notes)
    both = gradcheck_module(lambda x, y: (x * y).sum(), [x.detach(), y])
    assert list(both.parameters) == ["input 0", "input 1"]
    frozen = nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 1)).double()
    frozen[0].requires_grad_(False)
    assert list(gradcheck_module(frozen, rand(4, 3)).parameters) == [
        "1.weight",
        "1.bias",
        "input 0",
    ]


@pytest.mark.filterwarnings("ignore:Initializing zero-element tensors:UserWarning")
def test_arguments_of_every_kind_are_taken() -> None:
    lstm = nn.LSTM(3, 4).double()
    report = gradcheck_module(lstm, [rand(5, 2, 3), (rand(1, 2, 4), rand(1, 2, 4))])
    assert report.verdict == "pass", str(report)
    assert {"input 0", "input 1[0]", "input 1[1]"} < set(report.parameters)
    assert gradcheck_module(lambda x, n, mode, mask: x**n, [rand(3).abs(), 2, "sum", None])
    named = gradcheck_module(
        lambda x, scale: {"y": x * scale}, rand(3), keywords={"scale": rand(3)}
    )
    assert list(named.parameters) == ["input 0", "input scale"]
    assert gradcheck_module(nn.ReLU(inplace=True), torch.tensor([1.0, -2.0, 3.0]).double())
    empty = nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 0)).double()
    assert gradcheck_module(empty, rand(2, 3)).verdict == "pass"


def test_a_module_that_cannot_be_copied_gets_its_numbers_back() -> None:
    class Keeps(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.w = nn.Parameter(rand(3))
            self.kept = self.w * 2  # no leaf: copy.deepcopy refuses it

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x * self.w**2

    module = Keeps()
    before = module.w.detach().clone()
    assert gradcheck_module(module, rand(3))
    assert torch.equal(module.w, before)


def test_running_statistics_do_not_move() -> None:
    norm = nn.BatchNorm1d(3).double()
    assert gradcheck_module(norm, rand(6, 3))
    assert torch.equal(norm.running_mean, torch.zeros(3).double())  # type: ignore[arg-type]


# How a backward pass is called must not matter


def square(backward: Any) -> Any:
    return custom(lambda x: x**2, backward)


def in_memory_order(g: torch.Tensor) -> torch.Tensor:
    """As a kernel reads it that takes a raw pointer."""
    strides = torch.empty(g.shape).stride()
    return torch.as_strided(g, g.shape, strides, g.storage_offset())


def writes(saved: Any, g: torch.Tensor) -> torch.Tensor:
    g *= 2 * saved[0]
    return g


class OnlyOnce(torch.autograd.Function):
    """Right in its first backward pass on a graph, and doubled in every later one."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(x)
        ctx.times = 0
        return x**2

    @staticmethod
    def backward(ctx: Any, *upstream: Any) -> Any:
        ctx.times += 1
        return ctx.times * 2 * ctx.saved_tensors[0] * upstream[0]


class ForgetsWhenAlone(torch.autograd.Function):
    """Wrong for a, and only while b requires no gradient."""

    @staticmethod
    def forward(ctx: Any, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(a, b)
        return a * b

    @staticmethod
    def backward(ctx: Any, *upstream: Any) -> Any:
        (a, b), (g,) = ctx.saved_tensors, upstream
        return (g * b if ctx.needs_input_grad[1] else g), g * a


@pytest.mark.parametrize(
    ("function", "inputs", "says"),
    [
        (square(writes), [rand(4)], "backward changed its upstream gradient: right here, wrong"),
        (
            square(lambda s, g: 2 * s[0] * in_memory_order(g)),
            [rand(3, 4)],
            "a transposed upstream gradient with the same values",
        ),
        (
            square(lambda s, g: 2 * in_memory_order(s[0]) * g),
            [rand(3, 4)],
            "input 0 in a transposed layout",
        ),
        (OnlyOnce.apply, [rand(4)], "a second backward pass on one graph"),
        (ForgetsWhenAlone.apply, [rand(4), rand(4)], "input 0 alone requires a gradient"),
    ],
    ids=["writes", "upstream layout", "input layout", "twice", "alone"],
)
def test_a_backward_pass_that_depends_on_how_it_is_called_fails(
    function: Any, inputs: list[torch.Tensor], says: str
) -> None:
    report = gradcheck_module(function, inputs)
    assert report.verdict == "fail"
    assert all(p.verdict == "pass" for p in report.parameters.values()), "elsewhere it is right"
    assert any(sentence.startswith(says) for sentence in report.calls), report.calls
    assert says in str(report)


def test_right_code_may_be_called_in_any_way() -> None:
    for module, inputs in (
        (square(lambda s, g: 2 * s[0] * g), [rand(3, 4)]),
        (nn.LSTM(3, 4).double(), [rand(5, 2, 3)]),
        (nn.LayerNorm(4).double(), [rand(3, 4)]),
        (nn.MultiheadAttention(4, 2).double(), [rand(3, 2, 4)] * 3),
        (nn.Conv2d(2, 3, 3).double(), [rand(2, 2, 5, 5)]),
        (torch.fft.fft, [rand(3, 4)]),
    ):
        report = gradcheck_module(module, inputs)
        assert report.calls == (), report.calls


# Last bits that differ from call to call, and state


def wandering(exponent: float) -> Any:
    """A factor that differs from 1 in every other call, by this much."""
    calls = itertools.count()
    return lambda: 1 + (next(calls) % 2) * exponent


@pytest.mark.parametrize("who", ["loss", "grads"])
def test_last_bits_that_differ_from_call_to_call_are_rounding(who: str) -> None:
    params = {"w": np.array([1.0, -2.0, 0.5])}
    factor = {"loss": lambda: 1.0, "grads": lambda: 1.0} | {who: wandering(2.3e-16)}

    def check(k: float) -> Any:
        return gradcheck(
            lambda p: float((p["w"] ** 2).sum()) * factor["loss"](),
            params,
            lambda p: {"w": k * p["w"] * factor["grads"]()},
        )

    assert check(2.0)
    assert any("from call to call: counted as rounding" in note for note in check(2.0).notes)
    assert check(2.000001).verdict == "fail"


def test_randomness_and_state_are_refused_each_in_its_words() -> None:
    params, noise = {"w": np.array([1.0, -2.0, 0.5])}, wandering(0.1)
    with pytest.raises(BadInput, match="loss must give the same number twice"):
        gradcheck(
            lambda p: float((p["w"] ** 2).sum()) * noise(), params, lambda p: {"w": 2 * p["w"]}
        )
    state = {"mean": 0.0}

    def grads(p: Params) -> Params:
        state["mean"] = float(p["w"].mean())
        return {"w": 2 * p["w"] * (1 + state["mean"])}

    with pytest.raises(BadInput, match=r"^state: grads must not change what loss returns"):
        gradcheck(lambda p: float((p["w"] ** 2 * (1 + state["mean"])).sum()), params, grads)


# A named cause is true at every point


def test_a_factor_that_differs_between_points_is_not_named() -> None:
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((20, 3)), rng.standard_normal(20)

    def rmse(p: Params) -> float:
        return float(np.sqrt(((X @ p["w"] - y) ** 2).mean()))

    def of_mse(p: Params) -> Params:
        return {"w": 2 * X.T @ (X @ p["w"] - y) / 20}

    report = gradcheck(rmse, {"w": np.array([10.0, -1.0, 0.5])}, of_mse)
    assert report.verdict == "fail"
    assert report["w"].cause is not None
    assert report["w"].cause.startswith("no constant factor: it must be multiplied by 0.0")


@pytest.mark.parametrize("factor", [1.0000001, 0.9999999, -3.0, 0.25])
def test_a_constant_factor_is_named_with_as_many_digits_as_it_takes(factor: float) -> None:
    params = {"w": np.array([1.0, -2.0, 0.5, 3.0])}
    report = gradcheck(
        lambda p: float((p["w"] ** 2).sum()), params, lambda p: {"w": 2 * p["w"] * factor}
    )
    assert report.verdict == "fail"
    said = report["w"].cause
    assert said is not None
    number = float(said.split(" by ")[1].split(" ")[0])
    undone = number if "multiplied" in said else 1 / number
    assert undone * factor == pytest.approx(1, abs=2e-8)
    assert not said.endswith(" by 1")


def test_minus_zero_is_not_printed() -> None:
    report = gradcheck(
        lambda p: float((p["w"] ** 2).sum()), {"w": np.ones(3)}, lambda p: {"w": -0.0 * p["w"]}
    )
    assert "is 0, should be 2" in str(report)


# A loss that is cast or rounded at its end


@pytest.mark.parametrize(
    ("coarse", "wrong"),
    [
        (np.float32, {"fail"}),
        (lambda v: round(v, 6), {"fail"}),
        (lambda v: round(v, 4), {"fail", "inconclusive"}),  # few levels lie within a step
    ],
    ids=["float32", "6 decimals", "4 decimals"],
)
@pytest.mark.parametrize("seed", range(10))
def test_a_loss_of_few_digits_is_seen_as_such(coarse: Any, wrong: set[str], seed: int) -> None:
    params = {"w": np.random.default_rng(seed).standard_normal(4) + 2}

    def check(k: float) -> Any:
        def loss(p: Params) -> Any:
            return coarse((p["w"] ** 2).sum() / 2)

        return gradcheck(loss, params, lambda p: {"w": k * p["w"]}, seed=seed)

    right = check(1.0)
    assert right.verdict != "fail", str(right)
    assert any("coarser than its parameters" in note for note in right.notes)
    assert check(-1.0).verdict in wrong
    assert check(2.0).verdict in wrong


def test_a_loss_of_all_its_digits_is_not_called_coarse() -> None:
    for seed in range(20):
        network = Network(seed)
        assert not any("coarser" in note for note in network.check().notes)
    flat = gradcheck(lambda p: 1.5, {"w": np.ones(3)}, lambda p: {"w": np.zeros(3)})
    assert not any("coarser" in note for note in flat.notes)


def test_outputs_of_the_relu_are_not_what_enters_it() -> None:
    """Where all are at least 0 and some are 0, the caller has taken the wrong array."""
    network = Network(2)
    given = network.activations

    def after(p: Params) -> Any:
        return {name: np.maximum(a, 0) for name, a in given(p).items()}

    report = gradcheck(network.loss, network.params, network.grads, activations=after)
    assert "are these the ReLU's outputs? activations must be what enters it" in str(report)
    assert "are these" not in str(
        gradcheck(network.loss, network.params, network.grads, activations=given)
    )


def test_whole_numbers_among_the_inputs_are_handed_over_as_they_are() -> None:
    """An index has no gradient, and moves at no step."""
    rows = torch.tensor([2, 0, 2])
    seen = []

    def picked(table: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        seen.append(rows.dtype)
        return table[rows] ** 2

    report = gradcheck_module(picked, [torch.randn(3, 2, dtype=torch.float64), rows])
    assert report.ok
    assert list(report.parameters) == ["input 0"]
    assert set(seen) == {torch.int64}
