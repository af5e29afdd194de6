"""What an exercise says of a learner's answer: never wrong, and by name where it can be shown.

`answers/wrong.txt` and `answers/right.txt` hold answers written without sight of the catalogue.
"""

import contextlib
import io
import json
import re
import warnings
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from textwrap import indent
from typing import Any

import blanks
import build
import exercises
import inprocess
import nbformat
import numpy as np
import pytest
from exercises import BLANKS, Blank, cases, wrong_parts
from slips import SLIPS, targets, variants

from handgrad import exercise
from handgrad.exercise import Wrong, check_exercise, fingerprint, seal
from handgrad.mistakes import CATALOGUE

ANSWERS = Path(__file__).parent / "answers"
LESSONS = {lesson.stem[:2]: lesson for lesson in build.lessons()}
NUMBERS = [number for number in LESSONS if exercises.blanks(number)]
BY_NAME = {f"{b.lesson} {b.name}": b for b in BLANKS}


@cache
def lesson(number: str) -> Any:
    return build.pasted(LESSONS[number])


@cache
def sources(number: str) -> dict[str, str]:
    return blanks.sources(lesson(number), number)


@cache
def scope(number: str) -> dict[str, Any]:
    """What a blank's answer may call, as the lesson has it."""
    found = blanks.scope(lesson(number), blanks.maker(number))
    exec("relu_derivative = lambda a: a > 0" if number == "03" else "", found)
    for blank in exercises.blanks(number):
        if blank.link:
            exec(sources(number)[blank.name], found)
    return found


@cache
def known(number: str) -> Any:
    """What the committed notebook knows."""
    made = nbformat.read(build.NOTEBOOKS / "exercises" / f"{LESSONS[number].stem}.ipynb", 4)
    (data,) = (c.source for c in made.cells if "KNOWN = json" in c.source)
    given: dict[str, Any] = {"json": json, "np": np, **scope(number)}
    exec(data, given)
    return given["KNOWN"]


def answers(name: str) -> list[tuple[str, str, str]]:
    """Blank, what is wrong, and the code."""
    blocks = (ANSWERS / name).read_text().split("### ")[1:]
    heads = [block.partition("\n") for block in blocks]
    return [(*map(str.strip, head.partition(":")[::2]), code) for head, _, code in heads]  # type: ignore[misc]


def filled(blank: Blank, code: str) -> Callable[..., Any]:
    """What the check calls, with this code in the blank."""
    space = dict(scope(blank.lesson))
    if "." in blank.name:  # a method of a class of which the lesson has the rest
        head = blanks.blanked(blank, sources(blank.lesson)[blank.name]).rpartition("    @staticm")[
            0
        ]
        code = f"{head}    @staticmethod\n{indent(code, '    ')}"
    exec(compile(code, "<answer>", "exec"), space)
    exec(blank.call, space)
    function: Callable[..., Any] = space[blank.called]
    return function


def said(blank: Blank, function: Callable[..., Any], **options: Any) -> str:
    """What the check says, without the colours."""
    exercise.KNOWN = known(blank.lesson)
    exercise.PASSED = {b.name for b in BLANKS}
    printed = io.StringIO()
    with warnings.catch_warnings(action="ignore"), contextlib.redirect_stdout(printed):
        try:
            check_exercise(blank.name, function, **options)
        except Wrong as wrong:
            return str(wrong)
    return re.sub(r"\x1b\[\d+m", "", printed.getvalue()).strip()


WRONG, RIGHT = answers("wrong.txt"), answers("right.txt")
BARE = re.compile(r"entries are right; .* must be ")


def learners(blank: str) -> Iterator[tuple[str, str, str]]:
    return (
        (what, code, said(BY_NAME[b], filled(BY_NAME[b], code)))
        for b, what, code in WRONG
        if b == blank
    )


@pytest.mark.parametrize("name", BY_NAME)
def test_wrong_answers_are_found_and_none_is_named_falsely(name: str) -> None:
    blank, found = BY_NAME[name], 0
    for what, code, answer in learners(name):
        assert answer.startswith(f"{blank.name} ✗ "), (what, answer)
        found += 1
        sentence = re.search(r"is right\. (.+)", answer)
        if sentence:  # then it is that mistake elsewhere too
            assert is_so(blank, code, part_of(blank, answer), sentence[1]), answer
    assert found >= 3


def part_of(blank: Blank, answer: str) -> str:
    """Which of the results the answer is about."""
    found = re.search(r"✗ (\w+): shape", answer)
    return found[1] if found else blank.returns


