"""Build the notebooks: paste the package's source into the lessons, execute, write.

A lesson is a percent-format text (jupytext). In its code cells,

    # include numpy_manual: relu, backward as numpy_backward

becomes the source of these objects, renamed wherever they are defined, called or named in it;
after a semicolon stand names that are only renamed. And

    # line numpy_manual.backward: dW2

becomes the one line of that function that assigns dW2. A cell with folded="a title" shows its title
alone, in JupyterLab and in Colab. Cell ids come from the content, and stored outputs are kept where
no code has changed, so that building twice changes no byte.
"""

import ast
import re
import subprocess
import sys
import tempfile
import tomllib
from base64 import b64decode
from hashlib import sha256
from importlib.util import find_spec, module_from_spec
from itertools import pairwise
from pathlib import Path
from textwrap import dedent
from types import ModuleType
from typing import Any

import blanks
import exercises
import jupytext
import nbformat
from nbclient import NotebookClient
from rich.progress import track

from handgrad import make_problem, train
from handgrad.files import write_whole
from handgrad.mistakes import CATALOGUE
from handgrad.parity import GRADIENTS
from handgrad.stages import numpy_manual

ROOT = Path(__file__).parent.parent
LESSONS = ROOT / "lessons"
NOTEBOOKS = ROOT / "notebooks"
GALLERY = ROOT / "docs" / "gallery"
PACKAGE = ROOT / "src" / "handgrad"

MISTAKES = re.compile(r"^<!-- mistakes: (.+) -->$", re.MULTILINE)
INCLUDE = re.compile(r"^# include (\w+): ([^;\n]+)(?:; (.+))?$", re.MULTILINE)
MEND = re.compile(r"# mend (\w+) as (\w+): (.*)")
LINE = re.compile(r"^# line (\w+)\.(\w+): (.+)$", re.MULTILINE)


def lessons() -> list[Path]:
    """The lessons, in order."""
    return sorted(LESSONS.glob("0*.py"))


def build(lesson: Path) -> Any:
    """The lesson as a notebook that has not been executed."""
    notebook = pasted(lesson)
    notebook.cells = [c for c in notebook.cells if c.metadata.pop("only", "solution") == "solution"]
    mend(notebook, solved=True)
    return finished(notebook, lesson.stem)


def build_exercise(lesson: Path) -> Any:
    """The lesson as an exercise."""
    notebook = pasted(lesson)
    notebook.cells = [c for c in notebook.cells if c.metadata.pop("only", "exercise") == "exercise"]
    mend(notebook, solved=False)
    if exercises.blanks(lesson.stem[:2]):
        notebook = blanks.exercise(notebook, lesson.stem[:2], paste(blanks.PASTED))
    return finished(notebook, f"exercises/{lesson.stem}")


def mend(notebook: Any, solved: bool) -> None:
    """Fill in the copies of functions that have a mistake in them, mended where it is solved.

    A guess is the one that comes true, or is left to the learner.
    """
    defined: dict[str, str] = {}
    for cell in notebook.cells:
        metadata = cell.metadata
        if name := metadata.pop("mend", None):
            (found,) = MEND.finditer(cell.source)
            old, new, changes = found.groups()
            text = rename(defined[old], {old: new})
            for change in changes.split(" | ") if solved and changes else ():
                wrong, right = (part.replace("\\n", "\n") for part in change.split(" -> "))
                assert wrong in text, f"{old} has no {wrong!r}"
                text = text.replace(wrong, right)
            cell.source = text if solved else f"# Mend this copy, if there is a mistake.\n{text}"
            if not solved:
                metadata["exercise"] = name
        if solved:
            metadata.pop("check", None)
            cell.source = cell.source.replace('"?"', f'"{metadata.get("guess")}"')
        metadata.pop("guess", None)
        if cell.cell_type == "code":
            for node in ast.parse(cell.source).body:
                if isinstance(node, ast.FunctionDef):
                    defined[node.name] = str(ast.get_source_segment(cell.source, node))


def pasted(lesson: Path) -> Any:
    """The lesson's cells with all that is pasted into them."""
    notebook = jupytext.reads(lesson.read_text(), fmt="py:percent")
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.source = paste(cell.source)
    return notebook


def finished(notebook: Any, name: str) -> Any:
    """Folded, formatted, with a link to itself, and an id for every cell that its content gives."""
    for i, cell in enumerate(notebook.cells):
        cell.id = str(i)
        fold(cell)
    notebook = formatted(notebook)
    notebook.cells[0].source = badge(name, repository()) + notebook.cells[0].source
    seen: set[str] = set()
    for cell in notebook.cells:
        text, again = f"{cell.cell_type}\n{cell.source}", 0
        while (name := sha256(f"{text}\n{again}".encode()).hexdigest()[:8]) in seen:
            again += 1
        seen.add(name)
        cell.id = name
    return notebook


