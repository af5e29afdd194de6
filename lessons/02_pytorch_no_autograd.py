# %% [markdown]
# # 2 · PyTorch's tensors, without autograd
#
# **Backpropagation you can prove.** Notebook 1 derived every gradient by hand in NumPy and checked it.
#
# New here: the library, and nothing else. The same seven lines, in the same order and with the same
# names, on tensors that record nothing (`requires_grad=False`). If two programs do the same
# arithmetic on the same numbers, they must agree to rounding, at every step of a training run. We
# show that they do, and three ways in which they quietly would not.

# %%
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

# include lesson: require, check

# include figures: caption

# %% tags=["volatile"]
require(np, "2.0")
require(matplotlib, "3.9")
require(torch, "2.4")

# %% [markdown]
# ## The same problem, from the same lines
#
# These cells are notebook 1's. They use NumPy alone, so the arrays are the same to the last bit. Two
# libraries seeded with the same number would *not* draw the same numbers: PyTorch gets the arrays.

# %%
# include problem: Array, samples, initial_parameters, batch_order

# %%
SEED, HIDDEN, EPOCHS, BATCH_SIZE, LR = 42, 8, 200, 32, 0.1

data, init, shuffles = np.random.SeedSequence(SEED).spawn(3)
train, held_out = data.spawn(2)
x_train, y_train = samples(train, 500)  # (500, 2), (500, 1)
x_val, y_val = samples(held_out, 500)  # (500, 2), (500, 1)
params = initial_parameters(init, HIDDEN)
order = batch_order(shuffles, 500, EPOCHS)  # (200, 500)

seed_42 = torch.rand(3, generator=torch.Generator().manual_seed(42))
print("NumPy, seed 42:  ", np.random.default_rng(42).random(3).round(4))
print("PyTorch, seed 42:", seed_42.numpy().round(4))

# %% [markdown]
# Notebook 1's functions, renamed so that both can stand side by side:

# %%
# include numpy_manual: Four as ArrayFour, relu as numpy_relu, relu_derivative as numpy_relu_derivative, forward as numpy_forward, loss as numpy_loss, backward as numpy_backward, sgd as numpy_sgd

# %% [markdown]
# ## The same lines in tensors
#
# `torch.tensor` copies; `torch.from_numpy` would share memory with the array, and an update in place
# would change the problem behind our back. What differs from NumPy: `dim` for `axis`, `clone` for
# `copy`, `torch.relu` for `np.maximum`. That is all.

# %%
# include pytorch_no_autograd: Four, to_native, relu, relu_derivative, forward, loss, backward, sgd

# %%
x, y, W1, b1, W2, b2 = (to_native(a) for a in (x_train, y_train, *params))
x_held_out, row_order = to_native(x_val), to_native(order)
print("x", x.dtype, tuple(x.shape), "requires_grad =", x.requires_grad)

# %% [markdown]
# ## Forward: every intermediate agrees
#
# `a1` and `h1` add up three numbers, `f` nine, `L` five hundred. Each addition may round by 1.1e-16 of
# its result, and the two libraries may add in different orders. 2e-14 is about 200 such roundings on
# numbers near 1.

# %%
names = ("a1", "h1", "f")
ours, theirs = forward(x, W1, b1, W2, b2), numpy_forward(x_train, *params)
for name, tensor, array in zip(names, ours, theirs, strict=True):
    check(name, tensor, array, 2e-14)
check("L", loss(ours[2], y), numpy_loss(theirs[2], y_train), 2e-14)

# %% [markdown]
# ## Backward: every gradient agrees
#
# At the initial network, and at three to which random numbers were added, biases included.

# %%
rng = np.random.default_rng(0)
names = ("dW1", "db1", "dW2", "db2")
for trial in range(4):
    point = [p + (0.5 * rng.standard_normal(p.shape) if trial else 0) for p in params]
    ours = backward(x, y, *map(to_native, point))
    for name, tensor, array in zip(names, ours, numpy_backward(x_train, y_train, *point), strict=True):
        check(f"{name} at point {trial}", tensor, array, 2e-14)

