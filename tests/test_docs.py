"""The site that `make docs` builds: whole, linked, searchable from disk, and right on a phone."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag

import pytest
from browser import chromium
from filelock import FileLock
from playwright.sync_api import Browser

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
TUTORIAL = (DOCS / "check.md").read_text()


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built once, whatever the number of workers."""
    folder = tmp_path_factory.getbasetemp() / "site"
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent.parent / "site"  # which all workers of this run share
    with FileLock(f"{folder}.lock"):
        if not folder.exists():
            assert built(DOCS, folder) == ""
    return folder


def built(source: Path, folder: Path) -> str:
    """What the build complains of."""
    command = [sys.executable, "-m", "sphinx", "--keep-going", "--quiet", "-W"]
    done = subprocess.run(
        [*command, "-d", f"{folder}.doctrees", source, folder], capture_output=True, text=True
    )
    warnings = [line for line in done.stderr.splitlines() if re.search("WARNING|ERROR", line)]
    return "\n".join(warnings) if done.returncode else ""


class Anchors(HTMLParser):
    """A page's links, and what may be linked to on it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.names: set[str] = {""}
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        for key, value in attributes:
            if key == "id" and value:
                self.names.add(value)
            if key in ("href", "src") and value and not re.match(r"\w+:", value):
                self.links.append(value)


def broken_links(folder: Path) -> list[str]:
    """Links to a file or a place that is not there."""
    pages = {path: Anchors(path.read_text()) for path in folder.rglob("*.html")}
    found = []
    for path, page in pages.items():
        for link in page.links:
            name, place = urldefrag(link)
            target = (path.parent / unquote(name.split("?")[0])).resolve() if name else path
            there = target.exists()
            if there and target in pages:
                there = unquote(place) in pages[target].names
            if not there:
                found.append(f"{path.name}: {link}")
    return found


@pytest.mark.slow
def test_it_builds_without_a_warning_and_every_link_leads_somewhere(site: Path) -> None:
    assert len(list(site.rglob("*.html"))) > 25
    assert broken_links(site) == []


def test_a_broken_link_is_seen(tmp_path: Path) -> None:
    page = '<p id="a"><a href="#a">1</a><a href="#b">2</a><a href="no.html">3</a></p>'
    (tmp_path / "page.html").write_text(page)
    assert broken_links(tmp_path) == ["page.html: #b", "page.html: no.html"]


@pytest.mark.slow
def test_a_reference_to_nothing_stops_the_build(tmp_path: Path) -> None:
    source = tmp_path / "docs"
    source.mkdir()
    (source / "conf.py").write_text("extensions = ['myst_parser']")
    (source / "index.md").write_text("# A page\n\n[elsewhere](nowhere.md)\n")
    assert "nowhere.md" in built(source, tmp_path / "out")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as one:
        yield one


@pytest.mark.slow
@pytest.mark.parametrize(("width", "scheme"), [(390, "dark"), (1100, "light")])
def test_every_page_fits_asks_nothing_and_says_nothing(
    site: Path, browser: Browser, width: int, scheme: str
) -> None:
    said: list[str] = []
    requests: list[str] = []
    view = browser.new_context(
        viewport={"width": width, "height": 800},
        color_scheme="dark" if scheme == "dark" else "light",
    )
    page = view.new_page()
    page.on("console", lambda message: said.append(f"{page.url}: {message.text}"))
    page.on("request", lambda request: requests.append(request.url))
    for path in sorted(site.rglob("*.html")):
        if "_modules" in path.parts or "_static" in path.parts:
            continue
        page.goto(path.as_uri())
        wide = page.evaluate("document.documentElement.scrollWidth")
        assert wide <= width, path
        background = page.evaluate("getComputedStyle(document.body).backgroundColor")
        brightness = sum(map(float, re.findall(r"[\d.]+", background)[:3]))
        assert (brightness < 384) == (scheme == "dark"), (path, background)
    assert [r for r in requests if not r.startswith(("file:", "data:"))] == []
    assert said == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "page"),
    [("kinks", "gradcheck"), ("agreement", "python"), ("Schwartz", "proof"), ("zzqx", None)],
)
def test_search_works_from_disk(site: Path, browser: Browser, words: str, page: str | None) -> None:
    found = browser.new_page()
    found.goto(f"{(site / 'search.html').as_uri()}?q={words}")
    found.wait_for_function(
        "/found|match/.test(document.querySelector('#search-results').innerText)"
    )
    links = found.locator("#search-results li a").evaluate_all("all => all.map(a => a.href)")
    assert any(f"/{page}.html" in link for link in links) == (page is not None)


@pytest.mark.slow
def test_the_embedded_page_is_alive(site: Path, browser: Browser) -> None:
    page = browser.new_page()
    page.goto((site / "explore.html").as_uri())
    frame = page.frame_locator("iframe.page")
    frame.locator("main[data-ready]").wait_for()
    assert "holds itself" in frame.locator("main").inner_text()


@pytest.mark.slow
def test_folded_cells_are_folded_on_the_site_too(site: Path) -> None:
    text = (site / "notebooks" / "01_numpy_manual.html").read_text()
    assert text.count("The versions, and the names that type hints use</span>") == 1


def test_the_tutorial_of_the_checker_says_what_happens(tmp_path: Path) -> None:
    layer, mended, test = re.findall(r"```python\n(.*?)```", TUTORIAL, re.DOTALL)
    failing, passing = re.findall(r"```text\n(.*?)```", TUTORIAL, re.DOTALL)
    for code, shown in ((layer, failing), (layer + mended, passing)):
        (tmp_path / "mine.py").write_text(code)
        done = run(tmp_path, "-m", "handgrad", "check", "mine.py", "--seed", "1")
        assert done.returncode == (code is layer)
        printed = [digits(line) for line in done.stdout.splitlines()]
        assert all(digits(line) in printed for line in shown.splitlines()), done.stdout
    (tmp_path / "test_mine.py").write_text(test)
    assert run(tmp_path, "-m", "pytest", "-q", "test_mine.py").returncode == 0


def digits(line: str) -> str:
    """Without what another processor rounds otherwise."""
    return re.sub(r"\d\.\de-1\d", "#", line)


def run(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *command], cwd=folder, capture_output=True, text=True)
