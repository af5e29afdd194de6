# %% [markdown]
# # 2 · PyTorch's tensors, without autograd
#
# **Backpropagation you can prove.** [Notebook 1](01_numpy_manual.ipynb) derived every gradient by hand
# in NumPy and checked it.
#
# New here: the library, and nothing else. The same seven lines, in the same order and with the same
# names, on tensors that record nothing (`requires_grad=False`). Two programs that do the same arithmetic
# on the same numbers agree to rounding after one update. Later updates can enlarge the difference, so this
# notebook measures how far rounding alone may carry a run, and shows that both stay within that. It also
# shows three ways in which two programs quietly do not agree.
#
# **After this notebook you can**
#
# - move a backward pass to another library, and prove that nothing changed;
# - say how far apart two right programs may be, at a point and along a run;
# - name three traps: ReLU at 0, (B,) against (B, 1), and float32 by default.
#
# **Time**, in minutes: *The same problem, from the same lines* 3 · *The same lines in tensors* 5 ·
# *Forward and backward agree* 5 · *The whole run agrees* 7 · *Three traps* 10.

# %%
import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import Tensor

# %% folded="The versions, and the names that type hints use" tags=["volatile"]
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from types import ModuleType
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

# include lesson: require

require(np, "2.0")
require(matplotlib, "3.9")
require(torch, "2.4")

# %% [markdown]
# ## The same problem, from the same lines
#
# The next two cells are notebook 1's: its functions that make the problem, and its network, renamed so
# that both networks can stand side by side.

# %% folded="Notebook 1: the problem"
# include problem: Array, samples, initial_parameters, batch_order

# %% folded="Notebook 1: the network, its backward pass and SGD"
# include numpy_manual: Four as ArrayFour, relu as numpy_relu, relu_derivative as numpy_relu_derivative, forward as numpy_forward, loss as numpy_loss, backward as numpy_backward, sgd as numpy_sgd

# %% [markdown]
# These lines use NumPy alone, so the arrays are the same to the last bit. Two libraries seeded with the
# same number would *not* draw the same numbers. So PyTorch draws nothing here: it gets the arrays.

# %%
SEED, HIDDEN, EPOCHS, BATCH_SIZE, LR, N = 42, 8, 200, 32, 0.1, 500
DTYPE = np.float64  # or np.float32

data, init, shuffles = np.random.SeedSequence(SEED).spawn(3)
train, held_out = data.spawn(2)
x_train, y_train = (a.astype(DTYPE) for a in samples(train, N))  # (N, 2), (N, 1)
x_val, y_val = (a.astype(DTYPE) for a in samples(held_out, N))  # (N, 2), (N, 1)
params = [p.astype(DTYPE) for p in initial_parameters(init, HIDDEN)]
order = batch_order(shuffles, N, EPOCHS)  # (EPOCHS, N)

drawn = torch.rand(3, generator=torch.Generator().manual_seed(42))
print("NumPy, seed 42:  ", np.random.default_rng(42).random(3).round(4))
print("PyTorch, seed 42:", drawn.numpy().round(4))

# %% [markdown]
# ## The same lines in tensors
#
# `torch.tensor` copies. `torch.from_numpy` would share memory with the array, and an update in place
# would change the problem behind our back. What differs from NumPy: `dim` for `axis`, `clone` for
# `copy`, `torch.relu` for `np.maximum`. That is all.

# %%
# include pytorch_no_autograd: Four, to_native, relu, relu_derivative, forward, loss, backward, sgd

# %%
x, y, W1, b1, W2, b2 = (to_native(a) for a in (x_train, y_train, *params))
print("x", x.dtype, tuple(x.shape), "requires_grad =", x.requires_grad)

# %% [markdown]
# ## Forward and backward agree
#
# The two libraries may add in different orders. Each operation rounds its result by at most
# $u = \varepsilon / 2$ of its size, and at most $n = h + B + 10$ of them lie on the way to a gradient (notebook 1
# counts them). So either program is off by at most $n u$ times the sum of the sizes of all that is added
# up, and two of them are at most $n \varepsilon$ times that apart. The sums of the sizes are easy to get: run
# the same lines on absolute values.
#
# We look at three points: the initial network, one to which random numbers were added, biases
# included, and one where all units sit on their kinks, $a_1 = 0$ (x = 0 and zero biases; y = 1).

# %% folded="Notebook 1: check, and the bound at a point"
# include lesson: check

# include rounding: point_bounds; forward as numpy_forward, backward as numpy_backward, loss as numpy_loss

