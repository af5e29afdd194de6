"""Does the bound of a slope hold? Over random functions of 27 kinds, each with a known slope.

    python benchmarks/slopes.py [--each 400] [--seed 1]

Values and parameters are scaled by 1e-8 to 1e8, lengths by 1/30 to 30, and the moved parameter is
rounded, as a program's is. A slope is covered if it is off by no more than its bound.
"""

import argparse
import math
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from time import perf_counter

import numpy as np
from rich.console import Console
from rich.progress import track

from handgrad.checker.differences import Difference, difference

Phi = Callable[[float], float]


@dataclass(frozen=True)
class Case:
    """φ, its slope at 0, the step over which it may change, and the spacing of its parameter."""

    phi: Phi
    slope: float
    scale: float
    eps: float = 2.0**-52
    sides: tuple[float, float] | None = None


@dataclass(frozen=True)
class Smooth:
    """A sine, an exponential and a square of t / length, as one function and its slope at 0."""

    a: float
    b: float
    c: float
    d: float
    size: float
    length: float
    offset: float = 0.0

    def __call__(self, t: float) -> float:
        u = t / self.length
        return self.size * (
            self.a * math.sin(u + self.b)
            + self.c * math.exp(min(0.5 * u, 600))
            + self.d * u * u
            + self.offset
        )

    @property
    def slope(self) -> float:
        return self.size * (self.a * math.cos(self.b) + 0.5 * self.c) / self.length


def smooth(rng: np.random.Generator, scale: float, offset: float = 0.0) -> Smooth:
    length = scale * 30 ** rng.uniform(-1, 1)
    a, c, d = rng.standard_normal(3)
    return Smooth(a, rng.uniform(0, 6), c, d, 10 ** rng.uniform(-8, 8), length, offset)


def moved(phi: Phi, scale: float, rng: np.random.Generator, dtype: type = np.float64) -> Phi:
    """φ of a parameter that is stored: it is p + t, rounded to its dtype."""
    p = dtype(scale * rng.uniform(0.5, 2))

    def of(t: float) -> float:
        return phi(float(dtype(p + dtype(t)) - p))

    return of


def f32(x: float) -> float:
    return float(np.float32(x))


def noisy(
    amount: Callable[[np.random.Generator, Smooth], float], normal: bool = True
) -> Callable[[np.random.Generator], Case]:
    def make(rng: np.random.Generator) -> Case:
        scale = 10 ** rng.uniform(-8, 8)
        f = smooth(rng, scale)
        far = amount(rng, f)
        salt = int(rng.integers(2**60))

        def phi(t: float) -> float:
            r = np.random.default_rng(abs(hash((t, salt))))
            return f(t) + far * (r.standard_normal() if normal else abs(r.standard_normal()))

        return Case(moved(phi, scale, rng), f.slope, scale)

    return make


def shaped(
    wrap: Callable[[np.random.Generator, Smooth, float], Phi], dtype: type = np.float64
) -> Callable[[np.random.Generator], Case]:
    """A smooth function whose values are changed on the way out."""

    def make(rng: np.random.Generator) -> Case:
        scale = 10 ** rng.uniform(-8, 8)
        f = smooth(rng, scale)
        return Case(
            moved(wrap(rng, f, scale), scale, rng, dtype),
            f.slope,
            scale,
            float(np.finfo(dtype).eps),
        )

    return make


def with_last_bit(rng: np.random.Generator, f: Smooth, scale: float) -> Phi:
    def phi(t: float) -> float:
        return f(t) * (1 + 2.0**-52 * (hash(t) % 2))

    return phi


def summed(rng: np.random.Generator, f: Smooth, scale: float) -> Phi:
    """The same sum of a hundred terms in an order that depends on t."""
    weights = rng.standard_normal(100)
    weights /= weights.sum()

    def phi(t: float) -> float:
        order = np.random.default_rng(abs(hash(t))).permutation(100)
        return float(sum((weights * f(t))[order].tolist()))

    return phi


