"""A whole sweep: what is missing is trained, kept as it finishes, and put together."""

from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from handgrad.sweep import backends
from handgrad.sweep.engine import train_chunk
from handgrad.sweep.grid import Chunk, Grid
from handgrad.sweep.store import Store, read_results

SCHEMA = {
    "varies": pl.String,
    "init": pl.String,
    "hidden": pl.Int32,
    "lr": pl.Float64,
    "epochs": pl.Int32,
    "batch_size": pl.Int32,
    "n_train": pl.Int32,
    "n_val": pl.Int32,
    "dtype": pl.String,
    "seed": pl.Int64,
    "val_accuracy": pl.Float64,
    "best_val_accuracy": pl.Float64,
    "val_loss": pl.Float64,
    "train_loss": pl.Float64,
    "dead_units": pl.Int32,
    "first_epoch": pl.Int32,
    "diverged": pl.Boolean,
    "val_accuracies": pl.List(pl.Float32),
}
"""The table's columns. What a training that diverged has no value for is null."""


def run_sweep(
    grid: Grid,
    out: Path | str | None = None,
    *,
    resume: bool = False,
    address: str | None = None,
    on_progress: Callable[[int], None] = lambda trainings: None,
) -> pl.DataFrame:
    """Train every network of the grid; a table with one row a training, in the grid's order.

    out: a folder that keeps every chunk as it finishes; with `resume` one that holds part of this
    sweep is gone on with, and ends with the same table. address: of a Dask scheduler, None for this
    machine. on_progress: called with the number of trainings that are new in the table.

    Raises `BadInput` where the folder holds another sweep, or the scheduler does not answer.

    >>> table = run_sweep(Grid(seeds=2, hidden=(2, 4), epochs=1))
    >>> table.select("hidden", "seed").rows()
    [(2, 0), (2, 1), (4, 0), (4, 1)]
    """
    backend, connection = (
        (backends.local, nullcontext()) if address is None else backends.dask(address)
    )
    with connection:
        store = None if out is None else Store(Path(out), grid, resume)
        if store is not None and store.finished:
            on_progress(grid.trainings)
            return read_results(store.folder).collect()
        done = set() if store is None else store.done
        on_progress(sum(c.stop - c.start for c in grid.chunks if c.number in done))
        missing = (chunk for chunk in grid.chunks if chunk.number not in done)
        kept: dict[int, pl.DataFrame] = {}
        for chunk, columns in backend(partial(train_chunk, looked_at=grid.looked_at), missing):
            part = _frame(chunk, columns)
            if store is None:
                kept[chunk.number] = part
            else:
                store.add(chunk, part)
            on_progress(len(part))
        if store is None:
            return pl.concat([kept[number] for number in sorted(kept)])
        store.finish()
        return read_results(store.folder).collect()


def _frame(chunk: Chunk, columns: dict[str, Any]) -> pl.DataFrame:
    """The chunk's rows, as `SCHEMA` has them."""
    config = chunk.cell.config.as_dict() | {"varies": chunk.cell.varies}
    same = {name: np.full(len(columns["seed"]), config[name]) for name in SCHEMA if name in config}
    table = (
        pl.DataFrame({**same, **columns})
        .select(*SCHEMA)
        .with_columns(pl.col("val_accuracies").arr.to_list())
        .cast(SCHEMA)
    )
    ended = ("val_accuracy", "val_loss", "train_loss", "dead_units")
    return table.with_columns(
        pl.when(pl.col("first_epoch") >= 0).then("first_epoch"),
        *(pl.when(~pl.col("diverged")).then(name).alias(name) for name in ended),
    )
