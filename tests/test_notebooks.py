"""The notebooks: made from the package, running alone, printing what they show."""

import ast
import copy
import json
import math
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import build as lessons
import nbformat
import numpy as np
import pytest
from filelock import FileLock
from inprocess import code
from nbclient import NotebookClient

from handgrad import BadInput, make_problem
from handgrad.lesson import check, check_run, outcome, require, trained_well
from handgrad.notebooks import copy_notebooks, notebooks, reset_blank

ROOT = Path(__file__).parent.parent
ALL = lessons.lessons()
LESSONS = [lesson for lesson in ALL if lesson.stem != "05_find_the_bug"]  # whose bugs differ
NAMES = [lesson.stem for lesson in LESSONS]
EACH = pytest.mark.parametrize("name", NAMES)


@cache
def committed(name: str) -> Any:
    return nbformat.read(ROOT / "notebooks" / f"{name}.ipynb", 4)


# Made from the package


@pytest.mark.parametrize("lesson", ALL, ids=lambda lesson: lesson.stem)
def test_the_committed_notebooks_are_what_the_builder_makes(lesson: Path) -> None:
    made, there = lessons.build(lesson), committed(lesson.stem)
    assert [(c.id, c.cell_type, c.source, c.metadata) for c in made.cells] == [
        (c.id, c.cell_type, c.source, c.metadata) for c in there.cells
    ], "run `make notebooks`"
    assert all(c.execution_count for c in there.cells if c.cell_type == "code")
    assert nbformat.writes(lessons.build(lesson)) == nbformat.writes(made)


