"""The caller's NumPy code on exact numbers: slopes without steps, gradients without rounding.

Code that was written for floats runs as it is on arrays of dual numbers (`handgrad.exact`): of
fractions, or where it has exp, log, √ and their like, of balls. In the order of the code:

1. Which numbers it takes, tried at the given point. The slope must be that of the code with floats
   too, by a plain difference, or it takes another branch for objects.
2. The slope along a direction. Equal numbers are compared as they are a little further along, so at
   a kink the two sides come out, exactly.
3. How far rounding has moved the gradients: from what they are on exact numbers.
4. The proof, at one point. e = ∇L − g is a vector there, and dL(v) − g·v = e·v is computed for a v
   whose entries are drawn from `GRID` whole numbers. If an entry of e is not 0, then whatever the
   others are drawn as, one value of its own makes e·v vanish: a chance of 1 / `GRID`. Balls tell
   e·v from 0 up to their radius r: of an entry beyond 2 r, two values at most hide e·v in it.
"""

import re
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from handgrad.checker.arrays import Array, Params, drawn
from handgrad.checker.differences import difference
from handgrad.checker.levels import Side
from handgrad.checker.program import Program
from handgrad.checker.slopes import Slope, Slopes
from handgrad.errors import BadInput
from handgrad.exact.claims import each, one_number
from handgrad.exact.numbers import Dual, order
from handgrad.exact.proof import GRID, rounded_up
from handgrad.exact.watching import TooLong, at_most, one_sided

OPERATIONS, NUMBERS = 5000, 1000
"""Programs that take more are not run on exact numbers: it must cost no more than a check."""

LOST = 1e-9
"""Gradients that rounding moves by more than this share are not held to exact numbers."""

SHARP = 1e-3
"""A plain slope that is rougher than this is no second witness."""


class NotExact(Exception):
    """Why a program was not run on exact numbers."""


@dataclass(frozen=True)
class PointProof:
    """Of all gradients at one point.

    off: how far rounding has moved each, the norm; eta: an entry that is off by more is seen, but
    for a chance.
    """

    off: Mapping[str, float]
    eta: float
    chance: float


