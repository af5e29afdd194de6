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
) -> int:
    """Copy the four notebooks and a guide for teachers into a folder of yours.

    The notebooks need numpy, matplotlib, torch and Jupyter, and no handgrad.
    """
    from handgrad.notebooks import copy_notebooks

    for path in copy_notebooks(folder, force):
        print(path)
    print(
        f"\nOpen them with `pip install jupyterlab` and `jupyter lab {folder}`, or in Google Colab "
        "with File › Upload notebook."
    )
    return 0
