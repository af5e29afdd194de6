"""What the exercise notebooks say of a learner's lines, without the lines that belong there.

A blank is a function. It runs on two cases of different sizes, each time on right values of what
comes before it. What it returns is compared with the right values of the first case, and a digest
of both results with those of known mistakes. The sentence about a mistake is sealed with the digest
of its results: only one who made that mistake can read it.
"""

import traceback
from collections.abc import Callable, Iterator, Sequence
from hashlib import sha256
from inspect import signature
from typing import Any

import numpy as np

KNOWN: dict[str, Any] = {}
"""What the notebook knows: `cases`, two dicts of arrays by name; `array`, which makes the arrays
that a blank is given; `texts`, the sealed sentences; `blanks` by name, see `lessons/exercises.py`.
"""

PASSED: set[str] = set()
"""Blanks that were right when they were last checked."""


class Wrong(Exception):
    """What is wrong with an answer, and a hint; a notebook shows it in red, without a traceback."""

    def _render_traceback_(self) -> list[str]:
        return [f"\x1b[31m{self.args[0]}\x1b[0m"]


def check_exercise(name: str, function: Callable[..., Any], hints: int = 0) -> None:
    """Print a green ✓, or raise with a red ✗ and what is wrong; hints=1 or 2 says what to do."""
    blank, (small, large) = KNOWN["blanks"][name], KNOWN["cases"]
    right = dict(zip(blank["returns"], map(np.array, blank["right"]), strict=True))
    PASSED.discard(name)
    try:
        first, again, second = (results(function, c, blank) for c in (small, small, large))
        require_right(first[0], second[0], right, blank)
        if not all(map(np.array_equal, first[0], again[0])):
            raise Wrong("the first call is right, the second is not: what is kept of the first?")
        if first[1]:
            raise Wrong(f"right, but it is {first[1][0]} itself, or a view: make a new array")
    except Wrong as wrong:
        said, *tips = (t.removeprefix(f"{name}: ") for t in (*wrong.args, *blank["tips"]))
        raise Wrong("\n  hint: ".join([f"{name} ✗ {said}", *tips[:hints]])) from None
    PASSED.add(name)
    print(f"\x1b[32m{name} ✓ shape {', '.join(str(a.shape) for a in right.values())}\x1b[0m")


def results(function: Callable[..., Any], case: dict[str, Any], blank: Any) -> Any:
    """What the function returns for the arrays that it asks for; which of them it is itself."""
    known = blank["given"]
    before = {n: np.array(case[known[n]]) for n in signature(function).parameters if n in known}
    given = {n: KNOWN["array"](a) for n, a in before.items()}
    try:
        got = function(**given)
    except NotImplementedError:
        raise Wrong(f"not written yet: {blank['says']}") from None
    except Exception as error:
        frames, text = traceback.extract_tb(error.__traceback__), str(error).split("\n")[0]
        at = [f for f in frames if "site-packages" not in f.filename][-1]
        raise Wrong(f"{type(error).__name__} in line {at.lineno} of {at.name}: {text}") from None
    returns, got = blank["returns"], got if isinstance(got, tuple | list) else (got,)
    if len(got) != len(returns) or any(a is None for a in got):
        came = ", ".join("None" if a is None else type(a).__name__ for a in got)
        raise Wrong(f"it must return {', '.join(returns)}, and returned {came}")
    arrays = [plain(a) for a in got]
    if changed := [n for n in before if not np.array_equal(plain(given[n]), before[n])]:
        raise Wrong(f"{changed[0]} was changed in place, and is still needed: make a new array")
    return arrays, [
        n for n, a in given.items() if any(np.shares_memory(plain(a), r) for r in arrays)
    ]


def plain(a: Any) -> np.ndarray:
    """An array or a tensor as an array, with the same memory."""
    return np.asarray(a.detach() if hasattr(a, "detach") else a)


