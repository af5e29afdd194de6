"""What is to be trained: every combination of a grid, for every seed."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from itertools import product
from typing import Any, NamedTuple

import numpy as np

from handgrad.errors import BadInput
from handgrad.inputs import require_type, shown, whole_number
from handgrad.problem import Config, short_hash
from handgrad.room import require_room

SOURCES = ("data", "init", "order")
"""The three sources of luck; each has a stream of its own."""

CHUNK = 512
"""Trainings that are done, and written, together: a fraction of a second's work."""

WORK = 10**17
"""Units × samples × epochs over all trainings; two cores do some 3 · 10⁹ a second."""

LARGEST = 10**11
"""Units × samples × epochs of one training: a minute of one core's work."""

MOST_TRAININGS = 100_000_000
"""Trainings in one sweep: a day's work for two cores."""


class Cell(NamedTuple):
    """One combination: the configuration without its seeds, and the streams that vary."""

    config: Config
    varies: str

    def seeded(self, seed: int) -> Config:
        """The configuration of one training: the seed is that of the streams that vary."""
        own = {f"{source}_seed": seed for source in self.varies.split(",")}
        return Config.from_dict(self.config.as_dict() | own)


class Chunk(NamedTuple):
    """Seeds start to stop (not included) of a cell, and its number among all chunks.

    looked_at: the epochs after which its held-out samples are looked at.
    """

    number: int
    cell: Cell
    start: int
    stop: int
    looked_at: tuple[int, ...]


