# %% [markdown]
# # 5 · Find the bug
#
# **Backpropagation you can prove.** Notebooks 1 to 4 wrote right programs. Here are thirteen that people
# published, rebuilt in a few lines each. In ten of them the gradient is wrong. In three it was only
# reported to be wrong. Several of the wrong ones train well all the same.
#
# **After this notebook you can**
#
# - say whether a program's gradients are right without reading it;
# - find the parameter, and then the line;
# - say which input shows a mistake, and which one hides it;
# - tell a mistake from a convention.
#
# **Time**: about 10 minutes a program, an hour and a half for all. Each stands alone.

# %%
import numpy as np

# %% folded="The versions, and the names that type hints use" tags=["volatile"]
from collections.abc import Callable
from types import ModuleType

# include lesson: require

require(np, "2.0")

# %% folded="Notebook 1: the problem"
# include problem: Array, samples, batch_order

# %%
SEED, EPOCHS, BATCH_SIZE, LR, N = 42, 200, 32, 0.1, 500

data, init, shuffles = np.random.SeedSequence(SEED).spawn(3)
train_stream, held_out = data.spawn(2)
x_train, y_train = samples(train_stream, N)  # (N, 2), (N, 1)
x_val, y_val = samples(held_out, N)  # (N, 2), (N, 1)
order = batch_order(shuffles, N, EPOCHS)  # (EPOCHS, N)

# %% [markdown]
# ## The tools
#
# Every program has three functions of its parameters `p`, a dict of arrays: `predict(p, x)`, `loss(p, x, y)`
# and `gradients(p, x, y)`. So three tools serve them all. They know nothing of how a program works.
#
# - `train` makes updates as notebook 1 does, and returns the held-out accuracy.
# - `slopes` takes central differences of the loss, entry by entry.
# - `look` compares the gradients with the slopes, and prints for each parameter whether it is right, and
#   if not, by which factor it is off, or which entry is furthest off.

# %%
Params = dict[str, Array]


def train(predict: Callable, gradients: Callable, start: Params) -> float:
    """The held-out accuracy after all epochs; 0.5 or so where it learned nothing."""
    p = {name: a.copy() for name, a in start.items()}
    with np.errstate(all="ignore"):
        for rows in order:
            for i in range(0, N, BATCH_SIZE):
                batch = rows[i : i + BATCH_SIZE]
                for name, d in gradients(p, x_train[batch], y_train[batch]).items():
                    p[name] = p[name] - LR * d
        return float(((predict(p, x_val) >= 0.5) == (y_val == 1)).mean())


def slopes(loss: Callable, p: Params, x: Array, y: Array, step: float = 1e-6) -> Params:
    """∂loss/∂p for every entry of every parameter, by central differences."""
    found = {name: np.zeros_like(a) for name, a in p.items()}
    for name, a in p.items():
        for index in np.ndindex(a.shape):
            was = a[index]
            for way in (1, 1j) if np.iscomplexobj(a) else (1,):
                a[index] = was + way * step
                above = loss(p, x, y)
                a[index] = was - way * step
                found[name][index] += way * (above - loss(p, x, y)) / (2 * step)
            a[index] = was
    return found


def compared(loss: Callable, gradients: Callable, p: Params, x: Array, y: Array) -> dict[str, str]:
    """For each parameter "right", or what is wrong with its gradient here."""
    given, kept = {n: a.copy() for n, a in p.items()}, x.copy()
    found, right = gradients(given, x, y), slopes(loss, p, x, y)
    if not isinstance(found, dict):
        return {"gradients": f"wrong: a dict of arrays must come back, not {type(found).__name__}"}
    said = {}
    for name, slope in right.items():
        g = found.get(name)
        size = max(1e-3, float(np.linalg.norm(slope)))
        if g is None or g.shape != slope.shape:
            said[name] = f"wrong: shape {None if g is None else g.shape}, must be {slope.shape}"
        elif not np.linalg.norm(g - slope) <= 1e-5 * size:
            factor = float(np.vdot(slope, g).real / max(np.vdot(slope, slope).real, 1e-30))
            at = tuple(map(int, np.unravel_index(abs(g - slope).argmax(), g.shape)))
            entry = f"{name}{list(at)} is {g[at]:.5f}, must be {slope[at]:.5f}"
            by = factor != 0 and np.linalg.norm(g - factor * slope) <= 1e-5 * size
            said[name] = f"wrong: {factor:.4g} times the slope" if by else f"wrong: {entry}"
        else:
            said[name] = "right"
    if not np.array_equal(x, kept):
        said["x"] = "wrong: the inputs were changed"
    return said


def look(loss: Callable, gradients: Callable, p: Params, x: Array, y: Array) -> dict[str, str]:
    """Print what `compared` finds, a line for each parameter."""
    said = compared(loss, gradients, p, x, y)
    for name, text in said.items():
        print(f"{name:<4} {text}")
    return said


def normal(*shape: int, seed: int = 0) -> Array:
    """Normal numbers, divided by the root of the number of inputs, as He et al. do nearly."""
    return np.random.default_rng([SEED, seed, *shape]).standard_normal(shape) / np.sqrt(shape[-1] / 2)


def mean_loss(f: Array, y: Array) -> float:
    """The mean of ½ (f − y)²."""
    return float(0.5 * ((f - y) ** 2).mean())


TABLE: list[tuple[str, ...]] = []  # what you find: a row for each program
SOLVED: set[str] = set()  # programs whose verdict was ✓

