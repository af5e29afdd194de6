"""The command `handgrad`.

What a command needs is imported when it runs, so that `--help` answers at once.
"""

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import Field, fields, replace
from functools import wraps
from inspect import Parameter, signature
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from handgrad.errors import BadInput
from handgrad.problem import Config, make_problem
from handgrad.stages import STAGES, load

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

    from handgrad.training import Row, Run

app = typer.Typer(
    add_completion=False,
    rich_markup_mode="markdown",
    help="Backpropagation you can prove: four implementations of one tiny network, trained on the "
    "same data and shown equal, number by number.",
)

CONFIG_HELP = {
    "seed": "Spawns the three random streams: data, initial weights, batch order.",
    "hidden": "Hidden units h.",
    "epochs": "Passes over the training set; 0 reports the initial network.",
    "lr": "Learning rate.",
    "batch_size": "Samples in a batch; the last one may be short.",
    "n_train": "Training samples.",
    "n_val": "Held-out samples.",
    "init": "Initial weights: he, or normal:SD such as normal:0.1.",
    "dtype": "float64 or float32.",
    "data_seed": "A seed for the data alone.",
    "init_seed": "A seed for the initial weights alone.",
    "order_seed": "A seed for the batch order alone.",
}
Device = Annotated[str, typer.Option(help="Device for PyTorch's tensors: cpu, cuda, …")]
Json = Annotated[
    bool,
    typer.Option("--json", help="Print one JSON object. Everything else goes to standard error."),
]


def with_config(command: Callable[..., int]) -> Callable[..., int]:
    """Give the command an option for each field of `Config`; its first argument is what was chosen.

    A field left out stays out of `chosen`, so that a checkpoint's own value can stand.
    """

    @wraps(command)
    def wrapped(**arguments: Any) -> int:
        chosen = {name: arguments.pop(name) for name in CONFIG_HELP}
        return command({k: v for k, v in chosen.items() if v is not None}, **arguments)

    options = [
        Parameter(
            field.name,
            Parameter.KEYWORD_ONLY,
            default=None,
            annotation=Annotated[
                field.type | None,  # type: ignore[operator]
                typer.Option(help=_help(field), show_default=False),
            ],
        )
        for field in fields(Config)
    ]
    own = list(signature(command).parameters.values())[1:]
    own.sort(key=lambda p: p.kind)  # an argument before the options
    first = [p for p in own if p.kind is not Parameter.KEYWORD_ONLY]
    parameters = [*first, *options, *own[len(first) :]]
    wrapped.__signature__ = signature(command).replace(parameters=parameters)  # type: ignore[attr-defined]
    return wrapped


def _help(field: Field[Any]) -> str:
    default = "" if field.default is None else f" Default {field.default}."
    return CONFIG_HELP[field.name] + default


