"""How far a learner has come: right, wrong, empty; and what must not stop the one who looks."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import build
import nbformat
import psutil
import pytest
from test_cli import handgrad
from test_exercises import sources

from handgrad.errors import BadInput
from handgrad.notebooks import copy_notebooks
from handgrad.progress import (
    EMPTY,
    NOT_REACHED,
    RIGHT,
    WRONG,
    Limits,
    _taken,
    learners,
    progress,
)

FILE = "01_numpy_manual.ipynb"


def written(folder: Path, **answers: str) -> Path:
    """The first exercise in the folder, with these blanks filled in."""
    if not (folder / "exercises").exists():
        copy_notebooks(folder)
    file = folder / "exercises" / FILE
    notebook = nbformat.read(file, 4)
    for cell in notebook.cells:
        cell.source = answers.get(cell.metadata.get("exercise", ""), cell.source)
    file.write_text(nbformat.writes(notebook))
    for other in (folder / "exercises").glob("0[2-9]*"):
        other.unlink()
    return file


WRONG_SLOPE = "def relu_derivative(a):\n    return a >= 0"


def states(folder: Path, **limits: float) -> dict[str, tuple[str, str]]:
    found = progress(folder, Limits(**limits)).answers  # type: ignore[arg-type]
    return {a.blank: (a.state, a.said) for a in found}


@pytest.mark.slow
def test_right_wrong_and_empty_are_told_apart(tmp_path: Path) -> None:
    written(tmp_path, relu=sources("01")["relu"], relu_derivative=WRONG_SLOPE)
    done = handgrad("progress", tmp_path, "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (learner,) = json.loads(done.stdout)["learners"]
    by_name = {a["blank"]: a for a in learner["answers"]}
    assert by_name["relu"]["state"] == RIGHT
    assert by_name["relu_derivative"]["state"] == WRONG
    assert "At exactly 0" in by_name["relu_derivative"]["said"]
    assert by_name["backward"]["state"] == EMPTY
    assert learner["next"] == "01 relu_derivative"


@pytest.mark.slow
def test_a_class_has_a_row_for_each(tmp_path: Path) -> None:
    for name, slope in (("ada", sources("01")["relu_derivative"]), ("bob", WRONG_SLOPE)):
        written(tmp_path / name, relu=sources("01")["relu"], relu_derivative=slope)
    done = handgrad("progress", tmp_path, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    rows = [line.split("│")[1:-1] for line in done.stdout.splitlines() if "│" in line]
    assert [[cell.strip() for cell in row] for row in rows] == [
        ["ada", "2/14", "0", "01 forward"],
        ["bob", "1/14", "1", "01 relu_derivative"],
    ]


ACCIDENTS = {
    "a loop": ("while True: pass", "it runs longer than 15 s: does a loop never end?"),
    "an exit": ("import os; os._exit(0)", "it ends the kernel: is there an exit?"),
    "output": ("while True: print('x' * 1000)", "it prints more than 1,000,000 characters"),
    "memory": ("np.zeros(2**34 // 8) + 1", "MemoryError"),
    "processes": (
        "import subprocess; subprocess.Popen(['sleep', '77'])",
        "it starts processes of its own",
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", ACCIDENTS)
def test_an_accident_is_stopped_and_named(kind: str, tmp_path: Path) -> None:
    line, says = ACCIDENTS[kind]
    right = sources("01")
    forward = f"def forward(x, W1, b1, W2, b2):\n    {line}"
    written(tmp_path, relu=right["relu"], forward=forward, loss=right["loss"])
    found = states(tmp_path, seconds=15)
    assert found["relu"] == (RIGHT, "")
    assert found["forward"][0] == WRONG
    assert says in found["forward"][1]
    goes_on = kind == "memory"  # an exception like any other
    assert found["loss"][0] == (RIGHT if goes_on else NOT_REACHED)
    assert not [p for p in psutil.process_iter(["cmdline"]) if "77" in (p.info["cmdline"] or [])]


@pytest.mark.slow
def test_the_check_is_ours_whatever_stands_in_the_learners_file(tmp_path: Path) -> None:
    file = written(tmp_path, relu="def relu(a):\n    return a")
    notebook = nbformat.read(file, 4)
    for cell in notebook.cells:
        if cell.metadata.get("check") == "relu":
            cell.source = "print('relu ✓')"
        if "def check_exercise" in cell.source:
            cell.source = "def check_exercise(*_): print('✓')\n" * 2
    file.write_text(nbformat.writes(notebook))
    state, said = states(tmp_path)["relu"]
    assert (state, "Nothing was changed" in said) == (WRONG, True)


@pytest.mark.slow
def test_it_looks_again_when_a_file_is_saved(tmp_path: Path) -> None:
    written(tmp_path, relu="def relu(a):\n    return a")
    command = [sys.executable, "-m", "handgrad", "progress", str(tmp_path), "--watch", "--json"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as run:
        assert run.stderr is not None
        assert run.stdout is not None
        while "Watching" not in run.stderr.readline():
            assert run.poll() is None
        time.sleep(1)
        written(tmp_path, relu=sources("01")["relu"])
        text = ""
        while text.count('"learners"') < 2 or not text.endswith("}\n"):
            text += run.stdout.readline()
        os.kill(run.pid, signal.SIGINT)
        _, said = run.communicate(timeout=30)
    assert run.returncode == 130
    assert "interrupted; no longer watching" in said
    first, second = text.split('{\n  "learners"')[1:]
    assert ('"right"' in first, '"right"' in second) == (False, True)


def test_a_folder_without_exercises_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for folder in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(BadInput, match="must hold exercises, or learners' folders that do"):
            learners(folder)
    (tmp_path / "exercises").mkdir()
    (tmp_path / "exercises" / FILE).write_text("{}")
    copy_notebooks(tmp_path / "other")
    lesson = (tmp_path / "other" / FILE).read_text()  # it has no blanks
    (tmp_path / "other" / "exercises" / FILE).write_text(lesson)
    first, *_ = progress(tmp_path / "other").answers
    assert first.said == "it has lost the marks of its blanks: copy your lines into a new copy"
    (answer,) = progress(tmp_path).answers
    assert (answer.notebook, answer.state) == ("01", WRONG)
    assert "01_numpy_manual.ipynb must be a notebook, and is none" in answer.said
    with pytest.raises(BadInput, match="got a file: name its folder"):
        learners(tmp_path / "exercises" / FILE)


@pytest.mark.slow
def test_what_a_cell_itself_raises_is_told_and_a_missing_check_too(tmp_path: Path) -> None:
    file = written(tmp_path, relu="def relu(a)\n    return a", loss=sources("01")["loss"])
    notebook = nbformat.read(file, 4)
    notebook.cells = [c for c in notebook.cells if c.metadata.get("check") != "loss"]
    file.write_text(nbformat.writes(notebook))
    found = states(tmp_path)
    assert found["relu"][0] == WRONG
    assert "SyntaxError" in found["relu"][1]
    assert found["loss"] == (
        NOT_REACHED,
        "the cell that checks it is gone: take it from a new copy",
    )


@pytest.mark.slow
def test_programs_to_mend_are_right_where_nothing_was_to_be_mended(tmp_path: Path) -> None:
    copy_notebooks(tmp_path)
    file = tmp_path / "exercises" / "05_find_the_bug.ipynb"
    for other in (tmp_path / "exercises").glob("0[1-4]*"):
        other.unlink()
    notebook = nbformat.read(file, 4)
    for cell in notebook.cells:
        if cell.metadata.get("exercise") == "program 1":
            cell.source = cell.source.replace('"b1": dh1.sum', '"b1": da1.sum')
        if "def verdict(" in cell.source:
            cell.source = "def verdict(*_): print('✓')"  # ours is run all the same
    file.write_text(nbformat.writes(notebook))
    found = states(tmp_path)
    right = [int(name.split()[1]) for name, (state, _) in found.items() if state == RIGHT]
    assert right == [1, 2, 6, 11]
    assert {state for state, _ in found.values()} == {RIGHT, EMPTY}


@pytest.mark.slow
def test_all_of_it_filled_in_is_all_right(tmp_path: Path) -> None:
    """One pass of each exercise in a kernel, from its first cell to its last check."""
    copy_notebooks(tmp_path)
    mended = nbformat.read(build.NOTEBOOKS / "05_find_the_bug.ipynb", 4).cells
    programs = {f"program {c.source.split('(')[0][11:]}": c.source for c in mended}
    for file in sorted((tmp_path / "exercises").glob("*.ipynb")):
        right = sources(file.name[:2]) | programs
        notebook = nbformat.read(file, 4)
        for cell in notebook.cells:
            cell.source = right.get(cell.metadata.get("exercise", ""), cell.source)
            cell.source = cell.source.replace('guess = "?"', 'guess = "yes"')
        file.write_text(nbformat.writes(notebook))
    learner = progress(tmp_path)
    assert not [a for a in learner.answers if a.state != RIGHT]
    assert len(learner.answers) == 23 + 13
    assert learner.next == ""


def test_on_macos_what_is_only_mapped_is_not_counted() -> None:
    kernel = SimpleNamespace(rss=2**28, vms=2**39)
    assert _taken(kernel, "darwin") == 2**28
    assert _taken(kernel, "linux") == 2**39
