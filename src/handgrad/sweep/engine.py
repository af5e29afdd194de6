"""One chunk of a grid: draw what its seeds decide, train it in blocks, look at what came out.

Everything that is drawn is what `make_problem` draws for the same seeds.
"""

from typing import Any, cast

import numpy as np

from handgrad.problem import Array, Config, Parameters, initial_parameters
from handgrad.sweep import kernel
from handgrad.sweep.grid import SOURCES, Cell, Chunk
from handgrad.sweep.kernel import LANES
from handgrad.sweep.streams import samples, states

SUCCESS, STUCK = 0.93, 0.80
"""A held-out accuracy that counts as learnt, and one below which a training has not got going."""

TRAIN, VAL, INIT, ORDER = (0, 0), (0, 1), (1,), (2,)
"""The streams' spawn keys, as `make_problem` spawns them."""


def train_chunk(chunk: Chunk) -> dict[str, Array]:
    """A column for each thing that is known of a training: arrays of one row a seed."""
    seeds = np.arange(chunk.start, chunk.stop)
    blocks = [
        _train(chunk.cell, seeds[i : i + LANES], chunk.looked_at)[1]
        for i in range(0, len(seeds), LANES)
    ]
    found = {name: np.concatenate([block[name] for block in blocks]) for name in blocks[0]}
    return {"seed": seeds, **found}


def trained(cell: Cell, seeds: Array) -> tuple[list[Parameters], dict[str, Array]]:
    """The parameters at the end, one for each of at most LANES seeds, and the block's columns."""
    P, columns = _train(cell, seeds, (cell.config.epochs,))
    h = cell.config.hidden
    units = P[: 4 * h].reshape(h, 4, -1)
    parameters = [
        Parameters(units[:, :2, r], units[:, 2, r], units[None, :, 3, r], P[4 * h :, r])
        for r in range(len(seeds))
    ]
    return parameters, columns


def _train(cell: Cell, seeds: Array, looked_at: tuple[int, ...]) -> tuple[Array, dict[str, Array]]:
    config, real = cell.config, len(seeds)
    seeds = np.concatenate([seeds, np.repeat(seeds[-1:], LANES - real)]).astype(np.uint64)
    own = {
        source: seeds if source in cell.varies.split(",") else np.full(1, config.seed, np.uint64)
        for source in SOURCES
    }
    ours = _drawn(own["data"], TRAIN, config.n_train, config.dtype)
    X, X_val = _by_lane(ours), _by_lane(_drawn(own["data"], VAL, config.n_val, config.dtype))
    P = _initial(own["init"], config)
    streams = states(own["order"], _keys(ORDER))
    marks = np.zeros(config.epochs + 1, np.bool_)
    marks[list(looked_at)] = True
    right = np.zeros((len(looked_at), LANES), np.int64)
    losses = np.zeros((len(looked_at), LANES))
    lr = X.dtype.type(config.lr)
    kernel.train(X, ours, X_val, P, streams, config.batch_size, lr, marks, right, losses)
    return P.reshape(-1, LANES)[:, :real], _columns(config, X, P, looked_at, right, losses, real)


def _columns(
    config: Config,
    X: Array,
    P: Array,
    looked_at: tuple[int, ...],
    right: Array,
    losses: Array,
    real: int,
) -> dict[str, Array]:
    accuracies = right.T / config.n_val  # (LANES, looks)
    train_right, train_loss = np.zeros(LANES, np.int64), np.zeros(LANES)
    kernel.evaluate(X, P, np.empty(kernel.UNROLLED * LANES, P.dtype), train_right, train_loss)
    reached = accuracies >= SUCCESS
    first = np.where(reached.any(axis=1), np.array(looked_at)[reached.argmax(axis=1)], -1)
    # A parameter that is not finite stays so: what it touches is infinite or NaN from then on.
    finite = np.isfinite(P.reshape(-1, LANES)).all(axis=0) & np.isfinite(losses[-1] + train_loss)
    found = {
        "val_accuracy": accuracies[:, -1],
        "best_val_accuracy": accuracies.max(axis=1),
        "val_loss": losses[-1],
        "train_loss": train_loss,
        "dead_units": kernel.dead_units(X, P),
        "first_epoch": first,
        "diverged": ~finite,
        "val_accuracies": accuracies,
    }
    return {name: column[:real] for name, column in found.items()}


def _drawn(seeds: Array, key: tuple[int, ...], n: int, dtype: str) -> Array:
    """(LANES, n, 3): x₁, x₂, y of every replica's samples."""
    drawn = samples(states(seeds, _keys(key)), n).astype(dtype, copy=False)
    return np.broadcast_to(drawn, (LANES, n, 3)).copy()


def _by_lane(drawn: Array) -> Array:
    return np.ascontiguousarray(drawn.transpose(1, 2, 0)).ravel()


def _initial(seeds: Array, config: Config) -> Array:
    """(4h + 1) · LANES: every replica's initial parameters, in the kernel's order."""
    bits = np.random.PCG64(0)
    rng = cast(Any, np.random.Generator(bits))  # `default_rng` hands a generator back as it is
    columns = []
    for high, low, inc_high, inc_low, _, _ in states(seeds, _keys(INIT)).tolist():
        bits.state = {
            "bit_generator": "PCG64",
            "state": {"state": high << 64 | low, "inc": inc_high << 64 | inc_low},
            "has_uint32": 0,
            "uinteger": 0,
        }
        W1, b1, W2, b2 = initial_parameters(rng, config.hidden, config.sd)
        units = np.concatenate([W1, b1[:, None], W2.T], axis=1)  # (h, 4)
        columns.append(np.concatenate([units.ravel(), b2]))
    with np.errstate(over="ignore"):  # what float32 cannot hold has diverged
        P = np.stack(columns, axis=1).astype(config.dtype)  # (4h + 1, 1 or LANES)
    return np.broadcast_to(P, (len(P), LANES)).copy().ravel()


def _keys(key: tuple[int, ...]) -> Array:
    return np.array(key, np.uint32)