def is_so(blank: Blank, code: str, part: str, sentence: str) -> bool:
    """Whether some change that the sentence stands for gives what the answer gives, elsewhere."""
    cases = [another(7), another(8)]
    run = filled(blank, code)
    names = blank.returns.split()
    right = exercises.run(blank, sources(blank.lesson)[blank.name], scope(blank.lesson), cases)
    place = names.index(part)
    with warnings.catch_warnings(action="ignore"), np.errstate(all="ignore"):
        theirs = exercises.results_on(run, blank, scope(blank.lesson)["ARRAY"], cases)
        for slip, form in variants(blank, sources(blank.lesson)[blank.name], cases, right):
            if slip.sentence != sentence:
                continue
            try:
                ours = (
                    exercises.run(blank, form, scope(blank.lesson), cases)
                    if isinstance(form, str)
                    else form
                )
            except Exception:
                continue
            if all(
                a[place].shape == b[place].shape and np.allclose(a[place], b[place], rtol=1e-6)
                for a, b in zip(ours, theirs, strict=True)
            ):
                return True
    return False


def another(seed: int) -> exercises.Case:
    rng = np.random.default_rng(seed)
    sizes = ((8 + seed, 5), (9, 5), (9,), (1, 9), (1,))
    return exercises.case(*(rng.standard_normal(size) for size in sizes))


def test_most_wrong_answers_get_more_than_an_entry() -> None:
    told = [answer for name in BY_NAME for *_, answer in learners(name)]
    bare = [answer for answer in told if BARE.search(answer)]
    assert len(told) == len(WRONG) >= 200
    assert len(bare) <= 0.05 * len(told)


@pytest.mark.parametrize("name", BY_NAME)
def test_right_answers_in_an_unusual_form_pass(name: str) -> None:
    theirs = [code for blank, _, code in RIGHT if blank == name]
    assert len(theirs) >= (10 if name == "01 backward" else 3)
    for code in theirs:
        assert "✓" in said(BY_NAME[name], filled(BY_NAME[name], code)), code


@pytest.mark.parametrize("name", BY_NAME)
def test_the_lessons_own_lines_pass(name: str) -> None:
    blank = BY_NAME[name]
    space = dict(scope(blank.lesson))
    exec(sources(blank.lesson)[blank.name] + "\n" + blank.call, space)
    assert said(blank, space[blank.called]).startswith(f"{blank.name} ✓ ")


LINKS = [b for b in BLANKS if b.link]


@pytest.mark.parametrize("blank", LINKS, ids=lambda b: b.name)
def test_every_mistake_of_the_catalogue_is_named(blank: Blank) -> None:
    """By its own sentence, in the line of its link and in the whole backward pass."""
    named = 0
    mistakes = [m for m in CATALOGUE.values() if blank.name in [link for link, _ in targets(m)]]
    for where in (blank, BY_NAME["01 backward"]):
        right_source = sources("01")[where.name]
        right = exercises.run(where, right_source, scope("01"), cases())
        for slip, form in variants(where, right_source, cases(), right):
            mistake = next((m for m in mistakes if m.sentence == slip.sentence), None)
            if mistake is None or not isinstance(form, str):
                continue
            if where.link:  # whoever needs another array asks for it
                names = [n for n in where.arguments if re.search(rf"\b{n}\b", form)]
                form = re.sub(r"\(.*\):", f"({', '.join(names)}):", form, count=1)
            space = dict(scope("01"))
            exec(form, space)
            try:
                results = exercises.run(where, form, scope("01"), cases())
            except (NameError, ValueError, IndexError):
                continue
            answer = said(where, space[where.function])
            if not exercises.fits(results, right):
                assert "has shape" in answer or "✓" in answer or "Error" in answer, answer
            elif wrong_parts(results, right):
                assert mistake.sentence in answer or "Error" in answer, (mistake.name, answer)
                named += mistake.sentence in answer
    assert named >= 3


def test_an_accumulated_gradient_shows_at_the_second_call() -> None:
    kept: list[Any] = []

    def find(df: Any, h1: Any) -> Any:
        kept.append(df.T @ h1)
        return sum(g for g in kept if g.shape == kept[-1].shape)

    answer = said(BY_NAME["01 dW2"], find)
    assert answer == "dW2 ✗ the first call is right, the second is not: what is kept of the first?"


