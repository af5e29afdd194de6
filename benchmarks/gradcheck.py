"""How often is the gradient checker wrong, and how fast is it? Beside torch's own, in one run.

    python benchmarks/gradcheck.py [--draws 20] [--right-draws 20] [--only PART]

Correct code must never fail, wrong code must never pass, and no cause may be named that is not
there. Every draw is a fresh network with fresh data and fresh directions. JAX and SciPy stand in
the first table where they are installed. At the end a row sums up each part. The part "float32" is
run only where it is asked for: right code in float32 that refuses float64.
"""

import argparse
import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import pairwise
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.progress import track
from rich.table import Table
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from handgrad.checker import Report, Stack, gradcheck
from handgrad.mistakes import CATALOGUE, Mistake, backward

Params = dict[str, Tensor]
Loss = Callable[[Params], Tensor]
Network = tuple[Params, Loss, Callable[[Params], dict[str, Tensor]] | None]


class Draw:
    """Data and parameters of one dtype."""

    def __init__(self, *seed: int, dtype: torch.dtype = torch.float64) -> None:
        self.rng, self.dtype = np.random.default_rng(seed), dtype

    def data(self, *shape: int) -> Tensor:
        return torch.tensor(self.rng.standard_normal(shape), dtype=self.dtype)

    def parameter(self, *shape: int, fan_in: int = 1) -> Tensor:
        return (self.data(*shape) * math.sqrt(2 / fan_in)).requires_grad_()


def two_layers(draw: Draw, d: int, h: int, zero: bool = False) -> Network:
    """d inputs, h units, squared loss; with zero biases and a padded row where `zero`."""
    x, y = draw.data(64, d), draw.data(64, 1)
    p = {"W1": draw.parameter(h, d, fan_in=d), "W2": draw.parameter(1, h, fan_in=h)}
    p |= {"b1": draw.parameter(h, fan_in=200), "b2": draw.parameter(1, fan_in=200)}
    if zero:
        x[0] = 0
        p |= {"b1": torch.zeros(h, dtype=draw.dtype), "b2": torch.zeros(1, dtype=draw.dtype)}
        p = {name: t.detach().requires_grad_() for name, t in p.items()}

    def activations(p: Params) -> dict[str, Tensor]:
        return {"a1": (x @ p["W1"].T + p["b1"]).detach()}

    def loss(p: Params) -> Tensor:
        f = torch.relu(x @ p["W1"].T + p["b1"]) @ p["W2"].T + p["b2"]
        return 0.5 * ((f - y) ** 2).mean()

    return p, loss, activations


def softmax_network(draw: Draw) -> Network:
    """Four affine layers with ReLU between them, cross entropy over ten classes."""
    widths = (16, 32, 32, 32, 10)
    x = draw.data(64, 16)
    y = torch.tensor(draw.rng.integers(0, 10, 64))
    p = {}
    for k, (n_in, n_out) in enumerate(pairwise(widths), 1):
        p[f"W{k}"] = draw.parameter(n_out, n_in, fan_in=n_in)
        p[f"b{k}"] = draw.parameter(n_out, fan_in=200)

    def layers(p: Params) -> list[Tensor]:
        h, made = x, []
        for k in range(1, 5):
            made.append(h @ p[f"W{k}"].T + p[f"b{k}"])
            h = torch.relu(made[-1])
        return made

    def activations(p: Params) -> dict[str, Tensor]:
        return {f"a{k}": a.detach() for k, a in enumerate(layers(p)[:-1], 1)}

    return p, lambda p: F.cross_entropy(layers(p)[-1], y), activations


def layer_norm(draw: Draw) -> Network:
    x, w = draw.data(8, 12), draw.data(8, 12)
    p = {"x": x.requires_grad_(), "gain": draw.parameter(12), "bias": draw.parameter(12)}
    return p, lambda p: (w * F.layer_norm(p["x"], (12,), p["gain"], p["bias"])).sum(), None


