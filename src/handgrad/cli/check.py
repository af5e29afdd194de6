"""`handgrad check`."""

import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from handgrad.cli.options import Json, named
from handgrad.cli.watching import at_each_save, say_watching
from handgrad.errors import BadInput

if TYPE_CHECKING:
    from handgrad.checker.report import Report

WIDE = 80
"""Columns from which on a table is easier to read than a line a parameter."""


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
    figure: Annotated[
        Path | None,
        typer.Option(
            parser=named,
            help="Draw each wrong gradient here, as a PNG: what it is, should be, and the error.",
        ),
    ] = None,
    list_them: Annotated[
        bool, typer.Option("--list", help="Say what in FILE can be checked, and check nothing.")
    ] = False,
    watch: Annotated[
        bool, typer.Option("--watch", help="Run FILE and check again whenever it is saved.")
    ] = False,
    as_json: Json = False,
) -> int:
    """Check the gradients in a Python file of yours.

    The file defines params, loss and grads (and perhaps activations, structure, reference, project
    or conjugate), a module of PyTorch or function of JAX and its inputs (and perhaps reference,
    second, forward_ad or vmap), or a layer's forward and backward and its inputs (and perhaps jvp),
    or layer, an object with both; NAME is a dict, class or object in it that does.
    Exits with 0 for pass, 1 for fail, 2 for bad input, 3 where nothing can be said (inconclusive,
    nondifferentiable). The file is run, in a process of its own.
    """
    from handgrad.checker.user_file import file_and_name
    from handgrad.files import require_file

    options = {"points": points, "rtol": rtol, "resolve": resolve, "seed": seed}
    if list_them:
        return _theirs(target, lambda: _list(target))
    if figure is not None:
        require_file(figure)
        options["entries"] = True
    code = _theirs(target, lambda: _check(target, as_json, options, figure))
    if watch:
        file = file_and_name(target)[0].resolve()
        say_watching(f"{target}, which is run at each save")
        at_each_save(
            file.parent,
            lambda path: path == str(file),
            lambda: _again(target, lambda: _check(target, as_json, options, figure)),
        )
    return code


def _say_table(found: "Report") -> None:
    """For a person: worst first, the verdict in colour."""
    from rich.console import Console

    from handgrad.checker.table import terminal

    console = Console(highlight=False)
    console.print(terminal(found.head, found.rows))
    for note in found.notes:
        console.print(f"note: {note}", markup=False)


def _drawn(found: "Report", file: Path) -> str:
    """Draws what is wrong, and says where."""
    from handgrad.extras import needed_for
    from handgrad.files import write_whole

    with needed_for("drawing"):
        from handgrad.figures import gradients_figure, png

    if not any(p.right is not None for p in found.parameters.values()):
        return "No figure: no gradient is wrong, or it has more entries than are measured"
    write_whole(file, png(gradients_figure(found)))
    return f"drawn: {file}"


def _theirs(target: str, work: Callable[[], int]) -> int:
    """An exception of the file's own is shown as Python would show it."""
    from handgrad.checker.user_file import UserError

    try:
        return work()
    except UserError as error:
        print(
            f"{error}handgrad: this exception comes from {target}, not from handgrad",
            file=sys.stderr,
        )
        return 2
    finally:
        sys.stdout.flush()


def _again(target: str, work: Callable[[], int]) -> None:
    """What cannot be used while it is being written is told, and the watch goes on."""
    try:
        _theirs(target, work)
    except BadInput as error:
        print(f"handgrad: {error}", file=sys.stderr)


def _list(target: str) -> int:
    from handgrad.checker.user_file import list_in_a_process

    print("\n".join(list_in_a_process(target)))
    return 0


def _check(target: str, as_json: bool, options: dict[str, Any], figure: Path | None) -> int:
    """One check, and its exit code."""
    from handgrad import report
    from handgrad.checker.report import PASS
    from handgrad.checker.user_file import check_in_a_process

    found = check_in_a_process(target, **options)
    drawn = _drawn(found, figure) if figure is not None else None
    if as_json:
        print(report.to_json(found.as_dict()), end="")
    elif sys.stdout.isatty() and shutil.get_terminal_size().columns >= WIDE:
        _say_table(found)
    else:
        print(found)
    if drawn is not None:
        print(drawn, file=sys.stderr)
    return {PASS: 0, "fail": 1}.get(found.verdict, 3)
