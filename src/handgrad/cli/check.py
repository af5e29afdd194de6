"""`handgrad check`."""

import sys
from typing import Annotated

import typer

from handgrad.cli.options import Json


def check(
    target: Annotated[
        str,
        typer.Argument(
            metavar="FILE.py[:NAME]", help="The file, and optionally what in it to check."
        ),
    ],
    points: Annotated[int, typer.Option(help="Points to check at.", min=1)] = 3,
    rtol: Annotated[
        float, typer.Option(help="An error of the gradient, over its norm, that is allowed.")
    ] = 0.0,
    resolve: Annotated[
        float, typer.Option(help="Inconclusive unless such an error would be caught.")
    ] = 0.01,
    seed: Annotated[
        int | None,
        typer.Option(
            help="Seed for the random directions. Default: a new one, shown in the report.", min=0
        ),
    ] = None,
    as_json: Json = False,
) -> int:
    """Check the gradients in a Python file of yours.

    The file defines params, loss and grads (and perhaps activations, structure or reference), a
    torch module and its inputs (and perhaps reference or second), or a layer's forward and backward
    and its inputs (or layer, an object with both); NAME is a dict, class or object in it that does.
    Exits with 0 for pass, 1 for fail, 2 for bad input, 3 where nothing can be said (inconclusive,
    nondifferentiable). The file is run, in a process of its own.
    """
    from dataclasses import asdict

    from handgrad import report
    from handgrad.checker.report import PASS
    from handgrad.checker.user_file import UserError, check_in_a_process
    from handgrad.files import without_nan

    try:
        found = check_in_a_process(target, points=points, rtol=rtol, resolve=resolve, seed=seed)
    except UserError as error:
        print(
            f"{error}handgrad: this exception comes from {target}, not from handgrad",
            file=sys.stderr,
        )
        return 2
    if as_json:
        content = {"verdict": found.verdict, **asdict(found)}
        print(report.to_json(without_nan(content)), end="")
    else:
        print(found)
    return {PASS: 0, "fail": 1}.get(found.verdict, 3)