# %% [markdown]
# ## The whole run agrees
#
# 200 epochs, 3,200 updates, and each starts from the last one's result. An update rounds a parameter
# by at most 1.1e-16 of its size, and the sizes stay below 3. 3,200 such roundings, all of them in the
# same direction, would be 1e-12: that is the bound. The figure shows how far below it the run stays.

# %%
def record(updates: Iterator[Any]) -> list[Array]:
    """W1, b1, W2, b2 after every update, copied: `sgd` goes on changing its own."""
    copies = [[np.asarray(p).copy() for p in params] for params in updates]
    return [np.stack(p) for p in zip(*copies, strict=True)]


def check_run(run: list[Array], expected: list[Array], bound: float) -> None:
    """Check each parameter; an index is [update, ...], counted from 0."""
    for name, p, q in zip(("W1", "b1", "W2", "b2"), run, expected, strict=True):
        check(f"{name} after every update", p, q, bound)


def largest_apart(run: list[Array], expected: list[Array]) -> Array:
    """The largest difference in any parameter, for each update; NaN where there is none."""
    apart = [abs(p - q).reshape(len(p), -1).max(axis=1) for p, q in zip(run, expected, strict=True)]
    largest = np.max(apart, axis=0)
    return np.where(largest > 0, largest, np.nan)  # a log axis has no place for 0


numpy_run = record(numpy_sgd(params, x_train, y_train, order, BATCH_SIZE, LR))
torch_run = record(sgd((W1, b1, W2, b2), x, y, row_order, BATCH_SIZE, LR))
print("updates", len(torch_run[0]), "largest size of a parameter", max(abs(p).max() for p in torch_run).round(2))
check_run(torch_run, numpy_run, 1e-12)

# %%
figure, axes = plt.subplots(figsize=(7.5, 4))
axes.semilogy(largest_apart(torch_run, numpy_run), "k-", linewidth=0.8, label="largest difference")
axes.axhline(1e-12, color="grey", linestyle="--", label="bound")
axes.set(xlabel="update", ylabel="difference in a parameter")
axes.legend()
caption(figure, "After 3,200 updates the two runs are still equal to 14 decimals.")
plt.show()

# %% [markdown]
# A check is worth what it catches. The same run, with `dW2` too large by one part in a billion:

# %%
def nearly_backward(*arguments: Tensor) -> Four:
    """`backward`, with dW2 wrong in its ninth digit."""
    dW1, db1, dW2, db2 = backward(*arguments)
    return dW1, db1, dW2 * (1 + 1e-9), db2


# include pytorch_no_autograd: sgd as nearly_sgd; backward as nearly_backward


nearly = record(nearly_sgd((W1, b1, W2, b2), x, y, row_order, BATCH_SIZE, LR))
try:
    check_run(nearly, numpy_run, 1e-12)
except AssertionError as error:
    print(error)
else:
    raise AssertionError("the check must see a mistake of one part in a billion")

# %%
def accuracy(f: Tensor, y: Array) -> float:
    """The share of samples whose class, 1 where f ≥ ½, is y."""
    return ((f.numpy() >= 0.5) == (y == 1)).mean()


*_, trained = sgd((W1, b1, W2, b2), x, y, row_order, BATCH_SIZE, LR)
final = accuracy(forward(x_held_out, *trained)[2], y_val)
print(f"held-out accuracy {final:.3f}")
if final < 0.93:
    raise AssertionError(f"held-out accuracy must reach 0.93, got {final}")

# %% [markdown]
# ## Three traps
#
# ### 1. `clamp` is not `relu`, at exactly 0
#
# `a.clamp(min=0)` gives the same values as `torch.relu(a)`. Their derivatives at 0 differ, and so does
# that of `torch.maximum`. (These slopes come from autograd, notebook 3's subject.)

