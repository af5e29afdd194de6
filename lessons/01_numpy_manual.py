# %% [markdown]
# # 1 · NumPy by hand
#
# **Backpropagation you can prove.** Four notebooks take one tiny network from gradients derived by
# hand to `nn.Module`. They show that every step equals the one before it, number by number. This is
# the first. The other three are compared with it.
#
# **After this notebook you can**
#
# - derive every gradient of a network with one hidden layer, entry by entry and as matrices;
# - use shapes to recall where a transpose or a sum belongs, and know what shapes cannot tell;
# - check a gradient with differences, and say how large an error rounding may cause;
# - prove a gradient with exact numbers, and say what that leaves open;
# - tell a wrong gradient from training that got stuck.
#
# **Time**, if all of this is new, in minutes: *The problem* 5 · *Gradients on paper* 15 ·
# *The network* 5 · *The forward pass* 5 · *How far to trust a difference* 10 ·
# *The backward pass, link by link* 15 · *The batch* 10 · *The gradient check* 10 · *Training* 5 ·
# *A wrong backward pass that can still train* 5 · *A proof, not a test* 10. It runs in a few seconds.
#
# **Two kinds of lines are printed.** A *proof* (`… ≤ …`) holds in every run, whatever you change; its
# cell raises an error if it fails. An *outcome* (`…: yes`) may or may not happen; if it does not, the
# notebook says why it can, and goes on.
#
# <details><summary>What you need to know: three questions, with answers</summary>
#
# 1. What is the derivative of ½ (3p − 1)² at p = 1? *(3 · 1 − 1) · 3 = 6: the outer derivative times
#    the inner one.*
# 2. Which shape has A @ B, if A is (4, 2) and B is (2, 3)? *(4, 3): the inner 2 is summed over.*
# 3. Which shape has `np.ones((5, 1)) - np.ones(5)`? *(5, 5): NumPy repeats both. This trap comes back
#    below.*
#
# If one of them is new to you, read about it first: the derivative of a composed function, the matrix
# product, NumPy's broadcasting.
# </details>

# %%
import matplotlib.pyplot as plt
import numpy as np

# %% folded="The versions, and the names that type hints use" tags=["volatile"]
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from types import ModuleType
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

# include lesson: require

require(np, "2.0")
require(matplotlib, "3.9")

# %% [markdown]
# ## The problem
#
# Points $x = (x_1, x_2)$ lie uniformly in the square $[-1, 1]^2$. The target is $y = 1$ where
# $x_1 x_2 < 0$, else $0$. This is XOR of the two signs.
#
# The network learns from `N` training samples, some at a time: a **batch**. When it has seen all of
# them, an **epoch** is over. `N` more samples are **held out**: training never sees them, and they tell
# what the network has learned.
#
# Chance decides three things: the data, the initial parameters and the order of the samples. Each has
# a random stream of its own, and one seed gives all three (`SeedSequence.spawn`). Training draws no
# other random number, so all four notebooks train on the same problem. (Some checks draw test points of
# their own.)

# %%
# include problem: Array, samples, initial_parameters, batch_order

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
# ### Why a hidden layer
#
# A linear model predicts $f = w_1 x_1 + w_2 x_2 + b$. Its classes lie on the two sides of a straight
# line, and no line separates these. The linear model with the smallest squared loss answers about ½
# everywhere. Two linear layers on top of each other are still one linear model.
#
# A **ReLU** between them changes that: $\mathrm{ReLU}(u)$ is $u$ where $u > 0$, else 0. Each **hidden
# unit** is then a plane that is folded along a line. Four of them suffice here:
# $|u| = \mathrm{ReLU}(u) + \mathrm{ReLU}(-u)$, and $|x_1 - x_2| - |x_1 + x_2|$ is positive exactly where
# $x_1 x_2 < 0$.

# %% folded="caption: a line under a figure that says what to see"
# include figures: caption

# %%
ones = np.ones((len(x_train), 1))
linear = np.linalg.lstsq(np.hstack([x_train, ones]), y_train)[0]  # w1, w2, b
f_linear = np.hstack([x_train, ones]) @ linear
print(f"the linear model of least squared loss: f from {f_linear.min():.2f} to {f_linear.max():.2f}")
four_units = abs(x_train @ [[1], [-1]]) - abs(x_train @ [[1], [1]])  # (N, 1)
for name, says_1 in (("linear", f_linear >= 0.5), ("four hidden units", four_units > 0)):
    print(f"{name}: {(says_1 == (y_train == 1)).mean():.3f} of the classes are right")

figure, axes = plt.subplots(figsize=(4.5, 4.5))
for label, marker in ((0, "o"), (1, "^")):
    where = y_train[:, 0] == label
    axes.scatter(x_train[where, 0], x_train[where, 1], s=14, marker=marker, label=f"y = {label}")
axes.axhline(0, color="black", linewidth=0.5)
axes.axvline(0, color="black", linewidth=0.5)
axes.set(xlabel="x₁", ylabel="x₂", ylim=(-1.05, 1.3), aspect="equal", title=f"{N} training samples")
axes.legend(loc="upper center", ncols=2)
caption(figure, "Each class fills two opposite quadrants: no line separates them.")
plt.show()

# %% [markdown]
# ### Why squared loss, and why the threshold ½
#
# The loss of one sample is $L = \tfrac12 (f - y)^2$. Suppose the network could only answer one number
# $c$ for a group of $n$ samples. The mean loss is $\frac1n \sum_i \tfrac12 (c - y_i)^2$. Its derivative
# in $c$ is
#
# $$\frac1n \sum_i (c - y_i) = c - \bar y,$$
#
# which is 0 at $c = \bar y$, the mean of the targets. (The second derivative is 1, so this is the
# minimum.) With targets 0 and 1 that is the **share of ones**. So squared loss draws the answer for
# similar samples towards their share of ones. A network only approximates it: one set of parameters
# serves all $x$, and nothing keeps $f$ inside $[0, 1]$.
#
# Which class should it then predict? If it says 1 for the whole group, the zeros are wrong. If it says
# 0, the ones are wrong. So say 1 if at least half are ones: where $f \ge \tfrac12$. Tried on some
# targets:

# %% folded="check: print a difference beside its bound, or raise"
# include lesson: check

# %%
group = y_train[:100]
candidates = np.linspace(0, 1, 101)
best = candidates[np.argmin([(0.5 * (c - group) ** 2).mean() for c in candidates])]
half_a_grid_step = 0.005 + 1e-6
check("best constant answer against the share of ones", best, group.mean(), half_a_grid_step)
print("wrong if all are called 1:", int((group == 0).sum()), " if all are called 0:", int((group == 1).sum()))
print("the threshold ½ calls them all", int(best >= 0.5))