@pytest.mark.parametrize(
    ("link", "body", "says"),
    [
        ("df", "raise NotImplementedError", "not written yet: ∂L/∂f, shape (B, 1)"),
        ("df", "pass", "it must return df, and returned None"),
        ("df", "return 1 / 0", "ZeroDivisionError in line 2 of find: division by zero"),
        ("df", "return f, y", "it must return df, and returned ndarray, ndarray"),
        ("df", "return (f - y).T", "df has shape (1, 8), must have (8, 1)"),
        ("df", "return ((f - y) / len(f)).astype('float32')", "dtype float32 must be float64"),
        ("df", "return np.log(-abs(f))", "NaN or infinite"),
        ("df", "f -= y; return f / len(f)", "f was changed in place"),
        ("df", "return 3 * (f - y) / len(f)", "0 of 8 entries are right; df[3, 0] is -2.48"),
        ("df", "return (f - y) / 8", "right for one case only"),
        ("da1", "return dh1", "gradient flows through units that are off"),
    ],
)  # fmt: skip
def test_what_is_said_first(link: str, body: str, says: str) -> None:
    arguments = {"df": "f, y", "da1": "dh1, a1"}[link]
    space: dict[str, Any] = {"np": np}
    exec(f"def find({arguments}):\n    {body}", space)
    with np.errstate(all="ignore"):
        answer = said(BY_NAME[f"01 {link}"], space["find"])
    assert answer.startswith(f"{link} ✗ ")
    assert says in answer
    assert "\n" not in answer


def test_hints_come_when_they_are_asked_for() -> None:
    blank = BY_NAME["01 dW2"]

    def doubled(df: Any, h1: Any) -> Any:
        return 2 * df.T @ h1

    lines = [said(blank, doubled, hints=hints).split("\n") for hints in (0, 1, 2)]
    assert [len(told) for told in lines] == [1, 2, 3]
    assert lines[1][1].strip() == "hint: " + CATALOGUE["dW doubled"].hint
    assert all(blanks.answers(sources("01")["dW2"])[0] not in line for line in lines[2])


def test_an_error_from_an_earlier_blank_is_called_inherited() -> None:
    blank = BY_NAME["01 forward"]
    space = dict(scope("01"))
    exec("def relu(a):\n    return a * 0.37", space)
    exec(sources("01")["forward"], space)
    exercise.KNOWN, exercise.PASSED = known("01"), set()
    with pytest.raises(Wrong, match="h1 is wrong, perhaps because relu is: get relu ✓ first"):
        check_exercise("forward", space[blank.called])


def test_a_view_of_what_was_given_is_told_last() -> None:
    right = sources("01")["df"].replace("len(x)", "len(f)").replace("x, y, f", "y, f")
    assert "✓" in said(BY_NAME["01 df"], filled(BY_NAME["01 df"], right))
    blank = BY_NAME["04 TwoLayerXOR"]
    code = sources("04")["TwoLayerXOR"].replace("W1.clone()", "W1")
    assert "right, but it is W1 itself" in said(blank, filled(blank, code))


def test_no_sentence_and_no_line_can_be_read_without_the_result() -> None:
    for number in NUMBERS:
        shown = json.dumps({k: v for k, v in known(number).items() if k != "array"})
        for slips in SLIPS.values():
            assert not any(sentence in shown for _, _, sentence, _ in slips)
        for source in sources(number).values():
            assert not any(answer in shown for answer in blanks.answers(source))
    key, text = fingerprint("a", np.ones(3)), b"the ReLU's derivative"
    assert seal(seal(text, key), key) == text
    assert b"ReLU" not in seal(text, key)
    assert b"ReLU" not in seal(seal(text, key), fingerprint("a", np.ones(4)))


def test_rounding_changes_no_fingerprint() -> None:
    rng = np.random.default_rng(0)
    for blank in BLANKS:
        results = exercises.run(
            blank, sources(blank.lesson)[blank.name], scope(blank.lesson), cases()
        )
        flat = [1.0 * a for arrays in results for a in arrays]
        for _ in range(50):
            noisy = [r * (1 + 1e-15 * rng.standard_normal(r.shape)) for r in flat]
            assert fingerprint("a", *noisy) == fingerprint("a", *flat), blank.name


@pytest.mark.slow
@pytest.mark.parametrize("number", LESSONS)
def test_the_notebooks_are_what_is_committed(number: str) -> None:
    made = nbformat.writes(build.build_exercise(LESSONS[number])).encode() + b"\n"
    file = build.NOTEBOOKS / "exercises" / f"{LESSONS[number].stem}.ipynb"
    assert made == file.read_bytes(), "make notebooks"


def committed(number: str) -> Any:
    return nbformat.read(build.NOTEBOOKS / "exercises" / f"{LESSONS[number].stem}.ipynb", 4)


