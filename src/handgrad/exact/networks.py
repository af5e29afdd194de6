"""What is proved of the networks here: a stage's gradients, a stack's, two steps of SGD."""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any, cast

import numpy as np

from handgrad.errors import BadInput
from handgrad.exact.claims import Array, Arrays
from handgrad.exact.numbers import Degree, Dual, exact
from handgrad.exact.proof import Proof, prove, prove_equal
from handgrad.inputs import require_functions, whole_number
from handgrad.mistakes import Gradients, Mistake, backward, forward

PARAMETERS = ("W1", "b1", "W2", "b2")

PATTERNS = 8
"""A mistake may be right in some patterns: where a unit is off, nothing reaches it."""


def prove_stage(engine: Any, h: int, B: int, *, draws: int = 20, seed: int = 0) -> Proof:
    """Prove that a stage's `backward` is the derivative of its `loss` of `forward`, in NumPy.

    >>> from handgrad.stages import numpy_manual
    >>> proof = prove_stage(numpy_manual, 2, 3)
    >>> proof.ok, proof.degree
    (True, 6)

    Args:
        engine: with `forward`, `loss` and `backward`.
        h: hidden units.
        B: samples. The parameters and the data are drawn.
        draws: so many base points, each with its pattern.
        seed: of the draws.

    Returns:
        A `Proof`.

    Raises:
        BadInput: as `prove`.
    """

    def gradients(p: Arrays) -> dict[str, Array]:
        return dict(zip(PARAMETERS, engine.backward(**p), strict=True))

    loss = _loss_of(engine, "backward")
    return prove(loss, gradients, _shapes(h, B), PARAMETERS, draws=draws, seed=seed)


def prove_stack(
    gradient: Callable[..., Gradients],
    widths: Sequence[int],
    B: int,
    *,
    draws: int = 20,
    seed: int = 0,
) -> Proof:
    """Prove that `gradient(Ws, bs, x, y)` is the derivative of a stack's mean of ½ (f − y)².

    >>> from handgrad.mistakes import CATALOGUE, backward
    >>> bool(prove_stack(backward, [2, 3, 3, 1], B=2))
    True
    >>> print(prove_stack(CATALOGUE["factor 2"].backward(1), [2, 3, 1], B=2).refuted.name)
    W1

    Args:
        gradient: (Ws, bs, x, y) → (dWs, dbs), lists from the input up.
        widths: of the input, the hidden layers and the output.
        B: samples.
        draws: so many base points, each with its pattern.
        seed: of the draws.

    Returns:
        A `Proof`.

    Raises:
        BadInput: as `prove`.
    """
    shapes = stack_shapes(widths, B)
    names = [name for name in shapes if name not in "xy"]

    def loss(p: Arrays) -> Any:
        f = forward(*_stacked(p), p["x"])[0][-1]
        return 0.5 * ((f - p["y"]) ** 2).mean()

    return prove(loss, gradients_of(gradient), shapes, names, draws=draws, seed=seed)


def equivalent(mistake: Mistake, layer: int, widths: Sequence[int], B: int) -> bool:
    """Whether a mistake of the catalogue gives the right gradients at these sizes, off all kinks.

    >>> from handgrad.mistakes import CATALOGUE
    >>> equivalent(CATALOGUE["dW rows rolled"], 1, [2, 3, 1], B=4)  # W2 has one row
    True

    Args:
        mistake: of `handgrad.mistakes.CATALOGUE`.
        layer: in which it is made, 0 for the first.
        widths: of the input, the hidden layers and the output.
        B: samples.

    Returns:
        Whether it is; where NumPy refuses the shapes, it is not.
    """
    wrong, right = gradients_of(mistake.backward(layer)), gradients_of(backward)
    try:
        return prove_equal(wrong, right, stack_shapes(widths, B), draws=PATTERNS).ok
    except (BadInput, ValueError, IndexError):
        return False