class Exactly:
    """Loss and gradients on exact numbers at one point. Raises `NotExact` where they do not run.

    gradients: those with floats; off: how far rounding has moved every entry of them.
    """

    def __init__(
        self, program: Program, number: type[Dual], point: Params, gradients: Mapping[str, Array]
    ) -> None:
        self._program, self._number, self.point = program, number, point
        self._gradients = self._run(self._at_rest)
        self.off = {name: self._off(g, self._gradients[name]) for name, g in gradients.items()}

    def _at_rest(self) -> dict[str, Array]:
        plain = {n: each(self._number.constant, p) for n, p in self.point.items()}
        self._program.loss(plain)  # some keep its activations for the gradients
        given = self._program.grads(plain)
        return {n: each(self._number.constant, np.asarray(given[n])) for n in self.point}

    def _off(self, given: Array, exact: Array) -> Array:
        if exact.shape != given.shape:
            raise NotExact(f"gradients have shape {exact.shape} on exact numbers")
        off = [self._number.constant(g) - e for g, e in zip(given.flat, exact.flat, strict=True)]
        return np.array([abs(float(entry.value)) for entry in off]).reshape(given.shape)

    def slope(self, directions: Mapping[str, Array]) -> Slope:
        """The loss's slope along a direction, or both at a kink."""
        with one_sided() as ties:
            right = self._along(directions, 1)
        if not ties:
            return Slope(*_side(right.slope, right.radius), 0.0, True)
        with one_sided():
            left = self._along(directions, -1)
        if order(left.value, right.value):
            raise NotExact("the loss jumps at the point")
        sides = _side(-left.slope, left.radius), _side(right.slope, right.radius)
        (low, off_low), (high, off_high) = sides
        off = abs(low - high) / 2 + max(off_low, off_high)
        bent = sides if abs(low - high) > off_low + off_high else None
        return Slope((low + high) / 2, off, 0.0, True, 0.0, bent)

    def _along(self, directions: Mapping[str, Array], sign: int) -> Dual:
        return self._run(lambda: self._loss(directions, sign))

    def _loss(self, directions: Mapping[str, Array], sign: int) -> Dual:
        moved = {}
        for name, p in self.point.items():
            v = directions.get(name)
            if v is None:
                moved[name] = each(self._number.constant, p)
            else:
                moved[name] = each(self._number.along, p, sign * v)
        loss = one_number(self._program.loss(moved))
        return loss if isinstance(loss, Dual) else self._number.constant(loss)

    def _run(self, work: Any) -> Any:
        """The caller's code; whatever it raises, and where, is why it does not run."""
        try:
            with at_most(OPERATIONS), _precision(self._number), _no_addresses():
                return work()
        except TooLong:
            raise NotExact(f"it takes more than {OPERATIONS:,} sums and products") from None
        except Exception as error:
            raise NotExact(_where(error)) from None

    def slope_if_any(self, directions: Mapping[str, Array]) -> Slope | None:
        """The same; None where the code does not run along it."""
        with suppress(NotExact):
            return self.slope(directions)
        return None

    def proof(self, rng: np.random.Generator) -> PointProof | None:
        """That the gradients, on exact numbers, are the loss's; None if they are not."""
        v = {n: rng.integers(0, GRID, p.shape).astype(object) for n, p in self.point.items()}
        with one_sided() as ties:
            loss = self._along(v, 1)
        if ties:
            return None  # at a kink there are two slopes
        return self._run(lambda: self._proof(loss, v))

    def _proof(self, loss: Dual, v: Mapping[str, Array]) -> PointProof | None:
        constant = self._number.constant
        error = constant(loss.slope)
        for name, u in v.items():
            for entry, weight in zip(self._gradients[name].flat, u.flat, strict=True):
                error -= entry * weight
        if order(error.value, 0):
            return None
        off = {n: float(np.linalg.norm(far)) for n, far in self.off.items()}
        if self._number is Dual:
            return PointProof(off, 0.0, 1 / GRID)
        return PointProof(off, 4 * float(error.value.abs_upper()), 2 / GRID)


def _side(slope: Any, radius: float) -> Side:
    """As a float, and by how much it may be off."""
    return float(slope), 2.0**-52 * abs(float(slope)) + radius


@contextmanager
def _no_addresses() -> Iterator[None]:
    """An array of objects has no `ctypes`: C code would write over the objects' addresses."""
    from numpy._core import _internal

    own = _internal._ctypes.__init__

    def only_numbers(self: Any, array: Array, *rest: Any) -> None:
        if array.dtype == object:
            raise TypeError("an array of exact numbers has no address for C code")
        own(self, array, *rest)

    _internal._ctypes.__init__ = only_numbers  # type: ignore
    try:
        yield
    finally:
        _internal._ctypes.__init__ = own  # type: ignore


def _precision(number: type[Dual]) -> Any:
    if number is Dual:
        return nullcontext()
    from handgrad.exact.balls import precision

    return precision()


def can_be_exact(program: Program) -> bool:
    """Whether it is NumPy code in float64, and small enough to try."""
    params = program.native.params.values()
    plain = all(isinstance(p, np.ndarray) and p.dtype == np.float64 for p in params)
    return plain and program.reference is None and program.both is None and callable(program.grads)


def numbers_of(
    program: Program, slopes: Slopes, gradients: Mapping[str, Array], rng: np.random.Generator
) -> type[Dual]:
    """On which exact numbers the program runs as it does on floats. Raises `NotExact`."""
    if sum(p.size for p in slopes.point.values()) > NUMBERS:
        raise NotExact(f"it has more than {NUMBERS:,} numbers")
    try:
        number: type[Dual] = Dual
        exactly = Exactly(program, number, slopes.point, gradients)
    except NotExact as error:
        number = _balls(error)
        exactly = Exactly(program, number, slopes.point, gradients)
    _require_few_digits_lost(exactly, slopes, gradients)
    _require_same_slope(exactly, slopes, rng)
    return number


