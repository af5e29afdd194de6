"""What the notebooks have besides the stages: a look at the versions, and a check that can fail."""

from types import ModuleType
from typing import Any

import numpy as np


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
    """Print the largest difference beside its bound; raise where it is larger, and say where."""
    got, expected = np.asarray(got), np.asarray(expected)
    if got.shape != expected.shape:
        raise AssertionError(f"{what} has shape {got.shape}, must have {expected.shape}")
    apart = abs(got - expected)
    if not apart.max() <= bound:  # NaN is not within any bound
        where = tuple(int(i) for i in np.unravel_index(apart.argmax(), apart.shape))
        raise AssertionError(
            f"{what}{list(where)} is {got[where]:.17g}, must be {expected[where]:.17g}: "
            f"{apart[where]:.1e} apart, the bound is {bound:.1e}"
        )
    print(f"{what}: largest difference {apart.max():.1e} ≤ {bound:.1e}")
