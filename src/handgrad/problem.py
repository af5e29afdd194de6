"""The problem: one configuration, and everything that chance decides in it.

`Config` says what is to be trained, `make_problem` turns it into a `Problem`: data, initial
parameters and batch order. Every engine receives these arrays and draws no random number of its
own, so that two engines can be compared number by number.

Three streams are spawned from the seed: data, initial parameters, batch order. Each can be given
a seed of its own, so that one source of luck varies while the others stand still.
"""

import hashlib
import json
import math
import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Any, NamedTuple

import numpy as np

from handgrad.errors import BadInput
from handgrad.inputs import checked_array, is_number, require_type, shown, whole_number
from handgrad.room import require_room

Array = np.ndarray


class Parameters(NamedTuple):
    """The network's four parameters: W1 (h, 2), b1 (h,), W2 (1, h), b2 (1,).

    >>> from handgrad import Config, make_problem
    >>> params = make_problem(Config(hidden=3)).params
    >>> W1, b1, W2, b2 = params.copy()
    >>> W1.shape, W1 is params.W1
    ((3, 2), False)
    """

    W1: Array
    b1: Array
    W2: Array
    b2: Array

    def copy(self) -> "Parameters":
        """Arrays of their own, with the same values."""
        return Parameters(*(np.array(p) for p in self))


