"""The changes that the tests are held to, and the list of those that alter nothing."""

import sys
import tomllib
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent.parent / "benchmarks"))
import mutants

ROOT = mutants.ROOT
SURVIVORS = tomllib.loads(mutants.SURVIVORS.read_text())["survivor"]


def test_each_has_a_reason_and_its_line_still_stands() -> None:
    for one in SURVIVORS:
        before, _, after = one["change"].partition(" → ")
        lines = map(str.strip, (ROOT / one["path"]).read_text().splitlines())
        assert before in lines, f"no longer there, take it out of the list: {one}"
        assert before != after, one
        assert len(one["why"]) > 20, one
    names = [(one["path"], one["change"]) for one in SURVIVORS]
    assert len(names) == len(set(names))


def test_a_change_is_python_and_types_are_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.py").write_text(
        "def f(x: int | None, *, n: int = 2) -> int | None:\n    return x if x is None else x + n\n"
    )
    monkeypatch.setattr(mutants, "ROOT", tmp_path)
    monkeypatch.setattr(mutants, "SOURCES", ("*.py",))
    (one,) = mutants.draw(9, seed=1)
    assert (one.line, one.before) == (2, "return x if x is None else x + n")
    assert one.after != one.before
    compile(mutants.changed(tmp_path / "a.py", one.operator, one.occurrence), "a.py", "exec")
    assert mutants.draw(9, seed=1) == [one]
    text = (tmp_path / "a.py").read_text()
    (tmp_path / "a.py").write_text("import os\n\nNAME = os.name\n\n\n" + text)
    moved = [m for m in mutants.draw(9, seed=1) if m.before == one.before]
    assert [m.after for m in moved] == [one.after], "drawn by its text, wherever it stands"