def require_right(first: Any, second: Any, right: dict[str, np.ndarray], blank: Any) -> None:
    """Shape, dtype, finite; then a known mistake with its hint, or the entry furthest off."""
    pairs = dict(zip(right, zip(first, second, strict=True), strict=True))
    for n, (a, _) in pairs.items():
        if a.shape != right[n].shape:
            raise Wrong(f"{n} has shape {a.shape}, must have {right[n].shape}")
        if a.dtype != right[n].dtype and bool not in (a.dtype, right[n].dtype):
            raise Wrong(f"{n}: shape {a.shape} is right; dtype {a.dtype} must be {right[n].dtype}")
        if not np.isfinite(a).all():
            raise Wrong(f"{n}: NaN or infinite: is something divided by 0?")
    said = {n: opened(blank, n, *pairs[n]) for n in blank["order"]}
    if not (wrong := [n for n in said if said[n] != "✓"]):
        return
    n, a, r = wrong[0], pairs[wrong[0]][0], right[wrong[0]]
    if text := opened(blank, "all", *first, *second) or said[n]:
        raise Wrong(*f"{n}: shape {a.shape} is right. {text}".split("\n"))
    if needs := [other for other in blank["needs"] if other not in PASSED]:
        raise Wrong(f"{n} is wrong, perhaps because {needs[0]} is: get {needs[0]} ✓ first")
    gaps = abs(1.0 * a - r)
    at = tuple(map(int, np.unravel_index(gaps.argmax(), gaps.shape)))
    share = f"{int((gaps < 1e-9).sum())} of {a.size} entries are right; " if a.size > 1 else ""
    entry = f"{share}{n}{list(at) or ''} is {a[at]:.6g}, must be {r[at] + 0.0:.6g}"
    other = "the value is right for one case only: is it rounded, or a number fixed?"
    raise Wrong(f"{n}: shape {a.shape} is right; {entry if gaps[at] > 1e-6 else other}")


def opened(blank: Any, name: str, *arrays: np.ndarray) -> str:
    """The sentence about these results: "✓" if they are right, "" if nobody has foreseen them."""
    key = fingerprint(name, *arrays)
    token = seal(bytes.fromhex(blank["sealed"].get(sha256(key).hexdigest()[:12], "")), key)
    # The token says which sentence it is, and opens it.
    return seal(bytes.fromhex(KNOWN["texts"][int.from_bytes(token[:2])]), token).decode()


def fingerprint(name: str, *arrays: np.ndarray) -> bytes:
    """A digest of one weighted sum of each array; rounding does not change it."""
    steps = [(a.shape, int(np.floor(in_steps(a)))) for a in arrays]
    return sha256(f"{name}{steps}".encode()).digest()


def in_steps(a: np.ndarray) -> float:
    """The array's weighted sum in steps of 2⁻²⁰, of which rounding moves it by some millionths.

    The weights are distinct, so that swapped entries are seen.
    """
    return float((2 * np.arange(a.size) + 1) @ np.ravel(a)) * 2.0**20 + 0.38


def seal(text: bytes, key: bytes) -> bytes:
    """The text, to be read with the key alone; sealed twice it is the text again."""
    stream = b"".join(sha256(key + bytes([i])).digest() for i in range(len(text) // 32 + 1))
    return bytes(a ^ b for a, b in zip(text, stream, strict=False))


def predicted(guess: str, reached: float, wanted: float) -> None:
    """Hold a guess, "yes" or "no", to what came out."""
    if guess not in ("yes", "no"):
        raise Wrong(f'predict ✗ not written yet: put "yes" or "no" in place of "{guess}"')
    came = "yes" if reached >= wanted else "no"
    said = "as you said" if guess == came else f"you said {guess}: what did you not think of?"
    print(f"accuracy {reached:.3f}, at least {wanted}: {came}, {said}")


def sgd_with(
    backward: Callable[..., Any],
    params: Sequence[Any],
    x: Any,
    y: Any,
    order: np.ndarray,
    batch_size: int,
    lr: float,
) -> Iterator[tuple[Any, ...]]:
    """Mini-batch SGD with any backward pass, on arrays or tensors that record nothing."""
    now = tuple(params)
    for epoch in order:
        for batch in np.split(epoch, range(batch_size, len(epoch), batch_size)):
            slopes = backward(x[batch], y[batch], *now)
            now = tuple(p - lr * d for p, d in zip(now, slopes, strict=True))
            yield now
