"""The command `handgrad`: a file for each command.

What a command needs is imported when it runs, so that `--help` answers at once.
"""

import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from io import TextIOWrapper
from typing import Annotated, Any, NoReturn, TextIO, cast

import typer

from handgrad import __version__
from handgrad.cli.bars import Stopped, signals
from handgrad.cli.check import check
from handgrad.cli.explore import explore
from handgrad.cli.notebooks import notebooks
from handgrad.cli.progress import progress
from handgrad.cli.sweep import sweep
from handgrad.cli.train import train
from handgrad.cli.verify import verify
from handgrad.errors import BadInput
from handgrad.extras import needed_for

app = typer.Typer(
    invoke_without_command=True,
    rich_markup_mode="markdown",
)
EXAMPLES: dict[Callable[..., int], tuple[str, str]] = {
    verify: ("verify", "verify --seed 7 --hidden 3 --out here"),
    explore: ("explore --open", "explore --hidden 4 --init normal:0.1 --out page.html"),
    train: ("train numpy_manual --epochs 50", "train pytorch_autograd --checkpoint run"),
    check: ("check examples/numpy_backward.py", "check mine.py:layer --watch"),
    sweep: ("sweep --seeds 1000 --hidden 2,4,8", "sweep --from sweeps/HASH"),
    notebooks: ("notebooks lessons", "notebooks lessons --reset 01:dW2"),
    progress: ("progress lessons", "progress class --json"),
}
for command, lines in EXAMPLES.items():
    shown = ", ".join(f"`handgrad {line}`" for line in lines)
    app.command(epilog=f"Examples: {shown}")(command)


STOPPED = 128 + signal.SIGINT, 128 + signal.SIGTERM
CLOSED = 141  # 128 + SIGPIPE, which Windows has not


@app.callback()
def about(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", is_eager=True)
    ] = False,
) -> None:
    """Backpropagation you can prove: four implementations of one tiny network, trained on the same
    data and shown equal, number by number.
    """
    if version:
        print(f"handgrad {__version__}")
        raise typer.Exit


def main() -> NoReturn:
    """Run the command. Its exit codes are in README; what goes wrong is told in one line."""
    _streams()
    with signals():
        code = _code()
    with suppress(OSError, ValueError):
        sys.stdout.flush()
    if code in STOPPED:  # threads may be at work, and Python would wait for them
        os._exit(code)
    sys.exit(code)


def _code() -> int:
    try:
        with needed_for("this command"):
            code = app(args=sys.argv[1:] or ["--help"], standalone_mode=False)
        sys.stdout.flush()  # a pipe may be closed
        return int(code)
    except Stopped as stop:
        _say(f"interrupted; {stop.kept}" if stop.kept else "interrupted")
        return 128 + stop.number
    except (BrokenPipeError, SystemExit) as error:  # as under `| head -1`: nobody reads on
        if not isinstance(error.__context__ or error, BrokenPipeError):  # typer exits with 1
            raise
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115
        return CLOSED
    except (BadInput, typer.TyperException) as error:
        _say(error.format_message() if isinstance(error, typer.TyperException) else str(error))
    except (MemoryError, OSError) as error:
        _say(str(error) or "out of memory: take fewer units, samples or epochs")
    return 2


def _say(text: str) -> None:
    print(f"handgrad: {' '.join(text.split())}", file=sys.stderr)


def _streams() -> None:
    """A terminal that has no ✗ shows ?; a closed stream takes all and keeps nothing."""
    for number in range(3):  # else a file, or a pipe to another process, would get its number
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115
        elif isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")
    sys.stderr = cast(TextIO, _Heedless(sys.stderr))


class _Heedless:
    """A stream whose device may be full: what is said on the way must not end the work."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        with suppress(OSError):
            self._stream.write(text)
            self._stream.flush()
        return len(text)

    def flush(self) -> None:
        with suppress(OSError):
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
