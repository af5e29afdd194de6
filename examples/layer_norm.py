"""Layer norm as a layer that keeps what its backward pass needs, in NumPy.

`handgrad check examples/layer_norm.py` proves it. `:wrong` takes the variance for a constant.
"""

import numpy as np


class LayerNorm:
    """y = γ x̂ + β, with x̂ = (x − mean) / √(variance + ε) along the last axis."""

    def __init__(self, gamma, beta):
        self.gamma, self.beta = gamma, beta

    def forward(self, x):
        self.scale = 1 / np.sqrt(x.var(axis=-1, keepdims=True) + 1e-5)
        self.x_hat = (x - x.mean(axis=-1, keepdims=True)) * self.scale
        return self.gamma * self.x_hat + self.beta

    def backward(self, dy):
        self.dgamma, self.dbeta = (dy * self.x_hat).sum(axis=0), dy.sum(axis=0)
        g = dy * self.gamma
        along_x_hat = (g * self.x_hat).mean(axis=-1, keepdims=True)
        return self.scale * (g - g.mean(axis=-1, keepdims=True) - self.x_hat * along_x_hat)


rng = np.random.default_rng(1)
params = {"x": rng.standard_normal((5, 6)), "gamma": np.ones(6), "beta": np.zeros(6)}
dy = rng.integers(-8, 9, (5, 6)) / 4  # their sums are exact in floats too


def loss(p):
    return (LayerNorm(p["gamma"], p["beta"]).forward(p["x"]) * dy).sum()


def grads(p):
    layer = LayerNorm(p["gamma"], p["beta"])
    layer.forward(p["x"])
    return {"x": layer.backward(dy), "gamma": layer.dgamma, "beta": layer.dbeta}


def grads_without_the_variance(p):
    layer = LayerNorm(p["gamma"], p["beta"])
    layer.forward(p["x"])
    layer.backward(dy)
    g = dy * layer.gamma
    dx = layer.scale * (g - g.mean(axis=-1, keepdims=True))
    return {"x": dx, "gamma": layer.dgamma, "beta": layer.dbeta}


wrong = {"params": params, "loss": loss, "grads": grads_without_the_variance}
