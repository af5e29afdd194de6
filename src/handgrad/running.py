"""The test that is running, if pytest runs one: it gives its checks their seeds and options."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass
class RunningTest:
    """What pytest says of a test; seeds: of its checks so far that were given none.

    seed: of every check, where it was given on the command line; None to make one of the test's
    name and the check's number, so that a suite gives the same answer twice; "random" to leave it
    to the check.
    """

    name: str
    seed: int | str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    seeds: list[int] = field(default_factory=list)

    def next_seed(self) -> int | None:
        """The seed of the next check; None where it draws its own.

        >>> RunningTest("test_layer.py::test_affine").next_seed()
        2044454571
        """
        if not isinstance(self.seed, str | None):
            return self.seed
        if self.seed == "random":
            return None
        # Python's own hash differs from run to run.
        digest = hashlib.sha256(f"{self.name} {len(self.seeds)}".encode()).digest()
        return int.from_bytes(digest[:4], "big")


current: RunningTest | None = None
