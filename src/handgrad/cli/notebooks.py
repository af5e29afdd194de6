"""`handgrad notebooks`."""

from pathlib import Path
from typing import Annotated

import typer

from handgrad.cli.options import named


def notebooks(
    folder: Annotated[
        Path, typer.Argument(parser=named, metavar="DIR", help="Folder to copy them into.")
    ],
    force: Annotated[
        bool, typer.Option("--force", help="Overwrite files that you have changed.")
    ] = False,
    reset: Annotated[
        str | None,
        typer.Option(metavar="NN:BLANK", help="Empty one blank of the exercises in DIR again."),
    ] = None,
) -> int:
    """Copy the notebooks, their exercises and a guide for teachers into a folder of yours.

    The notebooks need numpy, matplotlib, torch and Jupyter, and no handgrad. An exercise that you
    have begun stays as it is, with --force too.
    """
    from handgrad.notebooks import copy_notebooks, reset_blank

    if reset is not None:
        print(f"{reset} is empty again in {reset_blank(folder, reset)}")
        return 0
    copied, kept = copy_notebooks(folder, force)
    for path in copied:
        print(path)
    for path in kept:
        print(f"{path} holds your answers, and stays: remove it to begin anew")
    print(
        f"\nOpen them with `pip install jupyterlab` and `jupyter lab {folder}`, or in Google Colab "
        "with File › Upload notebook."
    )
    return 0
