"""Right NumPy code that runs on exact numbers as it is: `PROGRAMS[name]` is loss, grads, params.

params: a seed → parameters. Data and constants are floats, some written with a few digits.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

Array = np.ndarray
Arrays = Any

RNG = np.random.default_rng(3)
X, Y = RNG.standard_normal((5, 4)), np.eye(3)[RNG.integers(0, 3, 5)]
T = RNG.integers(0, 2, 5).astype(float)
MASK = np.tril(np.ones((4, 4))) > 0


def drawn(**shapes: tuple[int, ...]) -> Callable[[int], Arrays]:
    """Normal parameters."""

    def params(seed: int) -> Arrays:
        rng = np.random.default_rng(seed)
        return {name: rng.standard_normal(shape) for name, shape in shapes.items()}

    return params


def softmax(z: Array) -> Array:
    e = np.exp(z - z.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def cross_entropy(p: Arrays) -> Any:
    return -(Y * np.log(softmax(X @ p["W"] + p["b"]))).sum() / 5


def cross_entropy_grads(p: Arrays) -> Arrays:
    dz = (softmax(X @ p["W"] + p["b"]) - Y) / 5
    return {"W": X.T @ dz, "b": dz.sum(axis=0)}


def tanh_network(p: Arrays) -> Any:
    return ((np.tanh(X @ p["W"]) @ p["v"]) ** 2).sum()


def tanh_network_grads(p: Arrays) -> Arrays:
    h = np.tanh(X @ p["W"])
    df = 2 * h @ p["v"]
    return {"W": X.T @ (np.outer(df, p["v"]) * (1 - h**2)), "v": h.T @ df}


def attention(p: Arrays) -> Any:
    """One head with a causal mask, whose scores are −∞ where it is."""
    scores = np.where(MASK, p["q"] @ p["k"].T / 2, -np.inf)
    return ((softmax(scores) @ p["v"]) ** 2).sum()


def attention_grads(p: Arrays) -> Arrays:
    a = softmax(np.where(MASK, p["q"] @ p["k"].T / 2, -np.inf))
    do = 2 * a @ p["v"]
    da = do @ p["v"].T
    ds = np.where(MASK, a * (da - (da * a).sum(axis=-1, keepdims=True)), 0) / 2
    return {"q": ds @ p["k"], "k": ds.T @ p["q"], "v": a.T @ do}


def convolution(p: Arrays) -> Any:
    windows = np.lib.stride_tricks.sliding_window_view(p["x"], 3)
    return (np.sqrt(1 + (windows @ p["k"]) ** 2)).sum()


def convolution_grads(p: Arrays) -> Arrays:
    windows = np.lib.stride_tricks.sliding_window_view(p["x"], 3)
    z = windows @ p["k"]
    dz = z / np.sqrt(1 + z**2)
    return {"x": np.convolve(dz, p["k"]), "k": windows.T @ dz}


def gelu(p: Arrays) -> Any:
    x = X @ p["W"]
    return (0.5 * x * (1 + np.tanh(0.7978845608 * (x + 0.044715 * x**3))) * Y).sum()


def gelu_grads(p: Arrays) -> Arrays:
    x = X @ p["W"]
    t = np.tanh(0.7978845608 * (x + 0.044715 * x**3))
    inner = 0.7978845608 * (1 + 3 * 0.044715 * x**2)
    return {"W": X.T @ (Y * (0.5 * (1 + t) + 0.5 * x * (1 - t**2) * inner))}


def batch_norm(p: Arrays) -> Any:
    x = p["x"]
    x_hat = (x - x.mean(axis=0)) / np.sqrt(x.var(axis=0) + 1e-5)
    return ((p["gamma"] * x_hat + p["beta"]) ** 3).sum()


def batch_norm_grads(p: Arrays) -> Arrays:
    x, n = p["x"], len(p["x"])
    scale = 1 / np.sqrt(x.var(axis=0) + 1e-5)
    x_hat = (x - x.mean(axis=0)) * scale
    dy = 3 * (p["gamma"] * x_hat + p["beta"]) ** 2
    dgamma, dbeta = (dy * x_hat).sum(axis=0), dy.sum(axis=0)
    dx = p["gamma"] * scale / n * (n * dy - dbeta - x_hat * dgamma)
    return {"x": dx, "gamma": dgamma, "beta": dbeta}


def logistic(p: Arrays) -> Any:
    """From the logits, so that no exp is large."""
    z = X @ p["w"]
    return (np.maximum(z, 0) - z * T + np.log1p(np.exp(-np.abs(z)))).mean()


def logistic_grads(p: Arrays) -> Arrays:
    z = X @ p["w"]
    e = np.exp(-np.abs(z))
    q = np.where(z >= 0, 1 / (1 + e), e / (1 + e))
    return {"w": X.T @ (q - T) / 5}


def recurrent(p: Arrays) -> Any:
    h = np.zeros(3)
    for x in X:
        h = np.tanh(p["U"] @ h + p["W"] @ x)
    return (h**2).sum()


def recurrent_grads(p: Arrays) -> Arrays:
    hs = [np.zeros(3)]
    for x in X:
        hs.append(np.tanh(p["U"] @ hs[-1] + p["W"] @ x))
    dh, dU, dW = 2 * hs[-1], 0 * p["U"], 0 * p["W"]
    for x, before, h in zip(X[::-1], hs[-2::-1], hs[:0:-1], strict=True):
        da = dh * (1 - h**2)
        dU, dW, dh = dU + np.outer(da, before), dW + np.outer(da, x), p["U"].T @ da
    return {"U": dU, "W": dW}


def cosine(p: Arrays) -> Any:
    a, b = p["a"], p["b"]
    return (a @ b) / np.sqrt((a @ a) * (b @ b))


def cosine_grads(p: Arrays) -> Arrays:
    a, b = p["a"], p["b"]
    c, na, nb = cosine(p), np.linalg.norm(a), np.linalg.norm(b)
    return {"a": b / (na * nb) - c * a / na**2, "b": a / (na * nb) - c * b / nb**2}


def huber(p: Arrays) -> Any:
    off = X @ p["w"] - T
    return np.where(abs(off) < 0.7, off**2 / 2, 0.7 * (abs(off) - 0.35)).sum()


def huber_grads(p: Arrays) -> Arrays:
    return {"w": X.T @ np.clip(X @ p["w"] - T, -0.7, 0.7)}


PROGRAMS: dict[str, tuple[Any, Any, Any]] = {
    "softmax": (cross_entropy, cross_entropy_grads, drawn(W=(4, 3), b=(3,))),
    "tanh": (tanh_network, tanh_network_grads, drawn(W=(4, 3), v=(3,))),
    "attention": (attention, attention_grads, drawn(q=(4, 2), k=(4, 2), v=(4, 2))),
    "convolution": (convolution, convolution_grads, drawn(x=(7,), k=(3,))),
    "batch norm": (batch_norm, batch_norm_grads, drawn(x=(5, 3), gamma=(3,), beta=(3,))),
    "logistic": (logistic, logistic_grads, drawn(w=(4,))),
    "recurrent": (recurrent, recurrent_grads, drawn(U=(3, 3), W=(3, 4))),
    "cosine": (cosine, cosine_grads, drawn(a=(4,), b=(4,))),
    "Huber": (huber, huber_grads, drawn(w=(4,))),
    "GELU": (gelu, gelu_grads, drawn(W=(4, 3))),
}

ROUNDED = {"GELU", "Huber"}
"""They round what they make of constants alone: they pass, and need not be proved."""
