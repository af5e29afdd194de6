"""Small changes of any line: an operator, an array, a number, a sum, the rows that count.

Each table holds what is said of a change, what to look at, and the code that stands there then.
"""

import ast
from collections.abc import Iterator, Mapping
from copy import deepcopy
from typing import Any

import numpy as np

Array = np.ndarray
Change = tuple[str, str, ast.AST]

OUT = "Read the formula again, from the inside out."
PART = "Which arrays have a part in this link?"
ROW = "What belongs to one sample stays in its row."
MEAN = "What becomes of the samples in the formula?"
SHAPES = "Write the shapes below each factor."

# fmt: off
OPERATORS: dict[type, list[tuple[str, str, str]]] = {
    # of one - other, one + other …
    ast.Sub: [
        ("The difference is taken the other way round.", "Which of the two comes first?", "({other}) - ({one})"),
        ("Two things are added; it must be their difference.", OUT, "({one}) + ({other})"),
        ("{other} has no part in it.", OUT, "({one})"),
        ("{one} has no part in it.", OUT, "({other})"),
    ],
    ast.Add: [
        ("Something is subtracted that must be added.", OUT, "({one}) - ({other})"),
        ("Two things are multiplied that must be added.", OUT, "({one}) * ({other})"),
        ("{other} has no part in it.", OUT, "({one})"),
        ("{one} has no part in it.", OUT, "({other})"),
    ],
    ast.Mult: [
        ("Two things are added that must be multiplied.", OUT, "({one}) + ({other})"),
        ("Something is divided by that must be multiplied.", OUT, "({one}) / ({other})"),
        ("{other} has no part in it.", OUT, "({one})"),
        ("{one} has no part in it.", OUT, "({other})"),
    ],
    ast.Div: [
        ("It is multiplied by what it must be divided by.", OUT, "({one}) * ({other})"),
        ("It is rounded down: // is not /.", "Which division keeps the fraction?", "({one}) // ({other})"),
        ("It is divided by the square of what it must be divided by.", OUT, "({one}) / ({other}) ** 2"),
        ("The brackets are missing: only the second part is divided.", "What is divided, all of it or a part?", "{one} / ({other})"),
        ("A division is missing.", OUT, "({one})"),
    ],
    ast.Pow: [
        ("The square is missing.", OUT, "({one})"),
        ("It has another power than the square.", OUT, "({one}) ** 3"),
        ("It is doubled, not squared.", OUT, "({one}) * 2"),
        ("It is an absolute value, not a square.", OUT, "abs({one})"),
    ],
    ast.MatMult: [
        ("{one} has no part in it.", SHAPES, "({other}).sum(axis=0, keepdims=True)"),
        ("{one} has no part in it.", SHAPES, "({other}).mean(axis=0, keepdims=True)"),
        ("Two things are added that must be multiplied.", SHAPES, "({one}) + ({other})"),
        ("The two factors are multiplied in another order.", SHAPES, "(({other}).T @ ({one}).T)"),
    ],
}
OF_ALL = [
    # of a product of matrices, for each array
    ("{array} stands where another array belongs.", PART, "({one}) * {array}"),
    ("{array} stands where another array belongs.", PART, "(({one}).T * {array}).sum(axis=0, keepdims=True)"),
]
CALLS = [
    # within a call's text
    (".sum(", ".mean(", "It is averaged; it must be summed."),
    (".mean(", ".sum(", "It is summed; it must be averaged."),
    (".sum(", ".max(", "Only the largest is taken; it must be a sum."),
    (".sum(", ".min(", "Only the smallest is taken; it must be a sum."),
    (".mean(", ".max(", "Only the largest is taken; it must be the mean."),
    (".sum(", ".prod(", "The entries are multiplied; they must be summed."),
    (".sum(", ".std(", "It is a spread; it must be a sum."),
]
COUNTS = ["(len({a}) - 1)", "(len({a}) + 1)", "{a}.shape[1]", "2", "len({a}) ** 2", "{a}.size"]
ARRAYS = [
    # of an array's name
    ("{a} has no part in it.", "What arrives from above, and what is the local derivative?", "(0 * {a} + 1)"),
    ("The rows of {a} are in the reverse order.", "Row by row: what belongs to what?", "{a}[::-1]"),
    ("The sign of {a} is lost.", "Where does an absolute value come in?", "abs({a})"),
    ("The sign of {a} is turned.", "Where does the minus come from?", "(-{a})"),
    ("{a} is squared.", "Which power stands in the formula?", "{a} ** 2"),
    ("Of {a} only the sign is left.", "Where do the sizes get lost?", "np.sign({a})"),
    ("{a} goes through a ReLU, or once more.", "How often does the ReLU come?", "np.maximum({a}, 0)"),
    ("Of {a} only what is above 0 counts, as 1.", "Is it the value or the slope that you need?", "({a} > 0) * 1.0"),
    ("The columns of {a} are in the reverse order.", "Column by column: what belongs to what?", "{a}[:, ::-1]"),
]
OF_SAMPLES = [
    # of an array's name, if it has a row for each sample
    ("All samples have the mean of {a}.", ROW, "({a}.mean(axis=0) + 0 * {a})"),
    ("All samples have the sum of {a}.", ROW, "({a}.sum(axis=0) + 0 * {a})"),
    ("All samples have the first one's {a}.", ROW, "({a}[:1] + 0 * {a})"),
]
OTHERS = [
    # of an array's name and that of another one of its shape
    ("{b} stands where another array belongs.", PART, "{b}"),
    ("A mask of {b} stands where another array belongs.", PART, "({b} > 0) * 1.0"),
    ("{a} is multiplied by {b}.", PART, "({a} * {b})"),
    ("{b} is added to {a}.", PART, "({a} + {b})"),
]
ROWS = [
    # of all arrays with a row for each sample
    (":1", "Only the first sample counts."),
    ("-1:", "Only the last sample counts."),
    ("1:", "The first sample does not count."),
    (":-1", "The last sample does not count."),
    ("::2", "Only every other sample counts."),
]
COMPARE: dict[type[ast.cmpop], str] = {
    ast.GtE: "At the border itself the comparison goes the other way.",
    ast.Gt: "At the border itself the comparison goes the other way.",
    ast.Lt: "The comparison is turned round: it lets the others through.",
    ast.LtE: "The comparison is turned round: it lets the others through.",
    ast.NotEq: "It compares for unequal.",
    ast.Eq: "It compares for equal.",
}
# fmt: on


