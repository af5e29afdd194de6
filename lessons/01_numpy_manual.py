# %% [markdown]
# # 1 · NumPy by hand
#
# **Backpropagation you can prove.** Four notebooks take one tiny network from gradients derived by
# hand to `nn.Module`, and show that every step equals the one before it, number by number. This is
# the first, and the other three are held to it.
#
# New here: everything. You need the chain rule, matrices, and a little NumPy. Reading takes half an
# hour, running a few seconds. Every equality is checked by a cell that **raises** if it fails.
#
# The first cell has three helpers. Read `check`: it prints the largest difference beside the bound
# that is allowed, or raises and says which entry is wrong.

# %%
from collections.abc import Iterator, Sequence
from types import ModuleType
from typing import Any

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

# include lesson: require, check

# include figures: caption

# %% tags=["volatile"]
require(np, "2.0")
require(matplotlib, "3.9")

# %% [markdown]
# ## The problem
#
# Points $x = (x_1, x_2)$ lie uniformly in the square $[-1, 1]^2$. The target is $y = 1$ where
# $x_1 x_2 < 0$, else $0$: XOR of the two signs. No straight line separates the classes.
#
# What chance decides comes from three independent streams, all spawned from one seed: the data, the
# initial parameters, the order of the batches. Training draws no other random number, so all four
# notebooks train on the very same problem. (Some checks draw test points of their own.)

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
print("training samples", x_train.shape, "held-out samples", x_val.shape)

# %%
figure, axes = plt.subplots(figsize=(4.5, 4.5))
for label, marker in ((0, "o"), (1, "^")):
    where = y_train[:, 0] == label
    axes.scatter(x_train[where, 0], x_train[where, 1], s=14, marker=marker, label=f"y = {label}")
axes.axhline(0, color="black", linewidth=0.5)
axes.axvline(0, color="black", linewidth=0.5)
axes.set(xlabel="x₁", ylabel="x₂", aspect="equal", title="500 training samples")
axes.legend(loc="upper right")
caption(figure, "Each class fills two opposite quadrants: no line separates them.")
plt.show()

# %% [markdown]
# ### Why squared loss, and why the threshold ½
#
# Suppose the network could only answer one number $c$ for a group of samples. The mean of
# $\tfrac12 (c - y)^2$ is smallest at $c$ = the mean of the targets, and with targets 0 and 1 that is
# the share of ones. So with squared loss $f$ estimates the probability of class 1. (It is only an
# estimate: nothing keeps it inside $[0, 1]$.) The class to predict is the one that is wrong less
# often: 1 exactly when ones are the majority, $f \ge \tfrac12$. Tried on the first 100 targets:

# %%
group = y_train[:100]
candidates = np.linspace(0, 1, 1001)
mean_loss = [0.5 * ((c - group) ** 2).mean() for c in candidates]
best = candidates[np.argmin(mean_loss)]
print("share of ones", group.mean(), "best constant answer", best)
check("best constant against share of ones", best, group.mean(), 0.5e-3)  # half a grid step
wrong_as_1, wrong_as_0 = int((group == 0).sum()), int((group == 1).sum())
print("wrong if all are called 1:", wrong_as_1, " if all are called 0:", wrong_as_0)
if (best >= 0.5) != (wrong_as_1 <= wrong_as_0):
    raise AssertionError("the threshold ½ must pick the class that is wrong less often")

# %% [markdown]
# ## The network
#
# One hidden layer of $h$ units:
#
# $$a_1 = W_1 x + b_1 \qquad h_1 = \mathrm{ReLU}(a_1) \qquad f = W_2 h_1 + b_2 \qquad
# L = \tfrac12 (f - y)^2$$
#
# with shapes (h,), (h,), (1,) and a scalar. The formulas are for one sample, a column. In the code a
# sample is a **row** and there are $B$ of them, so each product is transposed: $W_1 x$ becomes
# `x @ W1.T`.
#
# | name | shape | |
# |---|---|---|
# | `x`, `y` | (B, 2), (B, 1) | samples and targets |
# | `W1`, `b1` | (h, 2), (h,) | hidden layer |
# | `W2`, `b2` | (1, h), (1,) | output layer |
# | `a1`, `h1` | (B, h) | before and after the ReLU |
# | `f` | (B, 1) | the prediction |
#
# The weights start normal, with standard deviation $\sqrt{2 / \text{inputs}}$ (He et al. 2015); the
# biases start at zero.

