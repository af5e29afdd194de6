# %% [markdown]
# # 3 · Autograd
#
# **Backpropagation you can prove.** [Notebook 1](01_numpy_manual.ipynb) and
# [notebook 2](02_pytorch_no_autograd.ipynb) wrote the backward pass by hand, and showed that NumPy and
# PyTorch agree on it, the whole run included.
#
# New here: the parameters say `requires_grad=True`. PyTorch then records the forward pass as a graph,
# and `loss.backward()` walks it back. The hand-written lines are still here, as the witness: every
# gradient of autograd is compared with them, and with differences as a third.
#
# **After this notebook you can**
#
# - say what PyTorch records, where a gradient is kept, and why it adds up there;
# - use `requires_grad`, `retain_grad`, `detach` and `no_grad` for what they are for;
# - read the three error messages that everybody meets;
# - put a backward pass of your own into autograd, and check it.
#
# **Time**, in minutes: *The same problem* 2 · *The same forward pass, recorded* 8 ·
# *`backward()`, against the hand-written gradients* 12 · *A third witness: differences* 8 ·
# *Our backward pass inside autograd* 10 · *The whole run agrees* 5.

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
from torch.autograd.function import once_differentiable
from torch.autograd.gradcheck import GradcheckError

# include lesson: require

require(np, "2.0")
require(matplotlib, "3.9")
require(torch, "2.4")

# %% [markdown]
# ## The same problem
#
# As in notebooks 1 and 2, to the last bit. The folded cells are notebook 1's.

# %% folded="Notebook 1: the problem"
# include problem: Array, samples, initial_parameters, batch_order

# %% folded="Notebook 1: the network, its backward pass and SGD"
# include numpy_manual: Four as ArrayFour, relu as numpy_relu, relu_derivative as numpy_relu_derivative, forward as numpy_forward, loss as numpy_loss, backward as numpy_backward, sgd as numpy_sgd

# %% folded="Notebooks 1 and 2: check, and the bound at a point"
# include lesson: check

# include rounding: point_bounds; forward as numpy_forward, backward as numpy_backward, loss as numpy_loss

# %%
SEED, HIDDEN, EPOCHS, BATCH_SIZE, LR, N = 42, 8, 200, 32, 0.1, 500
DTYPE = np.float64  # or np.float32

data, init, shuffles = np.random.SeedSequence(SEED).spawn(3)
train, held_out = data.spawn(2)
x_train, y_train = (a.astype(DTYPE) for a in samples(train, N))  # (N, 2), (N, 1)
x_val, y_val = (a.astype(DTYPE) for a in samples(held_out, N))  # (N, 2), (N, 1)
params = [p.astype(DTYPE) for p in initial_parameters(init, HIDDEN)]
order = batch_order(shuffles, N, EPOCHS)  # (EPOCHS, N)
print("training samples", x_train.shape, "held-out samples", x_val.shape)

# %% [markdown]
# ## The same forward pass, recorded
#
# The forward lines do not change. What changes is that the four parameters require gradients.

# %%
# include pytorch_autograd: Four, to_native, relu, forward, loss

# %%
NAMES = ("dW1", "db1", "dW2", "db2")
x, y = to_native(x_train), to_native(y_train)  # (N, 2), (N, 1)
W1, b1, W2, b2 = (to_native(p).requires_grad_() for p in params)
a1, h1, f = forward(x, W1, b1, W2, b2)
L = loss(f, y)
for name, tensor in (("x", x), ("W1", W1), ("a1", a1), ("f", f)):
    print(f"{name:<3} requires_grad = {tensor.requires_grad!s:<6} is_leaf = {tensor.is_leaf}")
BOUNDS = point_bounds(x_train, y_train, *params)
check("L", L.item(), numpy_loss(numpy_forward(x_train, *params)[2], y_train), BOUNDS["L"])

