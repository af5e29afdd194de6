"""How the sweep's functions are compiled: once, and kept on the disk where there is a place."""

from collections.abc import Callable
from typing import Any

from handgrad.errors import BadInput

try:
    from numba import njit, uint32, uint64  # here alone
except ValueError as error:  # its settings come from the environment: NUMBA_NUM_THREADS=0
    raise BadInput(f"numba must be able to start, got: {error} Look at NUMBA_… in env") from None

__all__ = ["compiled", "fused", "kept", "uint32", "uint64"]

kept = True
"""Whether what is compiled is kept for the next run; not where nothing can be written."""


def compiled(function: Callable[..., Any]) -> Any:
    """Without Python's lock, and with a division by 0 that gives what IEEE 754 says."""
    return _kept(function, nogil=True, error_model="numpy")


def fused(function: Callable[..., Any]) -> Any:
    """`compiled`, and a product and a sum may be rounded together.

    Of `fastmath` only "contract": the others assume that no number is NaN, and divergence would go
    unseen.
    """
    return _kept(function, nogil=True, error_model="numpy", fastmath={"contract"})


def _kept(function: Callable[..., Any], **flags: Any) -> Any:
    global kept
    try:
        return njit(cache=True, **flags)(function)
    except RuntimeError:  # no folder for it, as in a container whose disk is read-only
        kept = False
        return njit(**flags)(function)
