"""JAX's arrays, pytrees and custom rules, in float64 and in float32; complex conventions."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from handgrad import assert_gradients, gradcheck, gradcheck_module
from handgrad.errors import BadInput

BOTH = pytest.mark.parametrize("x64", [True, False])


def normal(seed: int, *shape: int) -> Any:
    return jnp.asarray(np.random.default_rng(seed).standard_normal(shape))


def custom(forward: Callable[..., Any], backward: Callable[..., Any]) -> Any:
    """A function of one array with a vjp of its own."""
    f = jax.custom_vjp(forward)
    f.defvjp(lambda x: (forward(x), x), lambda x, g: (backward(x, g),))
    return f


def swish(x: Any) -> Any:
    return x * jax.nn.sigmoid(x)


def of_swish(x: Any, g: Any) -> Any:
    s = jax.nn.sigmoid(x)
    return g * (s + x * s * (1 - s))


@BOTH
@pytest.mark.parametrize("seed", range(2))
@pytest.mark.slow
def test_a_loss_of_a_pytree(seed: int, x64: bool) -> None:
    with jax.enable_x64(x64):
        x = normal(seed, 5, 3)
        params = {"w": normal(seed + 1, 3, 4), "b": [normal(seed + 2, 4), jnp.asarray(1.5)]}

        def loss(p: Any) -> Any:
            return jnp.sum(jnp.tanh(x @ p["w"] + p["b"][0]) ** 2) * p["b"][1]

        def wrong(p: Any) -> Any:
            found = jax.grad(loss)(p)
            return {"w": found["w"], "b": [-found["b"][0], found["b"][1]]}

        report = gradcheck(loss, params, jax.grad(loss), seed=seed)
        assert report.verdict == "pass", report
        assert report["w"].relative_bound < 1e-3  # in float32 too: it is held to itself in float64
        report = gradcheck(loss, params, wrong, seed=seed)
    assert [n for n, p in report.parameters.items() if p.verdict == "fail"] == ["b[0]"]
    assert report["b[0]"].cause == "its sign is wrong"


@jax.tree_util.register_dataclass
@dataclasses.dataclass
class Affine:
    w: Any
    b: Any


def affine(p: Affine, x: Any) -> Any:
    return jax.nn.softmax(x @ p.w + p.b)


@pytest.mark.slow
def test_a_registered_class_is_a_pytree() -> None:
    with jax.enable_x64(True):
        p, x = Affine(normal(0, 3, 4), normal(1, 4)), normal(2, 5, 3)

        def loss(p: Affine) -> Any:
            return jnp.sum(affine(p, x) ** 2)

        report = gradcheck(loss, p, jax.grad(loss), seed=0)
        assert report.verdict == "pass"
        assert list(report.parameters) == ["w", "b"]
        with pytest.raises(BadInput, match="grads must have the form of params"):
            gradcheck(loss, p, lambda p: {"w": p.w, "b": p.b}, seed=0)
        report = gradcheck_module(affine, [p, x], seed=0)
        assert list(report.parameters) == ["input 0.w", "input 0.b", "input 1"]
        assert report


@BOTH
@pytest.mark.parametrize("seed", range(1))
@pytest.mark.slow
def test_a_custom_vjp(seed: int, x64: bool) -> None:
    with jax.enable_x64(x64):
        x = normal(seed, 4, 3)
        assert gradcheck_module(custom(swish, of_swish), x, second=True, vmap=True, seed=seed)
        halved = custom(swish, lambda x, g: of_swish(x, g) / 2)
        report = gradcheck_module(halved, x, seed=seed)
        assert "multiplied by 2" in str(report["input 0"].cause)
        constant = custom(swish, lambda x, g: of_swish(jax.lax.stop_gradient(x), g))
        report = gradcheck_module(constant, x, second=True, seed=seed)
    assert report["input 0"].verdict == "pass"
    assert report["second input 0"].verdict == "fail"
    assert report["second upstream gradient[0]"].verdict == "pass"


def with_jvp(jvp: Callable[..., Any]) -> Any:
    """x sin y, with a rule of its own for forward mode."""

    def forward(x: Any, y: Any) -> Any:
        return x * jnp.sin(y)

    f = jax.custom_jvp(forward)
    f.defjvp(lambda at, v: (forward(*at), jvp(*at, *v)))
    return f


def right_jvp(x: Any, y: Any, dx: Any, dy: Any) -> Any:
    return dx * jnp.sin(y) + x * jnp.cos(y) * dy


@BOTH
@pytest.mark.slow
def test_a_custom_jvp(x64: bool) -> None:
    with jax.enable_x64(x64):
        inputs = [normal(0, 4), normal(1, 4)]
        report = gradcheck_module(with_jvp(right_jvp), inputs, forward_ad=True, vmap=True, seed=0)
        assert report.verdict == "pass", report
        wrong = with_jvp(lambda x, y, dx, dy: dx * jnp.sin(y) - x * jnp.cos(y) * dy)
        report = gradcheck_module(wrong, inputs, forward_ad=True, seed=0)
    found = {name: p.cause for name, p in report.parameters.items() if p.verdict == "fail"}
    assert found == {"input 1": "its sign is wrong", "jvp input 1": "its sign is wrong"}


def test_a_vjp_alone_has_no_forward_mode() -> None:
    with pytest.raises(BadInput, match="forward_ad must find a rule for all that is computed"):
        gradcheck_module(custom(swish, of_swish), normal(0, 3), forward_ad=True, seed=0)


def test_a_reference_is_called_in_float64() -> None:
    """A function that rounds to bfloat16 inside, and the same one written plainly."""

    def rough(x: Any) -> Any:
        return jnp.asarray(jnp.asarray(x, jnp.bfloat16) * 3, jnp.float32)

    report = gradcheck_module(rough, normal(0, 4), reference=lambda x: 3 * x, seed=0)
    assert report.forward is not None


def test_the_test_door_takes_it() -> None:
    assert_gradients(custom(swish, of_swish), [normal(0, 3)], seed=0)
    with pytest.raises(AssertionError, match="its sign is wrong"):
        assert_gradients(custom(swish, lambda x, g: -of_swish(x, g)), [normal(0, 3)], seed=0)


def test_what_cannot_be_checked_is_told() -> None:
    with pytest.raises(BadInput, match="a float array among the inputs"):
        gradcheck_module(custom(swish, of_swish), [jnp.arange(3)], seed=0)
    with pytest.raises(BadInput, match="conjugate must be True or False"):
        gradcheck(squared, Z, np.conj, conjugate="yes", seed=0)  # type: ignore[arg-type]
    with pytest.raises(BadInput, match="must return a float array"):
        gradcheck_module(lambda x: x > 0, normal(0, 3), seed=0)


Z = np.array([1 + 2j, 3 - 1j, -0.5j])


def squared(z: Any) -> Any:
    """Σ |z|², of any library's arrays."""
    return (z.real**2 + z.imag**2).sum()


