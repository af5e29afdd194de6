"""What `verify` and `explore` say of a verification, and exit with."""

from typing import TYPE_CHECKING

from handgrad.cli.bars import say, say_if_diverged

if TYPE_CHECKING:
    from rich.console import Console

    from handgrad.verification import Verification


def say_failures(console: "Console", verification: "Verification") -> None:
    """What does not hold, and which runs diverged."""
    for failure in verification.failures:
        say(console, failure.message, style="red")
    for run in verification.runs.values():
        say_if_diverged(run, console)


def say_left_out(console: "Console", verification: "Verification") -> None:
    """The stages whose package is not installed, and what installs it."""
    if verification.left_out:
        names, (why, *_) = ", ".join(verification.left_out), verification.left_out.values()
        say(console, f"Left out: {names}; {why}")


def exit_code(verification: "Verification") -> int:
    """0 it holds; 3 nothing can be decided; 1 not equal."""
    from handgrad.verification import EQUAL, UNDECIDED

    return {EQUAL: 0, UNDECIDED: 3}.get(verification.verdict, 1)