# %% [markdown]
# A **leaf** is a tensor that no recorded operation made: data, or a parameter. A tensor requires a
# gradient if it was told to, or if anything it was made from does. So `a1` requires one, and is no leaf.
#
# PyTorch refuses to hand a tensor that requires a gradient to NumPy, as NumPy would lose the recording.
# `f.detach()` is the same tensor outside the graph. (It shares its memory with `f`: change one in place,
# and the other changes too.) `torch.no_grad()` switches the recording off for a whole block.

# %%
try:
    f.numpy()
except RuntimeError as error:
    print("f.numpy():", error)
else:
    raise AssertionError("PyTorch should refuse to hand NumPy a tensor that requires a gradient")
with torch.no_grad():
    print("under no_grad: f requires_grad =", forward(x, W1, b1, W2, b2)[2].requires_grad)

# %% [markdown]
# ### The graph
#
# Every result that requires a gradient knows the operation that made it (`grad_fn`), and that one knows
# where its inputs came from (`next_functions`). Read it from the top. The last operation of the forward
# pass comes first. That is the order of the chain rule in notebook 1. `Mul`, `Mean` and `Pow` are the
# loss's ½, mean and square, `Sub` is f − y, `Add` adds a bias, `Mm` is `@`, `Permute` is `.T`.
# `AccumulateGrad` is the end of a path: it adds what arrives to the `.grad` of a parameter.

# %%
def walk(node: Any, names: dict[int, str], depth: int = 0) -> list[str]:
    """The graph behind `node`, one operation a line, inputs further to the right."""
    if node is None:  # an input that needs no gradient
        return []
    leaf = getattr(node, "variable", None)
    name = f"{type(node).__name__}" + (f" → {names[id(leaf)]}" if leaf is not None else "")
    below = [line for after, _ in node.next_functions for line in walk(after, names, depth + 1)]
    return ["    " * depth + name, *below]


graph = walk(L.grad_fn, {id(W1): "W1", id(b1): "b1", id(W2): "W2", id(b2): "b2"})
print("\n".join(graph))
if sum("AccumulateGrad" in line for line in graph) != 4:
    raise AssertionError("the graph must end in the four parameters")

# %% [markdown]
# ## `backward()`, against the hand-written gradients
#
# `L.backward()` adds ∂L/∂p to the `.grad` of every **leaf** that requires one and that L depends on. The
# gradient of an intermediate such as `f` is used on the way and thrown away, to save memory.
# `retain_grad()` asks to keep it. So each link of notebook 1's chain can be compared, not only its ends.

# %%
def recorded() -> dict[str, Tensor]:
    """A new forward pass, and everything in it that can have a gradient, by name."""
    leaves = [to_native(p).requires_grad_() for p in params]
    a1, h1, f = forward(x, *leaves)
    for tensor in (a1, h1, f):
        tensor.retain_grad()
    names = ("W1", "b1", "W2", "b2", "a1", "h1", "f", "L")
    return dict(zip(names, (*leaves, a1, h1, f, loss(f, y)), strict=True))


tensors = recorded()
tensors["L"].backward()
for name, gradient in zip(NAMES, numpy_backward(x_train, y_train, *params), strict=True):
    check(name, tensors[name[1:]].grad, gradient, BOUNDS[name])

# %% [markdown]
# The intermediates, by the same lines as in `numpy_backward`:

# %%
numpy_a1, _, numpy_f = numpy_forward(x_train, *params)
df = (numpy_f - y_train) / len(x_train)  # (B, 1)
dh1 = df @ params[2]  # (B, h)
da1 = dh1 * numpy_relu_derivative(numpy_a1)  # (B, h)
for name, gradient in (("df", df), ("dh1", dh1), ("da1", da1)):
    check(name, tensors[name[1:]].grad, gradient, BOUNDS[name])

