"""A backward pass in NumPy: `handgrad check examples/numpy_backward.py`.

`wrong` holds the same with a mistake in it: `handgrad check examples/numpy_backward.py:wrong`.
"""

import numpy as np

rng = np.random.default_rng(0)
x, y = rng.standard_normal((20, 3)), rng.standard_normal((20, 1))
params = {
    "W1": rng.standard_normal((5, 3)),
    "b1": rng.standard_normal(5),
    "W2": rng.standard_normal((1, 5)),
    "b2": rng.standard_normal(1),
}


def activations(p):
    """What enters the ReLU: with it, kinks are certified rather than avoided by luck."""
    return {"a1": x @ p["W1"].T + p["b1"]}


def loss(p):
    h1 = np.maximum(activations(p)["a1"], 0)
    return 0.5 * ((h1 @ p["W2"].T + p["b2"] - y) ** 2).mean()


def grads(p):
    a1 = activations(p)["a1"]
    h1 = np.maximum(a1, 0)
    df = (h1 @ p["W2"].T + p["b2"] - y) / len(x)
    da1 = df @ p["W2"] * (a1 > 0)
    return {"W1": da1.T @ x, "b1": da1.sum(axis=0), "W2": df.T @ h1, "b2": df.sum(axis=0)}


def wrong_grads(p):
    right = grads(p)
    return {**right, "b1": right["b1"] / len(x)}  # averaged twice


wrong = {"params": params, "loss": loss, "grads": wrong_grads, "activations": activations}
