"""Stage 3: the same forward pass; autograd writes the backward pass.

    a1 = W1 x + b1      h1 = ReLU(a1)      f = W2 h1 + b2      L = mean of ½ (f − y)²

Rows are samples. B is the batch's size, h the number of hidden units.

    x (B, 2)   y (B, 1)   W1 (h, 2)   b1 (h,)   W2 (1, h)   b2 (1,)   a1, h1 (B, h)   f (B, 1)

What is new: the parameters require gradients, and `.backward()` stands where stage 2 has seven
lines. It adds to what `.grad` holds, so `.grad` is cleared first.
"""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

Four = tuple[Tensor, Tensor, Tensor, Tensor]

name = "pytorch_autograd"


def to_native(array: np.ndarray, device: str = "cpu") -> Tensor:
    """A tensor with its own memory (`torch.from_numpy` would share the array's)."""
    return torch.tensor(array, device=device)


def to_numpy(tensor: Tensor) -> np.ndarray:
    """The values as a NumPy array."""
    return tensor.detach().cpu().numpy()


def relu(a: Tensor) -> Tensor:
    """max(a, 0), entry by entry; autograd takes its derivative at exactly 0 to be 0."""
    return torch.relu(a)


def forward(
    x: Tensor, W1: Tensor, b1: Tensor, W2: Tensor, b2: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """From samples to predictions: a1, h1 and f."""
    a1 = x @ W1.T + b1  # (B, h)
    h1 = relu(a1)  # (B, h)
    f = h1 @ W2.T + b2  # (B, 1)
    return a1, h1, f


def loss(f: Tensor, y: Tensor) -> Tensor:
    """L, the mean over the batch of ½ (f − y)²; a scalar."""
    return 0.5 * ((f - y) ** 2).mean()  # ()


def backward(x: Tensor, y: Tensor, W1: Tensor, b1: Tensor, W2: Tensor, b2: Tensor) -> Four:
    """∂L/∂W1, ∂L/∂b1, ∂L/∂W2, ∂L/∂b2 at this batch, left by autograd in the parameters' `.grad`."""
    for p in (W1, b1, W2, b2):
        p.requires_grad_()
        p.grad = None
    a1, h1, f = forward(x, W1, b1, W2, b2)  # (B, h), (B, h), (B, 1)
    loss(f, y).backward()
    return W1.grad, b1.grad, W2.grad, b2.grad


def sgd(
    params: Four, x: Tensor, y: Tensor, order: Tensor, batch_size: int, lr: float
) -> Iterator[Four]:
    """Mini-batch SGD; yields the parameters after every update, to be copied if kept."""
    W1, b1, W2, b2 = (p.detach().clone() for p in params)  # (h, 2), (h,), (1, h), (1,)
    for rows in order:  # one epoch
        x_epoch, y_epoch = x[rows], y[rows]  # (N, 2), (N, 1)
        for i in range(0, len(rows), batch_size):
            batch = slice(i, i + batch_size)
            dW1, db1, dW2, db2 = backward(x_epoch[batch], y_epoch[batch], W1, b1, W2, b2)
            with torch.no_grad():
                W1 -= lr * dW1
                b1 -= lr * db1
                W2 -= lr * dW2
                b2 -= lr * db2
            yield W1, b1, W2, b2
