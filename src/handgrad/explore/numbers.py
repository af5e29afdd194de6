"""What the page carries: parameters at some epochs, never pictures; and what it is held to."""

import base64
import math
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np

from handgrad import __version__
from handgrad.errors import BadInput
from handgrad.explore.code import code
from handgrad.mistakes import CATALOGUE, Mistake
from handgrad.parity import Point, point_bounds, recorded, run_bound, split, values
from handgrad.plain import plain
from handgrad.problem import Array, Config, Problem, make_problem
from handgrad.rounding import RUN_FLOOR
from handgrad.stages import REFERENCE, STAGES, load
from handgrad.training import Run, train
from handgrad.verification import Verification

STUCK = Config(hidden=4, init="normal:0.1", seed=45)
"""The run that got stuck: 0.694 held out."""

SNAPSHOTS, STUCK_SNAPSHOTS = 64, 2
GOLDEN, GOLDEN_SAMPLES = 3, 5
"""Where, and on how many samples, the page is held to every stage."""

MOST_HIDDEN, MOST_SAMPLES = 128, 10_000


def require_page(config: Config) -> None:
    """Raises `BadInput` where a page would be too large to open."""
    if config.hidden > MOST_HIDDEN:
        raise BadInput(
            f"hidden must be at most {MOST_HIDDEN} for a page, which draws every unit, got "
            f"{config.hidden}: take fewer units"
        )
    if config.n_train + config.n_val > MOST_SAMPLES:
        raise BadInput(
            f"n_train + n_val must be at most {MOST_SAMPLES:,} for a page, which carries every "
            f"sample, got {config.n_train + config.n_val:,}: take fewer samples"
        )


@np.errstate(over="ignore", invalid="ignore")  # a run that diverges is shown as it is
def numbers(verification: Verification, state: str = "") -> dict[str, Any]:
    """Everything that the page reads, ready for JSON; state: see the page's address."""
    problem, runs = verification.problem, verification.runs
    run, ours = runs[REFERENCE], [name for name in runs if name in STAGES]
    last = run.rows[-1].epoch
    shots = snapshots(last, SNAPSHOTS)
    found = verification.largest(REFERENCE, "run")
    return plain(
        {
            **_training(run, shots),
            "version": __version__,
            "title": title(problem.config),
            "stages": list(runs),
            "left_out": dict(verification.left_out),
            "messages": [failure.message for failure in verification.failures],
            "val": {"x": packed(problem.x_val), "y": packed(problem.y_val)},
            "history": {name: packed(column) for name, column in run.history.items()},
            "switched": packed(switched(run)),
            "order": _first_order(problem) if last else [],
            "steps_per_epoch": problem.config.steps_per_epoch,
            "apart": {name: packed(apart(other, run)) for name, other in _others(runs).items()},
            "bound": found.bound if found else None,
            "loss_bounds": packed(
                np.array([_loss_bound(run, flat) for flat in by_epoch(run)[shots]])
            ),
            "epoch_bound": _epoch_bound(problem) if last else None,
            "golden": [_golden(run, epoch, ours) for epoch in snapshots(last, GOLDEN)],
            "code": _code(ours),
            "mistakes": catalogue(problem),
            "stuck": _stuck(),
            "diverged_at": run.diverged_at,
            "state": state,
        }
    )


def title(config: Config) -> str:
    """The configuration in one line."""
    start = "He's" if config.sd is None else f"standard deviation {config.sd:g}"
    return (
        f"seed {config.seed}, {config.hidden} hidden units, learning rate {config.lr:g}, batches "
        f"of {config.batch_size}, {config.epochs} epochs, initial weights: {start}, {config.dtype}"
    )


def packed(array: Array) -> str:
    """The numbers' bytes in base64, float64 or float32 as they are: no digit is lost."""
    kind = "f4" if array.dtype == np.float32 else "f8"
    return f"{kind}:{base64.b64encode(array.astype(f'<{kind}').tobytes()).decode()}"


def snapshots(last: int, most: int) -> list[int]:
    """At most `most` epochs from 0 to `last`, close together where training moves most.

    >>> snapshots(200, 9)
    [0, 1, 3, 6, 13, 27, 52, 103, 200]
    """
    spaced = np.geomspace(1, last + 1, min(most, last + 1))
    return sorted({round(float(e)) - 1 for e in spaced} | {0, min(1, last), last})


def by_epoch(run: Run) -> Array:
    """(epochs + 1, 4h + 1): all parameters of a recorded run, at first and after each epoch."""
    steps = run.problem.config.steps_per_epoch
    return recorded(run)[::steps][: len(run.rows)]