# %% [markdown] only="exercise"
# ## What to do, thirteen times
#
# 1. Read the program. Write a guess: does it still train to an accuracy of 0.95? Run the cell.
# 2. Look at what `look` prints. Is the parameter wrong on all inputs? Make some of your own: `x` is an
#    array (B, 2), `y` is (B, 1) with zeros and ones, and `moved` holds parameters near the initial ones.
# 3. Mend the copy below it (`mended_…`), and run the verdict. It tries inputs of its own, and names the
#    parameter. Leave the copy as it is if you think that it is right.
#
# One program has two mistakes. Three have none.

# %% [markdown] only="solution"
# ## What was done, thirteen times
#
# Read the program, train it, `look` at it on an input that shows the mistake and on one that hides it, mend
# it, look again. One program has two mistakes. Three have none.

# %% folded="The verdict, and the table's rows"
# include exercise: Wrong, predicted


def verdict(name: str, loss: Callable, mended: Callable, start: Params, inputs: Callable) -> None:
    """✓ if the gradients are right on three draws of inputs and parameters; else which is not."""
    for draw in range(3):
        rng = np.random.default_rng(draw)
        p = {n: a + 0.3 * rng.standard_normal(a.shape) for n, a in start.items()}
        said = compared(loss, mended, p, *inputs(rng))
        wrong = [f"{n} {text}" for n, text in said.items() if text != "right"]
        if wrong:
            raise Wrong(f"{name} ✗ " + "; ".join(wrong))
    SOLVED.add(name)
    print(f"\x1b[32m{name} ✓ {', '.join(start)}\x1b[0m")


def tell(what: str, accuracy: float, found: dict[str, str], hides: str, seen: str) -> None:
    """Print what it was, once its verdict is ✓, and keep a row for the table at the end."""
    if f"program {len(TABLE) + 1}" not in SOLVED:
        raise Wrong("first let the verdict above pass")
    wrong = [name for name, text in found.items() if text != "right"]
    shown = "slopes: " + ", ".join(wrong) if wrong else "nothing is wrong"
    TABLE.append((what, f"{accuracy:.3f}", shown, hides, seen))
    print(f"{what}; hidden by: {hides}; reported in: {seen}")


def generic(rng: np.random.Generator) -> tuple[Array, Array]:
    """Seven to eleven samples that are nowhere special."""
    x = rng.uniform(-1, 1, (int(rng.integers(7, 12)), 2))
    return x, (x[:, :1] * x[:, 1:] < 0) * 1.0


# %% [markdown]
# ## 1 · The network of notebook 1
#
# One hidden layer with a ReLU, as in notebook 1. A course gave these lines as its solution.

# %%
def forward_1(p: Params, x: Array) -> tuple[Array, ...]:
    a1 = x @ p["W1"].T + p["b1"]  # (B, h)
    h1 = np.maximum(a1, 0)  # (B, h)
    return a1, h1, h1 @ p["W2"].T + p["b2"]  # f (B, 1)


def predict_1(p: Params, x: Array) -> Array:
    return forward_1(p, x)[-1]


def loss_1(p: Params, x: Array, y: Array) -> float:
    return mean_loss(predict_1(p, x), y)


def gradients_1(p: Params, x: Array, y: Array) -> Params:
    a1, h1, f = forward_1(p, x)
    df = (f - y) / len(x)  # (B, 1)
    dh1 = df @ p["W2"]  # (B, h)
    da1 = dh1 * (a1 > 0)  # (B, h)
    return {
        "W1": da1.T @ x,
        "b1": dh1.sum(axis=0),
        "W2": df.T @ h1,
        "b2": df.sum(axis=0),
    }


start_1 = {"W1": normal(8, 2), "b1": np.zeros(8), "W2": normal(1, 8), "b2": np.zeros(1)}

# %% guess="yes"
guess = "?"  # does it reach 0.95? "yes" or "no"
reached_1 = train(predict_1, gradients_1, start_1)
predicted(guess, reached_1, 0.95)

# %%
moved = {n: a + 0.3 * np.random.default_rng(1).standard_normal(a.shape) for n, a in start_1.items()}
found_1 = look(loss_1, gradients_1, moved, *generic(np.random.default_rng(1)))

# %% mend="program 1"
# mend gradients_1 as mended_1: dh1.sum(axis=0) -> da1.sum(axis=0)

# %% check="program 1"
verdict("program 1", loss_1, mended_1, start_1, generic)

# %% folded="1: what there was to find (run it after the verdict)"
def hidden_1(p: Params, rng: np.random.Generator) -> tuple[Array, Array]:
    """Inputs on which the wrong gradients are right."""
    p["b1"] = p["b1"] + 9
    x, y = generic(rng)
    return x, y


tell("hidden bias after the ReLU", reached_1, found_1, "inputs for which all units are on", "arthurdouillard/deepcourse #6")
at = dict(start_1)
hidden = hidden_1(at, np.random.default_rng(0))
if any(text != "right" for text in compared(loss_1, gradients_1, at, *hidden).values()):
    raise AssertionError("this input should hide the mistake")

# %% [markdown]
# ## 2 · Normalized over the batch
#
# The hidden layer is normalized over the batch, scaled by `g` and moved by `c`. In three libraries
# people reported that the backward pass lacks a term: the one through the variance to the mean.

# %%
def forward_2(p: Params, x: Array) -> tuple[Array, ...]:
    u = x @ p["W1"].T  # (B, h)
    sd = np.sqrt(u.var(axis=0) + 1e-5)  # (h,)
    z = (u - u.mean(axis=0)) / sd  # (B, h)
    a1 = p["g"] * z + p["c"]  # (B, h)
    h1 = np.maximum(a1, 0)  # (B, h)
    return sd, z, a1, h1, h1 @ p["W2"].T + p["b2"]


