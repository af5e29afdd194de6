"""The same right and wrong gradients before five gradient checkers: who says what, and how fast?

    python benchmarks/side_by_side.py [--draws 20]

Most cases are a forward and a backward pass of NumPy arrays, and a thin adapter hands them to each
tool. Each tool runs at its defaults, in float64 unless the case says float32. A draw is fresh data
and a fresh seed; torch's fast mode and JAX have random directions of their own that never change.
SciPy gives an error and no verdict: up to 1e-5 · max(1, ‖g‖) counts as a pass. It gets an array's
sum with random weights. Of a large case torch's slow mode and SciPy see one draw or none, and wrong
cases that take long have fewer draws: each cell counts its own. "Right" is the right verdict in
every draw, "false" calls right gradients wrong, "missed" passes wrong ones. JAX and HIPS autograd
stand in the tables where they are installed.
"""

import argparse
import os
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import median
from time import perf_counter
from typing import Any, cast

import numpy as np
import torch
from numpy.random import Generator
from rich.console import Console
from rich.progress import track

from handgrad import gradcheck, gradcheck_layer, gradcheck_module
from handgrad.errors import BadInput

Gradients = Sequence[Any]
Check = Callable[[int], str]
"""A seed → "pass", "fail", "cannot tell" or "refused"."""

NUMPY, MODULE = "handgrad", "module"
SLOW, FAST, JAX, SCIPY, AUTOGRAD = "torch slow", "torch fast", "JAX", "SciPy", "autograd"
TOOLS = (NUMPY, MODULE, SLOW, FAST, JAX, SCIPY, AUTOGRAD)
TAKES_LONG = (SLOW, SCIPY)
EVERY = 10**6


@dataclass(frozen=True)
class Case:
    """forward(*inputs) → an array; backward(upstream gradient, *inputs) → one gradient an input."""

    forward: Callable[..., Any]
    backward: Callable[..., Gradients]
    inputs: list[np.ndarray]


def network(
    rng: Generator,
    d: int = 2,
    h: int = 8,
    *,
    scale: float = 1.0,
    offset: float = 0.0,
    dtype: Any = np.float64,
    padded: bool = False,
    leak: float = 0.0,
    dropped: int = 0,
    spoil: Callable[[list[Any]], list[Any]] = lambda gradients: gradients,
) -> Case:
    """L = offset + scale · ½ mean (f − y)² of a ReLU network; the last three spoil gradients."""
    x, y = rng.standard_normal((64, d)).astype(dtype), rng.standard_normal((64, 1)).astype(dtype)
    W1 = rng.standard_normal((d, h)) * np.sqrt(2 / d)
    W2 = rng.standard_normal((h, 1)) * np.sqrt(2 / h)
    b1, b2 = 0.1 * rng.standard_normal(h), 0.1 * rng.standard_normal(1)
    if padded:
        x[0], b1, b2 = 0, 0 * b1, 0 * b2
    kept = (np.arange(64) < 64 - dropped)[:, None]

    def forward(W1: Any, b1: Any, W2: Any, b2: Any) -> Any:
        f = np.maximum(x @ W1 + b1, 0) @ W2 + b2
        return offset + scale * 0.5 * ((f - y) ** 2).mean()

    def backward(g: Any, W1: Any, b1: Any, W2: Any, b2: Any) -> Gradients:
        a = x @ W1 + b1  # (64, h)
        r = np.maximum(a, 0)  # (64, h)
        df = scale * (r @ W2 + b2 - y) / len(y) * kept  # (64, 1)
        da = df @ W2.T * ((a > 0) + leak * (a <= 0)).astype(a.dtype)  # (64, h)
        return [g * p for p in spoil([x.T @ da, da.sum(axis=0), r.T @ df, df.sum(axis=0)])]

    return Case(forward, backward, [p.astype(dtype) for p in (W1, b1, W2, b2)])


def signs_flipped(gradients: list[Any]) -> list[Any]:
    return [-g for g in gradients]


def too_large(gradients: list[Any]) -> list[Any]:
    return [1.001 * g for g in gradients]


