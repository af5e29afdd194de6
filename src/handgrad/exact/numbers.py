"""Numbers that carry more than their value, for code that was written for NumPy's arrays.

An array of Python objects hands every + − × ÷, power and comparison to its elements. So the same
code, not a line changed, runs on elements that are exact and know something more.

`Dual`: a value and its derivative along a direction. With ε² = 0,

    (a + a' ε) + (b + b' ε) = (a + b) + (a' + b') ε
    (a + a' ε) · (b + b' ε) = a b + (a b' + a' b) ε
    (a + a' ε) / (b + b' ε) = a / b + (a' − a / b · b') / b ε

are the rules of differentiation. Values are fractions: nothing is rounded, no step is taken.

`Degree`: a value, and the degrees of the polynomials above and below the line that it was made by.
A sum over one line has the larger degree, a product the sum of both; a constant has degree 0.

Both write down how each of their comparisons came out (`decisions`): where two runs agree in all,
they ran through the same formula.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from fractions import Fraction
from math import isfinite
from typing import Any, Self

import numpy as np

from handgrad.errors import BadInput
from handgrad.exact.watching import counted, decided, ties

LONGEST = 200_000
"""Binary digits; a program whose numbers grow beyond them does not come to an end."""


def exact(number: Any) -> Fraction | int:
    """A whole number, a fraction or a finite float as it is: 0.5 is one half, 0.1 is not a tenth.

    >>> exact(0.375)
    Fraction(3, 8)
    """
    if isinstance(number, bool | np.bool_ | np.integer):
        return int(number)
    if isinstance(number, int | Fraction):
        return number
    if isinstance(number, Exact):  # kept from another run: here it is a constant
        return number.value
    if isinstance(number, float | np.floating):
        if not isfinite(number):
            raise BadInput(f"exact arithmetic must have finite numbers, got {number}")
        return Fraction(float(number))
    raise BadInput(
        f"exact arithmetic must have whole numbers, fractions or floats, got {number!r:.40}"
    )


def order(one: Any, other: Any) -> int:
    """−1, 0 or 1, the sign of the difference; 0 for balls that overlap."""
    return int(one > other) - int(one < other)


def _limited(value: Fraction | int) -> Fraction | int:
    counted()
    if value.numerator.bit_length() > LONGEST:
        raise BadInput(
            f"exact arithmetic must stay below {LONGEST} binary digits: is there a loop that does "
            "not end?"
        )
    return value


Operator = Callable[[Any, Any], Any]


def _beside_arrays(operator: Operator) -> Operator:
    """A number beside an array leaves it to the array, which goes through its elements."""

    def operated(self: Any, other: Any) -> Any:
        return NotImplemented if isinstance(other, np.ndarray) else operator(self, other)

    return operated


class Exact(ABC):
    """What both kinds share: comparisons go by the value and are written down."""

    __slots__ = ("value",)
    __hash__ = None  # type: ignore[assignment]
    value: Any

    @classmethod
    @abstractmethod
    def constant(cls, number: Any) -> Self:
        """The number itself, on which nothing else depends."""

    @abstractmethod
    def plus(self, other: Self) -> Self:
        """The sum."""

    @abstractmethod
    def times(self, other: Self) -> Self:
        """The product."""

    @abstractmethod
    def over(self, other: Self) -> Self:
        """The quotient."""

    def _taken(self, other: Any) -> Self:
        return other if type(other) is type(self) else self.constant(other)

    @_beside_arrays
    def __add__(self, other: Any) -> Self:
        return self.plus(self._taken(other))

    @_beside_arrays
    def __mul__(self, other: Any) -> Self:
        return self.times(self._taken(other))

    @_beside_arrays
    def __truediv__(self, other: Any) -> Self:
        return self.over(self._taken(other))

    def __neg__(self) -> Self:
        return self.times(self.constant(-1))

    @_beside_arrays
    def __sub__(self, other: Any) -> Self:
        return self.plus(-self._taken(other))

    @_beside_arrays
    def __rsub__(self, other: Any) -> Self:
        return (-self).plus(self._taken(other))

    @_beside_arrays
    def __rtruediv__(self, other: Any) -> Self:
        return self._taken(other).over(self)

    __radd__, __rmul__ = __add__, __mul__

    def __pow__(self, power: Any) -> Self:
        count = exact(power.value if isinstance(power, Exact) else power)
        if count != int(count):
            raise BadInput(f"exact arithmetic must have whole powers, got {power}")
        made = self.constant(1)
        for _ in range(abs(int(count))):
            made = made.times(self)
        return made if count >= 0 else self.constant(1).over(made)

    def __pos__(self) -> Self:
        return self

    def conjugate(self) -> Self:
        """Itself: it is real."""
        return self

    def __abs__(self) -> Self:
        return -self if self < 0 else self

    def compared(self, other: Self) -> int:
        """The sign of the difference."""
        return order(self.value, other.value)

    @_beside_arrays
    def __lt__(self, other: Any) -> bool:
        return decided(self.compared(self._taken(other)) < 0)

    @_beside_arrays
    def __le__(self, other: Any) -> bool:
        return decided(self.compared(self._taken(other)) <= 0)

    @_beside_arrays
    def __gt__(self, other: Any) -> bool:
        return decided(self.compared(self._taken(other)) > 0)

    @_beside_arrays
    def __ge__(self, other: Any) -> bool:
        return decided(self.compared(self._taken(other)) >= 0)

    @_beside_arrays
    def __eq__(self, other: Any) -> bool:
        return decided(self.compared(self._taken(other)) == 0)

    @_beside_arrays
    def __ne__(self, other: Any) -> bool:
        return decided(self.compared(self._taken(other)) != 0)

    def __bool__(self) -> bool:
        return self != 0

    def __repr__(self) -> str:
        parts = (f"{name}={getattr(self, name)}" for name in self.__slots__)
        return f"{type(self).__name__}({self.value}, {', '.join(parts)})"


class Dual(Exact):
    """A value and its derivative along a direction.

    >>> x = Dual(3, 1)  # x itself changes by 1 along its own direction
    >>> (x**2 + 5 * x).slope  # 2 x + 5
    11
    >>> Dual.along(0.5, 2).slope, Dual.constant(0.5).slope, x.radius
    (2, 0, 0.0)
    >>> x.plus(x).slope, x.times(x).slope, x.over(x).slope, x.compared(Dual(4)), x.conjugate().slope
    (2, 6, Fraction(0, 1), -1, 1)

    Args:
        value: a fraction or whole number.
        slope: its derivative.
    """

    __slots__ = ("slope",)

    def __init__(self, value: Any, slope: Any = 0) -> None:
        self.value, self.slope = value, slope

    @classmethod
    def constant(cls, number: Any) -> "Dual":
        return cls(exact(number))

    @classmethod
    def along(cls, value: Any, slope: Any) -> Self:
        """The number that changes by `slope` along the direction."""
        return cls(cls.constant(value).value, cls.constant(slope).value)

    @property
    def radius(self) -> float:
        """By how much the slope may be off: a fraction is not."""
        return 0.0

    def plus(self, other: "Dual") -> "Dual":
        counted()
        return Dual(self.value + other.value, self.slope + other.slope)

    def times(self, other: "Dual") -> "Dual":
        value = _limited(self.value * other.value)
        slope = self.value * other.slope if other.slope else 0
        return Dual(value, slope + self.slope * other.value if self.slope else slope)

    def over(self, other: "Dual") -> "Dual":
        value = _limited(self.value / Fraction(other.value))
        return Dual(value, (self.slope - value * other.slope) / Fraction(other.value))

    def compared(self, other: "Dual") -> int:
        """The sign of the difference; where that is 0 and `one_sided` is open, of its slope."""
        found, told_apart = super().compared(other), ties()
        if found or told_apart is None:
            return found
        found = order(self.slope, other.slope)
        if found:
            told_apart.append(found)
        return found


class Degree(Exact):
    """A value, and the degrees of the polynomials above and below the line.

    >>> x = Degree(3, 1)
    >>> (x**2 * x + 1).above, (1 / x).below
    (3, 1)
    >>> x.plus(x).above, x.times(x).above, x.over(x).below, Degree.constant(2).above
    (1, 2, 1, 0)
    >>> x.compared(Degree(4)), x.conjugate() is x
    (-1, True)

    Args:
        value: a fraction or whole number.
        above: the degree above the line.
        below: the degree below it.
    """

    __slots__ = ("above", "below")

    def __init__(self, value: Fraction | int, above: int = 0, below: int = 0) -> None:
        self.value, self.above, self.below = value, above, below

    @classmethod
    def constant(cls, number: Any) -> "Degree":
        return cls(exact(number))

    def plus(self, other: "Degree") -> "Degree":
        above = max(self.above + other.below, other.above + self.below)
        return Degree(self.value + other.value, above, self.below + other.below)

    def times(self, other: "Degree") -> "Degree":
        above, below = self.above + other.above, self.below + other.below
        return Degree(_limited(self.value * other.value), above, below)

    def over(self, other: "Degree") -> "Degree":
        above, below = self.above + other.below, self.below + other.above
        return Degree(_limited(self.value / Fraction(other.value)), above, below)