# %%
W1, b1, W2, b2 = params
for name, p in (("W1", W1), ("b1", b1), ("W2", W2), ("b2", b2)):
    print(name, p.shape)
print("parameters in all:", sum(p.size for p in params))

# %% [markdown]
# ### ReLU, and what happens at exactly 0
#
# $\mathrm{ReLU}(a) = \max(a, 0)$. Its derivative is 1 right of 0 and 0 left of it. At 0 it has none:
# the slope is 0 from the left and 1 from the right. One has to choose, and here, as in PyTorch
# (notebook 2 shows it), $\mathrm{ReLU}'(0) = 0$.

# %%
# include numpy_manual: Four, relu, relu_derivative

# %%
a = np.array([-1.0, 0.0, 1.0])
step = 2.0**-20  # a power of two: these differences have no rounding
print("a                 ", a)
print("ReLU(a)           ", relu(a))
print("slope from the left ", (relu(a) - relu(a - step)) / step)
print("slope from the right", (relu(a + step) - relu(a)) / step)
print("our derivative    ", relu_derivative(a).astype(float))
check("ReLU′ at −1, 0, 1", relu_derivative(a), [0, 0, 1], 0)

# %% [markdown]
# ## The forward pass, for one sample
#
# One sample is a batch of one: `x` is (1, 2). The four formulas, four lines, in the same order:

# %%
# include numpy_manual: forward, loss

# %%
x, y = x_train[:1], y_train[:1]  # (1, 2), (1, 1)
a1, h1, f = forward(x, W1, b1, W2, b2)  # (1, h), (1, h), (1, 1)
L = loss(f, y)  # ()
print("x  =", x[0], " y =", y[0, 0])
print("a1 =", a1[0].round(3))
print("h1 =", h1[0].round(3))
print("f  =", f[0, 0].round(6), " L =", L.round(6))

# %% [markdown]
# ## The backward pass, link by link
#
# We want $\partial L / \partial W_1$, $\partial L / \partial b_1$, $\partial L / \partial W_2$ and
# $\partial L / \partial b_2$. Read the forward pass from its bottom to its top and apply the chain
# rule to each line. We write `d<name>` for $\partial L / \partial \text{name}$; it has the shape of
# `name`. Where a formula has a transpose, the code has it on the other side, for the same reason as
# above; and a product with `.T` in front, such as `df.T @ h1`, also adds up the batch's rows.
#
# To trust no link unseen, each is compared with a **central difference**: move one number up and
# down by a small step, and look how much $L$ changes,
# $\frac{L(p + \varepsilon) - L(p - \varepsilon)}{2 \varepsilon}$.

# %%
def central_difference(loss_at, at: Array, step: float) -> Array:
    """The slope of `loss_at` in each entry of `at`, which is changed on the way and restored."""
    slopes = np.zeros_like(at)
    for index in np.ndindex(at.shape):
        was = at[index]
        at[index] = was + step
        above = loss_at(at)
        at[index] = was - step
        below = loss_at(at)
        at[index] = was
        slopes[index] = (above - below) / (2 * step)
    return slopes


STEP = 1e-6
# L is known to about u L, where u = 1.1e-16 is half the machine epsilon, and that is divided by the
# step. Twenty times as much is allowed: the section on the gradient check reads that off a figure.
BOUND = 20 * np.finfo(float).eps / 2 * L / STEP

# %% [markdown]
# **From L to f.** $\frac{\partial L}{\partial f} = f - y$: the square's 2 cancels the ½. Shape
# (B, 1). The division by the number of samples does nothing yet; it is there for the batch.