def zeroed(rng: Generator, column: bool, d: int, h: int) -> Callable[[list[Any]], list[Any]]:
    """Of W1's gradient one entry is set to 0, or a unit's column."""
    keep = np.ones((d, h))
    keep[slice(None) if column else rng.integers(d), rng.integers(h)] = 0
    return lambda gradients: [gradients[0] * keep, *gradients[1:]]


def entry_zeroed(rng: Generator, column: bool = False) -> Case:
    return network(rng, 64, 256, spoil=zeroed(rng, column, 64, 256))


def relu_at_zero(rng: Generator) -> Case:
    """relu(x) with two entries at 0, whose slope is taken for 0."""
    x = rng.standard_normal(9)
    x[[2, 5]] = 0
    return Case(lambda x: np.maximum(x, 0), lambda g, x: [g * (x > 0)], [x])


def tied_max(rng: Generator) -> Case:
    """max x, which two entries are: each gets half."""
    x = rng.standard_normal(9)
    x[[2, 5]] = 3

    def backward(g: Any, x: Any) -> Gradients:
        top = x == x.max()
        return [g * top / top.sum()]

    return Case(lambda x: x.max(), backward, [x])


def float32_inside(rng: Generator) -> Case:
    """½ mean tanh(a)², a = x W rounded to float32, tanh taken there."""
    x, W = rng.standard_normal((16, 4)), rng.standard_normal((4, 3))

    def inside(W: Any) -> Any:
        return np.tanh((x @ W).astype(np.float32)).astype(np.float64)

    def backward(g: Any, W: Any) -> Gradients:
        t = inside(W)
        return [g * (x.T @ (t * (1 - t**2))) / t.size]

    return Case(lambda W: 0.5 * (inside(W) ** 2).mean(), backward, [W])


def sine(rng: Generator, n: int, dtype: Any = np.float64, factor: float = 1.0) -> Case:
    """Sin x; its gradient is multiplied by the factor."""
    x = rng.standard_normal(n).astype(dtype)
    return Case(np.sin, lambda g, x: [factor * g * np.cos(x)], [x])


def in_place(rng: Generator) -> Case:
    """x + sin x; backward adds into its upstream gradient, and returns it."""

    def backward(g: Any, x: Any) -> Gradients:
        g += g * np.cos(x)
        return [g]

    return Case(lambda x: x + np.sin(x), backward, [rng.standard_normal(7)])


def absolute(rng: Generator) -> Case:
    """Sin x; backward takes its upstream gradient without its sign."""
    x = rng.standard_normal(7)
    return Case(np.sin, lambda g, x: [abs(g) * np.cos(x)], [x])


def said(passed: Any) -> str:
    return "pass" if passed else "fail"


def raises(check: Callable[[], Any]) -> str:
    """The verdict of a check that raises AssertionError."""
    try:
        check()
    except AssertionError:
        return "fail"
    return "pass"


def verdict_of(report: Any) -> str:
    return report.verdict if report.verdict in ("pass", "fail") else "cannot tell"


def with_handgrad(case: Case) -> Check:
    """`gradcheck` of a loss; `gradcheck_layer` of what returns an array."""
    if np.ndim(case.forward(*case.inputs)):
        return lambda seed: verdict_of(
            gradcheck_layer(
                lambda *p: (case.forward(*p), p),
                lambda g, p: case.backward(g, *p),
                case.inputs,
                seed=seed,
            )
        )
    return lambda seed: verdict_of(
        gradcheck(
            lambda p: case.forward(*p), case.inputs, lambda p: case.backward(1.0, *p), seed=seed
        )
    )


def as_function(case: Case) -> tuple[Any, list[torch.Tensor]]:
    """The case as a `torch.autograd.Function`, and its inputs."""

    class Wrapped(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, *inputs: torch.Tensor) -> torch.Tensor:
            ctx.save_for_backward(*inputs)
            return torch.as_tensor(case.forward(*(t.detach().numpy() for t in inputs)))

        @staticmethod
        def backward(ctx: Any, *g: Any) -> Any:
            found = case.backward(g[0].numpy(), *(t.detach().numpy() for t in ctx.saved_tensors))
            return tuple(map(torch.as_tensor, found))

    return Wrapped.apply, [torch.tensor(p, requires_grad=True) for p in case.inputs]


