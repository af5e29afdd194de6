"""What a stage has beside what a witness has, and who is to blame where two differ."""

import math
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from handgrad.problem import Array
from handgrad.stages import BREAKS, REFERENCE, STAGES

ALL = "all"
"""Stands for the stage where a run decides nothing."""


@dataclass(frozen=True)
class Comparison:
    """What one stage has, beside what a witness has.

    >>> from handgrad import Config, make_problem, verify
    >>> one = verify(make_problem(Config(epochs=1))).comparisons[0]
    >>> one.stage, one.check, one.quantity, one.bound, one.ok
    ('numpy_manual', 'exact', 'h1', 0.0, True)

    Attributes:
        stage: its name, or "all" where a run decides nothing.
        check: "proof", "exact", "finite difference", "forward", "gradient" or "run".
        quantity: a1, h1, f, L, a gradient dW1 … db2, a parameter W1 … b2, or "" where the stage
            raised an exception.
        max_abs_diff: the largest difference.
        bound: what rounding allows.
        index: of the largest difference; for a run, of the largest when it left the bound.
        got: what the stage has there.
        expected: what the witness has.
        epoch: of a run, where it left the bound.
        step: of a run, where it left the bound.
        message: one line that says what is wrong, empty where nothing is.
    """

    stage: str
    check: str
    quantity: str
    max_abs_diff: float = math.inf
    bound: float = 0.0
    index: tuple[int, ...] = ()
    got: float | None = None
    expected: float | None = None
    epoch: int | None = None
    step: int | None = None
    message: str = ""

    @property
    def ok(self) -> bool:
        """Whether the stage is right here; a comparison is true where this is."""
        return not self.message

    def __bool__(self) -> bool:
        return self.ok


def blamed(
    names: list[str], beside: Callable[[str, str], Comparison], suspects: Collection[str]
) -> Iterator[Comparison]:
    """Each stage beside stage 1; where stage 1 is the odd one out, the blame is its own.

    It is where all the others differ from it, and either it failed a check of its own or they
    agree with each other; unless it is they who failed checks of their own.
    """
    found = [beside(name, REFERENCE) for name in names]
    others = [name for name in names if name != REFERENCE]
    stages = [name for name in others if name in STAGES]  # engines of one author prove nothing
    away = {c.stage for c in found if not c.ok}
    if others and away >= set(others) and not away <= set(suspects):
        united = len(stages) > 1 and all(beside(name, stages[0]).ok for name in stages[1:])
        if REFERENCE in suspects or united:
            found = [replace(c, message="") for c in found]
            yield beside(REFERENCE, others[0])
    yield from found


def compare(
    stage: str, check: str, quantity: str, got: Array, expected: Array, bound: float, witness: str
) -> Comparison:
    """Shape and dtype first, then the entries. witness: who has `expected`, with its verb."""
    for what in ("shape", "dtype"):
        has, must = getattr(got, what), getattr(expected, what)
        if has != must:
            message = f"{stage}: {quantity} has {what} {has}, must have {must}"
            return Comparison(stage, check, quantity, math.inf, bound, message=message)
    gaps = np.where(np.isfinite(got), abs(got - expected), math.inf)
    index = tuple(map(int, np.unravel_index(gaps.argmax(), gaps.shape)))
    gap, one, other = (float(a[index]) for a in (gaps, got, expected))
    message = (
        ""
        if gap <= bound
        else f"{stage}: {label(quantity, index)} is {one:.17g}, {witness} {other:.17g} "
        f"({check}; {gap:.1e} apart, the bound is {bound:.1e})"
    )
    return Comparison(stage, check, quantity, gap, bound, index, one, other, message=message)


def raised(stage: str, check: str, error: BaseException) -> Comparison:
    said = " ".join(str(error).split())
    message = f"{stage}: raised {type(error).__name__} ({check}): {said}"
    return Comparison(stage, check, "", message=message)


def guarded(stage: str, check: str, found: Iterator[Comparison]) -> Iterator[Comparison]:
    """What was found, and a failure of the stage if it raised on the way."""
    try:
        yield from found
    except BREAKS as error:
        yield raised(stage, check, error)


def label(quantity: str, index: Sequence[int]) -> str:
    """A quantity with its index, as one writes it.

    >>> label("dW1", (3, 0)), label("L", ())
    ('dW1[3, 0]', 'L')
    """
    return f"{quantity}[{', '.join(map(str, index))}]" if index else quantity
