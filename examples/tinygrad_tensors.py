"""A gradient by hand in tinygrad: `handgrad check examples/tinygrad_tensors.py`.

`pip install tinygrad==0.14`. `:wrong` keeps σ(x) constant in x σ(x): half of the product rule.
"""

import os

# before the import: tinygrad's own interpreter, which needs no compiler, in this process
os.environ.setdefault("DEV", "PYTHON")
os.environ.setdefault("PARALLEL", "0")

import numpy as np
from tinygrad import Tensor, TinyJit, dtypes
from tinygrad.function import function


def silu_backward(dy, call):
    """dx, in tinygrad's UOps: of the upstream gradient, and of the call that has x in it."""
    (x,) = call.src[1:]
    s = x.sigmoid()
    return (dy * s * (1 + x * (1 - s)),)


def silu_backward_wrong(dy, call):
    (x,) = call.src[1:]
    return (dy * x.sigmoid(),)


@function(grad_fxn=silu_backward)
def silu(x):
    return x * x.sigmoid()


@function(grad_fxn=silu_backward_wrong)
def silu_wrong(x):
    return x * x.sigmoid()


rng = np.random.default_rng(0)
y = rng.standard_normal(3)
params = {"gate": rng.standard_normal(3), "value": rng.standard_normal(3)}


def tensors(p):
    """In float64: tinygrad's own default is float32."""
    return {name: Tensor(array.tolist(), dtype=dtypes.float64) for name, array in p.items()}


def swiglu(silu):
    """The loss of a gated unit, and its gradients."""

    def loss_of(t):
        target = Tensor(y.tolist(), dtype=dtypes.float64)
        return ((silu(t["gate"]) * t["value"] - target) ** 2).sum()

    quick = TinyJit(lambda t: loss_of(t).realize())  # a check calls it some hundred times

    def loss(p):
        return quick(tensors(p)).item()

    def grads(p):
        t = tensors(p)
        found = loss_of(t).gradient(*t.values())
        return {name: gradient.numpy() for name, gradient in zip(t, found, strict=True)}

    return {"params": params, "loss": loss, "grads": grads}


loss, grads = swiglu(silu)["loss"], swiglu(silu)["grads"]
wrong = swiglu(silu_wrong)