@pytest.mark.slow
@pytest.mark.parametrize("make", [jnp.asarray, np.asarray, torch.from_numpy])
def test_the_convention_is_the_library_s(make: Callable[..., Any]) -> None:
    """Of |z|² at 1 + 2j: 2 + 4j in PyTorch, 2 − 4j in JAX and HIPS autograd."""
    with jax.enable_x64(True):
        z = make(Z.copy())
        torchs = make is torch.from_numpy
        own, other = (lambda z: 2 * z), (lambda z: 2 * z.conj())
        if not torchs:
            own, other = other, own
        report = gradcheck(squared, z, own, seed=0)
        assert report.verdict == "pass", report
        sign = "+" if torchs else "−"
        assert any(f"are read as ∂L/∂Re {sign} i ∂L/∂Im" in note for note in report.notes)
        report = gradcheck(squared, z, other, seed=0)
        assert report["params"].cause == (
            f"it is the conjugate of the right one: or give conjugate={torchs}"
        )
        assert gradcheck(squared, z, other, conjugate=torchs, seed=0)
        assert gradcheck(squared, z, lambda z: 3 * z, seed=0)["params"].verdict == "fail"


@pytest.mark.parametrize("seed", range(10))
def test_complex_parameters_among_real_ones(seed: int) -> None:
    rng = np.random.default_rng(seed)
    p = {"z": rng.standard_normal((2, 3)) + 1j * rng.standard_normal((2, 3)), "a": np.ones(3)}

    def loss(p: Any) -> Any:
        return (p["a"] * (p["z"] ** 2).real).sum()

    def grads(p: Any) -> Any:
        return {"z": 2 * p["z"] * p["a"], "a": (p["z"] ** 2).real.sum(axis=0)}

    assert gradcheck(loss, p, grads, conjugate=True, seed=seed)["z"].verdict == "pass"
    assert gradcheck(loss, p, grads, conjugate=True, seed=seed)["a"].verdict == "pass"
    conjugated = gradcheck(loss, p, grads, conjugate=False, seed=seed)
    assert conjugated["z"].verdict == "fail"
    assert conjugated["a"].verdict == "pass"
