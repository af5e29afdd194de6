"""What is written down of each epoch of a training."""

from array import array
from collections.abc import Iterable, Sequence
from typing import NamedTuple, overload

import numpy as np


class Epoch(NamedTuple):
    """One row of the history; epoch 0 is the initial network.

    >>> from handgrad import Config, make_problem, train
    >>> row = train(make_problem(Config(epochs=1))).rows[-1]
    >>> row.epoch, 0 < row.train_loss < 1
    (1, True)

    Attributes:
        epoch: its number.
        train_loss: mean of ½ (f − y)² over the training samples.
        val_loss: the same over the held-out ones.
        train_accuracy: the share of the training samples whose class (f ≥ ½) is right.
        val_accuracy: the same of the held-out ones.
        grad_norm_W1: Euclidean norm of the gradient over the whole training set, as the next three.
        grad_norm_b1: of b1.
        grad_norm_W2: of W2.
        grad_norm_b2: of b2.
        active_share: of all (sample, unit) pairs, those with a1 > 0.
    """

    epoch: int
    train_loss: float
    val_loss: float
    train_accuracy: float
    val_accuracy: float
    grad_norm_W1: float
    grad_norm_b1: float
    grad_norm_W2: float
    grad_norm_b2: float
    active_share: float


class History(Sequence[Epoch]):
    """The epochs so far, 80 bytes each; its columns are the fields of `Epoch`.

    >>> history = History([Epoch(0, *[0.5] * 9)])
    >>> history.append(Epoch(1, *[0.25] * 9))
    >>> history[-1].val_loss, history.columns["train_loss"], history.table.shape
    (0.25, array([0.5 , 0.25]), (2, 10))
    """

    def __init__(self, epochs: Iterable[Sequence[float]] = ()) -> None:
        self._numbers = array("d")
        for epoch in epochs:
            self.append(epoch)

    def append(self, epoch: Sequence[float]) -> None:
        """One more at the end."""
        self._numbers.extend(epoch)

    @property
    def table(self) -> np.ndarray:
        """(epochs + 1, columns): a copy of all numbers."""
        return np.array(self._numbers).reshape(-1, len(Epoch._fields))

    @property
    def columns(self) -> dict[str, np.ndarray]:
        """One array a column, one entry an epoch."""
        return dict(zip(Epoch._fields, self.table.T.copy(), strict=True))

    def __len__(self) -> int:
        return len(self._numbers) // len(Epoch._fields)

    @overload
    def __getitem__(self, i: int) -> Epoch: ...
    @overload
    def __getitem__(self, i: slice) -> "History": ...
    def __getitem__(self, i: int | slice) -> "Epoch | History":
        if isinstance(i, slice):
            return History(self.table[i])
        row = range(len(self))[i] * len(Epoch._fields)
        epoch, *rest = self._numbers[row : row + len(Epoch._fields)]
        return Epoch(int(epoch), *rest)

    def __repr__(self) -> str:
        return f"History({list(self)})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, History) and self._numbers == other._numbers

    __hash__ = None  # type: ignore[assignment]
