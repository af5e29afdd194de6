"""What a learner changes: a proof never cries wolf, a planted mistake never passes.

The notebooks' code runs in this process, without a kernel; `benchmarks/notebooks.py` does the same
over the whole grid.
"""

import contextlib
import re
from collections import Counter
from typing import Any

import build as lessons
import inprocess
import numpy as np
import pytest
import torch
from test_notebooks import EACH, NAMES, committed, differs, printed

from handgrad.mistakes import CATALOGUE, Mistake
from handgrad.rounding import point_bounds
from handgrad.stages import numpy_manual

pytestmark = pytest.mark.filterwarnings("ignore:.*non-interactive.*:UserWarning")

FAST = {"hidden": 3, "epochs": 2}


def cells(name: str, **settings: Any) -> list[str]:
    return inprocess.with_settings(inprocess.code(committed(name)), **settings)


# Every seed, size, rate, batch size, number of epochs and dtype


DRAWS = [(NAMES[0], chunk, inprocess.draws(100, 3300)[chunk::10]) for chunk in range(6)]
DRAWS += [
    (name, chunk, inprocess.draws(12, 1500)[chunk::3]) for name in NAMES[1:] for chunk in range(3)
]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "settings"), [d[::2] for d in DRAWS], ids=[f"{d[0]}-{d[1]}" for d in DRAWS]
)
def test_no_proof_raises_whatever_a_learner_sets(name: str, settings: list[dict[str, Any]]) -> None:
    for setting in settings:
        inprocess.run(cells(name, **setting))


@pytest.mark.slow
@pytest.mark.parametrize(
    "setting",
    [
        {"hidden": 1, "lr": 4},
        {"hidden": 1, "dtype": "float32"},
        {"n": 33},
        {"n": 7, "batch_size": 7},
    ],
)
@EACH
def test_the_smallest_networks_and_problems_run_to_the_end(
    name: str, setting: dict[str, Any]
) -> None:
    inprocess.run(cells(name, seed=7, epochs=7, **setting))


def test_the_settings_are_what_is_changed() -> None:
    for name in NAMES:
        changed = [s for s in cells(name, seed=5, hidden=3, dtype="float32") if "SEED, HIDDEN" in s]
        assert len(changed) == 1
        assert (
            "SEED, HIDDEN, EPOCHS, BATCH_SIZE, LR, N = 5, 3, 200, 32, 0.1, 500\nDTYPE = np.float32"
            in changed[0]
        )


@EACH
def test_the_committed_run_has_every_outcome_that_it_hopes_for(name: str) -> None:
    said = "".join(printed(cell) for cell in committed(name).cells)
    assert said.count(": yes\n") == {NAMES[0]: 2, NAMES[1]: 1, NAMES[2]: 1, NAMES[3]: 6}[name]
    assert "not in this run" not in said
    assert "not decidable" not in said


def test_what_does_not_come_out_is_explained_and_goes_on() -> None:
    said = "".join(inprocess.run(cells(NAMES[0], seed=1, hidden=2)))
    assert "0.93: not in this run. The gradients may be right all the same" in said
    assert "Notebook 4 counts how often" in said
    diverged = "".join(inprocess.run(cells(NAMES[1], epochs=20, lr=4, hidden=64)))
    assert "not decidable, rounding alone may carry two right runs to infinity" in diverged
    assert "It diverges: try a smaller learning rate." in diverged


# A cell can be run again


@pytest.mark.slow
@EACH
def test_any_cell_run_again_at_the_end_prints_the_same(name: str) -> None:
    """From the last to the first: a name that a later cell has taken over would show."""
    given: dict[str, Any] = {"__name__": "__main__"}
    code = cells(name, epochs=5)
    first = inprocess.run(code, given)
    for number, source in reversed(list(enumerate(code))):
        (again,) = inprocess.run([source], given)
        assert differs(again, first[number]) is None, source


def test_a_name_that_is_taken_over_is_seen() -> None:
    given: dict[str, Any] = {}
    code = ["x = 1", "print(x)", "x = 2"]
    first = inprocess.run(code, given)
    again = [inprocess.run([source], given)[0] for source in reversed(code)]
    assert first == ["", "1\n", ""]
    assert again == ["", "2\n", ""]


# A planted mistake is found

PLACES = [(m, layer) for m in CATALOGUE.values() for layer in m.layers(2)]


