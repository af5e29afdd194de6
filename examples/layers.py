"""Layers in five of the forms in which people write them, each checked as it stands.

    handgrad check examples/layers.py:affine      two functions and a cache
    handgrad check examples/layers.py:lstm        two outputs, and so two upstream gradients
    handgrad check examples/layers.py:batchnorm   a dict of options, which forward writes into
    handgrad check examples/layers.py:linear      an object that adds to dW and db
    handgrad check examples/layers.py:in_dicts    a class that keeps all in dicts

`wrong` is an affine layer whose bias gradient is averaged: the 1/B belongs to the loss.
"""

import numpy as np

rng = np.random.default_rng(0)
x = rng.standard_normal((6, 4))


def affine_forward(x, w, b):
    return x @ w + b, (x, w)


def affine_backward(dout, cache):
    x, w = cache
    return dout @ w.T, x.T @ dout, dout.sum(axis=0)


affine = {
    "forward": affine_forward,
    "backward": affine_backward,
    "inputs": [x, rng.standard_normal((4, 3)), rng.standard_normal(3)],
}


def wrong_backward(dout, cache):
    dx, dw, db = affine_backward(dout, cache)
    return dx, dw, db / len(dout)


wrong = affine | {"backward": wrong_backward}


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


def lstm_forward(x, h, c, Wx, Wh, b):
    i, f, o, g = np.split(x @ Wx + h @ Wh + b, 4, axis=1)
    i, f, o, g = sigmoid(i), sigmoid(f), sigmoid(o), np.tanh(g)
    next_c = f * c + i * g
    next_h = o * np.tanh(next_c)
    return next_h, next_c, (x, h, c, Wx, Wh, i, f, o, g, next_c)


def lstm_backward(dnext_h, dnext_c, cache):
    x, h, c, Wx, Wh, i, f, o, g, next_c = cache
    t = np.tanh(next_c)
    dc = dnext_c + dnext_h * o * (1 - t**2)
    di, df, do, dg = dc * g, dc * c, dnext_h * t, dc * i
    parts = [di * i * (1 - i), df * f * (1 - f), do * o * (1 - o), dg * (1 - g**2)]
    da = np.concatenate(parts, axis=1)
    return da @ Wx.T, da @ Wh.T, dc * f, x.T @ da, h.T @ da, da.sum(axis=0)


lstm = {
    "forward": lstm_forward,
    "backward": lstm_backward,
    "inputs": [rng.standard_normal(s) for s in ((6, 4), (6, 3), (6, 3), (4, 12), (3, 12), (12,))],
}


def batchnorm_forward(x, gamma, beta, options):
    mean, std = x.mean(axis=0), np.sqrt(x.var(axis=0) + options["eps"])
    options["running_mean"] = 0.9 * options.get("running_mean", 0) + 0.1 * mean
    xhat = (x - mean) / std
    return gamma * xhat + beta, (xhat, gamma, std)


def batchnorm_backward(dout, cache):
    xhat, gamma, std = cache
    d = dout * gamma
    dx = (d - d.mean(axis=0) - xhat * (d * xhat).mean(axis=0)) / std
    return dx, (dout * xhat).sum(axis=0), dout.sum(axis=0)


batchnorm = {
    "forward": batchnorm_forward,
    "backward": batchnorm_backward,
    "inputs": [x, rng.standard_normal(4), rng.standard_normal(4), {"eps": 1e-5}],
}


class Linear:
    def __init__(self):
        self.W, self.b = rng.standard_normal((4, 3)), np.zeros(3)
        self.dW, self.db = np.zeros_like(self.W), np.zeros_like(self.b)

    def forward(self, x):
        self.x = x
        return x @ self.W + self.b

    def backward(self, dout):
        self.dW += self.x.T @ dout
        self.db += dout.sum(axis=0)
        return dout @ self.W.T


linear = {"layer": Linear(), "inputs": x}


class InDicts:
    def __init__(self):
        self.params = {"W": rng.standard_normal((4, 3)), "b": np.zeros(3)}
        self.grads = {}

    def forward(self, x):
        self.x = x
        self.out = np.tanh(x @ self.params["W"] + self.params["b"])
        return self.out

    def backward(self, dout):
        da = dout * (1 - self.out**2)
        self.grads["W"], self.grads["b"] = self.x.T @ da, da.sum(axis=0)
        return da @ self.params["W"].T


in_dicts = {"layer": InDicts, "inputs": x}