@dataclass(frozen=True)
class Grid:
    """Every combination of vary, init, hidden and lr, for the seeds 0 to seeds − 1.

    >>> grid = Grid(seeds=100, hidden=(2, 4), lr=(0.05, 0.1, 0.2), epochs=15)
    >>> len(grid.cells), grid.trainings, len(grid.chunks), grid.looked_at
    (6, 600, 6, (0, 10, 15))
    >>> Grid.from_dict(grid.as_dict()) == grid, grid.short_hash() == Grid().short_hash()
    (True, False)

    Attributes:
        seeds: trainings of each combination.
        hidden: units, one or more, as the next three.
        lr: learning rates.
        init: "he" or "normal:SD".
        vary: which streams take a training's own seed, the others that of `seed`: "all", or some of
            "data", "init", "order" joined by commas; several groups are trained side by side, and
            "each" stands for data, init, order and all, each a group.
        seed: of the streams that do not vary.
        epochs: see `Config`, as the next four.
        batch_size: samples in a batch.
        n_train: training samples.
        n_val: held-out samples.
        dtype: "float32" or "float64".
        every: epochs between two looks at the held-out samples, 0 for the last epoch alone.

    Raises:
        BadInput: where a field cannot be used.
    """

    seeds: int = 1000
    hidden: tuple[int, ...] = (8,)
    lr: tuple[float, ...] = (0.1,)
    init: tuple[str, ...] = ("he",)
    vary: tuple[str, ...] = ("all",)
    seed: int = 42
    epochs: int = 200
    batch_size: int = 32
    n_train: int = 500
    n_val: int = 500
    dtype: str = "float32"
    every: int = 10

    def __post_init__(self) -> None:
        for name, least in (("seeds", 1), ("every", 0), ("seed", 0)):
            object.__setattr__(self, name, whole_number(name, getattr(self, name), least))
        if self.seed >= 2**64:
            raise BadInput(f"seed must be below 2⁶⁴, got {self.seed}")
        for name in ("hidden", "lr", "init", "vary"):
            values = getattr(self, name)
            values = values.tolist() if isinstance(values, np.ndarray) else values
            one = isinstance(values, str) or not hasattr(values, "__iter__")
            values = (values,) if one else tuple(values)
            if not values:
                raise BadInput(f"{name} must hold at least one value, got none")
            plain = (v.item() if isinstance(v, np.generic) else v for v in values)
            object.__setattr__(self, name, tuple(plain))
        object.__setattr__(self, "vary", tuple(_groups(self.vary)))
        self._require_combinations()
        self._require_size()

    def _require_combinations(self) -> None:
        for name in ("epochs", "batch_size", "n_train", "n_val"):
            object.__setattr__(self, name, getattr(self.cells[0].config, name))
        seen = set()
        for config, varies in self.cells:  # raises if a combination is none
            key = (varies, config.sd, config.hidden, config.lr)
            if key in seen:
                raise BadInput(
                    f"no combination must be there twice, but h = {config.hidden}, lr "
                    f"{config.lr:g}, {config.init}, {varies} varying is: leave one out"
                )
            seen.add(key)

    def _require_size(self) -> None:
        if self.trainings > MOST_TRAININGS:
            raise BadInput(
                f"a sweep must be of at most {MOST_TRAININGS:,} trainings, got "
                f"{self.trainings:,}: take fewer seeds or combinations"
            )
        widest = max(c.hidden * max(c.n_train, c.n_val) for c, _ in self.cells)
        looks = self.epochs // self.every if self.every else 1
        require_room(16 * widest + 4 * CHUNK * looks, "hidden, n_train, n_val and epochs")
        sizes = [c.hidden * c.n_train * c.epochs for c, _ in self.cells]
        if max(sizes) > LARGEST:
            raise BadInput(
                f"each training must be of at most {LARGEST:.0e} units × samples × epochs, a "
                f"minute's work, got {max(sizes):.0e}: take fewer of them"
            )
        work = sum(sizes) * self.seeds
        if work > WORK:
            raise BadInput(
                f"a sweep must be of at most {WORK:.0e} units × samples × epochs, a year's work, "
                f"got {work:.0e}: take fewer of them"
            )

    @cached_property
    def cells(self) -> list[Cell]:
        """All combinations, the learning rate the fastest."""
        return [
            Cell(
                Config(
                    seed=self.seed,
                    hidden=hidden,
                    epochs=self.epochs,
                    lr=lr,
                    batch_size=self.batch_size,
                    n_train=self.n_train,
                    n_val=self.n_val,
                    init=init,
                    dtype=self.dtype,
                ),
                varies,
            )
            for varies, init, hidden, lr in product(self.vary, self.init, self.hidden, self.lr)
        ]

    @property
    def trainings(self) -> int:
        """How many networks are trained."""
        return len(self.cells) * self.seeds

    @property
    def chunks(self) -> list[Chunk]:
        """The work in its order, in pieces."""
        starts, looked_at = range(0, self.seeds, CHUNK), self.looked_at
        return [
            Chunk(number, cell, start, min(start + CHUNK, self.seeds), looked_at)
            for number, (cell, start) in enumerate(product(self.cells, starts))
        ]

    @property
    def looked_at(self) -> tuple[int, ...]:
        """The epochs after which the held-out samples are looked at."""
        if not self.every:
            return (self.epochs,)
        return tuple(sorted({*range(0, self.epochs, self.every), self.epochs}))

    def as_dict(self) -> dict[str, Any]:
        """The fields as JSON has them."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}

    @classmethod
    def from_dict(cls, found: Mapping[str, Any]) -> "Grid":
        """The inverse of `as_dict`. Raises `BadInput` on fields that are not a grid's."""
        require_type("a grid", found, dict)
        if set(found) != {field.name for field in fields(cls)}:
            raise BadInput("a grid must have the fields that Grid has")
        values: dict[str, Any] = {
            k: tuple(v) if isinstance(v, list) else v for k, v in found.items()
        }
        return cls(**values)

    def short_hash(self) -> str:
        """Eight hexadecimal digits that name this grid in a folder's name."""
        return short_hash(self.as_dict())


def _groups(vary: tuple[str, ...]) -> Iterator[str]:
    """Each group's sources in the order of `SOURCES`, joined by commas."""
    if "each" in vary:
        vary = (*SOURCES, "all", *(group for group in vary if group != "each"))
    for group in vary:
        named = set(str(group).split(","))
        if named == {"all"}:
            named = set(SOURCES)
        if not named <= set(SOURCES):
            raise BadInput(
                f"vary must be all, each, or some of {', '.join(SOURCES)} joined by commas, "
                f"got {shown(group)}"
            )
        yield ",".join(source for source in SOURCES if source in named)
