"""The exercise notebooks: a lesson whose lines are left blank, with a check after each blank.

A blank's cell has the blank's name in its metadata, and so has the cell that checks it. Everything
else is the lesson as it is; where it shows a line that is to be written, a … stands.
"""

import ast
import json
import re
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import nbformat
from exercises import Blank, blanks, known

HELPER = "How an answer is checked: you may open it, but no answer is in it"
IMPORTS = """\
import json
import traceback
from collections.abc import Callable
from hashlib import sha256
from inspect import signature
from typing import Any
"""
PASTED = (
    "# include exercise: Wrong, check_exercise, results, plain, require_right, opened, "
    "fingerprint, in_steps, seal"
)
DATA = "What the checks know: right numbers for two small cases, and sealed sentences"
LINK = re.compile(r"^(\w+) = (.+?)(?:  #.*)?$", re.MULTILINE)
TRY = "\n## Try\n"

WRONG_SGD = '''\
def wrong_sgd(*arguments: Any) -> Iterator[Four]:
    """Mini-batch SGD with `wrong_backward`."""
    return sgd_with(wrong_backward, *arguments)
'''

PROOF = """\
if (D := difference(backward, drawn)) != 0:
    raise AssertionError(f"backward is refuted: dL(v) − g·v is {float(D)}, must be 0")
print("D with backward:", D)
for name, wrong in (("wrong_backward", wrong_backward), ("nudged_backward", nudged_backward)):
    if (D := difference(wrong, drawn)) == 0:
        raise AssertionError(f"{name} is wrong, and was not refuted")
    print(f"D with {name}: not 0, refuted")
"""
YOUR_PROOF = '''\
def proved() -> None:
    """D for each of the three; or why your lines cannot be proved."""
    try:
        drawn = drawn_point()
        found = [difference(f, drawn) for f in (backward, wrong_backward, nudged_backward)]
    except TypeError as error:
        print(f"Not proved: a function of yours does not work on fractions ({error}).")
        found = []
    if not all(isinstance(D, Fraction) for D in found):
        print("Not proved: a function of yours makes floats of fractions, as 1.0 * a does.")
    elif found:
        print("D with backward:", found[0])
        print("D with wrong_backward and with nudged_backward is 0:", found[1] == 0, found[2] == 0)
        if found[0] != 0 or 0 in found[1:]:
            raise AssertionError("D must be 0 with backward, and with no other")


proved()
'''

EDITS: dict[str, list[tuple[str, str]]] = {
    "01": [
        # Another form of a line may round otherwise, or not run on fractions.
        (
            "check(name, one, link, 0)  # the same lines: not even rounding differs",
            "check(name, one, link, BOUND)  # to rounding: your lines may stand in another form",
        ),
        ("to the last bit. A batch's gradient", "to rounding. A batch's gradient"),
        (
            "The seven links, in order, are the backward pass. Nothing was left out:",
            "The seven links, in order, are the backward pass. Put them together:",
        ),
        (f"drawn = drawn_point()\n{PROOF.strip()}", YOUR_PROOF.strip()),
        # These show what is to be written in another blank.
        ("loss(h1 @ W2.T + b2, y)", "loss((h1 * W2).sum(axis=1, keepdims=True) + b2, y)"),
        (
            "loss(relu(a1) @ W2.T + b2, y)",
            "loss((relu(a1) * W2).sum(axis=1, keepdims=True) + b2, y)",
        ),
    ],
}
"""What is said or asked otherwise where the lines are the learner's own."""


def sources(notebook: Any, lesson: str) -> dict[str, str]:
    """By blank, its source as the lesson has it; a link as a function."""
    return {blank.name: _found(notebook.cells, blank)[1] for blank in blanks(lesson)}


def scope(notebook: Any, array: str) -> dict[str, Any]:
    """The lesson's imports, functions, classes and names of types, without running the lesson."""
    kept = [
        ast.unparse(node)
        for cell in notebook.cells
        if cell.cell_type == "code"
        for node in ast.parse(cell.source).body
        if isinstance(node, ast.Import | ast.ImportFrom | ast.FunctionDef | ast.ClassDef)
        or (isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) in TYPES)
    ]
    space: dict[str, Any] = {"__name__": "lesson"}
    exec("\n".join([*kept, "from itertools import islice", f"ARRAY = {array}"]), space)
    return space


TYPES = ("Array", "Four", "ArrayFour")


def maker(lesson: str) -> str:
    """What makes the arrays that a blank is given."""
    return "np.array" if lesson == "01" else "torch.tensor"


def knowledge(notebook: Any, lesson: str) -> dict[str, Any]:
    """What the lesson's checks know."""
    return known(lesson, sources(notebook, lesson), scope(notebook, maker(lesson)))


def exercise(notebook: Any, lesson: str, pasted: str) -> Any:
    """The lesson as an exercise; pasted: the helper's source."""
    made = deepcopy(notebook)
    right = sources(notebook, lesson)
    cells = list(made.cells)
    for blank in blanks(lesson):
        place, _ = _found(cells, blank)
        cells[place : place + 1] = _opened(cells[place], blank, right[blank.name])
    for cell in cells:
        _edit(cell, lesson, right)
        if "def wrong_sgd(" in cell.source:  # its lines are those of sgd, which is a blank
            before, _, _ = cell.source.partition("def wrong_sgd(")
            cell.source = before + WRONG_SGD
    title, rest = cells[0].source.split("\n", 1)
    cells[0].source = f"{title.replace('# ', '# Exercise ', 1)}\n\n{HOW}\n{rest}"
    first = next(i for i, c in enumerate(cells) if "require(" in c.source) + 1
    _require_names_apart(pasted, cells)
    data = json.dumps(knowledge(notebook, lesson), ensure_ascii=False)
    knows = f"KNOWN = json.loads(r'''{data}''')\nKNOWN[\"array\"] = {maker(lesson)}\nPASSED = set()"
    cells[first:first] = [_code(f"{IMPORTS}\n{pasted}", folded=HELPER), _code(knows, folded=DATA)]
    last = next(i for i, c in enumerate(cells) if TRY in c.source)
    cells[last].source = cells[last].source.split(TRY)[0]
    made.cells = cells
    return made


