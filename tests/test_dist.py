"""What a user installs, and what a type checker sees of it."""

import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import archives
import pytest

ROOT = archives.ROOT
USE = Path(__file__).with_name("typed_use.py")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return archives.build(tmp_path_factory.mktemp("dist"))


@pytest.mark.slow
def test_both_archives_are_the_same_twice_and_have_what_they_should(
    built: list[Path], tmp_path: Path
) -> None:
    again = archives.build(tmp_path)
    assert list(map(archives.digest, built)) == list(map(archives.digest, again))
    wheel, sdist = built
    assert archives.strange_in_wheel(wheel, archives.tracked()) == set()
    assert archives.strange_in_sdist(sdist, archives.tracked()) == set()


@pytest.mark.slow
def test_a_file_too_many_and_one_too_few_are_seen(built: list[Path], tmp_path: Path) -> None:
    wheel, sdist = built
    files = archives.tracked()
    missing = files - {"src/handgrad/py.typed"} | {"src/handgrad/new.py"}
    assert archives.strange_in_wheel(wheel, missing) == {"handgrad/py.typed", "handgrad/new.py"}
    assert archives.strange_in_sdist(sdist, missing) == {
        "src/handgrad/py.typed",
        "src/handgrad/new.py",
    }


@pytest.mark.slow
def test_they_carry_the_license_the_types_and_the_notebooks(built: list[Path]) -> None:
    wheel, sdist = built
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        metadata = archive.read(next(n for n in names if n.endswith("/METADATA"))).decode()
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert {"handgrad/py.typed", "handgrad/explore/page.js"} <= set(names)
    assert "handgrad/notebooks/exercises/05_find_the_bug.ipynb" in names
    assert "License-Expression: Apache-2.0" in metadata
    with tarfile.open(sdist) as source:
        assert any(name.endswith("/constraints.txt") for name in source.getnames())


def test_every_extra_is_tried() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = set(project["optional-dependencies"]) - {"dev", "docs", "lessons"}
    assert extras == set(archives.RUNS) - {""}


WRONG = "# pyright: strict\nfrom handgrad import Config\n\nprint(Config(hidden='many').nothing)\n"


@pytest.mark.slow
@pytest.mark.parametrize(
    "checker",
    [["mypy", "--strict", "--config-file="], ["pyright", "--pythonpath", sys.executable]],
    ids=["mypy", "pyright"],
)
def test_the_public_api_is_typed_strictly_from_outside(checker: list[str], tmp_path: Path) -> None:
    (tmp_path / "use.py").write_text(USE.read_text())
    (tmp_path / "wrong.py").write_text(WRONG)
    done = subprocess.run(
        [sys.executable, "-m", *checker, "use.py", "wrong.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    said = [line for line in done.stdout.splitlines() if "error" in line and ".py:" in line]
    assert done.returncode == 1, done.stdout + done.stderr
    assert all("wrong.py:4" in line for line in said), done.stdout
    assert all(word in done.stdout for word in ('"hidden"', '"nothing"')), done.stdout


def test_every_public_name_is_used_there() -> None:
    import handgrad

    text = USE.read_text()
    assert [name for name in handgrad.__all__ if name not in text] == []
