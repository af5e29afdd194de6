"""How often is the gradient checker wrong, and how fast is it? Beside torch's own, in one run.

    python benchmarks/gradcheck.py [--draws 200]

Correct code must never fail, wrong code must never pass. Every draw is a fresh network with fresh
data and fresh directions; gradients come from autograd in float64, mistakes are put into them.
"""

import argparse
import math
from collections.abc import Callable
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

from handgrad.gradcheck import Report, gradcheck

Params = dict[str, Tensor]
Loss = Callable[[Params], Tensor]
Network = tuple[Params, Loss, Callable[[Params], dict[str, Tensor]] | None]


def normal(rng: np.random.Generator, *shape: int, fan_in: int = 1) -> Tensor:
    return torch.tensor(rng.standard_normal(shape) * math.sqrt(2 / fan_in)).requires_grad_()


def two_layers(rng: np.random.Generator, d: int, h: int, zero: bool = False) -> Network:
    """d inputs, h units, squared loss; with zero biases and a padded row where `zero`."""
    x, y = torch.tensor(rng.standard_normal((64, d))), torch.tensor(rng.standard_normal((64, 1)))
    p = {"W1": normal(rng, h, d, fan_in=d), "W2": normal(rng, 1, h, fan_in=h)}
    p |= {"b1": normal(rng, h, fan_in=200), "b2": normal(rng, 1, fan_in=200)}
    if zero:
        x[0] = 0
        p |= {"b1": torch.zeros(h, dtype=torch.float64), "b2": torch.zeros(1, dtype=torch.float64)}
        p = {name: t.detach().requires_grad_() for name, t in p.items()}

    def activations(p: Params) -> dict[str, Tensor]:
        return {"a1": (x @ p["W1"].T + p["b1"]).detach()}

    def loss(p: Params) -> Tensor:
        f = torch.relu(x @ p["W1"].T + p["b1"]) @ p["W2"].T + p["b2"]
        return 0.5 * ((f - y) ** 2).mean()

    return p, loss, activations


def softmax_network(rng: np.random.Generator) -> Network:
    """Four affine layers with ReLU between them, cross entropy over ten classes."""
    widths = (16, 32, 32, 32, 10)
    x = torch.tensor(rng.standard_normal((64, 16)))
    y = torch.tensor(rng.integers(0, 10, 64))
    p = {}
    for k, (n_in, n_out) in enumerate(pairwise(widths), 1):
        p[f"W{k}"] = normal(rng, n_out, n_in, fan_in=n_in)
        p[f"b{k}"] = normal(rng, n_out, fan_in=200)

    def layers(p: Params) -> list[Tensor]:
        h, made = x, []
        for k in range(1, 5):
            made.append(h @ p[f"W{k}"].T + p[f"b{k}"])
            h = torch.relu(made[-1])
        return made

    def activations(p: Params) -> dict[str, Tensor]:
        return {f"a{k}": a.detach() for k, a in enumerate(layers(p)[:-1], 1)}

    return p, lambda p: F.cross_entropy(layers(p)[-1], y), activations


def layer_norm(rng: np.random.Generator) -> Network:
    x, w = torch.tensor(rng.standard_normal((8, 12))), torch.tensor(rng.standard_normal((8, 12)))
    p = {"x": x.requires_grad_(), "gain": normal(rng, 12), "bias": normal(rng, 12)}
    return p, lambda p: (w * F.layer_norm(p["x"], (12,), p["gain"], p["bias"])).sum(), None


def attention(rng: np.random.Generator) -> Network:
    w = torch.tensor(rng.standard_normal((6, 8)))
    p = {name: normal(rng, 6, 8) for name in ("q", "k", "v")}

    def loss(p: Params) -> Tensor:
        return (w * (torch.softmax(p["q"] @ p["k"].T / math.sqrt(8), dim=1) @ p["v"])).sum()

    return p, loss, None


def rnn(rng: np.random.Generator) -> Network:
    x, y = torch.tensor(rng.standard_normal((7, 5, 3))), torch.tensor(rng.standard_normal((5, 1)))
    p = {"U": normal(rng, 6, 3, fan_in=3), "W": normal(rng, 6, 6, fan_in=6)}
    p |= {"b": normal(rng, 6, fan_in=50), "V": normal(rng, 1, 6, fan_in=6)}

    def loss(p: Params) -> Tensor:
        h = torch.zeros(5, 6, dtype=torch.float64)
        for step in x:
            h = torch.tanh(step @ p["U"].T + h @ p["W"].T + p["b"])
        return 0.5 * ((h @ p["V"].T - y) ** 2).mean()

    return p, loss, None