@pytest.mark.parametrize("number", NUMBERS)
def test_nothing_that_is_to_be_written_stands_in_the_exercise(number: str) -> None:
    shown = [c for c in committed(number).cells if "KNOWN = json" not in c.source]
    assert not any(c.cell_type == "code" and c.outputs for c in shown)
    for name, source in sources(number).items():
        for answer in blanks.answers(source):
            there = [c.source for c in shown if answer in c.source]
            before = "numpy" if number > "01" else "shown by the lesson before"
            assert not [text for text in there if before not in text], (name, answer)


@pytest.mark.slow
@pytest.mark.parametrize("number", NUMBERS)
def test_filled_in_it_runs_to_its_end_and_left_blank_it_stops_at_its_own(number: str) -> None:
    cells = [c for c in committed(number).cells if c.cell_type == "code"]
    names = [c.metadata["exercise"] for c in cells if "exercise" in c.metadata]
    assert names == [b.name for b in exercises.blanks(number)]
    given: dict[str, Any] = {"__name__": "__main__"}
    done, stopped = set[str](), set[str]()
    for cell in cells:
        source = cell.source
        if name := cell.metadata.get("check"):
            with pytest.raises(inprocess.Failed, match="not written yet"):
                inprocess.run([source], given)
            stopped.add(name)
            inprocess.run([sources(number)[name]], given)
        if 'guess = "?"' in source:
            with pytest.raises(inprocess.Failed, match='put "yes" or "no"'):
                inprocess.run([source], given)
            source = source.replace('"?"', '"no"')
        (printed,) = inprocess.run([source], given)
        done |= {name} if name and "✓" in printed else set()
    assert done == stopped == set(names)


def test_the_helper_is_short_enough_to_be_read() -> None:
    pasted = build.paste(blanks.PASTED)
    code = re.sub(r'"""[^"]*?"""', "", pasted)
    lines = [line for line in code.splitlines() if line.strip() and "#" not in line.split()[0]]
    assert len(lines) < 80


UNUSUAL = {
    "relu": "def relu(a):\n    return np.where(a > 0, a, 0)",
    "relu_derivative": "def relu_derivative(a):\n    return 1.0 * (a > 0)",
    "loss": "def loss(f, y):\n    return float(0.5 * np.mean((f - y) ** 2))",
    "central_difference": """\
def central_difference(loss_at, at, step):
    slopes = np.zeros_like(at)
    for i in range(at.size):
        up, down = at.copy(), at.copy()
        up.flat[i] += step
        down.flat[i] -= step
        slopes.flat[i] = (loss_at(up) - loss_at(down)) / (2 * step)
    return slopes""",
    "sgd": """\
def moved(p, d, lr):
    return p - lr * d


def sgd(params, x, y, order, batch_size, lr):
    for rows in order:
        for i in range(0, len(rows), batch_size):
            batch = rows[i : i + batch_size]
            slopes = backward(x[batch], y[batch], *params)
            params = [moved(p, d, lr) for p, d in zip(params, slopes)]
            yield tuple(params)""",
}


@pytest.mark.slow
@pytest.mark.parametrize("name", UNUSUAL)
def test_the_lesson_goes_on_with_a_right_answer_in_an_unusual_form(name: str) -> None:
    filled_in = sources("01") | {name: UNUSUAL[name]}
    cells = [c for c in committed("01").cells if c.cell_type == "code"]
    texts = [filled_in.get(c.metadata.get("exercise", ""), c.source) for c in cells]
    said = "".join(inprocess.run([text.replace('"?"', '"no"') for text in texts]))
    assert said.count("✓") == 14
    assert "with wrong bias gradients: held-out accuracy 0.978" in said
    assert "accuracy 0.758, at least 0.93: no, as you said" in said
    assert ("Not proved" in said) == (name in ("relu", "relu_derivative", "loss"))


def is_no_code(blank: Any, old: str, new: str) -> str:
    """What Python says of a slip that cannot be run, and so would be left out in silence."""
    right = sources(blank.lesson)[blank.name].replace("torch.relu(a)", "np.maximum(a, 0)")
    try:
        with warnings.catch_warnings(action="ignore"), np.errstate(all="ignore"):
            exercises.run(blank, right.replace(old, new), scope(blank.lesson), cases())
    except (AttributeError, NameError, SyntaxError) as error:
        return f"{blank.name}: {new!r}: {error}"
    except Exception:  # shapes that do not fit: the learner is told what Python says
        return ""
    return ""


def test_every_slip_can_be_run() -> None:
    for blank in BLANKS:
        slips = SLIPS.get(f"{blank.lesson} {blank.name}", SLIPS.get(blank.name, []))
        assert [said for old, new, *_ in slips if (said := is_no_code(blank, old, new))] == []
    assert "meeean" in is_no_code(BY_NAME["01 loss"], ".mean()", ".meeean()")
