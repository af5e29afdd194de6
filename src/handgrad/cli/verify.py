"""`handgrad verify`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from handgrad.cli.bars import console_on, epochs_bar, say, show, stopped
from handgrad.cli.options import Device, Json, named, with_config
from handgrad.cli.told import exit_code, say_failures, say_left_out
from handgrad.problem import Config, make_problem

SENTENCES = {
    "equal": "Equal: every bound holds.",
    "not equal": "Not equal: see above.",
    "undecided": "Undecided: what could be compared is equal; see above.",
}


@with_config
def verify(
    chosen: dict[str, Any],
    *,
    device: Device = "cpu",
    out: Annotated[
        Path | None,
        typer.Option(parser=named, help="Folder for the results. Default runs/SEED-HASH."),
    ] = None,
    prove: Annotated[
        int | None,
        typer.Option(help="Patterns to draw for the proof of stage 1. Default: below a second."),
    ] = None,
    as_json: Json = False,
) -> int:
    """Train all four stages on one problem and show that they are equal.

    Stage 1's gradients are proved in exact arithmetic. Prints one table: each difference beside the
    bound that rounding allows. Writes results.json, history.csv and figure.png. Exits with 0 only
    if every bound holds; with 1 it names the stage, the quantity and the place; with 3 the runs
    decide nothing. Without PyTorch stage 1 is checked alone, and what is left out is said.
    """
    from handgrad import report
    from handgrad.files import alone
    from handgrad.verification import verify

    problem = make_problem(Config(**chosen))
    config = problem.config
    out = report.make_folder(out or Path("runs") / f"{config.seed}-{config.short_hash()}")
    with alone(out):
        with stopped("nothing was written"), epochs_bar(config.epochs) as on_epoch:
            verification = verify(problem, device=device, patterns=prove, on_epoch=on_epoch)
        results = report.to_json(report.results(verification))
        runs = list(verification.runs.values())
        found = verification.largest(runs[0].stage, "run") if runs else None
        left_out = report.write(out, results, runs, None if found is None else found.bound)
    if as_json:
        print(results, end="")
    console = console_on(stderr=as_json)
    show(console, report.table(verification))
    say(console, report.said_of(verification.proof))
    say_failures(console, verification)
    if left_out:
        say(console, f"No figure: {left_out}")
    say_left_out(console, verification)
    sentence = SENTENCES[verification.verdict]
    if len(verification.stages) == 1:
        sentence = sentence.replace("Equal: every", "Stage 1 alone: every")
    say(console, f"{sentence} Written to {out}")
    return exit_code(verification)