# %%
rng = np.random.default_rng(0)
shaken = [(p + 0.5 * rng.standard_normal(p.shape)).astype(DTYPE) for p in params]
on_kinks = [params[0], 0 * params[1], *params[2:]]
points = {
    "initial": (x_train, y_train, *params),
    "shaken": (x_train, y_train, *shaken),
    "on the kinks": (0 * x_train[:1], np.ones((1, 1), DTYPE), *on_kinks),
}

for where, at in points.items():
    bounds = point_bounds(*at)
    x_at, y_at, *ps = map(to_native, at)
    ours, theirs = forward(x_at, *ps), numpy_forward(at[0], *at[2:])
    for name, tensor, array in zip(("a1", "h1", "f"), ours, theirs, strict=True):
        check(f"{name}, {where}", tensor, array, bounds[name])
    check(f"L, {where}", loss(ours[2], y_at), numpy_loss(theirs[2], at[1]), bounds["L"])
    ours, theirs = backward(x_at, y_at, *ps), numpy_backward(*at)
    for name, tensor, array in zip(("dW1", "db1", "dW2", "db2"), ours, theirs, strict=True):
        check(f"{name}, {where}", tensor, array, bounds[name])

# %% [markdown]
# ## The whole run agrees
#
# Each update starts from the last one's result. So what becomes of a difference $\delta$ between two
# runs? The update $p \leftarrow p - \eta \, g(p)$ carries it on. Say the gradient $g$ changes by $\lambda \delta$
# when the parameters change by $\delta$. Then the update multiplies the difference by $1 - \eta \lambda$.
#
# - With $0 < \eta \lambda < 2$ it shrinks.
# - With $\lambda < 0$, where the loss bends downwards, it grows, at every rate.
# - With $\eta \lambda > 2$ it grows too, and changes its sign each time.
#
# Besides, each update adds new roundings, and a unit may be on in one run and off in the other. So
# differences can grow even at a small rate. At a large one two right programs may have nothing in common
# after some thousand updates.
#
# A fixed number alone is therefore no fair bound for a run. We measure: NumPy trains again with the samples
# of each batch and the hidden units in the reverse order, and again with every initial parameter moved to
# the next number. The bound is 50 times the largest difference from the plain run, but at least 1e-12 in
# float64 and 1e-5 in float32 (in proportion more where parameters exceed 4). A mistake that moves the
# parameters by less than the bound is not seen. Above 1e-9 (1e-3) we call the bound useless: the notebook
# says that nothing can be decided at this rate, and does not say "equal".

# %% folded="Helpers: a run on record, its bound, and the check of it"
# include rounding: RUN_FLOOR, RUN_LIMIT, record, apart, run_bound

# include lesson: check_run

# %%
row_order = to_native(order)
numpy_run = record(numpy_sgd(params, x_train, y_train, order, BATCH_SIZE, LR))
torch_run = record(sgd((W1, b1, W2, b2), x, y, row_order, BATCH_SIZE, LR))
RUN_BOUND = run_bound(numpy_sgd, params, x_train, y_train, order, BATCH_SIZE, LR, numpy_run)
check_run(f"W1, b1, W2, b2 after each of {len(torch_run[0])} updates", torch_run, numpy_run, RUN_BOUND)

# %% folded="How two runs are drawn"
# include figures: STYLES, draw_apart, caption

# %%
figure, axes = plt.subplots(figsize=(7.5, 4))
draw_apart(axes, {"PyTorch minus NumPy": torch_run}, numpy_run, RUN_BOUND)
caption(figure, "Where no line is drawn, both are equal to the last bit.")
plt.show()

# %% [markdown]
# A check is worth what it catches. The same run, with `dW2` too large by one part in a billion:

# %%
def nearly_backward(*arguments: Tensor) -> Four:
    """`backward`, with dW2 too large by one part in a billion."""
    dW1, db1, dW2, db2 = backward(*arguments)
    return dW1, db1, dW2 * (1 + 1e-9), db2


# include pytorch_no_autograd: sgd as nearly_sgd; backward as nearly_backward


nearly_run = record(nearly_sgd((W1, b1, W2, b2), x, y, row_order, BATCH_SIZE, LR))
moved = apart(nearly_run, torch_run).max()
print(f"the mistake moves a parameter by up to {moved:.1e}")
try:
    check_run("with the mistake", nearly_run, numpy_run, RUN_BOUND)
except AssertionError as error:
    print(error)
