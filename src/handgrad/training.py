"""Drives any stage: history, progress, checkpoints, divergence, interruption.

A stage's `sgd` knows arrays, batches and a learning rate. All else that a run needs is here, once.
"""

import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from handgrad.checkpoint import (
    Checkpoint,
    load_checkpoint,
    require_same_problem,
    save_checkpoint,
)
from handgrad.errors import BadInput
from handgrad.files import alone
from handgrad.history import Epoch
from handgrad.problem import Array, Parameters, Problem
from handgrad.room import require_room
from handgrad.stages import REFERENCE, Stage, load, require_device


@dataclass(frozen=True, eq=False)
class Run:
    """What a training left behind.

    stage: the engine's name; params: after the last epoch of the history; rows: the history, see
    `Epoch`; steps: updates made since the initial network, the one that diverged not counted;
    seconds: spent in the stage's `sgd` alone, by this call, for timed_steps updates; diverged_at:
    the first step after which a parameter or a number of the history was no longer finite (0: the
    initial network is not), None when there was none;
    trajectory (steps + 1, 4h + 1): all parameters, flattened, before the first step and after
    every one, where `record=True` asked for it.
    """

    stage: str
    problem: Problem
    params: Parameters
    rows: tuple[Epoch, ...]
    steps: int
    seconds: float
    timed_steps: int
    diverged_at: int | None = None
    trajectory: Array | None = None

    @property
    def history(self) -> dict[str, Array]:
        """One array a column of `Epoch`, one entry an epoch; entry 0 is the initial network."""
        columns = np.array(self.rows).T
        return {name: column.copy() for name, column in zip(Epoch._fields, columns, strict=True)}

    @property
    def final(self) -> dict[str, float]:
        """The last entry of the history, by column."""
        return self.rows[-1]._asdict()


def train(
    problem: Problem,
    stage: str | Stage = REFERENCE,
    *,
    device: str = "cpu",
    record: bool = False,
    checkpoint: Path | str | None = None,
    every: int = 10,
    resume: Path | str | None = None,
    on_epoch: Callable[[int, Epoch], None] | None = None,
) -> Run:
    """Train one stage, or an engine of your own, on the problem.

    device: where the tensors live, "cpu", "cuda", …; record: keep the parameters of every step;
    checkpoint: a file, written after every `every` epochs, at the end, and on Ctrl-C;
    resume: a checkpoint to go on from, whichever stage made it; on_epoch: called with the epoch
    and its row of the history.

    Training that diverges stops there and says so in `diverged_at`; what was recorded until then
    is kept. Raises `BadInput` for an unknown stage, a device that is not there, or a checkpoint
    that cannot be used. On Ctrl-C the checkpoint is written and `KeyboardInterrupt` goes on.

    >>> from handgrad import Config, make_problem
    >>> run = train(make_problem(Config(epochs=20)))
    >>> run.steps, run.history["val_loss"].shape
    (320, (21,))
    """
    if isinstance(every, bool) or not isinstance(every, int) or every < 1:
        raise BadInput(f"every must be a whole number of at least 1, got {every!r}")
    if record and resume is not None:
        raise BadInput("record needs the run from its first step: leave resume out")
    _require_room(problem, record)
    file = None if checkpoint is None else Path(checkpoint)
    with nullcontext() if file is None else alone(file):
        return _train(problem, stage, device, record, file, every, resume, on_epoch)


def _train(
    problem: Problem,
    stage: str | Stage,
    device: str,
    record: bool,
    file: Path | None,
    every: int,
    resume: Path | str | None,
    on_epoch: Callable[[int, Epoch], None] | None,
) -> Run:
    if file is not None and file.exists() and (resume is None or not file.samefile(resume)):
        raise BadInput(
            f"{file} exists, and may hold another training: resume from it, or choose another name"
        )
    driver = _Driver(load(stage), problem, device)
    with np.errstate(over="ignore", invalid="ignore"):
        epoch, params, rows = 0, problem.params, [driver.observe(0, driver.native(problem.params))]
    if resume is not None:
        saved = load_checkpoint(Path(resume))
        require_same_problem(Path(resume), saved, problem)
        epoch, params, rows = saved.epoch, saved.params, list(saved.rows)
    done = epoch, params  # changed in one assignment: Ctrl-C finds a whole epoch

    def save() -> None:
        if file is not None:
            epoch, params = done
            config, stage = problem.config, driver.stage.name
            whole = tuple(rows[: epoch + 1])
            made = Checkpoint(config, problem.digest(epoch), stage, epoch, params, whole)
            save_checkpoint(file, made)

    save()  # a file that cannot be written is found before the work, not after it
    trajectory = [_flat(params)] if record else None
    seconds, timed, diverged_at = 0.0, 0, None if _finite(params, rows[0]) else 0
    try:
        with np.errstate(over="ignore", invalid="ignore"):  # divergence is seen in the values
            for epoch, native, spent in (
                driver.epochs(*done, trajectory) if diverged_at is None else ()
            ):
                seconds, timed = seconds + spent, timed + problem.config.steps_per_epoch
                row, params = driver.observe(epoch, native), driver.snapshot(native)
                if not _finite(params, row):
                    diverged_at = driver.first_bad_step(*done)
                    break
                rows.append(row)
                done = epoch, params
                if epoch % every == 0:
                    save()
                if on_epoch is not None:
                    on_epoch(epoch, row)
    finally:  # at the end, and on Ctrl-C
        save()
    epoch, params = done
    steps = (
        epoch * problem.config.steps_per_epoch if diverged_at is None else max(0, diverged_at - 1)
    )
    kept = None if trajectory is None else np.stack(trajectory[: steps + 1])
    return Run(
        driver.stage.name, problem, params, tuple(rows), steps, seconds, timed, diverged_at, kept
    )