def attention(draw: Draw) -> Network:
    w = draw.data(6, 8)
    p = {name: draw.parameter(6, 8) for name in ("q", "k", "v")}

    def loss(p: Params) -> Tensor:
        return (w * (torch.softmax(p["q"] @ p["k"].T / math.sqrt(8), dim=1) @ p["v"])).sum()

    return p, loss, None


def rnn(draw: Draw) -> Network:
    x, y = draw.data(7, 5, 3), draw.data(5, 1)
    p = {"U": draw.parameter(6, 3, fan_in=3), "W": draw.parameter(6, 6, fan_in=6)}
    p |= {"b": draw.parameter(6, fan_in=50), "V": draw.parameter(1, 6, fan_in=6)}

    def loss(p: Params) -> Tensor:
        h = torch.zeros(5, 6, dtype=draw.dtype)
        for step in x:
            h = torch.tanh(step @ p["U"].T + h @ p["W"].T + p["b"])
        return 0.5 * ((h @ p["V"].T - y) ** 2).mean()

    return p, loss, None


def narrow_softmax(draw: Draw) -> Network:
    """Attention whose softmax is computed in float32."""
    w, x = draw.data(6, 8), draw.data(6, 8)
    p = {name: draw.parameter(8, 8, fan_in=8) for name in ("q", "k")}

    def loss(p: Params) -> Tensor:
        scores = ((x @ p["q"]) @ (x @ p["k"]).T / math.sqrt(8)).float()
        return (w * (torch.softmax(scores, dim=1).double() @ x)).sum()

    return p, loss, None


def cast_loss(draw: Draw) -> Network:
    """A loss that is cast to float32 at its end."""
    p, loss, _ = rnn(draw)
    return p, lambda p: loss(p).float().double(), None


def through_complex(draw: Draw) -> Network:
    """A spectrum: real and imaginary parts of one parameter."""
    w = draw.data(5)
    p = {"re": draw.parameter(8), "im": draw.parameter(8)}

    def loss(p: Params) -> Tensor:
        z = torch.fft.fft(torch.complex(p["re"], p["im"]))[:5]
        return (w * (z.abs().square() + 1).log()).sum()

    return p, loss, None


def tied(draw: Draw) -> Network:
    """A maximum over equal numbers, and ReLUs at 0: the given point is a kink."""
    x = draw.data(9)
    x[[1, 4, 5]], x[[0, 7]] = 3.0, 0.0
    c = draw.data(3)

    def loss(p: Params) -> Tensor:
        x = p["x"]
        return c[0] * x.amax() + c[1] * torch.relu(x).sum() + c[2] * (x**2).mean()

    return {"x": x.requires_grad_()}, loss, None


NETWORKS: dict[str, Callable[[Draw], Network]] = {
    "two layers, small": lambda draw: two_layers(draw, 2, 4),
    "two layers, zero-padded": lambda draw: two_layers(draw, 2, 4, zero=True),
    "two layers, 16,897": lambda draw: two_layers(draw, 64, 256),
    "softmax, 4 layers": softmax_network,
    "layer norm": layer_norm,
    "attention": attention,
    "RNN": rnn,
    "float32 softmax inside": narrow_softmax,
    "loss cast to float32": cast_loss,
    "complex spectrum": through_complex,
    "max of a tie, ReLU at 0": tied,
}
COARSE = {"float32 softmax inside", "loss cast to float32"}
"""They have no float64 reference, and a mistake of 1e-4 is below what can be told."""


def autograd(loss: Loss) -> Callable[[Params], dict[str, Tensor]]:
    def grads(p: Params) -> dict[str, Tensor]:
        return dict(zip(p, torch.autograd.grad(loss(p), list(p.values())), strict=True))

    return grads


