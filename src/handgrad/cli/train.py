"""`handgrad train`."""

from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from handgrad.cli.bars import console_on, epochs_bar, say, say_if_diverged, stopped
from handgrad.cli.options import Device, Json, named, with_config
from handgrad.problem import Config, make_problem
from handgrad.stages import STAGES, load

if TYPE_CHECKING:
    from handgrad.training import Run


@with_config
def train(
    chosen: dict[str, Any],
    stage: Annotated[str, typer.Argument(metavar="STAGE", help=f"One of {', '.join(STAGES)}.")],
    *,
    device: Device = "cpu",
    checkpoint: Annotated[
        Path | None,
        typer.Option(parser=named, help="File to keep the state in during the training."),
    ] = None,
    every: Annotated[int, typer.Option(help="Write the checkpoint every this many epochs.")] = 10,
    resume: Annotated[
        Path | None,
        typer.Option(
            parser=named,
            help="Continue from this checkpoint. Any stage may have made it. Its options are used.",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(parser=named, help="Folder for results.json, history.csv and figure.png."),
    ] = None,
    as_json: Json = False,
) -> int:
    """Train one stage.

    A resumed run ends, bit for bit, where an uninterrupted one does. Ctrl-C leaves the checkpoint
    at the last whole epoch. Exits with 3 if the training diverges.
    """
    from handgrad import report
    from handgrad.checkpoint import load_checkpoint
    from handgrad.files import alone
    from handgrad.training import train

    config = (
        Config(**chosen) if resume is None else replace(load_checkpoint(resume).config, **chosen)
    )
    problem = make_problem(config)
    load(stage)
    kept = "nothing was kept: --checkpoint FILE would have"
    if checkpoint is not None:
        kept = f"{checkpoint} holds the last whole epoch: go on with --resume {checkpoint}"
    with ExitStack() as held:
        if out is not None:
            held.enter_context(alone(report.make_folder(out)))
        with stopped(kept), epochs_bar(config.epochs) as on_epoch:
            run = train(
                problem,
                stage,
                device=device,
                checkpoint=checkpoint,
                every=every,
                resume=resume,
                on_epoch=lambda epoch, row: on_epoch(stage, epoch, row),
            )
        results = report.to_json(report.run_results(run))
        left_out = report.write(out, results, [run]) if out is not None else ""
    if as_json:
        print(results, end="")
    console = console_on(stderr=as_json)
    say(console, _summary(run))
    say_if_diverged(run, console)
    if left_out:
        say(console, f"No figure: {left_out}")
    return 0 if run.diverged_at is None else 3


def _summary(run: "Run") -> str:
    last = run.rows[-1]
    return (
        f"{run.stage}: {last.epoch} epochs, {run.steps} steps, "
        f"training loss {last.train_loss:.6g}, accuracy {last.train_accuracy:.3f} in training, "
        f"{last.val_accuracy:.3f} held out"
    )