# %% [markdown]
# ### Gradients accumulate
#
# `backward()` **adds** to `.grad`. Two losses, one after the other, leave the gradient of their sum. That is
# useful when a batch is worked through in parts. It is a trap when the old gradient should be gone: two
# calls without clearing give twice the gradient, and nothing complains.

# %%
twice = recorded()
for _ in range(2):
    loss(forward(x, *(twice[p] for p in ("W1", "b1", "W2", "b2")))[2], y).backward()
check("W1.grad after two backward passes, against twice one", twice["W1"].grad, 2 * tensors["W1"].grad, 2 * BOUNDS["dW1"])

# %% [markdown]
# ### `backward` twice on the same graph
#
# That was a new forward pass each time. The same `L` cannot go back twice: after the first walk PyTorch
# frees the values that the graph had kept for it (here f − y, h1 and the factors of the products). You
# will meet this message:

# %%
once = recorded()
once["L"].backward()
try:
    once["L"].backward()
except RuntimeError as error:
    print(str(error).split(". ")[0])
else:
    raise AssertionError("PyTorch should refuse to walk a freed graph")

# %% [markdown]
# The cure is nearly always to compute the loss anew. (`backward(retain_graph=True)` keeps the graph, for
# the rare case that really needs it twice.)
#
# Our own function `backward` clears `.grad` first and then calls PyTorch's `.backward()`. That one line
# stands where notebook 2 had seven. In `sgd` the update stands under `no_grad`: it is no part of the loss,
# and must not be recorded. While PyTorch records, it refuses to change a leaf that requires a gradient in
# place. ("Variable" in the message is an old name for a tensor.)

# %%
# include pytorch_autograd: backward, sgd

# %%
stepped = recorded()["W1"]
try:
    stepped -= LR * tensors["W1"].grad
except RuntimeError as error:
    print("without no_grad:", error)
else:
    raise AssertionError("PyTorch should refuse to change a leaf in place while it records")

# %% [markdown]
# ## A third witness: differences
#
# Central differences of the loss know neither the hand-written lines nor autograd. As in notebook 1, all
# parameters are first moved by small random amounts. The differences are taken on the 32 samples that are
# farthest from every kink, with half the largest step that crosses none, once in float64 and once in
# float32. The bound is notebook 1's: roundings, times ε, times |f − y|, times the sizes, over the step.

# %% folded="Notebook 1: the bound on a difference"
# include rounding: slope_bound; forward as numpy_forward

# %%
def central_difference(p: Tensor, loss_at: Callable[[], Tensor], step: float) -> Tensor:
    """The slope of the loss in each entry of p, which is changed on the way and restored."""
    slopes = torch.zeros_like(p)
    for index in np.ndindex(p.shape):
        was = p[index].item()
        p[index] = was + step
        above = loss_at()
        p[index] = was - step
        below = loss_at()
        p[index] = was
        slopes[index] = (above - below) / (2 * step)
    return slopes


def slopes_and_gradients(dtype: type, step: float) -> tuple[list[tuple[Tensor, Tensor]], float]:
    """For each parameter its slope and autograd's gradient; and the bound on their difference."""
    arrays = [a.astype(dtype) for a in (x_train[rows], y_train[rows], *point)]
    xs, ys, *ps = map(to_native, arrays)
    gradients = [g.clone() for g in backward(xs, ys, *ps)]
    with torch.no_grad():
        slopes = [central_difference(p, lambda: loss(forward(xs, *ps)[2], ys), step) for p in ps]
    return list(zip(slopes, gradients, strict=True)), slope_bound(*arrays, step)


rng = np.random.default_rng(0)
point = [(p + 0.1 * rng.standard_normal(p.shape)).astype(DTYPE) for p in params]
rows = np.argsort(-abs(numpy_forward(x_train, *point)[0]).min(axis=1))[:32]
first_kink = float(abs(numpy_forward(x_train[rows], *point)[0]).min())
print(f"largest step that crosses no kink for sure: {first_kink:.1e}; we take half of it")
for dtype in (np.float64, np.float32):
    pairs, allowed = slopes_and_gradients(dtype, first_kink / 2)
    for name, (slope, gradient) in zip(NAMES, pairs, strict=True):
        check(name, slope, gradient, allowed)

