"""What one system has and another has not."""

import os

import pytest

posix = pytest.mark.skipif(
    os.name == "nt", reason="Windows has no such signals, streams, links or file modes"
)
