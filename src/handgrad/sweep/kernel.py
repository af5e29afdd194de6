"""Many small networks trained at once: stage 1's arithmetic, compiled, a replica a lane.

    a1 = W1 x + b1      h1 = ReLU(a1)      f = W2 h1 + b2      L = mean of ½ (f − y)²

Replicas lie innermost in memory, so that one vector instruction advances eight of them. LANES is a
constant and all of a replica's numbers lie in three arrays, or the compiler could not show that
they do not overlap, and would not vectorise.

Flat arrays, row by row of LANES numbers each:

    X  (n, 3)       x₁, x₂ and y of each sample
    P  (4h + 1)     W1[j, 0], W1[j, 1], b1[j], W2[j] for each unit j, then b2
    G               ∂L/∂P
    F  (UNROLLED)   f, then ∂L/∂f, of the samples that are in hand
"""

import numpy as np

from handgrad.problem import Array
from handgrad.sweep.compiled import fused, uint64
from handgrad.sweep.streams import shuffled

LANES = 64
"""Replicas in a block."""

UNROLLED = 4
"""Samples that go through a unit together: its parameters are then loaded once for all of them."""

TILE = 16
"""Replicas whose samples are put in order together: a cache line's worth."""

_R, _2R, _3R, _4R = (uint64(k * LANES) for k in (1, 2, 3, 4))


@fused
def train(
    X: Array,
    samples: Array,
    X_val: Array,
    P: Array,
    streams: Array,
    batch_size: int,
    lr: float,
    marks: Array,
    right: Array,
    losses: Array,
) -> None:
    """Train LANES replicas; P is left at the last epoch's.

    streams: what the rows' order is drawn from, see `streams.shuffled`. (1, 6): one for all
    replicas; (LANES, 6): each has its own, and X is gathered from samples (LANES, n, 3).
    marks (epochs + 1,) bool: after which epochs to look at the held-out samples X_val; right,
    losses (number of marks, LANES): how many are classified as they should be, and the mean loss.
    """
    n = len(X) // (3 * LANES)
    G, F = np.empty_like(P), np.empty(UNROLLED * LANES, P.dtype)
    own = len(streams) > 1
    gathered = np.empty_like(X) if own else X
    rows = np.arange(n)
    mark = 0
    for epoch in range(len(marks)):
        if epoch > 0:
            if own:
                _gather(samples, streams, gathered)
            else:
                shuffled(streams[0], rows)
            for start in range(0, n, batch_size):
                batch = rows[start : start + batch_size]
                _gradient(gathered, batch, P, G, F)
                for k in range(uint64(len(P))):
                    P[k] -= lr * G[k]
        if marks[epoch]:
            evaluate(X_val, P, F, right[mark], losses[mark])
            mark += 1


@fused
def _gather(samples: Array, streams: Array, X: Array) -> None:
    """X: every replica's samples (LANES, n, 3) in the order of its next epoch."""
    n = samples.shape[1]
    rows = np.empty((TILE, n), np.int32)
    for first in range(0, LANES, TILE):
        for t in range(TILE):
            shuffled(streams[first + t], rows[t])
        for i in range(n):
            to = uint64(3 * LANES * i + first)
            for t in range(TILE):
                sample = samples[first + t, rows[t, i]]
                X[to + uint64(t)] = sample[0]
                X[to + _R + uint64(t)] = sample[1]
                X[to + _2R + uint64(t)] = sample[2]