# %%
def slope_at_zero(function: Any) -> float:
    """The derivative that PyTorch takes at exactly 0."""
    a = torch.zeros(1, requires_grad=True)
    function(a).backward()
    return a.grad.item()


slopes = {
    "relu": slope_at_zero(torch.relu),
    "clamp(min=0)": slope_at_zero(lambda a: a.clamp(min=0)),
    "maximum(a, 0)": slope_at_zero(lambda a: torch.maximum(a, torch.zeros(1))),
}
for name, slope in slopes.items():
    print(f"{name:<14} slope at 0: {slope}")
check("relu′(0) against relu_derivative(0)", slopes["relu"], relu_derivative(torch.zeros(())), 0)

# %% [markdown]
# ### 2. (B,) against (B, 1)
#
# With targets of shape (B,), `f - y` broadcasts to (B, B): every prediction is compared with every
# target. `loss` accepts it silently. At the initial network nobody would notice: the two losses agree
# in two decimals. For the trained network they do not. Our hand-written `backward` refuses the shapes
# further on; autograd would not.

# %%
f = forward(x, W1, b1, W2, b2)[2]
print("f − y", tuple((f - y).shape), " f − y[:, 0]", tuple((f - y[:, 0]).shape))
for which, at in (("initial", (W1, b1, W2, b2)), ("trained", trained)):
    f = forward(x, *at)[2]
    print(f"{which}: loss {loss(f, y).item():.6f}, with (B,) targets {loss(f, y[:, 0]).item():.6f}")
if torch.isclose(loss(f, y), loss(f, y[:, 0])):
    raise AssertionError("the two losses should differ for the trained network")
try:
    backward(x, y[:, 0], W1, b1, W2, b2)
except RuntimeError as error:
    print("backward:", error)
else:
    raise AssertionError("our backward pass should refuse targets of shape (B,)")

# %% [markdown]
# ### 3. float32 by default
#
# `torch.tensor([0.1])` is float32; an array from NumPy keeps its float64. Rounding is 2²⁹, half a
# billion times as coarse, and so are the bounds.

# %%
print("torch.tensor([0.1]).dtype          ", torch.tensor([0.1]).dtype)
print("torch.tensor(np.array([0.1])).dtype", torch.tensor(np.array([0.1])).dtype)
narrow = [t.float() for t in (x, y, W1, b1, W2, b2)]
for name, tensor, array in zip(names, backward(*narrow), backward(x, y, W1, b1, W2, b2), strict=True):
    check(f"{name}, float32 against float64", tensor, array, 2e-14 * 2**29)
float32_run = record(sgd(tuple(narrow[2:]), *narrow[:2], row_order, BATCH_SIZE, LR))
check_run(float32_run, numpy_run, 1e-12 * 2**29)

# %%
figure, axes = plt.subplots(figsize=(7.5, 4))
for run, style, label in ((torch_run, "k-", "float64"), (float32_run, "k--", "float32")):
    axes.semilogy(largest_apart(run, numpy_run), style, linewidth=0.8, label=label)
axes.set(xlabel="update", ylabel="difference from NumPy, float64", ylim=(1e-17, 1e-2))
axes.legend()
caption(figure, "The same lines in float32: a mistake of 1e-6 would drown in its rounding.")
plt.show()

# %% [markdown]
# ## What has been proven
#
# - Forward values, gradients, and the parameters after each of 3,200 updates are NumPy's, to rounding.
# - In float64 a gradient wrong by one part in a billion is seen. In float32 rounding alone moves the
#   run a thousand times as far as that mistake does, and hides it.
# - `torch.relu` keeps the contract ReLU′(0) = 0; `clamp` and `maximum` do not.
#
# ## Try
#
# 1. Put `torch.from_numpy` into `to_native`, train in place without `clone`, and look at `params`.
# 2. Change the learning rate to 1 and to 2. Do the runs drift further apart?
# 3. Add the samples of each batch in the reverse order, in NumPy alone. How far apart are *those* runs?
#
# Next: `03_pytorch_autograd`, where PyTorch writes the backward pass.
