"""How a backward pass is called must not matter: twice, in another layout, for one input alone.

A check that calls it in one way sees none of this; elsewhere, in a larger graph, it is a wrong
gradient. All calls are made at the given point, with one upstream gradient.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import partial

import torch
from torch import Tensor

from handgrad.checker.numbers import same
from handgrad.checker.tensors import Tensors, TorchProgram

Gradients = dict[str, Tensor]
Call = Callable[[], Gradients]


def differing_calls(
    program: TorchProgram, rounding: Callable[[], Mapping[str, float]]
) -> tuple[list[str], list[str], tuple[Tensor, Gradients] | None]:
    """What depends on how the backward pass is called, a sentence each; and what could not run.

    rounding: how far it may move an entry of each gradient; asked only where something differs.
    Third, the loss and the gradients, as they are usually called for.
    """
    try:
        graph = _Graph(program, _fresh(program))
        loss, right = program.weighted(graph.outputs).detach(), graph.backward()
    except RuntimeError:  # reentrant checkpointing knows `.backward()` alone
        note = "how the backward pass is called was not varied: it can only be run as a whole"
        return [], [note], None
    if not graph.made:
        return [], [], None
    wrong, notes = [*graph.changed(), *_undefined(graph)], []
    for together, apart in _other_calls(program, graph, right):
        if _is_right(together, right):
            continue
        for sentence, call in apart():
            try:
                found = call()
            except Exception as error:
                said = " ".join(str(error).split())
                kind = type(error).__name__
                notes.append(f"{sentence.partition(':')[0]}: it raised {kind}: {said}")
                continue
            off = [n for n, g in found.items() if not same(g, right[n])]
            if off and (far := rounding()):
                off = [n for n in off if not same(found[n], right[n], far.get(n, 0.0))]
            if off:
                wrong.append(f"{sentence} (wrong then: {', '.join(off)})")
    return wrong, notes, (loss, right)


def _undefined(graph: "_Graph") -> list[str]:
    """Where one output alone is used, the upstream gradients of the others are None, not zeros."""
    wrong = []
    for k, c in enumerate(graph.upstream if len(graph.upstream) > 1 else ()):
        zeros = [c if other is c else torch.zeros_like(other) for other in graph.upstream]
        right = graph.gradients(graph.made, zeros)
        told = f"output {k} alone has an upstream gradient, those of the others are None"
        try:
            found = graph.gradients([graph.made[k]], [c.clone()])
        except Exception as error:
            wrong.append(
                f"{told}: it raised {type(error).__name__}: {' '.join(str(error).split())}"
            )
            continue
        off = [n for n, g in found.items() if not same(g, right[n])]
        if off:
            wrong.append(f"{told}: the result is another one than with zeros ({', '.join(off)})")
    return wrong


def _other_calls(
    program: TorchProgram, graph: "_Graph", names: Collection[str]
) -> Iterator[tuple[Call, Callable[[], list[tuple[str, Call]]]]]:
    """Several changes in one call, and the sentence and the call for each of them alone."""
    yield partial(graph.backward, _transposed_and_strided), partial(_on_one_graph, graph)
    for name in program.inputs:
        if name not in names:
            continue
        turned = _transposed(program.params[name].detach())
        if program.seed is not None:
            turned = None  # random numbers are drawn in memory order: it is another mask
        p = program.params | ({} if turned is None else {name: turned})
        if turned is not None or len(names) > 1:
            yield _once(program, p, [name]), partial(_of_input, program, name, p)
    if program.own and program.inputs:
        sentence = "no input requires a gradient: those of the parameters are others"
        call = _once(program, program.params, list(program.own))
        yield call, lambda: [(sentence, call)]


def _on_one_graph(graph: "_Graph") -> list[tuple[str, Call]]:
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
    return calls


def _of_input(program: TorchProgram, name: str, p: Tensors) -> list[tuple[str, Call]]:
    calls = []
    if p[name] is not program.params[name]:
        sentence = f"{name} in a transposed layout, with the same values"
        calls.append((f"{sentence}: the result is another one", _once(program, p, None)))
    if len(p) > 1:
        sentence = f"{name} alone requires a gradient: its gradient is another one"
        calls.append((sentence, _once(program, program.params, [name])))
    return calls


def _once(program: TorchProgram, p: Tensors, only: Sequence[str] | None) -> Call:
    """One forward and one backward pass, in which only these require a gradient."""
    return lambda: _Graph(program, _fresh(program, p), only).backward()


def _is_right(call: Call, right: Gradients) -> bool:
    try:
        return all(same(g, right[n]) for n, g in call().items())
    except Exception:  # it is called again, with one change at a time
        return False


class _Graph:
    """One forward pass on record, with its upstream gradients.

    only: the names that require a gradient; all where left out.
    """

    def __init__(
        self, program: TorchProgram, p: Tensors, only: Sequence[str] | None = None
    ) -> None:
        self.program, wanted = program, list(p) if only is None else only
        inputs = [name for name in program.inputs if name in p]
        for name in inputs:
            p[name].requires_grad_(name in wanted)
        for name, parameter in program.own.items():
            parameter.requires_grad_(name in wanted)
        try:
            self.outputs = program.outputs(p)
        finally:
            for parameter in program.own.values():
                parameter.requires_grad_(True)
        self.leaves = {n: program.own.get(n, p[n]) for n in wanted}
        pairs = zip(self.outputs, program.covectors, strict=True)
        kept = [(o, c) for o, c in pairs if o.requires_grad]
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
        return self.gradients(self.made, self.sent)

    def gradients(self, made: Sequence[Tensor], upstream: Sequence[Tensor]) -> Gradients:
        """Those of some of the outputs."""
        found = torch.autograd.grad(
            made,
            list(self.leaves.values()),
            upstream,
            retain_graph=True,
            allow_unused=True,
            materialize_grads=True,
        )
        return self.program.named(self.leaves, (g.detach().clone() for g in found))

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


def _transposed(t: Tensor) -> Tensor | None:
    """The same values, the last axis furthest apart in memory; None where that is no other."""
    if t.ndim < 2 or min(t.shape[-2:]) < 2:
        return None
    return t.mT.contiguous().mT.detach()


def _transposed_and_strided(t: Tensor) -> Tensor | None:
    """Both at once."""
    if t.ndim < 2 or min(t.shape[-2:]) < 2:
        return _strided(t)
    gaps = _strided(t.mT)
    return None if gaps is None else gaps.mT


def _strided(t: Tensor) -> Tensor | None:
    """The same values, with gaps between them."""
    if t.ndim < 1 or t.numel() < 2:
        return None
    return t.new_full((*t.shape, 2), 7.0)[..., 0].copy_(t)