else:
    if RUN_LIMIT[DTYPE.__name__] >= RUN_BOUND and moved > 2 * RUN_BOUND:
        raise AssertionError("the check must see a mistake that moves the run out of its bound")
    print(f"It is not seen in this run: rounding is allowed {RUN_BOUND:.1e}.")

# %% folded="Notebook 1: what is said of a training"
# include lesson: outcome, trained_well

# %%
trained = [torch.tensor(p[-1]) for p in torch_run]
f_val = forward(to_native(x_val), *trained)[2].numpy()
a1_train = forward(x, *trained)[0].numpy()
trained_well(((f_val >= 0.5) == (y_val == 1)).mean(), a1_train, bool(np.isfinite(a1_train).all()))

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
# target, and so all are pulled towards the mean target. `loss` accepts it silently, and gives another
# number. Our hand-written `backward` stops a few lines later, as (B, B) does not fit `W2`. Autograd does
# not: it hands out gradients of the wrong loss, without a word.

# %%
y_flat = y[:, 0]  # (B,)
f = forward(x, W1, b1, W2, b2)[2]
print("f − y has shape", tuple((f - y).shape), "and f − y[:, 0]", tuple((f - y_flat).shape))
for which, at in (("initial", (W1, b1, W2, b2)), ("trained", trained)):
    f = forward(x, *at)[2]
    print(f"{which}: loss {loss(f, y).item():.6f}, with (B,) targets {loss(f, y_flat).item():.6f}")
try:
    backward(x, y_flat, W1, b1, W2, b2)
except RuntimeError as error:
    print("our backward:", error)
else:
    raise AssertionError("our backward pass should refuse targets of shape (B,)")
leaf = W2.clone().requires_grad_()
loss(forward(x, W1, b1, leaf, b2)[2], y_flat).backward()
print("autograd: no error; its dW2 begins", leaf.grad[0, :3].numpy().round(4))
print("the right dW2 begins              ", backward(x, y, W1, b1, W2, b2)[2][0, :3].numpy().round(4))

# %% [markdown]
# ### 3. float32 by default
#
# `torch.tensor([0.1])` is float32, while an array from NumPy keeps its float64. Rounding is then 2²⁹
# times as coarse, half a billion, and so are the bounds at a point. Here are both, from the same float32
# numbers:

# %%
print("torch.tensor([0.1]).dtype          ", torch.tensor([0.1]).dtype)
print("torch.tensor(np.array([0.1])).dtype", torch.tensor(np.array([0.1])).dtype)
narrow = [a.astype(np.float32) for a in (x_train, y_train, *params)]
wide = [a.astype(np.float64) for a in narrow]
narrow_bounds = point_bounds(*narrow)
in_float32, in_float64 = (backward(*map(to_native, arrays)) for arrays in (narrow, wide))
for name, one, other in zip(("dW1", "db1", "dW2", "db2"), in_float32, in_float64, strict=True):
    check(f"{name}, float32 against float64", one, other, narrow_bounds[name])

runs, begin = {}, order[:50]  # 50 epochs are enough
for dtype, (xs, ys, *start) in (("float32", narrow), ("float64", wide)):
    tensors = [to_native(a) for a in (xs, ys, begin)]
    runs[dtype] = record(sgd(tuple(map(to_native, start)), *tensors, BATCH_SIZE, LR))
narrow_bound = run_bound(numpy_sgd, narrow[2:], *narrow[:2], begin, BATCH_SIZE, LR)
check_run("the run, float32 against float64", runs["float32"], runs["float64"], narrow_bound)

# %% tags=["volatile"]
float32_off = apart(runs["float32"], runs["float64"]).max()
print(f"float32's rounding moves the run by {float32_off:.1e}, the mistake in dW2 by {moved:.1e}")

figure, axes = plt.subplots(figsize=(7.5, 4))
draw_apart(axes, {"float32 minus float64": runs["float32"]}, runs["float64"], narrow_bound)
mistaken = {"the run with the mistake minus the one without": [p[: len(runs["float32"][0])] for p in nearly_run]}
draw_apart(axes, mistaken, [p[: len(runs["float32"][0])] for p in torch_run])
caption(figure, "A mistake whose curve lies below float32's rounding cannot be seen in float32.")
plt.show()

# %% [markdown] only="exercise"
# ## Predict, then run
#
# Two questions. Write `"yes"` or `"no"` where the `"?"` stands, before you run the cell.

# %% only="exercise" folded="Your guess, held to what happens"
# include exercise: predicted, sgd_with