@fused
def _gradient(X: Array, batch: Array, P: Array, G: Array, F: Array) -> None:
    """∂L/∂P for the mean over the rows `batch` of X.

    With m = df where the unit is on, else 0, the sums of m x and m over the batch hold all of it:
    dW1 = W2 Σ m x, db1 = W2 Σ m, and dW2 = Σ m a1 = W1 Σ m x + b1 Σ m.
    """
    G[:] = 0
    share = P.dtype.type(1) / P.dtype.type(len(batch))
    whole = len(batch) - len(batch) % UNROLLED
    for i in range(0, whole, UNROLLED):
        _four(X, batch[i], batch[i + 1], batch[i + 2], batch[i + 3], P, G, F, share)
    for i in range(whole, len(batch)):
        _one(X, batch[i], P, G, F, share)
    for j in range(uint64((len(P) // LANES - 1) // 4)):
        p = j * _4R
        for r in range(_R):
            w0, w1, b, v = P[p + r], P[p + _R + r], P[p + _2R + r], P[p + _3R + r]
            m0, m1, m = G[p + r], G[p + _R + r], G[p + _2R + r]
            G[p + r], G[p + _R + r], G[p + _2R + r] = v * m0, v * m1, v * m
            G[p + _3R + r] = w0 * m0 + w1 * m1 + b * m


@fused
def _four(
    X: Array, i0: int, i1: int, i2: int, i3: int, P: Array, G: Array, F: Array, share: float
) -> None:
    """Add four samples' df to G[b2], and each unit's m x₁, m x₂ and m to G."""
    zero = P.dtype.type(0)
    h = uint64((len(P) // LANES - 1) // 4)
    x0, x1, x2, x3 = uint64(i0) * _3R, uint64(i1) * _3R, uint64(i2) * _3R, uint64(i3) * _3R
    last = h * _4R
    for r in range(_R):
        b2 = P[last + r]
        F[r], F[r + _R], F[r + _2R], F[r + _3R] = b2, b2, b2, b2
    for j in range(h):
        p = j * _4R
        for r in range(_R):
            w0, w1, b, v = P[p + r], P[p + _R + r], P[p + _2R + r], P[p + _3R + r]
            F[r] += v * max(w0 * X[x0 + r] + w1 * X[x0 + _R + r] + b, zero)
            F[r + _R] += v * max(w0 * X[x1 + r] + w1 * X[x1 + _R + r] + b, zero)
            F[r + _2R] += v * max(w0 * X[x2 + r] + w1 * X[x2 + _R + r] + b, zero)
            F[r + _3R] += v * max(w0 * X[x3 + r] + w1 * X[x3 + _R + r] + b, zero)
    for r in range(_R):
        df0 = (F[r] - X[x0 + _2R + r]) * share
        df1 = (F[r + _R] - X[x1 + _2R + r]) * share
        df2 = (F[r + _2R] - X[x2 + _2R + r]) * share
        df3 = (F[r + _3R] - X[x3 + _2R + r]) * share
        F[r], F[r + _R], F[r + _2R], F[r + _3R] = df0, df1, df2, df3
        G[last + r] += df0 + df1 + df2 + df3
    for j in range(h):
        p = j * _4R
        for r in range(_R):
            w0, w1, b = P[p + r], P[p + _R + r], P[p + _2R + r]
            df0, df1, df2, df3 = F[r], F[r + _R], F[r + _2R], F[r + _3R]
            m0 = df0 if w0 * X[x0 + r] + w1 * X[x0 + _R + r] + b > zero else zero
            m1 = df1 if w0 * X[x1 + r] + w1 * X[x1 + _R + r] + b > zero else zero
            m2 = df2 if w0 * X[x2 + r] + w1 * X[x2 + _R + r] + b > zero else zero
            m3 = df3 if w0 * X[x3 + r] + w1 * X[x3 + _R + r] + b > zero else zero
            G[p + r] += m0 * X[x0 + r] + m1 * X[x1 + r] + m2 * X[x2 + r] + m3 * X[x3 + r]
            G[p + _R + r] += (
                m0 * X[x0 + _R + r]
                + m1 * X[x1 + _R + r]
                + m2 * X[x2 + _R + r]
                + m3 * X[x3 + _R + r]
            )
            G[p + _2R + r] += m0 + m1 + m2 + m3


@fused
def _one(X: Array, i: int, P: Array, G: Array, F: Array, share: float) -> None:
    """`_four` for a sample that is left over."""
    zero = P.dtype.type(0)
    h = uint64((len(P) // LANES - 1) // 4)
    x, last = uint64(i) * _3R, h * _4R
    _predict(X, x, P, F)
    for r in range(_R):
        F[r] = (F[r] - X[x + _2R + r]) * share
        G[last + r] += F[r]
    for j in range(h):
        p = j * _4R
        for r in range(_R):
            a = P[p + r] * X[x + r] + P[p + _R + r] * X[x + _R + r] + P[p + _2R + r]
            df = F[r]
            m = df if a > zero else zero
            G[p + r] += m * X[x + r]
            G[p + _R + r] += m * X[x + _R + r]
            G[p + _2R + r] += m


@fused
def _predict(X: Array, x: int, P: Array, F: Array) -> None:
    """F[0]: f of the sample at X[x]."""
    zero = P.dtype.type(0)
    h = uint64((len(P) // LANES - 1) // 4)
    for r in range(_R):
        F[r] = P[h * _4R + r]
    for j in range(h):
        p = j * _4R
        for r in range(_R):
            a = P[p + r] * X[x + r] + P[p + _R + r] * X[x + _R + r] + P[p + _2R + r]
            F[r] += P[p + _3R + r] * max(a, zero)


@fused
def evaluate(X: Array, P: Array, F: Array, right: Array, losses: Array) -> None:
    """right (LANES,) int64: samples of X whose class f ≥ ½ is y; losses (LANES,) float64: mean."""
    half = P.dtype.type(0.5)
    right[:], losses[:] = 0, 0
    n = len(X) // (3 * LANES)
    for i in range(n):
        x = uint64(i) * _3R
        _predict(X, x, P, F)
        for r in range(_R):
            y = X[x + _2R + r]
            right[r] += (F[r] >= half) == (y >= half)
            losses[r] += half * (F[r] - y) ** 2
    for r in range(LANES):
        losses[r] /= n


@fused
def dead_units(X: Array, P: Array) -> Array:
    """(LANES,) int64: units that are off for every sample of X."""
    h, n = (len(P) // LANES - 1) // 4, len(X) // (3 * LANES)
    dead = np.zeros(LANES, np.int64)
    on = np.empty(LANES, np.bool_)
    for j in range(uint64(h)):
        on[:] = False
        p = j * _4R
        for i in range(uint64(n)):
            x = i * _3R
            for r in range(_R):
                a = P[p + r] * X[x + r] + P[p + _R + r] * X[x + _R + r] + P[p + _2R + r]
                on[r] |= a > 0
        for r in range(LANES):
            dead[r] += not on[r]
    return dead
