"""Run a notebook's code in this process, with other settings: thousands of times a kernel's speed.

A test and a benchmark use it to try seeds, sizes, dtypes and rates; nothing of it is in a notebook.
"""

import contextlib
import io
import itertools
import math
import random
import re
from collections.abc import Iterable
from typing import Any

import matplotlib
import matplotlib.pyplot as plt

matplotlib.use("Agg")

SETTINGS = re.compile(
    r"^SEED, HIDDEN, EPOCHS, BATCH_SIZE, LR, N = .*\nDTYPE = np\.\w+", re.MULTILINE
)


class Failed(Exception):
    """A cell raised: its number among the code cells, what it raised, and its source."""

    def __init__(self, cell: int, source: str, error: BaseException) -> None:
        super().__init__(f"code cell {cell} raised {type(error).__name__}: {error}\n\n{source}")


def code(notebook: Any) -> list[str]:
    """The notebook's code cells."""
    return [cell.source for cell in notebook.cells if cell.cell_type == "code"]


def with_settings(
    cells: Iterable[str],
    seed: int = 42,
    hidden: int = 8,
    epochs: int = 200,
    batch_size: int = 32,
    lr: float = 0.1,
    n: int = 500,
    dtype: str = "float64",
) -> list[str]:
    """The cells with the one that holds the settings changed."""
    values = f"{seed}, {hidden}, {epochs}, {batch_size}, {lr}, {n}"
    lines = f"SEED, HIDDEN, EPOCHS, BATCH_SIZE, LR, N = {values}\nDTYPE = np.{dtype}"
    return [SETTINGS.sub(lines, cell) for cell in cells]


def run(cells: Iterable[str], given: dict[str, Any] | None = None) -> list[str]:
    """Run the cells in order in one namespace; what each prints.

    given: the namespace, a new one when left out. Raises `Failed` for the first cell that raises.
    """
    given = {"__name__": "__main__"} if given is None else given
    printed = []
    for number, source in enumerate(cells):
        said = io.StringIO()
        try:
            with contextlib.redirect_stdout(said):
                exec(compile(source, f"<cell {number}>", "exec"), given)
        except Exception as error:
            raise Failed(number, source, error) from error
        finally:
            plt.close("all")
        printed.append(said.getvalue())
    return printed


GRID: dict[str, tuple[Any, ...]] = {
    "hidden": (1, 2, 3, 4, 8, 64),
    "lr": (0.01, 0.1, 1, 4),
    "epochs": (1, 7, 20, 200),
    "batch_size": (1, 7, 32, 500),
    "dtype": ("float64", "float32"),
}


def draws(n: int, most_updates: float = math.inf) -> list[dict[str, Any]]:
    """The first n settings that chance picks from `GRID`, no two with the same seed, small first.

    most_updates: settings that take more updates than this are passed over.
    """

    def drawn(seed: int) -> dict[str, Any]:
        chance = random.Random(seed)
        return {"seed": seed, **{name: chance.choice(GRID[name]) for name in GRID}}

    chosen = (s for s in map(drawn, itertools.count()) if updates(s) <= most_updates)
    return sorted(itertools.islice(chosen, n), key=updates)


def updates(settings: dict[str, Any]) -> int:
    """How many updates a training with these settings takes."""
    return int(settings["epochs"] * -(-500 // settings["batch_size"]))