def accuracy_with(change: Callable[..., Any]) -> float:
    """The held-out accuracy that mini-batch SGD reaches when every gradient is changed."""

    def other(x: Tensor, y: Tensor, *now: Tensor) -> list[Tensor]:
        slopes = change(*backward(x, y, *(p.clone() for p in now)))
        return [d.detach() for d in slopes]

    *_, last = sgd_with(other, [to_native(p) for p in params], x, y, order, BATCH_SIZE, LR)
    f = numpy_forward(x_val, *(p.numpy() for p in last))[2]
    return float(((f >= 0.5) == (y_val == 1)).mean())


# %% [markdown] only="exercise"
# **1.** Suppose the gradient of `b2` has the wrong sign, and the other three are right. Does the network
# still reach a held-out accuracy of 0.93?

# %% only="exercise"
guess = "?"  # "yes" or "no"
reached = accuracy_with(lambda dW1, db1, dW2, db2: (dW1, db1, dW2, -db2))
predicted(guess, reached, 0.93)

# %% [markdown] only="exercise"
# **2.** Suppose all gradients are ten times too small, and the rate stays as it is. Does it still reach 0.93?

# %% only="exercise"
guess = "?"  # "yes" or "no"
reached = accuracy_with(lambda *gradients: tuple(g / 10 for g in gradients))
predicted(guess, reached, 0.93)

# %% [markdown]
# ## What has been proven
#
# - Forward values, gradients, and the parameters after every update are NumPy's, to rounding. Where
#   rounding alone could carry the runs apart, the notebook says so.
# - As delivered, a mistake of one part in a billion is seen in float64, at the first update. In float32 it
#   drowns in rounding.
# - `torch.relu` keeps our choice ReLU′(0) = 0. `clamp` and `maximum` do not.
#
# Next: [3, autograd](03_pytorch_autograd.ipynb), where PyTorch writes the backward pass.
#
# ## Try
#
# Change a copy. Each answer can be run at the end of this notebook.
#
# **1.** Use `torch.from_numpy` in `to_native`, train in place without `clone`, and look at the
# arrays.
#
# <details><summary>Answer</summary>
#
# ```python
# arrays = [p.copy() for p in params]
# shared = [torch.from_numpy(a) for a in arrays]
# for p, gradient in zip(shared, backward(x, y, *shared)):
#     p -= LR * gradient
# print("the arrays have moved by up to", max(abs(a - p).max() for a, p in zip(arrays, params)).round(4))
# ```
#
# ```text
# the arrays have moved by up to 0.1242
# ```
#
# Tensor and array are the same memory. Whoever trains next starts from another network, and never
# learns why.
# </details>
#
# **2.** Change the learning rate to 1 and to 2. Do the runs drift further apart?
#
# <details><summary>Answer</summary>
#
# ```python
# for rate in (0.1, 1, 2):
#     one = record(numpy_sgd(params, x_train, y_train, order[:50], BATCH_SIZE, rate))
#     other = record(sgd((W1, b1, W2, b2), x, y, to_native(order[:50]), BATCH_SIZE, rate))
#     bound = run_bound(numpy_sgd, params, x_train, y_train, order[:50], BATCH_SIZE, rate, one)
#     print(f"rate {rate}: {apart(other, one).max():.0e} apart, the bound is {bound:.0e}")
# ```
#
# ```text
# rate 0.1: 7e-16 apart, the bound is 1e-12
# rate 1: 2e-15 apart, the bound is 1e-12
# rate 2: 8e-15 apart, the bound is 2e-12
# ```
#
# A little. Here the bound is its least value: 1e-12, and at rate 2, where a parameter grows to 8,
# twice that. 50 times the measured difference is below it.
# </details>
#
# **3.** Add up the samples of each batch in the reverse order, in NumPy alone. How far apart are
# *those* runs?
#
# <details><summary>Answer</summary>
#
# ```python
# backwards = [order[:, i : i + BATCH_SIZE][:, ::-1] for i in range(0, 500, BATCH_SIZE)]
# turned = np.concatenate(backwards, axis=1)
# turned_run = record(numpy_sgd(params, x_train, y_train, turned, BATCH_SIZE, LR))
# print(f"NumPy against itself: {apart(turned_run, numpy_run).max():.0e}")
# print(f"PyTorch against NumPy: {apart(torch_run, numpy_run).max():.0e}")
# ```
#
# ```text
# NumPy against itself: 1e-15
# PyTorch against NumPy: 4e-15
# ```
#
# The same order of magnitude: another order of the additions alone moves NumPy's run about as far. (A
# library may also fuse a product and a sum into one rounding.)
# </details>
