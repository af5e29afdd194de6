"""What is seen and heard while a command works: bars on standard error, Ctrl-C, SIGTERM."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console
    from rich.progress import Progress
    from rich.table import Table

    from handgrad.history import Epoch
    from handgrad.training import Run


class Stopped(BaseException):
    """Ctrl-C, or a signal that asks for the same. Typer keeps a `KeyboardInterrupt` for itself."""

    def __init__(self, number: int, kept: str = "") -> None:
        super().__init__(number, kept)
        self.number, self.kept = number, kept


@contextmanager
def stopped(kept: str) -> Iterator[None]:
    """Says, where the work is stopped, what is kept of it."""
    try:
        yield
    except Stopped as stop:
        raise Stopped(stop.number, kept) from None


_received = 0


@contextmanager
def signals() -> Iterator[None]:
    """Ctrl-C and SIGTERM raise `Stopped`, and are not lost: `look` raises it again.

    Python drops an exception that is raised in a finalizer or in a weak reference's callback, and
    an import runs thousands of those: the work would go on as if nobody had pressed a key.
    """

    def receive(number: int, _: object) -> NoReturn:
        global _received
        _received = number
        raise Stopped(number)

    # What is ignored stays so: a job in the background is meant to ignore the key.
    before = {n: signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)}
    mine = [n for n, handler in before.items() if handler is not signal.SIG_IGN]
    try:
        for number in mine:
            signal.signal(number, receive)
        yield
    finally:
        for number in mine:
            signal.signal(number, before[number])


def look() -> None:
    """Raise `Stopped` if a signal came, whatever became of its exception."""
    global _received
    number, _received = _received, 0
    if number:
        raise Stopped(number)


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
        console=console_on(stderr=True),
    )
    try:
        yield progress  # started with the first news: a message about bad input stands alone
    finally:
        if progress.live.is_started:
            progress.stop()


@contextmanager
def trainings_bar(total: int) -> Iterator[Callable[[int], None]]:
    """A bar with the rate and the time left, moved on by the number of trainings that are done."""
    unit = "trainings, {task.fields[rate]} a second,"
    with _bar("{task.description}", unit, "left") as progress:
        task = progress.add_task("compiling, once", total=total, rate="–")

        def on_progress(done: int) -> None:
            look()
            progress.start()
            progress.update(task, advance=done)
            speed = progress.tasks[0].speed
            if speed:
                progress.update(task, description="training", rate=f"{speed:,.0f}")

        yield on_progress


@contextmanager
def epochs_bar(epochs: int) -> Iterator[Callable[[str, int, "Epoch"], None]]:
    """A bar for each stage on standard error, moved on by calling what is yielded."""
    last = "training loss {task.fields[loss]:.4g}"
    with _bar("{task.description:<20}", "epochs", last) as progress:
        tasks = {}

        def on_epoch(stage: str, epoch: int, row: "Epoch") -> None:
            look()
            progress.start()
            if stage not in tasks:
                tasks[stage] = progress.add_task(stage, total=epochs, loss=row.train_loss)
            progress.update(tasks[stage], completed=epoch, loss=row.train_loss)

        yield on_epoch


@contextmanager
def files_bar() -> Iterator[Callable[["Path"], None]]:
    """A bar that names the file that is looked at, one after the other."""
    with _bar("{task.description}", "files", "") as progress:
        task = progress.add_task("", total=None)

        def on_file(path: "Path") -> None:
            look()
            progress.start()
            progress.update(task, advance=1, description=str(path))

        yield on_file


def console_on(stderr: bool) -> "Console":
    """Standard output, or standard error where that holds JSON."""
    from rich.console import Console

    class Open(Console):
        def on_broken_pipe(self) -> None:
            raise BrokenPipeError

    console = Open(stderr=stderr)
    console.width = console.width or 80  # COLUMNS=0 shows nothing at all
    return console


def show(console: "Console", table: "Table") -> None:
    """A table at its full width: a narrow terminal may wrap it, and shows every number."""
    from rich.measure import Measurement

    needed = Measurement.get(console, console.options.update(width=1000), table).maximum
    console.width = max(console.width, needed)
    console.print(table, crop=False)


def say(console: "Console", text: str, style: str | None = None) -> None:
    """A line as it is, which the terminal may wrap."""
    console.print(text, style=style, markup=False, highlight=False, soft_wrap=True)


def say_if_diverged(run: "Run", console: "Console") -> None:
    """Where, and what to do."""
    if run.diverged_at is not None:
        say(
            console,
            f"{run.stage}: diverged at step {run.diverged_at}: the numbers are no longer finite; "
            f"the last epoch kept is {run.final['epoch']}; try a smaller --lr",
        )