NETWORKS: dict[str, Callable[[np.random.Generator], Network]] = {
    "two layers, small": lambda rng: two_layers(rng, 2, 4),
    "two layers, zero-padded": lambda rng: two_layers(rng, 2, 4, zero=True),
    "two layers, 16,897": lambda rng: two_layers(rng, 64, 256),
    "softmax, 4 layers": softmax_network,
    "layer norm": layer_norm,
    "attention": attention,
    "RNN": rnn,
}


def autograd(loss: Loss) -> Callable[[Params], dict[str, Tensor]]:
    def grads(p: Params) -> dict[str, Tensor]:
        return dict(zip(p, torch.autograd.grad(loss(p), list(p.values())), strict=True))

    return grads


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


def check(network: Network, grads: Any, with_activations: bool = True) -> Report:
    params, loss, activations = network
    use = activations if with_activations else None
    return gradcheck(loss, params, grads, activations=use)


def right(draws: int) -> Table:
    """Verdicts on correct gradients."""
    table = Table(
        "correct code", "activations", "draws", "pass", "fail", "inconclusive", title="Right"
    )
    for name, make in NETWORKS.items():
        for use in (True, False):
            found = []
            for draw in track(range(draws), f"right: {name}", console=Console(stderr=True)):
                network = make(np.random.default_rng((1, draw)))
                if use and network[2] is None:
                    break
                found.append(check(network, autograd(network[1]), use).verdict)
            if found:
                counts = [found.count(v) for v in ("pass", "fail")]
                rest = len(found) - sum(counts)
                table.add_row(name, "yes" if use else "no", *map(str, (len(found), *counts, rest)))
    return table


def wrong(draws: int) -> Table:
    """Verdicts on gradients with one mistake in one parameter."""
    table = Table("mistake", "tried", "fail", "pass", "inconclusive", "named", title="Wrong")
    for mistake, spoil in track(MISTAKES.items(), "wrong", console=Console(stderr=True)):
        verdicts, named = [], 0
        for name, make in NETWORKS.items():
            for draw in range(draws if "16,897" not in name else max(1, draws // 10)):
                rng = np.random.default_rng((2, draw))
                network = make(rng)
                names = list(network[0])
                which = names[int(rng.integers(len(names)))]
                seed = int(rng.integers(2**32))

                grads = spoilt(network[1], which, spoil, seed)
                true = autograd(network[1])(network[0])[which]
                if torch.allclose(grads(network[0])[which], true, rtol=1e-9, atol=0):
                    continue  # on this draw the mistake changes nothing
                report = check(network, grads)
                verdicts.append(report.verdict)
                named += report[which].cause is not None
        counts = [verdicts.count(v) for v in ("fail", "pass")]
        rest = len(verdicts) - sum(counts)
        table.add_row(mistake, *map(str, (len(verdicts), *counts, rest, named)))
    return table


def beside_torch() -> Table:
    """Time and evaluations on the large network, right and with one entry zero."""
    params, loss, activations = two_layers(np.random.default_rng(0), 64, 256)
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
    table = Table(
        "16,897 parameters",
        "right: ms",
        "one entry zero: ms",
        "verdict on it",
        title="Beside torch",
    )
    table.add_row(
        "handgrad, a point",
        f"{milliseconds(lambda: ours(autograd(loss), 3), 7) / 3:.1f}",
        f"{milliseconds(lambda: ours(entry_zero, 1), 7):.1f}",
        str(ours(entry_zero, 1)["W1"].where),
    )
    for title, fast in (("torch, fast mode", True), ("torch, slow mode", False)):
        rounds = 7 if fast else 1
        verdict = "pass" if torchs(apply, fast) else "fail, entry not named"
        table.add_row(
            title,
            f"{milliseconds(lambda: torchs(plain, fast), rounds):.1f}",  # noqa: B023
            f"{milliseconds(lambda: torchs(apply, fast), rounds):.1f}",  # noqa: B023
            verdict,
        )
    return table


def main() -> None:
    """Print three tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, default=20)
    draws = parser.parse_args().draws
    torch.set_num_threads(1)
    console = Console()
    console.print(right(draws))
    console.print(wrong(draws))
    console.print(beside_torch())


if __name__ == "__main__":
    main()
