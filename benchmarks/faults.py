"""Who sees the wrong gradients that public libraries shipped? Torch's checks, JAX's, SciPy's, ours.

    python benchmarks/faults.py [--seeds 3]

The faults are those of `tests/test_shipped_bugs.py`, at the input that shows them, each check with
its own tolerances. JAX and SciPy need a forward and a backward pass of plain arrays; JAX stands in
the table where it is installed. SciPy gives an error and no verdict: above 1e-5 of the gradient
counts as seen.
"""

import argparse
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.optimize import check_grad

from handgrad import gradcheck_module

sys.path.append(str(Path(__file__).parent.parent / "tests"))
from test_shipped_bugs import FAULTS, IN_TORCH, Fault, check, function

Seen = Callable[[int], bool]
TITLES = ("torch, slow", "torch, fast", "JAX", "SciPy", "handgrad")


def in_torch(fault: Fault, params: dict[str, np.ndarray]) -> tuple[Any, list[torch.Tensor]]:
    """A fault of arrays as a `torch.autograd.Function`."""

    def named(tensors: Any) -> dict[str, np.ndarray]:
        return {n: t.detach().numpy() for n, t in zip(params, tensors, strict=True)}

    def forward(*tensors: torch.Tensor) -> torch.Tensor:
        return torch.as_tensor(np.array(fault.forward(named(tensors))))

    def backward(ctx: Any, g: torch.Tensor) -> Any:
        found = fault.wrong(named(ctx.saved_tensors), g.numpy())
        return tuple(torch.as_tensor(np.array(found[n])) for n in params)

    tensors = [torch.tensor(p).requires_grad_() for p in params.values()]
    return function(forward, backward), tensors


def torchs(apply: Any, tensors: list[torch.Tensor], fast: bool) -> Seen:
    torch_check: Any = torch.autograd.gradcheck
    leaves = [t.detach().clone().requires_grad_() for t in tensors]

    def seen(seed: int) -> bool:
        torch.manual_seed(seed)
        return not torch_check(apply, leaves, fast_mode=fast, raise_exception=False)

    return seen


def jaxs(fault: Fault, params: dict[str, np.ndarray]) -> Seen | None:
    try:
        import jax
        from jax.test_util import check_vjp
    except ImportError:
        return None
    jax.config.update("jax_enable_x64", True)

    def forward(p: Any) -> Any:
        return np.asarray(fault.forward({n: np.asarray(a) for n, a in p.items()}))

    def with_backward(p: Any) -> Any:
        given = {n: np.asarray(a) for n, a in p.items()}
        return forward(p), lambda g: (fault.wrong(given, np.asarray(g)),)

    def seen(seed: int) -> bool:
        try:
            check_vjp(forward, with_backward, (params,))
        except AssertionError:
            return True
        return False

    return seen


def scipys(fault: Fault, params: dict[str, np.ndarray]) -> Seen:
    sizes = np.cumsum([p.size for p in params.values()])[:-1]

    def named(flat: np.ndarray) -> dict[str, np.ndarray]:
        parts = zip(params.items(), np.split(flat, sizes), strict=True)
        return {n: part.reshape(p.shape) for (n, p), part in parts}

    def seen(seed: int) -> bool:
        c = np.random.default_rng(seed).standard_normal(np.shape(fault.forward(params)))

        def loss(flat: np.ndarray) -> float:
            return float((c * fault.forward(named(flat))).sum())

        def gradient(flat: np.ndarray) -> np.ndarray:
            p = named(flat)
            found = fault.wrong(p, c)
            return np.concatenate([np.ravel(found[n]) for n in params])

        flat = np.concatenate([np.ravel(p) for p in params.values()])
        size = max(1.0, float(np.linalg.norm(gradient(flat))))
        return bool(not check_grad(loss, gradient, flat) <= 1e-5 * size)

    return seen


def row(name: str, checks: list[Seen | None], seeds: int) -> str:
    counts = ["–" if seen is None else f"{sum(map(seen, range(1, seeds + 1)))}" for seen in checks]
    return f"| {name} | {' | '.join(counts)} |"


def main() -> None:
    """Print the table: of so many seeds, in how many a check saw the fault."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    seeds = parser.parse_args().seeds
    warnings.simplefilter("ignore")
    print(f"| seen in, of {seeds} | {' | '.join(TITLES)} |\n|---|{'---|' * len(TITLES)}")
    cases = [(f.name, f, f.shows) for f in FAULTS]
    cases += [(f"{f.name}, where it hides", f, f.hides) for f in FAULTS if f.hides is not None]
    for name, fault, params in cases:
        params = {n: np.asarray(p, dtype=np.float64) for n, p in params.items()}
        apply, tensors = in_torch(fault, params)
        checks: list[Seen | None] = [torchs(apply, tensors, fast) for fast in (False, True)]
        checks += [jaxs(fault, params), scipys(fault, params)]
        checks.append(
            lambda s, f=fault, p=params: check(f, p, f.wrong, s).verdict == "fail"  # type: ignore[misc]
        )
        print(row(name, checks, seeds))
    for name, (forward, _, wrong, inputs) in IN_TORCH.items():
        apply = function(forward, wrong)
        checks = [torchs(apply, inputs, fast) for fast in (False, True)]
        checks += [None, None]
        checks.append(
            lambda s, a=apply, i=inputs: gradcheck_module(a, i, seed=s).verdict == "fail"  # type: ignore[misc]
        )
        print(row(name, checks, seeds))


if __name__ == "__main__":
    main()
