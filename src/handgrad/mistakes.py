"""The catalogue: what people get wrong in a backward pass, each an executable one-line change.

The backward pass is written for a stack of affine layers with ReLU between them and the loss
L = mean of ½ (f − y)²; the ladder's network is the stack of two. `RIGHT` holds its lines, one a
link of the chain rule; a `Mistake` replaces one of them. This is the only list; everything else
reads it.

The names that a line may use, at layer k (counted from the input, rows are samples):

    f, y   (B, 1)          predictions and targets
    h      (B, n_in)       what the layer receives: x, or the hidden activation below it
    a      (B, n_in)       the pre-activation that h came from
    above  (B, n_out)      the layer's own pre-activation (f for the last layer)
    W, b   (n_out, n_in)   the layer's parameters, b (n_out,)
    da     (B, n_out)      ∂L/∂(the layer's pre-activation)
    dh     (B, n_in)       ∂L/∂h
    dW_above               the gradient of the next layer's W, which is computed before
    dh_above (B, n_out)    ∂L/∂(the layer's output), which is computed before
    before_W, before_b     this layer's gradients from the call before, zero at the first call
    batch_size, lr         numbers from outside; np is NumPy
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from types import CodeType
from typing import Any

import numpy as np

Array = np.ndarray
Gradients = tuple[list[Array], list[Array]]

RIGHT = {
    "df": "(f - y) / len(f)",
    "dW": "da.T @ h",
    "db": "da.sum(axis=0)",
    "dh": "da @ W",
    "da": "dh * (a > 0)",
}
"""The right lines, in the order in which a layer of the backward pass runs them."""


@dataclass(frozen=True)
class Mistake:
    """One wrong line of a backward pass.

    >>> mistake = CATALOGUE["ReLU left out"]
    >>> mistake.link, mistake.line, mistake.right
    ('da', 'da = dh', 'da = dh * (a > 0)')
    >>> mistake.layers(3)  # of three: nothing lies below the first
    (1, 2)
    >>> wrong = mistake.backward(layer=1)
    >>> Ws, bs = [np.eye(2), np.ones((1, 2))], [np.zeros(2), np.zeros(1)]
    >>> x, y = np.array([[1.0, -1.0]]), np.zeros((1, 1))
    >>> wrong(Ws, bs, x, y)[0][0].tolist(), backward(Ws, bs, x, y)[0][0].tolist()
    ([[1.0, -1.0], [1.0, -1.0]], [[1.0, -1.0], [0.0, 0.0]])

    A mistake in dW, db, dh or da is made at one layer; one in df is made once, at the top. Some need
    layers of equal widths: elsewhere NumPy refuses the shapes, as it would refuse a person.

    Attributes:
        name: in the catalogue.
        line: "link = expression", where the link is a key of `RIGHT`.
        sentence: tells a person what it does.
        hint: what to look at.
    """

    name: str
    line: str
    sentence: str
    hint: str

    @property
    def link(self) -> str:
        """Which line is replaced."""
        return self.line.split(" = ")[0]

    @property
    def right(self) -> str:
        """The line that should stand there."""
        return f"{self.link} = {RIGHT[self.link]}"

    def layers(self, n_layers: int) -> tuple[int, ...]:
        """Where a stack of `n_layers` layers can hold this mistake."""
        if self.link == "df":
            return (n_layers - 1,)
        used = _code(self.line.split(" = ")[1]).co_names
        lowest = 1 if self.link in ("dh", "da") or "a" in used else 0  # nothing lies below layer 0
        highest = n_layers - 1 if {"dW_above", "dh_above"} & set(used) else n_layers
        return tuple(range(lowest, highest))

    def backward(
        self, layer: int, *, lr: float = 0.1, batch_size: int = 32
    ) -> Callable[[Sequence[Array], Sequence[Array], Array, Array], Gradients]:
        """A `backward` that makes this mistake at `layer`, and remembers its last call."""
        wrong = {(self.link, layer): self.line.split(" = ")[1]}
        numbers = {"lr": lr, "batch_size": batch_size}
        last: list[Gradients] = []

        def mistaken(Ws: Sequence[Array], bs: Sequence[Array], x: Array, y: Array) -> Gradients:
            gradients = _backward(Ws, bs, x, y, wrong, numbers, last[0] if last else None)
            last[:] = [gradients]
            return gradients

        return mistaken


def forward(Ws: Sequence[Array], bs: Sequence[Array], x: Array) -> tuple[list[Array], list[Array]]:
    """The forward pass of a stack of affine layers with ReLU between them.

    >>> Ws, bs = [np.eye(2), np.ones((1, 2))], [np.zeros(2), np.zeros(1)]
    >>> pre, received = forward(Ws, bs, np.ones((3, 2)))
    >>> [a.shape for a in pre], [h.shape for h in received]
    ([(3, 2), (3, 1)], [(3, 2), (3, 2)])

    Args:
        Ws: (n_out, n_in) each, from the input up.
        bs: (n_out,) each.
        x: (B, n_in).

    Returns:
        The pre-activations of all layers (the last is f), and what each layer receives.
    """
    pre, received = [], [x]
    for W, b in zip(Ws, bs, strict=True):
        pre.append(received[-1] @ W.T + b)
        received.append(np.maximum(pre[-1], 0))
    return pre, received[:-1]


def backward(Ws: Sequence[Array], bs: Sequence[Array], x: Array, y: Array) -> Gradients:
    """The right gradients of every W and every b, of L = mean of ½ (f − y)².

    >>> Ws, bs = [np.ones((1, 2))], [np.zeros(1)]
    >>> dWs, dbs = backward(Ws, bs, np.ones((3, 2)), np.zeros((3, 1)))
    >>> dWs[0].tolist(), dbs[0].tolist()
    ([[2.0, 2.0]], [2.0])

    Args:
        Ws: (n_out, n_in) each, from the input up.
        bs: (n_out,) each.
        x: (B, n_in).
        y: (B, 1).

    Returns:
        Two lists, from the lowest layer to the last.
    """
    return _backward(Ws, bs, x, y, {}, {}, None)


@cache
def _code(text: str) -> CodeType:
    return compile(text, f"<{text}>", "eval")


def _backward(
    Ws: Sequence[Array],
    bs: Sequence[Array],
    x: Array,
    y: Array,
    wrong: dict[tuple[str, int], str],
    numbers: dict[str, float],
    before: Gradients | None,
) -> Gradients:
    pre, received = forward(Ws, bs, x)
    dWs, dbs = [np.zeros_like(W) for W in Ws], [np.zeros_like(b) for b in bs]
    before_Ws, before_bs = before or (list(dWs), list(dbs))
    names: dict[str, Any] = {
        "np": np,
        "f": pre[-1],
        "y": y,
        "dW_above": None,
        "dh_above": None,
        **numbers,
    }

    def line(link: str, k: int) -> Any:
        return eval(_code(wrong.get((link, k), RIGHT[link])), names)

    names["da"] = line("df", len(Ws) - 1)
    for k in reversed(range(len(Ws))):
        names |= {"W": Ws[k], "b": bs[k], "h": received[k], "above": pre[k]}
        names |= {"before_W": before_Ws[k], "before_b": before_bs[k]}
        names["a"] = pre[k - 1] if k > 0 else None
        dWs[k] = names["dW"] = line("dW", k)
        dbs[k] = line("db", k)
        if k > 0:
            names["dh"] = line("dh", k)
            names["da"] = line("da", k)
            names["dW_above"], names["dh_above"] = dWs[k], names["dh"]
    return dWs, dbs


_LIST = [
    # The residual: every gradient is wrong, and all by the same factor or in the same samples.
    Mistake(
        "sign of df",
        "df = (y - f) / len(f)",
        "The residual is y − f instead of f − y, so every step climbs.",
        "Differentiate ½ (f − y)² by f on paper: which of the two comes first?",
    ),
    Mistake(
        "factor 2",
        "df = 2 * (f - y) / len(f)",
        "Every gradient is twice too large: the loss is ½ (f − y)², its derivative has no 2.",
        "Differentiate ½ (f − y)² by f on paper: what becomes of the ½?",
    ),
    Mistake(
        "factor ½",
        "df = 0.5 * (f - y) / len(f)",
        "Every gradient is half its size: the ½ of the loss was kept, though the square's 2 cancels it.",
        "Differentiate ½ (f − y)² by f on paper: what becomes of the ½?",
    ),
    Mistake(
        "sum for mean",
        "df = f - y",
        "Every gradient is B times too large: the loss is a mean over the batch, this is the sum.",
        "L is a mean over B samples: what does each of them weigh in it?",
    ),
    Mistake(
        "mean of a mean",
        "df = (f - y) / len(f) ** 2",
        "Every gradient is B times too small: it was divided by the batch's size twice.",
        "Count how often you divide by B. Once is enough.",
    ),
    Mistake(
        "(N,) against (N, 1)",
        "df = (f - y.T).mean(axis=1, keepdims=True) / len(f)",
        "f − y was broadcast to (B, B): every prediction is compared with every target, so all are pulled to the mean target.",
        "Print the shape of f − y. It must be (B, 1).",
    ),
    Mistake(
        "last sample dropped",
        "df = (f - y) * (np.arange(len(f)) < len(f) - 1)[:, None] / len(f)",
        "The last sample of the batch adds nothing.",
        "Compare the last row with the one before: every sample is treated alike.",
    ),
    Mistake(
        "last sample not counted",
        "df = (f - y) / max(len(f) - 1, 1)",
        "The mean is taken over B − 1 samples instead of B.",
        "The loss divides by B, the number of rows, and not by one less.",
    ),
    Mistake(
        "short batch dropped",
        "df = (f - y) * (len(f) == batch_size) / len(f)",
        "A batch shorter than the others adds nothing.",
        "Nothing in the loss asks how long the batch is meant to be.",
    ),
    Mistake(
        "short batch miscounted",
        "df = (f - y) / batch_size",
        "A short last batch is divided by the full batch's size.",
        "Divide by the number of rows that came, not by a fixed number.",
    ),
    # The weights.
    Mistake(
        "sign of dW",
        "dW = -(da.T @ h)",
        "This weight's gradient has the wrong sign.",
        "A product passes a gradient on as it is, times the other factor: no sign comes in.",
    ),
    Mistake(
        "dW doubled",
        "dW = 2 * (da.T @ h)",
        "This weight's gradient is twice too large.",
        "Where does the 2 come from? The loss has used its own.",
    ),
    Mistake(
        "dW halved",
        "dW = 0.5 * (da.T @ h)",
        "This weight's gradient is half its size.",
        "Where does the ½ come from? The loss has used its own.",
    ),
    Mistake(
        "dW summed, not averaged",
        "dW = len(h) * (da.T @ h)",
        "This weight's gradient is B times too large: a sum over the batch where the mean is needed.",
        "df holds the mean's 1/B already, and everything below df has it from there.",
    ),
    Mistake(
        "dW averaged twice",
        "dW = da.T @ h / len(h)",
        "This weight's gradient is B times too small: df holds the 1/B already.",
        "The mean is taken once, in df. Here the samples are only added up.",
    ),
    Mistake(
        "dW transposed",
        "dW = (h.T @ da).reshape(W.shape)",
        "This weight's gradient is transposed and read in the wrong order.",
        "Write the shapes below each factor: the batch must be the inner index.",
    ),
    Mistake(
        "dW rows rolled",
        "dW = np.roll(da.T @ h, 1, axis=0)",
        "Each unit receives its neighbour's gradient.",
        "Row j belongs to unit j on both sides.",
    ),
    Mistake(
        "dW zero",
        "dW = 0 * W",
        "This weight's gradient is zero: it never learns.",
        "Is the product that you computed the one that you return?",
    ),
    Mistake(
        "dW from a instead of h",
        "dW = da.T @ a",
        "The weights are multiplied by the pre-activation below; the forward pass used its ReLU.",
        "Look at the forward line with this weight: what is it multiplied by there?",
    ),
    Mistake(
        "dW of the layer above",
        "dW = np.resize(dW_above, W.shape)",
        "Another weight's gradient is returned for this one's.",
        "Look at the names: which layer does this gradient belong to?",
    ),
    Mistake(
        "dW accumulated",
        "dW = da.T @ h + before_W",
        "The gradient of the call before was not cleared, and is still in this one.",
        "Begin anew at each call: with autograd, clear what .grad holds first.",
    ),
    # The biases.
    Mistake(
        "sign of db",
        "db = -da.sum(axis=0)",
        "This bias's gradient has the wrong sign.",
        "A sum passes a gradient on as it is: no sign comes in.",
    ),
    Mistake(
        "db summed, not averaged",
        "db = len(h) * da.sum(axis=0)",
        "This bias's gradient is B times too large: a sum over the batch where the mean is needed.",
        "df holds the mean's 1/B already, and everything below df has it from there.",
    ),
    Mistake(
        "db averaged twice",
        "db = da.mean(axis=0)",
        "This bias's gradient is B times too small: df holds the 1/B already.",
        "The bias is used by every sample, and what comes back from each is added up.",
    ),
    Mistake(
        "db over the wrong axis",
        "db = da.sum(axis=1)",
        "The bias is summed over the units instead of the samples.",
        "The gradient has the bias's shape. Which axis must be gone?",
    ),
    Mistake(
        "db not summed",
        "db = da",
        "The bias's gradient still has one row a sample: it was not summed over the batch.",
        "The gradient has the bias's shape: one number a unit, whatever B is.",
    ),
    Mistake(
        "db of the last sample",
        "db = da[-1]",
        "Only the last sample's gradient reaches the bias.",
        "The bias is used by every sample, and what comes back from each is added up.",
    ),
    Mistake(
        "db after the ReLU",
        "db = dh_above.sum(axis=0)",
        "The bias's gradient is taken after the activation: the ReLU's derivative is missing in it.",
        "The bias is added before the ReLU. Which gradient arrives there?",
    ),
    Mistake(
        "db zero",
        "db = 0 * b",
        "This bias's gradient is zero: it never learns.",
        "Is the sum that you computed the one that you return?",
    ),
    Mistake(
        "db of another parameter",
        "db = dW_above[0]",
        "The next layer's weight gradient is returned for this bias's.",
        "Look at the names: which layer does this gradient belong to?",
    ),
    Mistake(
        "db accumulated",
        "db = da.sum(axis=0) + before_b",
        "The gradient of the call before was not cleared, and is still in this one.",
        "Begin anew at each call: with autograd, clear what .grad holds first.",
    ),
    # From a layer to the one below: everything below is wrong, everything above is right.
    Mistake(
        "updated weights",
        "dh = da @ (W - lr * dW)",
        "The weights were updated before the gradient went back through them.",
        "Compute all gradients first. Then update.",
    ),
    Mistake(
        "W's rows rolled",
        "dh = da @ np.roll(W, 1, axis=1)",
        "The gradient goes back through the wrong columns of W.",
        "Column j of W belongs to input j on both sides.",
    ),
    Mistake(
        "sign of dh",
        "dh = -(da @ W)",
        "The gradient changes its sign on the way to the layer below.",
        "A product passes a gradient on as it is, times the other factor: no sign comes in.",
    ),
    Mistake(
        "path cut",
        "dh = 0 * (da @ W)",
        "No gradient reaches the layers below.",
        "Is the product that you computed the one that you pass on?",
    ),
    Mistake(
        "ReLU left out",
        "da = dh",
        "The ReLU's derivative is missing: gradient flows through units that are off.",
        "What does a ReLU do to the gradient of a unit that is off?",
    ),
    Mistake(
        "ReLU inverted",
        "da = dh * (a <= 0)",
        "The gradient flows through the units that are off, and not through those that are on.",
        "Which units pass a gradient on: those that are on, or those that are off?",
    ),
    Mistake(
        "ReLU for its derivative",
        "da = dh * np.maximum(a, 0)",
        "The gradient is multiplied by the ReLU itself instead of its derivative.",
        "The slope of a ReLU is 0 or 1. Its value is something else.",
    ),
    Mistake(
        "ReLU of another layer",
        "da = dh * (above > 0)",
        "The ReLU's derivative is taken at another layer's pre-activation.",
        "The slope belongs to the number that went into this ReLU.",
    ),
    Mistake(
        "ReLU with ≥ at 0",
        "da = dh * (a >= 0)",
        "At exactly 0 the ReLU's derivative is taken to be 1; this project, like PyTorch, takes 0.",
        "At exactly 0 we take the slope from the left.",
    ),
]

CATALOGUE = {mistake.name: mistake for mistake in _LIST}
"""Every mistake, by name."""