# %%
# line numpy_manual.backward: df
check("df", df, central_difference(lambda f: loss(f, y), f, STEP), BOUND)

# %% [markdown]
# **To W2.** $f = W_2 h_1 + b_2$, so $\frac{\partial L}{\partial W_2} = \frac{\partial L}{\partial f}
# \, h_1^\top$. Shape (1, h).

# %%
# line numpy_manual.backward: dW2
check("dW2", dW2, central_difference(lambda W2: loss(h1 @ W2.T + b2, y), W2, STEP), BOUND)

# %% [markdown]
# **To b2.** $b_2$ is added to every sample's $f$: $\frac{\partial L}{\partial b_2} =
# \frac{\partial L}{\partial f}$, summed over the samples. Shape (1,).

# %%
# line numpy_manual.backward: db2
check("db2", db2, central_difference(lambda b2: loss(h1 @ W2.T + b2, y), b2, STEP), BOUND)

# %% [markdown]
# **To h1.** The same line the other way: $\frac{\partial L}{\partial h_1} = W_2^\top
# \frac{\partial L}{\partial f}$. Shape (B, h).

# %%
# line numpy_manual.backward: dh1
check("dh1", dh1, central_difference(lambda h1: loss(h1 @ W2.T + b2, y), h1, STEP), BOUND)

# %% [markdown]
# **To a1.** Through the ReLU: $\frac{\partial L}{\partial a_1} = \frac{\partial L}{\partial h_1}
# \odot \mathrm{ReLU}'(a_1)$, entry by entry. A unit that is off passes nothing. Shape (B, h).

# %%
# line numpy_manual.backward: da1
check("da1", da1, central_difference(lambda a1: loss(relu(a1) @ W2.T + b2, y), a1, STEP), BOUND)

# %% [markdown]
# **To W1.** $a_1 = W_1 x + b_1$, so $\frac{\partial L}{\partial W_1} = \frac{\partial L}{\partial
# a_1} \, x^\top$. Shape (h, 2).

# %%
# line numpy_manual.backward: dW1
check("dW1", dW1, central_difference(lambda W1: loss(forward(x, W1, b1, W2, b2)[2], y), W1, STEP), BOUND)

# %% [markdown]
# **To b1.** As with $b_2$: $\frac{\partial L}{\partial b_1} = \frac{\partial L}{\partial a_1}$, summed
# over the samples. Shape (h,).

# %%
# line numpy_manual.backward: db1
check("db1", db1, central_difference(lambda b1: loss(forward(x, W1, b1, W2, b2)[2], y), b1, STEP), BOUND)

# %% [markdown]
# The whole chain in one picture: forward from left to right, and beside every number the gradient
# that came back from the right.

# %%
def numbers(name: str, *columns: Array) -> str:
    """A box's text: the numbers of `name`, and beside them their gradients."""
    side_by_side = np.column_stack(columns).round(3) + 0.0  # + 0.0 turns −0 into 0
    lines = [" ".join(f"{v:6.3f}" for v in row) for row in side_by_side]
    heads = (name, "d" + name) if len(columns) > 1 else (name,)
    width = len(lines[0]) // len(heads)
    return "\n".join([" ".join(f"{head:>{width}}" for head in heads), *lines])


