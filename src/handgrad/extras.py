"""Packages that only some of handgrad needs: a missing one is named, with what installs it."""

from collections.abc import Iterator
from contextlib import contextmanager

from handgrad.errors import BadInput

EXTRAS = {
    "torch": "torch",
    "matplotlib": "figures",
    "filelock": "cli",
    "ipykernel": "progress",
    "nbclient": "progress",
    "watchfiles": "progress",
    "rich": "cli",
    "safetensors": "cli",
    "typer": "cli",
    "numba": "sweep",
    "polars": "sweep",
    "distributed": "dask",
}
"""By package, the extra that brings it: `pip install 'handgrad[torch]'`."""


class Missing(BadInput):
    """A package that is not installed."""


@contextmanager
def needed_for(what: str) -> Iterator[None]:
    """Where an import fails for want of an extra, raises `Missing` with the line that installs it.

    >>> with needed_for("stage 4"):
    ...     raise ModuleNotFoundError(name="torch")
    Traceback (most recent call last):
    handgrad.extras.Missing: stage 4 needs torch, which is not installed: pip install …
    """
    try:
        yield
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in EXTRAS:
            raise
        raise Missing(
            f"{what} needs {package}, which is not installed: "
            f"pip install 'handgrad[{EXTRAS[package]}]'"
        ) from None
