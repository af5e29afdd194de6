"""`handgrad explore`."""

import webbrowser
from pathlib import Path
from typing import Annotated, Any

import typer

from handgrad.cli.bars import console_on, epochs_bar, say, stopped
from handgrad.cli.options import Device, named, with_config
from handgrad.cli.told import exit_code, say_failures, say_left_out
from handgrad.problem import Config, make_problem


@with_config
def explore(
    chosen: dict[str, Any],
    *,
    device: Device = "cpu",
    out: Annotated[
        Path | None,
        typer.Option(parser=named, help="The file. Default runs/SEED-HASH/page.html."),
    ] = None,
    open_it: Annotated[bool, typer.Option("--open", help="Open it in the browser.")] = False,
) -> int:
    """Train the stages and write a page on which backpropagation happens, with the real numbers.

    One HTML file that needs no network: the training, step by step and in time, the chain rule of
    every weight with the numbers put in, the stages' agreement, a run that got stuck, and what
    happens when the backward pass is wrong. Exits with 3 if the training diverges: the page then
    shows it up to there.
    """
    from handgrad.explore.numbers import require_page
    from handgrad.explore.page import page
    from handgrad.files import alone, make_folder, require_file, write_whole
    from handgrad.verification import compare_runs

    problem = make_problem(Config(**chosen))
    config = problem.config
    require_page(config)
    out = out or Path("runs") / f"{config.seed}-{config.short_hash()}" / "page.html"
    make_folder(out.parent)
    require_file(out)
    with alone(out):
        with stopped("nothing was written"), epochs_bar(config.epochs) as on_epoch:
            compared = compare_runs(problem, device=device, on_epoch=on_epoch)
            text = page(compared)
        write_whole(out, text.encode())
    console = console_on(stderr=False)
    say_failures(console, compared)
    say_left_out(console, compared)
    say(console, f"Written to {out} ({len(text.encode()) / 1000:,.0f} kB): open it in a browser")
    if open_it and not webbrowser.open(out.resolve().as_uri()):
        say(console, "No browser was found to open it in")
    return exit_code(compared)