def rounded_to(rng: np.random.Generator, f: Smooth, scale: float) -> Phi:
    """With 3 to 9 decimals that count."""
    decimals = int(rng.integers(3, 10)) - math.ceil(math.log10(f.size))
    if not 0 <= decimals <= 9:
        k = 10.0 ** -min(max(decimals, -9), 12)
        return lambda t: round(f(t) / k) * k
    return lambda t: round(f(t), decimals)


def stairs(rng: np.random.Generator, f: Smooth, scale: float) -> Phi:
    """t is rounded to treads before anything is computed."""
    tread = scale * 10 ** rng.uniform(-6, -2)
    shift = rng.uniform(0, tread)
    return lambda t: f(tread * math.floor((t + shift) / tread) + tread / 2 - shift)


def bisection(rng: np.random.Generator, f: Smooth, scale: float) -> Phi:
    """t is found by bisection to a tolerance, as a solver would."""
    width, tolerance = 300 * scale, 10 ** rng.uniform(-6, -2.5)
    low, high = -width * rng.uniform(0.5, 1), width * rng.uniform(0.5, 1)

    def phi(t: float) -> float:
        a, b = low, high
        while b - a > tolerance * scale:
            m = (a + b) / 2
            a, b = (m, b) if m < t else (a, m)
        return f((a + b) / 2)

    return phi


def kink_near(rng: np.random.Generator) -> Case:
    scale = 10 ** rng.uniform(-8, 8)
    f = smooth(rng, scale)
    at, bend = (
        scale * 10 ** rng.uniform(-6, 0) * rng.choice([-1, 1]),
        f.size / f.length * rng.standard_normal(),
    )

    def phi(t: float) -> float:
        return f(t) + bend * abs(t - at)

    return Case(moved(phi, scale, rng), f.slope - bend * math.copysign(1, at), scale)


def many_kinks(rng: np.random.Generator, dtype: type = np.float64) -> Case:
    """A layer of ReLUs, in float64 or float32."""
    scale = 10 ** rng.uniform(-8, 8)
    n = int(rng.integers(20, 400))
    drawn: np.ndarray = rng.standard_normal((3, n)).astype(dtype)
    a, b, w = drawn[0], drawn[1], drawn[2]
    size = 10 ** rng.uniform(-8, 8)
    unit = dtype(scale)

    def phi(t: float) -> float:
        return float(
            dtype(size)
            * (w * np.maximum(a * dtype(t / float(unit)) + b, dtype(0))).sum(dtype=dtype)
        )

    slope = float(dtype(size)) * float((w.astype(float) * a * (b > 0)).sum()) / float(unit)
    return Case(moved(phi, scale, rng, dtype), slope, scale, float(np.finfo(dtype).eps))


def on_kink(rng: np.random.Generator, cast: Callable[[float], float] = float) -> Case:
    scale = 10 ** rng.uniform(-8, 8)
    f = smooth(rng, scale)
    bend = f.size / f.length * rng.standard_normal()

    def phi(t: float) -> float:
        return cast(f(t) + bend * abs(t))

    # The parameter is 0 itself: a kink away from 0 would be met exactly by nobody.
    return Case(phi, f.slope, scale, sides=(f.slope - abs(bend), f.slope + abs(bend)))


def domain(kind: str) -> Callable[[np.random.Generator], Case]:
    """log x or √x at an x far smaller than its step."""

    def make(rng: np.random.Generator) -> Case:
        scale, size = 10 ** rng.uniform(-8, 8), 10 ** rng.uniform(-8, 8)
        x = scale * 10 ** rng.uniform(-4, 0)
        if kind == "log":
            return Case(
                lambda t: size * math.log(x + t) if x + t > 0 else math.nan, size / x, scale
            )
        return Case(
            lambda t: size * math.sqrt(x + t) if x + t >= 0 else math.nan,
            size / (2 * math.sqrt(x)),
            scale,
        )

    return make