# %% [markdown]
# ## Gradients on paper
#
# ### What a gradient is, and why the update has a minus
#
# Change one parameter $p$ by a small step $s$. Then the loss changes by about $s$ times a number, the
# **derivative** $\partial L / \partial p$:
#
# $$L(p + s) \approx L(p) + s \, \frac{\partial L}{\partial p}$$
#
# If the derivative is positive, a larger $p$ makes the loss larger. So to make it smaller, move the
# other way: $p \leftarrow p - \eta \, \frac{\partial L}{\partial p}$, with a small **learning rate**
# $\eta$. The **gradient** is the list of these derivatives, one for each parameter. We write `dp` for
# $\partial L / \partial p$.
#
# ### The chain rule
#
# If $L$ depends on $v$, and $v$ on $u$, then
# $\frac{\partial L}{\partial u} = \frac{\partial L}{\partial v} \cdot \frac{\partial v}{\partial u}$:
# the derivative that arrives from above, times the **local derivative**. If $u$ is used in two places,
# $v$ and $w$, a step $s$ in $u$ moves both: $L$ changes by
# $\frac{\partial L}{\partial v} \frac{\partial v}{\partial u} s +
# \frac{\partial L}{\partial w} \frac{\partial w}{\partial u} s$. So **what comes back from several places
# is added up**. This network needs only four local rules:
#
# | link | forward | what it does to a gradient |
# |---|---|---|
# | a sum | z = u + v | passes it on: du = dz, dv = dz |
# | a product | z = u · v | multiplies it by the *other* factor: du = dz · v, dv = dz · u |
# | a ReLU | z = max(u, 0) | lets it through where u > 0, stops it elsewhere |
# | half a square | L = ½ (f − y)² | starts it: df = f − y, for the square's 2 cancels the ½ |
#
# ### One unit, one sample
#
# Take pencil and paper. The sample is $x = (\tfrac12, -1)$ with $y = 1$. One hidden unit has the weights
# $W_1 = (2, \tfrac12)$ and the bias $b_1 = \tfrac14$. The output has $W_2 = -2$ and
# $b_2 = \tfrac12$.
#
# | forward, downwards | | backward, upwards | |
# |---|---|---|---|
# | a1 = 2 · ½ + ½ · (−1) + ¼ | = ¾ | dW1 = da1 · x = 4 · (½, −1) | = (2, −4) |
# | | | db1 = da1 | = 4 |
# | h1 = max(¾, 0) | = ¾ | da1 = dh1, as a1 > 0 | = 4 |
# | f = −2 · ¾ + ½ | = −1 | dh1 = df · W2 = −2 · (−2) | = 4 |
# | | | dW2 = df · h1 = −2 · ¾, db2 = df | = −3/2, −2 |
# | L = ½ (−1 − 1)² | = 2 | df = f − y = −1 − 1 | = −2 |
#
# Read the left half from top to bottom, then the right half from bottom to top. That is all of
# backpropagation. The same in NumPy, with an update of every parameter at the end:

# %%
def by_hand(W1: Array, b1: float, W2: float, b2: float) -> tuple[float, dict[str, Any]]:
    """The loss and the gradients of one unit on the one sample."""
    x, y = np.array([0.5, -1.0]), 1.0
    a1 = W1 @ x + b1
    h1 = max(a1, 0)
    f = W2 * h1 + b2
    df = f - y
    dW2, db2, dh1 = df * h1, df, df * W2
    da1 = dh1 * (a1 > 0)
    return 0.5 * (f - y) ** 2, {"dW1": da1 * x, "db1": da1, "dW2": dW2, "db2": db2}


small = {"W1": np.array([2.0, 0.5]), "b1": 0.25, "W2": -2.0, "b2": 0.5}
L_small, gradients_small = by_hand(**small)
on_paper = {"dW1": [2, -4], "db1": 4, "dW2": -1.5, "db2": -2}
for name, gradient in gradients_small.items():
    check(f"{name} on paper", gradient, on_paper[name], 0)
moved = {name: p - 0.05 * gradients_small["d" + name] for name, p in small.items()}
print(f"L = {L_small}; after one update with a learning rate of 0.05: L = {by_hand(**moved)[0]:.3f}")

# %% [markdown]
# ### A derivative as a slope
#
# The loss as a function of $W_2$ alone is a parabola. Its derivative at a point is the slope of the
# **tangent**, the line that touches it there. One can also measure it: move $W_2$ up and down by a step
# $s$, and take the slope of the line through the two points, a **chord**. This slope is called the
# **central difference**, $\frac{L(p + s) - L(p - s)}{2 s}$.
#
# On a parabola $\alpha p^2 + \beta p + \gamma$ both slopes are equal, whatever the step. In the difference
# the squares leave $4 \alpha p s$, the linear terms leave $2 \beta s$, and the constants cancel. Divided by
# $2 s$ that is $2 \alpha p + \beta$, the derivative.

# %%
W2_line = np.linspace(-3.2, 0.2, 100)
L_line = [by_hand(**small | {"W2": W2})[0] for W2 in W2_line]
ends = [by_hand(**small | {"W2": -2 + s})[0] for s in (-1, 1)]
check("slope of the chord, step 1, against the derivative", (ends[1] - ends[0]) / 2, gradients_small["dW2"], 0)

figure, axes = plt.subplots(figsize=(6, 4))
axes.plot(W2_line, L_line, "k-", label="L")
axes.plot(W2_line, 2 - 1.5 * (W2_line + 2), color="tab:blue", linestyle="--", label="tangent, slope dW2")
axes.plot([-3, -1], ends, "o:", color="tab:orange", label="chord from W₂ − s to W₂ + s")
axes.plot(-2, 2, "ko")
axes.annotate("", (-1.2, 0.4), (-2, 0.4), arrowprops={"arrowstyle": "-|>"})
axes.text(-2.05, 0.4, "dW2 < 0: move right", ha="right", va="center")
axes.set(xlabel="W₂", ylabel="L", ylim=(0, 4.5))
axes.legend()
caption(figure, "The derivative is the tangent's slope. On a parabola every centred chord has the same slope.")
plt.show()

# %% [markdown]
# ## The network
#
# One hidden layer of $h$ units:
#
# $$a_1 = W_1 x + b_1 \qquad h_1 = \mathrm{ReLU}(a_1) \qquad f = W_2 h_1 + b_2 \qquad
# L = \tfrac12 (f - y)^2$$
#
# Here $h$ is a number, the hidden units; $h_1$ is a vector, their outputs. The formulas are for one
# sample, a column. In the code a sample is a **row**, and a batch has $B$ of them. A row is a transposed
# column, and $(W_1 x)^\top = x^\top W_1^\top$, so $W_1 x$ becomes `x @ W1.T`. NumPy then adds `b1` to every
# row.
#
# | name | shape | |
# |---|---|---|
# | `x`, `y` | (B, 2), (B, 1) | samples and targets |
# | `W1`, `b1` | (h, 2), (h,) | hidden layer |
# | `W2`, `b2` | (1, h), (1,) | output layer |
# | `a1`, `h1` | (B, h) | before and after the ReLU |
# | `f` | (B, 1) | the prediction |
#
# The weights start normal, with standard deviation $\sqrt{2 / \text{inputs}}$ (He et al. 2015). The
# biases start at zero.

# %%
W1, b1, W2, b2 = params
for name, p in (("W1", W1), ("b1", b1), ("W2", W2), ("b2", b2)):
    print(name, p.shape)
print("parameters in all:", sum(p.size for p in params))