def stack_shapes(widths: Sequence[int], B: int) -> dict[str, tuple[int, ...]]:
    """Of a stack's parameters W1, b1, W2 … and of its data."""
    shapes: dict[str, tuple[int, ...]] = {"x": (B, widths[0]), "y": (B, widths[-1])}
    for k, (n_in, n_out) in enumerate(pairwise(widths), 1):
        shapes |= {f"W{k}": (n_out, n_in), f"b{k}": (n_out,)}
    return shapes


def gradients_of(backward: Callable[..., Gradients]) -> Callable[[Arrays], dict[str, Array]]:
    """A stack's `backward` as a function of arrays by name."""

    def gradients(p: Arrays) -> dict[str, Array]:
        dWs, dbs = backward(*_stacked(p), p["x"], p["y"])
        named = ((f"W{k}", dW) for k, dW in enumerate(dWs, 1))
        return dict(named) | {f"b{k}": db for k, db in enumerate(dbs, 1)}

    return gradients


def prove_sgd(
    engine: Any, h: int, B: int, *, lr: float = 0.25, draws: int = 5, seed: int = 0
) -> Proof:
    """Prove two steps of a stage's `sgd`: each takes lr times the loss's own derivative away.

    >>> from handgrad.stages import numpy_manual
    >>> bool(prove_sgd(numpy_manual, 2, 2))
    True

    Args:
        engine: with `forward`, `loss` and `sgd`.
        h: hidden units.
        B: samples in a batch; two batches are drawn.
        lr: learning rate.
        draws: so many base points, each with its pattern.
        seed: of the draws.

    Returns:
        A `Proof`.

    Raises:
        BadInput: as `prove`.
    """
    loss, B = _loss_of(engine, "sgd"), whole_number("B", B, 1)
    rate, order = exact(lr), np.arange(2 * B)[None]

    def trained(p: Arrays) -> dict[str, Array]:
        given = tuple(p[n] for n in PARAMETERS)
        updates = deque(engine.sgd(given, p["x"], p["y"], order, B, lr), maxlen=1)
        return dict(zip(PARAMETERS, updates[-1], strict=True))

    def stepped(p: Arrays) -> dict[str, Array]:
        now = dict(p)
        for rows in (slice(None, B), slice(B, None)):
            batch = now | {n: p[n][rows] for n in "xy"}
            now |= {n: now[n] - rate * d for n, d in _derivative(loss, batch).items()}
        return {n: now[n] for n in PARAMETERS}

    return prove_equal(trained, stepped, _shapes(h, 2 * B), draws=draws, seed=seed)


def _derivative(loss: Callable[[Arrays], Any], p: Arrays) -> dict[str, Array]:
    """Of the loss by each parameter, entry by entry, without any backward pass."""
    degree = loss(p)
    found = {n: np.empty_like(p[n]) for n in PARAMETERS}
    plain: Mapping[str, Array] = {n: np.frompyfunc(_plain, 1, 1)(a) for n, a in p.items()}
    for name, derivatives in found.items():
        for index in np.ndindex(derivatives.shape):
            moved, entry = plain[name].copy(), cast(Any, p[name][index])
            moved[index] = Dual(entry.value, 1)
            slope = loss({**plain, name: moved}).slope
            counts = isinstance(degree, Degree)
            derivatives[index] = Degree(slope, degree.above) if counts else Dual(slope)
    return found


def _plain(number: Any) -> Dual:
    return Dual(number.value)


def _loss_of(engine: Any, *others: str) -> Callable[[Arrays], Any]:
    for name in ("forward", "loss", *others):
        require_functions(False, **{f"the engine's {name}": getattr(engine, name, None)})
    return lambda p: engine.loss(engine.forward(p["x"], *(p[n] for n in PARAMETERS))[-1], p["y"])


def _shapes(h: int, B: int) -> dict[str, tuple[int, ...]]:
    h, B = whole_number("h", h, 1), whole_number("B", B, 1)
    return {"x": (B, 2), "y": (B, 1), "W1": (h, 2), "b1": (h,), "W2": (1, h), "b2": (1,)}


def _stacked(p: Arrays) -> tuple[list[Array], list[Array]]:
    depth = (len(p) - 2) // 2
    return [p[f"W{k + 1}"] for k in range(depth)], [p[f"b{k + 1}"] for k in range(depth)]
