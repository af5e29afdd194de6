"""Who sees the wrong gradients that public libraries shipped? Torch's checks, JAX's, SciPy's, ours.

    python benchmarks/faults.py [--seeds 3]
    python benchmarks/faults.py --wild [--seeds 20]    those of `docs/in_the_wild.md`
    python benchmarks/faults.py --stage                a wrong sign in stage 3, before `verify`

The faults are those of `tests/test_shipped_bugs.py`, at the input that shows them, each check with
its own tolerances. JAX and SciPy need a forward and a backward pass of plain arrays; JAX stands in
the table where it is installed. SciPy gives an error and no verdict: above 1e-5 of the gradient
counts as seen. "Yes" is seen with every seed.
"""

import argparse
import runpy
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.progress import track
from scipy.optimize import check_grad
from torch import nn

from handgrad import gradcheck, gradcheck_layer, gradcheck_module, make_problem, verify
from handgrad.mistakes import CATALOGUE

sys.path.append(str(Path(__file__).parent.parent / "tests"))
from engines import with_gradients
from test_shipped_bugs import FAULTS, IN_TORCH, Fault, check, function

EXAMPLES = Path(__file__).parent.parent / "examples"
Seen = Callable[[int], bool]
# How the table calls a fault, what usually hides it, and where the check sees it.
SHIPPED = {
    "gather": (
        "an index that repeats overwrites instead of adding",
        "indices that are all different",
        "where one repeats",
    ),
    "max pool": (
        "max pooling assigns where windows overlap",
        "stride = kernel",
        "where they overlap",
    ),
    "re-used inner node": (
        "a re-used inner node propagates once for each path",
        "each node used once",
        "always",
    ),
    "stale inner gradients": (
        "inner gradients are not cleared before a second pass",
        "one backward call",
        "by the second call",
    ),
    "equal leaves merged": (
        "leaves of equal value become one node",
        "random values",
        "at equal values",
    ),
    "cumprod": ("`cumprod` divides by its input", "no zeros", "at a zero"),
    "strides of an expanded tensor": (
        "a buffer has the strides of an expanded tensor",
        "a sum downstream",
        "always",
    ),
    "layout of the upstream gradient": (
        "the upstream gradient is read in memory order",
        "ones, contiguous",
        "by the other layouts",
    ),
    "gain of batch norm, where it hides": (
        "batch norm's dx without the gain",
        "gain = 1",
        "at the start too: nearby points move it",
    ),
    "log-softmax": (
        "log-softmax adds the softmax",
        "NLL on top",
        "always: upstream gradients are drawn",
    ),
    "upstream of CTC dropped": (
        "CTC drops the upstream gradient",
        "`.sum().backward()`",
        "always",
    ),
    "CTC of log-probabilities": (
        "CTC gives the gradient of the logits",
        "log-softmax before it",
        "as a function of its input",
    ),
    "upstream vector read as a number": (
        "an upstream vector is read as one number",
        "mean or sum",
        "always",
    ),
    "mean over ignored tokens": ("a mean over ignored tokens too", "nothing ignored", "always"),
    "mean of means": ("the mean of micro-batches' means", "equal sizes", "always"),
    "sign of a covariance": (
        "the sign of a covariance's gradient",
        "other arguments are right",
        "always",
    ),
    "count of another index": ("the count of another index", "equal counts", "always"),
    "clamp to a point": (
        "clamp to a point gives 1 there",
        "any other x",
        'at that x: "wrong at the given point only"',
    ),
    "conjugate": ("the conjugate is forgotten", "real numbers", "always"),
    "kernel divided by the outputs": (
        "a kernel's gradient is divided by the outputs",
        "Adam",
        "always",
    ),
    "stride forgotten": ("the stride is forgotten", "stride 1", "at stride 2"),
    "bias after the activation": (
        "a bias's gradient after the activation",
        "the network still learns",
        "always",
    ),
    "return in the loop": (
        "`return` in the loop: one window only",
        "the network still learns",
        "always",
    ),
    "writes into the upstream gradient": (
        "backward writes into the upstream gradient",
        "no other reader",
        "by comparing it before and after",
    ),
    "slopes of |x| at 0": (r"two parts take other slopes of \|x\| at 0", "x ≠ 0", "at 0"),
    "mask from output / input": ("dropout's mask from output / input", "no zeros", "at a zero"),
}
HALF = "a tie counted in half precision"
# How the table calls a wrong form, and what else the report says of it.
WILD = {
    "mse": ("a mean divides by one axis only", ""),
    "elu": (
        "ELU without parentheses",
        ", but backward is not linear in its upstream gradient",
    ),
    "softmax": ("softmax with the diagonal only", ""),
    "upsample": ("upsampling that slices", ""),
    "rnn": ("recurrence without time", ", all but the last step"),
    "weighted_cross_entropy": ("misplaced class weights", ", all columns but the label's"),
    "alpha_1": ("`nn.CrossMapLRN2d`, alpha = 1", ", all entries"),
    "default": ("`nn.CrossMapLRN2d`, default alpha", ", all entries"),
    "float32": ("`nn.CrossMapLRN2d`, float32", ", all entries"),
}


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


