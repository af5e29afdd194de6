"""A whole sweep: what is missing is trained, kept as it finishes, and put together."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from handgrad.files import alone, make_folder
from handgrad.inputs import file_path, require_flags, require_functions, require_type
from handgrad.sweep.backends import Backend, connected
from handgrad.sweep.engine import train_chunk
from handgrad.sweep.grid import Chunk, Grid
from handgrad.sweep.store import SCHEMA, Store, read_results


def run_sweep(
    grid: Grid,
    out: Path | str | None = None,
    *,
    resume: bool = False,
    address: str | None = None,
    on_progress: Callable[[int], None] = lambda trainings: None,
) -> pl.DataFrame:
    """Train every network of the grid.

    >>> table = run_sweep(Grid(seeds=2, hidden=(2, 4), epochs=1))
    >>> table.select("hidden", "seed").rows()
    [(2, 0), (2, 1), (4, 0), (4, 1)]

    Args:
        grid: what is to be trained.
        out: a folder that keeps every chunk as it finishes.
        resume: go on with a folder that holds part of this sweep; it ends with the same table.
        address: of a Dask scheduler, None for this machine.
        on_progress: called with the number of trainings that are new in the table.

    Returns:
        A Polars frame with one row a training, in the grid's order. For pandas: `.to_pandas()`,
        where pandas and pyarrow are installed.

    Raises:
        BadInput: where the folder holds another sweep, or the scheduler does not answer.
    """
    require_type("grid", grid, Grid)
    require_functions(on_progress=on_progress)
    require_flags(resume=resume)
    if address is not None:
        require_type("address", address, str)
    if out is not None:
        out = file_path("out", out)
        fill(out, grid, resume=resume, address=address, on_progress=on_progress)
        return read_results(out).collect()
    kept: dict[int, pl.DataFrame] = {}
    with connected(address) as backend:
        for chunk, part in _trained(backend, grid.chunks):
            kept[chunk.number] = part
            on_progress(len(part))
    return pl.concat([kept[number] for number in sorted(kept)])


def fill(
    folder: Path,
    grid: Grid,
    *,
    resume: bool,
    address: str | None,
    on_progress: Callable[[int], None],
) -> None:
    """`run_sweep` into a folder, without holding the table in memory."""
    with connected(address) as backend, alone(make_folder(folder)):  # nobody may answer
        store = Store(folder, grid, resume)
        missing = [chunk for chunk in grid.chunks if chunk.number not in store.done]
        on_progress(grid.trainings - sum(chunk.stop - chunk.start for chunk in missing))
        for chunk, part in _trained(backend, missing):
            store.add(chunk, part)
            on_progress(len(part))
        store.finish()


def _trained(backend: Backend, chunks: Iterable[Chunk]) -> Iterator[tuple[Chunk, pl.DataFrame]]:
    """The chunks with their rows, as they finish."""
    for chunk, columns in backend(train_chunk, chunks):
        yield chunk, _frame(chunk, columns)


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
