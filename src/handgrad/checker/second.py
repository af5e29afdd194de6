"""The gradients of a PyTorch program as a program: its own gradients are second derivatives."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from handgrad.checker.numbers import covector, has_gradient, tensors_within
from handgrad.checker.tensors import TorchProgram
from handgrad.checker.trees import mapped

UPSTREAM = "upstream gradient"
"""What the program of the gradients calls its last argument."""


class Gradients(nn.Module):
    """(arguments, upstream gradients) → the gradients of the float arguments and the parameters.

    asked: the tensors among the arguments that are checked, by name; all float ones where empty.
    """

    def __init__(self, of: nn.Module | Callable[..., Any], asked: Sequence[str]) -> None:
        super().__init__()
        self.of, self.asked = of, asked

    def forward(self, *arguments: Any, **keywords: Any) -> tuple[Tensor, ...]:
        """By autograd, on a graph that can be differentiated again."""
        upstream = keywords.pop(UPSTREAM)
        leaves: list[Tensor] = []

        def leaf(name: str, value: Any) -> Any:
            if not isinstance(value, Tensor) or not has_gradient(value):
                return value
            if self.asked and name not in self.asked:
                return value
            leaves.append(value if value.requires_grad else value.detach().requires_grad_())
            return leaves[-1]

        with torch.enable_grad():
            given = [mapped(a, leaf, f"input {k}") for k, a in enumerate(arguments)]
            named = {k: mapped(a, leaf, f"input {k}") for k, a in keywords.items()}
            pairs = zip(outputs_of(self.of(*given, **named)), upstream, strict=True)
            made = [(o, c) for o, c in pairs if o.requires_grad]
            gradients = torch.autograd.grad(
                [o for o, _ in made],
                leaves + [p for p in self.parameters() if p.requires_grad],
                [c for _, c in made],
                create_graph=True,
                allow_unused=True,
                materialize_grads=True,
            )
            nothing = torch.stack([(0 * c).real.sum() for c in upstream]).sum()
            # What is a constant to autograd has second derivatives all the same: 0, it says.
            return tuple(g if g.requires_grad else g + nothing for g in gradients)


def outputs_of(made: Any) -> list[Tensor]:
    """The float and complex tensors in what a program returned."""
    return [t for t in tensors_within(made).values() if has_gradient(t)]


def upstream_of(program: TorchProgram, rng: np.random.Generator) -> list[Tensor]:
    """Upstream gradients for the outputs, drawn at random: second derivatives are by them too."""
    try:
        found = [covector(o.detach(), rng) for o in program.outputs(program.params)]
        asking = any(t.requires_grad for t in program.inputs.values())
        return [c.requires_grad_(asking) for c in found]  # or it would be passed over
    finally:
        program.give_back()


def told(name: str) -> str:
    """The names of the program of the gradients, as those of the program itself.

    >>> told("of.0.weight"), told("input 1"), told("input upstream gradient[0]")
    ('0.weight', 'input 1', 'upstream gradient[0]')
    """
    return name.removeprefix("of.").replace(f"input {UPSTREAM}", UPSTREAM)
