"""Layers as people write them by hand, in five forms; each with mistakes that were made in it."""

from typing import Any

import numpy as np

Array = np.ndarray


# Functions with a cache.


def affine_forward(x: Array, w: Array, b: Array) -> Any:
    return x.reshape(len(x), -1) @ w + b, (x, w, b)


def affine_backward(dout: Array, cache: Any) -> Any:
    x, w, b = cache
    dx = (dout @ w.T).reshape(x.shape)
    return dx, x.reshape(len(x), -1).T @ dout, dout.sum(axis=0)


def relu_forward(x: Array) -> Any:
    return np.maximum(0, x), x


def relu_backward(dout: Array, cache: Array) -> Array:
    return dout * (cache > 0)


def batchnorm_forward(x: Array, gamma: Array, beta: Array, bn_param: dict[str, Any]) -> Any:
    mean, var = x.mean(axis=0), x.var(axis=0)
    running = bn_param.get("running_mean", np.zeros(x.shape[1]))
    bn_param["running_mean"] = 0.9 * running + 0.1 * mean
    std = np.sqrt(var + bn_param.get("eps", 1e-5))
    xhat = (x - mean) / std
    return gamma * xhat + beta, (xhat, gamma, std)


def batchnorm_backward(dout: Array, cache: Any) -> Any:
    xhat, gamma, std = cache
    dxhat = dout * gamma
    dx = (dxhat - dxhat.mean(axis=0) - xhat * (dxhat * xhat).mean(axis=0)) / std
    return dx, (dout * xhat).sum(axis=0), dout.sum(axis=0)


