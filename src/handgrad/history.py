"""What is written down of each epoch of a training."""

from typing import NamedTuple


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
