"""The exercises: the lessons with blanks, and what each blank's check knows.

A `Blank` is a function of the lesson whose body the learner writes, or a line of the backward pass,
which becomes a function. What its check knows is made here: the right values on two cases, and of
every mistake that somebody foresaw a fingerprint of its results with a sealed sentence. Mistakes
come from the catalogue, from `SLIPS`, and from small changes of the right lines (`variants`).
"""

import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from inspect import signature
from itertools import count
from typing import Any

import numpy as np
from slips import Slip, catalogued, variants

from handgrad.exercise import fingerprint, in_steps, plain, seal
from handgrad.mistakes import RIGHT
from handgrad.stages.numpy_manual import forward

Array = np.ndarray
Case = dict[str, Array]

MARGIN = 1e-4
"""The least distance from a step's edge, in steps; rounding moves a sum by some 1e-6 of one."""

POINT = "x y W1 b1 W2 b2"
ARRAYS = f"{POINT} a1 h1 f df dW2 db2 dh1 da1 dW1 db1 "
"""Of a case, each after what it is made of."""

FOUR = "dW1 db1 dW2 db2"


@dataclass(frozen=True)
class Blank:
    """Something to write.

    lesson: its file's first two digits; says: what to write, and its shape; tip: the long hint;
    given: what the check hands over, names of arrays of a case (`a=a1`: a1 under the name a);
    returns: names of the results; needs: blanks that this one calls; call: a function that the
    check calls in place of the blank, where its result is no array; link: a line of the backward
    pass.
    """

    name: str
    lesson: str
    given: str
    returns: str
    says: str
    tip: str
    needs: str = ""
    call: str = ""
    link: bool = False

    @property
    def function(self) -> str:
        """The name of the function that the learner writes."""
        return f"find_{self.name}" if self.link else self.name

    @property
    def use(self) -> str:
        """A link's function with its arguments."""
        return f"{self.function}({', '.join(self.given.split())})"

    @property
    def called(self) -> str:
        """The name of the function that the check calls."""
        return self.call.split("(")[0].removeprefix("def ") if self.call else self.function

    @property
    def arguments(self) -> dict[str, str]:
        """By the argument's name, the array of the case; a link is given all that comes before."""
        if self.link:
            before = ARRAYS.split(f" {self.name} ")[0]
            return {name: name for name in before.split()}
        pairs = (word.partition("=") for word in self.given.split())
        return {name: array or name for name, _, array in pairs}


UPDATES = '''
def updates_of_sgd(x, y, W1, b1, W2, b2):
    """The parameters after each update: two epochs, batches of 5, the last one shorter."""
    from itertools import islice

    rows = [*range(3, len(x)), 0, 1, 2]
    order = {array}([rows, rows[::-1]])
    updates = sgd((W1, b1, W2, b2), x, y, order, 5, 0.01)
    if not hasattr(updates, "__next__"):
        raise TypeError("sgd must yield the parameters after each update: is there a yield?")
    kept = [[{copy} for p in now] for now in islice(updates, 50)]
    return tuple({stack}(p) for p in zip(*kept, strict=True))
'''
NUMPY_UPDATES = UPDATES.format(array="np.array", copy="p.copy()", stack="np.array").strip()
TORCH_UPDATES = UPDATES.format(
    array="torch.tensor", copy="p.detach().clone()", stack="torch.stack"
).strip()
SGD = "for each row of order, batch by batch: the gradients, an update of each parameter, a yield"

