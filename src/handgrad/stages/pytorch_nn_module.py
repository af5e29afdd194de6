"""Stage 4: the same network as an `nn.Module`, fed by a `DataLoader`, stepped by `torch.optim.SGD`.

    a1 = W1 x + b1      h1 = ReLU(a1)      f = W2 h1 + b2      L = mean of ½ (f − y)²

Rows are samples. B is the batch's size, h the number of hidden units.

    x (B, 2)   y (B, 1)   W1 (h, 2)   b1 (h,)   W2 (1, h)   b2 (1,)   a1, h1 (B, h)   f (B, 1)

What is new: the module holds the parameters, the loader makes the batches in the problem's own
order, the optimizer clears the gradients and updates.
"""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Sampler, TensorDataset

Four = tuple[Tensor, Tensor, Tensor, Tensor]

name = "pytorch_nn_module"


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


class TwoLayerXOR(nn.Module):
    """The network with its four parameters declared by hand; called with x it gives f."""

    def __init__(self, W1: Tensor, b1: Tensor, W2: Tensor, b2: Tensor) -> None:
        super().__init__()
        self.W1 = nn.Parameter(W1.clone())  # (h, 2)
        self.b1 = nn.Parameter(b1.clone())  # (h,)
        self.W2 = nn.Parameter(W2.clone())  # (1, h)
        self.b2 = nn.Parameter(b2.clone())  # (1,)

    def forward(self, x: Tensor) -> Tensor:
        a1, h1, f = forward(x, self.W1, self.b1, self.W2, self.b2)  # (B, h), (B, h), (B, 1)
        return f


class EpochOrder(Sampler[int]):
    """Visits the training rows in a given order: a row of `order` (epochs, N), see `set_epoch`."""

    def __init__(self, order: Tensor) -> None:
        self.order, self.epoch = order, 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the row; every pass repeats it until the next call (as `DistributedSampler`)."""
        if not 0 <= epoch < len(self.order):
            raise IndexError(f"epoch must be 0 to {len(self.order) - 1}, got {epoch}")
        self.epoch = epoch

    def __len__(self) -> int:
        return self.order.shape[1]

    def __iter__(self) -> Iterator[int]:
        return iter(self.order[self.epoch].tolist())


def backward(x: Tensor, y: Tensor, W1: Tensor, b1: Tensor, W2: Tensor, b2: Tensor) -> Four:
    """∂L/∂W1, ∂L/∂b1, ∂L/∂W2, ∂L/∂b2 at this batch, left by autograd in a new module's `.grad`."""
    model = TwoLayerXOR(W1, b1, W2, b2)
    loss(model(x), y).backward()
    return model.W1.grad, model.b1.grad, model.W2.grad, model.b2.grad


def sgd(
    params: Four, x: Tensor, y: Tensor, order: Tensor, batch_size: int, lr: float
) -> Iterator[Four]:
    """Mini-batch SGD; yields the parameters after every update, to be copied if kept."""
    model = TwoLayerXOR(*params)
    optimizer = torch.optim.SGD(model.parameters(), lr=lr)
    data, sampler = TensorDataset(x, y), EpochOrder(order)
    # A loader without a generator of its own draws a number from PyTorch's global one.
    loader = DataLoader(data, batch_size, sampler=sampler, generator=torch.Generator())
    for epoch in range(len(order)):
        sampler.set_epoch(epoch)
        for x_batch, y_batch in loader:
            optimizer.zero_grad()
            loss(model(x_batch), y_batch).backward()
            optimizer.step()
            yield model.W1, model.b1, model.W2, model.b2
