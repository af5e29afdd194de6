"""A slope is off by no more than its bound, whatever the function; a kinked point counts."""

import math
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from test_gradcheck import custom as of_saved
from torch import nn
from torch.nn import functional as F

from handgrad import gradcheck, gradcheck_module
from handgrad.checker.differences import difference
from handgrad.checker.look import DENSITY, bound
from handgrad.checker.noise import noise_of, spacing

sys.path.append(str(Path(__file__).parent.parent / "benchmarks"))
import slopes as benchmark

Array = np.ndarray
Params = dict[str, Any]


# Differences


def test_the_bound_holds_on_functions_of_each_kind() -> None:
    """On 99.9 % of all; `benchmarks/slopes.py` counts over more."""
    missed, blind = [], {"on a kink", "on a kink, float32", "slope 0", "flat ReLU", "constant"}
    for number, (kind, make) in enumerate(benchmark.KINDS.items()):
        seen = 0
        for k in range(40):
            case = make(np.random.default_rng((9, number, k)))
            found, held = benchmark.measure(case)
            if not held:
                missed.append((kind, k, found, case.slope))
            seen += abs(found.value + case.slope) > found.bound  # a wrong sign
        assert seen >= 30 or kind in blind | {"cast to bfloat16"}, kind
    assert len(missed) <= 1, missed


def test_a_bound_that_is_too_small_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("handgrad.checker.levels.SAFETY", 0.3)
    held = []
    for kind in ("stairs", "cast to float32", "normal noise", "float32 inside"):
        make = benchmark.KINDS[kind]
        held += [benchmark.measure(make(np.random.default_rng(k)))[1] for k in range(20)]
    assert sum(held) < 0.8 * len(held)


def test_both_slopes_at_a_kink_and_one_at_an_edge() -> None:
    kink = difference(lambda t: 3 * t + 2 * abs(t), 1.0, at_0=0.0)
    assert kink.sides is not None
    (left, off_left), (right, off_right) = kink.sides
    assert (left, right) == pytest.approx((1, 5), abs=1e-6)
    assert max(off_left, off_right) < 1e-6
    edge = difference(lambda t: t**1.5 + t if t >= 0 else math.nan, 1.0, at_0=0.0)
    assert edge.sides is None
    assert abs(edge.value - 1) <= edge.bound < 0.1
    assert math.isinf(difference(lambda t: math.nan if t else 0.0, 1.0, at_0=0.0).bound)


def test_formats_are_told_from_their_values() -> None:
    rng = np.random.default_rng(0)
    values = rng.standard_normal(20)
    largest = float(abs(values).max())
    assert spacing(values) == 0
    assert spacing(values.astype(np.float32).tolist()) == pytest.approx(2**-23 * largest)
    assert spacing(values.astype(np.float16).tolist()) == pytest.approx(2**-10 * largest, rel=0.01)
    assert spacing([round(v, 4) for v in values]) == 1e-4
    assert spacing([0.5, 0.5, 0.5]) == 0


@pytest.mark.parametrize("noise", [1e-12, 1e-6, 1e-2])
def test_noise_is_measured_and_what_is_smooth_is_not(noise: float) -> None:
    rng = np.random.default_rng(0)
    t = np.linspace(0, 1e-3, 7)
    lines = np.sin(t + rng.uniform(0, 6, (40, 1))) + noise * rng.standard_normal((40, 7))
    assert noise / 2 < noise_of(lines) < 2 * noise
    assert noise_of(np.sin(t)[None]) < 1e-15


def test_an_error_of_the_bound_is_missed_as_seldom_as_it_says() -> None:
    rng = np.random.default_rng(0)
    tolerances = [1e-3, 2e-3, 5e-3]
    size = bound(tolerances, size=30, delta=0.01)
    missed = 0
    for _ in range(20_000):
        e = rng.standard_normal(30) * (rng.random(30) < 0.2) + 1e-9
        e *= size / np.linalg.norm(e)
        v = (rng.random((3, 30)) - 0.5) * math.sqrt(12)
        missed += bool((abs(v @ e) <= 2 * np.array(tolerances)).all())
    assert missed <= 0.01 * 20_000
    assert math.isclose(DENSITY, 1.633, abs_tol=1e-3)