def curved(rng: np.random.Generator) -> Case:
    """The length is far below the step that is taken first."""
    scale = 10 ** rng.uniform(-8, 8)
    f = smooth(rng, scale)
    g = Smooth(f.a, f.b, 0.0, 0.0, f.size, scale * 10 ** rng.uniform(-6, -2))
    return Case(moved(g, scale, rng), g.slope, scale)


def wiggle(rng: np.random.Generator) -> Case:
    scale = 10 ** rng.uniform(-8, 8)
    f = smooth(rng, scale)
    k = 10 ** rng.uniform(1, 3) / scale
    size, phase = f.size * 10 ** rng.uniform(-4, -1), rng.uniform(0, 6)

    def phi(t: float) -> float:
        return f(t) + size * math.sin(k * t + phase)

    return Case(moved(phi, scale, rng), f.slope + size * k * math.cos(phase), scale)


def float32_inside(rng: np.random.Generator) -> Case:
    """One step of several in float32, between two in float64."""
    scale = 10 ** rng.uniform(-8, 8)
    n = int(rng.integers(1, 30))
    a, b, w = rng.standard_normal((3, n))
    length, size = scale * 30 ** rng.uniform(-1, 1), 10 ** rng.uniform(-8, 8)

    def phi(t: float) -> float:
        inner = (a * (t / length) + b).astype(np.float32)
        return size * float((w * np.tanh(inner).astype(np.float64)).sum())

    return Case(
        moved(phi, scale, rng), size * float((w * a / np.cosh(b) ** 2).sum()) / length, scale
    )


def float32_code(rng: np.random.Generator) -> Case:
    scale = 10 ** rng.uniform(-8, 8)
    n = int(rng.integers(3, 60))
    drawn = rng.standard_normal((3, n))
    a, b, w = drawn.astype(np.float32)
    length, size = (
        np.float32(scale * 30 ** rng.uniform(-1, 1)),
        np.float32(10 ** rng.uniform(-8, 8)),
    )

    def phi(t: float) -> float:
        return float(size * (w * np.tanh(a * (np.float32(t) / length) + b)).sum())

    a64, b64, w64 = drawn.astype(np.float32).astype(float)
    slope = float(size) * float((w64 * a64 / np.cosh(b64) ** 2).sum()) / float(length)
    return Case(moved(phi, scale, rng, np.float32), slope, scale, 2.0**-23)


def zero_slope(rng: np.random.Generator) -> Case:
    scale, size = 10 ** rng.uniform(-8, 8), 10 ** rng.uniform(-8, 8)
    return Case(lambda t: size * (1 + math.cos(t / scale)), 0.0, scale)


def flat_relu(rng: np.random.Generator) -> Case:
    scale, size = 10 ** rng.uniform(-8, 8), 10 ** rng.uniform(-8, 8)
    at = scale * 10 ** rng.uniform(-5, 0)
    return Case(lambda t: size * (1 + max(t - at, 0)), 0.0, scale)


def constant(rng: np.random.Generator) -> Case:
    size = rng.standard_normal()
    return Case(lambda t: size, 0.0, 10 ** rng.uniform(-8, 8))


def big_offset(rng: np.random.Generator) -> Case:
    scale = 10 ** rng.uniform(-8, 8)
    f = smooth(rng, scale, offset=10 ** rng.uniform(3, 8))
    return Case(moved(f, scale, rng), f.slope, scale)


def from_zero(dtype: type) -> Callable[[np.random.Generator], Case]:
    """The parameter is 0: its step is 1, whatever the function's length."""

    def make(rng: np.random.Generator) -> Case:
        f = smooth(rng, 1.0)

        def phi(t: float) -> float:
            return float(dtype(f(float(dtype(t)))))

        return Case(phi, f.slope, 1.0, float(np.finfo(dtype).eps))

    return make