# %% [markdown]
# ### Why float32 seems to disagree
#
# With a small step float32's slopes look bad, and one is tempted to blame the ReLU's kink. But float64
# takes **the same step at the same point**, and no sample crosses a kink. Its errors are smaller by about
# 2²⁹ = 5.4e8, the ratio of the two roundings. What is seen in float32 is rounding:

# %% tags=["volatile"]
for tiny in (first_kink / 1e2, first_kink / 1e4, first_kink / 1e6):
    errors = []
    for dtype in (np.float64, np.float32):
        pairs, _ = slopes_and_gradients(dtype, tiny)
        errors.append(max((slope - gradient).abs().max().item() for slope, gradient in pairs))
    print(f"step {tiny:.0e}: largest error {errors[0]:.0e} in float64, {errors[1]:.0e} in float32")

# %% [markdown]
# ## Our backward pass inside autograd
#
# A `torch.autograd.Function` carries its own backward pass. This one has the hand-written lines in it, and
# `.backward()` uses it like a built-in. `ctx` keeps what the backward pass needs, `dL` is what arrives
# from above (1, when L is the end), and a `None` says that x or y gets no gradient. These lines give first
# derivatives only. `once_differentiable` makes PyTorch refuse a second one, which would be wrong.

# %%
class HandWrittenLoss(torch.autograd.Function):
    """L from x, y, W1, b1, W2, b2, with notebook 1's backward pass."""

    @staticmethod
    def forward(ctx, x, y, W1, b1, W2, b2):
        a1, h1, f = forward(x, W1, b1, W2, b2)
        ctx.save_for_backward(x, y, W2, a1, h1, f)
        return loss(f, y)

    @staticmethod
    @once_differentiable
    def backward(ctx, dL):
        x, y, W2, a1, h1, f = ctx.saved_tensors
        df = dL * (f - y) / len(x)  # (B, 1)
        dW2 = df.T @ h1  # (1, h)
        db2 = df.sum(dim=0)  # (1,)
        dh1 = df @ W2  # (B, h)
        da1 = dh1 * (a1 > 0)  # (B, h)
        dW1 = da1.T @ x  # (h, 2)
        db1 = da1.sum(dim=0)  # (h,)
        return None, None, dW1, db1, dW2, db2


# %% [markdown]
# `torch.autograd.gradcheck` compares it with central differences. It needs float64 inputs. It accepts an
# error up to atol + rtol · |slope|, by default with atol = 1e-5 and rtol = 1e-3, whatever the function. We
# know how large rounding can be, so we pass our own bound as `atol`, and no `rtol`.

# %%
wide_arrays = [a.astype(np.float64) for a in (x_train[rows], y_train[rows], *point)]
xs, ys, *ps = map(to_native, wide_arrays)
leaves = [p.requires_grad_() for p in ps]
tight = {"atol": slope_bound(*wide_arrays, min(1e-6, first_kink / 2)), "rtol": 0.0}
step = {"eps": min(1e-6, first_kink / 2)}
print(f"atol {tight['atol']:.1e}, gradcheck:", torch.autograd.gradcheck(HandWrittenLoss.apply, (xs, ys, *leaves), **step, **tight))

HandWrittenLoss.apply(xs, ys, *leaves).backward()
check_bounds = point_bounds(*wide_arrays)
for name, leaf, gradient in zip(NAMES, leaves, numpy_backward(*wide_arrays), strict=True):
    check(name, leaf.grad, gradient, check_bounds[name])

# %% [markdown]
# A check is worth what it catches. The same function with `dW1` too large by 0.1 %: with rtol = 1e-3
# every error of 0.1 % fits, and ours finds it. (A *Jacobian* is the table of all derivatives. `input 0` is
# W1: gradcheck counts only inputs with gradients.)

