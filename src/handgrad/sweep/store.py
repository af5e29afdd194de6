"""A sweep's folder: parts that are written whole as they finish, then one table.

sweep.json         the grid
parts/000012.parquet   chunk 12, while the sweep goes on
results.parquet    one row a training, in the grid's order
"""

import io
import json
import os
import shutil
from pathlib import Path

import polars as pl

from handgrad.files import make_folder, write_whole
from handgrad.problem import BadInput
from handgrad.sweep.grid import Chunk, Grid


class Store:
    """The folder of one sweep. `done` holds the numbers of the chunks that are written."""

    def __init__(self, folder: Path, grid: Grid, resume: bool) -> None:
        self.folder, self.grid = folder, grid
        self._parts = folder / "parts"
        self._results = folder / "results.parquet"
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
        write_whole(folder / "sweep.json", json.dumps(grid.as_dict(), indent=2).encode())
        make_folder(self._parts)
        self.done = {int(path.stem) for path in self._parts.glob("*.parquet")}
        if self.finished:
            self.done = {chunk.number for chunk in grid.chunks}

    @property
    def finished(self) -> bool:
        """Whether the table is whole."""
        return self._results.exists()

    def add(self, chunk: Chunk, part: pl.DataFrame) -> None:
        """Keep a chunk's rows."""
        buffer = io.BytesIO()
        part.write_parquet(buffer)
        write_whole(self._parts / f"{chunk.number:06}.parquet", buffer.getvalue())
        self.done.add(chunk.number)

    def finish(self) -> None:
        """One table from all parts, in their order; the parts are then no longer needed."""
        if not self.finished:
            paths = sorted(self._parts.glob("*.parquet"))
            whole = self._results.with_suffix(".unfinished")
            pl.scan_parquet(paths).sink_parquet(whole)
            os.replace(whole, self._results)
        shutil.rmtree(self._parts, ignore_errors=True)


def read_grid(folder: Path) -> Grid:
    """The grid of a sweep's folder. Raises `BadInput` where there is none."""
    try:
        return Grid.from_dict(json.loads((folder / "sweep.json").read_text()))
    except (OSError, ValueError, TypeError) as error:
        if isinstance(error, BadInput):
            raise
        raise BadInput(
            f"{folder} must hold a sweep (a readable sweep.json), and does not"
        ) from None


def read_results(folder: Path) -> pl.LazyFrame:
    """The table of a finished sweep, to be collected. Raises `BadInput` where it is not there."""
    if not (folder / "results.parquet").exists():
        raise BadInput(f"{folder} must hold a finished sweep: go on with it with --resume")
    return pl.scan_parquet(folder / "results.parquet")