# %% [markdown]
# ### ReLU, and what happens at exactly 0
#
# $\mathrm{ReLU}(a) = \max(a, 0)$. A unit is **on** for a sample if its $a > 0$, else **off**. The derivative
# is 1 right of 0 and 0 left of it. At 0 there is none: the slope is 0 from the left and 1 from the right.
# $a = 0$ is the unit's **kink**; in the plane of $x$ it is a line. One has to choose a derivative there.
# Here, as in PyTorch (notebook 2 shows it), $\mathrm{ReLU}'(0) = 0$.

# %%
# include numpy_manual: Four, relu, relu_derivative

# %%
a = np.array([-1.0, 0.0, 1.0])
print("a                   ", a)
print("ReLU(a)             ", relu(a))
print("slope from the left ", (relu(a) - relu(a - 0.5)) / 0.5)
print("slope from the right", (relu(a + 0.5) - relu(a)) / 0.5)
print("our derivative      ", relu_derivative(a).astype(float))
check("ReLU′ at −1, 0, 1", relu_derivative(a), [0, 0, 1], 0)

# %% [markdown]
# ## The forward pass
#
# Four formulas, four lines, in the same order:

# %%
# include numpy_manual: forward, loss

# %% [markdown]
# We follow one sample, a batch of one. It is the training sample that is farthest from every kink: the
# differences below need room on both sides.

# %%
sample = int(abs(forward(x_train, *params)[0]).min(axis=1).argmax())
x, y = x_train[sample : sample + 1], y_train[sample : sample + 1]  # (1, 2), (1, 1)
a1, h1, f = forward(x, W1, b1, W2, b2)  # (1, h), (1, h), (1, 1)
L = loss(f, y)  # ()
print("x  =", x[0], " y =", y[0, 0])
print("a1 =", a1[0, :8].round(3), "" if HIDDEN <= 8 else f"… {HIDDEN} units")
print("h1 =", h1[0, :8].round(3))
print("f  =", f[0, 0].round(6), " L =", round(float(L), 6))

# %% [markdown]
# ## How far to trust a difference
#
# We shall derive seven gradients, and compare each with a central difference of the loss. When do two
# such numbers count as equal? Three things decide it.
#
# **The shape of the loss.** As long as no unit goes on or off, $f$ is a straight line in any single
# parameter, so $L$ is a parabola in it. On a parabola a central difference is exact, as shown above.
#
# **The kinks.** A step that carries a unit across its kink spoils that. All $|x_k| \le 1$, so a step
# in an entry of $W_1$ or $b_1$ moves $a_1$ by no more than the step itself. A step below the smallest
# $|a_1|$ is safe. We take half of that.
#
# **Rounding.** A computer keeps 53 binary digits of a float64, 24 of a float32. The **machine
# epsilon** ε is the gap between 1 and the next number. Every operation rounds its result by at most
# half of that, $u = \varepsilon / 2$, of the result's size:

# %%
for dtype in (np.float64, np.float32):
    one, eps = dtype(1), np.finfo(dtype).eps
    print(f"{dtype.__name__}: ε = {eps:.1e}", end=", ")
    print(f"1 + ε > 1 is {one + eps > 1}, 1 + ε/2 == 1 is {one + eps / 2 == 1}")

# %% [markdown]
# How far does rounding carry $L$? $f - y$ is a sum of products, and each of its terms is rounded $n$
# times on the way. So $f - y$ is off by at most $n u S$, where $S$ is the sum of the **sizes** of all that
# is added up: $S = \sum_j |W_{2j}| \, (|W_{1j}| |x| + |b_{1j}|) + |b_2| + |y|$, over the units $j$ that are
# on. $L = \tfrac12 (f - y)^2$ is then off by $f - y$ times that, $n u \, |f - y| \, S$. Both ends of the step
# are, so their difference, divided by twice the step, is off by at most $n u \, |f - y| \, S / \text{step}$.
#
# Where $f \approx y$, all of $f - y$ may be rounding, and $L$ is tiny. A bound that only multiplies $u$ by
# $L$ would call right gradients wrong there; so the sizes are needed.
#
# **How large is $n$?** To $f - y$: a product and two additions for $a_1$; a product and $h - 1$ additions
# over the units; then $+ b_2$ and $- y$. That is $h + 5$. Then the square, and at most $B$ for the mean over
# a batch. So $n = h + B + 10$ leaves some to spare. The gradient from `backward` is rounded too, by no more
# than as much again. Together: $2 n u = n \varepsilon$. Here is the bound in code. It takes $f - y$ and the
# sizes at the far end of the step:

# %%
# include rounding: slope_bound

# %%
def central_difference(loss_at: Callable[[Array], Array], at: Array, step: float) -> Array:
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


STEP = float(abs(a1).min()) / 2
BOUND = slope_bound(x, y, W1, b1, W2, b2, STEP)
print(f"smallest |a1| {abs(a1).min():.3f}, step {STEP:.1e}, bound {BOUND:.1e} in {DTYPE.__name__}")

# %% [markdown]
# ## The backward pass, link by link
#
# We want `dW1`, `db1`, `dW2` and `db2`. Read the forward pass from its bottom to its top, and apply the
# chain rule to each line. `d<name>` has the shape of `<name>`. First every gradient is derived for a
# single entry; then the entries are stacked into an array.
#
# **From L to f.** $L = \tfrac12 (f - y)^2$, so $\frac{\partial L}{\partial f} = f - y$. The code also
# divides by the number of samples. That does nothing for one sample; it is there for the batch.

# %%
# line numpy_manual.backward: df
check("df", df, central_difference(lambda f: loss(f, y), f, STEP), BOUND)

# %% [markdown]
# **To W2.** Written out, $f = \sum_j W_{2j} \, h_{1j} + b_2$. The weight $W_{2j}$ stands in one product,
# with $h_{1j}$. So $\frac{\partial f}{\partial W_{2j}} = h_{1j}$, and by the chain rule
# $\frac{\partial L}{\partial W_{2j}} = \frac{\partial L}{\partial f} \, h_{1j}$.
#
# *Stacked*: one such number for each $j$, side by side like $W_2$, is $\frac{\partial L}{\partial f} \,
# h_1^\top$. In the code $h_1$ is a row already. `df` is (1, 1), `h1` is (1, h), and `dW2` must be (1, h).
# The `.T` changes nothing here; the batch needs it.

# %%
# line numpy_manual.backward: dW2
check("dW2", dW2, central_difference(lambda W2: loss(h1 @ W2.T + b2, y), W2, STEP), BOUND)

# %% [markdown]
# **To b2.** $b_2$ is a term of a sum, so $\frac{\partial f}{\partial b_2} = 1$ and
# $\frac{\partial L}{\partial b_2} = \frac{\partial L}{\partial f}$. The code adds up the samples. Again
# that does nothing for one sample, but it turns (1, 1) into (1,), the shape of `b2`.

# %%
# line numpy_manual.backward: db2
check("db2", db2, central_difference(lambda b2: loss(h1 @ W2.T + b2, y), b2, STEP), BOUND)