def predict_2(p: Params, x: Array) -> Array:
    return forward_2(p, x)[-1]


def loss_2(p: Params, x: Array, y: Array) -> float:
    return mean_loss(predict_2(p, x), y)


def gradients_2(p: Params, x: Array, y: Array) -> Params:
    sd, z, a1, h1, f = forward_2(p, x)
    df = (f - y) / len(x)  # (B, 1)
    da1 = df @ p["W2"] * (a1 > 0)  # (B, h)
    dz = da1 * p["g"]  # (B, h)
    du = (dz - dz.mean(axis=0) - z * (dz * z).mean(axis=0)) / sd  # (B, h)
    return {
        "W1": du.T @ x,
        "g": (da1 * z).sum(axis=0),
        "c": da1.sum(axis=0),
        "W2": df.T @ h1,
        "b2": df.sum(axis=0),
    }


start_2 = {
    "W1": normal(8, 2, seed=1),
    "g": np.ones(8),
    "c": np.zeros(8),
    "W2": normal(1, 8),
    "b2": np.zeros(1),
}

# %% guess="no"
guess = "?"  # does it reach 0.95? "yes" or "no"
reached_2 = train(predict_2, gradients_2, start_2)
predicted(guess, reached_2, 0.95)

# %%
moved = {n: a + 0.3 * np.random.default_rng(2).standard_normal(a.shape) for n, a in start_2.items()}
found_2 = look(loss_2, gradients_2, moved, *generic(np.random.default_rng(2)))

# %% mend="program 2"
# mend gradients_2 as mended_2: 

# %% check="program 2"
verdict("program 2", loss_2, mended_2, start_2, generic)

# %% folded="2: what there was to find (run it after the verdict)"
tell("none: the missing term is a sum of u − mean(u), which is 0", reached_2, found_2, "–", "caffe #3878, #4110; darknet PR #29; mxnet #1053")

# %% [markdown]
# ## 3 · A small convolution
#
# Every sample is an image of two rows, (x₁, x₂) and (x₂, x₁). The same eight filters `K` look at
# each row, and the mean over both rows goes on.

# %%
def forward_3(p: Params, x: Array) -> tuple[Array, ...]:
    image = np.stack([x, x[:, ::-1]], axis=1)  # (B, H, 2), H = 2 rows
    a1 = image @ p["K"].T + p["b1"]  # (B, H, h)
    h1 = np.maximum(a1, 0).mean(axis=1)  # (B, h)
    return image, a1, h1, h1 @ p["W2"].T + p["b2"]


def predict_3(p: Params, x: Array) -> Array:
    return forward_3(p, x)[-1]


def loss_3(p: Params, x: Array, y: Array) -> float:
    return mean_loss(predict_3(p, x), y)


def gradients_3(p: Params, x: Array, y: Array) -> Params:
    image, a1, h1, f = forward_3(p, x)
    B, H, _ = a1.shape
    df = (f - y) / B  # (B, 1)
    da1 = (df @ p["W2"])[:, None] / H * (a1 > 0)  # (B, H, h)
    dK = np.einsum("bih,bik->hk", da1, image) / (B * H)  # (h, 2)
    return {
        "K": dK,
        "b1": da1.sum(axis=(0, 1)),
        "W2": df.T @ h1,
        "b2": df.sum(axis=0),
    }


start_3 = {"K": normal(8, 2), "b1": np.zeros(8), "W2": normal(1, 8), "b2": np.zeros(1)}

# %% guess="yes"
guess = "?"  # does it reach 0.95? "yes" or "no"
reached_3 = train(predict_3, gradients_3, start_3)
predicted(guess, reached_3, 0.95)

# %%
moved = {n: a + 0.3 * np.random.default_rng(3).standard_normal(a.shape) for n, a in start_3.items()}
found_3 = look(loss_3, gradients_3, moved, *generic(np.random.default_rng(3)))

# %% mend="program 3"
# mend gradients_3 as mended_3: image) / (B * H)  # (h, 2) -> image)  # (h, 2)

# %% check="program 3"
verdict("program 3", loss_3, mended_3, start_3, generic)

# %% folded="3: what there was to find (run it after the verdict)"
tell("filters divided by B · H · W", reached_3, found_3, "no input", "sebgao/cTensor #3")

# %% [markdown]
# ## 4 · Looked up in a table
#
# Each coordinate is cut into 8 pieces, and each piece has a row of its own in a table: `E1` for x₁,
# `E2` for x₂.

# %%
def cells_4(x: Array) -> Array:
    return np.clip(((x + 1) * 4).astype(int), 0, 7).T  # (2, B)


def forward_4(p: Params, x: Array) -> tuple[Array, ...]:
    i, j = cells_4(x)
    a1 = p["E1"][i] + p["E2"][j]  # (B, h)
    h1 = np.maximum(a1, 0)  # (B, h)
    return i, j, a1, h1, h1 @ p["W2"].T + p["b2"]


def predict_4(p: Params, x: Array) -> Array:
    return forward_4(p, x)[-1]


def loss_4(p: Params, x: Array, y: Array) -> float:
    return mean_loss(predict_4(p, x), y)


