"""The program `handgrad`, also as `python -m handgrad`."""

import os
import signal
import sys
from typing import NoReturn


def main() -> NoReturn:
    """Run the command; Ctrl-C and SIGTERM end it in one line from the first instant."""

    def stop(number: int, _: object) -> NoReturn:
        os.write(2, b"handgrad: interrupted\n")
        os._exit(128 + number)

    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, stop)
    if sys.argv[1:2] != ["check"]:  # whose file may want a window
        os.environ["MPLBACKEND"] = "agg"  # a notebook's may not be installed here
    from handgrad.extras import Missing, needed_for

    try:
        with needed_for("the command handgrad"):
            from handgrad.cli import main as run
    except Missing as missing:
        print(f"handgrad: {missing}", file=sys.stderr)
        sys.exit(2)

    run()


if __name__ == "__main__":
    main()
