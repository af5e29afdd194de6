"""What one system has and another has not, and how a command is started that Ctrl-C shall stop."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

posix = pytest.mark.skipif(
    os.name == "nt", reason="Windows has no such signals, streams, links or file modes"
)


@contextmanager
def ctrl_c_on() -> Iterator[None]:
    """What is started here does not ignore Ctrl-C, though whoever started the tests may.

    A process passes on that a signal is ignored, and nothing else of it. A `preexec_fn` would fork,
    of which JAX warns wherever a test has used it before.
    """
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