def _balls(error: NotExact) -> type[Dual]:
    """The numbers that have exp; or the error, where they would not help."""
    if "no exact" not in str(error):
        raise error
    try:
        from handgrad.exact.balls import Ball
    except ImportError:
        raise NotExact(f"{error} without python-flint: pip install 'handgrad[exact]'") from None
    return Ball


def _require_few_digits_lost(
    exactly: Exactly, slopes: Slopes, gradients: Mapping[str, Array]
) -> None:
    sizes = {n: slopes.size(n) for n in gradients}
    change = max(float(np.linalg.norm(g)) * sizes[n] for n, g in gradients.items())
    lost = max(float(np.linalg.norm(off)) * sizes[n] for n, off in exactly.off.items())
    if lost > LOST * change:
        raise NotExact(f"with floats its gradients are off by {lost / change:.1e} of their size")


def _require_same_slope(exactly: Exactly, slopes: Slopes, rng: np.random.Generator) -> None:
    """Along one direction in all parameters."""
    v = {n: slopes.size(n) * drawn(rng, p.shape) for n, p in slopes.point.items()}
    found = exactly.slope(v)
    plain = difference(
        lambda t: slopes.loss(slopes.moved(v, t)),
        1.0,
        at_0=slopes.value,
        eps=slopes.eps,
        noise=slopes.noise,
        expected=found.value,
    )
    if abs(plain.value - found.value) > plain.bound + found.tolerance:
        raise NotExact(f"its slope is {found.value:.9g} there, and {plain.value:.9g} with floats")
    if found.sides is None and plain.bound > SHARP * (abs(found.value) or abs(slopes.value)):
        raise NotExact("its loss is too noisy for a second witness")


def _where(error: Exception) -> str:
    """What stops exact numbers, and the caller's line."""
    said = " ".join(str(error).split())
    missing = re.search(r"no callable (\w+) method", said)
    if missing:
        why = f"there is no exact {missing[1]}"
    elif "whole powers" in said:
        why = "there is no exact root"
    elif said.endswith("inf"):
        why = "there is no exact infinity"
    elif isinstance(error, BadInput | ArithmeticError):
        why = said or type(error).__name__
    else:  # whatever a compiled function says of an array of objects
        why = "it takes floats alone"
    ours = Path(__file__).parent.parent
    frames = [
        f
        for f in traceback.extract_tb(error.__traceback__)
        if ours not in Path(f.filename).parents and "site-packages" not in f.filename
    ]
    return f"{why}, at {_line(frames[-1])}" if frames else why


def _line(frame: traceback.FrameSummary) -> str:
    text = f" ({frame.line})" if frame.line and len(frame.line) < 60 else ""
    return f"line {frame.lineno} of {Path(frame.filename).name}{text}"


def said_of(proofs: Sequence[PointProof | None], why: str | None) -> list[str]:
    """What was proved, at how many of the points; or why nothing was."""
    found = [proof for proof in proofs if proof is not None]
    if why is not None:
        return [f"not proved: {why}"]
    if not found:
        return [
            "not proved: on exact numbers a gradient is off, by less than rounding (in float64, is "
            "something made of constants alone?)"
        ]
    eta, chance = max(p.eta for p in found), max(p.chance for p in found)
    points = "1 point" if len(found) == 1 else f"{len(found)} points"
    how, what = "exactly", "a wrong gradient"
    if eta:
        how, what = "with 77 digits", f"an entry that is off by more than {rounded_up(eta)}"
    return [
        f"proved {how} at {points}: {what} passes there with a chance below {rounded_up(chance)}"
    ]
