"""What the exercise notebooks say of a learner's line, without holding the line that belongs there.

The line is a function of given arrays. It runs on two cases of different sizes, each time on right
values of what comes before it. What it returns is compared with the right values of the first case,
and a digest of both results with those of known mistakes. The sentence about a mistake is sealed
with the digest of its result: it can be read only by one who made that mistake.
"""

import traceback
from collections.abc import Callable, Mapping
from hashlib import sha256
from inspect import signature
from types import FunctionType
from typing import Any

import numpy as np

STEP = 2.0**-20
"""Sums are told apart where they differ by more than this; rounding moves them by some 1e-12."""


def in_steps(a: np.ndarray) -> float:
    """The array's weighted sum in steps; distinct weights, so that swapped entries are seen."""
    return float((2 * np.arange(a.size) + 1) @ np.ravel(a)) / STEP + 1 / 3


def fingerprint(*results: np.ndarray) -> bytes:
    """A digest of one weighted sum of each array; rounding does not change it."""
    steps = [int(np.floor(in_steps(a))) for a in results]
    return sha256(repr((steps, [a.shape for a in results])).encode()).digest()


def seal(text: bytes, key: bytes) -> bytes:
    """The text, to be read with the key alone; sealed twice it is the text again."""
    stream = b"".join(sha256(key + bytes([i])).digest() for i in range(len(text) // 32 + 1))
    return bytes(a ^ b for a, b in zip(text, stream, strict=False))


def check_exercise(
    name: str, function: Callable[..., Any], known: Mapping[str, Any], hints: int = 0
) -> str:
    """One line: ✓, or ✗ and what is wrong; with `hints` 1 or 2, also what to do about it.

    known: `cases`, for each the given arrays by name, in the order in which they are computed, and
    for each blank its `right` values in the first case and its `sealed` sentences.
    """
    try:
        results = [_result(name, function, case) for case in (*known["cases"], known["cases"][0])]
    except _Wrong as wrong:
        return f"{name} ✗ {wrong}"
    first, second, again = results
    right = np.array(known["right"][name])
    said = _of_kind(first, right) or _of_value(first, second, right, known, name, hints)
    if not said and not np.array_equal(first, again):
        said = "the first call is right, a later one is not: what is kept between calls?"
    return f"{name} ✗ {said}" if said else f"{name} ✓ shape {right.shape}"


class _Wrong(Exception):
    """What is wrong before there is a value to compare."""


def _result(name: str, function: Callable[..., Any], case: Mapping[str, Any]) -> np.ndarray:
    """What the function returns for what comes before it in the case, and for that alone."""
    before = dict(list(case.items())[: list(case).index(name)])
    asked = list(signature(function).parameters)
    if later := [n for n in asked if n not in before]:
        raise _Wrong(f"{later[0]} is not known here; given are {', '.join(before)}")
    given = {n: np.array(before[n]) for n in asked}
    if isinstance(function, FunctionType):  # without the notebook's own later links
        names = {n: v for n, v in function.__globals__.items() if n not in case or n in before}
        closure = function.__closure__
        function = FunctionType(function.__code__, names, name, function.__defaults__, closure)
    try:
        result = function(**given)
    except Exception as error:
        line = traceback.extract_tb(error.__traceback__)[-1]
        raise _Wrong(f"{type(error).__name__} in line {line.lineno}: {error}") from None
    if result is None:
        raise _Wrong("nothing was returned")
    if isinstance(result, tuple):
        raise _Wrong(f"{len(result)} results were returned, must be one")
    for n, array in given.items():
        if not np.array_equal(array, before[n]):
            raise _Wrong(f"{n} was changed in place: it is still needed; make a new array")
        if result is array:
            result = result.copy()
    return np.asarray(result)


def _of_kind(got: np.ndarray, right: np.ndarray) -> str:
    if got.shape != right.shape:
        turned = ": it is transposed" if got.T.shape == right.shape else ""
        return f"shape {got.shape} must be {right.shape}{turned}"
    if got.dtype != right.dtype:
        return f"shape {right.shape} is right; dtype {got.dtype} must be {right.dtype}"
    return "" if np.isfinite(got).all() else "NaN or infinite: is something divided by 0?"


def _of_value(
    first: np.ndarray,
    second: np.ndarray,
    right: np.ndarray,
    known: Mapping[str, Any],
    name: str,
    hints: int,
) -> str:
    """A known mistake by its sentence, a factor, or the entry that is furthest off."""
    key, sealed = fingerprint(first, second), known["sealed"][name]
    found = sealed.get(sha256(key).hexdigest()[:16])
    if found is not None:
        sentences = seal(bytes.fromhex(found), key).decode().split("\n")
        what = " ".join(sentences[: 1 + hints])
        return f"shape {right.shape} is right. {what}" if what else ""
    size = len(known["cases"][0]["x"])
    for factor, words in ((-1, "−1"), (2, "2"), (0.5, "½"), (size, "B"), (1 / size, "1/B")):
        if np.allclose(first, factor * right, rtol=1e-9, atol=0):
            return f"shape {right.shape} is right; the value is {words} times what it must be"
    gaps = abs(first - right)
    worst = tuple(map(int, np.unravel_index(gaps.argmax(), gaps.shape)))
    if gaps[worst] < 1e-6:
        return (
            "right for a batch of 8, wrong for one of 12: does it hold for all numbers and sizes?"
        )
    where = f"{name}{list(worst)}" if worst else name
    is_, must = first[worst] + 0.0, right[worst] + 0.0  # −0 + 0 is 0
    return f"shape {right.shape} is right; {where} is {is_:.6g}, must be {must:.6g}"