def fold(cell: Any) -> None:
    """Hide the code of a cell that has a title for it: `folded` in its metadata."""
    if title := cell.metadata.pop("folded", None):
        cell.source = f"# @title {title}\n{cell.source}"  # Colab's form, a title for all others
        cell.metadata |= {"jupyter": {"source_hidden": True}, "cellView": "form"}


def badge(name: str, repository: str) -> str:
    """A link that opens the notebook in Colab; nothing while the repository has no address."""
    if not repository:
        return ""
    where = f"{repository.removeprefix('https://github.com/')}/blob/main/notebooks/{name}.ipynb"
    return f"[Open in Colab](https://colab.research.google.com/github/{where})\n\n"


def repository() -> str:
    """The repository's address, kept in pyproject.toml alone; empty while it has none."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return str(project.get("urls", {}).get("Repository", ""))


def figures(notebook: Any) -> list[tuple[str, bytes]]:
    """Every figure of an executed notebook: its caption, and its PNG file's content."""
    found = []
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            if png := output.get("data", {}).get("image/png"):
                found.append((caption_of(cell), b64decode(png)))
    return found


def describe(notebook: Any) -> None:
    """Give every figure its caption as alternative text, for those who do not see it."""
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            if "image/png" in output.get("data", {}):
                output.metadata["image/png"] = {"alt": caption_of(cell)}


def caption_of(cell: Any) -> str:
    """What the cell writes under its figure."""
    (caption,) = re.findall(r'caption\(\s*figure,\s*"([^"]+)"', cell.source)
    return str(caption)


def formatted(notebook: Any) -> Any:
    """The notebook with its code laid out as the package's is."""
    command = [sys.executable, "-m", "ruff", "format", "--stdin-filename", "lesson.ipynb", "-"]
    text = nbformat.writes(notebook)
    done = subprocess.run(command, cwd=ROOT, input=text, capture_output=True, text=True, check=True)
    return nbformat.reads(done.stdout, 4)


def paste(source: str) -> str:
    """The cell's source with its includes and lines filled in."""

    def include(match: re.Match[str]) -> str:
        module, wanted, also = match.groups()
        names, renamed = [], {}
        for entry in re.split(r",\s*", wanted) + (re.split(r",\s*", also) if also else []):
            name, _, other = entry.strip().partition(" as ")
            names.append(name)
            if other:
                renamed[name] = other
        names = names[: len(re.split(r",\s*", wanted))]
        return join([rename(definition(module, name), renamed) for name in names])

    def line(match: re.Match[str]) -> str:
        module, function, name = match.groups()
        return assignments(module, function)[name]

    return LINE.sub(line, INCLUDE.sub(include, source))


def definition(module: str, name: str) -> str:
    """The source of a function, class or value that a module of the package defines."""
    text = source_of(module)
    for node in ast.parse(text).body:
        targets = node.targets if isinstance(node, ast.Assign) else []
        names = [getattr(node, "name", None), *(getattr(t, "id", None) for t in targets)]
        if name in names:
            segment = ast.get_source_segment(text, node)
            assert segment is not None
            return segment
    raise SystemExit(f"lessons: {module} must define {name}, but does not: mend the include")


def assignments(module: str, function: str) -> dict[str, str]:
    """The lines of a function that assign, comment included, by what they assign; in order."""
    text = definition(module, function)
    (node,) = ast.parse(text).body
    lines = text.splitlines()
    return {
        ast.unparse(statement.targets[0]).strip("()"): dedent(lines[statement.lineno - 1])
        for statement in ast.walk(node)
        if isinstance(statement, ast.Assign)
    }


def rename(source: str, names: dict[str, str]) -> str:
    """The source with these names changed wherever it defines or uses them."""
    lines = [line.encode() for line in source.splitlines()]
    places = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Name) and node.id in names:
            places.append((node.lineno, node.col_offset, node.id))
        elif isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name in names:
            start = lines[node.lineno - 1].index(f" {node.name}".encode()) + 1
            places.append((node.lineno, start, node.name))
    for line, column, name in sorted(places, reverse=True):
        old = lines[line - 1]
        after = column + len(name.encode())
        lines[line - 1] = old[:column] + names[name].encode() + old[after:]
    return b"\n".join(lines).decode()


def join(sources: list[str]) -> str:
    """Definitions two blank lines apart, values together."""
    text = sources[0]
    for before, source in pairwise(sources):
        apart = "\n" if "\n" not in before and "\n" not in source else "\n\n\n"
        text += apart + source
    return text


def source_of(module: str) -> str:
    """The text of a module of the package, a stage or any other."""
    stage = PACKAGE / "stages" / f"{module}.py"
    return (stage if stage.exists() else PACKAGE / f"{module}.py").read_text()


def guide() -> str:
    """The guide for teachers, with its table of mistakes filled in from the catalogue."""
    text = (LESSONS / "teachers_guide.md").read_text()
    (names,) = MISTAKES.findall(text)
    rows = ["| line | what it does | wrong | noticed by | accuracy |", "|---|---|---|---|---|"]
    rows += [mistake_row(name) for name in names.split("; ")]
    return MISTAKES.sub(lambda _: "\n".join(rows), text)