# %% [markdown]
# **To h1.** The same product, the other factor: $\frac{\partial f}{\partial h_{1j}} = W_{2j}$, so
# $\frac{\partial L}{\partial h_{1j}} = \frac{\partial L}{\partial f} \, W_{2j}$.
#
# *Stacked*: $W_2^\top \frac{\partial L}{\partial f}$, a column like $h_1$. In the code it is a row: `df`
# is (1, 1), `W2` is (1, h), and `dh1` must be (1, h). There is one output, so $h_{1j}$ is used once. With
# several outputs what comes back from each would be added up, and `df @ W2` is that sum.

# %%
# line numpy_manual.backward: dh1
check("dh1", dh1, central_difference(lambda h1: loss(h1 @ W2.T + b2, y), h1, STEP), BOUND)

# %% [markdown]
# **To a1.** $h_{1j} = \mathrm{ReLU}(a_{1j})$: each entry depends on its own $a_{1j}$ alone. So
# $\frac{\partial L}{\partial a_{1j}} = \frac{\partial L}{\partial h_{1j}} \, \mathrm{ReLU}'(a_{1j})$. A
# unit that is off passes nothing.
#
# *Stacked*: a product entry by entry, $\odot$ in formulas and `*` in the code.

# %%
# line numpy_manual.backward: da1
check("da1", da1, central_difference(lambda a1: loss(relu(a1) @ W2.T + b2, y), a1, STEP), BOUND)

# %% [markdown]
# **To W1.** Written out, $a_{1j} = \sum_k W_{1jk} \, x_k + b_{1j}$. The weight $W_{1jk}$ stands in one
# product, with $x_k$, and in one unit, $j$. So $\frac{\partial L}{\partial W_{1jk}} =
# \frac{\partial L}{\partial a_{1j}} \, x_k$.
#
# *Stacked*: row $j$ and column $k$ hold the product of entry $j$ of one vector and entry $k$ of the
# other. That is the outer product $\frac{\partial L}{\partial a_1} \, x^\top$. In the code both are rows,
# so the first one is turned into a column: `da1.T` is (h, 1), `x` is (1, 2), and `dW1` must be (h, 2).

# %%
# line numpy_manual.backward: dW1
check("dW1", dW1, central_difference(lambda W1: loss(forward(x, W1, b1, W2, b2)[2], y), W1, STEP), BOUND)

# %% [markdown]
# **To b1.** $b_{1j}$ is a term of $a_{1j}$ alone, so $\frac{\partial a_{1j}}{\partial b_{1j}} = 1$ and
# $\frac{\partial L}{\partial b_{1j}} = \frac{\partial L}{\partial a_{1j}}$.
#
# *Stacked*: the row `da1`. As with `b2`, the sum over the samples turns (1, h) into (h,).

# %%
# line numpy_manual.backward: db1
check("db1", db1, central_difference(lambda b1: loss(forward(x, W1, b1, W2, b2)[2], y), b1, STEP), BOUND)

# %% [markdown]
# ### The chain in one picture
#
# Black arrows go forward, from left to right. Red dashed arrows go back from the loss, where
# $\partial L / \partial L = 1$. At each red arrow stands its local derivative: the gradient at its tail
# times this is the gradient at its head. (Rows are drawn as columns. "× x" is the outer product of the
# step to W1.)

# %% folded="The drawing of the chain"
def numbers(name: str, *columns: Array) -> str:
    """A box's text: the numbers of `name`, and beside them their gradients; 8 rows at most."""
    side_by_side = np.column_stack(columns).round(3) + 0.0  # + 0.0 turns −0 into 0
    lines = [" ".join(f"{v:6.3f}" for v in row) for row in side_by_side[:8]]
    heads = (name, "d" + name) if len(columns) > 1 else (name,)
    width = len(lines[0]) // len(heads)
    more = ["…"] if len(side_by_side) > 8 else []
    return "\n".join([" ".join(f"{head:>{width}}" for head in heads), *lines, *more])


def draw_chain(boxes: dict, links: dict) -> Figure:
    """Boxes (name: place, text), and links (from, to: forward's label, the local derivative)."""
    figure = plt.figure(figsize=(12, 5.5))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    style = {"family": "monospace", "fontsize": 8, "ha": "center", "va": "center"}
    frame = {"boxstyle": "round", "facecolor": "white"}
    drawn = {name: axes.text(*place, text, bbox=frame, **style) for name, (place, text) in boxes.items()}
    figure.canvas.draw()  # so that every box knows its size
    for (start, end), (label, derivative) in links.items():
        patches = drawn[start].get_bbox_patch(), drawn[end].get_bbox_patch()
        one, two = np.array(boxes[start][0]), np.array(boxes[end][0])
        middle, flat = (one + two) / 2, abs(one[1] - two[1]) < 0.1
        bend = "arc3,rad=-0.12" if flat else "arc3,rad=-0.06"
        ahead = {"arrowstyle": "-|>", "connectionstyle": bend, "color": "black"}
        axes.annotate("", two, one, arrowprops=ahead | {"patchA": patches[0], "patchB": patches[1]})
        axes.text(*(middle + np.array([0, 0.05])), label, fontsize=9, ha="center", va="bottom")
        if derivative:
            back = {"arrowstyle": "-|>", "connectionstyle": bend, "color": "tab:red", "linestyle": "--"}
            axes.annotate("", one, two, arrowprops=back | {"patchA": patches[1], "patchB": patches[0]})
            shift = np.array([0, -0.05] if flat else [-0.025, -0.02])
            style_back = {"ha": "center" if flat else "right", "va": "top", "color": "tab:red"}
            axes.text(*(middle + shift), "× " + derivative, fontsize=9, **style_back)
    return figure


# %%
boxes = {
    "x": ((0.045, 0.24), numbers("x", x[0])),
    "W1": ((0.13, 0.80), numbers("W1", W1, dW1)),
    "b1": ((0.31, 0.80), numbers("b1", b1, db1)),
    "a1": ((0.27, 0.24), numbers("a1", a1[0], da1[0])),
    "h1": ((0.47, 0.24), numbers("h1", h1[0], dh1[0])),
    "W2": ((0.56, 0.80), numbers("W2", W2[0], dW2[0])),
    "b2": ((0.73, 0.80), numbers("b2", b2, db2)),
    "f": ((0.74, 0.24), numbers("f", f[0], df[0])),
    "y": ((0.90, 0.80), numbers("y", y[0])),
    "L": ((0.95, 0.24), numbers("L", np.array([L]))),
}
links = {
    ("x", "a1"): ("W₁x + b₁", ""),
    ("W1", "a1"): ("", "x"),
    ("b1", "a1"): ("", "1"),
    ("a1", "h1"): ("ReLU", "ReLU′(a₁)"),
    ("h1", "f"): ("W₂h₁ + b₂", "W₂"),
    ("W2", "f"): ("", "h₁"),
    ("b2", "f"): ("", "1"),
    ("f", "L"): ("½(f − y)²", "(f − y)"),
    ("y", "L"): ("", ""),
}
figure = draw_chain(boxes, links)
caption(figure, "Black: forward. Red: back. Where a1 < 0, da1, db1, dW2 and a row of dW1 are exactly 0.")
plt.show()