boxes = {  # name: place in the picture, text
    "x": ((0.04, 0.24), numbers("x", x[0])),
    "W1": ((0.13, 0.77), numbers("W1", W1, dW1)),
    "b1": ((0.32, 0.77), numbers("b1", b1, db1)),
    "a1": ((0.27, 0.24), numbers("a1", a1[0], da1[0])),
    "h1": ((0.47, 0.24), numbers("h1", h1[0], dh1[0])),
    "W2": ((0.54, 0.77), numbers("W2", W2[0], dW2[0])),
    "b2": ((0.71, 0.77), numbers("b2", b2, db2)),
    "f": ((0.72, 0.24), numbers("f", f[0], df[0])),
    "y": ((0.87, 0.77), numbers("y", y[0])),
    "L": ((0.93, 0.24), numbers("L", np.array([L]))),
}
arrows = {  # from, to: what is done on the way
    ("x", "a1"): "W₁x + b₁",
    ("W1", "a1"): "",
    ("b1", "a1"): "",
    ("a1", "h1"): "ReLU",
    ("h1", "f"): "W₂h₁ + b₂",
    ("W2", "f"): "",
    ("b2", "f"): "",
    ("f", "L"): "½(f − y)²",
    ("y", "L"): "",
}
figure = plt.figure(figsize=(11, 5))
axes = figure.add_axes((0, 0, 1, 1))
axes.set_axis_off()
frame = {"boxstyle": "round", "facecolor": "white"}
style = {"family": "monospace", "fontsize": 8, "ha": "center", "va": "center", "bbox": frame}
drawn = {name: axes.text(*place, text, **style) for name, (place, text) in boxes.items()}
figure.canvas.draw()  # so that every box knows its size
for (start, end), done in arrows.items():
    ends = {"patchA": drawn[start].get_bbox_patch(), "patchB": drawn[end].get_bbox_patch()}
    here, there = boxes[start][0], boxes[end][0]
    axes.annotate("", there, here, arrowprops={"arrowstyle": "->", **ends})
    axes.text((here[0] + there[0]) / 2, here[1] + 0.03, done, fontsize=9, ha="center")
caption(figure, "Where a1 < 0 the unit is off: h1, da1, db1, dW2 and its row of dW1 are exactly 0.")
plt.show()

off = a1[0] < 0
for name, gradient in (("da1", da1[0, off]), ("db1", db1[off]), ("dW2", dW2[0, off]), ("dW1", dW1[off])):
    check(f"{name} where a1 < 0", gradient, np.zeros_like(gradient), 0)

# %% [markdown]
# The seven links, in order, are the backward pass. Nothing was left out:

# %%
# include numpy_manual: backward

# %%
together = backward(x, y, W1, b1, W2, b2)
for name, one, link in zip(("dW1", "db1", "dW2", "db2"), together, (dW1, db1, dW2, db2), strict=True):
    check(name, one, link, 0)  # the same lines: not even rounding differs

# %% [markdown]
# ## The batch
#
# For $B$ samples the loss is the **mean** of theirs, so every gradient is the mean of the samples'
# gradients. The code stays as it is: `df` has the $1/B$ in it, and `df.T @ h1`, `da1.T @ x` and the
# sums over axis 0 add up the samples. Here are all 500 at once, against 500 single backward passes.
#
# Both ways add the same 500 numbers in another order, and only rounding may differ. 2e-14, the bound
# here and in the next notebooks, is about 200 roundings of 1.1e-16 on numbers near 1.

# %%
def single_gradients(x: Array, y: Array) -> list[Four]:
    """The gradients of each sample alone."""
    return [backward(x[i : i + 1], y[i : i + 1], W1, b1, W2, b2) for i in range(len(x))]


batch = backward(x_train, y_train, W1, b1, W2, b2)
singles = single_gradients(x_train, y_train)
for name, gradient, alone in zip(("dW1", "db1", "dW2", "db2"), batch, zip(*singles, strict=True), strict=True):
    check(name, gradient, np.mean(alone, axis=0), 2e-14)

# %% [markdown]
# ### Shapes
#
# A gradient has the shape of its parameter, whatever $B$ is. That alone finds many mistakes. The
# most treacherous needs no wrong formula: (B,) against (B, 1) broadcasts to (B, B) without an error.

# %%
for B in (1, 32, 500):
    gradients = backward(x_train[:B], y_train[:B], W1, b1, W2, b2)
    for name, p, gradient in zip(("W1", "b1", "W2", "b2"), params, gradients, strict=True):
        if gradient.shape != p.shape:
            raise AssertionError(f"d{name} has shape {gradient.shape}, must have {p.shape}")