def mistake_row(name: str) -> str:
    """One mistake of the catalogue at its lowest layer: what notices it, and how training ends."""
    mistake, problem = CATALOGUE[name], make_problem()
    config, layer = problem.config, mistake.layers(2)[0]
    wrong_line = mistake.backward(layer, lr=config.lr, batch_size=config.batch_size)
    wrong: list[str] = []

    def backward(x: Any, y: Any, W1: Any, b1: Any, W2: Any, b2: Any) -> Any:
        (dW1, dW2), (db1, db2) = wrong_line([W1, W2], [b1, b2], x, y)
        found, right = (dW1, db1, dW2, db2), numpy_manual.backward(x, y, W1, b1, W2, b2)
        pairs = zip(GRADIENTS, found, right, strict=True)
        wrong[:] = [g for g, p, q in pairs if p.shape != q.shape or abs(p - q).max() > 1e-9]
        return found

    batch = problem.x_train[:32], problem.y_train[:32]
    for _ in range(2):  # some mistakes begin with the second call
        gradients = backward(*batch, *problem.params)
    seen = wrong.copy()
    noticed = "the gradient check" + (" at its second call" if "before" in mistake.line else "")
    if any(g.shape != p.shape for g, p in zip(gradients, problem.params, strict=True)):
        noticed = "the shapes"
    stage = fresh_copy(numpy_manual)
    stage.backward = backward
    try:
        run = train(problem, stage)
        reached = f"{run.final['val_accuracy']:.3f}" if run.diverged_at is None else "diverges"
    except ValueError:
        reached = "an error"
    if not seen:
        backward(problem.x_train[:20], problem.y_train[:20], *problem.params)  # a short batch
        noticed = "the whole run, in the short batch" if wrong else "a check on a kink"
        seen = wrong.copy()
    names = ", ".join(f"`{g}`" for g in seen) or "none elsewhere"
    line = as_written(mistake.line, layer)
    return f"| `{line}` | {mistake.sentence} | {names} | {noticed} | {reached} |"


def as_written(line: str, layer: int) -> str:
    """The catalogue's line with the names that it has in `numpy_manual.backward`."""
    link, _, expression = line.partition(" = ")
    below = {"h": "x", "W": "W1", "b": "b1", "da": "da1", "above": "a1"}
    above = {"h": "h1", "W": "W2", "b": "b2", "da": "df", "above": "f", "a": "a1", "dh": "dh1"}
    names = (below if layer == 0 else above) | {"dW": f"dW{layer + 1}"}
    names |= {"before_W": f"before_dW{layer + 1}", "before_b": f"before_db{layer + 1}"}
    target = link if link == "df" else f"{link}1" if link in ("dh", "da") else f"{link}{layer + 1}"
    return f"{target} = " + re.sub(r"(?<![.\w])(\w+)", lambda m: names.get(m[1], m[1]), expression)


def fresh_copy(module: ModuleType) -> Any:
    """The module, executed anew: what is changed in the copy stays in it."""
    spec = find_spec(module.__name__)
    assert spec is not None
    assert spec.loader is not None
    made = module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


def execute(notebook: Any) -> None:
    """Run all cells in an empty folder, and keep what they print."""
    with tempfile.TemporaryDirectory() as folder:
        NotebookClient(
            notebook,
            timeout=300,
            kernel_name="python3",
            record_timing=False,
            coalesce_streams=True,
            resources={"metadata": {"path": folder}},
        ).execute()
    notebook.metadata.language_info = {"name": "python"}


def keep_outputs(notebook: Any, stored: Any) -> bool:
    """Take the outputs of the stored notebook, if its code is the same to the letter."""
    new, old = ([c for c in n.cells if c.cell_type == "code"] for n in (notebook, stored))
    if [c.source for c in new] != [c.source for c in old]:
        return False
    for cell, before in zip(new, old, strict=True):
        cell.outputs, cell.execution_count = before.outputs, before.execution_count
    return True


def main(arguments: list[str]) -> None:
    """Build every notebook and the guide; with --execute, run also where no code has changed."""
    write_whole(NOTEBOOKS / "teachers_guide.md", guide().encode())
    for lesson in track(lessons(), "notebooks"):
        file = NOTEBOOKS / f"{lesson.stem}.ipynb"
        notebook = build(lesson)
        stored = nbformat.read(file, 4) if file.exists() else None
        if "--execute" in arguments or stored is None or not keep_outputs(notebook, stored):
            execute(notebook)
        describe(notebook)
        nbformat.validate(notebook)
        write_whole(file, nbformat.writes(notebook).encode() + b"\n")
        for number, (_, png) in enumerate(figures(notebook), 1):
            write_whole(GALLERY / f"{lesson.stem}-{number}.png", png)
        exercise = nbformat.writes(build_exercise(lesson)).encode() + b"\n"
        write_whole(NOTEBOOKS / "exercises" / file.name, exercise)


if __name__ == "__main__":
    main(sys.argv[1:])