@dataclass(frozen=True)
class Config:
    """What is to be trained. Every field has a default.

    >>> config = Config(hidden=4, init="normal:0.1", n_train=100)
    >>> config.hidden, config.sd, config.steps_per_epoch, config.short_hash()
    (4, 0.1, 4, '414b994f')
    >>> Config.from_dict(config.as_dict()) == config
    True
    >>> Config(lr=-1)
    Traceback (most recent call last):
    handgrad.problem.BadInput: lr must be a finite number above 0, got -1: try 0.1

    Attributes:
        seed: spawns the three random streams: data, initial weights, batch order.
        hidden: units h.
        epochs: passes over the training set.
        lr: learning rate.
        batch_size: samples in a batch; the last may be short.
        n_train: training samples.
        n_val: held-out samples.
        init: "he" (standard deviation √(2 / fan-in), He et al. 2015) or "normal:SD".
        dtype: "float64" or "float32".
        data_seed: a seed for the data alone, None to take `seed`.
        init_seed: a seed for the initial weights alone, None to take `seed`.
        order_seed: a seed for the batch order alone, None to take `seed`.

    Raises:
        BadInput: for a field that cannot be used.
    """

    seed: int = 42
    hidden: int = 8
    epochs: int = 200
    lr: float = 0.1
    batch_size: int = 32
    n_train: int = 500
    n_val: int = 500
    init: str = "he"
    dtype: str = "float64"
    data_seed: int | None = None
    init_seed: int | None = None
    order_seed: int | None = None

    def __post_init__(self) -> None:
        for name in ("hidden", "batch_size", "n_train", "n_val"):
            self._need_integer(name, at_least=1)
        for name in ("seed", "epochs"):
            self._need_integer(name, at_least=0)
        for name in ("data_seed", "init_seed", "order_seed"):
            if getattr(self, name) is not None:
                self._need_integer(name, at_least=0)
        if not isinstance(self.dtype, str) or self.dtype not in ("float64", "float32"):
            raise BadInput(f"dtype must be float64 or float32, got {shown(self.dtype)}")
        if not is_number(self.lr) or not 0 < self.lr <= sys.float_info.max:
            raise BadInput(f"lr must be a finite number above 0, got {shown(self.lr)}: try 0.1")
        object.__setattr__(self, "lr", float(self.lr))
        if self.dtype == "float32" and not 1e-45 < self.lr < 3.4e38:
            raise BadInput(f"lr must be a float32 above 0, got {self.lr:g}: try 0.1")
        if self.batch_size > self.n_train:
            raise BadInput(
                f"batch_size must not exceed n_train, got {self.batch_size} > {self.n_train}: "
                f"take batches of {self.n_train} or fewer"
            )
        _ = self.sd  # raises if init is none

    def _need_integer(self, name: str, at_least: int) -> None:
        object.__setattr__(self, name, whole_number(name, getattr(self, name), at_least))

    @property
    def sd(self) -> float | None:
        """The initial weights' standard deviation; None stands for He's."""
        if isinstance(self.init, str) and self.init == "he":
            return None
        try:
            kind, number = self.init.split(":")
            sd = float(number)
        except (AttributeError, TypeError, ValueError):
            kind, sd = "", math.nan
        if kind != "normal" or not math.isfinite(sd) or sd <= 0:
            raise BadInput(
                f"init must be he or normal:SD with a finite SD above 0, got {shown(self.init)}: "
                "try normal:0.1"
            )
        return sd

    @property
    def steps_per_epoch(self) -> int:
        """Updates in one epoch; the last one may see a short batch."""
        return -(-self.n_train // self.batch_size)

    def as_dict(self) -> dict[str, Any]:
        """The fields as plain values, ready for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> "Config":
        """The inverse of `as_dict`. Raises `BadInput` on a field that does not exist."""
        if not isinstance(fields, Mapping):
            raise BadInput(f"a configuration must be a dict of its fields, got {shown(fields)}")
        unknown = set(fields) - set(cls.__dataclass_fields__)
        if unknown:
            raise BadInput(f"a configuration has no field {', '.join(sorted(map(str, unknown)))}")
        return cls(**fields)

    def short_hash(self) -> str:
        """Eight hexadecimal digits that name this configuration in a folder's name."""
        return short_hash(self.as_dict())


@dataclass(frozen=True)
class Order:
    """Which rows each epoch visits: for every epoch a permutation of the n training rows.

    An iterable of arrays (n,) int64, drawn when they are asked for and always the same: a run of a
    million epochs takes no more memory than one of ten.

    >>> order = Order(np.random.SeedSequence(0), n=3, epochs=2)
    >>> np.asarray(order).shape
    (2, 3)
    """

    stream: np.random.SeedSequence
    n: int
    epochs: int

    def __iter__(self) -> Iterator[Array]:
        rng: Any = np.random.default_rng(self.stream)  # which hands a generator back as it is
        block = max(1, 2**13 // self.n)  # 64 KB: more would be fresh pages each time
        for begun in range(0, self.epochs, block):
            yield from batch_order(rng, self.n, min(block, self.epochs - begun))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        return batch_order(self.stream, self.n, self.epochs).astype(dtype or np.int64)


@dataclass(frozen=True, eq=False)
class Problem:
    """Everything an engine receives. The arrays are checked, copied and made read-only.

    >>> from dataclasses import replace
    >>> import numpy as np
    >>> problem = make_problem(Config(n_train=4, batch_size=2, epochs=3))
    >>> mine = replace(problem, x_train=np.zeros((4, 2)))  # data of your own
    >>> mine.x_train.shape, [piece.shape for piece in mine.orders()]
    ((4, 2), [(3, 4)])
    >>> mine.digest() == problem.digest(), mine.hashed().hexdigest() == mine.digest()
    (False, True)

    Attributes:
        config: what is to be trained.
        x_train: (n_train, 2), of the configuration's dtype, as the next three.
        y_train: (n_train, 1).
        x_val: (n_val, 2), held out.
        y_val: (n_val, 1).
        params: the initial `Parameters`.
        order: for each epoch in turn the order (n_train,) int64 in which it visits the training
            rows: an `Order`, or an array (epochs, n_train).

    Raises:
        BadInput: where an array has another shape, a number that is not finite, or an order that is
            not one permutation a row.
    """

    config: Config
    x_train: Array
    y_train: Array
    x_val: Array
    y_val: Array
    params: Parameters
    order: Order | Array

    def __post_init__(self) -> None:
        require_type("config", self.config, Config)
        c, dtype = self.config, np.dtype(self.config.dtype)
        for name, rows in (("train", c.n_train), ("val", c.n_val)):
            for letter, columns in (("x", 2), ("y", 1)):
                key = f"{letter}_{name}"
                array = checked_array(key, getattr(self, key), (rows, columns), dtype)
                object.__setattr__(self, key, array)
        shapes = parameter_shapes(c.hidden)
        if not isinstance(self.params, tuple) or len(self.params) != len(shapes):
            raise BadInput(f"params must be W1, b1, W2, b2, got {type(self.params).__name__}")
        params = (
            checked_array(name, p, shape, dtype)
            for name, p, shape in zip(Parameters._fields, self.params, shapes, strict=True)
        )
        object.__setattr__(self, "params", Parameters(*params))
        object.__setattr__(self, "order", _checked_order(self.order, (c.epochs, c.n_train)))

    def orders(self, first: int = 0, numbers: int = 2**17) -> Iterator[Array]:
        """The order from epoch `first` on in pieces, arrays (k, n_train) of about `numbers`."""
        rows = islice(self.order, first, None)
        # Two epochs at least: an engine that visits all as it visits the first is to be seen.
        epochs = max(2, numbers // self.config.n_train)
        while piece := list(islice(rows, epochs)):
            yield np.array(piece)

    def hashed(self, epochs: int | None = None) -> "hashlib._Hash":
        """The hash of all arrays and of the order's first epochs, to which more can be added."""
        data = (self.x_train, self.y_train, self.x_val, self.y_val)
        sha = hashlib.sha256()
        for array in (*data, *self.params, *islice(self.order, epochs)):
            sha.update(array.tobytes())
        return sha

    def digest(self, epochs: int | None = None) -> str:
        """Tells two problems apart: what `hashed` comes to, in hexadecimal digits."""
        return self.hashed(epochs).hexdigest()


def make_problem(config: Config | None = None) -> Problem:
    """The XOR-style problem: x uniform on [−1, 1]², y = 1 where x₁·x₂ < 0.

    >>> problem = make_problem(Config(seed=1, n_train=4, batch_size=2))
    >>> problem.x_train.shape, problem.y_train.shape, problem.params.W1.shape
    ((4, 2), (4, 1), (8, 2))

    Args:
        config: what is to be trained; `Config()` where left out.

    Returns:
        A `Problem`. One in float32 is that in float64, cast.

    Raises:
        BadInput: where it does not fit into memory.
    """
    c = config = Config() if config is None else config
    require_type("config", config, Config)
    numbers = 3 * (c.n_train + c.n_val) + 4 * c.hidden + 1
    require_room(8 * numbers, "hidden, n_train and n_val")
    data, init, order = (
        np.random.SeedSequence(config.seed if own is None else own).spawn(3)[stream]
        for stream, own in enumerate((config.data_seed, config.init_seed, config.order_seed))
    )
    # Training and held-out samples draw from streams of their own: more of the one leaves the
    # other as it is.
    train, val = data.spawn(2)
    return Problem(
        config,
        *samples(train, config.n_train),
        *samples(val, config.n_val),
        Parameters(*initial_parameters(init, config.hidden, config.sd)),
        Order(order, config.n_train, config.epochs),
    )


def samples(stream: np.random.SeedSequence, n: int) -> tuple[Array, Array]:
    """n samples: x (n, 2) uniform on [−1, 1]², y (n, 1) is 1 where x₁·x₂ < 0, else 0."""
    x = np.random.default_rng(stream).uniform(-1, 1, (n, 2))  # (n, 2)
    y = (x[:, :1] * x[:, 1:] < 0).astype(np.float64)  # (n, 1)
    return x, y


def initial_parameters(
    stream: np.random.SeedSequence, hidden: int, sd: float | None = None
) -> tuple[Array, Array, Array, Array]:
    """Normal weights of standard deviation sd, or else √(2 / inputs) (He et al. 2015); biases 0."""
    rng = np.random.default_rng(stream)
    W1 = (sd or np.sqrt(2 / 2)) * rng.standard_normal((hidden, 2))  # (h, 2)
    W2 = (sd or np.sqrt(2 / hidden)) * rng.standard_normal((1, hidden))  # (1, h)
    return W1, np.zeros(hidden), W2, np.zeros(1)


def batch_order(stream: np.random.SeedSequence, n: int, epochs: int) -> Array:
    """(epochs, n): row e is the order in which epoch e visits the n samples."""
    # Row after row from one stream: a run of more epochs begins with the same ones.
    rows = np.tile(np.arange(n), (epochs, 1))  # (epochs, n)
    return np.random.default_rng(stream).permuted(rows, axis=1)


def parameter_shapes(hidden: int) -> tuple[tuple[int, ...], ...]:
    """The shapes of W1, b1, W2 and b2 for `hidden` units."""
    return (hidden, 2), (hidden,), (1, hidden), (1,)


def short_hash(fields: Mapping[str, Any]) -> str:
    """Eight hexadecimal digits of plain values, to tell folders apart."""
    text = json.dumps(fields, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def _checked_order(order: Order | Array, shape: tuple[int, int]) -> Order | Array:
    if isinstance(order, Order):
        if (order.epochs, order.n) != shape:
            raise BadInput(f"order must have shape {shape}, got {(order.epochs, order.n)}")
        return order
    rows = checked_array("order", order, shape, np.dtype(np.int64))
    if any(np.any(np.sort(row) != np.arange(len(row))) for row in rows):
        raise BadInput("each row of order must hold every training row's number exactly once")
    return rows
