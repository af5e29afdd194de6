"""`gradcheck_module(…, second=True)`: the backward of the backward."""

import re
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from handgrad import gradcheck_module
from handgrad.errors import BadInput


def function(forward: Callable[..., Any], backward: Callable[..., Any]) -> Any:
    """A custom autograd function of one tensor."""
    own = {"forward": staticmethod(forward), "backward": staticmethod(backward)}
    return type("Own", (torch.autograd.Function,), own).apply  # type: ignore[attr-defined]


def save_x(ctx: Any, x: Tensor) -> None:
    ctx.save_for_backward(x)


def exp_forward(ctx: Any, x: Tensor) -> Tensor:
    y = torch.exp(x)
    ctx.save_for_backward(y)
    return y


def square_of_double(ctx: Any, x: Tensor) -> Tensor:
    """y = (2x)², which keeps t = 2x."""
    ctx.t = 2 * x
    ctx.save_for_backward(x)
    return ctx.t**2


def product(ctx: Any, x: Tensor) -> Tensor:
    ctx.save_for_backward(x)
    return x.prod()


def of_product(ctx: Any, g: Tensor, shortcut: bool) -> Tensor:
    (x,) = ctx.saved_tensors
    if shortcut and int((x == 0).sum()) >= 2:
        return torch.zeros_like(x)  # right, and a constant
    others = [torch.cat([x[:k], x[k + 1 :]]).prod() for k in range(len(x))]
    return g * torch.stack(others)


def odd_forward(ctx: Any, x: Tensor) -> Tensor:
    """x²/4 + x⁴/64, whose derivative is odd."""
    ctx.save_for_backward(x)
    return x**2 / 4 + x**4 / 64


def odd_backward(ctx: Any, g: Tensor) -> Tensor:
    (x,) = ctx.saved_tensors
    return g * (x / 2 + x**3 / 16)


def of_kept(ctx: Any, g: Tensor) -> Tensor:
    return 4 * ctx.t.detach() * g