def conv_forward(x: Array, w: Array, b: Array, conv_param: dict[str, int]) -> Any:
    pad, stride = conv_param["pad"], conv_param["stride"]
    padded = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    n, _, height, width = padded.shape
    f, _, hh, ww = w.shape
    out = np.zeros((n, f, 1 + (height - hh) // stride, 1 + (width - ww) // stride), x.dtype)
    for i in range(out.shape[2]):
        for j in range(out.shape[3]):
            window = padded[:, :, i * stride : i * stride + hh, j * stride : j * stride + ww]
            out[:, :, i, j] = np.tensordot(window, w, axes=((1, 2, 3), (1, 2, 3))) + b
    return out, (padded, w, conv_param)


def conv_backward(dout: Array, cache: Any) -> Any:
    padded, w, conv_param = cache
    pad, stride = conv_param["pad"], conv_param["stride"]
    _, _, hh, ww = w.shape
    dpadded, dw = np.zeros_like(padded), np.zeros_like(w)
    for i in range(dout.shape[2]):
        for j in range(dout.shape[3]):
            where = (
                slice(None),
                slice(None),
                slice(i * stride, i * stride + hh),
                slice(j * stride, j * stride + ww),
            )
            d = dout[:, :, i, j]
            dw += np.tensordot(d, padded[where], axes=(0, 0))
            dpadded[where] += np.tensordot(d, w, axes=(1, 0))
    return dpadded[:, :, pad:-pad, pad:-pad], dw, dout.sum(axis=(0, 2, 3))


def sigmoid(a: Array) -> Array:
    return 1 / (1 + np.exp(-a))


def lstm_forward(x: Array, prev_h: Array, prev_c: Array, Wx: Array, Wh: Array, b: Array) -> Any:
    a = x @ Wx + prev_h @ Wh + b
    h = prev_h.shape[1]
    i, f, o = (sigmoid(a[:, k * h : (k + 1) * h]) for k in range(3))
    g = np.tanh(a[:, 3 * h :])
    next_c = f * prev_c + i * g
    t = np.tanh(next_c)
    return o * t, next_c, (x, prev_h, prev_c, Wx, Wh, i, f, o, g, t)


def lstm_backward(dnext_h: Array, dnext_c: Array, cache: Any) -> Any:
    x, prev_h, prev_c, Wx, Wh, i, f, o, g, t = cache
    dc = dnext_c + dnext_h * o * (1 - t**2)
    da = np.hstack(
        [
            dc * g * i * (1 - i),
            dc * prev_c * f * (1 - f),
            dnext_h * t * o * (1 - o),
            dc * i * (1 - g**2),
        ]
    )
    return da @ Wx.T, da @ Wh.T, dc * f, x.T @ da, prev_h.T @ da, da.sum(axis=0)


def dropout_forward(x: Array, p: float) -> Any:
    mask = (np.random.rand(*x.shape) < p) / p
    return x * mask, mask


def dropout_backward(dout: Array, mask: Array) -> Array:
    return dout * mask


# Objects.


class Linear:
    """Adds to dW and db, as layers do that are used more than once; has a buffer besides."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.W, self.b = rng.standard_normal((3, 2)), rng.standard_normal(2)
        self.dW, self.db = np.zeros((3, 2)), np.zeros(2)
        self.velocity = np.zeros((3, 2))

    def forward(self, x: Array) -> Array:
        self.x = x
        return x @ self.W + self.b

    def backward(self, dout: Array) -> Array:
        self.dW += self.x.T @ dout
        self.db += dout.sum(axis=0)
        return dout @ self.W.T


class InDicts:
    """Keeps its parameters and gradients in dicts, and is made without arguments."""

    def __init__(self) -> None:
        rng = np.random.default_rng(7)
        self.params = {"W": rng.standard_normal((3, 2)), "b": rng.standard_normal(2)}
        self.grads: dict[str, Array] = {}

    def forward(self, x: Array) -> Array:
        self.kept = x
        return np.tanh(x @ self.params["W"] + self.params["b"])

    def backward(self, dout: Array) -> Array:
        a = self.kept @ self.params["W"] + self.params["b"]
        da = dout * (1 - np.tanh(a) ** 2)
        self.grads = {"W": self.kept.T @ da, "b": da.sum(axis=0)}
        return da @ self.params["W"].T


class OtherNames:
    """Keeps its gradients under names that nobody could guess."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.scale = rng.standard_normal(3)
        self.out: dict[str, Array] = {}

    def forward(self, x: Array) -> Array:
        self.x = x
        return x * self.scale

    def backward(self, dout: Array) -> Array:
        self.out["s"] = (dout * self.x).sum(axis=0)
        return dout * self.scale


class Static:
    """A class of two functions."""

    @staticmethod
    def forward(x: Array) -> Any:
        return x**3, x

    @staticmethod
    def backward(dout: Array, x: Array) -> Array:
        return 3 * x**2 * dout


def nested_forward(x: Array, theta: dict[str, Any]) -> Any:
    return x @ theta["W"] + theta["b"], (x, theta)


def nested_backward(dout: Array, cache: Any) -> Any:
    x, theta = cache
    return dout @ theta["W"].T, {"dW": x.T @ dout, "db": dout.sum(axis=0)}


class Net:
    """Layers within a layer, one of them shared by name."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.layers: list[Any] = [Linear(rng), Relu()]
        self.last = Listed(rng)

    def forward(self, x: Array) -> Array:
        for layer in self.layers:
            x = layer.forward(x)
        return self.last.forward(x)

    def backward(self, dout: Array) -> Array:
        dout = self.last.backward(dout)
        for layer in reversed(self.layers):
            dout = layer.backward(dout)
        return dout


class Relu:
    """Has no parameters."""

    def forward(self, x: Array) -> Array:
        self.on = x > 0
        return x * self.on

    def backward(self, dout: Array) -> Array:
        return dout * self.on


class Listed:
    """Keeps its parameters and gradients in lists."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.params = [rng.standard_normal((2, 4)), rng.standard_normal(4)]

    def forward(self, x: Array) -> Array:
        self.x = x
        return x @ self.params[0] + self.params[1]

    def backward(self, dout: Array) -> Array:
        self.grads = [self.x.T @ dout, dout.sum(axis=0)]
        return dout @ self.params[0].T


class Hidden:
    """Its weights lie in an object that is no layer."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.store = Store(rng)

    def forward(self, x: Array) -> Array:
        return x * self.store.scale

    def backward(self, dout: Array) -> Array:
        return dout * self.store.scale


class Store:
    """Some numbers."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.scale = rng.standard_normal(3)
