"""The other rules of a function of tensors: forward mode, and how it is batched (vmap)."""

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.func import vjp, vmap

from handgrad.checker.batches import Run, differing_batches
from handgrad.checker.numbers import is_plain, same
from handgrad.checker.tensors import TorchProgram
from handgrad.errors import BadInput

NO_RULE = ("does not have vmap support", "must override the setup_context")
"""What PyTorch says of a function that has none."""


def tangent(program: TorchProgram, p: Mapping[str, Tensor], v: Mapping[str, Tensor]) -> Tensor:
    """How the loss changes along v, by forward mode. What v leaves out stands still.

    Raises `BadInput` where a function on the way has no rule for it.
    """
    with warnings.catch_warnings(), forward_ad.dual_level():
        warnings.simplefilter("ignore", DeprecationWarning)  # PyTorch's own, at the first use
        moving = {n: forward_ad.make_dual(p[n].detach(), v[n]) for n in v}
        try:
            loss = program.loss({n: moving.get(n, t.detach()) for n, t in p.items()})
        except (NotImplementedError, RuntimeError) as error:
            raise BadInput(
                f"forward_ad must find a rule for all that is computed: {error}"
            ) from None
        found = forward_ad.unpack_dual(loss).tangent
        return loss.new_zeros(()) if found is None else found.detach()


def batches_of(program: TorchProgram, rng: np.random.Generator) -> list[str]:
    """How outputs and gradients under `torch.vmap` differ from those of a loop, a sentence each.

    Raises `BadInput` where a function on the way has no rule for it.
    """
    if program.seed is not None:
        raise BadInput("vmap must be checked without random numbers: call eval(), or fix them")
    p = program.params
    names = [n for n in program.inputs if n in p and is_plain(program.inputs[n])]
    if not names:
        raise BadInput("vmap must have a dense float input to batch, got none")
    program.set(p)
    return differing_batches(
        lambda names: _functions(program, names),
        {n: p[n].detach() for n in names},
        rng,
        lambda run, axis: vmap(run, in_dims=axis),
        lambda tensors, axis: torch.stack(tuple(tensors), axis),
        lambda one, other: one.shape == other.shape and same(one.detach(), other.detach()),
        NO_RULE,
    )


def _functions(program: TorchProgram, names: Sequence[str]) -> list[tuple[Run, list[str]]]:
    """The outputs, and the gradients, as functions of these inputs alone."""

    def outputs(*leaves: Tensor) -> tuple[Tensor, ...]:
        return tuple(program.called(dict(zip(names, leaves, strict=True))))

    def gradients(*leaves: Tensor) -> tuple[Tensor, ...]:
        found: Any = vjp(outputs, *leaves)
        return found[1](tuple(program.covectors))

    results = [f"output {k}" for k in range(len(program.covectors))]
    return [(outputs, results), (gradients, [f"the gradient of {n}" for n in names])]
