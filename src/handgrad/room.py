"""How much memory there is: what does not fit is refused before it is begun."""

import os
from decimal import Decimal

from handgrad.errors import BadInput


def memory() -> int:
    """The machine's memory in bytes; 2⁴⁰ where the system does not tell."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return 2**40


def require_room(size: int, names: str) -> None:
    """Raises `BadInput` where numbers of so many bytes do not fit into memory.

    >>> require_room(10**30, "hidden and epochs")
    Traceback (most recent call last):
    handgrad.errors.BadInput: hidden and epochs must be small enough for the machine's …
    """
    there = memory()
    if size > there:
        raise BadInput(
            f"{names} must be small enough for the machine's {there / 1e9:,.0f} GB of memory, but "
            f"take {Decimal(size) / 10**9:,.3g} GB: take fewer"
        )