off = a1[0] < 0
for name, gradient in (("da1", da1[0, off]), ("db1", db1[off]), ("dW2", dW2[0, off]), ("dW1", dW1[off])):
    print(f"{name} where a1 < 0: {int((gradient != 0).sum())} of {gradient.size} entries are not 0")
    if (gradient != 0).any():
        raise AssertionError(f"{name} must be exactly 0 where a unit is off")

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
# For $B$ samples the loss is the **mean** of theirs: $L = \frac1B \sum_b \tfrac12 (f_b - y_b)^2$. So
# $\frac{\partial L}{\partial f_b} = (f_b - y_b) / B$. (Of several indices the first is the sample $b$, the
# second the unit $j$; $k$ is the input.) What sample $b$ computes depends on its own $x_b$ alone, so `dh1`
# and `da1` are what they were, one row a sample. But a parameter is used in *every* sample, and what comes
# back from each use is added up:
#
# $$\frac{\partial L}{\partial W_{2j}} = \sum_b \frac{\partial L}{\partial f_b} \, h_{1bj} \qquad
# \frac{\partial L}{\partial b_2} = \sum_b \frac{\partial L}{\partial f_b} \qquad
# \frac{\partial L}{\partial W_{1jk}} = \sum_b \frac{\partial L}{\partial a_{1bj}} \, x_{bk} \qquad
# \frac{\partial L}{\partial b_{1j}} = \sum_b \frac{\partial L}{\partial a_{1bj}}$$
#
# A matrix product adds up over its inner index. To make $b$ the inner index, `df` of shape (B, 1) is
# transposed: `df.T @ h1` is (1, B) @ (B, h). **That is the reason for each `.T` on the left factor of a
# product in `backward`: it puts the batch inside, where it is summed.** Where no product does it, for the
# biases, `sum(axis=0)` adds up the rows.
#
# | line | shapes | what is summed over |
# |---|---|---|
# | `dW2 = df.T @ h1` | (1, B) @ (B, h) → (1, h) | the samples: W2 is used in each |
# | `db2 = df.sum(axis=0)` | (B, 1) → (1,) | the samples |
# | `dh1 = df @ W2` | (B, 1) @ (1, h) → (B, h) | the one output: h1 belongs to a sample |
# | `da1 = dh1 * relu_derivative(a1)` | (B, h) * (B, h) → (B, h) | nothing |
# | `dW1 = da1.T @ x` | (h, B) @ (B, 2) → (h, 2) | the samples |
# | `db1 = da1.sum(axis=0)` | (B, h) → (h,) | the samples |
#
# **A tool to find them again.** Forgot where a transpose goes? Write down the shapes of what arrives
# (`da1`: (B, h)), of the other factor (`x`: (B, 2)) and of what must come out (`dW1`: (h, 2)). As long as
# B, h and 2 are three different letters, only one product fits: (h, B) @ (B, 2). What shapes cannot
# show is a wrong sign or factor, or a mean in place of a sum. For those there is the gradient check.
#
# The code stays as it is. Here are all training samples at once, beside the mean of the backward passes
# of each alone. Both add up the same numbers in another order, so only rounding may differ. This bound
# is made like the last one: $n$ roundings, times $\varepsilon$, times the sum of the sizes. To get the sum of
# the sizes, run the same `backward` on absolute values. (Where a unit is so close to its kink that
# rounding decides whether it is on, the bound allows for that too.)

# %%
# include rounding: point_bounds

# %%
NAMES = ("dW1", "db1", "dW2", "db2")


def single_gradients(x: Array, y: Array) -> list[Four]:
    """The gradients of each sample alone."""
    return [backward(x[i : i + 1], y[i : i + 1], W1, b1, W2, b2) for i in range(len(x))]


batch = backward(x_train, y_train, W1, b1, W2, b2)
singles = single_gradients(x_train, y_train)
batch_bounds = point_bounds(x_train, y_train, W1, b1, W2, b2)
for name, gradient, alone in zip(NAMES, batch, zip(*singles, strict=True), strict=True):
    check(name, gradient, np.mean(alone, axis=0), batch_bounds[name])

# %% [markdown]
# ### Shapes
#
# A gradient has the shape of its parameter, whatever $B$ is. That alone finds many mistakes. One gets
# past it in the loss: targets of shape (B,) make `f - y` (B, B), without an error.

# %%
for B in (1, BATCH_SIZE, N):
    for name, p, gradient in zip(NAMES, params, backward(x_train[:B], y_train[:B], *params), strict=True):
        if gradient.shape != p.shape:
            raise AssertionError(f"{name} has shape {gradient.shape} for B = {B}, must have {p.shape}")
print("shapes of dW1, db1, dW2, db2:", [g.shape for g in batch], f"for B = 1, {BATCH_SIZE}, {N}")
flat = forward(x_train, W1, b1, W2, b2)[2] - y_train[:, 0]
print(f"({N}, 1) − ({N},) has shape", flat.shape)

# %% [markdown]
# ## The gradient check
#
# Now all entries at once, on a batch, beside central differences of the loss. All parameters are first
# moved by small random amounts, so that the biases are not zero: at zero biases a program that forgets to
# add b1 computes the same numbers. The batch is made of the 32 samples that are farthest from every kink,
# so that the step can be large.

# %%
rng = np.random.default_rng(0)
point = [(p + 0.1 * rng.standard_normal(p.shape)).astype(DTYPE) for p in params]
rows = np.argsort(-abs(forward(x_train, *point)[0]).min(axis=1))[:32]
x_check, y_check = x_train[rows], y_train[rows]  # (32, 2), (32, 1)
first_kink = float(abs(forward(x_check, *point)[0]).min())


def pairs(dtype: type, step: float) -> tuple[list[tuple[Array, Array]], float]:
    """For each parameter, the gradient by `backward` and by central differences; and the bound."""
    x, y, *ps = (a.astype(dtype) for a in (x_check, y_check, *point))
    slopes = []
    for k, p in enumerate(ps):
        others = ps[:k], ps[k + 1 :]
        slope = central_difference(
            lambda at: loss(forward(x, *others[0], at, *others[1])[2], y), p, step
        )
        slopes.append(slope)
    return list(zip(backward(x, y, *ps), slopes, strict=True)), slope_bound(x, y, *ps, step)


print(f"largest step that crosses no kink for sure: {first_kink:.1e}; we take half of it")
for dtype in (np.float64, np.float32):
    found, allowed = pairs(dtype, first_kink / 2)
    for name, (gradient, slope) in zip(NAMES, found, strict=True):
        check(name, gradient, slope, allowed)

# %% [markdown]
# In float32, $u$ is 2²⁹ times as large, and the same check is that much blunter. That is rounding, and
# not ReLU's fault: no sample crosses a kink. The error depends on the step like this:

# %%
steps = np.sort([*np.logspace(-12, 0, 37), 0.999 * first_kink, 1.001 * first_kink])
figure, axes = plt.subplots(figsize=(7.5, 4.5))
for dtype, style, colour in ((np.float64, "-", "black"), (np.float32, "--", "tab:blue")):
    measured = [pairs(dtype, step) for step in steps]
    errors = np.array([max(abs(g - s).max() for g, s in found) for found, _ in measured])
    allowed = np.array([bound for _, bound in measured])
    axes.loglog(steps, np.maximum(errors, 1e-17), style, color=colour, label=f"{dtype.__name__}: largest error")
    axes.loglog(steps, allowed, ":", color=colour, label=f"{dtype.__name__}: bound")
    used = (errors / allowed)[steps < first_kink].max()
    print(f"{dtype.__name__}, below the first kink: largest error over its bound {used:.3f} ≤ 1.000")
    if not used <= 1:
        raise AssertionError("below the first kink no error may exceed its bound")