# %%
class NearlyRight(HandWrittenLoss):
    """The same, but dW1 is 0.1 % too large."""

    @staticmethod
    def backward(ctx, dL):
        _, _, dW1, db1, dW2, db2 = HandWrittenLoss.backward(ctx, dL)
        return None, None, 1.001 * dW1, db1, dW2, db2


def refused(function: Any, **options: float) -> bool:
    """Whether gradcheck raises, and what it says."""
    try:
        torch.autograd.gradcheck(function.apply, (xs, ys, *leaves), **options)
    except GradcheckError as error:
        print("refused:", str(error).splitlines()[0].rstrip(","))
        return True
    print("passed")
    return False


too_much = 0.001 * abs(numpy_backward(*wide_arrays)[0]).max()
print(f"dW1 is wrong by up to {too_much:.1e}")
print("default tolerances: ", end="")
refused(NearlyRight, **step)
print("our tolerance: ", end="")
if not refused(NearlyRight, **step, **tight) and too_much > 2 * tight["atol"]:
    raise AssertionError("our tolerance must see an error of twice its size")

# %% [markdown]
# ## The whole run agrees
#
# The bound is notebook 2's: 50 times what rounding does to NumPy's own run, but at least 1e-12 (float32:
# 1e-5).

# %% folded="Notebook 2: a run on record, its bound, and the check of it"
# include rounding: RUN_FLOOR, RUN_LIMIT, record, apart, run_bound

# include lesson: check_run, outcome, trained_well

# include pytorch_autograd: to_numpy

# include figures: STYLES, draw_apart, caption

# %%
start = tuple(to_native(p) for p in params)
numpy_run = record(numpy_sgd(params, x_train, y_train, order, BATCH_SIZE, LR))
autograd_run = record(sgd(start, x, y, to_native(order), BATCH_SIZE, LR), to_numpy)
RUN_BOUND = run_bound(numpy_sgd, params, x_train, y_train, order, BATCH_SIZE, LR, numpy_run)
check_run(f"W1, b1, W2, b2 after each of {len(numpy_run[0])} updates", autograd_run, numpy_run, RUN_BOUND)

# %%
figure, axes = plt.subplots(figsize=(7.5, 4))
draw_apart(axes, {"autograd minus by hand": autograd_run}, numpy_run, RUN_BOUND)
caption(figure, "Where no line is drawn, both are equal to the last bit.")
plt.show()

# %%
trained = [p[-1] for p in autograd_run]
f_val, a1_train = numpy_forward(x_val, *trained)[2], numpy_forward(x_train, *trained)[0]
trained_well(((f_val >= 0.5) == (y_val == 1)).mean(), a1_train, bool(np.isfinite(a1_train).all()))

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
# **1.** Suppose the gradients are never cleared: each update uses the sum of all gradients so far. Does
# the network still reach a held-out accuracy of 0.93?

# %% only="exercise"
guess = "?"  # "yes" or "no"
so_far = [torch.zeros_like(to_native(p)) for p in params]


def added_up(*gradients: Tensor) -> tuple[Tensor, ...]:
    """The sum of all gradients so far."""
    for total, gradient in zip(so_far, gradients, strict=True):
        total += gradient
    return tuple(so_far)


predicted(guess, accuracy_with(added_up), 0.93)

# %% [markdown] only="exercise"
# **2.** Suppose the loss is the sum over the batch, not the mean: with 32 samples all gradients are 32
# times as large. Does it still reach 0.93 at the same rate?

# %% only="exercise"
guess = "?"  # "yes" or "no"
reached = accuracy_with(lambda *gradients: tuple(BATCH_SIZE * g for g in gradients))
predicted(guess, reached, 0.93)

