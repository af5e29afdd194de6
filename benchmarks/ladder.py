"""How fast is the ladder? Each figure is a ratio of two things timed in turn, in this one run.

The leanest loop of each library does the stage's arithmetic with nothing around it: no function of
ours, no yield, no history. Run with `make bench`; nothing here is asserted.
"""

import subprocess
import sys
import tempfile
from collections.abc import Callable
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np
import torch
from peers import scikit_learn
from rich.console import Console
from rich.progress import track
from rich.table import Table
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from handgrad import STAGES, Config, make_problem, train
from handgrad.stages import load

PROBLEM = make_problem(Config(epochs=200))
ORDER = np.asarray(PROBLEM.order)
CONFIG = PROBLEM.config
ROUNDS = 7


def lean_numpy() -> None:
    x, y, lr, size = PROBLEM.x_train, PROBLEM.y_train, CONFIG.lr, CONFIG.batch_size
    W1, b1, W2, b2 = PROBLEM.params.copy()
    for rows in ORDER:
        xs, ys = x[rows], y[rows]
        for i in range(0, len(rows), size):
            xb, yb = xs[i : i + size], ys[i : i + size]
            a1 = xb @ W1.T + b1
            h1 = np.maximum(a1, 0)
            df = (h1 @ W2.T + b2 - yb) / len(xb)
            da1 = (df @ W2) * (a1 > 0)
            W2 -= lr * (df.T @ h1)
            b2 -= lr * df.sum(axis=0)
            W1 -= lr * (da1.T @ xb)
            b1 -= lr * da1.sum(axis=0)


def tensors() -> list[torch.Tensor]:
    p = PROBLEM
    return [torch.tensor(a) for a in (p.x_train, p.y_train, ORDER, *p.params)]


def lean_tensors() -> None:
    x, y, order, W1, b1, W2, b2 = tensors()
    lr, size = CONFIG.lr, CONFIG.batch_size
    for rows in order:
        xs, ys = x[rows], y[rows]
        for i in range(0, len(rows), size):
            xb, yb = xs[i : i + size], ys[i : i + size]
            a1 = xb @ W1.T + b1
            h1 = torch.relu(a1)
            df = (h1 @ W2.T + b2 - yb) / len(xb)
            da1 = (df @ W2) * (a1 > 0)
            W2 -= lr * (df.T @ h1)
            b2 -= lr * df.sum(dim=0)
            W1 -= lr * (da1.T @ xb)
            b1 -= lr * da1.sum(dim=0)


def lean_autograd() -> None:
    x, y, order, *params = tensors()
    W1, b1, W2, b2 = (p.requires_grad_() for p in params)
    lr, size = CONFIG.lr, CONFIG.batch_size
    for rows in order:
        xs, ys = x[rows], y[rows]
        for i in range(0, len(rows), size):
            f = torch.relu(xs[i : i + size] @ W1.T + b1) @ W2.T + b2
            L = 0.5 * ((f - ys[i : i + size]) ** 2).mean()
            L.backward()
            with torch.no_grad():
                for p in (W1, b1, W2, b2):
                    p -= lr * p.grad  # type: ignore[operator]
                    p.grad = None


def ordinary_module() -> None:
    """What most people write: Sequential, a shuffling DataLoader, MSE, SGD."""
    x, y, *_ = tensors()
    h = CONFIG.hidden
    model = nn.Sequential(nn.Linear(2, h), nn.ReLU(), nn.Linear(h, 1)).double()
    optimizer = torch.optim.SGD(model.parameters(), lr=CONFIG.lr)
    loss = nn.MSELoss()
    loader = DataLoader(TensorDataset(x, y), CONFIG.batch_size, shuffle=True)
    for _ in range(CONFIG.epochs):
        for xb, yb in loader:
            optimizer.zero_grad()
            (0.5 * loss(model(xb), yb)).backward()
            optimizer.step()


def bare(stage: str) -> Callable[[], None]:
    """The stage's own `sgd`, driven by a loop that does nothing."""
    engine = load(stage)
    arrays = (*PROBLEM.params, PROBLEM.x_train, PROBLEM.y_train, ORDER)
    *params, x, y, order = (engine.to_native(a, "cpu") for a in arrays)

    def run() -> None:
        for _ in engine.sgd(tuple(params), x, y, order, CONFIG.batch_size, CONFIG.lr):
            pass

    return run


def seconds(work: Callable[[], Any]) -> float:
    began = perf_counter()
    work()
    return perf_counter() - began


def ratio(title: str, one: Callable[[], Any], other: Callable[[], Any]) -> tuple[float, float]:
    """The median of one / other over rounds in turn, and other's median in microseconds a step."""
    one(), other()
    rounds = track(range(ROUNDS), title, console=Console(stderr=True), transient=True)
    pairs = [(seconds(one), seconds(other)) for _ in rounds]
    steps = CONFIG.epochs * CONFIG.steps_per_epoch
    return median(a / b for a, b in pairs), median(b for _, b in pairs) / steps * 1e6


def process(*arguments: str) -> float:
    """Median seconds of a whole process, started three times."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, *arguments]
        return median(
            seconds(lambda: subprocess.run(command, cwd=folder, capture_output=True, check=True))
            for _ in range(3)
        )


def imported(module: str) -> float:
    """Median seconds that an import takes in a fresh process."""
    code = f"import time; t = time.perf_counter(); import {module}; print(time.perf_counter() - t)"
    command = [sys.executable, "-c", code]
    found = [subprocess.run(command, capture_output=True, check=True).stdout for _ in range(5)]
    return median(map(float, found))


def main() -> None:
    """Time everything and print two tables."""
    table = Table("measured", "ratio", "must be", "µs a step of the second", title="Ratios")
    lean = (lean_numpy, lean_tensors, lean_autograd, ordinary_module)
    for stage, leanest in zip(STAGES, lean, strict=True):
        found, micro = ratio(stage, bare(stage), leanest)
        table.add_row(f"{stage}.sgd / leanest loop", f"{found:.2f}", "≤ 1.15", f"{micro:.0f}")
    found, micro = ratio("history", lambda: train(PROBLEM), bare(STAGES[0]))
    table.add_row("train(stage 1) / its bare sgd", f"{found:.2f}", "≤ 1.50", f"{micro:.0f}")
    found, micro = ratio("module", ordinary_module, bare(STAGES[0]))
    table.add_row("ordinary nn.Module loop / stage 1", f"{found:.1f}", "≥ 15", f"{micro:.0f}")
    found, micro = ratio(
        "scikit-learn", lambda: scikit_learn(PROBLEM, CONFIG.epochs), bare(STAGES[0])
    )
    table.add_row("scikit-learn's MLPRegressor / stage 1", f"{found:.1f}", "≥ 5", f"{micro:.0f}")

    whole = Table("whole process", "seconds", "must be", title="Seconds")
    whole.add_row("import numpy, for comparison", f"{imported('numpy'):.3f}", "")
    whole.add_row("import handgrad", f"{imported('handgrad'):.3f}", "< 0.15")
    whole.add_row("handgrad --help", f"{process('-m', 'handgrad', '--help'):.2f}", "< 0.5")
    whole.add_row("handgrad verify", f"{process('-m', 'handgrad', 'verify'):.1f}", "< 12")
    console = Console()
    console.print(table)
    console.print(whole)


if __name__ == "__main__":
    main()
