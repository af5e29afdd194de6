"""How far rounding moves the values of a function, and the format that they are in."""

import math
from collections.abc import Iterable

import numpy as np

from handgrad.checker.arrays import Array


def noise_of(lines: Array) -> Array:
    """How far rounding moves smooth functions, from equally spaced values on several lines.

    lines: (lines, values, ...), values on one line along the second axis. Differences of order k
    take away what is smooth; √((k!)² / (2k)!) of what is left is noise (Moré and Wild 2011,
    ECnoise). The order at which the least is left is taken.

    >>> float(noise_of(np.arange(7.0)[None] ** 2).round(9))
    0.0
    """
    left, found = np.asarray(lines, dtype=np.float64), []
    for k in range(1, left.shape[1] - 1):
        left = np.diff(left, axis=1)
        if k > 1:
            ratio = math.factorial(k) ** 2 / math.factorial(2 * k)
            found.append(np.sqrt(ratio * np.mean(np.square(left), axis=(0, 1))))
    return min(found, key=lambda noise: float(np.linalg.norm(noise)))


def spacing(values: Iterable[float]) -> float:
    """The distance of neighbouring numbers in the coarsest format that holds all the values.

    0 for float64, unless every value is a float32, a float16 or bfloat16, or has few decimals: then
    the function was cast or rounded, and steps between such numbers are all that can be seen of it.

    >>> spacing([0.123456, 1.5, 0.1])
    1e-06
    """
    distinct = {v for v in values if math.isfinite(v) and v}
    if len(distinct) < 3:
        return 0.0  # a constant, or nearly: its digits tell nothing
    largest = max(map(abs, distinct))
    for bits in (8, 11, 24):  # bfloat16, float16, float32
        if all((math.frexp(v)[0] * 2.0**bits).is_integer() for v in distinct):
            return 2.0 ** (1 - bits) * largest
    for decimals in range(10):
        if largest < 10.0 ** (15 - decimals) and all(round(v, decimals) == v for v in distinct):
            return float(10.0**-decimals)
    return 0.0
