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

    before = {n: signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)}
    mine = [n for n, handler in before.items() if handler is not signal.SIG_IGN]
    for number in mine:
        signal.signal(number, stop)
    from handgrad.cli import main as run

    run()
    sys.exit()


if __name__ == "__main__":
    main()