# %% [markdown]
# ## What has been proven
#
# - Autograd's gradients agree with the hand-written ones to rounding, at the parameters and at a1, h1, f.
# - Differences agree with both, within the rounding of the loss over the step, in float64 and float32.
# - The hand-written backward pass works inside autograd. `gradcheck` sees a 0.1 % mistake only with
#   tolerances tighter than its own.
# - The whole run is NumPy's, within the bound of notebook 2.
#
# ## What to change to make it a module
#
# The four parameters become attributes of an `nn.Module`, which knows them by name. Batches come from
# a `DataLoader`. Clearing `.grad` becomes `optimizer.zero_grad()`, and the four updates become
# `optimizer.step()`. `forward` and `loss` stay as they are. That is
# [notebook 4](04_pytorch_nn_module.ipynb).
#
# ## Try
#
# Change a copy. Each answer can be run at the end of this notebook.
#
# **1.** Leave `p.grad = None` out of `backward`. At which update does the run leave the bound?
#
# <details><summary>Answer</summary>
#
# ```python
# def leaking_backward(x, y, W1, b1, W2, b2):
#     for p in (W1, b1, W2, b2):
#         p.requires_grad_()
#     loss(forward(x, W1, b1, W2, b2)[2], y).backward()
#     return W1.grad, b1.grad, W2.grad, b2.grad
#
#
# right_backward, backward = backward, leaking_backward
# leaking_run = record(sgd(start, x, y, to_native(order[:1]), BATCH_SIZE, LR), to_numpy)
# backward = right_backward
# gaps = apart(leaking_run, [p[: len(leaking_run[0])] for p in numpy_run])
# print("the first update outside the bound is update", int(np.argmax(gaps > RUN_BOUND)) + 1)
# ```
#
# ```text
# the first update outside the bound is update 2
# ```
#
# The first gradient has nothing to be added to. The second one is the sum of two. `check_run` names
# that update too.
# </details>
#
# **2.** Write ReLU as `a.clamp(min=0)`. Does anything above notice? At which point would it?
#
# <details><summary>Answer</summary>
#
# ```python
# origin, target, zero = torch.zeros(1, 2), torch.ones(1, 1), torch.zeros(HIDDEN)
# for relu_like in (torch.relu, lambda a: a.clamp(min=0)):
#     bias = zero.clone().requires_grad_()
#     f_at_origin = relu_like(origin @ W1.detach().float().T + bias) @ W2.detach().float().T
#     (0.5 * (f_at_origin - target) ** 2).mean().backward()
#     print("db1 at the origin:", bias.grad[:4].numpy().round(4))
# ```
#
# ```text
# db1 at the origin: [0. 0. 0. 0.]
# db1 at the origin: [-0.0102 -0.217   0.0483  0.2431]
# ```
#
# Away from the kinks nothing notices: both have the same derivative there. At x = 0 with zero biases
# all units sit on their kinks. There our gradient is 0, and that of `clamp` is not.
# </details>
#
# **3.** Call `gradcheck` with float32 tensors, and read its warning.
#
# <details><summary>Answer</summary>
#
# ```python
# import warnings
#
# narrow = [t.detach().float() for t in (xs, ys, *leaves)]
# for t in narrow[2:]:
#     t.requires_grad_()
# with warnings.catch_warnings(record=True) as said:
#     warnings.simplefilter("always")
#     try:
#         torch.autograd.gradcheck(HandWrittenLoss.apply, narrow)
#         print("passed")
#     except GradcheckError as error:
#         print("refused:", str(error).splitlines()[0].rstrip(","))
# print(str(said[0].message).strip()[:80])
# ```
#
# ```text
# refused: Jacobian mismatch for output 0 with respect to input 0
# Input #2 requires gradient and is not a double precision floating point or compl
# ```
#
# The gradient is right. In float32 a step of 1e-6 is mostly rounding, so the check refuses it all the
# same. The warning goes on: it is not in double precision.
# </details>
