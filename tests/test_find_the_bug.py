"""Thirteen programs: the wrong ones are seen by name, the right ones and the mended copies pass."""

import re
from functools import cache
from typing import Any

import build
import inprocess
import nbformat
import pytest

NAME = "05_find_the_bug"
(LESSON,) = (lesson for lesson in build.lessons() if lesson.stem == NAME)

WRONG = {
    1: ["b1"],
    3: ["K"],
    4: ["E1", "E2"],
    5: ["W1", "b1"],
    7: ["W1", "b1", "W2", "b2"],
    8: ["b1", "W2"],
    9: ["W1", "b1"],
    10: ["W1", "b1", "W2", "b2"],
    12: ["W1", "b1", "W2", "b2"],
    13: ["W1", "b1", "W2", "b2"],
}
RIGHT = [2, 6, 11]


@cache
def cells(exercise: bool) -> list[Any]:
    folder = build.NOTEBOOKS / ("exercises" if exercise else "")
    made = nbformat.read(folder / f"{NAME}.ipynb", 4)
    return [c for c in made.cells if c.cell_type == "code"]


@cache
def solved() -> tuple[dict[str, Any], str]:
    """What is defined at the end of the solved form, and what it prints."""
    given: dict[str, Any] = {"__name__": "__main__"}
    return given, "".join(inprocess.run([c.source for c in cells(exercise=False)], given))


def test_the_solved_form_runs_and_every_guess_comes_true() -> None:
    _, said = solved()
    assert said.count("as you said") == 13
    assert "you said" not in said.replace("as you said", "")
    assert said.count("✓") == 13
    assert "Of ten wrong programs 9 reach 0.95 all the same." in said


def test_the_wrong_parameters_are_named_and_no_other() -> None:
    given, _ = solved()
    for k in range(1, 14):
        found = given[f"found_{k}"]
        wrong = [name for name, text in found.items() if text.startswith("wrong")]
        assert sorted(wrong) == sorted(WRONG.get(k, [])), k
    assert {name: given["found_8"][name] for name in ("W2", "b1")} == {
        "W2": "wrong: 2 times the slope",
        "b1": "wrong: 4 times the slope",
    }
    assert sorted([*WRONG, *RIGHT]) == list(range(1, 14))


@pytest.mark.slow
def test_the_exercise_stops_at_each_copy_that_has_a_mistake() -> None:
    given: dict[str, Any] = {"__name__": "__main__"}
    mended = {
        c.source.split("(")[0]: c.source for c in cells(exercise=False) if "def mended_" in c.source
    }
    checked = []
    for cell in cells(exercise=True):
        source = cell.source
        if 'guess = "?"' in source:
            with pytest.raises(inprocess.Failed, match='put "yes" or "no"'):
                inprocess.run([source], given)
            source = source.replace('"?"', '"yes"')
        if name := cell.metadata.get("check"):
            number = int(name.split()[1])
            if number in WRONG:
                with pytest.raises(inprocess.Failed, match=rf"{name} ✗ {WRONG[number][0]} wrong: "):
                    inprocess.run([source], given)
                inprocess.run([mended[f"def mended_{number}"]], given)
            checked.append(number)
        (printed,) = inprocess.run([source], given)
        assert ("✓" in printed) == bool(name)
    assert checked == list(range(1, 14))


def test_no_mended_line_stands_in_the_exercise() -> None:
    shown = "\n".join(c.source for c in cells(exercise=True))
    changes = re.findall(r"# mend \w+ as \w+: (.+)", LESSON.read_text())
    for change in " | ".join(changes).split(" | "):
        wrong, right = (part.replace("\\n", "\n") for part in change.split(" -> "))
        assert wrong in shown
        if right not in wrong and right.strip() not in ("return dW1", "da1.sum(axis=0)"):
            assert right not in shown, right
