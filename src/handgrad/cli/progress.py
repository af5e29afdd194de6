"""`handgrad progress`."""

from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from handgrad.cli.bars import console_on, files_bar, say, stopped
from handgrad.cli.options import Json, named
from handgrad.cli.watching import at_each_save, say_watching
from handgrad.extras import needed_for

if TYPE_CHECKING:
    from rich.table import Table

    from handgrad.progress import Learner


def progress(
    folder: Annotated[
        Path,
        typer.Argument(parser=named, metavar="DIR", help="Exercises, or folders of them."),
    ],
    *,
    seconds: Annotated[
        float, typer.Option(help="A cell that runs longer is stopped.", min=1, max=3600)
    ] = 60,
    watch: Annotated[
        bool, typer.Option("--watch", help="Look again when a file is saved.")
    ] = False,
    as_json: Json = False,
) -> int:
    """Say which blanks of the exercises are right, wrong or empty, and what to do next.

    What a learner wrote is run, each notebook in a fresh kernel, with limits on time, output,
    memory and processes. They guard against accidents. They are no sandbox: run only what you would
    open. A folder of learners' folders gives a row for each.
    """
    with needed_for("handgrad progress"):
        import ipykernel  # noqa: F401
        import nbclient  # noqa: F401
    from handgrad.progress import learners

    _report(folder, learners(folder), seconds, as_json)
    if watch:
        say_watching(folder)
        at_each_save(
            folder,
            lambda path: path.endswith(".ipynb"),
            lambda: _report(folder, learners(folder), seconds, as_json),
        )
    return 0


def _report(folder: Path, found: list[Path], seconds: float, as_json: bool) -> None:
    from handgrad import report
    from handgrad.progress import Limits
    from handgrad.progress import progress as run

    with stopped("nothing was changed"), files_bar() as on_file:
        learners = [run(path, Limits(seconds), on_file) for path in found]
    if as_json:
        rows = [asdict(one) | {"folder": str(one.folder), "next": one.next} for one in learners]
        print(report.to_json({"learners": rows}), end="")
        return
    console = console_on(stderr=False)
    alone = found == [folder]
    console.print(of_one(learners[0]) if alone else of_all(learners))
    for one in learners if alone else ():
        say(console, f"Next: {one.next}" if one.next else "All is right.")


def of_one(learner: "Learner") -> "Table":
    """A row for each blank."""
    from rich.table import Table
    from rich.text import Text

    signs = {"right": ("✓", "green"), "wrong": ("✗", "red")}
    table = Table("exercise", "blank", "", "what its check says")
    for a in learner.answers:
        sign, style = signs.get(a.state, ("·", "dim"))
        table.add_row(a.notebook, a.blank, Text(f"{sign} {a.state}", style), Text(a.said))
    return table


def of_all(learners: Iterable["Learner"]) -> "Table":
    """A row for each learner: how many blanks of each notebook are right."""
    from rich.table import Table
    from rich.text import Text

    learners = list(learners)
    numbers = sorted({a.notebook for one in learners for a in one.answers})
    table = Table("learner", *numbers, "wrong", "next")
    for one in learners:
        counts = []
        for number in numbers:
            states = [a.state for a in one.answers if a.notebook == number]
            counts.append(f"{states.count('right')}/{len(states)}")
        wrong = sum(a.state == "wrong" for a in one.answers)
        table.add_row(Text(one.folder.name), *counts, str(wrong), one.next or "all is right")
    return table
