"""Wrong gradients that public libraries shipped: each must fail, and its right form pass.

Each is rebuilt from a public thread: what the layer computes, its right backward pass and the wrong
one. The loss is the sum of the outputs with random weights. `docs/gradcheck.md` has the table.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from torch.autograd.function import once_differentiable

from handgrad import gradcheck, gradcheck_module
from handgrad.checker import Report

Array = np.ndarray
Params = dict[str, Any]
Backward = Callable[[Params, Array], Params]


@dataclass(frozen=True)
class Fault:
    """forward: params → outputs; right, wrong: (params, upstream gradient) → gradients.

    shows: parameters at which the fault shows; hides: where it does not, at the given point;
    seen: whether the check sees it there all the same, since it moves to points nearby.
    """

    name: str
    forward: Callable[[Params], Array]
    right: Backward
    wrong: Backward
    shows: Params
    hides: Params | None = None
    seen: bool = False
    where: str | None = None


def check(fault: Fault, params: Params, backward: Backward, seed: int) -> Report:
    shape = np.shape(fault.forward(params))
    c = np.random.default_rng(seed).standard_normal(shape)
    return gradcheck(
        lambda p: float((c * fault.forward(p)).sum()), params, lambda p: backward(p, c), seed=seed
    )


R = np.random.default_rng(0)


def gather(index: list[int]) -> Fault:
    """1: an index that repeats overwrites instead of adding (joey00072/Tinytorch #2)."""

    def right(p: Params, g: Array) -> Params:
        dx = np.zeros_like(p["x"])
        np.add.at(dx, index, g)
        return {"x": dx}

    def wrong(p: Params, g: Array) -> Params:
        dx = np.zeros_like(p["x"])
        dx[index] += g  # buffered: the last one wins
        return {"x": dx}

    return Fault("gather", lambda p: p["x"][index], right, wrong, {"x": R.standard_normal(4)})


def max_pool(k: int, stride: int) -> Fault:
    """2: windows that overlap assign instead of adding (FluxML/NNlib.jl #205)."""

    def windows(x: Array) -> range:
        return range(0, len(x) - k + 1, stride)

    def back(p: Params, g: Array, add: bool) -> Params:
        x, dx = p["x"], np.zeros_like(p["x"])
        for o, start in zip(g, windows(x), strict=True):
            i = start + int(np.argmax(x[start : start + k]))
            dx[i] = o + (dx[i] if add else 0.0)
        return {"x": dx}

    return Fault(
        "max pool",
        lambda p: np.array([p["x"][s : s + k].max() for s in windows(p["x"])]),
        partial(back, add=True),
        partial(back, add=False),
        {"x": np.array([0.1, 0.2, 9.0, 0.3, -0.1, 0.4, 1.0, 0.5])},
    )


def merged(p: Params, g: Array) -> Params:
    """6: two leaves of equal value become one node (tinygrad #9597)."""
    a, b = p["w1"], p["w2"]
    da, db = g * b**2, g * 2 * a * b
    return {"w1": da + db, "w2": da + db} if a == b else {"w1": da, "w2": db}


def cumprod_right(p: Params, g: Array) -> Params:
    x, r = p["x"], np.zeros(len(g) + 1)
    for i in reversed(range(len(g))):
        r[i] = g[i] + (x[i + 1] * r[i + 1] if i + 1 < len(g) else 0)
    return {"x": np.concatenate([[1], np.cumprod(x)[:-1]]) * r[:-1]}


def cumprod_wrong(p: Params, g: Array) -> Params:
    """7: divides by the input, 0/0 becomes 0 (tensorflow #119430)."""
    with np.errstate(all="ignore"):
        dx = np.cumsum((g * np.cumprod(p["x"]))[::-1])[::-1] / p["x"]
    return {"x": np.nan_to_num(dx, nan=0.0, posinf=0.0, neginf=0.0)}


def batch_norm(p: Params) -> Array:
    x = p["x"]
    return p["gain"] * (x - x.mean(0)) / np.sqrt(x.var(0) + 1e-5) + p["bias"]


def batch_norm_back(p: Params, g: Array, lost: bool = False) -> Params:
    """11: dx is built from g, without the gain (denizyuret/Knet.jl #288)."""
    x = p["x"]
    sd = np.sqrt(x.var(0) + 1e-5)
    h = (x - x.mean(0)) / sd
    d = g if lost else g * p["gain"]
    dx = (d - d.mean(0) - h * (d * h).mean(0)) / sd
    return {"x": dx, "gain": (g * h).sum(0), "bias": g.sum(0)}


def softmax(z: Array) -> Array:
    e = np.exp(z - z.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def paths(p: Params) -> tuple[Array, Array]:
    """Of CTC with two steps, two symbols and the label 1: probabilities of 11, 10, 01; steps."""
    lp = p["lp"]
    logs = np.array([lp[0, 1] + lp[1, 1], lp[0, 1] + lp[1, 0], lp[0, 0] + lp[1, 1]])
    gamma = np.exp(logs) / np.exp(logs).sum()
    steps = np.array([[gamma[2], gamma[0] + gamma[1]], [gamma[1], gamma[0] + gamma[2]]])
    return logs, steps


def ctc(p: Params) -> Array:
    return np.array(-np.log(np.exp(paths(p)[0]).sum()))


def of_logits(p: Params) -> Params:
    u = p["u"]
    return {"lp": u - np.log(np.exp(u).sum(-1, keepdims=True))}


H, TARGETS = np.array([[1.0, -1.0], [2.0, 0.5], [0.3, 0.9]]), np.array([0, 2, 1])
ONE_HOT = np.eye(3)[TARGETS]


def cross_entropies(p: Params) -> Array:
    return -np.log(softmax(H @ p["W"].T)[np.arange(3), TARGETS])


KEPT = np.array([1.0, 0.0, 1.0])


def masked_mean(p: Params) -> Array:
    chosen = np.log(softmax(p["z"])[np.arange(3), TARGETS])
    return np.array(-(KEPT * chosen).sum() / KEPT.sum())


def masked_back(p: Params, g: Array, count: float) -> Params:
    """17: a mean over all tokens though some are ignored (NVIDIA/TransformerEngine #2476)."""
    return {"z": g * KEPT[:, None] * (softmax(p["z"]) - ONE_HOT) / count}


MICRO = [np.array([1.0, 2.0, 3.0]), np.array([-4.0])]


def accumulated(p: Params, g: Array, mean_of_means: bool) -> Params:
    """18: the mean of the micro-batches' means (huggingface/transformers #34191)."""
    sums = [float((2 * (p["w"] * x - 1) * x).sum()) for x in MICRO]
    counts = [len(x) for x in MICRO]
    means = np.mean([s / n for s, n in zip(sums, counts, strict=True)])
    return {"w": np.array(g * (means if mean_of_means else sum(sums) / sum(counts)))}


def normal_density(p: Params) -> Array:
    r = np.array([1.0, -0.5])
    S = p["cov"]
    return np.array(-0.5 * np.log(np.linalg.det(S)) - 0.5 * r @ np.linalg.inv(S) @ r)


def normal_back(p: Params, g: Array, sign: float) -> Params:
    """20: the covariance's gradient has the wrong sign (HIPS/autograd #401)."""
    inverse = np.linalg.inv(p["cov"])
    r = np.array([1.0, -0.5])
    return {"cov": sign * g * -0.5 * (inverse.T - np.outer(inverse.T @ r, inverse @ r))}


BAG = np.array([1, 1, 3])


def bag_back(p: Params, g: Array, wrong: bool) -> Params:
    """21: divides by the count of another index (pytorch #190063)."""
    dW = np.zeros_like(p["W"])
    counts = {1: 2, 3: 1}
    for place, i in enumerate(BAG):
        dW[i] += g / counts[BAG[min(place - 1, 1)] if wrong and place else i]
    return {"W": dW}


def clamp_back(p: Params, g: Array, wrong: bool) -> Params:
    """22: clamp(x, c, c) at x = c gives 1 (pytorch #94204)."""
    return {"x": g * (p["x"] == 1) if wrong else 0 * g}


X = np.array([1.0, 2.0, -1.0, 3.0])


def convolved(p: Params, stride: int = 1) -> Array:
    return np.array([p["k"] @ p["x"][s : s + 2] for s in range(0, 3, stride)])


def convolved_back(
    p: Params, g: Array, stride: int = 1, divide: bool = False, forget: bool = False
) -> Params:
    """27: the kernel's gradient is divided by the outputs (sebgao/cTensor #3); 28: the stride is
    forgotten when windows are placed (Kulbear/deep-learning-coursera #34).
    """
    dk, dx = np.zeros(2), np.zeros(4)
    for o, value in enumerate(g):
        dk += value * p["x"][o * stride : o * stride + 2]
        place = o if forget else o * stride
        dx[place : place + 2] += value * p["k"]
    return {"k": dk / len(g) if divide else dk, "x": dx}


def tanh_back(p: Params, g: Array, after: bool) -> Params:
    """29: the bias's gradient is taken after the activation (arthurdouillard/deepcourse #6)."""
    slope = 1 - np.tanh(X[:2, None] * p["W"] + p["b"]) ** 2
    return {"W": (X[:2, None] * g * slope).sum(0), "b": (g if after else g * slope).sum(0)}


def pooled(p: Params) -> Array:
    return p["x"].reshape(2, 2, 2, 2).swapaxes(1, 2).reshape(2, 2, 4).max(-1)


def pooled_back(p: Params, g: Array, first_only: bool) -> Params:
    """30: `return` inside the loop (riccardoandreoni0/CNN-from-scratch #1)."""
    dx = np.zeros((4, 4))
    for i in range(2):
        for j in range(2):
            window = p["x"][2 * i : 2 * i + 2, 2 * j : 2 * j + 2]
            a, b = np.unravel_index(np.argmax(window), (2, 2))
            dx[2 * i + a, 2 * j + b] = g[i, j]
            if first_only:
                return {"x": dx}
    return {"x": dx}


def bessel(p: Params) -> Array:
    x = abs(p["x"])
    return np.exp(x) * np.exp(-x) * np.i0(x)


def bessel_back(p: Params, g: Array, wrong: bool) -> Params:
    """33: two parts take different slopes of |x| at 0 (jax #11479)."""
    x = p["x"]
    terms = [
        (x / 2) ** (2 * k + 1) / (math.factorial(k) * math.factorial(k + 1)) for k in range(30)
    ]
    return {"x": g * (np.sum(terms, axis=0) + (x == 0) * wrong)}


MASK = np.array([0.0, 2.0, 0.0])


def dropout_back(p: Params, g: Array, wrong: bool) -> Params:
    """37: the mask is taken from output / input (kaldi #3890)."""
    if not wrong:
        return {"x": MASK * g}
    x = p["x"]
    return {"x": g * np.where(x == 0, 1.0, MASK * x / np.where(x == 0, 1.0, x))}


def normal(*shape: int) -> Array:
    return R.standard_normal(shape)


BATCH = {"x": normal(6, 2), "bias": np.zeros(2)}
FAULTS = [
    gather([0, 2, 2, 1]),
    max_pool(4, 2),
    Fault(
        "re-used inner node",  # 4: it propagates once for each path (karpathy/micrograd #2)
        lambda p: (2 * p["x"]) ** 2,
        lambda p, g: {"x": 8 * p["x"] * g},
        lambda p, g: {"x": 16 * p["x"] * g},
        {"x": np.array([3.0])},
    ),
    Fault(
        "equal leaves merged",
        lambda p: p["w1"] * p["w2"] ** 2,
        lambda p, g: {"w1": g * p["w2"] ** 2, "w2": g * 2 * p["w1"] * p["w2"]},
        merged,
        {"w1": np.array(3.0), "w2": np.array(3.0)},
    ),
    Fault(
        "cumprod",
        lambda p: np.cumprod(p["x"]),
        cumprod_right,
        cumprod_wrong,
        {"x": np.array([2.0, 0.0, 3.0, 4.0])},
    ),
    Fault(
        "gain of batch norm",
        batch_norm,
        batch_norm_back,
        partial(batch_norm_back, lost=True),
        {**BATCH, "gain": np.array([2.0, 0.5])},
        hides={**BATCH, "gain": np.ones(2)},
        seen=True,
    ),
    Fault(
        "log-softmax",  # 13: the softmax is added (mlpack #2360)
        lambda p: np.log(softmax(p["z"])),
        lambda p, g: {"z": g - softmax(p["z"]) * g.sum()},
        lambda p, g: {"z": g + softmax(p["z"])},
        {"z": normal(4)},
    ),
    Fault(
        "upstream of CTC dropped",  # 14 (pytorch #21961)
        lambda p: ctc(of_logits(p)),
        lambda p, g: {"u": g * (softmax(p["u"]) - paths(of_logits(p))[1])},
        lambda p, g: {"u": softmax(p["u"]) - paths(of_logits(p))[1]},
        {"u": np.array([[0.2, -0.3], [1.0, 0.4]])},
    ),
    Fault(
        "CTC of log-probabilities",  # 15: it is that of the logits (pytorch #52241)
        ctc,
        lambda p, g: {"lp": -g * paths(p)[1]},
        lambda p, g: {"lp": g * (np.exp(p["lp"]) - paths(p)[1])},
        of_logits({"u": np.array([[0.2, -0.3], [1.0, 0.4]])}),
    ),
    Fault(
        "upstream vector read as a number",  # 16 (linkedin/Liger-Kernel #968)
        cross_entropies,
        lambda p, g: {"W": ((softmax(H @ p["W"].T) - ONE_HOT) * g[:, None]).T @ H},
        lambda p, g: {"W": g[0] * (softmax(H @ p["W"].T) - ONE_HOT).T @ H},
        {"W": normal(3, 2)},
    ),
    Fault(
        "mean over ignored tokens",
        masked_mean,
        partial(masked_back, count=2),
        partial(masked_back, count=3),
        {"z": normal(3, 3)},
    ),
    Fault(
        "mean of means",
        lambda p: np.array(sum(((p["w"] * x - 1) ** 2).sum() for x in MICRO) / 4),
        partial(accumulated, mean_of_means=False),
        partial(accumulated, mean_of_means=True),
        {"w": np.array(0.7)},
    ),
    Fault(
        "sign of a covariance",
        normal_density,
        partial(normal_back, sign=1.0),
        partial(normal_back, sign=-1.0),
        {"cov": np.array([[2.0, 0.3], [0.3, 1.0]])},
    ),
    Fault(
        "count of another index",
        lambda p: p["W"][1] + p["W"][3],
        partial(bag_back, wrong=False),
        partial(bag_back, wrong=True),
        {"W": normal(4)},
    ),
    Fault(
        "clamp to a point",
        lambda p: np.clip(p["x"], 1, 1),
        partial(clamp_back, wrong=False),
        partial(clamp_back, wrong=True),
        {"x": np.array([0.0, 1.0, 2.0])},
    ),
    Fault(
        "kernel divided by the outputs",
        convolved,
        convolved_back,
        partial(convolved_back, divide=True),
        {"k": np.array([0.5, -1.0]), "x": X},
    ),
    Fault(
        "stride forgotten",
        partial(convolved, stride=2),
        partial(convolved_back, stride=2),
        partial(convolved_back, stride=2, forget=True),
        {"k": np.array([0.5, -1.0]), "x": X},
    ),
    Fault(
        "bias after the activation",
        lambda p: np.tanh(X[:2, None] * p["W"] + p["b"]),
        partial(tanh_back, after=False),
        partial(tanh_back, after=True),
        {"W": normal(3), "b": normal(3)},
    ),
    Fault(
        "return in the loop",
        pooled,
        partial(pooled_back, first_only=False),
        partial(pooled_back, first_only=True),
        {"x": np.array([[1.0, 5, 2, 0], [3, 4, 8, 1], [9, 0, 2, 7], [6, 5, 1, 3]])},
    ),
    Fault(
        "slopes of |x| at 0",
        bessel,
        partial(bessel_back, wrong=False),
        partial(bessel_back, wrong=True),
        {"x": np.array([0.0])},
    ),
    Fault(
        "mask from output / input",
        lambda p: MASK * p["x"],
        partial(dropout_back, wrong=False),
        partial(dropout_back, wrong=True),
        {"x": np.array([0.0, 2.0, -1.0])},
    ),
]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
@pytest.mark.parametrize("seed", range(3))
def test_the_fault_fails_and_its_right_form_passes(fault: Fault, seed: int) -> None:
    right = check(fault, fault.shows, fault.right, seed)
    assert right.verdict == "pass", str(right)
    wrong = check(fault, fault.shows, fault.wrong, seed)
    assert wrong.verdict == "fail", str(wrong)
    if fault.hides is not None:
        assert check(fault, fault.hides, fault.right, seed).verdict == "pass"
        hidden = check(fault, fault.hides, fault.wrong, seed)
        assert (hidden.verdict == "fail") == fault.seen, str(hidden)


@pytest.mark.parametrize(("k", "stride", "index"), [(3, 3, [0, 2, 3]), (2, 2, [3, 1, 0])])
def test_inputs_that_hide_a_fault_everywhere_pass(k: int, stride: int, index: list[int]) -> None:
    """No point nearby shows it: the windows and the indices are part of the program."""
    for fault in (max_pool(k, stride), gather(index)):
        assert check(fault, fault.shows, fault.wrong, 0).verdict == "pass"


def test_the_place_of_a_fault_is_named() -> None:
    by_name = {fault.name: fault for fault in FAULTS}
    for name, parameter, index in (
        ("gather", "x", (2,)),
        ("max pool", "x", (2,)),
        ("count of another index", "W", (3,)),
        ("clamp to a point", "x", (1,)),
        ("mask from output / input", "x", (0,)),
    ):
        fault = by_name[name]
        assert check(fault, fault.shows, fault.wrong, 1)[parameter].index == index, name
    bias = by_name["bias after the activation"]
    report = check(bias, bias.shows, bias.wrong, 0)
    assert (report["W"].verdict, report["b"].verdict) == ("pass", "fail")


def function(forward: Any, backward: Any) -> Any:
    class Function(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, *tensors: Any) -> Any:
            ctx.save_for_backward(*tensors)
            ctx.calls = 0
            return forward(*tensors)

        @staticmethod
        @once_differentiable
        def backward(ctx: Any, *upstream: Any) -> Any:
            ctx.calls += 1
            return backward(ctx, *upstream)

    return Function.apply


def tensor(*shape: int, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.tensor(R.standard_normal(shape), dtype=dtype)


def softmax_back(ctx: Any, g: torch.Tensor, write: bool) -> torch.Tensor:
    (x,) = ctx.saved_tensors
    s = torch.softmax(x, -1)
    dx = s * (g - (s * g).sum(-1, keepdim=True))
    return g.copy_(dx) if write else dx


def linear_back(ctx: Any, g: torch.Tensor, raw: bool) -> Any:
    x, W = ctx.saved_tensors
    if raw:
        g = torch.as_strided(g, g.shape, (g.shape[1], 1))
    return g @ W, g.T @ x


IN_TORCH = {
    # 5: inner gradients are not cleared before a second pass (karpathy/micrograd #53)
    "stale inner gradients": (
        lambda x: x**2,
        lambda ctx, g: 2 * ctx.saved_tensors[0] * g,
        lambda ctx, g: ctx.calls * 2 * ctx.saved_tensors[0] * g,
        [tensor(3)],
    ),
    # 10: a raw pointer reads the upstream gradient in memory order (Dao-AILab/flash-attention #355)
    "layout of the upstream gradient": (
        lambda x, W: x @ W.T,
        partial(linear_back, raw=False),
        partial(linear_back, raw=True),
        [tensor(2, 3), tensor(4, 3)],
    ),
    # 25: the conjugate is forgotten (tensorflow #12514)
    "conjugate": (
        lambda a, b: a * b,
        lambda ctx, g: (g * ctx.saved_tensors[1].conj(), g * ctx.saved_tensors[0].conj()),
        lambda ctx, g: (g * ctx.saved_tensors[1], g * ctx.saved_tensors[0]),
        [torch.complex(tensor(3), tensor(3)), torch.complex(tensor(3), tensor(3))],
    ),
    # 31: it writes into the upstream gradient (NVIDIA/apex #1430)
    "writes into the upstream gradient": (
        lambda x: torch.softmax(x, -1),
        partial(softmax_back, write=False),
        partial(softmax_back, write=True),
        [tensor(2, 3)],
    ),
    # 9: the gradient's buffer has the strides of an expanded tensor (pytorch #9145)
    "strides of an expanded tensor": (
        lambda x: x.expand(5)[:1],
        lambda ctx, g: g,
        lambda ctx, g: 5 * g,
        [tensor(1)],
    ),
}


@pytest.mark.parametrize("name", IN_TORCH)
@pytest.mark.parametrize("seed", range(5))
def test_faults_of_how_a_backward_pass_is_called(name: str, seed: int) -> None:
    forward, right, wrong, inputs = IN_TORCH[name]
    report = gradcheck_module(function(forward, right), inputs, seed=seed)
    assert report.verdict == "pass", str(report)
    report = gradcheck_module(function(forward, wrong), inputs, seed=seed)
    assert report.verdict == "fail", str(report)


def test_a_tie_counted_in_half_precision_is_seen_beside_its_reference() -> None:
    """34: a count of 70,000 overflows, and every gradient is 0 (tinygrad #12296)."""
    x = torch.ones(70_000, dtype=torch.float16, requires_grad=True)

    def grads(p: Any, dtype: torch.dtype) -> Any:
        tied = p["x"] == p["x"].max()
        return {"x": (tied / tied.to(dtype).sum()).to(p["x"].dtype)}

    for dtype, verdicts in (
        (torch.float32, ("pass", "inconclusive", "nondifferentiable")),
        (torch.float16, ("fail",)),
    ):
        report = gradcheck(
            lambda p: p["x"].max(),
            {"x": x},
            partial(grads, dtype=dtype),
            reference=lambda p: p["x"].max(),
            points=1,
            seed=0,
        )
        assert report.verdict in verdicts, str(report)
