"""Six wrong backward passes, each beside the right one.

`handgrad check examples/in_the_wild.py:elu` passes, `…:elu_wrong` fails, and so for every pair:
mse, elu, softmax, upsample, rnn, weighted_cross_entropy. `docs/in_the_wild.md` explains them.
"""

import numpy as np

rng = np.random.default_rng(0)


# A loss is averaged over all elements. The wrong backward divides by the first axis only.


def mse_forward(prediction, target):
    error = prediction - target  # (B, K)
    return (error**2).mean(), error


def mse_backward(dout, error):
    return dout * 2 * error / error.size, None  # the target needs no gradient


def mse_backward_wrong(dout, error):
    return dout * 2 * error / len(error), None


mse = {
    "forward": mse_forward,
    "backward": mse_backward,
    "inputs": [rng.standard_normal((5, 3)), rng.standard_normal((5, 3))],
}
mse_wrong = mse | {"backward": mse_backward_wrong}


# ELU's slope below 0 is alpha exp(x), which is out + alpha. The wrong backward lacks parentheses.

alpha = 0.5


def elu_forward(x):
    out = np.where(x > 0, x, alpha * np.expm1(x))
    return out, (x, out)


def elu_backward(dout, cache):
    x, out = cache
    return np.where(x > 0, dout, dout * (out + alpha))


def elu_backward_wrong(dout, cache):
    x, out = cache
    return np.where(x > 0, dout, dout * out + alpha)


elu = {"forward": elu_forward, "backward": elu_backward, "inputs": rng.standard_normal((4, 5))}
elu_wrong = elu | {"backward": elu_backward_wrong}


# Every output of a softmax depends on every input. The wrong backward lets it depend on its own.


def softmax_forward(x):
    e = np.exp(x - x.max(axis=1, keepdims=True))
    p = e / e.sum(axis=1, keepdims=True)  # (B, K)
    return p, p


def softmax_backward(dout, p):
    return p * (dout - (dout * p).sum(axis=1, keepdims=True))


def softmax_backward_wrong(dout, p):
    return dout * p * (1 - p)


softmax = {
    "forward": softmax_forward,
    "backward": softmax_backward,
    "inputs": rng.standard_normal((4, 5)),
}
softmax_wrong = softmax | {"backward": softmax_backward_wrong}


# Each pixel is copied to four. The wrong backward reads the gradient of one of the four.


def upsample_forward(x):
    return x.repeat(2, axis=1).repeat(2, axis=2)  # (B, H, W) → (B, 2H, 2W)


def upsample_backward(dout):
    B, H, W = dout.shape
    return dout.reshape(B, H // 2, 2, W // 2, 2).sum(axis=(2, 4))


def upsample_backward_wrong(dout):
    return dout[:, ::2, ::2]


upsample = {
    "forward": upsample_forward,
    "backward": upsample_backward,
    "inputs": rng.standard_normal((2, 3, 4)),
}
upsample_wrong = upsample | {"backward": upsample_backward_wrong}


# An input acts through all later steps. The wrong dx takes the gradient of its own step only.


def rnn_forward(x, Wx, Wh, b):
    h = np.zeros((x.shape[0], x.shape[1] + 1, len(b)))  # (B, T + 1, H); h[:, -1] is the start: 0
    for t in range(x.shape[1]):
        h[:, t] = np.tanh(x[:, t] @ Wx + h[:, t - 1] @ Wh + b)
    return h[:, :-1], (x, Wx, Wh, h)


def rnn_backward(dout, cache):
    x, Wx, Wh, h = cache
    dx, dWx, dWh, db = np.zeros_like(x), 0, 0, 0
    dlater = np.zeros_like(h[:, 0])  # what the later steps say of h[:, t]
    for t in reversed(range(x.shape[1])):
        dh = dout[:, t] + dlater
        da = dh * (1 - h[:, t] ** 2)
        dx[:, t] = da @ Wx.T
        dWx += x[:, t].T @ da
        dWh += h[:, t - 1].T @ da
        db += da.sum(axis=0)
        dlater = da @ Wh.T
    return dx, dWx, dWh, db


def rnn_backward_wrong(dout, cache):
    x, Wx, Wh, h = cache
    dx, dWx, dWh, db = rnn_backward(dout, cache)
    for t in range(x.shape[1]):
        dx[:, t] = (dout[:, t] * (1 - h[:, t] ** 2)) @ Wx.T
    return dx, dWx, dWh, db


rnn = {
    "forward": rnn_forward,
    "backward": rnn_backward,
    "inputs": [rng.standard_normal(shape) for shape in ((1, 3, 2), (2, 3), (3, 3), (3,))],
}
rnn_wrong = rnn | {"backward": rnn_backward_wrong}


# A row's loss has the weight of its label. The wrong backward gives each column its own weight.

class_weights = np.array([0.5, 1.0, 3.0])


def weighted_cross_entropy_forward(logits, labels):
    p, _ = softmax_forward(logits)  # (B, K)
    rows = np.arange(len(labels))
    loss = -(class_weights[labels] * np.log(p[rows, labels])).mean()
    return loss, (p, labels)


def weighted_cross_entropy_backward(dout, cache):
    p, labels = cache
    difference = p - np.eye(len(class_weights))[labels]
    return dout * class_weights[labels][:, None] * difference / len(labels), None


def weighted_cross_entropy_backward_wrong(dout, cache):
    p, labels = cache
    difference = p - np.eye(len(class_weights))[labels]
    return dout * class_weights * difference / len(labels), None


weighted_cross_entropy = {
    "forward": weighted_cross_entropy_forward,
    "backward": weighted_cross_entropy_backward,
    "inputs": [rng.standard_normal((3, 3)), np.array([0, 1, 2])],
}
weighted_cross_entropy_wrong = weighted_cross_entropy | {
    "backward": weighted_cross_entropy_backward_wrong
}