def test_a_change_in_the_package_without_rebuilding_is_seen(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    right = lessons.source_of
    monkeypatch.setattr(
        lessons, "source_of", lambda m: right(m).replace("dh1 = df @ W2", "dh1 = W2 * df")
    )
    for lesson in LESSONS:
        assert code(lessons.build(lesson)) != code(committed(lesson.stem))


def test_outputs_are_kept_only_where_no_code_changed() -> None:
    stored = committed(NAMES[0])
    made = lessons.build(LESSONS[0])
    assert lessons.keep_outputs(made, stored)
    assert [c.get("outputs") for c in made.cells] == [c.get("outputs") for c in stored.cells]
    changed = lessons.build(LESSONS[0])
    last = next(cell for cell in reversed(changed.cells) if cell.cell_type == "code")
    last.source += "\nprint(1)"
    assert not lessons.keep_outputs(changed, stored)


def test_no_badge_is_printed_while_the_repository_has_no_address(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert lessons.repository() == ""
    assert "colab" not in lessons.build(LESSONS[0]).cells[0].source.lower()
    monkeypatch.setattr(lessons, "repository", lambda: "https://github.com/someone/handgrad")
    assert (
        lessons.build(LESSONS[0])
        .cells[0]
        .source.startswith(
            "[Open in Colab](https://colab.research.google.com/github/someone/handgrad/blob/main/"
            "notebooks/01_numpy_manual.ipynb)\n\n# 1"
        )
    )


def test_an_include_of_nothing_is_told() -> None:
    with pytest.raises(SystemExit, match="numpy_manual must define nothing, but does not"):
        lessons.paste("# include numpy_manual: nothing")


def test_the_links_of_the_first_notebook_are_the_body_of_backward_in_order() -> None:
    first, *links = lessons.assignments("numpy_manual", "backward").values()
    assert first.startswith("a1, h1, f = forward(x, W1, b1, W2, b2)")
    pasted = re.findall(r"^# line numpy_manual.backward: (.+)$", LESSONS[0].read_text(), re.M)
    assert pasted == ["df", "dW2", "db2", "dh1", "da1", "dW1", "db1"]
    cells = [cell.splitlines()[0] for cell in code(committed(NAMES[0]))]
    assert [cell for cell in cells if cell in links] == links
    body = lessons.definition("numpy_manual", "backward").split('"""')[2].strip().splitlines()
    assert [line.strip() for line in body] == [first, *links, "return dW1, db1, dW2, db2"]


def test_renamed_source_gives_equal_results() -> None:
    names = ("relu", "relu_derivative", "forward", "loss", "backward", "sgd")
    renamed = ", ".join(f"{name} as numpy_{name}" for name in names)
    given: dict[str, Any] = {"np": np, "Iterator": Iterator}
    values = "# include numpy_manual: Array, Four"
    exec(lessons.paste(f"{values}\n# include numpy_manual: {renamed}"), given)
    from handgrad.stages import numpy_manual as stage

    p = make_problem()
    arguments = (p.x_train, p.y_train, *p.params)
    for one, other in zip(
        given["numpy_backward"](*arguments), stage.backward(*arguments), strict=True
    ):
        assert np.array_equal(one, other)
    runs = [
        list(sgd(p.params, p.x_train, p.y_train, np.asarray(p.order)[:2], 32, 0.1))[-1]
        for sgd in (given["numpy_sgd"], stage.sgd)
    ]
    assert all(map(np.array_equal, *runs))
    assert "forward" not in given


def test_renaming_leaves_attributes_strings_and_methods_alone() -> None:
    source = 'def f(f):\n    """f."""\n    é = "f"; return f(x.f, é)  # f'
    assert lessons.rename(source, {"f": "g"}) == (
        'def g(f):\n    """f."""\n    é = "f"; return g(x.f, é)  # f'
    )


@EACH
def test_every_notebook_is_on_the_ladders_problem(name: str) -> None:
    given: dict[str, Any] = {"np": np}
    for source in code(committed(name)):
        if re.search(r"^(Array = |SEED, HIDDEN)", source, re.MULTILINE):
            exec(source.partition("\n\ndrawn")[0], given)
    problem = make_problem()
    for key in ("x_train", "y_train", "x_val", "y_val", "order"):
        assert np.array_equal(given[key], getattr(problem, key))
    assert all(map(np.array_equal, given["params"], problem.params))


# What is in them


@EACH
def test_a_notebook_imports_only_what_colab_has(name: str) -> None:
    allowed = {"numpy", "matplotlib"} | ({"torch"} if name != NAMES[0] else set())
    for source in code(committed(name)):
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.Import | ast.ImportFrom):
                module = getattr(node, "module", None) or node.names[0].name
                assert module.partition(".")[0] in allowed | sys.stdlib_module_names
        assert not re.search(r"^[%!]|google.colab|https?:", source, re.M)


@EACH
def test_every_figure_has_axes_with_names_and_a_caption(name: str) -> None:
    shown = [source for source in code(committed(name)) if "plt.show()" in source]
    assert shown
    for source in shown:
        assert re.search(r'caption\(\s*figure,\s*"[^"]+[.?]",?\s*\)', source)
        assert re.search(r"xlabel=|draw_(plane|apart|chain)\(", source)


@EACH
def test_a_notebook_begins_with_what_is_new_and_ends_with_what_is_proven(name: str) -> None:
    prose = [c.source for c in committed(name).cells if c.cell_type == "markdown"]
    assert "New here:" in prose[0] or name == NAMES[0]
    assert "## What has been proven" in prose[-1]
    assert "## Try" in prose[-1]


@EACH
def test_every_figure_has_its_caption_as_alternative_text(name: str) -> None:
    for cell in committed(name).cells:
        for output in cell.get("outputs", []):
            if "image/png" in output.get("data", {}):
                assert output.metadata["image/png"]["alt"] == lessons.caption_of(cell)


@EACH
def test_links_between_the_notebooks_lead_somewhere(name: str) -> None:
    prose = "".join(c.source for c in committed(name).cells if c.cell_type == "markdown")
    links = re.findall(r"\]\(([^)]+)\)", prose)
    assert links
    for link in links:
        assert (ROOT / "notebooks" / link).exists(), link


# Printed text is what the code prints

NUMBER = r"[-+]?(?:\d+\.\d*|\.\d+|\d+)(?:e[-+]?\d+)?"
ROUND_OFF = re.compile(rf"({NUMBER}) ≤ ({NUMBER})")


def differs(one: str, other: str) -> str | None:
    """Why two printed texts are not the same, None if they are.

    Numbers may differ by 1e-6 of their size; what stands before a ≤ is rounding, and is held to
    the bound after it instead.
    """
    for text in (one, other):
        for measured, bound in ROUND_OFF.findall(text):
            if float(measured) > float(bound):
                return f"{measured} is above its bound {bound}"
    one, other = (ROUND_OFF.sub(r"≤ \2", text) for text in (one, other))
    words, others = (re.split(f"({NUMBER})", " ".join(text.split())) for text in (one, other))
    if len(words) != len(others):
        return f"{one!r} is not {other!r}"
    for word, there in zip(words, others, strict=True):
        number = re.fullmatch(NUMBER, word) and re.fullmatch(NUMBER, there)
        if word != there and not (
            number and math.isclose(float(word), float(there), rel_tol=1e-6, abs_tol=1e-12)
        ):
            return f"{word!r} is not {there!r}"
    return None


def printed(cell: Any) -> str:
    return "".join(o.text for o in cell.get("outputs", []) if o.output_type == "stream")


def test_the_comparison_of_texts_can_fail() -> None:
    assert differs("loss 0.028414", "loss 0.028414") is None
    assert differs("loss 0.1234567", "loss 0.12345671") is None
    assert differs("loss 0.028414", "loss 0.028415") is not None
    assert differs("W1 is right", "W1 is wrong") is not None
    assert differs("dW1: 2.2e-16 ≤ 2.0e-14", "dW1: 7.1e-15 ≤ 2.0e-14") is None
    assert differs("dW1: 2.2e-16 ≤ 2.0e-14", "dW1: 7.1e-13 ≤ 2.0e-14") is not None
    assert differs("dW1: 2.2e-16 ≤ 2.0e-14", "dW1: 2.2e-16 ≤ 2.0e-12") is not None
    assert differs("[ 1.5  2.5]", "[1.5 2.5 3.5]") is not None


# Each runs alone

KERNELS = {
    "newest": ["-c", str(ROOT / "constraints.txt"), "numpy", "matplotlib", "torch", "ipykernel"],
    # Colab's versions of 2026-08, but for Python 3.13 and torch 2.11, which are taken as they are.
    "colab": [
        *("numpy==2.1.3", "matplotlib==3.10.0", "ipython==7.34.0", "ipykernel==6.17.1"),
        *("traitlets==5.7.1", "jupyter-client==7.4.9", "torch==2.13.0"),
    ],
}
OFFLINE = """
import socket
def _connect(self, address, _connect=socket.socket.connect):
    if self.family in (socket.AF_INET, socket.AF_INET6) and address[0] not in ("127.0.0.1", "::1"):
        raise OSError(f"no network here: {address}")
    return _connect(self, address)
socket.socket.connect = _connect
"""


@pytest.fixture(params=KERNELS)
def kernel(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a kernel in an environment of its own, made once, that reaches no network."""
    wanted = KERNELS[request.param]
    stamp = sha256(repr((wanted, OFFLINE, (ROOT / "constraints.txt").read_text())).encode())
    home = ROOT / ".venv" / f"notebooks-{request.param}-{stamp.hexdigest()[:8]}"
    with FileLock(f"{home}.lock"):  # another worker may be making it
        if not (home / "ready").exists():
            make_environment(home, wanted, request.param)
    monkeypatch.setenv("JUPYTER_PATH", str(home / "share" / "jupyter"))
    monkeypatch.setenv("PYTHONNOUSERSITE", "1")
    monkeypatch.delenv("PYTHONPATH", raising=False)
    return str(request.param)


def make_environment(home: Path, wanted: list[str], kernel: str) -> None:
    python = str(home / "bin" / "python")
    subprocess.run([sys.executable, "-m", "venv", "--clear", str(home)], check=True)
    install = [python, "-m", "pip", "install", "--quiet", "--no-compile", *wanted]
    subprocess.run(install, check=True)
    (next(home.glob("lib/python*/site-packages")) / "sitecustomize.py").write_text(OFFLINE)
    folder = home / "share" / "jupyter" / "kernels" / kernel
    folder.mkdir(parents=True)
    arguments = [python, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    spec = {"argv": arguments, "display_name": "alone", "language": "python"}
    (folder / "kernel.json").write_text(json.dumps(spec))
    (home / "ready").touch()


def run_alone(notebook: Any, kernel: str, folder: Path) -> Any:
    notebook = copy.deepcopy(notebook)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    resources = {"metadata": {"path": str(folder)}}
    NotebookClient(
        notebook, timeout=300, kernel_name=kernel, coalesce_streams=True, resources=resources
    ).execute()
    return notebook


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
@EACH
def test_a_notebook_runs_alone_and_prints_what_it_shows(
    name: str, kernel: str, tmp_path: Path
) -> None:
    shown = committed(name)
    again = run_alone(shown, kernel, tmp_path)
    assert list(tmp_path.iterdir()) == []
    for cell, there in zip(again.cells, shown.cells, strict=True):
        if "volatile" not in cell.metadata.get("tags", []):
            assert differs(printed(cell), printed(there)) is None, cell.source
        kinds = [[o.output_type for o in c.get("outputs", [])] for c in (cell, there)]
        assert kinds[0] == kinds[1], cell.source


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_the_kernels_are_alone_and_offline(kernel: str, tmp_path: Path) -> None:
    probe = (
        "import importlib.util as u, numpy, matplotlib, IPython, socket\n"
        "print([m for m in ('handgrad', 'jupytext', 'sklearn', 'pandas') if u.find_spec(m)])\n"
        "print(numpy.__version__, matplotlib.__version__, IPython.__version__)\n"
        "try:\n    socket.create_connection(('192.0.2.1', 80), timeout=1)\n"
        "except OSError as error:\n    print(error)\n"
    )
    cell = nbformat.v4.new_code_cell(probe)
    notebook = run_alone(nbformat.v4.new_notebook(cells=[cell]), kernel, tmp_path)
    none, versions, offline = printed(notebook.cells[0]).strip().split("\n")
    assert none == "[]"
    assert "no network here" in offline
    if kernel == "colab":
        assert versions == "2.1.3 3.10.0 7.34.0"


# The helpers that they paste


def test_check_prints_or_says_where(capsys: pytest.CaptureFixture[str]) -> None:
    check("dW1", np.array([[1.0, 2.0]]), [[1.0, 2.0 + 1e-15]], 2e-14)
    assert capsys.readouterr().out == "dW1: largest difference 8.9e-16 ≤ 2.0e-14 (float64)\n"
    with pytest.raises(AssertionError, match=r"dW1\[0, 1\] is 2, must be 3: 1.0e\+00 apart"):
        check("dW1", np.array([[1.0, 2.0]]), [[1.0, 3.0]], 2e-14)
    with pytest.raises(AssertionError, match=r"dW1 has shape \(2,\), must have \(1, 2\)"):
        check("dW1", np.zeros(2), np.zeros((1, 2)), 1)
    with pytest.raises(AssertionError, match="is nan"):
        check("dW1", np.array([np.nan]), [0.0], 1)
    with pytest.raises(AssertionError, match=r"the bound is 1.0e-05 \(float32\)"):
        check("dW1", np.ones(2, np.float32), np.zeros(2), 1e-5)
    assert capsys.readouterr().out == ""
    check("dW1", np.array([np.inf]), [np.nan], 1)
    assert "dW1: not decidable, what it must be is no longer finite" in capsys.readouterr().out


def test_check_run_names_the_first_update_that_differs(capsys: pytest.CaptureFixture[str]) -> None:
    expected = [np.ones((5, *shape)) for shape in ((2, 2), (2,), (1, 2), (1,))]
    run = [p.copy() for p in expected]
    run[1][4, 1] += 1e-13
    check_run("the run", run, expected, 1e-12)
    assert "the run: largest difference 1.0e-13 ≤ 1.0e-12 (float64)" in capsys.readouterr().out
    run[2][3, 0, 1] += 1  # the largest
    run[0][2, 1, 0] += 1e-9  # the first
    with pytest.raises(AssertionError, match=r"the run, update 3: W1\[1, 0\] is 1.0000000010"):
        check_run("the run", run, expected, 1e-12)
    run[0][1, 0, 0] = np.nan
    with pytest.raises(AssertionError, match=r"the run, update 2: W1\[0, 0\] is nan"):
        check_run("the run", run, expected, 1e-12)
    check_run("the run", run, expected, 1e-8)
    said = capsys.readouterr().out
    assert "the run: not decidable, rounding alone may carry two right runs 1.0e-08 apart" in said
    check_run("the run", run, expected, np.inf)
    assert "to infinity: training diverges (float64)" in capsys.readouterr().out


def test_an_outcome_is_told_and_raises_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    outcome("it rains", True, "The sun shines.")
    outcome("it rains", False, "The sun shines.")
    assert capsys.readouterr().out == "it rains: yes\nit rains: not in this run. The sun shines.\n"
    trained_well(0.992, np.ones((3, 2)))
    trained_well(0.75, np.array([[1.0, -1.0], [1.0, 0.0]]))
    trained_well(0.5, np.ones((3, 2)), finite=False)
    well, poor, diverged = capsys.readouterr().out.splitlines()
    assert well == "held-out accuracy 0.992, and so at least 0.93: yes"
    assert "1 of 2 units are off for every sample" in poor
    assert diverged.endswith("It diverges: try a smaller learning rate.")


def test_a_version_that_is_too_old_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    require(np, "2.0")
    assert "2.0 or newer is needed" in capsys.readouterr().out
    with pytest.raises(
        RuntimeError, match=r"numpy must be 99.1 or newer, but this is .*: run `pip"
    ):
        require(np, "99.1")


# Copies for a learner


def test_copies_never_overwrite_a_learners_work(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    copied, kept = copy_notebooks(folder)
    names = [f"{lesson.stem}.ipynb" for lesson in ALL]
    places = [*names, *(f"exercises/{name}" for name in names), "teachers_guide.md"]
    assert [p.relative_to(folder).as_posix() for p in copied] == places
    assert not kept
    assert copied[0].read_bytes() == notebooks()[places[0]].read_bytes()
    copy_notebooks(folder)  # unchanged: nothing to lose
    copied[1].write_text("my work")
    copied[2].unlink()
    with pytest.raises(BadInput, match=r"02_pytorch_no_autograd.ipynb would be overwritten"):
        copy_notebooks(folder)
    assert copied[1].read_text() == "my work"
    assert not copied[2].exists(), "nothing is written when something would be lost"
    copy_notebooks(folder, force=True)
    assert copied[1].read_bytes() == notebooks()[places[1]].read_bytes()


def test_an_answer_is_never_overwritten_and_one_blank_can_be_emptied(tmp_path: Path) -> None:
    copy_notebooks(tmp_path)
    file = tmp_path / "exercises" / "01_numpy_manual.ipynb"
    empty = nbformat.read(file, 4)
    begun = nbformat.read(file, 4)
    answers = {"dW2": "def find_dW2(df, h1):\n    return df.T @ h1", "relu": "my relu"}
    for cell in begun.cells:
        cell.source = answers.get(cell.metadata.get("exercise"), cell.source)
    file.write_text(nbformat.writes(begun))
    copied, kept = copy_notebooks(tmp_path, force=True)
    assert kept == [file]
    assert file not in copied
    assert nbformat.read(file, 4).cells == begun.cells
    assert reset_blank(tmp_path, "01:dW2") == file
    sources = {c.metadata.get("exercise"): c.source for c in nbformat.read(file, 4).cells}
    was = {c.metadata.get("exercise"): c.source for c in empty.cells}
    assert sources["dW2"] == was["dW2"]
    assert sources["relu"] == "my relu"
    for name, says in (("01", "like 01:dW2, got '01'"), ("9:a", "like 01:dW2"), ("02:x", "got x")):
        with pytest.raises(BadInput, match=says):
            reset_blank(tmp_path, name)
    file.write_text("[]")
    with pytest.raises(BadInput, match="must be a notebook, and is none"):
        reset_blank(tmp_path, "01:dW2")


def test_the_wheel_holds_the_notebooks_and_the_page(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    names = ZipFile(wheel).namelist()
    for lesson in ALL:
        assert f"handgrad/notebooks/{lesson.stem}.ipynb" in names
        assert f"handgrad/notebooks/exercises/{lesson.stem}.ipynb" in names
    assert "handgrad/notebooks/teachers_guide.md" in names
    assert "handgrad/py.typed" in names
    assert {"handgrad/explore/page.js", "handgrad/explore/page.css"} <= set(names)