print("shapes of dW1, db1, dW2, db2:", [g.shape for g in gradients], "for B = 1, 32, 500")
wrong = forward(x_train, W1, b1, W2, b2)[2] - y_train[:, 0]
print("(500, 1) − (500,) has shape", wrong.shape)

# %% [markdown]
# ## The gradient check
#
# Now all 33 entries at once, on a batch of 32, against central differences of the loss. All
# parameters are first moved by small random amounts, so that the biases are not zero (a section
# below shows why). How large an error is fine?
#
# As long as no ReLU changes its sign, $f$ is a straight line in any single parameter, so $L$ is a
# parabola, and on a parabola a central difference is **exact**. What is left is rounding: $L$ is
# known to about $u\,L$, and that is divided by the step. So the error grows as the step shrinks. On
# the other side, a step so large that a sample crosses a unit's kink ($a_1 = 0$) gives a wrong slope
# at once.

# %%
rng = np.random.default_rng(0)
x, y = x_train[:32], y_train[:32]  # (32, 2), (32, 1)
point = [p + 0.1 * rng.standard_normal(p.shape) for p in params]
NAMES = ("dW1", "db1", "dW2", "db2")


def pairs(dtype: str, step: float) -> list[tuple[Array, Array]]:
    """For each parameter, the gradient by `backward` and by central differences."""
    xs, ys, *ps = (a.astype(dtype) for a in (x, y, *point))

    def loss_at(_: Array) -> Array:
        return loss(forward(xs, *ps)[2], ys)

    by_hand = backward(xs, ys, *ps)
    return [(g, central_difference(loss_at, p, step)) for g, p in zip(by_hand, ps, strict=True)]


def rounding(dtype: str, step: float) -> float:
    """u L / step."""
    return np.finfo(dtype).eps / 2 * loss(forward(x, *point)[2], y) / step


for name, (gradient, numeric) in zip(NAMES, pairs("float64", 1e-5), strict=True):
    check(name, gradient, numeric, 20 * rounding("float64", 1e-5))

# %%
steps = np.logspace(-12, 0, 49)
errors = {
    dtype: [max(abs(g - n).max() for g, n in pairs(dtype, s)) for s in steps]
    for dtype in ("float64", "float32")
}
# |x| ≤ 1, so a step in an entry of W1 or b1 moves a1 by at most the step.
first_kink = abs(forward(x, *point)[0]).min()

figure, axes = plt.subplots(figsize=(7.5, 4.5))
for dtype, style in (("float64", "k-"), ("float32", "k--")):
    axes.loglog(steps, errors[dtype], style, label=f"{dtype}: largest error")
    axes.loglog(steps, [rounding(dtype, s) for s in steps], "k:", linewidth=0.8)
axes.axvline(first_kink, color="grey", label="a smaller step crosses no kink")
axes.set(xlabel="step", ylabel="error of the gradient", ylim=(1e-16, 1e4))
axes.legend(fontsize=8)
caption(figure, "Left: rounding; dotted is u L / step. Right: the cliff, where some sample crosses a kink.")
plt.show()
print(f"largest step that crosses no kink for sure: {first_kink:.2e}")
print(f"float32's error at the smallest steps: {errors['float32'][0]:.2f}")
largest = max(abs(gradient).max() for gradient, _ in pairs("float32", 1e-3))
print(f"the largest entry of the gradient:     {largest:.2f}")
safe = steps[steps < first_kink]
above = max(e / rounding("float64", s) for e, s in zip(errors["float64"], safe, strict=False))
print(f"left of the cliff, float64's error in units of u L / step: {above:.1f} ≤ 20.0")

# %% [markdown]
# The tolerance can be read off: left of the cliff the error follows $u\,L/\text{step}$ and stays
# below a few times that. Twenty times is a fair bound, and anything larger is a mistake.
#
# In float32 $u$ is 2²⁹ times as large, and the same check that much blunter. That is rounding, and
# not ReLU's fault: left of the cliff no sample crosses a kink, and the dashed curve still lies far
# above the solid one. (At its left end it is flat: so small a step is rounded away on the way to L,
# the difference is 0, and the error is the largest entry of the gradient itself.)