@app.command()
@with_config
def verify(
    chosen: dict[str, Any],
    *,
    device: Device = "cpu",
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for the results. Default runs/SEED-HASH."),
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
    if every bound holds; with 1 it names the stage, the quantity and the place.
    """
    from handgrad import report
    from handgrad.figures import png, run_figure
    from handgrad.files import make_folder, write_whole
    from handgrad.verification import verify

    problem = make_problem(Config(**chosen))
    config = problem.config
    out = make_folder(out or Path("runs") / f"{config.seed}-{config.short_hash()}")
    try:
        with _progress(config.epochs) as on_epoch:
            verification = verify(problem, device=device, patterns=prove, on_epoch=on_epoch)
    except KeyboardInterrupt:
        print("handgrad: interrupted; nothing was written", file=sys.stderr)
        return 130
    results = report.to_json(report.results(verification))
    runs = list(verification.runs.values())
    write_whole(out / "results.json", results.encode())
    write_whole(out / "history.csv", report.history_csv(runs).encode())
    if as_json:
        sys.stdout.write(results)
    console = _console(stderr=as_json)
    console.print(report.table(verification))
    console.print(report.said_of(verification.proof), markup=False, highlight=False)
    for line in (f.message for f in verification.failures):
        console.print(line, style="red", markup=False, highlight=False, soft_wrap=True)
    for run in runs:
        _say_if_diverged(run, console)
    if runs:
        found = verification.largest(runs[0].stage, "run")
        bound = None if found is None else found.bound
        write_whole(out / "figure.png", png(run_figure(runs, bound)))
    verdict = "Equal: every bound holds." if verification.ok else "Not equal: see above."
    console.print(f"{verdict} Written to {out}", markup=False, highlight=False, soft_wrap=True)
    return 0 if verification.ok else 1


@app.command()
@with_config
def train(
    chosen: dict[str, Any],
    stage: Annotated[str, typer.Argument(metavar="STAGE", help=f"One of {', '.join(STAGES)}.")],
    *,
    device: Device = "cpu",
    checkpoint: Annotated[
        Path | None, typer.Option(help="File to keep the state in during the training.")
    ] = None,
    every: Annotated[int, typer.Option(help="Write the checkpoint every this many epochs.")] = 10,
    resume: Annotated[
        Path | None,
        typer.Option(
            help="Continue from this checkpoint. Any stage may have made it. Its options are used."
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for results.json, history.csv and figure.png."),
    ] = None,
    as_json: Json = False,
) -> int:
    """Train one stage.

    A resumed run ends, bit for bit, where an uninterrupted one does. Ctrl-C leaves the checkpoint
    at the last whole epoch. Exits with 1 if the training diverges.
    """
    from handgrad import report
    from handgrad.checkpoint import load_checkpoint
    from handgrad.figures import png, run_figure
    from handgrad.files import make_folder, write_whole
    from handgrad.training import train

    config = (
        Config(**chosen) if resume is None else replace(load_checkpoint(resume).config, **chosen)
    )
    problem = make_problem(config)
    load(stage)
    if out is not None:
        make_folder(out)
    try:
        with _progress(config.epochs) as on_epoch:
            run = train(
                problem,
                stage,
                device=device,
                checkpoint=checkpoint,
                every=every,
                resume=resume,
                on_epoch=lambda epoch, row: on_epoch(stage, epoch, row),
            )
    except KeyboardInterrupt:
        kept = "nothing was kept: --checkpoint FILE would have"
        if checkpoint is not None:
            kept = f"{checkpoint} holds the last whole epoch: go on with --resume {checkpoint}"
        print(f"handgrad: interrupted; {kept}", file=sys.stderr)
        return 130
    results = report.to_json(report.run_results(run))
    if out is not None:
        write_whole(out / "results.json", results.encode())
        write_whole(out / "history.csv", report.history_csv([run]).encode())
        write_whole(out / "figure.png", png(run_figure([run])))
    if as_json:
        sys.stdout.write(results)
    console = _console(stderr=as_json)
    final = run.final
    console.print(
        f"{stage}: {int(final['epoch'])} epochs, {run.steps} steps, training loss "
        f"{final['train_loss']:.6g}, accuracy {final['train_accuracy']:.3f} in training, "
        f"{final['val_accuracy']:.3f} held out",
        highlight=False,
        soft_wrap=True,
    )
    _say_if_diverged(run, console)
    return 0 if run.diverged_at is None else 1


@app.command()
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

    The file defines params, loss and grads (and perhaps activations, structure or reference), or a
    torch module and its inputs (and perhaps reference); NAME is a dict, class or object in it that
    does. Exits with 0 for pass, 1 for fail, 2 for bad input, 3 where nothing can be said
    (inconclusive, nondifferentiable). The file is run.
    """
    from dataclasses import asdict

    from handgrad import report
    from handgrad.checker.report import PASS
    from handgrad.checker.user_file import UserError, check_file

    try:
        found = check_file(target, points=points, rtol=rtol, resolve=resolve, seed=seed)
    except UserError as error:
        print(
            f"{error}handgrad: this exception comes from {target}, not from handgrad",
            file=sys.stderr,
        )
        return 2
    if as_json:
        sys.stdout.write(
            report.to_json(report.without_nan({"verdict": found.verdict, **asdict(found)}))
        )
    else:
        print(found)
    return {PASS: 0, "fail": 1}.get(found.verdict, 3)


@app.command()
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
        Path | None, typer.Option(help="Folder for the results. Default sweeps/HASH.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue the sweep in --out.")] = False,
    drawn_from: Annotated[
        Path | None,
        typer.Option("--from", help="Print and draw a finished sweep again, without training."),
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
    from handgrad.figures import image
    from handgrad.files import make_folder, write_whole

    try:
        from handgrad.sweep.figures import figures
        from handgrad.sweep.grid import Grid
        from handgrad.sweep.run import fill
        from handgrad.sweep.store import read_grid, read_results
        from handgrad.sweep.summary import printed, summarised
    except ModuleNotFoundError as missing:
        raise BadInput(
            f"sweep needs {missing.name}, which is not installed: pip install 'handgrad[sweep]'"
        ) from None
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
        try:
            with _trainings(grid.trainings) as on_progress:
                fill(out, grid, resume=resume, address=address, on_progress=on_progress)
        except KeyboardInterrupt:
            print(f"handgrad: interrupted; go on with --resume --out {out}", file=sys.stderr)
            return 130
    table = read_results(out)
    summary = summarised(table)
    console = _console(stderr=as_json)
    if as_json:
        sys.stdout.write(report.to_json({"grid": grid.as_dict(), "summary": summary.to_dicts()}))
    console.print(printed(grid, summary))
    for name, figure in figures(grid, table, summary):
        for kind in ("png", "svg"):
            write_whole(out / f"{name}.{kind}", image(figure, kind))
    console.print(f"Written to {out}", markup=False, highlight=False, soft_wrap=True)
    return 0


@app.command()
def notebooks(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder to copy them into.")],
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


def main() -> NoReturn:
    """Run the command; what cannot be used is told in one line, with exit code 2."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that has no ✗ shows ?
    try:
        code = app(args=sys.argv[1:] or ["--help"], standalone_mode=False)
    except (BadInput, typer.TyperException) as error:
        said = error.format_message() if isinstance(error, typer.TyperException) else str(error)
        print(f"handgrad: {' '.join(said.split())}", file=sys.stderr)
        code = 2
    except (MemoryError, OSError) as error:
        said = " ".join(str(error).split()) or "out of memory: take fewer units, samples or epochs"
        print(f"handgrad: {said}", file=sys.stderr)
        code = 2
    sys.exit(code)


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


@contextmanager
def _ctrl_c() -> Iterator[Callable[[], None]]:
    """Ctrl-C that cannot be lost; yields a look for one, which raises `KeyboardInterrupt`.

    Python drops an exception that is raised in a finalizer or in a weak reference's callback, and
    an import runs thousands of those: the work would go on as if nobody had pressed a key.
    """
    pressed = False

    def press(*_: object) -> NoReturn:
        nonlocal pressed
        pressed = True
        raise KeyboardInterrupt

    def look() -> None:
        if pressed:
            raise KeyboardInterrupt

    # Only Python's own handler is replaced: a job in the background is meant to ignore the key.
    mine = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    try:
        if mine:
            signal.signal(signal.SIGINT, press)
        yield look
    finally:
        if mine:
            signal.signal(signal.SIGINT, signal.default_int_handler)


@contextmanager
def _bar(first: str, unit: str, last: str) -> Iterator["Progress"]:
    """A bar on standard error, with these texts before it, after the count, and after the time."""
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    progress = Progress(
        TextColumn(first),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(unit),
        TimeRemainingColumn(),
        TextColumn(last),
        console=_console(stderr=True),
    )
    try:
        yield progress  # started with the first news: a message about bad input stands alone
    finally:
        if progress.live.is_started:
            progress.stop()


@contextmanager
def _trainings(total: int) -> Iterator[Callable[[int], None]]:
    """A bar with the rate and the time left, moved on by the number of trainings that are done."""
    unit = "trainings, {task.fields[rate]} a second,"
    with _ctrl_c() as look, _bar("{task.description}", unit, "left") as progress:
        task = progress.add_task("compiling, once", total=total, rate="–")

        def on_progress(done: int) -> None:
            look()
            progress.start()
            progress.update(task, advance=done)
            speed = progress.tasks[0].speed
            if speed:
                progress.update(task, description="training", rate=f"{speed:,.0f}")

        yield on_progress


def _console(stderr: bool) -> "Console":
    from rich.console import Console

    return Console(stderr=stderr)


def _say_if_diverged(run: "Run", console: "Console") -> None:
    if run.diverged_at is not None:
        console.print(
            f"{run.stage}: diverged at step {run.diverged_at}: the numbers are no longer finite; "
            f"the last epoch kept is {int(run.final['epoch'])}; try a smaller --lr",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )


@contextmanager
def _progress(epochs: int) -> Iterator[Callable[[str, int, "Row"], None]]:
    """A bar for each stage on standard error, moved on by calling what is yielded."""
    last = "training loss {task.fields[loss]:.4g}"
    with _ctrl_c() as look, _bar("{task.description:<20}", "epochs", last) as progress:
        tasks = {}

        def on_epoch(stage: str, epoch: int, row: "Row") -> None:
            look()
            progress.start()
            if stage not in tasks:
                tasks[stage] = progress.add_task(stage, total=epochs, loss=row[1])
            progress.update(tasks[stage], completed=epoch, loss=row[1])

        yield on_epoch
