"""`handgrad sweep`."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from handgrad.cli.options import Json, named
from handgrad.cli.progress import console_on, say, show, stopped, trainings_bar
from handgrad.errors import BadInput
from handgrad.extras import Missing, needed_for


def sweep(
    *,
    seeds: Annotated[int, typer.Option(help="Trainings of each combination.")] = 1000,
    hidden: Annotated[str, typer.Option(help="Hidden units, such as 2,4,8,16.")] = "8",
    lr: Annotated[str, typer.Option(help="Learning rates, such as 0.05,0.1,0.2.")] = "0.1",
    init: Annotated[str, typer.Option(help="Initial weights, such as he,normal:0.1.")] = "he",
    vary: Annotated[
        list[str] | None,
        typer.Option(
            help="What changes from one training to the next: all (default), or a comma list of "
            "data, init, order. Repeat to compare settings; `each` compares data, init, order and "
            "all."
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed for whatever --vary keeps fixed.")] = 42,
    epochs: Annotated[int, typer.Option(help="Passes over the training set.")] = 200,
    batch_size: Annotated[int, typer.Option(help="Samples in a batch.")] = 32,
    n_train: Annotated[int, typer.Option(help="Training samples.")] = 500,
    n_val: Annotated[int, typer.Option(help="Held-out samples.")] = 500,
    dtype: Annotated[str, typer.Option(help="float32 or float64.")] = "float32",
    every: Annotated[
        int,
        typer.Option(help="Measure held-out accuracy every this many epochs. 0: only at the end."),
    ] = 10,
    out: Annotated[
        Path | None, typer.Option(parser=named, help="Folder for the results. Default sweeps/HASH.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue the sweep in --out.")] = False,
    drawn_from: Annotated[
        Path | None,
        typer.Option(
            "--from", parser=named, help="Print and draw a finished sweep again, without training."
        ),
    ] = None,
    backend: Annotated[str, typer.Option(help="local, or dask (needs --address).")] = "local",
    address: Annotated[
        str | None, typer.Option(help="Address of a Dask scheduler, such as tcp://127.0.0.1:8786.")
    ] = None,
    as_json: Json = False,
) -> int:
    """Train every combination for every seed, thousands a second: how often does it work?

    Writes results.parquet, one row a training, and figures as PNG and SVG. If it is interrupted,
    --resume continues and gives the same table.
    """
    from handgrad import report
    from handgrad.files import make_folder
    from handgrad.sweep import compiled
    from handgrad.sweep.grid import Grid
    from handgrad.sweep.run import fill
    from handgrad.sweep.store import read_grid, read_results
    from handgrad.sweep.summary import printed, summarised

    if backend not in ("local", "dask") or (backend == "dask") != (address is not None):
        raise BadInput(
            "--backend must be local, or dask with --address tcp://HOST:PORT, got "
            f"{backend}{' without it' if address is None else f' and {address}'}"
        )
    if drawn_from is not None and (resume or out is not None):
        raise BadInput("--from draws what is there: leave out --out and --resume")
    if drawn_from is not None:
        grid, out = read_grid(drawn_from), make_folder(drawn_from)
    else:
        grid = Grid(
            seeds=seeds,
            hidden=tuple(_listed("hidden", hidden, int)),
            lr=tuple(_listed("lr", lr, float)),
            init=tuple(_listed("init", init, str)),
            vary=tuple(vary or ["all"]),
            seed=seed,
            epochs=epochs,
            batch_size=batch_size,
            n_train=n_train,
            n_val=n_val,
            dtype=dtype,
            every=every,
        )
        out = out or Path("sweeps") / grid.short_hash()
        if not compiled.kept:
            say(
                console_on(stderr=True),
                "numba's cache cannot be written: the sweep is compiled anew, which takes a minute",
            )
        with (
            stopped(f"go on with --resume --out {out}"),
            trainings_bar(grid.trainings) as on_progress,
        ):
            fill(out, grid, resume=resume, address=address, on_progress=on_progress)
    table = read_results(out)
    summary = summarised(table)
    left_out = _drawn(out, grid, table, summary)
    if as_json:
        print(report.to_json({"grid": grid.as_dict(), "summary": summary.to_dicts()}), end="")
    console = console_on(stderr=as_json)
    show(console, printed(grid, summary))
    if left_out:
        say(console, f"No figures: {left_out}")
    say(console, f"Written to {out}")
    return 0


def _drawn(out: Path, grid: Any, table: Any, summary: Any) -> str:
    """The figures, written; or why they are left out."""
    from handgrad.files import write_whole

    try:
        with needed_for("drawing"):
            from handgrad.figures import image
            from handgrad.sweep.figures import figures
    except Missing as missing:
        return str(missing)
    for name, figure in figures(grid, table, summary):
        for kind in ("png", "svg"):
            write_whole(out / f"{name}.{kind}", image(figure, kind))
    return ""


def _listed(name: str, text: str, kind: Callable[[str], Any]) -> Iterator[Any]:
    """The values of a grid's option: text of comma-separated values."""
    for value in text.split(","):
        try:
            if not value.strip():
                raise ValueError
            yield kind(value.strip())
        except ValueError:
            what = {int: "whole numbers", float: "numbers", str: "names"}[kind]  # type: ignore[index]
            raise BadInput(f"--{name} must be {what} joined by commas, got {text!r}") from None
