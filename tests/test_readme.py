"""What the README and the pages show is what the program prints; their `>>>` run as doctests."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import build as lessons
import nbformat
import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
PAGES = {path.name: path.read_text() for path in (ROOT / "docs").glob("*.md")}
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text()
TEXT = "\n".join([README, CONTRIBUTING, *PAGES.values()])
VERIFY, SWEEP, LESSONS = (PAGES[f"{name}.md"] for name in ("verify", "sweep", "lessons"))
ROUND_OFF = re.compile(r"\b\d\.\de-1\d\b")


def table(text: str) -> list[list[str]]:
    """The rows of the printed table, without the frame."""
    lines = (line for line in text.splitlines() if line.startswith("│"))
    return [[cell.strip() for cell in line.strip("│").split("│")] for line in lines]


@pytest.mark.slow
def test_verify_prints_what_its_page_shows(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "handgrad", "verify"],
        cwd=tmp_path,
        env=os.environ | {"COLUMNS": "80"},
        capture_output=True,
        text=True,
        check=True,
    )
    printed, shown = table(done.stdout), table(VERIFY)
    assert len(printed) == len(shown) == 16
    assert printed[-3:-1] != shown[-3:-1]  # times differ
    (proof,) = re.findall(r"^numpy_manual at .+?\n.+?$", VERIFY, re.MULTILINE)
    assert " ".join(proof.split()) in " ".join(done.stdout.split())
    for one, other in zip(printed[:-2], shown[:-2], strict=True):
        assert one[0] == other[0]
        assert one[-1] == other[-1]  # the bound
        for cell, there in zip(one[1:-1], other[1:-1], strict=True):
            if not ROUND_OFF.fullmatch(cell):  # another processor rounds otherwise
                assert cell == there or ROUND_OFF.fullmatch(there)


@pytest.mark.slow
def test_the_sweep_prints_what_its_page_shows(tmp_path: Path) -> None:
    (command,) = re.findall(r"^handgrad (sweep --seeds 1000 .*)$", SWEEP, re.MULTILINE)
    done = subprocess.run(
        [sys.executable, "-m", "handgrad", *command.split()],
        cwd=tmp_path,
        env=os.environ | {"COLUMNS": "80"},
        capture_output=True,
        text=True,
        check=True,
    )

    def rows(text: str) -> list[list[str]]:
        return [line.split() for line in text.splitlines() if re.match(r" +(he|normal:\S+) ", line)]

    printed, shown = rows(done.stdout), rows(SWEEP)
    assert len(printed) == len(shown) == 8
    for one, other in zip(printed, shown, strict=True):
        assert one[0] == other[0]
        # Another processor rounds otherwise, and a few trainings in a thousand end elsewhere.
        assert [float(v) for v in one[1:]] == pytest.approx(list(map(float, other[1:])), abs=0.01)


def test_what_make_does_is_named() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"`make (\w+)|^make (\w+)", README + CONTRIBUTING, re.MULTILINE):
        target = "".join(target)
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
    install = "pip install -c constraints.txt -e '.[dev]'"
    assert install in README
    assert re.sub(r"\$\(if .*?\)\) ", "", makefile.replace("--quiet ", "")).count(install) == 1


@pytest.mark.parametrize(
    "path", sorted(set(re.findall(r"`((?:src|benchmarks|lessons|examples|tests)/[^` {]*)`", TEXT)))
)
def test_every_place_that_a_text_names_is_there(path: str) -> None:
    assert (ROOT / path).exists()


@pytest.mark.parametrize("path", re.findall(r"(?:\]\(|src=\")([^)#:\"]+)[)\"]", README))
def test_every_link_leads_somewhere(path: str) -> None:
    assert (ROOT / path).exists()


def test_the_gallery_shows_every_figure_with_its_caption() -> None:
    for lesson in lessons.lessons():
        notebook = nbformat.read(lessons.NOTEBOOKS / f"{lesson.stem}.ipynb", 4)
        for number, (caption, png) in enumerate(lessons.figures(notebook), 1):
            file = lessons.GALLERY / f"{lesson.stem}-{number}.png"
            assert file.read_bytes() == png, "run `make notebooks`"
            (row,) = (line for line in LESSONS.splitlines() if file.name in line)
            assert row.endswith(f"{caption} |")


def test_the_house_is_drawn_as_it_is_checked() -> None:
    """Each floor's line begins with the modules of the contract's line."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    contracts = project["tool"]["importlinter"]["contracts"]
    floors = [floor for c in contracts if c["type"] == "layers" for floor in c["layers"]]
    drawn = [line for line in CONTRIBUTING.splitlines() if re.match(r"\w+(   \w+)*(    |$)", line)]
    named = [[part.strip().rpartition(".")[2] for part in re.split("[:|]", f)] for f in floors]
    assert [re.split(" {4,}", line)[0].split() for line in drawn] == named