def gradients_4(p: Params, x: Array, y: Array) -> Params:
    i, j, a1, h1, f = forward_4(p, x)
    df = (f - y) / len(x)  # (B, 1)
    da1 = df @ p["W2"] * (a1 > 0)  # (B, h)
    dE1, dE2 = np.zeros_like(p["E1"]), np.zeros_like(p["E2"])
    dE1[i] += da1
    dE2[j] += da1
    return {"E1": dE1, "E2": dE2, "W2": df.T @ h1, "b2": df.sum(axis=0)}


start_4 = {
    "E1": normal(8, 8),
    "E2": normal(8, 8, seed=1),
    "W2": normal(1, 8),
    "b2": np.zeros(1),
}

# %% guess="yes"
guess = "?"  # does it reach 0.95? "yes" or "no"
reached_4 = train(predict_4, gradients_4, start_4)
predicted(guess, reached_4, 0.95)

# %%
moved = {n: a + 0.3 * np.random.default_rng(4).standard_normal(a.shape) for n, a in start_4.items()}
found_4 = look(loss_4, gradients_4, moved, *generic(np.random.default_rng(4)))

# %% mend="program 4"
# mend gradients_4 as mended_4: dE1[i] += da1 -> np.add.at(dE1, i, da1) | dE2[j] += da1 -> np.add.at(dE2, j, da1)

# %% check="program 4"
verdict("program 4", loss_4, mended_4, start_4, generic)

# %% folded="4: what there was to find (run it after the verdict)"
def hidden_4(p: Params, rng: np.random.Generator) -> tuple[Array, Array]:
    """Inputs on which the wrong gradients are right."""
    s = np.linspace(-0.9, 0.9, 8)
    x = np.stack([s, rng.permutation(s)], axis=1)
    y = (x[:, :1] * x[:, 1:] < 0) * 1.0
    return x, y


tell("+= with repeated indices", reached_4, found_4, "samples in eight different cells", "pytorch #1631, #1528; joey00072/Tinytorch #2")
at = dict(start_4)
hidden = hidden_4(at, np.random.default_rng(0))
if any(text != "right" for text in compared(loss_4, gradients_4, at, *hidden).values()):
    raise AssertionError("this input should hide the mistake")

# %% [markdown]
# ## 5 · A block with a way around it
#
# A second layer adds to what the first one gave, and a way leads around it: `h2 = h1 + ReLU(a2)`.

# %%
def forward_5(p: Params, x: Array) -> tuple[Array, ...]:
    a1 = x @ p["W1"].T + p["b1"]  # (B, h)
    h1 = np.maximum(a1, 0)  # (B, h)
    a2 = h1 @ p["V"].T + p["c"]  # (B, h)
    h2 = h1 + np.maximum(a2, 0)  # (B, h)
    return a1, h1, a2, h2, h2 @ p["W2"].T + p["b2"]


def predict_5(p: Params, x: Array) -> Array:
    return forward_5(p, x)[-1]


def loss_5(p: Params, x: Array, y: Array) -> float:
    return mean_loss(predict_5(p, x), y)


def gradients_5(p: Params, x: Array, y: Array) -> Params:
    a1, h1, a2, h2, f = forward_5(p, x)
    df = (f - y) / len(x)  # (B, 1)
    dh2 = df @ p["W2"]  # (B, h)
    da2 = dh2
    da2 *= a2 > 0  # (B, h)
    dh1 = dh2 + da2 @ p["V"]  # (B, h): around the layer, and through it
    da1 = dh1 * (a1 > 0)  # (B, h)
    return {
        "W1": da1.T @ x,
        "b1": da1.sum(axis=0),
        "V": da2.T @ h1,
        "c": da2.sum(axis=0),
        "W2": df.T @ h2,
        "b2": df.sum(axis=0),
    }


start_5 = {
    "W1": normal(8, 2),
    "b1": np.zeros(8),
    "V": 0.5 * normal(8, 8),
    "c": np.zeros(8),
    "W2": normal(1, 8),
    "b2": np.zeros(1),
}

# %% guess="yes"
guess = "?"  # does it reach 0.95? "yes" or "no"
reached_5 = train(predict_5, gradients_5, start_5)
predicted(guess, reached_5, 0.95)

# %%
moved = {n: a + 0.3 * np.random.default_rng(5).standard_normal(a.shape) for n, a in start_5.items()}
found_5 = look(loss_5, gradients_5, moved, *generic(np.random.default_rng(5)))

# %% mend="program 5"
# mend gradients_5 as mended_5:     da2 = dh2\n    da2 *= a2 > 0  # (B, h) ->     da2 = dh2 * (a2 > 0)  # (B, h)

# %% check="program 5"
verdict("program 5", loss_5, mended_5, start_5, generic)

# %% folded="5: what there was to find (run it after the verdict)"
def hidden_5(p: Params, rng: np.random.Generator) -> tuple[Array, Array]:
    """Inputs on which the wrong gradients are right."""
    p["c"] = p["c"] + 9
    x, y = generic(rng)
    return x, y


tell("upstream gradient overwritten", reached_5, found_5, "a second layer whose units are all on", "NVIDIA/apex #1430, #1587")
at = dict(start_5)
hidden = hidden_5(at, np.random.default_rng(0))
if any(text != "right" for text in compared(loss_5, gradients_5, at, *hidden).values()):
    raise AssertionError("this input should hide the mistake")

# %% [markdown]
# ## 6 · Three classes, of which one is never meant
#
# Softmax over three classes and cross-entropy. The third class never is the target. Somebody
# reported that its row of `W2` must not get a gradient then.