# Kinked points

Kinked = tuple[Callable[[Array], float], Array, Array, list[Array]]


def smooth(rng: np.random.Generator, n: int) -> tuple[Any, Any]:
    A, b = rng.standard_normal((n, n)), rng.standard_normal(n)
    return (
        lambda x: np.sin(b @ x) + 0.1 * x @ A @ x,
        lambda x: np.cos(b @ x) * b + 0.1 * (A + A.T) @ x,
    )


def absolute(rng: np.random.Generator, n: int) -> Kinked:
    """Σ c |x_i| at 0, and another entry that is off by a thousandth."""
    f, g = smooth(rng, n)
    i = rng.choice(n, 2, replace=False)
    c, x = rng.standard_normal(2), rng.standard_normal(n)
    x[i] = 0
    right, beyond = g(x), g(x)
    right[i] += c * rng.uniform(-1, 1, 2)
    other = next(k for k in range(n) if k not in i)
    thousandth = right.copy()
    thousandth[other] *= 1.001
    beyond[i[0]] = -5 * np.sign(g(x)[i[0]]) * (abs(c[0]) + abs(g(x)[i[0]]))
    return lambda v: f(v) + (c * abs(v[i])).sum(), x, right, [thousandth, beyond]


def tie(rng: np.random.Generator, n: int, of: Any = np.max) -> Kinked:
    """A tie of two to four: any shares that add up to one."""
    f, g = smooth(rng, n)
    k = int(rng.integers(2, 5))
    i, x = rng.choice(n, k, replace=False), rng.standard_normal(n)
    x[i] = 0.3
    shares = np.eye(k)[0] if rng.random() < 0.5 else rng.dirichlet(np.ones(k))
    right, whole, nobody = g(x), g(x), g(x)
    right[i] += shares
    whole[i] += 1
    return lambda v: f(v) + of(v[i]), x, right, [whole, nobody]