class Planted:
    """A wrong backward pass, and whether any of its calls was wrong by more than rounding."""

    def __init__(self, mistake: Mistake, layer: int, autograd: bool = False) -> None:
        self.wrong_line, self.autograd, self.seen = mistake.backward(layer), autograd, False

    def __call__(self, x: Any, y: Any, *params: Any) -> Any:
        W1, b1, W2, b2 = params
        with np.errstate(all="ignore"):
            (dW1, dW2), (db1, db2) = self.wrong_line([W1, W2], [b1, b2], x, y)
            wrong, right = (dW1, db1, dW2, db2), numpy_manual.backward(x, y, *params)
            bounds = point_bounds(x, y, *params)
        for name, one, other in zip(("dW1", "db1", "dW2", "db2"), wrong, right, strict=True):
            if self.autograd and one.shape != other.shape:
                # PyTorch adds up what broadcasts to the parameter's shape, and so mends it.
                with contextlib.suppress(RuntimeError):
                    one = torch.tensor(one).sum_to_size(other.shape).numpy()
            # As in a learner's cell the two are compared, each off by at most the bound.
            if one.shape != other.shape or not abs(one - other).max() <= 2 * bounds[name]:
                self.seen = True
        return tuple(g.astype(x.dtype) for g in wrong)

    def tensors(self, *arguments: Any) -> Any:
        return tuple(map(torch.tensor, self(*(t.detach().numpy() for t in arguments))))


def plant(given: dict[str, Any], place: str, planted: Planted) -> None:
    """Put the wrong backward pass in a notebook's place for one."""
    if place == "HandWrittenLoss":

        def backward(ctx: Any, dL: Any) -> Any:
            x, y, *params = ctx.kept
            return None, None, *(dL * g for g in planted.tensors(x, y, *params))

        def forward(ctx: Any, *arguments: Any) -> Any:
            ctx.kept = arguments
            return given["loss"](given["forward"](arguments[0], *arguments[2:])[2], arguments[1])

        given[place] = type(place, (torch.autograd.Function,), {})
        given[place].forward, given[place].backward = staticmethod(forward), staticmethod(backward)
    elif place == "tensors":
        given["backward"] = planted.tensors
    else:
        given[place] = planted


# Of 56 places: W2 has one row; on a kink alone; mended by autograd. Far more in a batch of one.
MOST_EQUAL = {True: 8, False: 13}


@pytest.mark.slow
@pytest.mark.parametrize("settings", [FAST, {**FAST, "hidden": 1, "batch_size": 1, "epochs": 1}])
@pytest.mark.parametrize(
    ("name", "place", "defined"),
    [
        (NAMES[0], "backward", "def backward("),
        (NAMES[1], "numpy_backward", "def numpy_backward("),
        (NAMES[1], "tensors", "def backward("),
        (NAMES[2], "numpy_backward", "def numpy_backward("),
        (NAMES[2], "HandWrittenLoss", "class HandWrittenLoss"),
        (NAMES[3], "numpy_backward", "def numpy_backward("),
    ],
)
def test_every_mistake_of_the_catalogue_is_found_where_it_makes_a_difference(
    name: str, place: str, defined: str, settings: dict[str, Any]
) -> None:
    code, given = cells(name, **settings), {"__name__": "__main__"}
    (at,) = (n for n, source in enumerate(code) if f"\n{defined}" in f"\n{source}")
    inprocess.run(code[: at + 1], given)
    found: Counter[str] = Counter()
    for mistake, layer in PLACES:
        planted = Planted(mistake, layer, autograd=place == "HandWrittenLoss")
        plant(given, place, planted)
        try:
            inprocess.run(code[at + 1 :], given)
        except inprocess.Failed:
            found["raised"] += 1
        else:
            assert not planted.seen, f"{mistake.name} at layer {layer + 1} passes"
            found["equal"] += 1
    print(len(PLACES), dict(found))
    assert found["equal"] <= MOST_EQUAL[settings is FAST], found


# The answers to "Try"

ANSWER = re.compile(r"```python\n(.+?)\n```\n\n```text\n(.+?)\n```", re.DOTALL)


def answers(name: str) -> list[tuple[str, str]]:
    """The code and the printed text of every folded answer."""
    return ANSWER.findall(committed(name).cells[-1].source)


ROUNDING = re.compile(r"\b\d(?:\.\d+)?e-(?:0[89]|[1-9]\d)\b")


@pytest.mark.slow
@EACH
def test_every_answer_prints_what_it_shows(name: str) -> None:
    given: dict[str, Any] = {"__name__": "__main__"}
    inprocess.run(cells(name), given)
    for code, shown in answers(name):
        (said,) = inprocess.run([code], given)
        texts = [ROUNDING.sub("tiny", text) for text in (said, shown)]  # rounding is each machine's
        assert differs(*texts) is None, said


