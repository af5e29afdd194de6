"""How fast are exact proofs, and do they ever err? Right programs by the thousand, and wrong ones.

    python benchmarks/proofs.py [--right 10000] [--wrong 100]

Right: stages of h and B from 1 to 64 and stacks of depth 1 to 5, one draw each. Wrong: each
mistake of the catalogue that is no equivalent there, at its layers in stacks of 2 and 3. A time is
a ratio to one gradient check of the same program by slopes, in the same run. The checker: the
programs of `tests/exact_programs.py`, right and with an error of 1e-11 in one entry, beside the
same with a loss that is a float, which no exact number gets through.
"""

import argparse
import sys
from collections import Counter
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import mpmath  # type: ignore[import-untyped]
import numpy as np
from flint import arb
from rich.console import Console
from rich.progress import track

sys.path.append(str(Path(__file__).parent.parent / "tests"))
from exact_programs import PROGRAMS

from handgrad import BadInput, gradcheck
from handgrad.exact import equivalent, prove_equal, prove_stack, prove_stage
from handgrad.exact.balls import BITS, precision
from handgrad.exact.networks import PARAMETERS, gradients_of, stack_shapes
from handgrad.mistakes import CATALOGUE, backward
from handgrad.stages import numpy_manual

SHAPES = ([2, 3, 1], 8), ([3, 4, 4, 1], 6)


def drawn_stage(rng: np.random.Generator) -> tuple[int, int]:
    """Sizes from 1 to 64, of which few are large."""
    h, B = (int(2 ** rng.uniform(0, 6)) for _ in range(2))
    return h, B


def over_outputs(Ws: Any, bs: Any, x: Any, y: Any) -> Any:
    """The catalogue's gradients for a loss that is a mean over samples and outputs."""
    dWs, dbs = backward(Ws, bs, x, y)
    return [dW / y.shape[1] for dW in dWs], [db / y.shape[1] for db in dbs]


def right(count: int, console: Console) -> None:
    """Print how many right programs were proved."""
    found: Counter[str] = Counter()
    for k in track(range(count), "right", console=console):
        rng = np.random.default_rng((5, k))
        if k % 2:
            proof = prove_stage(numpy_manual, *drawn_stage(rng), draws=1, seed=k)
        else:
            widths = rng.integers(1, 6, int(rng.integers(2, 7))).tolist()
            proof = prove_stack(over_outputs, widths, int(rng.integers(1, 6)), draws=1, seed=k)
        found["proved" if proof else "refuted"] += 1
    print(f"{count:,} right programs: {found['proved']:,} proved")


def wrong(count: int, console: Console) -> None:
    """Print which mistakes were not refuted at the first draw."""
    tried, none_there, passed, refused = 0, 0, Counter[tuple[str, int]](), Counter[str]()
    for name, mistake in track(CATALOGUE.items(), "wrong", console=console):
        for widths, B in SHAPES:
            for layer in mistake.layers(len(widths) - 1):
                if equivalent(mistake, layer, widths, B):
                    continue
                for k in range(count):
                    try:
                        proof = prove_stack(mistake.backward(layer), widths, B, draws=1, seed=k)
                    except (BadInput, ValueError):
                        refused[name] += 1
                        break
                    tried += 1
                    none = proof.ok and is_none_there(mistake.backward(layer), widths, B, seed=k)
                    none_there += none
                    passed[name, layer] += proof.ok and not none
    refuted = tried - none_there - passed.total()
    print(f"{tried:,} draws of wrong programs: {refuted:,} refuted at the first point")
    print(f"{none_there} met a pattern in which the mistake changes nothing (all units off, say)")
    print(f"{passed.total()} others were not refuted: {dict(+passed)}")
    print(f"refused for their shapes: {', '.join(refused)}")


def is_none_there(gradient: Any, widths: list[int], B: int, seed: int) -> bool:
    """Whether the gradients are the right ones in the pattern that this seed meets first."""
    wrong, right = gradients_of(gradient), gradients_of(backward)
    return prove_equal(wrong, right, stack_shapes(widths, B), draws=1, seed=seed).ok


def seconds(work: Any, rounds: int = 5) -> float:
    times = []
    for _ in range(rounds):
        began = perf_counter()
        work()
        times.append(perf_counter() - began)
    return median(times)