class InFloat32(TorchFunctionMode):
    """Every operation gets its float64 tensors as float32: the same program in another dtype."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        def cast(a: Any) -> Any:
            return a.float() if isinstance(a, Tensor) and a.dtype == torch.float64 else a

        return func(*map(cast, args), **(kwargs or {}))


def in_float32(loss: Loss) -> Loss:
    def low(p: Params) -> Tensor:
        with InFloat32():
            return loss(p)

    return low


def refusing(loss: Loss) -> Loss:
    """The loss, which takes no float64."""

    def low(p: Params) -> Tensor:
        if any(t.dtype != torch.float32 for t in p.values()):
            raise TypeError("float32 alone")
        return loss(p)

    return low


WAYS = ("with activations", "black box", "float32 with a reference", "float32 alone")


def right_draw(task: tuple[str, str, int]) -> str:
    """The verdict on one right network."""
    name, way, draw = task
    params, loss, activations = NETWORKS[name](Draw(1, draw))
    if way == WAYS[0]:
        return gradcheck(loss, params, autograd(loss), activations=activations, seed=draw).verdict
    if way == WAYS[1]:
        return gradcheck(loss, params, autograd(loss), seed=draw).verdict
    if way == WAYS[3]:
        params, loss, _ = NETWORKS[name](Draw(1, draw, dtype=torch.float32))
        return gradcheck(loss, params, autograd(loss), seed=draw).verdict
    low = in_float32(loss)
    params = {n: p.detach().float().requires_grad_() for n, p in params.items()}
    return gradcheck(
        low, params, autograd(low), reference=loss, activations=activations, seed=draw
    ).verdict


def narrow_draw(task: tuple[str, int]) -> str:
    """The verdict on one right network in float32, which knows no float64."""
    name, draw = task
    params, loss, _ = NETWORKS[name](Draw(1, draw, dtype=torch.float32))
    return gradcheck(refusing(loss), params, autograd(loss), seed=draw).verdict


def narrow(draws: int) -> None:
    """Print verdicts on them, on the small network and on the large one."""
    for name, parameters in (("two layers, small", "17"), ("two layers, 16,897", "16,897")):
        found = Counter(spread(narrow_draw, [(name, draw) for draw in range(draws)], name))
        unsure = found.total() - found["pass"] - found["fail"]
        print(f"{parameters} parameters: {unsure} of {draws} inconclusive, {found['fail']} fail")


def right(draws: int) -> tuple[Table, Counter[str]]:
    """Verdicts on correct gradients, and all of them counted."""
    titles = ("correct code", "given", "draws", "pass", "fail", "inconclusive")
    table, every = Table(*titles, title="Right"), Counter[str]()
    for name, make in NETWORKS.items():
        smooth = make(Draw(0))[2] is None
        for way in WAYS[smooth:]:
            if name in COARSE and way != WAYS[1]:
                continue
            tasks = [(name, way, draw) for draw in range(draws)]
            found = Counter(spread(right_draw, tasks, f"{name}, {way}"))
            every += found
            table.add_row(name, way, *counted(found))
    table.add_row("all", "", *counted(every))
    return table, every


def counted(found: Counter[str]) -> tuple[str, ...]:
    rest = found.total() - found["pass"] - found["fail"]
    return tuple(map(str, (found.total(), found["pass"], found["fail"], rest)))


STACKS = {"small": (2, 5, 1), "large": (64, 256, 1), "deep": (16, 32, 32, 32, 1)}

OUTSIDE = [
    Mistake(name, line, "", "")
    for name, line in (
        ("a unit's path cut", "da = dh * (a > 0) * (np.arange(a.shape[1]) != 1)"),
        ("a sample's path cut", "da = dh * (a > 0) * (np.arange(len(a)) != 3)[:, None]"),
        ("a weight's path cut", "dh = da @ (W * (np.arange(W.size).reshape(W.shape) != 1))"),
        ("an input's path cut", "dW = da.T @ (h * (np.arange(h.shape[1]) != 1))"),
        ("mask leaks 0.01", "da = dh * np.where(a > 0, 1.0, 0.01)"),
        ("mask is a sigmoid", "da = dh / (1 + np.exp(-a))"),
        ("mask of a > 0.1", "da = dh * (a > 0.1)"),
        ("mean over units removed", "da = dh * (a > 0) - dh.mean(axis=1, keepdims=True)"),
        ("the weights' signs", "dh = da @ np.sign(W)"),
        ("absolute loss", "df = np.sign(f - y) / len(f)"),
        ("residual clipped", "df = np.clip(f - y, -1, 1) / len(f)"),
        ("weight decay", "dW = da.T @ h + 0.01 * W"),
        ("one entry zero", "dW = da.T @ h * (np.arange(W.size).reshape(W.shape) != 1)"),
        ("one entry's sign", "dW = da.T @ h * (1 - 2 * (np.arange(W.size) == 1)).reshape(W.shape)"),
        (
            "one entry + 10 %",
            "dW = da.T @ h * (1 + (np.arange(W.size) == 1) / 10).reshape(W.shape)",
        ),
        ("two: columns rolled, sign", "dW = -np.roll(da.T @ h, 1, axis=1)"),
        ("two: mask left out, doubled", "da = 2 * dh"),
        ("two: sign, last sample", "dh = -(da * (np.arange(len(da)) < len(da) - 1)[:, None]) @ W"),
    )
]


def wrong_draw(task: tuple[Mistake, str, int]) -> tuple[str, str]:
    """The verdict on one wrong network with its structure, and what was named."""
    mistake, size, draw = task
    widths = STACKS[size]
    rng = np.random.default_rng((2, draw))
    x, y = rng.standard_normal((60, widths[0])), rng.standard_normal((60, 1))
    Ws = [rng.standard_normal((n, m)) * math.sqrt(2 / m) for m, n in pairwise(widths)]
    bs = [0.1 * rng.standard_normal(n) for n in widths[1:]]
    names = [[f"{kind}{k}" for k in range(1, len(widths))] for kind in "Wb"]
    stack = Stack(names[0], names[1], x, y)
    layer = int(rng.choice(mistake.layers(len(Ws))))
    using = mistake.backward(layer, lr=0.37, batch_size=77)

    def spread_out(parts: Any) -> dict[str, Any]:
        return dict(zip(names[0] + names[1], [*parts[0], *parts[1]], strict=True))

    def grads(p: Any, using: Any = using) -> Any:
        return spread_out(using([p[n] for n in names[0]], [p[n] for n in names[1]], x, y))

    params = spread_out((Ws, bs))
    try:
        grads(params)  # some go wrong from the second call on
        made, true = grads(params), grads(params, backward)
        if all(np.allclose(made[n], true[n], rtol=1e-9, atol=1e-12) for n in params):
            return "equivalent", ""
        report = gradcheck(stack.loss, params, grads, structure=stack, seed=draw)
    except (ValueError, IndexError, TypeError):  # NumPy refuses, or the checker: a `BadInput`
        return "refused", ""
    causes = {p.cause for p in report.parameters.values()} - {None}
    if not causes:
        return report.verdict, "unknown"
    # A cause that needs no structure says only what it did: the gradients show that it is true.
    said = any(mistake.sentence in c for c in causes if c and mistake.sentence)
    return report.verdict, "right" if said else f"other: {next(iter(causes))}"


def wrong(
    draws: int, mistakes: Sequence[Mistake], title: str
) -> tuple[Table, Counter[str], Counter[str]]:
    """Verdicts on stacks with one wrong line, all counted, and how often the line was named."""
    titles = ("mistake", "tried", "fail", "pass", "inconclusive", "refused")
    table = Table(*titles, "named", "unknown", "named otherwise", title=title)
    tasks = [(m, size, draw) for m in mistakes for size in STACKS for draw in range(draws)]
    results = list(zip(tasks, spread(wrong_draw, tasks, title), strict=True))
    for name in [*(m.name for m in mistakes), "all"]:
        found = [r for (m, *_), r in results if name in (m.name, "all") and r[0] != "equivalent"]
        verdicts, said = Counter(v for v, _ in found), Counter(s for _, s in found)
        others = [f"{n} × {text[7:60]}" for text, n in said.items() if text.startswith("other")]
        counts = (len(found), *(verdicts[v] for v in ("fail", "pass", "inconclusive", "refused")))
        table.add_row(
            name,
            *map(str, (*counts, said["right"], said["unknown"])),
            "; ".join(others) if name != "all" else str(sum(int(o.split()[0]) for o in others)),
        )
    return table, verdicts, said


def _entry(g: Tensor, rng: np.random.Generator, factor: float) -> Tensor:
    g = g.clone()
    g.view(-1)[int(rng.integers(g.numel()))] *= factor
    return g


MISTAKES: dict[str, Callable[[Tensor, np.random.Generator], Tensor]] = {
    "sign": lambda g, rng: -g,
    "doubled": lambda g, rng: 2 * g,
    "halved": lambda g, rng: g / 2,
    "64 times": lambda g, rng: 64 * g,
    "64th": lambda g, rng: g / 64,
    "0.1 % too large": lambda g, rng: 1.001 * g,
    "zero": lambda g, rng: 0 * g,
    "rolled": lambda g, rng: g.roll(1, 0),
    "transposed": lambda g, rng: g.T.reshape(g.shape) if g.ndim == 2 else g.flip(0),
    "one entry zero": lambda g, rng: _entry(g, rng, 0.0),
    "one entry + 10 %": lambda g, rng: _entry(g, rng, 1.1),
    "one entry's sign": lambda g, rng: _entry(g, rng, -1.0),
    "first row zero": lambda g, rng: torch.cat([0 * g[:1], g[1:]]),
    "mean taken away": lambda g, rng: g - g.mean(),
    "clipped": lambda g, rng: g.clamp(-0.5 * float(g.abs().max()), 0.5 * float(g.abs().max())),
    "noise of 1e-4": lambda g, rng: g * (1 + 1e-4 * torch.tensor(rng.standard_normal(g.shape))),
}


def spoilt(loss: Loss, which: str, spoil: Any, seed: int) -> Callable[[Params], dict[str, Tensor]]:
    """Autograd's gradients with one parameter's spoilt, in the same way at every call."""

    def grads(p: Params) -> dict[str, Tensor]:
        g = autograd(loss)(p)
        return {**g, which: spoil(g[which], np.random.default_rng(seed))}

    return grads


def spoilt_draw(task: tuple[str, str, int]) -> str:
    """The verdict on any network with one parameter's gradient spoilt."""
    mistake, name, draw = task
    drawn = Draw(3, draw)
    params, loss, activations = NETWORKS[name](drawn)
    rng = drawn.rng
    which = list(params)[int(rng.integers(len(params)))]
    grads = spoilt(loss, which, MISTAKES[mistake], int(rng.integers(2**32)))
    true = autograd(loss)(params)[which]
    size = 1e-12 * float(true.abs().max())
    if torch.allclose(grads(params)[which], true, rtol=1e-9, atol=size):
        return "equivalent"
    return gradcheck(loss, params, grads, activations=activations, seed=draw).verdict


