"""What handgrad adds to pytest: seeds that a suite can repeat, and `@pytest.mark.gradcheck`.

It is loaded wherever handgrad is installed, and imports nothing until a check runs.
"""

from collections.abc import Iterator
from typing import Any

import pytest

from handgrad import running

SEEDS = pytest.StashKey[list[int]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--gradcheck-seed`."""
    parser.getgroup("handgrad").addoption(
        "--gradcheck-seed",
        metavar="SEED",
        help="the seed of every gradient check, as a failing one printed it; 'random' draws "
        "afresh. Left out, each check has one made of the test's name: a suite gives the same "
        "answer twice",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Looks at the seed before any test runs."""
    config.addinivalue_line(
        "markers",
        "gradcheck(points=…, rtol=…, …): options of handgrad.assert_gradients in this test",
    )
    _seed(config)


def _seed(config: pytest.Config) -> int | str | None:
    given = config.getoption("--gradcheck-seed")
    if given is None or given == "random":
        return given
    if not given.isdigit():
        raise pytest.UsageError(f"--gradcheck-seed must be a whole number or random, got {given!r}")
    return int(given)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """Tells the checks of this test who they are."""
    options: dict[str, Any] = {}
    for mark in item.iter_markers("gradcheck"):
        options = {**mark.kwargs, **options}  # the closest one first
    running.current = running.RunningTest(item.nodeid, _seed(item.config), options)
    try:
        yield
    finally:
        item.stash[SEEDS] = running.current.seeds
        running.current = None


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Below a failing test: the seeds of its checks."""
    outcome: Any = yield
    report, seeds = outcome.get_result(), item.stash.get(SEEDS, [])
    if report.when == "call" and report.failed and seeds:
        text = (
            f"seeds {', '.join(map(str, seeds))}; to repeat the last: --gradcheck-seed={seeds[-1]}"
        )
        report.sections.append(("gradient checks", text))
