"""Dual numbers of 77 digits, for code with exp, log, √ and their like.

No fraction is exp(1). A *ball* is: its middle has 256 binary digits, and its radius says how far
from there the true number may lie. Each operation gives a ball that holds every result that its
arguments' balls allow, so the radius is a proof, not an estimate (Johansson, IEEE Trans. Computers
66, 2017, 1281). The balls are python-flint's: `pip install 'handgrad[exact]'`. mpmath has numbers
of as many digits, but ten times as slow, and without the radius.

NumPy calls the method of that name on each element: np.exp(x) is x.exp().
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import isnan
from typing import Any

import numpy as np
from flint import arb, ctx, fmpq

from handgrad.errors import BadInput
from handgrad.exact.numbers import Dual, Exact, exact
from handgrad.exact.watching import counted

BITS = 256

NOTHING = arb(0)
"""The slope of a constant."""


@contextmanager
def precision() -> Iterator[None]:
    """Balls are computed with `BITS` binary digits while this is open."""
    with ctx.workprec(BITS):
        yield


def _elementary(value: Callable[[Any], Any], slope: Callable[[Any, Any], Any]) -> Any:
    """NumPy's function of a ball. value: of x; slope: of x and the value there."""

    def method(self: "Ball") -> "Ball":
        counted()
        f = value(self.value)
        rate = slope(self.value, f)
        return _defined(f, rate * self.slope if self.slope is not NOTHING else NOTHING)

    return method


class Ball(Dual):
    """A value and its derivative, both balls.

    >>> with precision():
    ...     x = Ball.along(2.0, 1)
    ...     float(x.log().slope)
    0.5
    """

    __slots__ = ()

    @classmethod
    def constant(cls, number: Any) -> "Ball":
        if isinstance(number, Ball):
            return cls(number.value, NOTHING)
        if isinstance(number, arb | int):
            return cls(arb(number), NOTHING)
        if isinstance(number, float | np.floating) and not isnan(number):
            return cls(arb(float(number)), NOTHING)  # an infinite one too: exp(−∞) = 0
        fraction = exact(number)
        return cls(arb(fmpq(fraction.numerator, fraction.denominator)), NOTHING)

    @property
    def radius(self) -> float:
        return float(self.slope.rad())

    def plus(self, other: Dual) -> "Ball":
        counted()
        if other.slope is NOTHING:
            return Ball(self.value + other.value, self.slope)
        return Ball(self.value + other.value, self.slope + other.slope)

    def times(self, other: Dual) -> "Ball":
        counted()
        slope = NOTHING  # an infinite constant times no slope is none
        if other.slope is not NOTHING:
            slope = self.value * other.slope
        if self.slope is not NOTHING:
            slope += self.slope * other.value
        return Ball(self.value * other.value, slope)

    def over(self, other: Dual) -> "Ball":
        counted()
        if other.value.contains(0):
            raise ZeroDivisionError
        value = self.value / other.value
        if other.slope is NOTHING and self.slope is NOTHING:
            return Ball(value, NOTHING)
        return Ball(value, (self.slope - value * other.slope) / other.value)

    def __pow__(self, power: Any) -> "Ball":
        """x^p, with slope p x^(p−1) x' + x^p log(x) p'."""
        p = self._taken(power)
        if p.slope is NOTHING and p.value.is_integer():
            return super().__pow__(int(p.value.unique_fmpz()))
        counted()
        f = self.value**p.value
        slope = p.value * self.value ** (p.value - 1) * self.slope
        if p.slope is not NOTHING:
            slope += f * self.value.log() * p.slope
        return _defined(f, slope)

    def __rpow__(self, base: Any) -> "Ball":
        return self._taken(base) ** self

    exp = _elementary(lambda x: x.exp(), lambda x, f: f)
    exp2 = _elementary(lambda x: arb(2) ** x, lambda x, f: f * arb.const_log2())
    expm1 = _elementary(lambda x: x.expm1(), lambda x, f: f + 1)
    log = _elementary(lambda x: x.log(), lambda x, f: 1 / x)
    log2 = _elementary(lambda x: x.log() / arb.const_log2(), lambda x, f: 1 / x / arb.const_log2())
    log10 = _elementary(
        lambda x: x.log() / arb.const_log10(), lambda x, f: 1 / x / arb.const_log10()
    )
    log1p = _elementary(lambda x: x.log1p(), lambda x, f: 1 / (1 + x))
    sqrt = _elementary(lambda x: x.sqrt(), lambda x, f: 1 / (2 * f))
    sin = _elementary(lambda x: x.sin(), lambda x, f: x.cos())
    cos = _elementary(lambda x: x.cos(), lambda x, f: -x.sin())
    tan = _elementary(lambda x: x.tan(), lambda x, f: 1 + f * f)
    arcsin = _elementary(lambda x: x.asin(), lambda x, f: (1 - x * x).rsqrt())
    arccos = _elementary(lambda x: x.acos(), lambda x, f: -(1 - x * x).rsqrt())
    arctan = _elementary(lambda x: x.atan(), lambda x, f: 1 / (1 + x * x))
    sinh = _elementary(lambda x: x.sinh(), lambda x, f: x.cosh())
    cosh = _elementary(lambda x: x.cosh(), lambda x, f: x.sinh())
    tanh = _elementary(lambda x: x.tanh(), lambda x, f: 1 - f * f)
    arcsinh = _elementary(lambda x: x.asinh(), lambda x, f: (1 + x * x).rsqrt())
    arccosh = _elementary(lambda x: x.acosh(), lambda x, f: (x * x - 1).rsqrt())
    arctanh = _elementary(lambda x: x.atanh(), lambda x, f: 1 / (1 - x * x))
    fabs = Exact.__abs__


def _defined(value: Any, slope: Any) -> Ball:
    if not (value.is_finite() and slope.is_finite()):
        raise BadInput("exact arithmetic must have a finite value and slope, as √x has not at 0")
    return Ball(value, slope)