BLANKS = [
    Blank(
        "relu",
        "01",
        "a=a1",
        "h1 row",
        "max(a, 0), entry by entry; the shape of a",
        "np.maximum compares two arrays, or an array and a number, entry by entry.",
        call='''def relu_of_two_shapes(a):
    """Of all samples (B, h), and of one (h,)."""
    return relu(a), relu(a[0].copy())''',
    ),
    Blank(
        "relu_derivative",
        "01",
        "a=a1",
        "slope row",
        "1 or True where a > 0, else 0 or False; the shape of a",
        "A comparison of an array gives an array of True and False, which count as 1 and 0.",
        call='''def slope_of_two_shapes(a):
    """Of all samples (B, h), and of one (h,)."""
    return relu_derivative(a), relu_derivative(a[0].copy())''',
    ),
    Blank(
        "forward",
        "01",
        "x W1 b1 W2 b2",
        "a1 h1 f",
        "a1 (B, h), h1 (B, h) and f (B, 1), and return all three",
        "Write the shapes down: x is (B, d), W1 (h, d). Which product gives (B, h)?",
        needs="relu",
    ),
    Blank(
        "loss",
        "01",
        "f y",
        "L",
        "the mean over the batch of ½ (f − y)²; one number",
        "Three steps: the difference, its square, and the mean. Where does the ½ go?",
    ),
    Blank(
        "central_difference",
        "01",
        "p=W1 q=b1 w=dW1",
        "slopes row",
        "for each entry of `at`: the loss a step above it, less the loss a step below, over twice "
        "the step; the shape of `at`",
        "Go through np.ndindex(at.shape). Move one entry, look, and put it back before the next.",
        call='''def slopes_of_a_cubic(p, q, w):
    """The slopes at p (h, d), and at q (h,), of functions in which each step counts."""
    of_p = central_difference(lambda p: (w * p**3).sum() + p.sum() ** 3, p.copy(), 0.25)
    return of_p, central_difference(lambda q: (q**3).sum() + q.sum() ** 3, q.copy(), 0.25)''',
    ),
    Blank(
        "df",
        "01",
        "x y f",
        "df",
        "∂L/∂f, shape (B, 1), of the mean over B samples",
        "L is a mean of ½ (f − y)². One sample moves it by its own derivative, over B.",
        link=True,
    ),
    Blank(
        "dW2",
        "01",
        "df h1 W2",
        "dW2",
        "∂L/∂W2, shape (1, h), from df (B, 1) and h1 (B, h)",
        "Entry j is df times h1[j], added up over the samples. Which index must be the inner one?",
        link=True,
    ),
    Blank(
        "db2",
        "01",
        "df h1",
        "db2",
        "∂L/∂b2, shape (1,), from df (B, 1)",
        "Every sample uses b2 once. What comes back from each use is added up.",
        link=True,
    ),
    Blank(
        "dh1",
        "01",
        "df h1 W2",
        "dh1",
        "∂L/∂h1, shape (B, h), from df (B, 1) and W2 (1, h)",
        "One sample, one unit: df times that unit's weight. Nothing is added up over samples.",
        link=True,
    ),
    Blank(
        "da1",
        "01",
        "dh1 a1 h1",
        "da1",
        "∂L/∂a1, shape (B, h), from dh1 and a1, both (B, h)",
        "Entry by entry: what arrives, times the ReLU's slope at its own a1.",
        needs="relu_derivative",
        link=True,
    ),
    Blank(
        "dW1",
        "01",
        "x a1 da1",
        "dW1",
        "∂L/∂W1, shape (h, d), from da1 (B, h) and x (B, d)",
        "The same link as dW2, a layer below. Which index is added up, and must be the inner one?",
        link=True,
    ),
    Blank(
        "db1",
        "01",
        "dh1 da1",
        "db1",
        "∂L/∂b1, shape (h,), from da1 (B, h)",
        "The same link as db2, a layer below: one number a unit.",
        link=True,
    ),
    Blank(
        "backward",
        "01",
        POINT,
        FOUR,
        "all seven links in order, for a batch; return dW1, db1, dW2, db2",
        "Begin with the forward pass. Then the seven lines that you have, one below the other.",
        needs="forward relu_derivative",
    ),
    Blank(
        "sgd",
        "01",
        POINT,
        "W1 b1 W2 b2",
        f"{SGD} W1, b1, W2, b2 (work on copies)",
        "Two loops: over the rows of order, and over range(0, len(rows), batch_size). A slice may "
        "end behind the last sample.",
        needs="backward",
        call=NUMPY_UPDATES,
    ),
    Blank(
        "forward",
        "02",
        "x W1 b1 W2 b2",
        "a1 h1 f",
        "a1 (B, h), h1 (B, h) and f (B, 1) as tensors, and return all three",
        "The lines of notebook 1: tensors have @ and .T too, and relu is given above.",
        call='''def tensors_of_forward(x, W1, b1, W2, b2):
    """What comes back; tensors that record nothing."""
    found = forward(x, W1, b1, W2, b2)
    for t in found:
        if not isinstance(t, Tensor) or t.requires_grad:
            raise TypeError(f"tensors without requires_grad must come back, not {type(t).__name__}")
    return tuple(found)''',
    ),
    Blank(
        "backward",
        "02",
        POINT,
        FOUR,
        "the seven links on tensors; return dW1, db1, dW2, db2",
        "The lines of notebook 1, with dim where NumPy has axis.",
        needs="forward",
        call='''def tensors_of_backward(x, y, W1, b1, W2, b2):
    """What comes back; tensors that record nothing."""
    found = backward(x, y, W1, b1, W2, b2)
    for t in found:
        if not isinstance(t, Tensor) or t.requires_grad:
            raise TypeError(f"tensors without requires_grad must come back, not {type(t).__name__}")
    return tuple(found)''',
    ),
    Blank(
        "backward",
        "03",
        POINT,
        FOUR,
        "let autograd do it: require gradients, clear them, go back from the loss; return the four",
        "Four steps: requires_grad_(), .grad = None, the loss's .backward(), and then read .grad.",
        call='''def second_call(x, y, W1, b1, W2, b2):
    """`backward` on half of the samples, then on all of them, with the same parameters."""
    params = [p.clone() for p in (W1, b1, W2, b2)]
    backward(x[::2], y[::2], *params)
    return tuple(g if g is None else g.clone() for g in backward(x, y, *params))''',
    ),
    Blank(
        "sgd",
        "03",
        POINT,
        "W1 b1 W2 b2",
        f"{SGD} W1, b1, W2, b2 (work on copies, update under no_grad)",
        "As in notebook 1. A leaf may be changed in place only under torch.no_grad().",
        needs="backward",
        call=TORCH_UPDATES,
    ),
    Blank(
        "HandWrittenLoss.backward",
        "03",
        POINT,
        FOUR,
        "from ctx.saved_tensors and dL the seven links; return None, None, dW1, db1, dW2, db2",
        "dL is what arrives from above. It multiplies the first link, and so reaches all others.",
        call='''def gradients_of_three_losses(x, y, W1, b1, W2, b2):
    """What the Function leaves in .grad if 3 L is what is minimized."""
    leaves = [p.clone().requires_grad_() for p in (W1, b1, W2, b2)]
    (3 * HandWrittenLoss.apply(x, y, *leaves)).backward()
    return tuple(p.grad for p in leaves)''',
    ),
    Blank(
        "TwoLayerXOR",
        "04",
        POINT,
        f"f W1 b1 W2 b2 {FOUR}",
        "four parameters: copies of what is given, with these names and in this order | f (B, 1), "
        "from the parameters",
        "nn.Parameter(t) registers t under its attribute's name; t.clone() has memory of its own.",
        call='''def values_of_the_module(x, y, W1, b1, W2, b2):
    """f, the parameters by their names, and their gradients."""
    model = TwoLayerXOR(W1, b1, W2, b2)
    names, params = zip(*model.named_parameters(), ("", None), strict=True)
    if names[:-1] != ("W1", "b1", "W2", "b2"):
        raise AttributeError(f"nn.Parameters must be W1, b1, W2, b2, are {', '.join(names[:-1])}")
    params = params[:-1]
    loss(model(x), y).backward()
    return (model(x), *params, *(p.grad for p in params))''',
    ),
    Blank(
        "EpochOrder",
        "04",
        "x",
        "rows length",
        "keep the order, and that epoch 0 is next | keep which epoch is next | N | an iterator "
        "over the epoch's row, as whole numbers",
        "__iter__ returns an iterator, as iter(a list) is one. set_epoch says which row is next.",
        call='''def rows_of_five_passes(x):
    """The rows that five passes visit, the first without set_epoch, and the length."""
    rows = torch.arange(len(x))
    sampler = EpochOrder(torch.stack([rows.roll(2), rows.flip(0), rows.roll(3)]))
    passes = [list(sampler)]
    for epoch in (2, 0, 0, 1):
        sampler.set_epoch(epoch)
        passes.append(list(sampler))
    return torch.tensor(passes), torch.tensor(len(sampler))''',
    ),
    Blank(
        "sgd",
        "04",
        POINT,
        "W1 b1 W2 b2",
        "the module, the optimizer, the loader in our order; after each update a yield of "
        "model.W1, model.b1, model.W2, model.b2",
        "For each batch: clear the gradients, go back from the loss, step. For each epoch before "
        "that: set_epoch.",
        needs="TwoLayerXOR EpochOrder",
        call=TORCH_UPDATES,
    ),
    Blank(
        "accuracy",
        "04",
        "x f",
        "share",
        "the share of samples whose class, 1 where f ≥ ½, is y; one number",
        "Compare two arrays of True and False, and take the mean.",
        call='''def accuracy_with_a_half(x, f):
    """Targets 1 where x₁ > 0.3; the first sample's f is exactly ½."""
    y = (x[:, :1] > 0.3).double()
    return accuracy((f - f[0] + 0.5).numpy(), y.numpy())''',
    ),
]