def _require_room(problem: Problem, record: bool) -> None:
    """The history holds a1, h1 and their gradients over a whole set; a record every step."""
    c = problem.config
    numbers = 4 * max(c.n_train, c.n_val) * c.hidden
    if record:
        numbers += (c.epochs * c.steps_per_epoch + 1) * (4 * c.hidden + 1)
    size = np.dtype(c.dtype).itemsize * numbers
    require_room(size, "hidden, n_train, n_val and epochs")


class _Driver:
    """One engine with the problem's arrays in its own kind."""

    def __init__(self, stage: Stage, problem: Problem, device: str) -> None:
        require_device(stage, device, problem.config.dtype)
        self.stage, self.problem, self.device = stage, problem, device
        self.x, self.y, self.x_val, self.y_val, self.order = self.native(
            (problem.x_train, problem.y_train, problem.x_val, problem.y_val, problem.order)
        )

    def native(self, arrays: Iterable[Array]) -> tuple[Any, ...]:
        return tuple(self.stage.to_native(a, self.device) for a in arrays)

    def snapshot(self, native: Iterable[Any]) -> Parameters:
        return Parameters(*(np.array(self.stage.to_numpy(p)) for p in native))

    def sgd(self, epoch: int, params: Parameters) -> Iterator[Any]:
        """The stage's own updates, from the end of `epoch` on."""
        c = self.problem.config
        return self.stage.sgd(
            self.native(params), self.x, self.y, self.order[epoch:], c.batch_size, c.lr
        )

    def epochs(
        self, epoch: int, params: Parameters, trajectory: list[Array] | None
    ) -> Iterator[tuple[int, Any, float]]:
        """Each epoch after `epoch`, its parameters and the seconds that its updates took."""
        c = self.problem.config
        updates = iter(self.sgd(epoch, params))
        for now in range(epoch + 1, c.epochs + 1):
            began, made = perf_counter(), 0
            for native in islice(updates, c.steps_per_epoch):
                made += 1
                if trajectory is not None:
                    paused = perf_counter()
                    trajectory.append(_flat(self.snapshot(native)))
                    began += perf_counter() - paused  # recording is not training
            if made < c.steps_per_epoch:
                raise ValueError(
                    f"sgd must yield after each of {c.steps_per_epoch} updates an epoch, "
                    f"but ended after {made} in epoch {now}"
                )
            yield now, native, perf_counter() - began

    def observe(self, epoch: int, params: Any) -> Epoch:
        """One row of the history, computed with the stage's own functions."""
        stage, number = self.stage, self.stage.to_numpy
        a1, _, f = stage.forward(self.x, *params)
        _, _, f_val = stage.forward(self.x_val, *params)
        row: tuple[Any, ...] = (
            number(stage.loss(f, self.y)),
            number(stage.loss(f_val, self.y_val)),
            accuracy(number(f), self.problem.y_train),
            accuracy(number(f_val), self.problem.y_val),
            *(np.linalg.norm(number(d)) for d in stage.backward(self.x, self.y, *params)),
            np.mean(number(a1) > 0),
        )
        return Epoch(epoch, *map(float, row))

    def first_bad_step(self, epoch: int, params: Parameters) -> int:
        """Go through the epoch again, looking after every step: the first that is not finite."""
        c = self.problem.config
        done = epoch * c.steps_per_epoch
        for step, native in enumerate(islice(self.sgd(epoch, params), c.steps_per_epoch), done + 1):
            if not _finite(self.snapshot(native), self.observe(epoch, native)):
                return step
        return done + c.steps_per_epoch


def accuracy(f: Array, y: Array) -> float:
    """The share of samples whose class, 1 where f ≥ ½, is y. f and y (B, 1)."""
    return np.count_nonzero((f >= 0.5) == y) / len(y)


def _flat(params: Parameters) -> Array:
    return np.concatenate([p.ravel() for p in params])


def _finite(params: Parameters, row: Epoch) -> bool:
    return all(map(math.isfinite, row)) and bool(np.isfinite(_flat(params)).all())
