"""A sweep's folder: parts that are written whole as they finish, then one table.

sweep.json         the grid
parts/000012.parquet   chunk 12, while the sweep goes on
results.parquet    one row a training, in the grid's order
results.sha256     its digest, as `sha256sum --check` reads it
"""

import hashlib
import io
import json
import os
import shutil
from pathlib import Path
from typing import Any

import polars as pl

from handgrad.errors import BadInput
from handgrad.files import make_folder, replace, write_whole
from handgrad.sweep.grid import Chunk, Grid

DIGEST = "results.sha256"

_COLUMNS: dict[str, Any] = {
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
SCHEMA = pl.Schema(_COLUMNS)
"""The table's columns. What a training that diverged has no value for is null."""


class Store:
    """The folder of one sweep. `done` holds the numbers of the chunks that are kept."""

    def __init__(self, folder: Path, grid: Grid, resume: bool) -> None:
        self.folder, self.grid = folder, grid
        self._parts = folder / "parts"
        make_folder(folder)
        if (folder / "sweep.json").exists():
            if read_grid(folder) != grid:
                raise BadInput(
                    f"{folder} must not hold another sweep, but does: choose another --out, or the "
                    "options in its sweep.json"
                )
            if not resume:
                raise BadInput(
                    f"{folder} holds this sweep already: add --resume to go on with it, or draw "
                    f"it again with --from {folder}"
                )
        elif self._parts.exists() or (folder / "results.parquet").exists():
            raise BadInput(
                f"{folder} holds a sweep's results, but no sweep.json that says of what: choose "
                "another --out"
            )
        else:
            text = json.dumps(grid.as_dict(), indent=2)
            write_whole(folder / "sweep.json", text.encode())
        self.finished = (folder / "results.parquet").exists()
        if self.finished:
            read_results(folder)  # raises if it is not whole
        else:
            make_folder(self._parts)
        self.done = {c.number for c in grid.chunks if self.finished or self._holds(c)}

    def add(self, chunk: Chunk, part: pl.DataFrame) -> None:
        """Keep a chunk's rows."""
        buffer = io.BytesIO()
        part.write_parquet(buffer)
        write_whole(self._part(chunk), buffer.getvalue())

    def finish(self) -> None:
        """One table from all parts, in the grid's order; the parts are then no longer needed."""
        if not self.finished:
            whole = self.folder / "results.unfinished"
            parts = [self._part(chunk) for chunk in self.grid.chunks]
            pl.scan_parquet(parts, glob=False).sink_parquet(whole)
            with whole.open("r+b") as file:  # Windows makes nothing safe that is open to be read
                os.fsync(file.fileno())
            write_whole(self.folder / DIGEST, f"{_digest(whole)}  results.parquet\n".encode())
            replace(whole, self.folder / "results.parquet")
        shutil.rmtree(self._parts, ignore_errors=True)

    def _part(self, chunk: Chunk) -> Path:
        return self._parts / f"{chunk.number:06}.parquet"

    def _holds(self, chunk: Chunk) -> bool:
        """Whether the chunk's part is there, with the seeds that it should have."""
        try:
            part = pl.read_parquet(self._part(chunk), glob=False)
        except (OSError, pl.exceptions.PolarsError, pl.exceptions.PanicException):
            return False
        seeds = list(range(chunk.start, chunk.stop))
        return part.schema == SCHEMA and part["seed"].to_list() == seeds


def read_grid(folder: Path) -> Grid:
    """The grid of a sweep's folder. Raises `BadInput` where there is none."""
    try:
        return Grid.from_dict(json.loads((folder / "sweep.json").read_text("utf-8")))
    except (OSError, OverflowError, ValueError, TypeError, RecursionError):
        raise BadInput(
            f"{folder} must hold a sweep (a readable sweep.json), and does not"
        ) from None


def read_results(folder: Path) -> pl.LazyFrame:
    """The table of a finished sweep, to be collected.

    Raises `BadInput` where it is not there, or does not hold a row for each training.
    """
    path, wanted = folder / "results.parquet", read_grid(folder).trainings
    if not path.exists():
        raise BadInput(f"{folder} must hold a finished sweep: go on with it with --resume")
    kept = folder / DIGEST  # sweeps of earlier versions have none
    if kept.exists() and kept.read_text("utf-8", errors="replace").split()[:1] != [_digest(path)]:
        raise BadInput(
            f"{path} must be as it was written, but its SHA-256 is not that of {kept}: remove it "
            "and train again with --resume"
        )
    table = pl.scan_parquet(path, glob=False)
    try:
        rows = table.select(pl.len()).collect().item()
        if table.collect_schema() != SCHEMA:
            rows = "other columns"
    except (OSError, pl.exceptions.PolarsError, pl.exceptions.PanicException):
        rows = "no readable ones"
    if rows != wanted:
        raise BadInput(
            f"{path} must hold {wanted:,} trainings, but holds {rows}: remove it and train them "
            "again with --resume"
        )
    return table


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