def small_changes(source: str, case: Mapping[str, Array]) -> Iterator[tuple[str, str, str]]:
    """What is said, what to look at, and the source with one node of it changed."""
    tree = ast.parse(source)
    nodes = list(ast.walk(tree))
    used = {n.id for n in nodes if isinstance(n, ast.Name)}
    used |= {n.arg for n in nodes if isinstance(n, ast.arg)}
    one_line = source.count("\n") <= 3  # a link: all arrays may be meant
    known = sorted(set(case) if one_line else set(case) & used)
    for i, node in enumerate(nodes):
        for sentence, hint, new in _changes(node, case, known):
            copy = deepcopy(tree)
            yield sentence, hint, _written(copy, {list(ast.walk(copy))[i]: new})
    for rows, sentence in ROWS:
        copy = deepcopy(tree)
        batch: list[Any] = list(ast.walk(copy))
        batch = [n for n in batch if _is_read(n, case) and _has_rows(case, n.id)]
        cut = {n: _parsed(f"{n.id}[{rows}]") for n in batch}
        yield sentence, "Every sample counts alike.", _written(copy, cut)


def _is_read(node: Any, case: Mapping[str, Array]) -> bool:
    return isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and node.id in case


def _has_rows(case: Mapping[str, Array], name: str) -> bool:
    return len(case[name]) == len(case["x"])


def _changes(node: Any, case: Mapping[str, Array], known: list[str]) -> Iterator[Change]:
    if isinstance(node, ast.Compare):
        for operator, sentence in COMPARE.items():
            changed = ast.Compare(node.left, [operator()], node.comparators)
            yield sentence, "Try −1, 0 and 1 on paper.", changed
    elif isinstance(node, ast.BinOp):
        one, other = ast.unparse(node.left), ast.unparse(node.right)
        for text, hint, code in OPERATORS.get(type(node.op), []):
            named = text.format(one=one.removesuffix(".T"), other=other.removesuffix(".T"))
            yield named, hint, _parsed(code.format(one=one, other=other))
        for array in known if isinstance(node.op, ast.MatMult) else ():
            for text, hint, code in OF_ALL:
                yield text.format(array=array), hint, _parsed(code.format(one=one, array=array))
    elif isinstance(node, ast.Call):
        yield from _of_a_call(node)
    elif _is_read(node, case):
        yield from _of_an_array(node.id, case, known)
    elif isinstance(node, ast.Constant) and type(node.value) in (int, float):
        n: Any = node.value
        for value in (2 * n, n / 2, n + 1, n - 1, 1 - n):
            text = "A number is another one than it must be: look at each constant."
            yield text, "Which numbers stand in the formula?", ast.Constant(value)


def _of_a_call(node: ast.Call) -> Iterator[Change]:
    text = ast.unparse(node)
    for old, new, sentence in CALLS:
        if text.count(old) == 1 and "dim=" not in text:
            yield sentence, MEAN, _parsed(text.replace(old, new))
    if text.startswith("len("):
        for count in COUNTS:
            sentence = "It is divided by another count than the number of samples."
            yield sentence, "Over what is the mean in L?", _parsed(count.format(a=text[4:-1]))
    name = ast.unparse(node.func)
    if name in ("relu", "relu_derivative"):
        other = "relu" if name == "relu_derivative" else "relu_derivative"
        called = _parsed(f"{other}({ast.unparse(node.args[0])})")
        yield f"{name} is left out.", OUT, node.args[0]
        yield f"It is {other} that is called.", "Which is it, the value or the slope?", called


def _of_an_array(name: str, case: Mapping[str, Array], known: list[str]) -> Iterator[Change]:
    for text, hint, code in (*ARRAYS, *(OF_SAMPLES if _has_rows(case, name) else ())):
        yield text.format(a=name), hint, _parsed(code.format(a=name))
    for other in known:
        if other != name and case[other].shape == case[name].shape:
            for text, hint, code in OTHERS:
                yield text.format(a=name, b=other), hint, _parsed(code.format(a=name, b=other))


def _parsed(text: str) -> ast.expr:
    return ast.parse(text, mode="eval").body


def _written(tree: ast.AST, changed: Mapping[Any, ast.AST]) -> str:
    """The tree's source, with other nodes in the places of some."""

    class Put(ast.NodeTransformer):
        def visit(self, node: ast.AST) -> Any:
            return changed[node] if node in changed else super().generic_visit(node)

    return ast.unparse(ast.fix_missing_locations(Put().visit(tree)))
