"""Stage 1: the network and its gradients by hand, in NumPy alone.

    a1 = W1 x + b1      h1 = ReLU(a1)      f = W2 h1 + b2      L = mean of ½ (f − y)²

Rows are samples. B is the batch's size, h the number of hidden units.

    x (B, 2)   y (B, 1)   W1 (h, 2)   b1 (h,)   W2 (1, h)   b2 (1,)   a1, h1 (B, h)   f (B, 1)

`backward` reads the forward pass from its bottom to its top, one line a link of the chain rule:
d<name> is ∂L/∂<name> and has the shape of <name>. The other stages are held to this one.
"""

from collections.abc import Iterator

import numpy as np

Array = np.ndarray
Four = tuple[Array, Array, Array, Array]

name = "numpy_manual"


def to_native(array: Array, device: str = "cpu") -> Array:
    """A copy that the stage may change."""
    return array.copy()


def to_numpy(array: Array) -> Array:
    """The values as a NumPy array."""
    return array


def relu(a: Array) -> Array:
    """max(a, 0), entry by entry."""
    return np.maximum(a, 0)


def relu_derivative(a: Array) -> Array:
    """1 (True) where a > 0, else 0 (False): at exactly 0 the derivative is taken to be 0."""
    return a > 0


def forward(x: Array, W1: Array, b1: Array, W2: Array, b2: Array) -> tuple[Array, Array, Array]:
    """From samples to predictions: a1, h1 and f."""
    a1 = x @ W1.T + b1  # (B, h)
    h1 = relu(a1)  # (B, h)
    f = h1 @ W2.T + b2  # (B, 1)
    return a1, h1, f


def loss(f: Array, y: Array) -> Array:
    """L, the mean over the batch of ½ (f − y)²; a scalar."""
    return 0.5 * ((f - y) ** 2).mean()  # ()


def backward(x: Array, y: Array, W1: Array, b1: Array, W2: Array, b2: Array) -> Four:
    """∂L/∂W1, ∂L/∂b1, ∂L/∂W2, ∂L/∂b2 at this batch, by the chain rule from L back to a1."""
    a1, h1, f = forward(x, W1, b1, W2, b2)  # (B, h), (B, h), (B, 1)
    df = (f - y) / len(x)  # (B, 1)
    dW2 = df.T @ h1  # (1, h)
    db2 = df.sum(axis=0)  # (1,)
    dh1 = df @ W2  # (B, h)
    da1 = dh1 * relu_derivative(a1)  # (B, h)
    dW1 = da1.T @ x  # (h, 2)
    db1 = da1.sum(axis=0)  # (h,)
    return dW1, db1, dW2, db2


def sgd(
    params: Four, x: Array, y: Array, order: Array, batch_size: int, lr: float
) -> Iterator[Four]:
    """Mini-batch SGD; yields the parameters after every update, to be copied if kept."""
    W1, b1, W2, b2 = (p.copy() for p in params)  # (h, 2), (h,), (1, h), (1,)
    for rows in order:  # one epoch
        x_epoch, y_epoch = x[rows], y[rows]  # (N, 2), (N, 1)
        for i in range(0, len(rows), batch_size):
            batch = slice(i, i + batch_size)
            dW1, db1, dW2, db2 = backward(x_epoch[batch], y_epoch[batch], W1, b1, W2, b2)
            W1 -= lr * dW1
            b1 -= lr * db1
            W2 -= lr * dW2
            b2 -= lr * db2
            yield W1, b1, W2, b2
