"""`--watch`: again at each save, until Ctrl-C."""

from collections.abc import Callable
from pathlib import Path

from handgrad.cli.bars import console_on, look, say, stopped
from handgrad.extras import needed_for


def at_each_save(folder: Path, wanted: Callable[[str], bool], again: Callable[[], object]) -> None:
    """Call it whenever a file in the folder is saved whose path is wanted."""
    with needed_for("--watch"):
        from watchfiles import watch
    with stopped("no longer watching"):
        try:
            for _ in watch(folder, watch_filter=lambda _, path: wanted(path)):
                again()
        except KeyboardInterrupt:  # watchfiles makes one of every signal
            look()
            raise


def say_watching(what: object) -> None:
    """On standard error: the report is on the other."""
    say(console_on(stderr=True), f"Watching {what}; Ctrl-C ends it")