def with_torch(check: Any, apply: Any, inputs: Any, **options: Any) -> Check:
    def run(seed: int) -> str:
        torch.manual_seed(seed)
        return said(check(apply, inputs, raise_exception=False, **options))

    return run


def with_module(apply: Any, inputs: Any, **options: Any) -> Check:
    def check(seed: int) -> str:
        try:
            return verdict_of(gradcheck_module(apply, inputs, seed=seed, **options))
        except BadInput:
            return "refused"

    return check


def with_jax(case: Case) -> Check:
    import jax
    from jax import numpy as jnp

    def forward(*p: Any) -> Any:
        return jnp.asarray(case.forward(*map(np.asarray, p)))

    def backward(p: Any, g: Any) -> Any:
        return tuple(map(jnp.asarray, case.backward(np.asarray(g), *map(np.asarray, p))))

    function: Any = jax.custom_vjp(forward)
    function.defvjp(lambda *p: (forward(*p), p), backward)
    return jax_check(function, case.inputs)


def jax_check(function: Any, inputs: Any, order: int = 1, mode: str = "rev") -> Check:
    import jax
    from jax.test_util import check_grads

    args, check = tuple(map(jax.numpy.asarray, inputs)), cast(Any, check_grads)
    return lambda seed: raises(lambda: check(function, args, order, modes=[mode]))


def with_scipy(case: Case) -> Check:
    from scipy.optimize import check_grad

    shapes, ends = [p.shape for p in case.inputs], np.cumsum([p.size for p in case.inputs])[:-1]

    def split(flat: Any) -> list[Any]:
        return [p.reshape(s) for p, s in zip(np.split(flat, ends), shapes, strict=True)]

    def check(seed: int) -> str:
        shape = np.shape(case.forward(*case.inputs))
        c = np.random.default_rng(seed).standard_normal(shape) if shape else np.float64(1)

        def gradient(flat: Any) -> Any:
            return np.concatenate([np.ravel(g) for g in case.backward(c, *split(flat))])

        flat = np.concatenate([p.ravel() for p in case.inputs])
        error = check_grad(lambda flat: (c * case.forward(*split(flat))).sum(), gradient, flat)
        return said(error <= 1e-5 * max(1.0, float(np.linalg.norm(gradient(flat)))))

    return check


def with_autograd(case: Case) -> Check:
    from autograd.extend import defvjp_argnums, primitive

    def vjp(argnums: Any, _: Any, inputs: Any, __: Any) -> Any:
        def of(g: Any) -> Any:
            found = case.backward(g, *inputs)
            return tuple(found[k] for k in argnums)

        return of

    function = primitive(case.forward)
    defvjp_argnums(function, vjp)
    return autograd_check(function, case.inputs)


def autograd_check(function: Any, inputs: Any, order: int = 1, mode: str = "rev") -> Check:
    from autograd.test_util import check_grads

    every = tuple(range(len(inputs)))

    def check(seed: int) -> str:
        np.random.seed(seed)  # autograd draws from the global state
        return raises(lambda: check_grads(function, every, modes=[mode], order=order)(*inputs))

    return check


Checks = dict[str, Callable[[], Check]]
"""How each tool checks a case, made where it is asked for; a tool that is left out cannot."""


def checks_of(case: Case) -> Checks:
    apply, tensors = as_function(case)
    torchs = partial(with_torch, torch.autograd.gradcheck, apply, tensors)
    return {
        NUMPY: lambda: with_handgrad(case),
        MODULE: lambda: with_module(apply, tensors),
        SLOW: torchs,
        FAST: lambda: torchs(fast_mode=True),
        JAX: lambda: with_jax(case),
        SCIPY: lambda: with_scipy(case),
        AUTOGRAD: lambda: with_autograd(case),
    }


