"""Which entries of a wrong gradient are wrong? By halving: a block whose slope is right is done.

One wrong entry among n takes about 2 log₂ n slopes. Units (rows) are split first, so that wrong
rows are found as rows; wrong columns show as the same few columns in every row.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from handgrad.checker.landscape import Array, Landscape

FEW = 32
"""More wrong blocks than this are called dense."""


@dataclass(frozen=True)
class Wrong:
    """The wrong entries' pattern, and the worst entry with both its values."""

    where: str
    index: tuple[int, ...]
    analytic: float
    numeric: float


def locate(landscape: Landscape, name: str, gradient: Array) -> Wrong:
    """Find the wrong entries of one parameter's gradient."""
    shape = gradient.shape
    entries = np.arange(gradient.size).reshape(shape)
    rows = entries.reshape(shape[0], -1) if gradient.ndim > 1 else entries.reshape(-1, 1)
    found, dense = [], False
    for block in _wrong_blocks(landscape, name, gradient, rows):
        found.append(block)
        if len(found) > FEW:
            dense = True
            break
    if dense or not found:
        sample = landscape.rng.choice(gradient.size, min(gradient.size, 16), replace=False)
        found = [np.array([entry]) for entry in sample]
    numeric = {int(e[0]): _numeric(landscape, name, gradient, int(e[0])) for e in found}
    worst = max(numeric, key=lambda e: abs(gradient.flat[e] - numeric[e]))
    where = "dense" if dense else _pattern(sorted(numeric), shape)
    index = tuple(int(i) for i in np.unravel_index(worst, shape))
    return Wrong(where, index, float(gradient.flat[worst]), numeric[worst])


def _wrong_blocks(
    landscape: Landscape, name: str, gradient: Array, block: Array
) -> Iterator[Array]:
    """The wrong single entries in a block of entry numbers (rows, columns)."""
    if not _is_wrong(landscape, name, gradient, block):
        return
    if block.size == 1:
        yield block.ravel()
        return
    axis = 0 if block.shape[0] > 1 else 1
    for half in np.array_split(block, 2, axis=axis):
        yield from _wrong_blocks(landscape, name, gradient, half)


def _is_wrong(landscape: Landscape, name: str, gradient: Array, block: Array) -> bool:
    direction = np.zeros(gradient.shape)
    direction.flat[block.ravel()] = landscape.rng.standard_normal(block.size)
    along = float((gradient * direction).sum())
    return not landscape.slope(name, direction, along).allows(along)


def _numeric(landscape: Landscape, name: str, gradient: Array, entry: int) -> float:
    direction = np.zeros(gradient.shape)
    direction.flat[entry] = 1.0
    return landscape.slope(name, direction).value


def _pattern(entries: list[int], shape: tuple[int, ...]) -> str:
    places = [tuple(int(i) for i in np.unravel_index(e, shape)) for e in entries]
    if len(entries) == int(np.prod(shape)):
        return "all entries"
    if len(shape) == 2:
        for axis, kind in ((0, "row"), (1, "column")):
            lines = sorted({p[axis] for p in places})
            if len(places) == len(lines) * shape[1 - axis] and shape[1 - axis] > 1:
                return f"{kind}{'s' if len(lines) > 1 else ''} {lines}"
    return f"entries {[list(p) for p in places]}"