class Doubled(torch.autograd.Function):
    """The backward of sin as a function of its own, whose backward has a factor too many."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, g: Tensor) -> Tensor:
        ctx.save_for_backward(x, g)
        return torch.cos(x) * g

    @staticmethod
    def backward(ctx: Any, c: Tensor) -> tuple[Tensor, Tensor]:
        x, g = ctx.saved_tensors
        return -2 * torch.sin(x) * g * c, torch.cos(x) * c


def sine(ctx: Any, x: Tensor) -> Tensor:
    ctx.save_for_backward(x)
    return torch.sin(x)


def cosine(ctx: Any, g: Tensor) -> Tensor:
    return g * torch.cos(ctx.saved_tensors[0])


def doubled(ctx: Any, g: Tensor) -> Any:
    return Doubled.apply(ctx.saved_tensors[0], g)  # type: ignore[no-untyped-call]


def odd_by_abs(ctx: Any, g: Tensor) -> Tensor:
    """sign(x) · (|x|/2 + |x|³/16): right everywhere, and flat at 0 for autograd."""
    (x,) = ctx.saved_tensors
    return g * torch.sign(x) * (abs(x) / 2 + abs(x) ** 3 / 16)


def normal(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64)


ZEROS = torch.tensor([2.0, 3.0, 0.0, 0.0], dtype=torch.float64)
AT_0 = torch.tensor([0.0, 0.7], dtype=torch.float64)
RIGHT: dict[str, Callable[[], tuple[Any, Any]]] = {
    "exp": lambda: (function(exp_forward, lambda c, g: g * c.saved_tensors[0]), normal(4, 3)),
    "product": lambda: (function(product, lambda c, g: of_product(c, g, False)), ZEROS),
    "odd": lambda: (function(odd_forward, odd_backward), AT_0),
    "sine": lambda: (function(sine, cosine), normal(3)),
    "tanh net": lambda: (net(nn.Tanh()), normal(5, 3)),
    "softplus net": lambda: (net(nn.Softplus()), normal(5, 3)),
    "relu net": lambda: (net(nn.ReLU()), normal(5, 3)),
    "layer norm": lambda: (nn.LayerNorm(4).double(), normal(3, 4)),
    "attention": lambda: (nn.MultiheadAttention(4, 2).double(), [normal(3, 2, 4)] * 3),
    "gru": lambda: (nn.GRUCell(3, 2).double(), [normal(4, 3), normal(4, 2)]),
    "linear": lambda: (lambda x: 3 * x, normal(3)),
    "two outputs": lambda: (lambda x: (x.sin(), (x**3).sum()), normal(3)),
}
WRONG: dict[str, Callable[[], tuple[Any, Any]]] = {
    "an intermediate result": lambda: (function(square_of_double, of_kept), normal(3)),
    "a shortcut by value": lambda: (function(product, lambda c, g: of_product(c, g, True)), ZEROS),
    "two subgradients": lambda: (function(odd_forward, odd_by_abs), AT_0),
    "a factor": lambda: (function(sine, doubled), normal(3)),
    "once differentiable": lambda: (function(sine, once_differentiable(cosine)), normal(3)),
}


def net(between: nn.Module) -> nn.Module:
    return nn.Sequential(nn.Linear(3, 6), between, nn.Linear(6, 2)).double()


@pytest.mark.parametrize("name", RIGHT)
def test_right_second_derivatives_pass(name: str) -> None:
    for seed in range(5):
        torch.manual_seed(seed)
        report = gradcheck_module(*RIGHT[name](), second=True, seed=seed)
        assert report.ok, f"{seed}: {report}"
        assert any(n.startswith("second upstream gradient[") for n in report.parameters)


@pytest.mark.slow
@pytest.mark.parametrize("name", RIGHT)
def test_many_draws(name: str) -> None:
    for seed in range(15):  # a hundred were run, and passed
        torch.manual_seed(1000 + seed)
        report = gradcheck_module(*RIGHT[name](), second=True, seed=seed)
        assert report.ok, f"{seed}: {report}"


@pytest.mark.parametrize("name", WRONG)
def test_wrong_second_derivatives_are_found_where_the_first_are_right(name: str) -> None:
    for seed in range(5):
        torch.manual_seed(seed)
        assert gradcheck_module(*WRONG[name](), seed=seed).ok
        report = gradcheck_module(*WRONG[name](), second=True, seed=seed)
        assert report.verdict == "fail", report
        assert report["second input 0"].verdict == "fail"
        assert all(p.verdict == "pass" for n, p in report.parameters.items() if "second" not in n)
        assert "second: the first derivatives are right." in str(report)


def test_wrong_first_derivatives_are_told_alone() -> None:
    report = gradcheck_module(function(sine, lambda c, g: 2 * g), normal(3), second=True)
    assert report.verdict == "fail"
    assert list(report.parameters) == ["input 0"]


def test_the_names_and_the_callers_module_stay() -> None:
    module = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2)).double()
    before = {n: t.clone() for n, t in module.state_dict().items()}
    report = gradcheck_module(module, normal(6, 3), second=True)
    assert report.ok, report
    assert {"second 0.weight", "second 1.bias", "second input 0"} <= set(report.parameters)
    assert all(torch.equal(t, before[n]) for n, t in module.state_dict().items())


def test_second_must_be_a_flag() -> None:
    with pytest.raises(BadInput, match=re.escape("second must be True or False, got 'no'")):
        gradcheck_module(torch.sin, normal(3), second="no")  # type: ignore[arg-type]


@pytest.mark.parametrize("asking", [False, True])
def test_the_upstream_gradient_is_checked_whatever_asks_for_a_gradient(asking: bool) -> None:
    """x³ whose backward holds its upstream gradient, or x, constant."""

    def cube(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x**3

    def holds_g(ctx: Any, g: Tensor) -> Tensor:
        return 3 * g.detach() * ctx.saved_tensors[0] ** 2

    def holds_x(ctx: Any, g: Tensor) -> Tensor:
        return 3 * g * ctx.saved_tensors[0].detach() ** 2

    x = torch.linspace(-1, 2, 7, dtype=torch.float64, requires_grad=asking)
    for backward, name in ((holds_g, "second upstream gradient[0]"), (holds_x, "second input 0")):
        report = gradcheck_module(function(cube, backward), x, second=True, seed=0)
        assert [n for n, p in report.parameters.items() if p.verdict == "fail"] == [name], report