def blanks(lesson: str) -> list[Blank]:
    """A lesson's, in order."""
    return [blank for blank in BLANKS if blank.lesson == lesson]


def cases() -> list[Case]:
    """(B, d, h) = (8, 3, 5) in quarters, with one exact 0 in a1; (12, 4, 7) normal.

    No two sizes are alike, and none is another one less 1: a wrong axis shows. The 0 comes from an
    entry of b1, and is where dh1 is not 0. The first draws that are `sound` are taken.
    """

    def small(rng: np.random.Generator) -> Case:
        x, W1, b1, W2, b2 = (
            rng.integers(-8, 9, size) / 4 for size in ((8, 3), (5, 3), (5,), (1, 5), (1,))
        )
        b1[1] = -(x[2] @ W1[1])  # a1[2, 1] is exactly 0
        return case(x, W1, b1, W2, b2)

    def large(rng: np.random.Generator) -> Case:
        sizes = ((12, 4), (7, 4), (7,), (1, 7), (1,))
        return case(*(rng.standard_normal(size) for size in sizes))

    draws = (np.random.default_rng(seed) for seed in count())
    found = (small(rng) for rng in draws), (large(rng) for rng in draws)
    return [next(filter(sound, found[0])), next(filter(sound, found[1]))]


def sound(c: Case) -> bool:
    """Both signs in every array, every unit on and off, and no right value that is 0 by chance."""
    mixed = all(
        (c[name] > 0).any() and (c[name] < 0).any() for name in ("x", "W1", "W2", "df", "da1")
    )
    on = c["a1"] > 0
    partly = (on.any(axis=0) & ~on.all(axis=0)).all()
    links = "df", "dW2", "db2", "dh1", "dW1", "db1"
    return mixed and bool(partly) and all(c[n].all() for n in links)


