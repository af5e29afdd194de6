"""Softmax with cross-entropy in NumPy: `handgrad check examples/softmax_cross_entropy.py`.

It is proved, not only tested: the same lines run on numbers of 77 digits. `:wrong` forgets that a
mean was taken, `:nearly` has a constant of ten digits, which no finite difference would tell.
"""

import numpy as np

rng = np.random.default_rng(0)
x, labels = rng.standard_normal((6, 4)), rng.integers(0, 3, 6)
params = {"W": rng.standard_normal((4, 3)), "b": rng.standard_normal(3)}
temperature = np.log(10)


def softmax(z):
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def loss(p):
    q = softmax((x @ p["W"] + p["b"]) / temperature)
    return -np.log(q[np.arange(6), labels]).mean()


def grads(p, temperature=temperature):
    dz = softmax((x @ p["W"] + p["b"]) / np.log(10))
    dz[np.arange(6), labels] -= 1
    dz = dz / (6 * temperature)
    return {"W": x.T @ dz, "b": dz.sum(axis=0)}


wrong = {
    "params": params,
    "loss": loss,
    "grads": lambda p: {n: 6 * g for n, g in grads(p).items()},
}
nearly = {"params": params, "loss": loss, "grads": lambda p: grads(p, temperature=2.302585093)}
