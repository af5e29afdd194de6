"""How a backward pass is called must not matter: twice, in another layout, for one input alone.

A check that calls it in one way sees none of this; elsewhere, in a larger graph, it is a wrong
gradient. All calls are made at the given point, with one upstream gradient.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

import torch
from torch import Tensor

from handgrad.checker.tensors import Tensors, TorchProgram

Gradients = dict[str, Tensor]
Call = Callable[[], Gradients]


def differing_calls(
    program: TorchProgram, rounding: Callable[[], Mapping[str, float]]
) -> tuple[list[str], list[str]]:
    """What depends on how the backward pass is called, a sentence each; and what could not run.

    rounding: how far it may move an entry of each gradient; asked only where something differs.
    """
    try:
        graph = _Graph(program, _fresh(program))
        right = graph.backward()
    except RuntimeError:  # reentrant checkpointing knows `.backward()` alone
        return [], ["how the backward pass is called was not varied: it can only be run as a whole"]
    if not graph.made:
        return [], []
    wrong, notes = graph.changed(), []
    for together, calls in _other_calls(program, graph, right):
        if _is_right(together, right):
            continue
        for sentence, call in calls:
            try:
                found = call()
            except Exception as error:
                said = " ".join(str(error).split())
                kind = type(error).__name__
                notes.append(f"{sentence.partition(':')[0]}: it raised {kind}: {said}")
                continue
            off = [n for n, g in found.items() if not _same(g, right[n])]
            if off and (far := rounding()):
                off = [n for n in off if not _same(found[n], right[n], far.get(n, 0.0))]
            if off:
                wrong.append(f"{sentence} (wrong then: {', '.join(off)})")
    return wrong, notes


def _other_calls(
    program: TorchProgram, graph: "_Graph", right: Gradients
) -> Iterator[tuple[Call, list[tuple[str, Call]]]]:
    """Several changes in one call, and the sentence and the call for each of them alone."""
    calls: list[tuple[str, Call]] = [
        ("a second backward pass on one graph: its result is another one", graph.backward)
    ]
    for kind, lay in (("transposed", _transposed), ("strided", _strided)):
        if any(lay(c) is not None for c in graph.upstream):
            sentence = (
                f"a {kind} upstream gradient with the same values: the result is another one, as "
                "if it were read in memory order"
            )
            calls.append((sentence, partial(graph.backward, lay)))
    yield partial(graph.backward, _transposed_and_strided), calls
    for name in program.inputs:
        if name not in right:
            continue
        calls, turned = [], _transposed(program.params[name].detach())
        if program.seed is not None:
            turned = None  # random numbers are drawn in memory order: it is another mask
        p = _fresh(program) | ({} if turned is None else {name: turned})
        if turned is not None:
            sentence = f"{name} in a transposed layout, with the same values"
            calls.append((f"{sentence}: the result is another one", _once(program, p, None)))
        if len(right) > 1:
            sentence = f"{name} alone requires a gradient: its gradient is another one"
            calls.append((sentence, _once(program, _fresh(program), [name])))
        if calls:
            yield _once(program, p, [name]), calls
    if program.own and program.inputs:
        sentence = "no input requires a gradient: those of the parameters are others"
        call = _once(program, _fresh(program), list(program.own))
        yield call, [(sentence, call)]


def _once(program: TorchProgram, p: Tensors, only: Sequence[str] | None) -> Call:
    """One forward and one backward pass, in which only these require a gradient."""
    return lambda: _Graph(program, _fresh(program, p), only).backward()


def _is_right(call: Call, right: Gradients) -> bool:
    try:
        return all(_same(g, right[n]) for n, g in call().items())
    except Exception:  # it is called again, with one change at a time
        return False


class _Graph:
    """One forward pass on record, with its upstream gradients.

    only: the names that require a gradient; all where left out.
    """

    def __init__(
        self, program: TorchProgram, p: Tensors, only: Sequence[str] | None = None
    ) -> None:
        wanted = list(p) if only is None else only
        inputs = [name for name in program.inputs if name in p]
        for name in inputs:
            p[name].requires_grad_(name in wanted)
        for name, parameter in program.own.items():
            parameter.requires_grad_(name in wanted)
        try:
            made = program.outputs(p)
        finally:
            for parameter in program.own.values():
                parameter.requires_grad_(True)
        self.leaves = {n: program.own.get(n, p[n]) for n in wanted}
        kept = [(o, c) for o, c in zip(made, program.covectors, strict=True) if o.requires_grad]
        self.made, self.upstream = [o for o, _ in kept], [c for _, c in kept]
        self.given, self.before = p, {n: t.detach().clone() for n, t in p.items() if n in inputs}
        self.sent: list[Tensor] = []  # by the last backward pass

    def backward(self, lay: Callable[[Tensor], Tensor | None] | None = None) -> Gradients:
        """The gradients, with the upstream gradients laid out anew."""
        if not self.made:
            return {}
        laid = [None if lay is None else lay(c) for c in self.upstream]
        self.sent = [
            c.clone() if t is None else t for c, t in zip(self.upstream, laid, strict=True)
        ]
        found = torch.autograd.grad(
            self.made,
            list(self.leaves.values()),
            self.sent,
            retain_graph=True,
            allow_unused=True,
            materialize_grads=True,
        )
        return {n: g.detach().clone() for n, g in zip(self.leaves, found, strict=True)}

    def changed(self) -> list[str]:
        """What the backward pass wrote into that was not its own."""
        found = []
        if not all(map(torch.equal, self.sent, self.upstream)):
            found.append(
                "backward changed its upstream gradient: right here, wrong wherever that gradient "
                "has another reader"
            )
        for name, before in self.before.items():
            if not torch.equal(self.given[name], before):
                found.append(f"backward changed {name}, which others may still read")
        return found


def _fresh(program: TorchProgram, p: Tensors | None = None) -> Tensors:
    """Copies of the inputs, in the same layout. The parameters are copied when it runs."""
    given = program.params if p is None else p
    return {
        n: torch.empty_like(t, requires_grad=False).copy_(t.detach()) if n in program.inputs else t
        for n, t in given.items()
    }


def _same(one: Tensor, other: Tensor, far: float = 0.0) -> bool:
    """Equal as far as another order of additions may make them, or `far`."""
    if torch.equal(one, other):
        return True
    size = float(other.abs().max()) if other.numel() else 0.0
    eps = float(torch.finfo(other.dtype).eps)
    return bool(((one - other).abs() <= max(eps**0.5 * size, far)).all())


def _transposed(t: Tensor) -> Tensor | None:
    """The same values, the last axis furthest apart in memory; None where that is no other."""
    if t.ndim < 2 or min(t.shape[-2:]) < 2:
        return None
    return t.mT.contiguous().mT.detach()


def _transposed_and_strided(t: Tensor) -> Tensor | None:
    """Both at once."""
    if _transposed(t) is None:
        return _strided(t)
    gaps = _strided(t.mT.contiguous())
    return None if gaps is None else gaps.mT


def _strided(t: Tensor) -> Tensor | None:
    """The same values, with gaps between them."""
    if t.ndim < 1 or t.numel() < 2:
        return None
    return torch.stack([t, torch.full_like(t, 7.0)], dim=-1)[..., 0].detach()
