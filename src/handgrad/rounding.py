"""How far rounding alone may carry right programs: at a point, in a slope, along a whole run.

NumPy and stage 1's own functions, nothing else: the notebooks paste what is here, and
`handgrad.parity` calls it. u is half the machine epsilon: an operation's result is rounded by at
most u of its size (Higham 2002, Accuracy and Stability of Numerical Algorithms, 2.2).
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from handgrad.stages.numpy_manual import Array, backward, forward, loss

RUN_FLOOR = {"float64": 1e-12, "float32": 1e-5}
RUN_LIMIT = {"float64": 1e-9, "float32": 1e-3}
"""The least bound on a run, and the largest at which "equal" still means something."""


def point_bounds(
    x: Array, y: Array, W1: Array, b1: Array, W2: Array, b2: Array
) -> dict[str, float]:
    """How far apart rounding may carry two right programs, for each value and each gradient.

    n ε S. S is the sum of the magnitudes that are added up: the same lines, run on absolute values.
    No number passes more than n roundings on its way, and each is at most u of its size, in both
    programs; ε = 2u. A unit whose a1 is within its own rounding of 0 may be on in one program and
    off in the other; what it passes on is added to da1, dW1 and db1.
    """
    eps, (B, h) = np.finfo(x.dtype).eps, (len(x), len(b1))
    sizes = [abs(a) for a in (W1, b1, W2, b2)]
    Sa1, Sh1, Sf = forward(abs(x), *sizes)  # (B, h), (B, h), (B, 1)
    SdW1, Sdb1, SdW2, Sdb2 = backward(abs(x), -abs(y), *sizes)  # f − (−|y|) = f + |y|
    Sdf = (Sf + abs(y)) / B  # (B, 1)
    Sdh1 = Sdf * sizes[2]  # (B, h)
    to_a1, to_f, to_df, to_end = (n * eps for n in (3, h + 4, h + 7, h + B + 10))
    doubtful = Sdh1 * (abs(forward(x, W1, b1, W2, b2)[0]) < to_a1 * Sa1)  # (B, h)
    bounds = {
        "a1": to_a1 * Sa1,
        "h1": to_a1 * Sh1,
        "f": to_f * Sf,
        "L": to_end * loss(Sf, -abs(y)),
        "df": to_df * Sdf,
        "dh1": to_df * Sdh1,
        "da1": to_df * Sdh1 + doubtful,
        "dW1": to_end * SdW1 + doubtful.T @ abs(x),
        "db1": to_end * Sdb1 + doubtful.sum(axis=0),
        "dW2": to_end * SdW2,
        "db2": to_end * Sdb2,
    }
    return {name: float(bound.max()) for name, bound in bounds.items()}


def slope_bound(
    x: Array, y: Array, W1: Array, b1: Array, W2: Array, b2: Array, step: float
) -> float:
    """How far apart rounding may carry a central difference of L and a right gradient.

    n ε mean(|f − y| S) / step. S is the sum of the magnitudes that f − y is added up from, by the
    units that are on; n = h + B + 10 roundings at most lie on the way from a parameter to L and
    back. |f − y| and S are taken at the far end of the step, which must cross no kink.
    """
    a1, h1, f = forward(x, W1, b1, W2, b2)
    far_W1, far_b1, far_W2, far_b2 = (abs(p) + step for p in (W1, b1, W2, b2))
    S = ((a1 > 0) * (abs(x) @ far_W1.T + far_b1)) @ far_W2.T + far_b2 + abs(y)  # (B, 1)
    steepest = max(1.0, far_W2.max(), h1.max())  # f moves by at most this times the step
    far = abs(f - y) + step * steepest  # (B, 1)
    n = len(b1) + len(x) + 10
    return float(n * np.finfo(x.dtype).eps * (far * S).mean() / step)


def record(updates: Iterable[Any], to_numpy: Callable[[Any], Array] = np.asarray) -> list[Array]:
    """W1, b1, W2, b2 after every update, (updates, …) each; copied, as `sgd` changes its own."""
    with np.errstate(over="ignore", invalid="ignore"):  # a run that diverges ends in NaN
        copies = [[np.array(to_numpy(p)) for p in params] for params in updates]
    return [np.stack(p) for p in zip(*copies, strict=True)]


def apart(run: Sequence[Array], other: Sequence[Array]) -> Array:
    """The largest difference in any parameter, after each update: (updates,)."""
    with np.errstate(invalid="ignore"):
        gaps = [abs(p - q) for p, q in zip(run, other, strict=True)]
    return np.max([gap.max(axis=tuple(range(1, gap.ndim))) for gap in gaps], axis=0)


def run_bound(
    sgd: Callable[..., Iterable[Any]],
    params: Sequence[Array],
    x: Array,
    y: Array,
    order: Array,
    batch_size: int,
    lr: float,
    run: Sequence[Array] | None = None,
) -> float:
    """How far rounding may carry two right programs apart along a run.

    Later updates carry a difference on, and may enlarge it. How much is measured by comparing a
    right `sgd` with itself. The bound is the larger of `RUN_FLOOR`, for parameters up to 4 and in
    proportion beyond, and 50 times how far it moves when it adds up the samples of every batch, and
    its hidden units, in the reverse order; or when its initial parameters become the next number.
    run: what it recorded, see `record`; made here when left out.
    """

    def train(params: Sequence[Array], order: Array) -> list[Array]:
        start = tuple(p.copy() for p in params)
        return record(sgd(start, x.copy(), y.copy(), order.copy(), batch_size, lr))

    def turn(W1: Array, b1: Array, W2: Array, b2: Array) -> list[Array]:
        return [W1[..., ::-1, :], b1[..., ::-1], W2[..., ::-1], b2]  # the units in reverse

    starts = range(0, order.shape[1], batch_size)
    backwards = [order[:, i : i + batch_size][:, ::-1] for i in starts]
    run = train(params, order) if run is None else run
    moved = train([np.nextafter(p, np.inf, dtype=p.dtype) for p in params], order)
    turned = turn(*train(turn(*params), np.concatenate(backwards, axis=1)))
    if not all(np.isfinite(p[-1]).all() for p in (*run, *moved, *turned)):
        return float("inf")
    largest = max(float(np.nanmax(abs(p))) for p in (*params, *run))
    floor = RUN_FLOOR[x.dtype.name] * max(1.0, largest / 4)
    noise, turns = apart(run, moved), apart(run, turned)
    # One update does not carry rounding far: what moves more depends on the order by mistake.
    if turns[0] <= floor:
        noise = np.maximum(noise, turns)
    return max(floor, 50 * float(np.nanmax(noise)))