def cube(rng: Generator, held: str = "") -> Checks:
    """x³, whose backward is 3 g x². What it holds as a constant makes its own backward wrong."""
    inputs = [rng.standard_normal(7)]

    def backward(x: Any, g: Any, constant: Callable[[Any], Any]) -> Any:
        return 3 * (constant(g) if held == "g" else g) * (constant(x) if held == "x" else x) ** 2

    class Cube(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            ctx.save_for_backward(x)
            return x**3

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            return backward(ctx.saved_tensors[0], g, torch.Tensor.detach)

    def with_jax() -> Check:
        import jax

        function: Any = jax.custom_vjp(lambda x: x**3)
        function.defvjp(lambda x: (x**3, x), lambda x, g: (backward(x, g, jax.lax.stop_gradient),))
        return jax_check(function, inputs, order=2)

    def with_autograd() -> Check:
        from autograd.extend import defvjp, primitive
        from autograd.tracer import getval

        function = primitive(lambda x: x**3)
        defvjp(function, lambda _, x: lambda g: backward(x, g, getval))
        return autograd_check(function, inputs, order=2)

    apply, tensors = Cube.apply, [torch.tensor(p, requires_grad=True) for p in inputs]
    torchs = partial(with_torch, torch.autograd.gradgradcheck, apply, tensors)
    return {
        MODULE: lambda: with_module(apply, tensors, second=True),
        SLOW: torchs,
        FAST: lambda: torchs(fast_mode=True),
        JAX: with_jax,
        AUTOGRAD: with_autograd,
    }


def forward_mode(rng: Generator) -> Checks:
    """Sin x of 1,000 float32 numbers; its forward-mode derivative is multiplied by 0."""
    inputs = [rng.standard_normal(1000).astype(np.float32)]

    class Sine(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            ctx.save_for_forward(x)
            ctx.save_for_backward(x)
            return x.sin()

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            return g * ctx.saved_tensors[0].cos()

        @staticmethod
        def jvp(ctx: Any, t: Any) -> Any:
            return 0 * t * ctx.saved_tensors[0].cos()

    def with_jax() -> Check:
        import jax
        from jax import numpy as jnp

        function: Any = jax.custom_jvp(jnp.sin)
        function.defjvp(lambda p, t: (jnp.sin(p[0]), 0 * t[0] * jnp.cos(p[0])))
        return jax_check(function, inputs, mode="fwd")

    def with_autograd() -> Check:
        from autograd.extend import defjvp, primitive

        function = primitive(np.sin)
        defjvp(function, lambda t, _, x: 0 * t * np.cos(x))
        return autograd_check(function, inputs, mode="fwd")

    def with_layer(seed: int) -> str:
        def jvp(t: Any, x: Any) -> Any:
            return 0 * t * np.cos(x)

        layer = (lambda x: (np.sin(x), x)), (lambda g, x: g * np.cos(x))
        return verdict_of(gradcheck_layer(*layer, inputs, jvp=jvp, seed=seed))

    tensors = [torch.tensor(p, requires_grad=True) for p in inputs]
    torchs = partial(with_torch, torch.autograd.gradcheck, Sine.apply, tensors)
    torchs = partial(torchs, check_forward_ad=True, check_backward_ad=False)
    return {
        NUMPY: lambda: with_layer,
        MODULE: lambda: with_module(Sine.apply, tensors, forward_ad=True),
        SLOW: torchs,
        FAST: lambda: torchs(fast_mode=True),
        JAX: with_jax,
        AUTOGRAD: with_autograd,
    }


@dataclass(frozen=True)
class Row:
    """make: a draw's case; long: its draws for the tools that take long, if they must be fewer."""

    make: Callable[[Generator], Case | Checks]
    draws: int = EVERY
    long: int = EVERY
    without: tuple[str, ...] = ()


RIGHT = {
    "ReLU network, 33 parameters": Row(network),
    "ReLU network, 16,897": Row(partial(network, d=64, h=256), long=1),
    "ReLU at 0": Row(relu_at_zero),
    "max of a tie, ½ each": Row(tied_max),
    "float32 step inside": Row(float32_inside),
    "loss + 1e12": Row(partial(network, offset=1e12)),
    "loss × 1e-6": Row(partial(network, scale=1e-6)),
    "float32": Row(partial(network, dtype=np.float32)),
    "zero row, zero biases": Row(partial(network, padded=True)),
    "second derivatives of x³": Row(cube),
}
WRONG = {
    "sign, loss × 1e-6": Row(partial(network, scale=1e-6, spoil=signs_flipped)),
    "one of 16,384 entries is 0": Row(entry_zeroed, 5, 1),
    "a unit's column is 0": Row(partial(entry_zeroed, column=True), 2, 0),
    "0.1 % too large": Row(partial(network, spoil=too_large)),
    "last sample dropped": Row(partial(network, dropped=1), 10),
    "mask leaks 0.01": Row(partial(network, leak=0.01), 10),
    "× 0, 1,000 float32 outputs": Row(partial(sine, n=1000, dtype=np.float32, factor=0.0), 2),
    "the same in forward mode": Row(forward_mode, 2),
    "backward adds into its upstream gradient": Row(in_place, without=(JAX, SCIPY)),
    "backward takes its absolute value": Row(absolute),
    "second derivatives, x held": Row(partial(cube, held="x")),
    "second derivatives, upstream held": Row(partial(cube, held="g")),
}


def measured(row: Row, tool: str, draws: int) -> tuple[Counter[str], float]:
    """How often each verdict, and the median milliseconds of a check; nothing if it cannot."""
    verdicts, times = Counter[str](), []
    for draw in range(min(draws, row.draws, row.long if tool in TAKES_LONG else EVERY)):
        made = row.make(np.random.default_rng([7, draw]))
        checks = checks_of(made) if isinstance(made, Case) else made
        if tool not in checks or tool in row.without:
            break
        check = checks[tool]()
        began = perf_counter()
        verdicts[check(draw)] += 1
        times.append(1e3 * (perf_counter() - began))
    return verdicts, median(times) if times else 0.0


def cell(row: Row, wrong: bool, tool: str, draws: int) -> tuple[str, float]:
    """What a tool said, in how many draws where it is not always right, and its milliseconds."""
    try:
        verdicts, ms = measured(row, tool, draws)
    except ModuleNotFoundError:
        return "not installed", 0.0
    if not verdicts:
        return "–" if row.long else "not run", 0.0
    n, right, error = verdicts.total(), *(("fail", "missed") if wrong else ("pass", "false"))
    words = {"cannot tell": "unsure", "refused": "refused"}
    others = [
        words.get(v, error) + (f" {count}/{n}" if v not in words or count < n else "")
        for v, count in verdicts.most_common()
        if v != right
    ]
    return ", ".join(others) or "right", ms


def printed(title: str, cells: dict[str, list[str]]) -> None:
    """Print a table."""
    print(f"\n| {title} | {' | '.join(TOOLS)} |\n|---|{'---|' * len(TOOLS)}")
    for name, row in cells.items():
        print(f"| {name} | {' | '.join(row)} |")


def in_ms(ms: float) -> str:
    return f"{ms:,.0f}" if ms >= 10 else f"{ms:.2g}" if ms else "–"


def slower(times: dict[str, list[float]], *cases: str) -> tuple[float, float]:
    """How many times as long a check takes as JAX's, SciPy's and autograd's: least and most."""
    others = [TOOLS.index(tool) for tool in (JAX, SCIPY, AUTOGRAD)]
    ratios = [times[case][0] / times[case][k] for case in cases for k in others if times[case][k]]
    return min(ratios, default=0.0), max(ratios, default=0.0)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, default=20)
    draws = parser.parse_args().draws
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    os.environ["JAX_ENABLE_X64"] = "1"  # read when JAX is imported
    times: dict[str, list[float]] = {}
    for cases in (RIGHT, WRONG):
        said: dict[str, list[str]] = {}
        for name, row in track(cases.items(), "checking", console=Console(stderr=True)):
            found = [cell(row, cases is WRONG, tool, draws) for tool in TOOLS]
            said[name], times[name] = [text for text, _ in found], [ms for _, ms in found]
        printed("wrong gradients" if cases is WRONG else "right gradients", said)
    printed("milliseconds", {name: list(map(in_ms, row)) for name, row in times.items()})
    print("\nslower than JAX, SciPy, autograd:")
    print("{:.0f} to {:.0f} times on a small network".format(*slower(times, next(iter(RIGHT)))))
    print("up to {1:.0f} times on a kink".format(*slower(times, "ReLU at 0")))
    wrong = slower(times, "sign, loss × 1e-6", "last sample dropped")
    print("{:.0f} to {:.0f} times where a gradient is wrong".format(*wrong))


if __name__ == "__main__":
    main()
