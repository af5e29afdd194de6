"""Drives any stage: history, progress, checkpoints, divergence, interruption.

A stage's `sgd` knows arrays, batches and a learning rate. All else that a run needs is here, once.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
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
from handgrad.history import Epoch, History
from handgrad.inputs import file_path, require_flags, require_functions, require_type, whole_number
from handgrad.problem import Array, Parameters, Problem
from handgrad.room import require_room
from handgrad.stages import REFERENCE, Stage, load, require_device

ROOM = 2**22
"""Samples × units that are computed at once for the history: 32 MB an array."""


@dataclass(frozen=True, eq=False)
class Run:
    """What a training left behind.

    >>> from handgrad import Config, make_problem
    >>> run = train(make_problem(Config(epochs=2)), record=True)
    >>> run.stage, run.steps, run.trajectory.shape, list(run.history)[:2]
    ('numpy_manual', 32, (33, 33), ['epoch', 'train_loss'])
    >>> run.final["train_loss"] == run.rows[-1].train_loss
    True

    Attributes:
        stage: the engine's name.
        problem: what was trained.
        params: after the last epoch of the history.
        rows: the history, an `Epoch` for each.
        steps: updates made since the initial network, the one that diverged not counted.
        seconds: spent in the stage's `sgd` alone, by this call, for `timed_steps` updates.
        timed_steps: see `seconds`.
        diverged_at: the first step after which a parameter or a number of the history was no longer
            finite (0: the initial network is not), None where there was none.
        trajectory: (steps + 1, 4h + 1): all parameters, flattened, before the first step and after
            every one, where `record=True` asked for it.
    """

    stage: str
    problem: Problem
    params: Parameters
    rows: History
    steps: int
    seconds: float
    timed_steps: int
    diverged_at: int | None = None
    trajectory: Array | None = None

    @property
    def history(self) -> dict[str, Array]:
        """One array a column of `Epoch`, one entry an epoch; entry 0 is the initial network."""
        return self.rows.columns

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

    >>> from handgrad import Config, make_problem
    >>> run = train(make_problem(Config(epochs=20)))
    >>> run.steps, run.history["val_loss"].shape
    (320, (21,))

    Args:
        problem: from `make_problem`, or one of your own.
        stage: a name of `STAGES`, or an engine: see `Stage`.
        device: where the tensors live, "cpu", "cuda", ….
        record: keep the parameters of every step.
        checkpoint: a file, written after every `every` epochs, at the end, and on Ctrl-C, which
            goes on as `KeyboardInterrupt`.
        every: see `checkpoint`.
        resume: a checkpoint to go on from, whichever stage made it.
        on_epoch: called with the epoch and its row of the history.

    Returns:
        A `Run`. Training that diverges stops there and says so in `diverged_at`; what was recorded
        until then is kept.

    Raises:
        BadInput: for an unknown stage, a device that is not there, or a checkpoint that cannot be
            used.
    """
    require_type("problem", problem, Problem)
    require_functions(on_epoch=on_epoch, optional=True)
    require_flags(record=record)
    whole_number("every", every, at_least=1)
    if record and resume is not None:
        raise BadInput("record needs the run from its first step: leave resume out")
    require_room_for(problem, records=int(record))
    file = None if checkpoint is None else file_path("checkpoint", checkpoint)
    resume = None if resume is None else file_path("resume", resume)
    # What overflows is seen in the values.
    callers, ours = np.geterr(), np.errstate(over="ignore", invalid="ignore")
    with nullcontext() if file is None else alone(file), ours:
        if file is not None and file.exists() and (resume is None or not file.samefile(resume)):
            raise BadInput(
                f"{file} exists, and may hold another training: resume from it, or choose another "
                "name"
            )
        training = _Training(load(stage), problem, device, record)
        done = training.begin(resume)
        try:
            _keep(file, done)  # a file that cannot be written is found before the work, not after
            for reached in training.epochs_after(done):
                done = reached
                if done.epoch % every == 0:
                    _keep(file, done)
                if on_epoch is not None:
                    with np.errstate(**callers):
                        on_epoch(done.epoch, done.rows[-1])
        finally:  # at the end, and on Ctrl-C
            _keep(file, done)
    return training.run(done)