def unit(rng: np.random.Generator, n: int) -> Kinked:
    """One ReLU whose whole row of weights sits on its kink."""
    f, g = smooth(rng, n)
    a = np.round(64 * rng.standard_normal(n)) / 64
    x = np.round(64 * rng.standard_normal(n)) / 64
    a[-1] = 1
    x[-1] = -(a[:-1] @ x[:-1])
    c, t = rng.standard_normal(), rng.choice([0.0, 1.0, 0.4])
    half = a.copy()
    half[: n // 2] = 0
    right = g(x) + c * t * a
    return lambda v: f(v) + c * max(a @ v, 0), x, right, [g(x) + c * half]


def norm(rng: np.random.Generator, n: int) -> Kinked:
    """The Euclidean norm at 0: anything no longer than 1."""
    f, g = smooth(rng, n)
    x = rng.standard_normal(n)
    x[:3] = 0
    v = rng.standard_normal(3)
    right, wrong = g(x), g(x)
    right[:3] += 0.9 * v / np.linalg.norm(v)
    wrong[:3] += 0.95 * np.sign(v)
    return lambda p: f(p) + float(np.sqrt((p[:3] ** 2).sum())), x, right, [wrong]


FAMILIES = (absolute, tie, lambda rng, n: tie(rng, n, np.min), unit, norm)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("seed", range(3))
def test_a_gradient_on_a_kink_is_right_if_some_slopes_give_it(family: Any, seed: int) -> None:
    rng = np.random.default_rng(seed)
    loss, x, right, wrong = family(rng, int(rng.integers(5, 20)))

    def checked(gradient: Array) -> Any:
        return gradcheck(lambda p: float(loss(p["x"])), {"x": x}, {"x": gradient}, seed=seed)

    assert checked(right).verdict == "pass", str(checked(right))
    verdicts = [checked(w).verdict for w in wrong]
    assert "pass" not in verdicts
    assert "fail" in verdicts or family is absolute  # between the slopes and 0: a note


class ConcatenatedReLU(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([torch.relu(x), torch.relu(-x)], -1)


def on_their_kinks() -> Iterator[tuple[str, Any, Any]]:
    """PyTorch's own gradients, which follow its conventions, where much sits on a kink."""
    h = int(torch.randint(2, 9, (1,)))
    x, zero = torch.randn(5, 3, dtype=torch.float64), torch.zeros(1, 3, dtype=torch.float64)
    x[2] = 0
    two = nn.Sequential(nn.Linear(3, h), nn.ReLU(), nn.Linear(h, 2)).double()
    leaky = nn.Sequential(
        nn.Linear(3, h), nn.LeakyReLU(0.1), nn.Linear(h, h), nn.ReLU(), nn.Linear(h, 2)
    ).double()
    for net in (two, leaky):
        for name, p in net.named_parameters():
            if "bias" in name:
                nn.init.zeros_(p)
    free = [nn.Linear(3, h, bias=False), nn.ReLU(), nn.Linear(h, 2, bias=False)]
    yield "a row of zeros", two, x
    yield "a leaky one before", leaky, x
    yield "x = 0", nn.Sequential(*free).double(), zero
    yield "concatenated ReLU", ConcatenatedReLU(), zero
    yield "max pooling", nn.MaxPool1d(2), torch.tensor([[[1.0, 1, 2, 3, 0, 0]]]).double()
    yield "amax", lambda t: t.amax(-1), torch.ones(2, 4).double()
    yield "norm", lambda t: t.norm(), zero
    yield "median", lambda t: t.median(), torch.tensor([1.0, 1, 1, 2, 0]).double()
    yield "cummax", lambda t: t.cummax(0).values, torch.ones(4).double()
    yield "L1", F.l1_loss, [zero, zero.clone()]
    yield "ReLU6", nn.ReLU6(), torch.tensor([0.0, 6, 3, -1]).double()


@pytest.mark.parametrize("seed", range(2))
def test_what_autograd_gives_on_a_kink_is_never_called_wrong(seed: int) -> None:
    torch.manual_seed(seed)
    for name, module, inputs in on_their_kinks():
        report = gradcheck_module(module, inputs, seed=seed)
        assert report.verdict == "pass", f"{name}: {report}"


def test_a_point_that_is_not_counted_is_named() -> None:
    x = torch.zeros(2, 2, dtype=torch.float64)
    report = gradcheck_module(ConcatenatedReLU(), x, seed=1)
    note = report["input 0"].note
    assert note is not None
    assert note.startswith("the given point is not counted: the loss has a kink at [0, 0]")
    assert report.points == 2
    assert str(report).startswith("gradient check: pass at 2 points (")


def test_a_gradient_that_is_wrong_at_the_given_point_only_says_so() -> None:
    def grads(p: Params) -> Params:
        return {"x": 2 * p["x"] + (p["x"] == 0)}

    report = gradcheck(lambda p: float((p["x"] ** 2).sum()), {"x": np.array([1.0, 0.0])}, grads)
    assert report["x"].cause is not None
    assert report["x"].cause.endswith("wrong at the given point only")
    assert report["x"].where == "entries [[1]]"


def test_an_entry_without_a_slope_is_named() -> None:
    def loss(p: Params) -> float:
        x = p["x"]
        return float(x[0] ** 2 + (math.nan if x[1] not in (2.0, 2.5) else 1.0))

    report = gradcheck(loss, {"x": np.array([1.0, 2.0])}, {"x": np.array([2.0, 0.0])})
    assert report.verdict != "pass"
    assert "[1] has no slope" in str(report)


# What a pass is worth, and how wrong a failure is


def test_an_error_says_its_size_and_rtol_allows_it() -> None:
    w = {"w": np.arange(1.0, 6.0)}

    def loss(p: Params) -> float:
        return float((p["w"] ** 3).sum())

    for size in (3e-9, 1e-6, 0.03):

        def grads(p: Params, size: float = size) -> Params:
            return {"w": 3 * p["w"] ** 2 * (1 + size)}

        report = gradcheck(loss, w, grads, seed=0)
        assert report.verdict == "fail"
        assert report["w"].error == pytest.approx(size, rel=0.2)
        assert ("an epsilon that was left out" in str(report)) == (size < 1e-4)
        allowed = gradcheck(loss, w, grads, rtol=2 * size, seed=0)
        assert allowed.verdict == "pass", str(allowed)
        assert gradcheck(loss, w, grads, rtol=size / 10, seed=0).verdict == "fail"


@pytest.mark.slow
def test_a_pass_is_worth_what_it_says() -> None:
    """An error of the bound, at every point, is caught in 99 of 100; a third of it not always."""
    rng = np.random.default_rng(0)
    X, Y = rng.standard_normal((20, 3)).astype("f"), rng.standard_normal((20, 2)).astype("f")
    w = {"w": rng.standard_normal((3, 2)).astype("f")}

    def loss(p: Params) -> Any:
        return (np.tanh(X @ p["w"]) * Y).sum()

    def grads(p: Params, factor: float = 1.0) -> Params:
        return {"w": np.float32(factor) * X.T @ (Y * (1 - np.tanh(X @ p["w"]) ** 2))}

    reports = [gradcheck(loss, w, grads, seed=seed) for seed in range(40)]
    assert all(r.verdict == "pass" for r in reports)
    worth = float(np.median([r["w"].relative_bound for r in reports]))
    assert worth < 0.01

    def caught(error: float) -> int:
        wrong = [gradcheck(loss, w, lambda p: grads(p, 1 + error), seed=s) for s in range(40)]
        return sum(not r for r in wrong)

    assert caught(3 * worth) >= 39
    assert caught(worth / 30) < 40


def test_what_is_resolved_too_coarsely_is_inconclusive() -> None:
    def loss(p: Params) -> float:
        return round(float((p["w"] ** 2).sum()), 1)

    report = gradcheck(loss, {"w": np.array([1.0, -2.0, 0.5])}, lambda p: {"w": 2 * p["w"]})
    assert report.verdict == "inconclusive"
    assert "would not be seen; its loss is too noisy or too coarse" in str(report)
    rough = gradcheck(
        loss, {"w": np.array([1.0, -2.0, 0.5])}, lambda p: {"w": 2 * p["w"]}, resolve=20
    )
    assert rough.verdict == "pass"


def test_a_gradient_of_zero_says_what_was_shown() -> None:
    def loss(p: Params) -> float:
        return float((p["w"] ** 2).sum())

    unused = gradcheck(
        loss, {"w": np.ones(3), "u": np.ones(2)}, lambda p: {"w": 2 * p["w"], "u": None}
    )
    assert unused.verdict == "pass"
    note = unused["u"].note
    assert note is not None
    assert note.startswith("0 to within ")
    rounded = [
        gradcheck(
            lambda p: round(float(p["u"].sum()), 1) + 100.0,
            {"u": np.ones(2)},
            lambda p: {"u": 0 * p["u"]},
            seed=seed,
        )
        for seed in range(50)
    ]
    # The loss moves by more than its tenths, but along directions in which the two cancel.
    assert sum(report.ok for report in rounded) <= 2


@pytest.mark.parametrize("start", [1.0, 0.0])
def test_a_neutral_start_does_not_hide_a_fault(start: float) -> None:
    x = np.random.default_rng(0).standard_normal((6, 3))

    def loss(p: Params) -> float:
        return float((np.sin(x + p["x"]) * (p["g"] + (1 - start))).sum())

    def grads(p: Params) -> Params:  # the gain is lost on the way to x
        return {"x": np.cos(x + p["x"]).sum(0), "g": np.sin(x + p["x"]).sum(0)}

    params = {"x": np.zeros(3), "g": np.full(3, start)}
    assert gradcheck(loss, params, grads)["x"].verdict == "fail"


# What autograd is told not to differentiate


class Teacher(nn.Module):
    """A student that is held to what does not learn."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.student, self.teacher = nn.Linear(3, 2).double(), nn.Linear(3, 2).double()
        self.teacher.requires_grad_(False)
        self.how = how

    def goal(self, x: torch.Tensor) -> torch.Tensor:
        if self.how == "no_grad":
            with torch.no_grad():
                return torch.tanh(self.teacher(x))
        if self.how == "inference_mode":
            with torch.inference_mode():
                return self.teacher(x)
        if self.how == "moving average":
            with torch.no_grad():
                self.teacher.weight.mul_(0.9).add_(0.1 * self.student.weight)
                return self.teacher(x)
        return self.teacher(x).data if self.how == "data" else self.teacher(x).detach()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (self.student(x) - self.goal(x)).square().mean()


@pytest.mark.parametrize("how", ["no_grad", "inference_mode", "detach", "data", "moving average"])
def test_what_is_held_constant_passes_and_is_named(how: str) -> None:
    report = gradcheck_module(Teacher(how), torch.randn(5, 3, dtype=torch.float64))
    assert report.verdict == "pass", str(report)
    assert any(n.startswith("held constant") and "test_slopes.py:" in n for n in report.notes)


def test_a_function_that_switches_gradients_off_itself_is_still_checked() -> None:
    class Sine(torch.autograd.Function):
        sign = 1

        @staticmethod
        def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
            ctx.save_for_backward(x)
            with torch.no_grad():
                return x.detach().sin()

        @staticmethod
        def backward(ctx: Any, g: torch.Tensor) -> torch.Tensor:
            return Sine.sign * g * ctx.saved_tensors[0].cos()

    x = torch.randn(4, dtype=torch.float64)
    assert gradcheck_module(Sine.apply, x)
    Sine.sign = -1
    assert gradcheck_module(Sine.apply, x)["input 0"].cause == "its sign is wrong"


def test_a_parameter_that_is_cut_off_altogether_does_not_pass() -> None:
    class Cut(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Linear(3, 3).double(), nn.Linear(3, 2).double()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.b(torch.tanh(self.a(x)).detach())

    report = gradcheck_module(Cut(), torch.randn(5, 3, dtype=torch.float64))
    assert report["a.weight"].verdict == "inconclusive"
    assert report["b.weight"].verdict == "pass"
    assert "is that meant, or is a detach too many?" in str(report)


# Causes


def custom(forward: Any, backward: Any) -> Any:
    """A function of tensors; its backward pass gets them, and the upstream gradient last."""
    return of_saved(forward, lambda saved, g: backward(*saved, g))


INDEX = torch.tensor([0, 2, 2, 1, 2])


def overwritten(x: torch.Tensor, g: torch.Tensor) -> torch.Tensor:
    dx = torch.zeros_like(x)
    for k, i in enumerate(INDEX):
        dx[i] = g[k]
    return dx


def diagonal(x: torch.Tensor, g: torch.Tensor) -> torch.Tensor:
    s = torch.softmax(x, -1)
    return g * s * (1 - s)


CAUSES: list[tuple[Any, Any, str]] = [
    (
        lambda x: torch.softmax(x.reshape(-1), 0),
        lambda x, g: diagonal(x.reshape(-1), g).reshape(x.shape),
        "only the diagonal of its Jacobian is used",
    ),
    (torch.sin, lambda x, g: x.cos(), "the upstream gradient is taken for ones"),
    (
        lambda x: x[INDEX],
        overwritten,
        "where several outputs use one entry, the last one overwrites the others",
    ),
    (torch.sin, lambda x, g: (g * x.cos()).flip(1), "its columns are in the reverse order"),
    (torch.sin, lambda x, g: g * x.cos() + 0.25, "it is off by one constant: to every entry"),
    (
        torch.sin,
        lambda x, g: g * x.cos() / 12,
        "it must be multiplied by 12 (as if it were divided by a count of 12 too often)",
    ),
    (
        torch.sin,
        lambda x, g: g * x.cos() * 2 / 3,
        "it must be multiplied by 1.5 (as if it were divided by 3 where 2 belongs)",
    ),
]


@pytest.mark.parametrize(("forward", "backward", "cause"), CAUSES, ids=lambda c: str(c)[:20])
@pytest.mark.parametrize("seed", range(3))
def test_a_cause_is_named(forward: Any, backward: Any, cause: str, seed: int) -> None:
    torch.manual_seed(seed)
    x = torch.randn(3, 4, dtype=torch.float64)
    said = gradcheck_module(custom(forward, backward), x, seed=seed)["input 0"].cause
    assert said is not None
    assert said.startswith(cause)


@pytest.mark.parametrize("seed", range(5))
def test_a_cause_that_is_not_there_is_not_named(seed: int) -> None:
    torch.manual_seed(seed)
    x = torch.randn(3, 4, dtype=torch.float64)
    noise = torch.randn(3, 4, dtype=torch.float64)
    for forward, backward, _ in CAUSES:
        spoilt = custom(forward, lambda x, g, back=backward: back(x, g) + noise * x)
        report = gradcheck_module(spoilt, x, seed=seed)
        assert (report.verdict, report["input 0"].cause) == ("fail", None)


# Coarser arithmetic inside


class NarrowInside(nn.Module):
    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()
        self.layer, self.dtype = nn.Linear(4, 4).double(), dtype

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.softmax(self.layer(x).to(self.dtype), -1).to(x.dtype) @ x.mT


@pytest.mark.parametrize(
    "seed", [*range(10), 50, 181]
)  # the last two bend on both sides of a tread
def test_a_narrow_step_inside_is_noise_and_is_said(seed: int) -> None:
    torch.manual_seed(seed)
    x = torch.randn(3, 4, dtype=torch.float64)
    report = gradcheck_module(NarrowInside(torch.float32), x, seed=seed)
    assert report.verdict == "pass", str(report)
    assert any(
        "computed in about" in n and "coarser than its parameters" in n for n in report.notes
    )
    low = gradcheck_module(NarrowInside(torch.bfloat16), x, seed=seed)
    assert low.verdict in ("pass", "inconclusive"), str(low)


def solved(w: float, tolerance: float) -> float:
    """x with x + x³ = w, by bisection."""
    low, high = -4.0, 4.0
    while high - low > tolerance:
        middle = (low + high) / 2
        low, high = (middle, high) if middle + middle**3 < w else (low, middle)
    return (low + high) / 2


@pytest.mark.parametrize("tolerance", [1e-3, 1e-5, 1e-8])
@pytest.mark.parametrize("seed", range(4))
def test_a_solver_s_stairs_are_no_slopes(tolerance: float, seed: int) -> None:
    w = np.random.default_rng(seed).uniform(-2, 2, 3)

    def loss(p: Params) -> float:
        return sum(solved(float(v), tolerance) for v in p["w"])

    def grads(p: Params, factor: float = 1.0) -> Params:
        x = np.array([solved(float(v), 1e-14) for v in p["w"]])
        return {"w": factor / (1 + 3 * x**2)}

    assert gradcheck(loss, {"w": w}, grads, seed=seed).verdict != "fail"
    assert gradcheck(loss, {"w": w}, lambda p: grads(p, 3.0), seed=seed).verdict == "fail"


@pytest.mark.slow
def test_a_function_that_jumps_here_and_there_is_no_staircase() -> None:
    """Between its jumps a hard shrinkage has slopes, and an error of 1 % is seen."""
    shrink = nn.Hardshrink()
    for seed in range(10):
        torch.manual_seed(seed)
        x = 2 * torch.randn(4, 6)
        assert gradcheck_module(shrink, x, seed=seed)
        wrong = custom(shrink, lambda x, g: 1.01 * g * (x.abs() > 0.5))
        report = gradcheck_module(wrong, x, reference=shrink, seed=seed)
        assert report.verdict == "fail", str(report)


def test_newton_s_method_stopped_early_is_an_error_of_its_size() -> None:
    def root(v: Array, steps: int) -> Array:
        x = np.cbrt(v)
        for _ in range(steps):
            x = x - (x + x**3 - v) / (1 + 3 * x**2)
        return x

    def grads(p: Params) -> Params:
        return {"w": 1 / (1 + 3 * root(p["w"], 40) ** 2)}

    w = {"w": np.array([1.0, 2.0, -1.5])}
    early = gradcheck(lambda p: float(root(p["w"], 2).sum()), w, grads)
    assert early.verdict == "fail"
    error = early["w"].error
    assert error is not None
    assert gradcheck(lambda p: float(root(p["w"], 2).sum()), w, grads, rtol=2 * error + 0.1)
    assert gradcheck(lambda p: float(root(p["w"], 9).sum()), w, grads)


# float32 without a reference


def taken_as_it_comes(a: Any) -> Any:
    return a


def cast(a: Any) -> Any:
    return np.asarray(a, np.float32)


def refused(a: Any) -> Any:
    if a.dtype != np.float32:
        raise TypeError("float32 alone is taken")
    return a


def float32_relu_network(
    seed: int, width: int, taken: Callable[[Any], Any] = taken_as_it_comes
) -> tuple[Any, Params, Any]:
    rng = np.random.default_rng(seed)
    x, y = rng.standard_normal((64, 32)).astype("f"), rng.standard_normal((64, 1)).astype("f")
    p = {"W1": rng.standard_normal((width, 32)).astype("f") / 4, "b1": np.zeros(width, np.float32)}
    p["W2"] = (rng.standard_normal((1, width)) / np.sqrt(width)).astype("f")

    def loss(p: Params) -> Any:
        p = {name: taken(a) for name, a in p.items()}
        h = np.maximum(x @ p["W1"].T + p["b1"], 0)
        return np.float32(0.5) * ((h @ p["W2"].T - y) ** 2).mean()

    def grads(p: Params, factor: float = 1) -> Params:
        a = x @ p["W1"].T + p["b1"]
        h = np.maximum(a, 0)
        df = (h @ p["W2"].T - y) / np.float32(64)
        da = df @ p["W2"] * (a > 0)
        return {"W1": np.float32(factor) * da.T @ x, "b1": da.sum(0), "W2": df.T @ h}

    return loss, p, grads


@pytest.mark.parametrize("width", [1, 4, 96])
@pytest.mark.parametrize("seed", range(4))
def test_a_float32_relu_network_is_held_to_itself_in_float64(seed: int, width: int) -> None:
    loss, p, grads = float32_relu_network(seed, width)
    report = gradcheck(loss, p, grads, seed=seed)
    assert report, str(report)
    assert "the reference is the loss itself in float64" in report.notes
    wrong = gradcheck(loss, p, lambda p: grads(p, 1.01), seed=seed)
    if float(abs(grads(p)["W1"]).max()):
        assert wrong["W1"].verdict == "fail", str(wrong)
        assert wrong["W2"].verdict == "pass", str(wrong)


@pytest.mark.parametrize("taken", [cast, refused])
@pytest.mark.parametrize("seed", range(4))
def test_a_float32_network_that_knows_no_float64_is_never_called_wrong(
    seed: int, taken: Callable[[Any], Any]
) -> None:
    """Kinks next to the point hide below its noise: only what is clearly wrong is called so."""
    loss, p, grads = float32_relu_network(seed, 96, taken)
    assert gradcheck(loss, p, grads, seed=seed).verdict != "fail"
    assert gradcheck(loss, p, lambda p: grads(p, -1), seed=seed)["W1"].verdict == "fail"


def torch_float32(seed: int) -> tuple[torch.Tensor, Params]:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(32, 5, generator=generator)
    p = {"w": torch.randn(5, 7, generator=generator), "b": torch.randn(7, generator=generator)}
    return x, {name: t.requires_grad_() for name, t in p.items()}


def by_autograd(loss: Any) -> Any:
    return lambda p: dict(zip(p, torch.autograd.grad(loss(p), list(p.values())), strict=True))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_a_float32_tensor_program_meets_its_own_tensors_in_float64(seed: int) -> None:
    """Data, buffers, casts and dtypes that the program brings are float32."""
    x, p = torch_float32(seed)

    def loss(p: Params) -> torch.Tensor:
        rows = torch.zeros(33, 7)
        rows[1:] = torch.relu(x @ p["w"] + p["b"])
        both = torch.cat([rows.float(), torch.ones(1, 7, dtype=torch.float32)])
        return F.softmax(both, dim=1, dtype=torch.float32).square().sum()

    report = gradcheck(loss, p, by_autograd(loss), seed=seed)
    assert report, str(report)
    assert "the reference is the loss itself in float64" in report.notes
    halved = gradcheck(loss, p, lambda p: {n: g / 2 for n, g in by_autograd(loss)(p).items()})
    assert halved.verdict == "fail"


@pytest.mark.parametrize("seed", range(4))
def test_a_program_that_is_another_one_in_float64_is_not_held_to_it(seed: int) -> None:
    x, p = torch_float32(seed)
    kept = torch.zeros(32, 7)

    def writes(p: Params) -> torch.Tensor:  # into a float32 tensor of its own
        kept.detach_()
        kept[:] = x @ p["w"]
        return kept.sum()

    def differs(p: Params) -> torch.Tensor:
        return (x @ p["w"]).tanh().sum() * p["w"].element_size()

    def only_float32(p: Params) -> torch.Tensor:
        assert p["w"].dtype == torch.float32
        return (x @ p["w"]).tanh().sum()

    for loss in (writes, differs, only_float32):
        w = {"w": p["w"]}
        report = gradcheck(loss, w, by_autograd(loss), seed=seed)
        assert report, (loss.__name__, str(report))
        assert "the reference is the loss itself in float64" not in report.notes


def test_a_loss_that_keeps_what_its_gradients_need_is_called_before_them() -> None:
    class Layer:
        def loss(self, p: Params) -> Any:
            self.h = np.tanh(p["w"])
            return self.h.sum()

        def grads(self, p: Params) -> Params:
            assert self.h.dtype == np.float32
            return {"w": 1 - self.h**2}

    layer = Layer()
    w = np.linspace(-1, 2, 7, dtype=np.float32)
    assert gradcheck(layer.loss, {"w": w}, layer.grads)


@pytest.mark.parametrize("seed", range(12))
def test_an_error_that_only_the_given_point_can_show_is_not_said_to_be_there_alone(
    seed: int,
) -> None:
    """Points nearby are looked at more roughly: 3e-9 of an entry is below what they show."""
    rng = np.random.default_rng(seed)
    w, c = rng.standard_normal(6), rng.standard_normal(6)

    def grads(p: Params, near: Array | None = None) -> Params:
        g = c * np.cos(p["w"])
        g[2] *= 1 + 3e-9 if near is None else 1 + 0.1 * np.array_equal(p["w"], near)
        return {"w": g}

    def loss(p: Params) -> float:
        return float((c * np.sin(p["w"])).sum())

    report = gradcheck(loss, {"w": w}, grads, seed=seed)["w"]
    assert "given point only" not in (report.cause or "")
    report = gradcheck(loss, {"w": w}, lambda p: grads(p, w), seed=seed)["w"]
    assert report.cause == "wrong at the given point only"


@pytest.mark.slow
def test_a_tiny_entry_beside_a_huge_one_is_seen_beside_a_reference() -> None:
    w = torch.tensor([1e5, 1.0, -2.0, 0.5, 1.5])

    def weighted(x: torch.Tensor) -> torch.Tensor:
        return (w.to(x.dtype) * x.sin()).sum()

    def lost(x: torch.Tensor, g: torch.Tensor) -> torch.Tensor:
        return g * w * x.cos() * torch.tensor([1.0, 1, 1, 0, 1])

    for seed in range(10):
        torch.manual_seed(seed)
        x = torch.randn(5)
        right = custom(weighted, lambda x, g: g * w * x.cos())
        assert gradcheck_module(right, x, reference=weighted, seed=seed)
        report = gradcheck_module(custom(weighted, lost), x, reference=weighted, seed=seed)
        assert report.verdict == "fail", str(report)