# %%
for dtype in ("float64", "float32"):
    for name, (gradient, numeric) in zip(NAMES, pairs(dtype, 1e-3), strict=True):
        check(f"{name}, {dtype}, step 1e-3", gradient, numeric, 20 * rounding(dtype, 1e-3))

# %% [markdown]
# ### A check on a kink
#
# At $x = (0, 0)$ with zero biases every $a_1$ is exactly 0: all units sit on their kinks. There `db1`
# is 0 by our choice of $\mathrm{ReLU}'(0)$. A central difference looks at both sides and reports half
# of the slope on the right. Neither is wrong; the point has no gradient. **Check gradients away from
# kinks**, with biases that are not all zero.

# %%
origin, target = np.zeros((1, 2)), np.ones((1, 1))
zero_b1 = np.zeros(HIDDEN)


def loss_at_origin(b1: Array) -> Array:
    return loss(forward(origin, W1, b1, W2, b2)[2], target)


ours = backward(origin, target, W1, zero_b1, W2, b2)[1]
reported = central_difference(loss_at_origin, zero_b1, STEP)
right = (0 - target[0]) * W2[0]  # (h,): with a1 = 0 the prediction is 0; right of the kink h1 = a1
print("our db1            ", ours)
print("central difference ", reported.round(4))
print("slope on the right ", right.round(4))
# Right of the kink L also bends, which adds W2² STEP / 4 to the difference: less than STEP.
check("central difference against half the slope on the right", reported, right / 2, STEP)

# %% [markdown]
# ## Training
#
# Mini-batch SGD: in every epoch, visit the samples in a new order, 32 at a time, and move each
# parameter against its gradient: $p \leftarrow p - \eta \, \frac{\partial L}{\partial p}$, with the
# learning rate $\eta$ = `LR`. 500 is not a multiple of 32: the last batch has 20 samples, and its
# mean is over 20.

# %%
# include numpy_manual: sgd

# include figures: draw_plane

# %%
def observe(W1: Array, b1: Array, W2: Array, b2: Array) -> list[float]:
    """Training loss, held-out loss, held-out accuracy, and the norms of dW1, db1, dW2, db2."""
    f, f_val = (forward(x, W1, b1, W2, b2)[2] for x in (x_train, x_val))
    accuracy = ((f_val >= 0.5) == (y_val == 1)).mean()
    norms = [np.linalg.norm(g) for g in backward(x_train, y_train, W1, b1, W2, b2)]
    return [loss(f, y_train), loss(f_val, y_val), accuracy, *norms]