KINDS: dict[str, Callable[[np.random.Generator], Case]] = {
    "smooth": shaped(lambda rng, f, scale: f),
    "normal noise": noisy(lambda rng, f: f.size * 10 ** rng.uniform(-13, -3)),
    "absolute noise": noisy(lambda rng, f: f.size * 10 ** rng.uniform(-13, -3), normal=False),
    "last bit": shaped(with_last_bit),
    "random order": shaped(summed),
    "cast to float32": shaped(lambda rng, f, scale: lambda t: f32(f(t))),
    "rounded": shaped(rounded_to),
    "stairs": shaped(stairs),
    "bisection": shaped(bisection),
    "kink near": kink_near,
    "many kinks": many_kinks,
    "on a kink": on_kink,
    "on a kink, float32": lambda rng: on_kink(rng, f32),
    "domain of log": domain("log"),
    "domain of √": domain("√"),
    "curved": curved,
    "wiggle": wiggle,
    "float32 inside": float32_inside,
    "float32 code": float32_code,
    "float32 ReLU code": lambda rng: many_kinks(rng, np.float32),
    "slope 0": zero_slope,
    "flat ReLU": flat_relu,
    "constant": constant,
    "big offset": big_offset,
    "from 0": from_zero(np.float64),
    "from 0, float32": from_zero(np.float32),
    "cast to bfloat16": shaped(lambda rng, f, scale: lambda t: bf16(f(t))),
}


def bf16(x: float) -> float:
    """The nearest bfloat16, ties away from 0."""
    m, e = math.frexp(x)
    return math.ldexp(round(m * 256) / 256, e)


def measure(case: Case) -> tuple[Difference, bool]:
    at_0 = case.phi(0.0)
    with np.errstate(all="ignore"):
        found = difference(case.phi, case.scale, at_0=at_0, eps=case.eps)
    off = abs(found.value - case.slope)
    if case.sides is not None:  # anything between the two is a slope there
        low, high = case.sides
        off = max(low - found.value - found.bound, found.value - found.bound - high, 0.0)
        return found, off <= 0
    return found, off <= found.bound


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--each", type=int, default=400)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kind", default="")
    options = parser.parse_args()
    everything, lines = [], []
    began = perf_counter()
    kinds = track(KINDS.items(), "kinds", console=Console(stderr=True))
    for number, (kind, make) in enumerate(kinds):
        if options.kind not in kind:
            continue
        found = []
        for k in range(options.each):
            case = make(np.random.default_rng((options.seed, number, k)))
            d, held = measure(case)
            if not held and options.kind:
                print(kind, k, d, case.slope, case.scale)
            error = abs(d.value - case.slope)
            size = abs(case.slope) or math.inf
            seen = abs(d.value - 1.01 * case.slope) > d.bound
            found.append(
                (held, d.bound / error if error else math.inf, 2 * d.bound / size, seen, d.calls)
            )
        everything += found
        lines.append(row(kind, found))
    took = 1e3 * (perf_counter() - began) / len(everything)
    print(f"{len(everything):,} functions of {len(lines)} kinds, seed {options.seed}")
    print("| kind | covered % | bound / error, median | error always seen, median ", end="")
    print("| 1 % seen, % | calls, median | most |\n|---|---|---|---|---|---|---|")
    print(*lines, row("all", everything), sep="\n")
    print(f"{took:.2f} ms each")


def row(kind: str, found: list[tuple[bool, float, float, bool, int]]) -> str:
    held, ratios, least, seen, calls = zip(*found, strict=True)
    n, ratio = len(found), median(ratios)
    shown = (
        f"{100 * sum(held) / n:.2f}",
        f"{ratio:.1f}" if ratio < 1e9 else "–",  # else the error is rounding, or none
        f"{median(least):.1e}",
        f"{100 * sum(seen) / n:.0f}",
        f"{median(calls):.0f}",
        str(max(calls)),
    )
    return f"| {kind} | {' | '.join(shown)} |"


if __name__ == "__main__":
    main()