# %%
def forward_6(p: Params, x: Array) -> tuple[Array, ...]:
    a1 = x @ p["W1"].T + p["b1"]  # (B, h)
    h1 = np.maximum(a1, 0)  # (B, h)
    z = h1 @ p["W2"].T + p["b2"]  # (B, 3)
    e = np.exp(z - z.max(axis=1, keepdims=True))  # (B, 3)
    return a1, h1, z, e / e.sum(axis=1, keepdims=True)


def predict_6(p: Params, x: Array) -> Array:
    z = forward_6(p, x)[2]
    return 0.5 + z[:, 1:2] - z[:, :1]  # at least ½ where class 1 is ahead of class 0


def loss_6(p: Params, x: Array, y: Array) -> float:
    share = forward_6(p, x)[-1]
    return float(-np.log(share[np.arange(len(x)), y[:, 0].astype(int)]).mean())


def gradients_6(p: Params, x: Array, y: Array) -> Params:
    a1, h1, _, share = forward_6(p, x)
    dz = (share - np.eye(3)[y[:, 0].astype(int)]) / len(x)  # (B, 3)
    da1 = dz @ p["W2"] * (a1 > 0)  # (B, h)
    return {
        "W1": da1.T @ x,
        "b1": da1.sum(axis=0),
        "W2": dz.T @ h1,
        "b2": dz.sum(axis=0),
    }


start_6 = {"W1": normal(8, 2), "b1": np.zeros(8), "W2": normal(3, 8), "b2": np.zeros(3)}

# %% guess="yes"
guess = "?"  # does it reach 0.95? "yes" or "no"
reached_6 = train(predict_6, gradients_6, start_6)
predicted(guess, reached_6, 0.95)

# %%
moved = {n: a + 0.3 * np.random.default_rng(6).standard_normal(a.shape) for n, a in start_6.items()}
found_6 = look(loss_6, gradients_6, moved, *generic(np.random.default_rng(6)))

# %% mend="program 6"
# mend gradients_6 as mended_6: 

# %% check="program 6"
verdict("program 6", loss_6, mended_6, start_6, generic)

# %% folded="6: what there was to find (run it after the verdict)"
tell("none: the class stands in the softmax's denominator", reached_6, found_6, "–", "pytorch #63004")

# %% [markdown]
# ## 7 · Some samples do not count
#
# Samples with |x₁| > 0.7 are padding. They have no part in the loss, which is the mean over the
# others.

# %%
def counts_7(x: Array) -> Array:
    return abs(x[:, :1]) <= 0.7  # (B, 1)


def forward_7(p: Params, x: Array) -> tuple[Array, ...]:
    a1 = x @ p["W1"].T + p["b1"]  # (B, h)
    h1 = np.maximum(a1, 0)  # (B, h)
    return a1, h1, h1 @ p["W2"].T + p["b2"]


def predict_7(p: Params, x: Array) -> Array:
    return forward_7(p, x)[-1]


def loss_7(p: Params, x: Array, y: Array) -> float:
    f, m = predict_7(p, x), counts_7(x)
    return float((m * 0.5 * (f - y) ** 2).sum() / m.sum())


def gradients_7(p: Params, x: Array, y: Array) -> Params:
    a1, h1, f = forward_7(p, x)
    m = counts_7(x)
    df = m * (f - y) / len(x)  # (B, 1)
    da1 = df @ p["W2"] * (a1 > 0)  # (B, h)
    return {
        "W1": da1.T @ x,
        "b1": da1.sum(axis=0),
        "W2": df.T @ h1,
        "b2": df.sum(axis=0),
    }


start_7 = {"W1": normal(8, 2), "b1": np.zeros(8), "W2": normal(1, 8), "b2": np.zeros(1)}

# %% guess="yes"
guess = "?"  # does it reach 0.95? "yes" or "no"
reached_7 = train(predict_7, gradients_7, start_7)
predicted(guess, reached_7, 0.95)

# %%
def padded(rng: np.random.Generator) -> tuple[Array, Array]:
    """`generic`, with at least two samples of padding."""
    x, y = generic(rng)
    x[:2, 0] = 0.8, -0.9
    return x, y


moved = {n: a + 0.3 * np.random.default_rng(7).standard_normal(a.shape) for n, a in start_7.items()}
found_7 = look(loss_7, gradients_7, moved, *padded(np.random.default_rng(7)))

# %% mend="program 7"
# mend gradients_7 as mended_7: (f - y) / len(x) -> (f - y) / m.sum()

# %% check="program 7"
verdict("program 7", loss_7, mended_7, start_7, padded)

# %% folded="7: what there was to find (run it after the verdict)"
def hidden_7(p: Params, rng: np.random.Generator) -> tuple[Array, Array]:
    """Inputs on which the wrong gradients are right."""
    x, y = generic(rng)
    x = 0.69 * x
    return x, y


tell("mean over ignored samples too", reached_7, found_7, "a batch without padding", "NVIDIA/TransformerEngine PR #2476")
at = dict(start_7)
hidden = hidden_7(at, np.random.default_rng(0))
if any(text != "right" for text in compared(loss_7, gradients_7, at, *hidden).values()):
    raise AssertionError("this input should hide the mistake")

# %% [markdown]
# ## 8 · Three layers
#
# A course on deep learning asks its learners to check this backward pass.

# %%
def forward_8(p: Params, x: Array) -> tuple[Array, ...]:
    a1 = x @ p["W1"].T + p["b1"]  # (B, h)
    h1 = np.maximum(a1, 0)  # (B, h)
    a2 = h1 @ p["W2"].T + p["b2"]  # (B, h)
    h2 = np.maximum(a2, 0)  # (B, h)
    return a1, h1, a2, h2, h2 @ p["W3"].T + p["b3"]


