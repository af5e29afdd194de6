"""Engines for the tests: broken copies of the stages, and one of a fifth kind."""

from collections.abc import Callable, Iterator
from importlib.util import find_spec, module_from_spec
from types import ModuleType
from typing import Any

import numpy as np
import torch

Four = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
Backward = Callable[..., Four]


def copy_of(stage: str) -> ModuleType:
    """The stage's module, executed anew: what a test changes in it stays in it."""
    spec = find_spec(f"handgrad.stages.{stage}")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def with_gradients(stage: str, gradients: Backward) -> ModuleType:
    """The stage, with the gradients of `gradients(x, y, W1, b1, W2, b2)` instead of its own.

    A stage that has no entry in `INSTEAD` would be broken in some other way than is meant, and
    that would be seen for the wrong reason: it is a KeyError.
    """
    module: Any = copy_of(stage)
    INSTEAD[stage](module, gradients)
    return module


def _in_numpy(module: Any, gradients: Backward) -> None:
    module.backward = gradients


def _in_tensors(module: Any, gradients: Backward) -> None:
    module.backward = lambda *tensors: tuple(
        torch.tensor(g) for g in gradients(*(t.numpy() for t in tensors))
    )


def _behind_the_loss(module: Any, gradients: Backward) -> None:
    """Where autograd writes the backward pass: in a `torch.autograd.Function`."""

    class Wrong(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, L: Any, x: Any, y: Any, *params: Any) -> Any:
            ctx.seen = (x, y, *params)
            return L.clone()

        @staticmethod
        def backward(ctx: Any, *dL: Any) -> Any:
            grads = gradients(*(t.detach().numpy() for t in ctx.seen))
            return (None, None, None, *(torch.tensor(g) for g in grads))

    apply: Any = Wrong.apply
    right_forward, right_loss, seen = module.forward, module.loss, {}

    def forward(x: Any, *params: Any) -> Any:
        seen["x"], seen["params"] = x, params
        return right_forward(x, *params)

    def loss(f: Any, y: Any) -> Any:
        L = right_loss(f, y)
        return apply(L.detach(), seen["x"], y, *seen["params"]) if L.requires_grad else L

    module.forward, module.loss = forward, loss


INSTEAD = {
    "numpy_manual": _in_numpy,
    "pytorch_no_autograd": _in_tensors,
    "pytorch_autograd": _behind_the_loss,
    "pytorch_nn_module": _behind_the_loss,
}


class Loops:
    """A fifth engine: plain Python loops over lists of floats, nothing of NumPy's arithmetic."""

    name = "loops"

    def to_native(self, array: np.ndarray, device: str) -> Any:
        return array.tolist()

    def to_numpy(self, native: Any) -> np.ndarray:
        return np.array(native)

    def forward(self, x: Any, W1: Any, b1: Any, W2: Any, b2: Any) -> tuple[Any, Any, Any]:
        a1 = [[w[0] * s[0] + w[1] * s[1] + b for w, b in zip(W1, b1, strict=True)] for s in x]
        h1 = [[max(a, 0.0) for a in row] for row in a1]
        f = [[sum(w * h for w, h in zip(W2[0], row, strict=True)) + b2[0]] for row in h1]
        return a1, h1, f

    def loss(self, f: Any, y: Any) -> Any:
        return sum(0.5 * (p[0] - t[0]) ** 2 for p, t in zip(f, y, strict=True)) / len(f)

    def backward(self, x: Any, y: Any, W1: Any, b1: Any, W2: Any, b2: Any) -> tuple[Any, ...]:
        a1, h1, f = self.forward(x, W1, b1, W2, b2)
        units = range(len(b1))
        dW1, db1, dW2, db2 = [[0.0, 0.0] for _ in units], [0.0 for _ in units], [b1[:]], [0.0]
        dW2 = [[0.0 for _ in units]]
        for s, t, a, h, p in zip(x, y, a1, h1, f, strict=True):
            df = (p[0] - t[0]) / len(x)
            db2[0] += df
            for j in units:
                dW2[0][j] += df * h[j]
                if a[j] > 0:
                    db1[j] += df * W2[0][j]
                    dW1[j][0] += df * W2[0][j] * s[0]
                    dW1[j][1] += df * W2[0][j] * s[1]
        return dW1, db1, dW2, db2

    def sgd(
        self, params: Any, x: Any, y: Any, order: Any, batch_size: int, lr: float
    ) -> Iterator[Any]:
        W1, b1, W2, b2 = params
        for rows in order:
            for i in range(0, len(rows), batch_size):
                batch = rows[i : i + batch_size]
                xs, ys = [x[r] for r in batch], [y[r] for r in batch]
                dW1, db1, dW2, db2 = self.backward(xs, ys, W1, b1, W2, b2)
                W1 = [
                    [w - lr * d for w, d in zip(*pair, strict=True)]
                    for pair in zip(W1, dW1, strict=True)
                ]
                W2 = [[w - lr * d for w, d in zip(W2[0], dW2[0], strict=True)]]
                b1 = [b - lr * d for b, d in zip(b1, db1, strict=True)]
                b2 = [b2[0] - lr * db2[0]]
                yield W1, b1, W2, b2