def switched(run: Run) -> Array:
    """(epochs + 1,): how many (sample, unit) pairs went on or off since the epoch before."""
    forward, x = load(REFERENCE).forward, run.problem.x_train
    on = [forward(x, *split(flat))[0] > 0 for flat in by_epoch(run)]
    return np.array([0.0, *(np.count_nonzero(a != b) for a, b in pairwise(on))])


def apart(run: Run, reference: Run) -> Array:
    """(epochs + 1, 4): the largest difference in W1, b1, W2 and b2 after each epoch, float32."""
    epochs = min(len(run.rows), len(reference.rows))
    gaps = split(abs(by_epoch(run)[:epochs].astype(float) - by_epoch(reference)[:epochs]))
    largest = np.stack([gap.reshape(epochs, -1).max(axis=1) for gap in gaps], axis=1)
    with np.errstate(over="ignore"):  # beyond float32 is ∞, which no axis shows
        return largest.astype(np.float32)


def catalogue(problem: Problem) -> list[dict[str, Any]]:
    """The mistakes in each layer, and what NumPy says where it refuses the wrong gradient."""
    return [
        {
            "name": m.name,
            "layer": layer,
            "link": m.link,
            "gradient": _gradient(m, layer),
            "line": m.line,
            "right": m.right,
            "sentence": m.sentence,
            "hint": m.hint,
            "refusal": refusal(m, layer, problem),
        }
        for m in CATALOGUE.values()
        for layer in m.layers(2)
    ]


def _gradient(mistake: Mistake, layer: int) -> str:
    """The stages' name of what the wrong line computes: what flows below layer 1 is dh1, da1."""
    below = {"df": "", "dh": layer, "da": layer}
    return f"{mistake.link}{below.get(mistake.link, layer + 1)}"


def refusal(mistake: Mistake, layer: int, problem: Problem) -> str | None:
    """What NumPy says when this gradient of the first batch is used in an update, or None."""
    c, params = problem.config, problem.params.copy()
    backward = mistake.backward(layer, lr=c.lr, batch_size=c.batch_size)
    x, y = problem.x_train[: c.batch_size], problem.y_train[: c.batch_size]
    try:
        with np.errstate(all="ignore"):
            (dW1, dW2), (db1, db2) = backward(params[::2], params[1::2], x, y)
            for p, d in zip(params, (dW1, db1, dW2, db2), strict=True):
                p -= c.lr * d
    except ValueError as error:
        return " ".join(str(error).split())
    return None


def _training(run: Run, shots: list[int]) -> dict[str, Any]:
    p = run.problem
    return {
        "config": p.config.as_dict(),
        "epochs": shots,
        "params": packed(by_epoch(run)[shots]),
        "train": {"x": packed(p.x_train), "y": packed(p.y_train)},
    }


def _others(runs: Mapping[str, Run]) -> dict[str, Run]:
    return {name: run for name, run in runs.items() if name != REFERENCE}


def _first_order(problem: Problem) -> list[int]:
    return next(problem.orders())[0].tolist()


def _loss_bound(run: Run, flat: Array) -> float:
    p = run.problem
    return point_bounds(Point(p.x_train, p.y_train, split(flat)))["L"]


def _epoch_bound(problem: Problem) -> float:
    """For the parameters after the first epoch alone."""
    config = replace(problem.config, epochs=1)
    order = np.array([_first_order(problem)])
    bound = run_bound(replace(problem, config=config, order=order))
    return bound if math.isfinite(bound) else RUN_FLOOR[config.dtype]


def _golden(run: Run, epoch: int, stages: list[str]) -> dict[str, Any]:
    """What every stage computes at the run's parameters after this epoch."""
    p = run.problem
    size = min(GOLDEN_SAMPLES, p.config.n_train)
    point = Point(p.x_train[:size], p.y_train[:size], split(by_epoch(run)[epoch]))
    found = {name: values(load(name), point) for name in stages}
    return {
        "epoch": epoch,
        "samples": size,
        "values": {
            stage: {name: packed(a) for name, a in own.items() if np.isfinite(a).all()}
            for stage, own in found.items()
        },
        "bounds": point_bounds(point),
    }


def _code(stages: list[str]) -> dict[str, dict[str, list[dict[str, str]]]]:
    by_quantity: dict[str, dict[str, list[dict[str, str]]]] = {}
    for stage in stages:
        for quantity, lines in code(load(stage)).items():
            by_quantity.setdefault(quantity, {})[stage] = [line._asdict() for line in lines]
    return by_quantity


@cache
def _stuck() -> dict[str, Any]:
    run = train(make_problem(STUCK), record=True)
    shots = snapshots(STUCK.epochs, STUCK_SNAPSHOTS)
    accuracy = packed(run.history["val_accuracy"])
    return {**_training(run, shots), "val_accuracy": accuracy}