def predict_8(p: Params, x: Array) -> Array:
    return forward_8(p, x)[-1]


def loss_8(p: Params, x: Array, y: Array) -> float:
    return mean_loss(predict_8(p, x), y)


def gradients_8(p: Params, x: Array, y: Array) -> Params:
    a1, h1, a2, h2, f = forward_8(p, x)
    m = len(x)
    df = f - y  # (B, 1)
    dW3 = 1 / m * df.T @ h2
    db3 = 1 / m * df.sum(axis=0)
    da2 = df @ p["W3"] * (a2 > 0)  # (B, h)
    dW2 = 1 / m * da2.T @ h1 * 2
    db2 = 1 / m * da2.sum(axis=0)
    da1 = da2 @ p["W2"] * (a1 > 0)  # (B, h)
    dW1 = 1 / m * da1.T @ x
    db1 = 4 / m * da1.sum(axis=0)
    return {"W1": dW1, "b1": db1, "W2": dW2, "b2": db2, "W3": dW3, "b3": db3}


start_8 = {
    "W1": normal(8, 2),
    "b1": np.zeros(8),
    "W2": normal(8, 8),
    "b2": np.zeros(8),
    "W3": normal(1, 8),
    "b3": np.zeros(1),
}

# %% guess="yes"
guess = "?"  # does it reach 0.95? "yes" or "no"
reached_8 = train(predict_8, gradients_8, start_8)
predicted(guess, reached_8, 0.95)

# %%
moved = {n: a + 0.3 * np.random.default_rng(8).standard_normal(a.shape) for n, a in start_8.items()}
found_8 = look(loss_8, gradients_8, moved, *generic(np.random.default_rng(8)))

# %% mend="program 8"
# mend gradients_8 as mended_8: da2.T @ h1 * 2 -> da2.T @ h1 | db1 = 4 / m -> db1 = 1 / m

# %% check="program 8"
verdict("program 8", loss_8, mended_8, start_8, generic)

# %% folded="8: what there was to find (run it after the verdict)"
tell("two at once: dW2 doubled, db1 four times", reached_8, found_8, "no input", "a course's gradient check; bighuang624/Andrew-Ng-Deep-Learning-notes #10")

# %% [markdown]
# ## 9 · A node that is used twice
#
# The output takes `h1` and its square. Each use sends its gradient on to `a1` as soon as it has
# one.

# %%
def forward_9(p: Params, x: Array) -> tuple[Array, ...]:
    a1 = x @ p["W1"].T + p["b1"]  # (B, h)
    h1 = np.maximum(a1, 0)  # (B, h)
    return a1, h1, h1 @ p["W2"].T + h1**2 @ p["W3"].T + p["b2"]


def predict_9(p: Params, x: Array) -> Array:
    return forward_9(p, x)[-1]


def loss_9(p: Params, x: Array, y: Array) -> float:
    return mean_loss(predict_9(p, x), y)


def gradients_9(p: Params, x: Array, y: Array) -> Params:
    a1, h1, f = forward_9(p, x)
    df = (f - y) / len(x)  # (B, 1)
    dh1, da1 = np.zeros_like(h1), np.zeros_like(a1)
    for back in (df @ p["W2"], df @ p["W3"] * 2 * h1):  # from each use of h1
        dh1 += back
        da1 += dh1 * (a1 > 0)
    return {
        "W1": da1.T @ x,
        "b1": da1.sum(axis=0),
        "W2": df.T @ h1,
        "W3": df.T @ h1**2,
        "b2": df.sum(axis=0),
    }


start_9 = {
    "W1": normal(8, 2),
    "b1": np.zeros(8),
    "W2": normal(1, 8),
    "W3": 0.3 * normal(1, 8, seed=1),
    "b2": np.zeros(1),
}

# %% guess="yes"
guess = "?"  # does it reach 0.95? "yes" or "no"
reached_9 = train(predict_9, gradients_9, start_9)
predicted(guess, reached_9, 0.95)

# %%
moved = {n: a + 0.3 * np.random.default_rng(9).standard_normal(a.shape) for n, a in start_9.items()}
found_9 = look(loss_9, gradients_9, moved, *generic(np.random.default_rng(9)))

# %% mend="program 9"
# mend gradients_9 as mended_9:         dh1 += back\n        da1 += dh1 * (a1 > 0) ->         dh1 += back\n    da1 = dh1 * (a1 > 0)

# %% check="program 9"
verdict("program 9", loss_9, mended_9, start_9, generic)

# %% folded="9: what there was to find (run it after the verdict)"
def hidden_9(p: Params, rng: np.random.Generator) -> tuple[Array, Array]:
    """Inputs on which the wrong gradients are right."""
    p["W2"] = 0 * p["W2"]
    x, y = generic(rng)
    return x, y


tell("a re-used node sent on once per path", reached_9, found_9, "a point where the first use has no weight", "karpathy/micrograd #2")
at = dict(start_9)
hidden = hidden_9(at, np.random.default_rng(0))
if any(text != "right" for text in compared(loss_9, gradients_9, at, *hidden).values()):
    raise AssertionError("this input should hide the mistake")

# %% [markdown]
# ## 10 · A batch in parts
#
# A batch that does not fit into memory is worked through in parts of 12 samples.

