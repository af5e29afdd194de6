"""How many trainings a second? The whole command, beside what others do, in this one run.

    python benchmarks/sweep.py [--seeds 20000] [--million]
    python benchmarks/sweep.py --agreement     how far 64 replicas are from stage 1's trainings

Compilation is cached on disk before the clock starts. The peers train the same network on as many
replicas as suits them, for a few epochs, and are scaled up to 200. JAX stands in the table where it
is installed. Nothing here is asserted.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np
import torch
from peers import scikit_learn
from rich.console import Console
from rich.progress import track
from rich.table import Table

from handgrad import Config, Grid, make_problem, train
from handgrad.parity import run_bound
from handgrad.sweep import engine

CONFIG = Config(dtype="float32")
HANDGRAD = [sys.executable, "-m", "handgrad", "sweep"]


def command(*options: str) -> tuple[float, float]:
    """Seconds of the whole command, start to end, and its peak memory in MiB."""
    with tempfile.TemporaryDirectory() as folder:
        began = perf_counter()
        arguments = [*HANDGRAD, "--out", str(Path(folder) / "out"), *options]
        process = subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        assert process.returncode == 0, arguments
        return perf_counter() - began, usage.ru_maxrss / 1024


def the_command(seeds: int) -> Table:
    """Trainings a second of the whole command."""
    for vary in ("data,init", "all"):
        command("--seeds", "1", "--vary", vary)  # compiles
    table = Table("handgrad sweep", "trainings a second", "peak MiB", title=f"{seeds:,} trainings")
    for title, *options in (
        ("order shared, accuracy at the end", "--vary", "data,init", "--every", "0"),
        ("order shared, every tenth epoch", "--vary", "data,init"),
        ("each its own order, every tenth epoch", "--vary", "all"),
        ("the same in float64", "--vary", "all", "--dtype", "float64"),
    ):
        seconds, memory = command("--seeds", str(seeds), *options)
        table.add_row(title, f"{seeds / seconds:,.0f}", f"{memory:.0f}")
        if options == ["--vary", "all"]:
            table.caption = f"as it stands: {seeds / seconds:,.0f} trainings a second"
    return table


def grows(seeds: int) -> Table:
    """Seconds over those of the first row: twice the work should take twice as long."""
    base = {"seeds": seeds, "epochs": 200, "n-train": 500, "hidden": 8}
    table = Table("whole command", "seconds", "ratio", "peak MiB", title="Twice the work")
    first = 0.0
    for twice in (None, *base):
        values = {name: v * (1 + (name == twice)) for name, v in base.items()}
        options = [text for name, v in values.items() for text in (f"--{name}", str(v))]
        seconds, memory = command(*options, "--every", "0")
        first = first or seconds
        title = "base" if twice is None else f"twice the {twice}"
        table.add_row(title, f"{seconds:.1f}", f"{seconds / first:.2f}", f"{memory:.0f}")
    return table


def million() -> Table:
    """A million trainings of one epoch: what the bookkeeping costs, and its memory."""
    seconds, memory = command("--seeds", "1000000", "--epochs", "1")
    table = Table("1,000,000 trainings of one epoch", "seconds", "peak MiB")
    table.add_row("", f"{seconds:.0f}", f"{memory:.0f}")
    return table


def peers() -> Table:
    """Trainings a second of others, on the default problem."""
    table = Table("peer", "trainings a second", title="200 epochs, float32")
    for title, work in (
        ("handgrad, stage 1", with_stage_1),
        ("PyTorch, the ordinary loop", with_torch_loop),
        ("scikit-learn", with_scikit_learn),
        ("torch.func.vmap", with_vmap),
        ("JAX, jit(vmap(scan))", with_jax),
    ):
        try:
            table.add_row(title, f"{work():,.2f}")
        except ImportError as missing:
            table.add_row(title, str(missing))
    return table


def rate(work: Callable[[], Any], trainings: int, epochs: int) -> float:
    """Trainings of 200 epochs a second."""
    began = perf_counter()
    work()
    return trainings * epochs / CONFIG.epochs / (perf_counter() - began)


def with_stage_1() -> float:
    problem = make_problem(Config(dtype="float32", epochs=100))
    return rate(lambda: train(problem, "numpy_manual"), 1, 100)


def with_torch_loop() -> float:
    problem = make_problem(Config(dtype="float32", epochs=20))
    return rate(lambda: train(problem, "pytorch_nn_module"), 1, 20)


def with_scikit_learn() -> float:
    problem = make_problem(CONFIG)
    return rate(lambda: scikit_learn(problem, 50), 1, 50)


def replicas(n: int) -> tuple[np.ndarray, ...]:
    """x (n, 500, 2), y (n, 500, 1) and the parameters, n of each, and one order for all."""
    problems = [make_problem(Config(seed=s, dtype="float32", epochs=1)) for s in range(n)]
    x, y = np.stack([p.x_train for p in problems]), np.stack([p.y_train for p in problems])
    parameters = [np.stack(arrays) for arrays in zip(*(p.params for p in problems), strict=True)]
    return x, y, *parameters


def batches() -> list[slice]:
    size = CONFIG.batch_size
    return [slice(i, min(i + size, CONFIG.n_train)) for i in range(0, CONFIG.n_train, size)]


def with_vmap(n: int = 1024, epochs: int = 4) -> float:
    x, y, *parameters = (torch.from_numpy(a) for a in replicas(n))
    order = torch.from_numpy(np.asarray(make_problem(CONFIG).order)[:epochs])

    def loss(p: list[torch.Tensor], xb: torch.Tensor, yb: torch.Tensor) -> torch.Tensor:
        W1, b1, W2, b2 = p
        return 0.5 * ((torch.relu(xb @ W1.T + b1) @ W2.T + b2 - yb) ** 2).mean()

    gradient = torch.func.vmap(torch.func.grad(loss))

    def work() -> None:
        p = list(parameters)
        for rows in order:
            xs, ys = x[:, rows], y[:, rows]
            for batch in batches():
                found = gradient(p, xs[:, batch], ys[:, batch])
                p = [a - CONFIG.lr * g for a, g in zip(p, found, strict=True)]

    return rate(work, n, epochs)


def with_jax(n: int = 1024, epochs: int = 20) -> float:
    import jax
    import jax.numpy as jnp

    x, y, *parameters = (jnp.asarray(a) for a in replicas(n))
    rows = np.asarray(make_problem(CONFIG).order)[:epochs]
    whole = CONFIG.n_train // CONFIG.batch_size  # scan needs batches of one size
    order = jnp.asarray(rows[:, : whole * CONFIG.batch_size].reshape(-1, CONFIG.batch_size))

    def loss(p: Any, xb: Any, yb: Any) -> Any:
        W1, b1, W2, b2 = p
        return 0.5 * ((jax.nn.relu(xb @ W1.T + b1) @ W2.T + b2 - yb) ** 2).mean()

    def one(p: Any, x: Any, y: Any) -> Any:
        def step(p: Any, batch: Any) -> Any:
            g = jax.grad(loss)(p, x[batch], y[batch])
            return [a - CONFIG.lr * b for a, b in zip(p, g, strict=True)], None

        return jax.lax.scan(step, p, order)[0]

    every = jax.jit(jax.vmap(one))
    jax.block_until_ready(every(parameters, x, y))  # compiles
    return rate(lambda: jax.block_until_ready(every(parameters, x, y)), n, epochs)


def agreement(seeds: int = 64) -> None:
    """Print how far the parameters are from stage 1's after 200 epochs, and the run's bound."""
    for dtype in ("float64", "float32"):
        (cell,) = Grid(dtype=dtype).cells
        replicas, _ = engine.trained(cell, np.arange(seeds))
        largest, within, bounds = 0.0, 0, []
        for seed in track(range(seeds), dtype, console=Console(stderr=True)):
            problem = make_problem(cell.seeded(seed))
            pairs = zip(replicas[seed], train(problem, "numpy_manual").params, strict=True)
            apart = max(float(abs(ours - theirs).max()) for ours, theirs in pairs)
            bounds.append(run_bound(problem))
            largest, within = max(largest, apart), within + (apart <= bounds[-1])
        print(f"{dtype}: {within} of {seeds} within the bound of the run, a median of ", end="")
        print(f"{median(bounds):.0e}; at most {largest:.0e} apart")


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=20000)
    parser.add_argument("--million", action="store_true", help="a million trainings as well")
    parser.add_argument("--agreement", action="store_true", help="with stage 1, and no speed")
    options = parser.parse_args()
    if options.agreement:
        agreement()
        return
    console = Console(width=100)
    console.print(the_command(options.seeds))
    console.print(grows(options.seeds // 2))
    if options.million:
        console.print(million())
    console.print(peers())  # last: a child's peak memory begins with its parent's


if __name__ == "__main__":
    main()
