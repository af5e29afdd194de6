"""A real browser for the tests of the page, and what is said where there is none."""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

ROOT = Path(__file__).parent.parent
EXPLORER = ROOT / "explorer"
NAMES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def missing(what: str) -> None:
    """Skip, and say what is missing; fail where HANDGRAD_NO_SKIP is set, as in `.ci/run`."""
    if os.environ.get("HANDGRAD_NO_SKIP"):
        pytest.fail(f"{what} is missing, and HANDGRAD_NO_SKIP is set")
    pytest.skip(f"{what} is not installed")


def node_modules() -> Path:
    """What `npm ci` installed; it is run where it was not."""
    if shutil.which("npm") is None:
        missing("Node's npm")
    found = EXPLORER / "node_modules"
    if not (found / ".package-lock.json").exists():
        import subprocess

        subprocess.run(["npm", "ci", "--silent"], cwd=EXPLORER, check=True)
    return found


@contextmanager
def chromium() -> Iterator[Browser]:
    """The system's browser, with a fresh profile."""
    path = next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        missing("Chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


class Opened:
    """A page that was opened, with what its console said and what it asked the network for."""

    def __init__(self, browser: Browser, path: Path, fragment: str = "", **options: Any) -> None:
        self.said: list[str] = []
        self.requests: list[str] = []
        options = {"viewport": {"width": 1100, "height": 900}} | options
        self.page: Page = browser.new_page(**options)
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(path.as_uri() + fragment)
        self.page.wait_for_selector("main[data-ready]:not([data-busy])")

    def settled(self) -> Page:
        """After all sections were drawn, and the address was written."""
        self.page.wait_for_selector("main:not([data-busy])")
        return self.page

    def numbers(self, selector: str) -> list[float]:
        """All digits of the numbers that the page shows there."""
        found = self.settled().locator(f"{selector} data")
        return [float(n) for n in found.evaluate_all("all => all.map(d => d.value)")]

    def text(self, selector: str) -> str:
        return " ".join(self.settled().locator(selector).first.inner_text().split())


def until(page: Page, condition: Callable[[], bool], seconds: float = 20) -> bool:
    """Whether it comes true in time: nothing is drawn at once on a machine that is busy."""
    for _ in range(int(20 * seconds)):
        if condition():
            return True
        page.wait_for_timeout(50)
    return False
