"""A function that is batched must give what a loop gives."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from handgrad.checker.arrays import Native, drawn, size_of
from handgrad.checker.report import Report
from handgrad.errors import BadInput

BATCH = 3
"""So many samples are batched."""

Run = Callable[..., Sequence[Any]]


def differing_batches(
    functions: Callable[[Sequence[str]], Sequence[tuple[Run, Sequence[str]]]],
    params: Mapping[str, Any],
    rng: np.random.Generator,
    vmap: Callable[[Run, int], Run],
    stack: Callable[[Sequence[Any], int], Any],
    same: Callable[[Any, Any], bool],
    no_rule: Sequence[str],
) -> list[str]:
    """How results under vmap differ from those of a loop, a sentence each.

    Tried are all inputs batched along their first axis, along their last, and each one alone.
    functions: names → functions of these inputs alone, and what their results are called;
    params: the inputs, near which samples are drawn; vmap: (function, axis) → the batched function;
    stack: (samples, axis); no_rule: what the library says of a function that cannot be batched.
    Raises `BadInput` for such a function.
    """
    samples = {name: _nearby(name, p, rng) for name, p in params.items()}
    wrong: list[str] = []
    for told, names, axis in _ways(list(samples)):
        for run, whats in functions(names):
            looped = [run(*(samples[n][b] for n in names)) for b in range(BATCH)]
            try:
                found = vmap(run, axis)(*(stack(samples[n], axis) for n in names))
            except Exception as error:
                text = " ".join(str(error).split()).partition(" For more details")[0]
                if any(said in text for said in no_rule):
                    raise BadInput(f"vmap must find a rule: {text}") from None
                wrong.append(f"vmap {told}: it raised {type(error).__name__}: {text}")
                break
            alone = [stack(results, 0) for results in zip(*looped, strict=True)]
            off = [w for w, f, a in zip(whats, found, alone, strict=True) if not same(f, a)]
            if off:
                wrong.append(f"vmap {told}: not what a loop gives: {', '.join(off)}")
                break
    return wrong


def with_batches(report: Report, wrong: Sequence[str]) -> Report:
    """The report, and after it what differs under vmap; or that nothing does."""
    if wrong:
        return replace(report, calls=(*report.calls, *wrong))
    note = "vmap gives what a loop gives, over each axis and each input"
    return replace(report, notes=(*report.notes, note))


def _nearby(name: str, p: Any, rng: np.random.Generator) -> list[Any]:
    """Samples of the caller's kind."""
    native = Native({name: p}, narrow=True)
    (a,) = native.arrays().values()
    moves = (drawn(rng, a.shape, 0.16 * size_of(a)) for _ in range(BATCH))
    return [native.build({name: a + move})[name] for move in moves]


def _ways(names: Sequence[str]) -> Iterator[tuple[str, Sequence[str], int]]:
    """What is batched, in words, its names, and along which axis."""
    yield "over the first axis", names, 0
    yield "over the last axis", names, -1
    for name in names if len(names) > 1 else ():
        yield f"over {name} alone", [name], 0