axes.axvline(first_kink, color="grey", label="the first kink")
axes.set(xlabel="step", ylabel="error of the gradient (at least 1e-17)", ylim=(1e-17, 1e8))
axes.legend(fontsize=8)
caption(figure, "Left of the grey line: rounding, below its bound. Right of it a step may cross a kink.")
plt.show()

# %% [markdown]
# From right to left: a step that crosses a kink gives a wrong slope, more so the further it goes. Left of
# the first kink the error is rounding over the step, so it grows as the step shrinks. In float32 the
# smallest steps are rounded away altogether: the difference is 0, and the error is the gradient itself.
#
# So **here a large step below the first kink is good**: between kinks this loss is a parabola. (Another
# loss may bend more; then a large step has an error of its own.) And one fixed tolerance does not suit
# all: at 1e-7 a float32 check rejects right gradients, while a float64 check lets mistakes pass that its
# bound would see.

# %% [markdown]
# ### A check on a kink
#
# At $x = (0, 0)$ with zero biases every $a_1$ is exactly 0: all units sit on their kinks. There `db1`
# is 0 by our choice of $\mathrm{ReLU}'(0)$. A central difference looks at both sides, and reports half
# of the slope on the right. Neither is wrong; the point has no gradient. **Check gradients away from
# kinks**: where every $|a_1|$ is larger than what the step can move it by.
#
# To the right of the kink $L$ is a parabola, $\tfrac12 (W_{2j} s + b_2 - 1)^2$; to the left it is flat. So
# the difference is half the slope, plus $W_{2j}^2 s / 4$ from the parabola's bend: that is the bound.

# %%
origin, target = np.zeros((1, 2), DTYPE), np.ones((1, 1), DTYPE)
zero_b1 = np.zeros(HIDDEN, DTYPE)
at_kink = W1, zero_b1, W2, b2
small_step = 2.0**-10


def loss_at_origin(b1: Array) -> Array:
    return loss(forward(origin, W1, b1, W2, b2)[2], target)


ours = backward(origin, target, *at_kink)[1]
reported = central_difference(loss_at_origin, zero_b1, small_step)
right_slope = (b2 - target[0]) * W2[0]  # (h,): at the kink f = b2; right of it h1 = a1
print("our db1            ", ours[:8])
print("central difference ", reported[:8].round(4))
print("slope on the right ", right_slope[:8].round(4))
check("our db1 on the kink", ours, np.zeros(HIDDEN), 0)
bend = float((W2**2).max()) * small_step / 4 + slope_bound(origin, target, *at_kink, small_step)
check("central difference against half the slope on the right", reported, right_slope / 2, bend)

# %% [markdown]
# ## Training
#
# Mini-batch SGD (stochastic gradient descent): in every epoch, visit the samples in a new order, a
# batch at a time, and after each move every parameter against its gradient: $p \leftarrow p - \eta \,
# \frac{\partial L}{\partial p}$, with the learning rate $\eta$ = `LR`. If `N` is not a multiple of the
# batch size, the last batch is shorter, and its mean is over fewer samples.

# %%
# include numpy_manual: sgd

# %% [markdown]
# After each epoch we note both losses, the accuracy, and for each parameter the **norm** of its gradient
# over all training samples: the square root of the sum of its squared entries. The figure shows the norm
# as the median of a few epochs, as it trembles.

# %% folded="Helpers: what is observed after every epoch, and how it is drawn"
# include lesson: outcome, trained_well

# include figures: medians, draw_norms, draw_plane


def observe(W1: Array, b1: Array, W2: Array, b2: Array) -> list[float]:
    """Training loss, held-out loss, held-out accuracy, and the norms of dW1, db1, dW2, db2."""
    f, f_val = (forward(x, W1, b1, W2, b2)[2] for x in (x_train, x_val))
    accuracy = ((f_val >= 0.5) == (y_val == 1)).mean()
    norms = [np.linalg.norm(g) for g in backward(x_train, y_train, W1, b1, W2, b2)]
    return [loss(f, y_train), loss(f_val, y_val), accuracy, *norms]


