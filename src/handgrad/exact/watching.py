"""What is watched while exact numbers are at work: comparisons, ties, how many operations."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from typing import Any

from handgrad.errors import BadInput

_decisions: ContextVar[list[bool] | None] = ContextVar("decisions", default=None)


@contextmanager
def _kept(variable: ContextVar[Any], value: list[Any]) -> Iterator[list[Any]]:
    """What is written down, or counted down, in a list while this is open."""
    token = variable.set(value)
    try:
        yield value
    finally:
        variable.reset(token)


def decisions() -> AbstractContextManager[list[bool]]:
    """How every comparison came out while this was open, in order."""
    return _kept(_decisions, [])


_ties: ContextVar[list[int] | None] = ContextVar("ties", default=None)


def one_sided() -> AbstractContextManager[list[int]]:
    """Equal dual numbers are compared as they are a little further along: by their slopes.

    Gives a list with an entry for each pair that was told apart so: the point lies on a kink.
    """
    return _kept(_ties, [])


_left: ContextVar[list[int] | None] = ContextVar("operations left", default=None)


class TooLong(BadInput):
    """More operations than were allowed."""


def at_most(operations: int) -> AbstractContextManager[list[int]]:
    """Raises `TooLong` once more sums, products and the like than these were taken."""
    return _kept(_left, [operations])


def counted() -> None:
    """One operation more."""
    left = _left.get()
    if left is not None:
        left[0] -= 1
        if left[0] < 0:
            raise TooLong("exact arithmetic must come to an end in the operations allowed")


def decided(outcome: bool) -> bool:
    """A comparison came out so."""
    taken = _decisions.get()
    if taken is not None:
        taken.append(outcome)
    return outcome


def ties() -> list[int] | None:
    """The list that `one_sided` gave, if one is open."""
    return _ties.get()