def seen_by(checks: list[Seen | None], seeds: int) -> list[str]:
    """For each check "yes", "no", or in how many of the seeds it saw the fault."""
    counts = [None if seen is None else sum(map(seen, range(1, seeds + 1))) for seen in checks]
    said = {None: "–", 0: "no", seeds: "yes"}
    return [said.get(count, f"{count} of {seeds}") for count in counts]


def shipped(seeds: int) -> None:
    """Print which check sees which fault."""
    found: dict[str, list[str]] = {}
    cases = [(f.name, f, f.shows) for f in FAULTS]
    cases += [(f"{f.name}, where it hides", f, f.hides) for f in FAULTS if f.hides is not None]
    for name, fault, params in track(cases, "arrays", console=Console(stderr=True)):
        params = {n: np.asarray(p, dtype=np.float64) for n, p in params.items()}
        apply, tensors = in_torch(fault, params)
        checks: list[Seen | None] = [torchs(apply, tensors, fast) for fast in (False, True)]
        checks += [jaxs(fault, params), scipys(fault, params)]
        checks.append(
            lambda s, f=fault, p=params: check(f, p, f.wrong, s).verdict == "fail"  # type: ignore[misc]
        )
        found[name] = seen_by(checks, seeds)
    for name, (forward, _, wrong, inputs) in IN_TORCH.items():
        apply = function(forward, wrong)
        checks = [torchs(apply, inputs, fast) for fast in (False, True)]
        checks += [None, None]
        checks.append(
            lambda s, a=apply, i=inputs: gradcheck_module(a, i, seed=s).verdict == "fail"  # type: ignore[misc]
        )
        found[name] = seen_by(checks, seeds)
    print("| fault | what usually hides it | torch slow, fast | JAX | SciPy | seen here |")
    print(f"|{'---|' * 6}")
    for name, (fault_name, hides, where) in SHIPPED.items():
        slow, fast, jax, scipy, ours = found[name]
        both = slow if slow == fast else f"{slow}, {fast}"
        here = where if ours == "yes" else ours
        print(f"| {fault_name} | {hides} | {both} | {jax} | {scipy} | {here} |")
    (ours,) = seen_by([half_precision], seeds)
    here = "beside a `reference`" if ours == "yes" else ours
    print(f"| {HALF} | fewer than 65,504 | – | – | – | {here} |")
    print(f"{len(SHIPPED) + 1} faults, {seeds} seeds each")


def half_precision(seed: int) -> bool:
    """Whether a check with a reference sees a count of 70,000 that is infinite in float16."""
    x = torch.ones(70_000, dtype=torch.float16, requires_grad=True)

    def grads(p: Any) -> Any:
        tied = p["x"] == p["x"].max()
        return {"x": (tied / tied.half().sum()).to(p["x"].dtype)}

    def largest(p: Any) -> Any:
        return p["x"].max()

    return gradcheck(largest, {"x": x}, grads, reference=largest, seed=seed).verdict == "fail"


