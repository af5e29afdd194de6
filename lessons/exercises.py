"""What the exercises know: two cases, the right values of one, and the sealed sentences.

Made from the catalogue of mistakes. `known` asserts what the feedback relies on: no two entries
alike, no sum so near to a step's edge that rounding could carry it over, an exact 0 that matters.
"""

from collections.abc import Iterator, Mapping
from hashlib import sha256
from itertools import count
from typing import Any

import numpy as np

from handgrad.exercise import fingerprint, in_steps, seal
from handgrad.mistakes import CATALOGUE, RIGHT
from handgrad.stages.numpy_manual import forward

Array = np.ndarray
Case = dict[str, Array]

LINKS = ("df", "dW2", "db2", "dh1", "da1", "dW1", "db1")
"""In the order in which the backward pass computes them."""

MARGIN = 1e-4
"""The least distance from a step's edge, in steps; rounding moves a sum by some 1e-6 of one."""


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
    return mixed and bool(partly) and all(c[n].all() for n in LINKS if n != "da1")


def case(x: Array, W1: Array, b1: Array, W2: Array, b2: Array) -> Case:
    """The arrays of a network by name, with every link after what it is made of."""
    y = np.arange(len(x))[:, None] % 2 * 1.0
    a1, h1, f = forward(x, W1, b1, W2, b2)
    found = {"x": x, "y": y, "W1": W1, "b1": b1, "W2": W2, "b2": b2, "a1": a1, "h1": h1, "f": f}
    for link in LINKS:
        found[link] = line(found, link, RIGHT[link.rstrip("12")])
    return found


def line(found: Mapping[str, Array], link: str, expression: str) -> Array:
    """A line of the catalogue, at the layer of the link."""
    c, lower = found, link.endswith("1") and link not in ("dh1", "da1")
    names: dict[str, Any] = {"f": c["f"], "y": c["y"], "da": c.get("df"), "a": c["a1"], "np": np}
    if lower:
        names |= {"h": c["x"], "W": c["W1"], "b": c["b1"], "da": c["da1"], "above": c["a1"]}
        names |= {"dW_above": c["dW2"], "dh_above": c["dh1"]}
    else:
        names |= {"h": c["h1"], "W": c["W2"], "b": c["b2"], "above": c["f"], "dh": c.get("dh1")}
        names |= {"dW": c.get("dW2"), "batch_size": 32, "lr": 0.1}
    return np.asarray(eval(expression, names))


def wrong_lines(link: str) -> Iterator[tuple[str, str]]:
    """Each mistake that can be made in the link: its sentence and its expression."""
    for mistake in CATALOGUE.values():
        kind, layer = link.rstrip("12"), 0 if link in ("dW1", "db1") else 1
        if mistake.link == kind and layer in mistake.layers(2) and "before" not in mistake.line:
            yield mistake.sentence, mistake.line.partition(" = ")[2]


def known() -> dict[str, Any]:
    """What `check_exercise` is given, in plain values."""
    small, large = both = cases()
    assert (small["a1"] == 0).sum() == 1
    assert (small["dh1"][small["a1"] == 0] != 0).all()
    sealed: dict[str, dict[str, str]] = {}
    for link in LINKS:
        entries = {"": [c[link] for c in both]}
        for sentence, expression in wrong_lines(link):
            entries[sentence] = [line(c, link, expression) for c in both]
        sealed[link] = _sealed(link, entries)
    shown = [{name: array.tolist() for name, array in c.items()} for c in both]
    return {
        "cases": shown,
        "right": {link: small[link].tolist() for link in LINKS},
        "sealed": sealed,
    }


def _sealed(link: str, entries: Mapping[str, list[Array]]) -> dict[str, str]:
    found: dict[str, str] = {}
    right = entries[""]
    for sentence, results in entries.items():
        if [r.shape for r in results] != [r.shape for r in right]:
            continue  # the shape is said first
        key = fingerprint(*results)
        _require_margin(link, results)
        name = sha256(key).hexdigest()[:16]
        if name in found:
            assert all(np.allclose(r, q) for r, q in zip(results, right, strict=True)), sentence
            continue  # at this link it is no mistake
        found[name] = seal(sentence.encode(), key).hex()
    return found


def _require_margin(link: str, results: list[Array]) -> None:
    for r in results:
        assert MARGIN < in_steps(r) % 1 < 1 - MARGIN, (
            f"{link}: a sum lies at a step's edge: other cases"
        )
