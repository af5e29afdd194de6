"""A derivative by hand in HIPS autograd: `handgrad check examples/hips_autograd.py`.

`pip install autograd`. `:wrong` takes the length that it divides by for a constant.
"""

import autograd.numpy as np
from autograd import grad
from autograd.extend import defvjp, primitive


def lengths(x):
    return np.sqrt((x**2).sum(axis=1, keepdims=True))


@primitive
def unit(x):
    """Each row, divided by its length."""
    return x / lengths(x)


@primitive
def unit_wrong(x):
    return x / lengths(x)


def unit_vjp(u, x):
    return lambda du: (du - u * (u * du).sum(axis=1, keepdims=True)) / lengths(x)


def unit_vjp_wrong(u, x):
    return lambda du: du / lengths(x)


defvjp(unit, unit_vjp)
defvjp(unit_wrong, unit_vjp_wrong)

rng = np.random.default_rng(0)
x, y = rng.standard_normal((8, 2)), rng.standard_normal(8)
params = {"W": rng.standard_normal((2, 3)), "v": rng.standard_normal(3)}


def loss(p, unit=unit):
    return ((unit(x @ p["W"]) @ p["v"] - y) ** 2).mean()


def loss_wrong(p):
    return loss(p, unit_wrong)


grads = grad(loss)
wrong = {"params": params, "loss": loss_wrong, "grads": grad(loss_wrong)}