def times() -> None:
    """Print the milliseconds of one draw, and the ratio to a check by slopes of one point."""
    ratios = []
    for h, B in ((8, 7), (8, 32), (64, 7)):
        rng = np.random.default_rng(0)
        x, y = rng.standard_normal((B, 2)), rng.standard_normal((B, 1))
        shapes = ((h, 2), (h,), (1, h), (1,))
        params = {n: rng.standard_normal(s) for n, s in zip(PARAMETERS, shapes, strict=True)}

        def loss(p: Any, x: Any = x, y: Any = y) -> float:
            f = numpy_manual.forward(x, *(p[n] for n in PARAMETERS))[-1]
            return float(numpy_manual.loss(f, y))

        def grads(p: Any, x: Any = x, y: Any = y) -> Any:
            return dict(zip(PARAMETERS, numpy_manual.backward(x, y, **p), strict=True))

        exact = seconds(lambda h=h, B=B: prove_stage(numpy_manual, h, B, draws=1))
        slopes = seconds(lambda p=params, a=loss, g=grads: gradcheck(a, p, g, points=1))
        ratios.append(exact / slopes)
        print(f"h = {h}, B = {B}: {1e3 * exact:.1f} ms a draw, {ratios[-1]:.1f} times slopes")
    print(f"a draw takes {min(ratios):.1f} to {max(ratios):.1f} times as long as a check by slopes")


def beside_mpmath() -> None:
    """Print how much longer mpmath takes for an operation with as many digits."""
    mpmath.mp.prec = BITS

    def microseconds(x: Any, y: Any, exp: Any, log: Any, sqrt: Any, tanh: Any) -> list[float]:
        works = (lambda: x + y, lambda: x * y, *(lambda f=f: f(x) for f in (exp, log, sqrt, tanh)))
        return [1e3 * seconds(lambda work=work: [work() for _ in range(1000)]) for work in works]

    with precision():
        arb_x, arb_y = arb(1) / 3, arb(2).sqrt()
        ours = microseconds(arb_x, arb_y, arb.exp, arb.log, arb.sqrt, arb.tanh)
    x, y = mpmath.mpf(1) / 3, mpmath.sqrt(2)
    theirs = microseconds(x, y, mpmath.exp, mpmath.log, mpmath.sqrt, mpmath.tanh)
    ratios = [b / a for a, b in zip(ours, theirs, strict=True)]
    print(f"mpmath takes {median(ratios):.0f} times as long, the median of +, ×, exp, log, √, tanh")


def checked(count: int, console: Console) -> None:
    """Print what the checker says of right and of nearly right code, and the ratio of times."""
    ratios, right, nearly, proved = [], Counter[str](), Counter[str](), 0
    for loss, grads, params in track(PROGRAMS.values(), "checker", console=console):
        first = next(iter(params(0)))

        def off(p: Any, grads: Any = grads, first: str = first) -> Any:
            found = grads(p)
            found[first].flat[0] += 1e-11 * abs(found[first]).max()
            return found

        for k in range(count):
            report = gradcheck(loss, params(k), grads, seed=k)
            proved += any(note.startswith("proved") for note in report.notes)
            right[report.verdict] += 1
            nearly[gradcheck(loss, params(k), off, seed=k).verdict] += 1
        exact, slopes = (
            seconds(lambda a=a, of=params, g=grads: gradcheck(a, of(0), g, seed=0))
            for a in (loss, lambda p, loss=loss: float(loss(p)))
        )
        ratios.append((exact, exact / slopes))
    print(f"the checker: {right.total():,} right draws, {proved:,} proved: {dict(right)}")
    print(f"off by 1e-11: {nearly['fail']:,} of {nearly.total():,} fail")
    exact_ms, times = zip(*ratios, strict=True)
    print(f"a check takes {1e3 * min(exact_ms):.0f} to {1e3 * max(exact_ms):.0f} ms")
    print(f"which is {min(times):.1f} to {max(times):.1f} times slopes", end=" ")
    print(f"(median {median(times):.1f} times)")


def main() -> None:
    """Print the counts and the times."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--right", type=int, default=10_000)
    parser.add_argument("--wrong", type=int, default=100)
    parser.add_argument("--checks", type=int, default=100)
    options = parser.parse_args()
    console = Console(file=sys.stderr)
    times()
    beside_mpmath()
    checked(options.checks, console)
    wrong(options.wrong, console)
    right(options.right, console)


if __name__ == "__main__":
    main()