HOW = """
**This is the lesson with its lines left out.** Where a cell says `raise NotImplementedError`, write
what the comment above it asks for, and run the cell below. It says what is wrong, or ✓. Then go on:
the lesson runs on what you wrote. For a hint, add `hints=1` or `hints=2` to the check. Not every
argument of a function is needed. The checks use other sizes than the lesson (8 samples, d = 3
inputs, h = 5 units), so write no size as a number. Nothing is sent anywhere. The lesson with all
its lines is the notebook of the same name one folder up."""


def _code(source: str, **metadata: Any) -> Any:
    cell = nbformat.v4.new_code_cell(source)
    cell.metadata |= metadata
    return cell


def _found(cells: list[Any], blank: Blank) -> tuple[int, str]:
    """The cell that the blank is in, and its source."""
    head = blank.name.partition(".")[0]
    for i, cell in enumerate(cells):
        if cell.cell_type != "code" or "exercise" in cell.metadata:
            continue
        if blank.link:
            found = LINK.match(cell.source)
            if found and found[1] == blank.name:
                return i, f"def {blank.use}:\n    return {found[2]}\n"
            continue
        for node in ast.parse(cell.source).body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name == head:
                return i, _text(cell.source, node)
    raise SystemExit(f"lessons: notebook {blank.lesson} must define {blank.name}: mend the blank")


def _text(source: str, node: Any) -> str:
    return "\n".join(source.splitlines()[_start(node) : node.end_lineno]) + "\n"


def _start(node: Any) -> int:
    return min([node.lineno, *(d.lineno for d in getattr(node, "decorator_list", []))]) - 1


def _opened(cell: Any, blank: Blank, source: str) -> Iterator[Any]:
    """The cell in parts: what stands before the blank, the blank, its check, what comes after."""
    check = f'check_exercise("{blank.name}", {blank.called})'
    if blank.call:
        check = f"{blank.call}\n\n\n{check}"
    asked = [_code(blanked(blank, source), exercise=blank.name), _code(check, check=blank.name)]
    if blank.link:
        after = cell.source.partition("\n")[2]
        yield from [*asked, _code(f"{blank.name} = {blank.use}\n{after}")]
        return
    before, _, after = cell.source.partition(source.strip("\n"))
    yield from [*_part(cell, before), *asked, *_part(cell, after)]


def _part(cell: Any, text: str) -> list[Any]:
    """The cell with that text alone; none if there is no text."""
    part = deepcopy(cell)
    part.source = text.strip("\n")
    return [part] if text.strip() else []


def blanked(blank: Blank, source: str) -> str:
    """The source with a line that says what to write in place of the body."""
    lines, (node,) = source.splitlines(), ast.parse(source).body
    method = blank.name.partition(".")[2]
    functions = [node] if isinstance(node, ast.FunctionDef) else _methods(node, method)
    for function in reversed(functions):
        first = function.body[0]
        described = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
        start = first.end_lineno if described else first.lineno - 1
        margin = " " * (function.col_offset + 4)
        parts = blank.says.split(" | ")
        said = parts[min(functions.index(function), len(parts) - 1)]
        asked = [f"{margin}# {line}" for line in _wrapped(said, 95 - len(margin))]
        lines[start : function.end_lineno] = [*asked, f"{margin}raise NotImplementedError"]
    return "\n".join(lines)


def _wrapped(text: str, width: int) -> list[str]:
    return [line.strip() for line in re.findall(rf".{{1,{width}}}(?:\s|$)", text)]


def _methods(node: Any, method: str) -> list[Any]:
    found = [n for n in node.body if isinstance(n, ast.FunctionDef)]
    return [n for n in found if not method or n.name == method]


def _edit(cell: Any, lesson: str, right: dict[str, str]) -> None:
    """Nothing that is to be written may be read elsewhere in the notebook's text."""
    for old, new in EDITS.get(lesson, []):
        cell.source = cell.source.replace(old, new)
    if cell.cell_type == "markdown" and lesson == "01":
        for source in right.values():
            for expression in answers(source):
                cell.source = cell.source.replace(f"`{expression}`", "`…`")
                cell.source = cell.source.replace(f"= {expression}`", "= …`")


def _require_names_apart(pasted: str, cells: list[Any]) -> None:
    """The lesson may not give another meaning to a name that the helper uses."""
    ours = _stored(pasted) | {"KNOWN", "PASSED"}
    theirs = set().union(*(_stored(c.source) for c in cells if c.cell_type == "code"))
    assert not ours & theirs, f"rename {ours & theirs} in the lesson or the helper"


def _stored(source: str) -> set[str]:
    """What the code defines at its top."""
    found = set()
    for node in ast.parse(source).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Assign | ast.For | ast.With):
            found |= {
                n.id
                for n in ast.walk(node)
                if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)
            }
    return found


def answers(source: str) -> list[str]:
    """The expressions of a right source that tell what to write."""
    found = re.findall(r"(?:= |return )([^#\n]{6,}?)(?:  #.*)?$", source, re.MULTILINE)
    return [text for text in found if re.search(r"[@*/]|\.sum|> 0", text)]