STEPS_PER_EPOCH = -(-len(x_train) // BATCH_SIZE)
history = [observe(*params)]  # entry 0 is the initial network
for step, trained in enumerate(sgd(params, x_train, y_train, order, BATCH_SIZE, LR), 1):
    if step % STEPS_PER_EPOCH == 0:
        history.append(observe(*trained))
history = np.array(history)  # (EPOCHS + 1, 7)

print(f"{step} updates, training loss {history[-1, 0]:.6f}, held-out accuracy {history[-1, 2]:.3f}")
if history[-1, 2] < 0.93:
    raise AssertionError(f"held-out accuracy must reach 0.93, got {history[-1, 2]}")

# %%
figure, (left, middle, right) = plt.subplots(1, 3, figsize=(13, 4), layout="constrained")
left.semilogy(history[:, 0], "k-", label="training")
left.semilogy(history[:, 1], "k--", label="held-out")
left.set(xlabel="epoch", ylabel="mean of ½ (f − y)²", title="Loss")
left.legend()
medians = np.median(history[1:, 3:].reshape(-1, 10, 4), axis=1)  # (20, 4)
for name, style, norms in zip(NAMES, ("ko-", "ks--", "k^-.", "kx:"), medians.T, strict=True):
    middle.semilogy(np.arange(10, EPOCHS + 1, 10), norms, style, markersize=4, label=f"‖{name}‖")
middle.set(xlabel="epoch", ylabel="norm, median of 10 epochs", title="Gradient of each parameter")
middle.legend()
draw_plane(right, trained, x_val, y_val)
right.set_title("Held-out samples, f ≥ ½ shaded")
caption(figure, "The loss falls fast, then slowly; gradients settle near 1e-2, not at 0. Dotted: a1 = 0.")
plt.show()

# %% [markdown]
# ## A wrong backward pass that still trains
#
# Suppose both bias gradients are averaged once more: a mean where the sum belongs, since `df` has the
# $1/B$ already. They are $B$ times too small. What does the loss curve say?

# %%
def wrong_backward(x: Array, y: Array, W1: Array, b1: Array, W2: Array, b2: Array) -> Four:
    """`backward`, with the gradients of both biases averaged twice."""
    dW1, db1, dW2, db2 = backward(x, y, W1, b1, W2, b2)
    return dW1, db1 / len(x), dW2, db2 / len(x)


# include numpy_manual: sgd as wrong_sgd; backward as wrong_backward

# %%
wrong_history = [observe(*params)]
for step, wrong in enumerate(wrong_sgd(params, x_train, y_train, order, BATCH_SIZE, LR), 1):
    if step % STEPS_PER_EPOCH == 0:
        wrong_history.append(observe(*wrong))
wrong_history = np.array(wrong_history)

figure, axes = plt.subplots(figsize=(6.5, 4))
axes.semilogy(history[:, 0], "k-", label="right gradients")
axes.semilogy(wrong_history[:, 0], "k--", label="wrong bias gradients")
axes.set(xlabel="epoch", ylabel="training loss")
axes.legend()
caption(figure, "Both curves fall. Nothing here says that one of them follows a wrong gradient.")
plt.show()
print(f"held-out accuracy: right {history[-1, 2]:.3f}, wrong {wrong_history[-1, 2]:.3f}")
if wrong_history[-1, 2] < 0.93:
    raise AssertionError(f"the wrong one must train well too, but got {wrong_history[-1, 2]}")

# %% [markdown]
# A falling loss proves nothing about the gradient. The gradient check sees it at once, names the
# parameters, and the ratio says what happened:

# %%
bound = 20 * rounding("float64", 1e-5)
for name, p, gradient in zip(NAMES, point, wrong_backward(x, y, *point), strict=True):
    numeric = central_difference(lambda _: loss(forward(x, *point)[2], y), p, 1e-5)
    right = abs(gradient - numeric).max() <= bound
    times = np.linalg.norm(numeric) / np.linalg.norm(gradient)
    print(f"{name}:", "right" if right else f"wrong, {times:.3f} times too small")
    if right != (name in ("dW1", "dW2")):
        raise AssertionError(f"the check must find db1 and db2 wrong and no other, not {name}")

# %% [markdown]
# ## What has been proven
#
# - Each of the seven links equals a central difference, to the rounding of $L$.
# - The links in order are `backward`, to the last bit; a batch's gradient is the mean of its samples'.
# - The check's tolerance is $20\,u\,L/\text{step}$, left of the first kink: the scale is derived, the
#   20 read off a figure.
# - The network trains to a held-out accuracy of 0.93 or better, and so does one with wrong gradients.
#
# ## Try
#
# 1. Leave `* relu_derivative(a1)` out of `backward`. Which checks fail, and which parameters are right?
# 2. Set `HIDDEN = 4`, and try other seeds. How often does training get stuck? (Notebook 4 counts.)
# 3. Try learning rates 1, 2 and 4. Which run ends poorly, in which do the units die, which overflows?
# 4. Write the check so that it moves all of `W1` along one random direction at once. What does it still see?
#
# Next: `02_pytorch_no_autograd`, the same lines in PyTorch's tensors.
