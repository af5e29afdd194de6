"""What is written down of each epoch of a training."""

from array import array
from collections.abc import Iterable, Sequence
from typing import NamedTuple, overload

import numpy as np


class Epoch(NamedTuple):
    """One row of the history; epoch 0 is the initial network.

    train_loss, val_loss: mean ½ (f − y)²; train_accuracy, val_accuracy: shares where (f ≥ ½) is the
    class; grad_norm_W1 … grad_norm_b2: Euclidean norms of the gradient over the whole training set;
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
    >>> history[-1].val_loss, history.columns["train_loss"]
    (0.5, array([0.5]))
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
