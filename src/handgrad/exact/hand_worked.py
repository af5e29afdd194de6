"""One small network, worked in exact fractions: the witness that does not depend on any stage.

Agreement alone lets an error pass that all stages share. Here every number is a
`fractions.Fraction`, every sample is gone through alone, and every sum is written out; nothing is
a matrix, nothing is rounded. The numbers are chosen so that floating point can hold forward values
and gradients exactly, in float32 too: a right stage agrees to the last bit. One sample sits
exactly on a unit's kink (a1 = 0), where the derivative is taken to be 0.
"""

from collections.abc import Sequence
from fractions import Fraction as F
from functools import cache
from typing import NamedTuple

import numpy as np

from handgrad.problem import Array, Parameters


def _exact(numbers: object) -> Array:
    """Fractions in an array, to be added and scaled entry by entry without rounding."""
    return np.array(numbers, dtype=object)


X = [
    [F(1, 4), F(1)],  # unit 0: 1·¼ − ½·1 + ¼ = 0, on its kink
    [F(-1), F(1, 2)],
    [F(1, 2), F(-1, 2)],
    [F(3, 4), F(1, 4)],
    [F(-1, 2), F(-3, 4)],
    [F(1), F(-1, 4)],
]
Y = [F(1), F(1), F(1), F(0), F(0), F(1)]
W1 = [[F(1), F(-1, 2)], [F(-1, 2), F(3, 2)], [F(3, 4), F(1, 2)]]
B1 = [F(1, 4), F(-1, 2), F(1, 4)]
W2 = [[F(3, 2), F(-1), F(1, 2)]]
B2 = [F(1, 4)]
BATCH_SIZE = 4  # the second batch is short: two samples
LR = F(1, 4)


class Worked(NamedTuple):
    """The inputs of the network that is worked by hand, and what must come out.

    >>> from handgrad.exact import worked
    >>> w = worked()
    >>> w.x.shape, w.forward["a1"].shape, w.gradients.W1.shape, w.after.b2.shape
    ((6, 2), (4, 3), (3, 2), (1,))

    Attributes:
        x: (6, 2).
        y: (6, 1).
        params: the initial `Parameters`, h = 3.
        forward: a1, h1 (4, 3), f (4, 1), L (), of the first `BATCH_SIZE` samples.
        gradients: of the same samples.
        after: the parameters when one epoch of two steps is done.
    """

    x: Array
    y: Array
    params: Parameters
    forward: dict[str, Array]
    gradients: Parameters
    after: Parameters


@cache
def worked() -> Worked:
    """The network worked through in fractions, as float64 arrays.

    >>> worked().forward["a1"][0]
    array([0.    , 0.875 , 0.9375])

    Returns:
        A `Worked`.
    """
    start = Parameters(*map(_exact, (W1, B1, W2, B2)))
    batch, rest = slice(None, BATCH_SIZE), slice(BATCH_SIZE, None)
    a1 = [_pre_activations(x, start) for x in X[batch]]
    h1 = [_relu(row) for row in a1]
    f = [_prediction(x, start) for x in X[batch]]
    L = sum(F(1, 2) * (p - y) ** 2 for p, y in zip(f, Y[batch], strict=True)) / len(f)
    gradients = _mean_gradients(X[batch], Y[batch], start)
    after = _step(start, gradients)
    after = _step(after, _mean_gradients(X[rest], Y[rest], after))
    values = {"a1": a1, "h1": h1, "f": [[p] for p in f], "L": L}
    return Worked(
        _floats(X),
        _floats([[y] for y in Y]),
        Parameters(*map(_floats, start)),
        {name: _floats(value) for name, value in values.items()},
        Parameters(*map(_floats, gradients)),
        Parameters(*map(_floats, after)),
    )


def _pre_activations(x: Sequence[F], p: Parameters) -> list[F]:
    return [w[0] * x[0] + w[1] * x[1] + b for w, b in zip(p.W1, p.b1, strict=True)]


def _relu(a1: Sequence[F]) -> list[F]:
    return [a if a > 0 else F(0) for a in a1]


def _prediction(x: Sequence[F], p: Parameters) -> F:
    h1 = _relu(_pre_activations(x, p))
    return p.W2[0][0] * h1[0] + p.W2[0][1] * h1[1] + p.W2[0][2] * h1[2] + p.b2[0]


def _gradients(x: Sequence[F], y: F, p: Parameters) -> Parameters:
    """One sample's gradients: the residual reaches a unit through its W2, if the unit is on."""
    residual = _prediction(x, p) - y
    a1 = _pre_activations(x, p)
    back = [residual * w if a > 0 else F(0) for w, a in zip(p.W2[0], a1, strict=True)]
    dW1 = [[d * x[0], d * x[1]] for d in back]
    dW2 = [[residual * h for h in _relu(a1)]]
    return Parameters(_exact(dW1), _exact(back), _exact(dW2), _exact([residual]))


def _mean_gradients(xs: Sequence[Sequence[F]], ys: Sequence[F], p: Parameters) -> Parameters:
    samples = [_gradients(x, y, p) for x, y in zip(xs, ys, strict=True)]
    return Parameters(*(_exact(sum(parts) / len(samples)) for parts in zip(*samples, strict=True)))


def _step(p: Parameters, gradients: Parameters) -> Parameters:
    return Parameters(*(w - LR * d for w, d in zip(p, gradients, strict=True)))


def _floats(numbers: object) -> Array:
    return np.array(numbers, dtype=np.float64)
