"""Which entries of a wrong gradient are wrong? By halving: a block whose slope is right is done.

One wrong entry among n takes about 2 log₂ n slopes. Units (rows) are split first, so that wrong
rows are found as rows; wrong columns show as the same few columns in every row.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from handgrad.checker.arrays import Array, drawn
from handgrad.checker.look import Look

FEW = 32
"""More wrong blocks than this are called dense."""

SOME = 4
"""So many wrong entries in one column suggest that it is the column."""


@dataclass(frozen=True)
class Wrong:
    """The wrong entries' pattern, and the worst entry with both its values."""

    where: str
    index: tuple[int, ...]
    analytic: float
    numeric: float


def locate(look: Look) -> Wrong:
    """Find the wrong entries of one parameter's gradient."""
    gradient = look.gradient
    shape = gradient.shape
    entries = np.arange(gradient.size).reshape(shape)
    rows = entries.reshape(shape[0], -1) if gradient.ndim > 1 else entries.reshape(-1, 1)
    found, where = [], None
    for block in _wrong_blocks(look, rows):
        found.append(block)
        if len(found) == SOME and (column := _one_column(look, found)) is not None:
            where = f"column [{column}]"
            break
        if len(found) > FEW:
            where = "dense"
            break
    if not found:
        where = "dense"
        all_entries = np.arange(gradient.size) if look.only is None else np.flatnonzero(look.only)
        sample = look.rng.choice(all_entries, min(len(all_entries), 16), replace=False)
        found = [np.array([entry]) for entry in sample]
    numeric = {int(e[0]): _numeric(look, int(e[0])) for e in found}
    worst = max(numeric, key=lambda e: abs(gradient.flat[e] - numeric[e]))
    where = where or _pattern(sorted(numeric), shape)
    index = tuple(int(i) for i in np.unravel_index(worst, shape))
    return Wrong(where, index, float(gradient.flat[worst]), numeric[worst])


def _one_column(look: Look, found: list[Array]) -> int | None:
    """The long column that holds them, where all outside of it is right, and others in it wrong."""
    shape = look.gradient.shape
    if len(shape) != 2 or shape[0] <= FEW or look.only is not None:
        return None
    columns = np.arange(look.gradient.size) % shape[1]
    column = int(columns[found[0][0]])
    if any(columns[entry[0]] != column for entry in found):
        return None
    outside, inside = np.flatnonzero(columns != column), np.flatnonzero(columns == column)
    others = look.rng.choice(inside, SOME, replace=False)
    is_it = not _is_wrong(look, outside) and all(_is_wrong(look, o) for o in others)
    return column if is_it else None


def _wrong_blocks(look: Look, block: Array, known: bool = False) -> Iterator[Array]:
    """The wrong single entries in a block of entry numbers (rows, columns)."""
    if not known and not _is_wrong(look, block):
        return
    if block.size == 1:
        yield block.ravel()
        return
    first, second = np.array_split(block, 2, axis=0 if block.shape[0] > 1 else 1)
    there = False
    for wrong in _wrong_blocks(look, first):
        there = True
        yield wrong
    yield from _wrong_blocks(look, second, known=not there)  # it is somewhere


def _is_wrong(look: Look, block: Array) -> bool:
    direction = np.zeros(look.gradient.shape)
    direction.flat[block.ravel()] = drawn(look.rng, (block.size,))
    if look.only is not None:
        direction = np.where(look.only, direction, 0.0)
    if not direction.any():
        return False
    slope = look.method(direction, look.along(direction), hasty=True)
    return look.differs(direction, slope)


def _numeric(look: Look, entry: int) -> float:
    direction = np.zeros(look.gradient.shape)
    direction.flat[entry] = 1.0
    return look.method(direction).value


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
