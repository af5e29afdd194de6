"""The program `handgrad`, also as `python -m handgrad`."""

import os
import signal
from typing import NoReturn


def main() -> NoReturn:
    """Run the command; Ctrl-C and SIGTERM end it in one line from the first instant."""

    def stop(number: int, _: object) -> NoReturn:
        os.write(2, b"handgrad: interrupted\n")
        os._exit(128 + number)

    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, stop)
    from handgrad.cli import main as run

    run()


if __name__ == "__main__":
    main()
