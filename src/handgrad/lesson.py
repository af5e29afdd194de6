"""What the notebooks have besides the stages: proofs, which raise, and outcomes, which do not."""

from collections.abc import Sequence
from types import ModuleType
from typing import Any

import numpy as np

from handgrad.problem import Array
from handgrad.rounding import RUN_LIMIT, apart


def require(module: ModuleType, floor: str) -> None:
    """Print the module's version; raise if it is older than the floor, and say what to do."""
    name, version = module.__name__, module.__version__
    has, needs = ([int(n) for n in v.split(".")[:2]] for v in (version, floor))
    if has < needs:
        raise RuntimeError(
            f"{name} must be {floor} or newer, but this is {version}: run "
            f"`pip install --upgrade {name}` in a terminal, then restart the kernel"
        )
    print(f"{name} {version}, {floor} or newer is needed")


def check(what: str, got: Any, expected: Any, bound: float) -> None:
    """A proof: print the largest difference beside its bound; raise where it is larger.

    Where what is expected has overflowed, say so and decide nothing.
    """
    got, expected = np.asarray(got), np.asarray(expected)
    if got.shape != expected.shape:
        raise AssertionError(f"{what} has shape {got.shape}, must have {expected.shape}")
    if not np.isfinite(expected).all():
        print(f"{what}: not decidable, what it must be is no longer finite")
        return
    floats = [a.dtype for a in (got, expected) if a.dtype.kind == "f"]
    dtype = f" ({min(floats, key=lambda d: d.itemsize)})" if floats else ""  # the coarser one
    apart = abs(got - expected)
    if not apart.max() <= bound:  # NaN is not within any bound
        where = tuple(int(i) for i in np.unravel_index(apart.argmax(), apart.shape))
        raise AssertionError(
            f"{what}{list(where)} is {got[where]:.17g}, must be {expected[where]:.17g}: "
            f"{apart[where]:.1e} apart, the bound is {bound:.1e}{dtype}"
        )
    print(f"{what}: largest difference {apart.max():.1e} ≤ {bound:.1e}{dtype}")


def check_run(what: str, run: Sequence[Array], expected: Sequence[Array], bound: float) -> None:
    """A proof for W1, b1, W2, b2 after every update, see `record`; raise at the first that differs.

    Where rounding alone may carry two right runs too far apart, say so and decide nothing.
    """
    dtype = run[0].dtype.name
    if not bound <= RUN_LIMIT[dtype]:
        far = f"{bound:.1e} apart" if np.isfinite(bound) else "to infinity: training diverges"
        print(f"{what}: not decidable, rounding alone may carry two right runs {far} ({dtype})")
        return
    gaps = apart(run, expected)  # (updates,)
    if not (gaps <= bound).all():
        update = int(np.argmin(gaps <= bound))
        for name, p, q in zip(("W1", "b1", "W2", "b2"), run, expected, strict=True):
            if not (abs(p[update] - q[update]) <= bound).all():
                check(f"{what}, update {update + 1}: {name}", p[update], q[update], bound)
    print(f"{what}: largest difference {gaps.max():.1e} ≤ {bound:.1e} ({dtype})")


def outcome(what: str, came: bool, otherwise: str) -> None:
    """Say whether something came out that need not: no proof, so nothing is raised."""
    print(f"{what}: {'yes' if came else f'not in this run. {otherwise}'}")


def trained_well(accuracy: float, a1: Array, finite: bool = True) -> None:
    """The outcome of a training: 0.93 of the held-out classes. a1 (N, h): the training samples'."""
    off = int((a1 <= 0).all(axis=0).sum())
    why = (
        "The gradients may be right all the same: from these initial weights, at this rate and in "
        f"this time it got no further; {off} of {a1.shape[1]} units are off for every sample. "
        "Notebook 4 counts how often."
        if finite
        else "It diverges: try a smaller learning rate."
    )
    outcome(f"held-out accuracy {accuracy:.3f}, and so at least 0.93", accuracy >= 0.93, why)