@EACH
def test_every_question_has_its_answer(name: str) -> None:
    text = committed(name).cells[-1].source
    asked = re.findall(r"^\*\*\d\.\*\* ", text, re.MULTILINE)
    assert 3 <= len(asked) == len(answers(name)) == text.count("<summary>Answer</summary>")


# The guide for teachers, and its plans

GUIDE = (lessons.NOTEBOOKS / "teachers_guide.md").read_text()
PLANS = [
    (plan, number, re.findall(r"\*([^*]+)\*", sections), int(minutes))
    for plan, number, minutes, sections in re.findall(
        r"^\| (.+?) \| (0\d) \| (\d+) \| (.+) \|$", GUIDE, re.MULTILINE
    )
]


def sections(name: str) -> dict[str, list[int]]:
    """The numbers of the code cells of each section; those above the first one under ""."""
    found: dict[str, list[int]] = {"": []}
    section, number = "", 0
    for cell in committed(name).cells:
        if cell.cell_type == "markdown" and (heading := re.match(r"## (.+)", cell.source)):
            section = heading[1].strip()
            found[section] = []
        elif cell.cell_type == "code":
            found[section].append(number)
            number += 1
    return found


@pytest.mark.slow
@pytest.mark.parametrize("row", range(len(PLANS)))
def test_a_teaching_plan_runs_when_only_its_sections_are_run(row: int) -> None:
    plan, number, named, _ = PLANS[row]
    (name,) = (n for n in NAMES if n.startswith(number))
    earlier: list[str] = []  # of the same plan and notebook, on the days before
    if plan.startswith("a week"):
        earlier = [
            s for p, n, own, _ in PLANS[:row] if p.startswith("a week") and n == number for s in own
        ]
    there, code = sections(name), cells(name, epochs=3)
    inprocess.run([code[i] for section in ["", *earlier, *named] for i in there[section]])


def test_the_guide_holds_each_plan() -> None:
    assert Counter(plan.partition(",")[0] for plan, *_ in PLANS) == {
        "one hour": 1,
        "two hours": 1,
        "a week": 5,
    }
    assert len(GUIDE.split()) < 1200, "it is one page"


@pytest.mark.slow
def test_the_guide_is_what_the_builder_makes() -> None:
    made = lessons.guide()
    number = r"\| (\d\.\d{3}) \|\n"
    assert re.sub(number, "", made) == re.sub(number, "", GUIDE), "run `make notebooks`"
    for one, other in zip(re.findall(number, made), re.findall(number, GUIDE), strict=True):
        # Another processor rounds otherwise, and a wrong training may end a little elsewhere.
        assert abs(float(one) - float(other)) <= 0.02


def minutes(name: str) -> dict[str, int]:
    """The minutes that the head of the notebook gives for each section."""
    head = " ".join(committed(name).cells[0].source.split())
    times = head.partition("**Time**")[2].partition("**")[0]
    return {section: int(m) for section, m in re.findall(r"\*([^*]+?)\* (\d+)(?: ·|\.)", times)}


def test_the_minutes_of_a_plan_are_those_of_its_sections() -> None:
    for plan, number, named, total in PLANS:
        (name,) = (n for n in NAMES if n.startswith(number))
        assert sum(minutes(name)[section] for section in named) == total, plan


@EACH
def test_the_minutes_are_given_for_every_section_that_teaches(name: str) -> None:
    head = committed(name).cells[0].source
    closing = (
        "What has been proven",
        "Try",
        "Where this leads",
        "What to change to make it a module",
    )
    assert list(minutes(name)) == [s for s in sections(name) if s and s not in closing]
    assert "After this notebook you can" in head


# Folded cells


@EACH
def test_what_is_folded_says_so_in_both_places(name: str) -> None:
    folded = [c for c in committed(name).cells if c.metadata.get("cellView") == "form"]
    assert folded
    for cell in folded:
        assert cell.metadata["jupyter"] == {"source_hidden": True}
        assert cell.source.startswith("# @title ")
        assert not cell.source.startswith("# @title \n")


@EACH
def test_the_first_cell_is_short_and_repeated_code_is_folded(name: str) -> None:
    code = [cell for cell in committed(name).cells if cell.cell_type == "code"]
    assert len(code[0].source.splitlines()) <= 5
    seen = set(inprocess.code(committed(NAMES[0]))) - {code[0].source}
    for cell in code[1:] if name != NAMES[0] else []:
        defines = re.search(r"^(def|class) ", cell.source, re.MULTILINE)
        repeated = cell.source in seen or "def numpy_forward" in cell.source
        assert not (defines and repeated) or "cellView" in cell.metadata, cell.source