def wild(seeds: int) -> None:
    """Print what is said of each wrong form, and how often it and the right one are told apart."""
    layers = runpy.run_path(str(EXAMPLES / "in_the_wild.py"))
    modules = runpy.run_path(str(EXAMPLES / "in_the_wild_torch.py"))

    def report(name: str, wrong: bool, seed: int, fresh: bool) -> Any:
        rng = np.random.default_rng(seed)
        if name in ("alpha_1", "default", "float32"):
            given = modules[f"{'lrn' if wrong else 'right'}_{name}"]
            x = given["inputs"]
            x = torch.tensor(rng.standard_normal(x.shape), dtype=x.dtype) if fresh else x
            return gradcheck_module(given["module"], x, seed=seed)
        given = layers[f"{name}_wrong" if wrong else name]
        several = given["inputs"] if isinstance(given["inputs"], list) else [given["inputs"]]
        inputs = [
            rng.standard_normal(a.shape) if fresh and a.dtype.kind == "f" else a for a in several
        ]
        return gradcheck_layer(given["forward"], given["backward"], inputs, seed=seed)

    def failed(report: Any) -> list[str]:
        return [n for n, p in report.parameters.items() if p.verdict == "fail"]

    print("| fault | what is blamed | what the report says | error / gradient |")
    print("|---|---|---|---|")
    alone, passed = [0, 0], [0, 0]
    for name, (title, more) in track(WILD.items(), "wild", console=Console(stderr=True)):
        first = report(name, True, 0, False)
        (blamed,) = failed(first)
        for fresh in (False, True):
            for seed in range(seeds):
                alone[fresh] += failed(report(name, True, seed, fresh)) == [blamed]
                passed[fresh] += report(name, False, seed, fresh).verdict == "pass"
        said = f"{first[blamed].cause or 'cause unknown'}{more}"
        print(f"| {title} | `{blamed}` | {said} | {first[blamed].error:#.2g} |")
    for fresh, inputs in ((False, "these inputs"), (True, "inputs of its own")):
        print(
            f"each seed with {inputs}: {alone[fresh]} of {seeds * len(WILD)} wrong forms fail "
            f"there alone, {passed[fresh]} of {seeds * len(WILD)} right forms pass"
        )
    normalized(modules)


def normalized(modules: dict[str, Any]) -> None:
    """Print how far an entry of the Jacobian of `nn.CrossMapLRN2d` is off."""

    def off(alpha: float, x: torch.Tensor) -> float:
        module: Any = nn.CrossMapLRN2d(size=3, alpha=alpha)
        x = x.clone().requires_grad_()
        backward = torch.autograd.functional.jacobian(module, x).reshape(6, 6)
        h = 1e-6
        columns = [(module(x + h * e) - module(x - h * e)).reshape(6) / (2 * h) for e in axes]
        return float(abs(backward - torch.stack(columns, dim=1)).max())

    axes = torch.eye(6, dtype=torch.float64).reshape(6, 1, 6, 1, 1)
    draw = torch.Generator().manual_seed(1)
    others = [torch.randn(1, 6, 1, 1, dtype=torch.float64, generator=draw) for _ in range(200)]
    x = modules["x"]
    print(f"the Jacobian at alpha = 1 is off by up to {off(1.0, x):.2f}")
    print(f"among {len(others)} other inputs by up to {max(off(1.0, o) for o in others):.2f}")
    print(f"at the default alpha by up to {off(1e-4, x):.1e}")


def stage() -> None:
    """Print what is said of stage 3 with the sign of dW1 changed."""
    wrong = CATALOGUE["sign of dW"].backward(0)

    def gradients(x: Any, y: Any, W1: Any, b1: Any, W2: Any, b2: Any) -> Any:
        (dW1, dW2), (db1, db2) = wrong([W1, W2], [b1, b2], x, y)
        return dW1, db1, dW2, db2

    engine = with_gradients("pytorch_autograd", gradients)
    sys.modules[f"handgrad.stages.{engine.name}"] = engine  # in the stage's place
    found = verify(make_problem(), [engine.name])
    print(*(failure.message for failure in found.failures), sep="\n")


def main() -> None:
    """Print the table: which check saw the fault, with every seed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, help="3, and 20 for those in the wild")
    parser.add_argument("--wild", action="store_true", help="those of docs/in_the_wild.md")
    parser.add_argument("--stage", action="store_true", help="a sign in stage 3")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    if options.stage:
        stage()
    elif options.wild:
        wild(options.seeds or 20)
    else:
        shipped(options.seeds or 3)


if __name__ == "__main__":
    main()