# %%
def forward_10(p: Params, x: Array) -> tuple[Array, ...]:
    a1 = x @ p["W1"].T + p["b1"]  # (B, h)
    h1 = np.maximum(a1, 0)  # (B, h)
    return a1, h1, h1 @ p["W2"].T + p["b2"]


def predict_10(p: Params, x: Array) -> Array:
    return forward_10(p, x)[-1]


def loss_10(p: Params, x: Array, y: Array) -> float:
    return mean_loss(predict_10(p, x), y)


def of_one_part_10(p: Params, x: Array, y: Array) -> Params:
    a1, h1, f = forward_10(p, x)
    df = (f - y) / len(x)  # (b, 1)
    da1 = df @ p["W2"] * (a1 > 0)  # (b, h)
    return {
        "W1": da1.T @ x,
        "b1": da1.sum(axis=0),
        "W2": df.T @ h1,
        "b2": df.sum(axis=0),
    }


def gradients_10(p: Params, x: Array, y: Array) -> Params:
    total = {name: np.zeros_like(a) for name, a in p.items()}
    starts = range(0, len(x), 12)
    for i in starts:
        part = slice(i, i + 12)
        for name, d in of_one_part_10(p, x[part], y[part]).items():
            total[name] += d / len(starts)
    return total


start_10 = {"W1": normal(8, 2), "b1": np.zeros(8), "W2": normal(1, 8), "b2": np.zeros(1)}

# %% guess="yes"
guess = "?"  # does it reach 0.95? "yes" or "no"
reached_10 = train(predict_10, gradients_10, start_10)
predicted(guess, reached_10, 0.95)

# %%
def twenty(rng: np.random.Generator) -> tuple[Array, Array]:
    """Thirteen to 23 samples: a part of 12, and a shorter one."""
    x = rng.uniform(-1, 1, (int(rng.integers(13, 24)), 2))
    return x, (x[:, :1] * x[:, 1:] < 0) * 1.0


moved = {n: a + 0.3 * np.random.default_rng(10).standard_normal(a.shape) for n, a in start_10.items()}
found_10 = look(loss_10, gradients_10, moved, *twenty(np.random.default_rng(10)))

# %% mend="program 10"
# mend gradients_10 as mended_10: d / len(starts) -> d * len(x[part]) / len(x)

# %% check="program 10"
verdict("program 10", loss_10, mended_10, start_10, twenty)

# %% folded="10: what there was to find (run it after the verdict)"
def hidden_10(p: Params, rng: np.random.Generator) -> tuple[Array, Array]:
    """Inputs on which the wrong gradients are right."""
    x = rng.uniform(-1, 1, (24, 2))
    y = (x[:, :1] * x[:, 1:] < 0) * 1.0
    return x, y


tell("means of the parts averaged", reached_10, found_10, "a batch of 24: its parts are alike", "huggingface/transformers PR #34191, #24725")
at = dict(start_10)
hidden = hidden_10(at, np.random.default_rng(0))
if any(text != "right" for text in compared(loss_10, gradients_10, at, *hidden).values()):
    raise AssertionError("this input should hide the mistake")

# %% [markdown]
# ## 11 · Complex weights
#
# The weights `W1` are complex, and f sees the real part of $u^2$. Somebody reported that the
# derivative of u² is 2u, and that the conjugate in `du` is a mistake. Here the gradient of a
# complex parameter is what `train` can subtract: the slope along its real part, plus i times the
# slope along its imaginary part.

# %%
def forward_11(p: Params, x: Array) -> tuple[Array, ...]:
    u = x @ p["W1"].T  # (B, h), complex
    return u, (u**2).real @ p["W2"].T + p["b2"]


def predict_11(p: Params, x: Array) -> Array:
    return forward_11(p, x)[-1]


def loss_11(p: Params, x: Array, y: Array) -> float:
    return mean_loss(predict_11(p, x), y)


def gradients_11(p: Params, x: Array, y: Array) -> Params:
    u, f = forward_11(p, x)
    df = (f - y) / len(x)  # (B, 1)
    du = df @ p["W2"] * np.conj(2 * u)  # (B, h)
    return {"W1": du.T @ x, "W2": df.T @ (u**2).real, "b2": df.sum(axis=0)}


start_11 = {"W1": normal(8, 2) + 1j * normal(8, 2, seed=1), "W2": normal(1, 8), "b2": np.zeros(1)}

# %% guess="yes"
guess = "?"  # does it reach 0.95? "yes" or "no"
reached_11 = train(predict_11, gradients_11, start_11)
predicted(guess, reached_11, 0.95)

# %%
moved = {n: a + 0.3 * np.random.default_rng(11).standard_normal(a.shape) for n, a in start_11.items()}
found_11 = look(loss_11, gradients_11, moved, *generic(np.random.default_rng(11)))

# %% mend="program 11"
# mend gradients_11 as mended_11: 

# %% check="program 11"
verdict("program 11", loss_11, mended_11, start_11, generic)

# %% folded="11: what there was to find (run it after the verdict)"
tell("none: the conjugate is a convention", reached_11, found_11, "–", "pytorch #60180")

# %% [markdown]
# ## 12 · A score to be maximized
#
# The score of a sample is −½ (f − y)², and the loss is minus the mean score. Each step of the
# backward pass is a function that gets what arrives from above.

# %%
def forward_12(p: Params, x: Array) -> tuple[Array, ...]:
    a1 = x @ p["W1"].T + p["b1"]  # (B, h)
    h1 = np.maximum(a1, 0)  # (B, h)
    return a1, h1, h1 @ p["W2"].T + p["b2"]