def case(x: Array, W1: Array, b1: Array, W2: Array, b2: Array) -> Case:
    """The arrays of a network by name, with every link after what it is made of."""
    y = np.arange(len(x))[:, None] % 2 * 1.0
    a1, h1, f = forward(x, W1, b1, W2, b2)
    found = {"x": x, "y": y, "W1": W1, "b1": b1, "W2": W2, "b2": b2, "a1": a1, "h1": h1, "f": f}
    for link in ("df", "dW2", "db2", "dh1", "da1", "dW1", "db1"):
        layer = 0 if link in ("dW1", "db1") else 1
        found[link] = eval(catalogued(RIGHT[link.rstrip("12")], layer), {"np": np, **found})
    return found


def known(lesson: str, sources: Mapping[str, str], scope: Mapping[str, Any]) -> dict[str, Any]:
    """What the lesson's checks know, in plain values.

    sources: of the lesson's blanks, by name, as they should be filled in; scope: what they call.
    """
    both = cases()
    assert (both[0]["a1"] == 0).sum() == 1
    assert (both[0]["dh1"][both[0]["a1"] == 0] != 0).all()
    texts = _Texts()
    found = {b.name: _known(b, sources[b.name], scope, both, texts) for b in blanks(lesson)}
    used = {array for b in blanks(lesson) for array in b.arguments.values()}
    shown = [{n: a.tolist() for n, a in c.items() if n in used} for c in both]
    return {"cases": shown, "texts": texts.sealed, "blanks": found}


def _known(
    blank: Blank, source: str, scope: Mapping[str, Any], both: list[Case], texts: "_Texts"
) -> dict[str, Any]:
    right = run(blank, source, scope, both)
    names = blank.returns.split()
    store = _Sealed(texts)
    store.add("all", [a for results in right for a in results], "✓", required=True)
    for i, name in enumerate(names):
        store.add(name, [results[i] for results in right], "✓", required=True)
    for slip, results in _wrong(blank, source, scope, both, right):
        text = f"{slip.sentence}\n{slip.hint}"
        store.add("all", [a for rs in results for a in rs], text, slip.required)
        for i, name in enumerate(names):
            if slip.each or wrong_parts(results, right) == [i]:
                store.add(name, [rs[i] for rs in results], text)
    return {
        "given": blank.arguments,
        "returns": names,
        "order": _order(names),
        "needs": blank.needs.split(),
        "says": blank.says.replace(" | ", "; "),
        "tips": [blank.tip],
        "right": [a.tolist() for a in right[0]],
        "sealed": store.entries,
    }