def follow(updates: Iterator[Four]) -> tuple[list[Array], Array]:
    """The last parameters, and what `observe` sees at the start and after every epoch.

    A training that diverges ends at the last epoch whose numbers are finite.
    """
    per_epoch = -(-len(x_train) // BATCH_SIZE)  # updates, rounded up
    trained, history = params, [observe(*params)]
    with np.errstate(over="ignore", invalid="ignore"):
        for update, now in enumerate(updates, 1):
            if update % per_epoch == 0:
                seen = observe(*now)
                if not np.isfinite(seen).all():
                    print(f"the training diverges in epoch {update // per_epoch}")
                    break
                trained, history = [p.copy() for p in now], [*history, seen]
    return trained, np.array(history)


# %%
trained, history = follow(sgd(params, x_train, y_train, order, BATCH_SIZE, LR))
print(f"{len(history) - 1} epochs: loss {history[-1, 0]:.6f}, held-out {history[-1, 1]:.6f}")
trained_well(history[-1, 2], forward(x_train, *trained)[0], len(history) > EPOCHS)

# %%
figure, (left, middle, right) = plt.subplots(1, 3, figsize=(13, 4), layout="constrained")
left.loglog(1 + np.arange(len(history)), history[:, 0], "k.-", markersize=3, label="training")
left.loglog(1 + np.arange(len(history)), history[:, 1], "k.--", markersize=3, label="held-out")
left.set(xlabel="1 + epoch", ylabel="mean of ½ (f − y)²", title="Loss")
left.legend()
draw_norms(middle, history[:, 3:], NAMES)
draw_plane(right, trained, x_val, y_val)
right.set_title("Held-out samples, f ≥ ½ shaded")
caption(figure, "Left and middle: 1 is before the first update. Right: a dotted line is a unit's kink.")
plt.show()

# %% [markdown]
# ## A wrong backward pass that can still train
#
# Suppose both bias gradients are averaged once more: a mean where the sum belongs, since `df` has the
# $1/B$ already. They are $B$ times too small. What does the loss curve say?

# %% only="exercise" folded="A training with any backward pass"
# include exercise: sgd_with

# %%
def wrong_backward(x: Array, y: Array, W1: Array, b1: Array, W2: Array, b2: Array) -> Four:
    """`backward`, with the gradients of both biases averaged twice."""
    dW1, db1, dW2, db2 = backward(x, y, W1, b1, W2, b2)
    return dW1, db1 / len(x), dW2, db2 / len(x)


# include numpy_manual: sgd as wrong_sgd; backward as wrong_backward

# %%
wrong_trained, wrong_history = follow(wrong_sgd(params, x_train, y_train, order, BATCH_SIZE, LR))

figure, axes = plt.subplots(figsize=(6.5, 4))
axes.loglog(1 + np.arange(len(history)), history[:, 0], "k.-", markersize=3, label="right gradients")
wrong_epochs = 1 + np.arange(len(wrong_history))
axes.loglog(wrong_epochs, wrong_history[:, 0], "k.--", markersize=3, label="wrong bias gradients")
axes.set(xlabel="1 + epoch", ylabel="training loss")
axes.legend()
caption(figure, "Cover the solid curve: does the dashed one alone tell that its gradients are wrong?")
plt.show()
print("with wrong bias gradients: ", end="")
wrong_finite = len(wrong_history) > EPOCHS
trained_well(wrong_history[-1, 2], forward(x_train, *wrong_trained)[0], wrong_finite)

# %% [markdown]
# It does not: it falls smoothly, as a right one may. A falling loss does not prove that the gradient is
# right. Nor does a poor run prove that it is wrong: right gradients can get stuck too. The gradient check
# tells at once, names the parameters, and the ratio says what happened:

# %%
found, allowed = pairs(DTYPE, first_kink / 2)
for name, wrong, (right_one, slope) in zip(NAMES, wrong_backward(x_check, y_check, *point), found, strict=True):
    gap = abs(wrong - slope).max()
    ratio = np.linalg.norm(slope) / max(np.linalg.norm(wrong), np.finfo(DTYPE).tiny)
    print(f"{name}:", f"wrong, slope / gradient = {ratio:.3f}" if gap > allowed else "right")
    off = abs(wrong - right_one).max()
    if (gap > allowed and off == 0) or (gap <= allowed and off > 2 * allowed):
        raise AssertionError(f"{name} is off by {off:.1e}, and the check says otherwise")

# %% [markdown]
# ## A proof, not a test
#
# All checks so far allow for rounding. This one need not, because the numbers in it are fractions. And it
# takes no step, because they know their derivative: a **dual number** $a + a' \varepsilon$ is a value $a$ and
# its derivative $a'$ along some direction. With the rule $\varepsilon^2 = 0$,
#
# $$(a + a' \varepsilon) + (b + b' \varepsilon) = (a + b) + (a' + b')\,\varepsilon \qquad
# (a + a' \varepsilon)(b + b' \varepsilon) = ab + (ab' + a'b)\,\varepsilon$$
#
# are the sum rule and the product rule. That is all that this network needs: a quotient only has a whole
# number below its line.

# %%
class Dual:
    """value + slope · ε, with ε² = 0: a number that knows its derivative, exactly."""

    def __init__(self, value: Any, slope: Any = 0) -> None:
        self.value, self.slope = Fraction(value), Fraction(slope)

    def __add__(self, other: Any) -> "Dual":
        other = other if isinstance(other, Dual) else Dual(other)
        return Dual(self.value + other.value, self.slope + other.slope)

    def __mul__(self, other: Any) -> "Dual":
        other = other if isinstance(other, Dual) else Dual(other)
        return Dual(self.value * other.value, self.value * other.slope + self.slope * other.value)

    def __sub__(self, other: Any) -> "Dual":
        return self + other * -1

    def __truediv__(self, count: Any) -> "Dual":
        return self * Fraction(1, int(count))

    def __pow__(self, power: int) -> "Dual":
        return self * self ** (power - 1) if power > 1 else self

    def __ge__(self, number: Any) -> bool:
        return self.value >= number

    __radd__, __rmul__ = __add__, __mul__


for number in (Dual(Fraction(1, 3), 1), Dual(1, 1)):
    print(f"½ (3p − 1)² at {number.value} has the slope", (0.5 * (3 * number - 1) ** 2).slope)

# %% [markdown]
# NumPy hands each operation on an array of objects to its elements. So `forward`, `loss` and `backward` run
# on these numbers **as they are written above**. Give every parameter a direction $v$; then the loss comes
# out with its derivative along $v$, and nobody has written a backward pass for it. If the gradients $g$ are
# right,
#
# $$D = dL(v) - g \cdot v = 0$$
#
# for every $v$: not nearly, exactly. Here is one draw, for five samples and four units.

# %%
SHAPES = (5, 2), (5, 1), (4, 2), (4,), (1, 4), (1,)  # x, y, W1, b1, W2, b2
GRID = 2**61
draw = np.random.default_rng(1)


def fractions(shape: tuple[int, ...], least: int, most: int, below: int) -> Array:
    """Whole numbers drawn uniformly, over one that stands below the line."""
    numbers = draw.integers(least, most, shape).astype(object)
    return numbers * Fraction(1, below)


def drawn_point() -> list[Array]:
    """A coarse point says which units are on; a point of a fine grid beside it has the same on."""
    while True:
        base = [fractions(shape, -512, 513, 64) for shape in SHAPES]
        point = [p + fractions(p.shape, 0, GRID, 2**71) for p in base]
        on = [forward(x, *ps)[0] > 0 for x, _, *ps in (base, point)]
        if np.array_equal(*on):
            return point


def difference(backward: Callable[..., Four], point: list[Array]) -> Fraction:
    """D: the derivative along a random v from dual numbers, less what the gradients say."""
    x, y, *ps = point
    vs = [draw.integers(0, GRID, p.shape).astype(object) for p in ps]
    moving = [np.frompyfunc(Dual, 2, 1)(p, v) for p, v in zip(ps, vs, strict=True)]
    L = loss(forward(x, *moving)[2], y)
    return L.slope - sum((g * v).sum() for g, v in zip(backward(x, y, *ps), vs, strict=True))


def nudged_backward(*arguments: Array) -> Four:
    """`backward`, with one entry of dW1 off by 10⁻³⁰."""
    dW1, db1, dW2, db2 = backward(*arguments)
    dW1[2, 1] += Fraction(1, 10**30)
    return dW1, db1, dW2, db2


drawn = drawn_point()
if (D := difference(backward, drawn)) != 0:
    raise AssertionError(f"backward is refuted: dL(v) − g·v is {float(D)}, must be 0")
print("D with backward:", D)
for name, wrong in (("wrong_backward", wrong_backward), ("nudged_backward", nudged_backward)):
    if (D := difference(wrong, drawn)) == 0:
        raise AssertionError(f"{name} is wrong, and was not refuted")
    print(f"D with {name}: not 0, refuted")

# %% [markdown]
# **Why one draw is enough.** As long as the same units are on, $L$ and $g$ are made by adding and multiplying: they
# are polynomials in all the numbers drawn, and so is $D$. A polynomial that is not 0 has few zeros. In one
# unknown they are at most as many as its degree. Drawn from $N$ values, the unknown hits one of them with
# a chance of at most degree $/ N$. The same bound holds for many unknowns. The degree of $D$ is 6 (two
# for the square, times three: $W_2$, $W_1$, $x$), and $N = 2^{61}$. So a wrong gradient gives $D = 0$ with a
# chance below $3 \cdot 10^{-18}$. No tolerance is involved, and an error of $10^{-30}$ is as visible as a
# wrong sign.
#
# **Why two steps.** Which polynomial $D$ is depends on which units are on. The coarse point decides that, and
# the fine one is uniform beside it: so the bound is about *these* units.
#
# **What it leaves open.** Other units that are on: draw again. Other sizes than five samples and four units.
# The kink itself, $a_1 = 0$, which no draw hits. And rounding: in floating point this very `backward` is
# off by its last digits, which the checks above bound.

# %% [markdown] only="exercise"
# ## Predict, then run
#
# Two questions. Write `"yes"` or `"no"` where the `"?"` stands, before you run the cell.

# %% only="exercise" folded="Your guess, held to what happens"
# include exercise: predicted


def accuracy_with(other: Callable[..., Four]) -> float:
    """The held-out accuracy that mini-batch SGD reaches with another backward pass."""
    *_, last = sgd_with(other, params, x_train, y_train, order, BATCH_SIZE, LR)
    return float(((forward(x_val, *last)[2] >= 0.5) == (y_val == 1)).mean())


# %% [markdown] only="exercise"
# **1.** Suppose `dW1` is always 0: the weights of the hidden layer stay as they were drawn, and only the
# three other parameters learn. Does the network still reach a held-out accuracy of 0.93?

# %% only="exercise"
guess = "?"  # "yes" or "no"


def frozen_backward(*arguments: Array) -> Four:
    """`backward`, but W1 gets no gradient."""
    dW1, db1, dW2, db2 = backward(*arguments)
    return 0 * dW1, db1, dW2, db2


predicted(guess, accuracy_with(frozen_backward), 0.93)

# %% [markdown] only="exercise"
# **2.** Suppose `dW2` has the wrong sign, and the other three are right. Does it still reach 0.93?

# %% only="exercise"
guess = "?"  # "yes" or "no"


def climbing_backward(*arguments: Array) -> Four:
    """`backward`, but W2's gradient has the wrong sign."""
    dW1, db1, dW2, db2 = backward(*arguments)
    return dW1, db1, -dW2, db2


predicted(guess, accuracy_with(climbing_backward), 0.93)

# %% [markdown]
# ## What has been proven
#
# - Each of the seven links equals a central difference, within a bound that was derived.
# - The links in order are `backward`, to the last bit. A batch's gradient is the mean of its samples'.
# - Below the first kink the error of a difference stays under its bound, at each step tried, in float64
#   and in float32.
# - For five samples and four units, with the units on that were drawn, `backward` is the exact derivative;
#   a wrong one would have passed with a chance below 3 · 10⁻¹⁸.
# - What need not happen: as delivered, the network reaches a held-out accuracy of 0.93, and so does one
#   with wrong bias gradients. With other settings, see what the cells print.
#
# Next: [2, PyTorch's tensors, without autograd](02_pytorch_no_autograd.ipynb), the same lines in another
# library.
#
# ## Try
#
# Change a copy. Each answer can be run at the end of this notebook.
#
# **1.** Leave `* relu_derivative(a1)` out of `backward`. Which checks fail, and which gradients stay
# right?
#
# <details><summary>Answer</summary>
#
# ```python
# def leaky_backward(x, y, W1, b1, W2, b2):
#     a1, h1, f = forward(x, W1, b1, W2, b2)
#     df = (f - y) / len(x)
#     da1 = df @ W2  # the ReLU's derivative is left out
#     return da1.T @ x, da1.sum(axis=0), df.T @ h1, df.sum(axis=0)
#
#
# found, allowed = pairs(DTYPE, first_kink / 2)
# for name, wrong, (_, slope) in zip(NAMES, leaky_backward(x_check, y_check, *point), found):
#     print(name, "is right" if abs(wrong - slope).max() <= allowed else "is wrong")
# ```
#
# ```text
# dW1 is wrong
# db1 is wrong
# dW2 is right
# db2 is right
# ```
#
# The cell below `backward` raises first: `dW1` is no longer what the seven links give. Everything
# below the ReLU is wrong, everything above it is right.
# </details>
#
# **2.** Set `HIDDEN = 4`, and try other seeds. How often does training get stuck? (Notebook 4
# counts.)
#
# <details><summary>Answer</summary>
#
# ```python
# def held_out_accuracy(seed, hidden):
#     data, init, shuffles = np.random.SeedSequence(seed).spawn(3)
#     (x, y), (x_val, y_val) = (samples(stream, 500) for stream in data.spawn(2))
#     start = initial_parameters(init, hidden)
#     *_, last = sgd(start, x, y, batch_order(shuffles, 500, EPOCHS), BATCH_SIZE, LR)
#     return ((forward(x_val, *last)[2] >= 0.5) == (y_val == 1)).mean()
#
#
# for hidden in (4, 8):
#     reached = sum(held_out_accuracy(seed, hidden) >= 0.93 for seed in range(10))
#     print(f"h = {hidden}: {reached} of 10 seeds reach 0.93")
# ```
#
# ```text
# h = 4: 6 of 10 seeds reach 0.93
# h = 8: 10 of 10 seeds reach 0.93
# ```
#
# With 4 units several runs get stuck, though every gradient is right. They differ in the seed alone.
# </details>
#
# **3.** Try the learning rates 1, 2 and 4. Which run ends poorly, in which do units die, which one
# overflows?
#
# <details><summary>Answer</summary>
#
# ```python
# for rate in (1, 2, 4):
#     last, seen = follow(sgd(params, x_train, y_train, order, BATCH_SIZE, rate))
#     dead = (forward(x_train, *last)[0] <= 0).all(axis=0).sum()
#     print(f"rate {rate}: {len(seen) - 1} epochs, accuracy {seen[-1, 2]:.3f}, {dead} dead units")
# ```
#
# ```text
# rate 1: 200 epochs, accuracy 0.890, 1 dead units
# rate 2: 200 epochs, accuracy 0.560, 8 dead units
# the training diverges in epoch 20
# rate 4: 19 epochs, accuracy 0.560, 8 dead units
# ```
#
# A dead unit is off for every sample, so no gradient reaches it any more. Once all are dead only b2
# moves: each update multiplies its distance from the mean target by 1 − rate. At rate 2 that flips
# for ever, at 4 it is −3 and overflows. (The last epoch with finite numbers is shown.)
# </details>
#
# **4.** Write the check so that it moves all of `W1` along one random direction at once. What does it
# still see?
#
# <details><summary>Answer</summary>
#
# ```python
# direction = np.random.default_rng(1).standard_normal(point[0].shape)
# s = first_kink / 2 / abs(direction).sum(axis=1).max()  # a1 moves by half of first_kink at most
# below, above = (
#     loss(forward(x_check, point[0] + t * direction, *point[1:])[2], y_check) for t in (-s, s)
# )
# dW1_check = backward(x_check, y_check, *point)[0]
# print(f"slope along the direction: {(above - below) / (2 * s):.6f}")
# print(f"by dW1:                    {(dW1_check * direction).sum():.6f}")
# print(f"by dW1, units reversed:    {(dW1_check[::-1] * direction).sum():.6f}")
# ```
#
# ```text
# slope along the direction: 0.054006
# by dW1:                    0.054006
# by dW1, units reversed:    0.224784
# ```
#
# Two losses instead of two for each entry. It sees a wrong gradient unless the error is at right
# angles to the direction, which hardly ever happens by chance. It does not see *which* entry is
# wrong.
# </details>