def wrong_elsewhere(draws: int) -> tuple[Table, Counter[str]]:
    """Verdicts on all the networks, without their structure, and all of them counted."""
    titles = ("mistake", "tried", "pass", "fail", "inconclusive")
    table, every = Table(*titles, title="Wrong, any network, no structure given"), Counter[str]()
    for mistake in MISTAKES:
        names = NETWORKS.keys() - COARSE
        tasks = [(mistake, name, draw) for name in sorted(names) for draw in range(draws)]
        found = Counter(spread(spoilt_draw, tasks, mistake))
        del found["equivalent"]
        every += found
        table.add_row(mistake, *counted(found))
    return table, every


def spread(work: Callable[[Any], Any], tasks: Sequence[Any], title: str) -> Iterable[Any]:
    """The results in order, from a process a core."""
    with ProcessPoolExecutor(initializer=torch.set_num_threads, initargs=(1,)) as pool:
        done = pool.map(work, tasks, chunksize=max(1, min(20, len(tasks) // 8)))
        yield from track(done, title, len(tasks), console=Console(stderr=True))


def beside_others() -> Table:
    """Time and evaluations on the large network, right and with one entry zero."""
    params, loss, activations = two_layers(Draw(0), 64, 256)
    names = list(params)

    def ours(grads: Any, points: int) -> Report:
        return gradcheck(loss, params, grads, activations=activations, points=points)

    def entry_zero(p: Params) -> dict[str, Tensor]:
        g = autograd(loss)(p)
        g["W1"] = g["W1"].clone()
        g["W1"][100, 17] = 0
        return g

    class WithEntryZero(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, *values: Tensor) -> Tensor:
            ctx.save_for_backward(*values)
            return loss(dict(zip(names, values, strict=True)))

        @staticmethod
        def backward(ctx: Any, *dL: Any) -> Any:
            leaves = [t.detach().requires_grad_() for t in ctx.saved_tensors]
            with torch.enable_grad():
                g = entry_zero(dict(zip(names, leaves, strict=True)))
            return tuple(dL[0] * g[name] for name in names)

    def torchs(function: Any, fast: bool) -> bool:
        leaves = tuple(params.values())
        torch_check: Any = torch.autograd.gradcheck
        return bool(torch_check(function, leaves, fast_mode=fast, raise_exception=False))

    def plain(*values: Tensor) -> Tensor:
        return loss(dict(zip(names, values, strict=True)))

    def milliseconds(work: Callable[[], Any], rounds: int) -> float:
        times = []
        for _ in range(rounds):
            began = perf_counter()
            work()
            times.append(perf_counter() - began)
        return 1e3 * median(times)

    apply: Any = WithEntryZero.apply
    titles = ("16,897 parameters", "right", "verdict", "one entry zero", "verdict")
    table = Table(*titles, title="Beside others")

    def row(name: str, right: Callable[[], str], wrong: Callable[[], str], rounds: int) -> None:
        times = (f"{milliseconds(check, rounds):.1f} ms" for check in (right, wrong))
        table.add_row(name, next(times), right(), next(times), wrong())

    at_entry = gradcheck(loss, params, entry_zero, activations=activations, points=1, seed=0)

    def say(passed: bool) -> str:
        return "pass" if passed else "fail, entry not named"

    row(
        "handgrad",
        lambda: ours(autograd(loss), 1).verdict,
        lambda: f"fail, {ours(entry_zero, 1)['W1'].where}",
        9,
    )
    row("torch, fast", lambda: say(torchs(plain, True)), lambda: say(torchs(apply, True)), 9)
    row("torch, slow", lambda: say(torchs(plain, False)), lambda: say(torchs(apply, False)), 1)
    three = milliseconds(lambda: ours(autograd(loss), 3), 9) / 3
    table.add_row("handgrad, a point of 3", f"{three:.1f} ms", "pass", "", "")
    for peer in (beside_jax, beside_scipy):
        try:
            peer(row, say)
        except ImportError as missing:
            table.add_row(str(missing), "", "", "", "")
    table.caption = f"one entry of 16,384 is found in {at_entry.evaluations} evaluations"
    return table


def as_numpy() -> tuple[list[np.ndarray], np.ndarray, np.ndarray]:
    """The large network's W1, W2, b1, b2, and its x and y."""
    params, _, _ = two_layers(Draw(0), 64, 256)
    draw = Draw(0)  # x and y are what is drawn first
    x, y = draw.data(64, 64).numpy(), draw.data(64, 1).numpy()
    return [p.detach().numpy() for p in params.values()], x, y


def beside_jax(row: Any, say: Callable[[bool], str]) -> None:
    """`jax.test_util.check_grads` in reverse mode, in float64, with its own tolerances."""
    import jax
    import jax.numpy as jnp
    from jax.test_util import check_grads

    jax.config.update("jax_enable_x64", True)
    given, x, y = as_numpy()

    def mean_square(W1: Any, W2: Any, b1: Any, b2: Any) -> Any:
        return 0.5 * ((jax.nn.relu(x @ W1.T + b1) @ W2.T + b2 - y) ** 2).mean()

    loss = jax.jit(mean_square)
    spoilt = jax.custom_vjp(loss)

    def backward(saved: Any, dL: Any) -> Any:
        dW1, *others = (dL * g for g in jax.grad(loss, (0, 1, 2, 3))(*saved))
        return (dW1.at[100, 17].set(0), *others)

    spoilt.defvjp(lambda *p: (loss(*p), p), backward)

    def check(function: Any) -> str:
        try:
            check_grads(function, tuple(map(jnp.asarray, given)), order=1, modes=["rev"])
        except AssertionError:
            return say(False)
        return say(True)

    row("JAX, rev", lambda: check(loss), lambda: check(spoilt), 3)


def beside_scipy(row: Any, say: Callable[[bool], str]) -> None:
    """`scipy.optimize.check_grad`, which returns the error's norm and no verdict."""
    from scipy.optimize import check_grad

    given, x, y = as_numpy()
    ends = np.cumsum([p.size for p in given])

    def split(flat: np.ndarray) -> Any:
        parts = np.split(flat, ends[:-1])
        W1, W2, b1, b2 = (v.reshape(p.shape) for v, p in zip(parts, given, strict=True))
        return [W1, W2], [b1, b2]

    def loss(flat: np.ndarray) -> float:
        (W1, W2), (b1, b2) = split(flat)
        return float(0.5 * ((np.maximum(x @ W1.T + b1, 0) @ W2.T + b2 - y) ** 2).mean())

    def gradient(flat: np.ndarray, spoilt: bool = False) -> np.ndarray:
        Ws, bs = split(flat)
        dWs, dbs = backward(Ws, bs, x, y)
        if spoilt:
            dWs[0][100, 17] = 0
        return np.concatenate([g.ravel() for g in (*dWs, *dbs)])

    flat = np.concatenate([p.ravel() for p in given])
    row(
        "SciPy",
        lambda: f"error {check_grad(loss, gradient, flat):.0e}",
        lambda: f"error {check_grad(loss, lambda p: gradient(p, True), flat):.0e}",
        1,
    )


RIGHT = (
    "right: two layers, zero-padded, softmax, layer norm, attention, RNN, a complex spectrum, "
    "ties; with activations, without, in float32 with a reference and alone; "
    "float32 steps inside"
)
SUMS = {
    "catalogue": "wrong, the catalogue's lines in stacks of 2 to 5 layers",
    "outside": "wrong, lines outside the catalogue",
    "elsewhere": "wrong, one gradient of any of these networks spoilt in one of 16 ways",
    "right": RIGHT,
}


def summed(part: str, found: Counter[str]) -> str:
    """A row of the table at the end."""
    rest = found.total() - found["pass"] - found["fail"] - found["refused"]
    counts = (found.total(), found["pass"], found["fail"], rest, found["refused"])
    return f"| {SUMS[part]} | {' | '.join(f'{n:,}' for n in counts)} |"


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, default=20, help="of wrong code")
    parser.add_argument("--right-draws", type=int, default=20, help="of right code")
    parser.add_argument("--only", choices=("others", *SUMS, "float32"), help="one part")
    options = parser.parse_args()
    draws, only = options.draws, options.only
    torch.set_num_threads(1)
    console, sums, named = Console(width=160), [], []
    if only in (None, "others"):
        console.print(beside_others())
    if only == "float32":
        narrow(options.right_draws)
    for part, mistakes, title in (
        ("catalogue", list(CATALOGUE.values()), "The catalogue's, structure given"),
        ("outside", OUTSIDE, "Outside the catalogue, structure given"),
    ):
        if only in (None, part):
            table, found, said = wrong(draws, mistakes, title)
            console.print(table)
            sums.append(summed(part, found))
            if part == "catalogue":
                named.append(f"{said['right']} of the {found['fail']} that fail are named as there")
    for part, check, n in (
        ("elsewhere", wrong_elsewhere, draws),
        ("right", right, options.right_draws),
    ):
        if only in (None, part):
            table, found = check(n)
            console.print(table)
            sums.append(summed(part, found))
    if sums:
        print("| | draws | pass | fail | inconclusive | refused |\n|---|---|---|---|---|---|")
        print(*sums, *named, sep="\n")


if __name__ == "__main__":
    main()