def predict_12(p: Params, x: Array) -> Array:
    return forward_12(p, x)[-1]


def loss_12(p: Params, x: Array, y: Array) -> float:
    score = -mean_loss(predict_12(p, x), y)
    return -score


def gradients_12(p: Params, x: Array, y: Array) -> Params:
    def of_score(upstream: float) -> Array:
        return (y - f) / len(f)  # (B, 1)

    a1, h1, f = forward_12(p, x)
    df = of_score(upstream=-1.0)  # (B, 1)
    da1 = df @ p["W2"] * (a1 > 0)  # (B, h)
    return {
        "W1": da1.T @ x,
        "b1": da1.sum(axis=0),
        "W2": df.T @ h1,
        "b2": df.sum(axis=0),
    }


start_12 = {"W1": normal(8, 2), "b1": np.zeros(8), "W2": normal(1, 8), "b2": np.zeros(1)}

# %% guess="no"
guess = "?"  # does it reach 0.95? "yes" or "no"
reached_12 = train(predict_12, gradients_12, start_12)
predicted(guess, reached_12, 0.95)

# %%
moved = {n: a + 0.3 * np.random.default_rng(12).standard_normal(a.shape) for n, a in start_12.items()}
found_12 = look(loss_12, gradients_12, moved, *generic(np.random.default_rng(12)))

# %% mend="program 12"
# mend gradients_12 as mended_12: return (y - f) / len(f)  # (B, 1) -> return upstream * (y - f) / len(f)  # (B, 1)

# %% check="program 12"
verdict("program 12", loss_12, mended_12, start_12, generic)

# %% folded="12: what there was to find (run it after the verdict)"
tell("upstream gradient ignored", reached_12, found_12, "an upstream gradient of 1", "pytorch #21961, #25833 (CTC loss)")

# %% [markdown]
# ## 13 · Sample after sample
#
# The gradients are added up in a loop over the samples.

# %%
def forward_13(p: Params, x: Array) -> tuple[Array, ...]:
    a1 = x @ p["W1"].T + p["b1"]  # (B, h)
    h1 = np.maximum(a1, 0)  # (B, h)
    return a1, h1, h1 @ p["W2"].T + p["b2"]


def predict_13(p: Params, x: Array) -> Array:
    return forward_13(p, x)[-1]


def loss_13(p: Params, x: Array, y: Array) -> float:
    return mean_loss(predict_13(p, x), y)


def gradients_13(p: Params, x: Array, y: Array) -> Params:
    total = {name: np.zeros_like(a) for name, a in p.items()}
    for i in range(len(x)):
        a1, h1, f = forward_13(p, x[i : i + 1])
        df = (f - y[i]) / len(x)  # (1, 1)
        da1 = df @ p["W2"] * (a1 > 0)  # (1, h)
        total["W1"] += da1.T @ x[i : i + 1]
        total["b1"] += da1[0]
        total["W2"] += df @ h1
        total["b2"] += df[0]
        return total


start_13 = {"W1": normal(8, 2), "b1": np.zeros(8), "W2": normal(1, 8), "b2": np.zeros(1)}

# %% guess="yes"
guess = "?"  # does it reach 0.95? "yes" or "no"
reached_13 = train(predict_13, gradients_13, start_13)
predicted(guess, reached_13, 0.95)

# %%
moved = {n: a + 0.3 * np.random.default_rng(13).standard_normal(a.shape) for n, a in start_13.items()}
found_13 = look(loss_13, gradients_13, moved, *generic(np.random.default_rng(13)))

# %% mend="program 13"
# mend gradients_13 as mended_13:         total["b2"] += df[0]\n        return total ->         total["b2"] += df[0]\n    return total

# %% check="program 13"
verdict("program 13", loss_13, mended_13, start_13, generic)

# %% folded="13: what there was to find (run it after the verdict)"
def hidden_13(p: Params, rng: np.random.Generator) -> tuple[Array, Array]:
    """Inputs on which the wrong gradients are right."""
    x, y = generic(rng)
    x, y = x[:1], y[:1]
    return x, y


tell("return inside the loop", reached_13, found_13, "a batch of one sample", "riccardoandreoni0/CNN-from-scratch #1")
at = dict(start_13)
hidden = hidden_13(at, np.random.default_rng(0))
if any(text != "right" for text in compared(loss_13, gradients_13, at, *hidden).values()):
    raise AssertionError("this input should hide the mistake")

# %% [markdown]
# ## What there was to find

# %%
print(f"{'program':<3} {'what it was':<58} {'accuracy':<9} {'seen by':<24} hidden by")
for number, row in enumerate(TABLE, 1):
    what, accuracy, shown, hides, _ = row
    print(f"{number:>7} {what:<58} {accuracy:<9} {shown:<24} {hides}")
print("\nWhere it was reported:")
for number, (*_, seen) in enumerate(TABLE, 1):
    print(f"{number:>7} {seen}")
trains = sum(float(row[1]) >= 0.95 for row in TABLE if not row[0].startswith("none"))
print(f"\nOf ten wrong programs {trains} reach 0.95 all the same.")

# %% [markdown]
# **What to take along.** Accuracy tells little about a gradient: look at the column. Differences tell at
# once, and by name. But they tell about *the inputs that you gave them*: a batch of one, a batch without
# padding, units that are all on, indices that do not repeat hide what the next batch shows. So check on
# inputs that are nowhere special, and then on those that are special on purpose. And a gradient that looks
# odd may be right: three of thirteen were.
