"""`handgrad sweep`."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from handgrad.cli.bars import console_on, say, show, stopped, trainings_bar
from handgrad.cli.options import Json, named
from handgrad.errors import BadInput
from handgrad.extras import Missing, needed_for

if TYPE_CHECKING:
    from handgrad.sweep.grid import Grid

Seeds = Annotated[int, typer.Option(help="Trainings of each combination.")]
Hidden = Annotated[str, typer.Option(help="Hidden units, such as 2,4,8,16.")]
Lr = Annotated[str, typer.Option(help="Learning rates, such as 0.05,0.1,0.2.")]
Init = Annotated[str, typer.Option(help="Initial weights, such as he,normal:0.1.")]
Vary = Annotated[
    list[str] | None,
    typer.Option(
        help="What changes from one training to the next: all (default), or a comma list of "
        "data, init, order. Repeat to compare settings; `each` compares data, init, order and "
        "all."
    ),
]
Seed = Annotated[int, typer.Option(help="Seed for whatever --vary keeps fixed.")]
Epochs = Annotated[int, typer.Option(help="Passes over the training set.")]
BatchSize = Annotated[int, typer.Option(help="Samples in a batch.")]
NTrain = Annotated[int, typer.Option(help="Training samples.")]
NVal = Annotated[int, typer.Option(help="Held-out samples.")]
Dtype = Annotated[str, typer.Option(help="float32 or float64.")]
Every = Annotated[
    int,
    typer.Option(help="Measure held-out accuracy every this many epochs. 0: only at the end."),
]
Out = Annotated[
    Path | None, typer.Option(parser=named, help="Folder for the results. Default sweeps/HASH.")
]
Resume = Annotated[bool, typer.Option("--resume", help="Continue the sweep in --out.")]
DrawnFrom = Annotated[
    Path | None,
    typer.Option(
        "--from", parser=named, help="Print and draw a finished sweep again, without training."
    ),
]
Backend = Annotated[str, typer.Option(help="local, or dask (needs --address).")]
Address = Annotated[
    str | None, typer.Option(help="Address of a Dask scheduler, such as tcp://127.0.0.1:8786.")
]


def sweep(
    context: typer.Context,
    *,
    seeds: Seeds = 1000,
    hidden: Hidden = "8",
    lr: Lr = "0.1",
    init: Init = "he",
    vary: Vary = None,
    seed: Seed = 42,
    epochs: Epochs = 200,
    batch_size: BatchSize = 32,
    n_train: NTrain = 500,
    n_val: NVal = 500,
    dtype: Dtype = "float32",
    every: Every = 10,
    out: Out = None,
    resume: Resume = False,
    drawn_from: DrawnFrom = None,
    backend: Backend = "local",
    address: Address = None,
    as_json: Json = False,
) -> int:
    """Train every combination for every seed, thousands a second: how often does it work?

    Writes results.parquet, one row a training, and figures as PNG and SVG. If it is interrupted,
    --resume continues and gives the same table.
    """
    from handgrad.files import make_folder
    from handgrad.sweep.grid import Grid
    from handgrad.sweep.run import fill
    from handgrad.sweep.store import read_grid

    if backend not in ("local", "dask") or (backend == "dask") != (address is not None):
        raise BadInput(
            "--backend must be local, or dask with --address tcp://HOST:PORT, got "
            f"{backend}{' without it' if address is None else f' and {address}'}"
        )
    if drawn_from is not None:
        _require_alone(context)
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
        _say_if_compiled_anew()
        with (
            stopped(f"go on with --resume --out {out}"),
            trainings_bar(grid.trainings) as on_progress,
        ):
            fill(out, grid, resume=resume, address=address, on_progress=on_progress)
    _report(out, grid, as_json)
    return 0


def _require_alone(context: typer.Context) -> None:
    """--from takes the grid as it is: an option beside it would be without effect."""
    source: Callable[[str], Any] = context.get_parameter_source
    others = [
        f"--{name.replace('_', '-')}"
        for name in context.params
        if name not in ("drawn_from", "as_json") and source(name).name == "COMMANDLINE"
    ]
    if others:
        raise BadInput(f"--from draws what is there: leave out {', '.join(others)}")


def _say_if_compiled_anew() -> None:
    from handgrad.sweep import compiled

    if not compiled.kept:
        text = "numba's cache cannot be written: the sweep is compiled anew, which takes a minute"
        say(console_on(stderr=True), text)


def _report(out: Path, grid: "Grid", as_json: bool) -> None:
    """The summary and the figures of a finished sweep."""
    from handgrad import report
    from handgrad.sweep.store import read_results
    from handgrad.sweep.summary import printed, summarised

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


def _drawn(out: Path, grid: "Grid", table: Any, summary: Any) -> str:
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
