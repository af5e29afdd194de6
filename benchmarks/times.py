"""How long does a whole check take, as a ratio to torch's fast mode in the same run?

    python benchmarks/times.py [--rounds 3] [--large]

A check is that of three points, with everything that is varied in how the backward pass is called;
torch's fast mode is that of one point. The programs are those of `tests/torch_programs.py`.
"""

import argparse
import resource
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import torch
from rich.console import Console
from rich.progress import track
from torch import Tensor, nn
from torch.func import functional_call

from handgrad import gradcheck_module

sys.path.append(str(Path(__file__).parent.parent / "tests"))
from torch_programs import PROGRAMS, build


def fast_mode(module: Any, inputs: list[Any]) -> Callable[[], Any]:
    """Torch's check of all the parameters and of the inputs that require a gradient."""
    named = dict(module.named_parameters()) if isinstance(module, nn.Module) else {}
    asking = [k for k, x in enumerate(inputs) if isinstance(x, Tensor) and x.requires_grad]

    def outputs(*leaves: Tensor) -> tuple[Tensor, ...]:
        given = list(inputs)
        for k, leaf in zip(asking, leaves[len(named) :], strict=True):
            given[k] = leaf
        if named:
            state = {n: b.clone() for n, b in module.named_buffers()}
            state |= zip(named, leaves, strict=False)
            made = functional_call(module, state, tuple(given))
        else:
            made = module(*given)
        return tuple(floats(made))

    leaves = [p.detach().clone().requires_grad_() for p in named.values()]
    leaves += [inputs[k].detach().clone().requires_grad_() for k in asking]
    check: Any = torch.autograd.gradcheck
    return lambda: check(outputs, leaves, fast_mode=True, raise_exception=False)


def floats(made: Any) -> Iterator[Tensor]:
    if isinstance(made, Tensor):
        if made.is_floating_point() or made.is_complex():
            yield made
    elif isinstance(made, list | tuple):
        for part in made:
            yield from floats(part)


def seconds(work: Callable[[], Any]) -> float:
    began = perf_counter()
    work()
    return perf_counter() - began


def ratio(name: str, seed: int) -> float | None:
    """Of one program, our check first; None where torch's cannot run it."""
    module, inputs = build(name, torch.float64, seed)
    ours = seconds(lambda: gradcheck_module(module, inputs, seed=seed))
    try:
        return ours / seconds(fast_mode(*build(name, torch.float64, seed)))
    except Exception:
        return None


class Stack(nn.Module):
    """Six tanh layers, and about so many parameters."""

    def __init__(self, parameters: float) -> None:
        super().__init__()
        width = round((parameters / 6) ** 0.5)
        layers = [m for _ in range(6) for m in (nn.Linear(width, width), nn.Tanh())]
        self.layers = nn.Sequential(*layers).double()
        self.x = torch.randn(16, width, dtype=torch.float64)

    def forward(self, scale: Tensor) -> Tensor:
        made: Tensor = self.layers(self.x * scale)
        return made


def large(parameters: float, rounds: int) -> float:
    """The ratio for a large module."""
    module, scale = Stack(parameters), torch.ones((), dtype=torch.float64, requires_grad=True)
    found = []
    for _ in range(rounds):
        ours = seconds(lambda: gradcheck_module(module, scale))
        found.append(ours / seconds(fast_mode(module, [scale])))
    return median(found)


def main() -> None:
    """Print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--large", action="store_true", help="a million and ten million parameters")
    options = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    console = Console(stderr=True)
    found = {
        name: [r for seed in range(options.rounds) if (r := ratio(name, seed)) is not None]
        for name in track(PROGRAMS, "programs", console=console)
    }
    medians = sorted((median(rs), name) for name, rs in found.items() if rs)
    print(f"{len(medians)} programs: a median of {median(r for r, _ in medians):.2f} times")
    for share, text in ((0.1, "a tenth"), (0.9, "nine tenths"), (1, "all")):
        at, name = medians[round(share * (len(medians) - 1))]
        print(f"{text}: at most {at:.2f} times ({name})")
    for size in (1e6, 1e7) if options.large else ():
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        at = large(size, options.rounds)
        more = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1e6
        print(f"{size:,.0f} parameters: {at:.2f} times, {more:.2f} GB above what was used before")


if __name__ == "__main__":
    main()