def _order(names: list[str]) -> list[str]:
    """As they are computed: what lies above first, since what lies below inherits its errors."""
    above = [n for n in names if n.startswith("d") and n.endswith("2")]
    return [*above, *(n for n in names if n not in above)]


class _Texts:
    """The sentences, each sealed once with a key of its own."""

    def __init__(self) -> None:
        self.sealed = [""]  # what nobody has foreseen
        self._tokens: dict[str, bytes] = {}

    def token(self, text: str) -> bytes:
        """Where the sentence is, and what opens it."""
        if text not in self._tokens:
            place = len(self.sealed).to_bytes(2, "big")
            self._tokens[text] = place + sha256(text.encode()).digest()[:6]
            self.sealed.append(seal(text.encode(), self._tokens[text]).hex())
        return self._tokens[text]


class _Sealed:
    """Of one blank, by the digest of some results' fingerprint the sentence's sealed token."""

    def __init__(self, texts: _Texts) -> None:
        self.entries: dict[str, str] = {}
        self._texts = texts

    def add(self, name: str, results: list[Array], text: str, required: bool = False) -> None:
        """One more sentence for these results, unless there is one."""
        safe = all(MARGIN < in_steps(a) % 1 < 1 - MARGIN for a in results)
        assert safe or not required, f"{name}: a sum lies at a step's edge: other cases"
        key = fingerprint(name, *results)
        if safe:
            token = seal(self._texts.token(text), key).hex()
            self.entries.setdefault(sha256(key).hexdigest()[:12], token)


def _wrong(
    blank: Blank, source: str, scope: Mapping[str, Any], both: list[Case], right: list[list[Array]]
) -> Iterator[tuple[Slip, list[list[Array]]]]:
    """Every wrong form whose results have the right shapes, and differ from the right ones."""
    for slip, found in variants(blank, source, both, right):
        try:
            with warnings.catch_warnings(action="ignore"), np.errstate(all="ignore"):
                results = run(blank, found, scope, both) if isinstance(found, str) else found
        except Exception:
            continue  # the learner is told what Python says
        if fits(results, right):
            yield slip, results


def wrong_parts(results: list[list[Array]], right: list[list[Array]]) -> list[int]:
    """Which of the results differ from the right ones in some case."""
    return [
        i
        for i in range(len(right[0]))
        if not all(
            np.allclose(r[i], q[i], rtol=1e-9, atol=1e-12)
            for r, q in zip(results, right, strict=True)
        )
    ]


def fits(results: list[list[Array]], right: list[list[Array]]) -> bool:
    """Whether they are like the right ones in number, shape and dtype, finite, and not right."""
    if [len(rs) for rs in results] != [len(qs) for qs in right]:
        return False
    pairs = [
        (a, r) for rs, qs in zip(results, right, strict=True) for a, r in zip(rs, qs, strict=True)
    ]
    if any(a.shape != r.shape or (a.dtype != r.dtype and r.dtype != bool) for a, r in pairs):
        return False
    with np.errstate(all="ignore"):
        finite = all(np.isfinite(a).all() for a, _ in pairs)
    return finite and bool(wrong_parts(results, right))


def run(blank: Blank, source: str, scope: Mapping[str, Any], both: list[Case]) -> list[list[Array]]:
    """What the blank returns on both cases, filled in with this source."""
    space: dict[str, Any] = dict(scope)
    exec(compile(source, f"<{blank.name}>", "exec"), space)
    exec(blank.call, space)
    found = []
    for c in both:
        space |= c if blank.link else {}
        found += results_on(space[blank.called], blank, space["ARRAY"], [c])
    return found


def results_on(
    function: Callable[..., Any], blank: Blank, array: Callable[[Array], Any], both: list[Case]
) -> list[list[Array]]:
    """What the function returns on both cases for the arrays that it asks for."""
    found = []
    for c in both:
        asked = signature(function).parameters
        given = {n: array(c[a]) for n, a in blank.arguments.items() if n in asked}
        got = function(**given)
        found.append([plain(a) for a in (got if isinstance(got, tuple) else (got,))])
    return found