def _keep(file: Path | None, done: Checkpoint) -> None:
    if file is not None:
        save_checkpoint(file, done)


def require_room_for(problem: Problem, records: int) -> None:
    """A batch takes a1, h1 and their gradients, the history a row an epoch, a record all steps."""
    c = problem.config
    numbers = 4 * c.batch_size * c.hidden + len(Epoch._fields) * c.epochs
    numbers += records * (c.epochs * c.steps_per_epoch + 1) * (4 * c.hidden + 1)
    require_room(8 * numbers, "hidden, batch_size and epochs")


class _Training:
    """One engine at work on one problem: from checkpoint to checkpoint, an epoch at a time."""

    def __init__(self, stage: Stage, problem: Problem, device: str, record: bool) -> None:
        require_device(stage, device, problem.config.dtype)
        self.stage, self.problem, self.device = stage, problem, device
        p, c = problem, problem.config
        self.x, self.y, self.y_val = self.native((p.x_train, p.y_train, p.y_val))
        # One forward pass serves the training and the held-out samples.
        (x,) = self.native([np.concatenate([p.x_train, p.x_val])])
        self.forward_pieces = [x[rows] for rows in _pieces(len(x), c.hidden)]
        self.backward_pieces = [(self.x[r], self.y[r]) for r in _pieces(c.n_train, c.hidden)]
        self.seconds, self.timed_steps = 0.0, 0
        self.diverged_at: int | None = None
        self.trajectory: list[Array] | None = [_flat(problem.params)] if record else None

    def native(self, arrays: Iterable[Array]) -> tuple[Any, ...]:
        return tuple(self.stage.to_native(a, self.device) for a in arrays)

    def snapshot(self, native: Iterable[Any]) -> Parameters:
        return Parameters(*(np.array(self.stage.to_numpy(p)) for p in native))

    def begin(self, resume: Path | None) -> Checkpoint:
        """The initial network, or what the checkpoint holds."""
        problem = self.problem
        if resume is not None:
            saved = load_checkpoint(resume)
            require_same_problem(resume, saved, problem)
            return replace(saved, config=problem.config, stage=self.stage.name)
        history = History([self.observe(0, self.native(problem.params))])
        digest = problem.digest(0)
        return Checkpoint(problem.config, digest, self.stage.name, 0, problem.params, history)

    def epochs_after(self, done: Checkpoint) -> Iterator[Checkpoint]:
        """What is done after each epoch that follows, until all are or the training diverges."""
        if not _finite(done.params, done.rows[-1]):
            self.diverged_at = 0
            return
        sha, steps = self.problem.hashed(done.epoch), self.problem.config.steps_per_epoch
        for order in self.problem.orders(done.epoch):
            updates = self.updates(done.params, order)
            for k, rows in enumerate(order):
                epoch = done.epoch + 1
                native = self.epoch(epoch, updates)
                row, params = self.observe(epoch, native), self.snapshot(native)
                if not _finite(params, row):
                    self.diverged_at = done.epoch * steps + self.first_bad_step(done, order[k:])
                    return
                sha.update(rows)
                done.rows.append(row)
                config, name, digest = done.config, done.stage, sha.hexdigest()
                done = Checkpoint(config, digest, name, epoch, params, done.rows)
                yield done

    def updates(self, params: Parameters, order: Array) -> Iterator[Any]:
        """The stage's own."""
        c = self.problem.config
        order = self.stage.to_native(order, self.device)
        return iter(self.stage.sgd(self.native(params), self.x, self.y, order, c.batch_size, c.lr))

    def epoch(self, epoch: int, updates: Iterator[Any]) -> Any:
        """The parameters after one more epoch of updates, which are timed and recorded."""
        steps, made, began = self.problem.config.steps_per_epoch, 0, perf_counter()
        for made, native in enumerate(islice(updates, steps), 1):  # noqa: B007
            if self.trajectory is not None:
                paused = perf_counter()
                self.trajectory.append(_flat(self.snapshot(native)))
                began += perf_counter() - paused  # recording is not training
        self.seconds += perf_counter() - began
        self.timed_steps += made
        if made < steps:
            raise ValueError(
                f"sgd must yield after each of {steps} updates an epoch, but ended after {made} in "
                f"epoch {epoch}"
            )
        return native

    def observe(self, epoch: int, params: Any) -> Epoch:
        """One row of the history, computed with the stage's own functions."""
        n, number, loss, p = len(self.x), self.stage.to_numpy, self.stage.loss, self.problem
        f, active = self.predictions(params)
        losses = float(number(loss(f[:n], self.y))), float(number(loss(f[n:], self.y_val)))
        shares = accuracy(number(f[:n]), p.y_train), accuracy(number(f[n:]), p.y_val)
        norms = [math.sqrt(np.vdot(d, d)) for d in self.gradient(params)]
        numbers: Any = (*losses, *shares, *norms, active)
        return Epoch(epoch, *numbers)

    def predictions(self, params: Any) -> tuple[Any, float]:
        """f of all samples, the training ones first, and their share of a1 above 0."""
        number, parts, left, active = self.stage.to_numpy, [], len(self.x), 0.0
        for x in self.forward_pieces:
            a1, _, f = self.stage.forward(x, *params)
            active += np.count_nonzero(number(a1)[: max(0, left)] > 0)
            left -= len(x)
            parts.append(f)
        if len(parts) > 1:
            parts[:] = self.native([np.concatenate([number(f) for f in parts])])
        return parts[0], active / (len(self.x) * self.problem.config.hidden)

    def gradient(self, params: Any) -> Sequence[Array]:
        """dW1, db1, dW2, db2 over the whole training set."""
        (x, y), *more = self.backward_pieces
        total = self.part(x, y, params)
        for x, y in more:
            total = [t + d for t, d in zip(total, self.part(x, y, params), strict=True)]
        return total

    def part(self, x: Any, y: Any, params: Any) -> Sequence[Array]:
        """What these samples add to dW1, db1, dW2, db2."""
        gradients = [self.stage.to_numpy(d) for d in self.stage.backward(x, y, *params)]
        share = len(x) / len(self.x)
        return gradients if share == 1 else [share * d for d in gradients]

    def first_bad_step(self, done: Checkpoint, order: Array) -> int:
        """Goes through the next epoch again: the first step after which a number is not finite."""
        steps = self.problem.config.steps_per_epoch
        for step, native in enumerate(islice(self.updates(done.params, order), steps), 1):
            if not _finite(self.snapshot(native), self.observe(done.epoch, native)):
                return step
        return steps

    def run(self, done: Checkpoint) -> Run:
        """What is left when the work is done."""
        steps = done.epoch * self.problem.config.steps_per_epoch
        if self.diverged_at is not None:
            steps = max(0, self.diverged_at - 1)
        kept = None if self.trajectory is None else np.stack(self.trajectory[: steps + 1])
        return Run(
            self.stage.name,
            self.problem,
            done.params,
            done.rows,
            steps,
            self.seconds,
            self.timed_steps,
            self.diverged_at,
            kept,
        )


def accuracy(f: Array, y: Array) -> float:
    """The share of samples whose class, 1 where f ≥ ½, is y. f and y (B, 1)."""
    return np.count_nonzero((f >= 0.5) == y) / len(y)


def _flat(params: Parameters) -> Array:
    return np.concatenate([p.ravel() for p in params])


def _pieces(n: int, hidden: int) -> list[slice]:
    size = max(1, ROOM // hidden)
    return [slice(i, min(i + size, n)) for i in range(0, n, size)]


def _finite(params: Parameters, row: Epoch) -> bool:
    return all(map(math.isfinite, row)) and all(map(_all_finite, params))


def _all_finite(p: Array) -> bool:
    # The sum of squares is quick, and finite only where every number is.
    return math.isfinite(np.vdot(p, p)) or bool(np.isfinite(p).all())
