"""The other rules of a layer: forward mode (`jvp=`, `forward_ad=`), vmap, undefined gradients."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from layers import affine_backward, affine_forward
from torch import Tensor, nn

from handgrad import gradcheck_layer, gradcheck_module
from handgrad.checker import Report
from handgrad.errors import BadInput

Array = np.ndarray


def affine_jvp(dx: Array, dw: Array, db: Array, cache: Any) -> Array:
    x, w = cache[:2]
    return dx @ w + x @ dw + db


def affine_inputs(seed: int, samples: int = 4, units: int = 2) -> list[Array]:
    rng = np.random.default_rng(seed)
    return [rng.standard_normal(s) for s in ((samples, 3), (3, units), (units,))]


def with_jvp(jvp: Callable[..., Any], seed: int, **sizes: int) -> Report:
    inputs = affine_inputs(seed, **sizes)
    return gradcheck_layer(affine_forward, affine_backward, inputs, jvp=jvp, seed=seed)


@pytest.mark.parametrize("seed", range(15))
def test_a_right_jvp_passes(seed: int) -> None:
    report = with_jvp(affine_jvp, seed)
    assert report.verdict == "pass", report
    assert list(report.parameters) == ["x", "w", "b", "jvp x", "jvp w", "jvp b"]


@pytest.mark.slow
def test_a_right_jvp_of_many_numbers_passes() -> None:
    report = with_jvp(affine_jvp, 0, samples=200, units=300)
    assert report.verdict == "pass", report


def two_outputs(x: Array, y: Array) -> tuple[Array, Array, Any]:
    return x * y, np.sin(x), (x, y)


def of_two(dp: Array, ds: Array, cache: Any) -> tuple[Array, Array]:
    x, y = cache
    return dp * y + ds * np.cos(x), dp * x


def test_a_jvp_of_two_outputs() -> None:
    def jvp(dx: Array, dy: Array, cache: Any) -> tuple[Array, Array]:
        x, y = cache
        return dx * y + x * dy, np.cos(x) * dx

    x, y = np.random.default_rng(0).standard_normal((2, 5))
    assert gradcheck_layer(two_outputs, of_two, [x, y], jvp=jvp, seed=0)
    with pytest.raises(BadInput, match="jvp must return tangents of the outputs' shapes"):
        gradcheck_layer(two_outputs, of_two, [x, y], jvp=lambda dx, dy, cache: dx, seed=0)


WRONG_JVPS: list[tuple[str, Callable[..., Any], str]] = [
    ("jvp w", lambda dx, dw, db, c: dx @ c[1] + 2 * c[0] @ dw + db, "it must be divided by 2"),
    ("jvp b", lambda dx, dw, db, c: dx @ c[1] + c[0] @ dw - db, "its sign is wrong"),
    ("jvp x", lambda dx, dw, db, c: c[0] @ dw + db, "it is zero"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "jvp", "why"), WRONG_JVPS)
@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("samples", [4, 200])
def test_a_wrong_jvp_is_found_where_it_is(
    name: str, jvp: Callable[..., Any], why: str, seed: int, samples: int
) -> None:
    report = with_jvp(jvp, seed, samples=samples)
    assert [n for n, p in report.parameters.items() if p.verdict == "fail"] == [name]
    assert why in str(report[name].cause)


def test_a_jvp_that_is_not_linear_is_found() -> None:
    def jvp(dx: Array, dw: Array, db: Array, cache: Any) -> Array:
        return affine_jvp(abs(dx), dw, db, cache)

    assert "jvp is not linear in its tangents" in with_jvp(jvp, 0).calls


def test_what_no_slope_sees_backward_contradicts() -> None:
    """A loss in a few digits: the slopes cannot tell 1 %, the two rules can."""

    def forward(x: Array) -> tuple[Array, Array]:
        return np.round(x**2, 2), x

    def jvp(dx: Array, x: Array) -> Array:
        return 2.02 * x * dx

    x = np.random.default_rng(0).standard_normal(4)
    report = gradcheck_layer(forward, lambda d, x: 2 * x * d, [x], jvp=jvp, seed=0)
    assert "jvp and backward contradict each other at x" in report.calls[0]


def test_an_object_has_no_jvp() -> None:
    with pytest.raises(BadInput, match="jvp must come with two functions"):
        gradcheck_layer(object(), jvp=affine_jvp)


def double(x: Tensor, dx: Tensor) -> Tensor:
    return 2 * x * dx


def square(jvp: Callable[..., Any] = double, vmap: Callable[..., Any] | None = None) -> Any:
    """x², as a function with a rule of its own for each."""

    class Square(torch.autograd.Function):
        generate_vmap_rule = vmap is None

        @staticmethod
        def forward(x: Tensor) -> Tensor:
            return x * x

        @staticmethod
        def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
            ctx.save_for_backward(*inputs)
            ctx.save_for_forward(*inputs)

        @staticmethod
        def backward(ctx: Any, g: Tensor) -> Tensor:
            return 2 * ctx.saved_tensors[0] * g

    Square.jvp = staticmethod(lambda ctx, dx: jvp(ctx.saved_tensors[0], dx))  # type: ignore
    if vmap is not None:
        Square.vmap = staticmethod(vmap)  # type: ignore
    return Square.apply


def x_of(seed: int) -> Tensor:
    return torch.randn(4, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
def test_right_rules_of_a_function_pass(seed: int) -> None:
    report = gradcheck_module(square(), x_of(seed), forward_ad=True, vmap=True, seed=seed)
    assert report.verdict == "pass", report
    assert list(report.parameters) == ["input 0", "jvp input 0"]
    assert any("vmap gives what a loop gives" in note for note in report.notes)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_rules_of_a_module_pass(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(3, 4), nn.GELU(), nn.LayerNorm(4), nn.Linear(4, 2)).to(dtype)
    report = gradcheck_module(net, x_of(0).to(dtype), forward_ad=True, vmap=True, seed=0)
    assert report.verdict == "pass", report
    assert "jvp 0.weight" in report.parameters


@pytest.mark.slow
def test_rules_over_two_inputs_and_outputs_pass() -> None:
    def program(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        return x @ y, square()(x).sum(-1)

    inputs = [x_of(0), x_of(1).mT.contiguous()]
    report = gradcheck_module(program, inputs, forward_ad=True, vmap=True, seed=0)
    assert report.verdict == "pass", report


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
def test_wrong_forward_mode_is_found(seed: int) -> None:
    report = gradcheck_module(square(lambda x, dx: x * dx), x_of(seed), forward_ad=True, seed=seed)
    assert report["input 0"].verdict == "pass"
    assert "multiplied by 2" in str(report["jvp input 0"].cause)
    nonlinear = square(lambda x, dx: 2 * x * dx.abs())
    report = gradcheck_module(nonlinear, x_of(seed), forward_ad=True, seed=seed)
    assert "jvp is not linear in its tangents" in report.calls


def in_place(info: Any, in_dims: Any, x: Tensor) -> tuple[Tensor, int]:
    return x * x, 0  # wherever the batch was


def averaged(info: Any, in_dims: Any, x: Tensor) -> tuple[Tensor, int]:
    return x * x.mean(in_dims[0], keepdim=True), in_dims[0]


@pytest.mark.slow
@pytest.mark.parametrize(("vmap", "axis"), [(in_place, "last"), (averaged, "first")])
def test_a_wrong_vmap_rule_is_found(vmap: Callable[..., Any], axis: str) -> None:
    report = gradcheck_module(square(vmap=vmap), x_of(0), vmap=True, seed=0)
    assert report.verdict == "fail"
    assert f"vmap over the {axis} axis: not what a loop gives: output 0" in report.calls


@pytest.mark.slow
def test_a_vmap_rule_that_raises_is_found() -> None:
    def raises(info: Any, in_dims: Any, x: Tensor) -> Any:
        raise IndexError("too far")

    report = gradcheck_module(square(vmap=raises), x_of(0), vmap=True, seed=0)
    assert "vmap over the first axis: it raised IndexError: too far" in report.calls


class Without(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x * x

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Any:
        return 2 * ctx.saved_tensors[0] * g


def detached(x: Tensor) -> Tensor:
    return x * x.detach()


@pytest.mark.parametrize(
    ("module", "options", "says"),
    [
        (Without.apply, {"forward_ad": True}, "forward_ad must find a rule for all that is"),
        (Without.apply, {"vmap": True}, "vmap must find a rule: In order to use"),
        (nn.Dropout(), {"vmap": True}, "vmap must be checked without random numbers"),
        (detached, {"forward_ad": True}, "forward_ad must be checked without no_grad and detach"),
        (detached, {"forward_ad": 1}, "forward_ad must be True or False"),
    ],
)
def test_rules_that_cannot_be_checked_are_told(module: Any, options: Any, says: str) -> None:
    with pytest.raises(BadInput, match=says):
        gradcheck_module(module, x_of(0), seed=0, **options)


class Pair(torch.autograd.Function):
    """x² and sin x; what is not used has no upstream gradient."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Any:
        ctx.save_for_backward(x)
        ctx.set_materialize_grads(False)
        return x * x, x.sin()

    @staticmethod
    def backward(ctx: Any, g: Tensor | None, h: Tensor | None) -> Any:
        (x,) = ctx.saved_tensors
        parts = [None if g is None else 2 * x * g, None if h is None else x.cos() * h]
        return sum(p for p in parts if p is not None)


class Careless(Pair):
    @staticmethod
    def backward(ctx: Any, g: Tensor | None, h: Tensor | None) -> Any:
        (x,) = ctx.saved_tensors
        return 2 * x * g + x.cos() * h


class Hasty(Pair):
    @staticmethod
    def backward(ctx: Any, g: Tensor | None, h: Tensor | None) -> Any:
        (x,) = ctx.saved_tensors
        if g is None or h is None:
            return torch.zeros_like(x)
        return 2 * x * g + x.cos() * h


def test_undefined_gradients() -> None:
    """None for one of several outputs."""
    assert gradcheck_module(Pair.apply, x_of(0), seed=0)
    for wrong, says in ((Careless, "it raised TypeError"), (Hasty, "another one than with zeros")):
        report = gradcheck_module(wrong.apply, x_of(0), seed=0)
        assert len(report.calls) == 2
        assert all(says in sentence for sentence in report.calls)
        assert report.calls[0].startswith("output 0 alone has an upstream gradient, those of")
