"""A PyTorch module or function with its arguments, as a loss of named real tensors.

Everything that can have a gradient is taken apart into real numbers: a complex tensor into its real
and imaginary parts, a sparse one into its values, one with −∞ in it into its finite entries.
"""

import copy
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from itertools import chain
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from handgrad.checker.constants import Constants
from handgrad.checker.numbers import (
    as_real,
    covector,
    differentiable,
    has_gradient,
    is_plain,
    numbers,
    rebuilt,
    tensors_within,
    widest,
)
from handgrad.checker.trees import mapped
from handgrad.errors import BadInput

Tensors = dict[str, Tensor]


class TorchProgram:
    """A module, or a function of tensors, with the arguments it is checked at.

    A module is copied, and its parameters are set in the copy, where they stay until the backward
    pass is over: it may run the forward pass again (activation checkpointing, adjoint solvers).
    wide: everything in float64. params: the real tensors to be checked, by name.
    """

    def __init__(
        self,
        module: nn.Module | Callable[..., Any],
        arguments: Sequence[Any],
        keywords: Mapping[str, Any],
        wide: bool = False,
    ) -> None:
        self.wide = wide
        self.module, self.lent = _copied(module, wide)
        self.arguments, self.keywords = tuple(arguments), dict(keywords)
        given: Tensors = {}
        for name, value in [*enumerate(self.arguments), *self.keywords.items()]:
            given |= tensors_within(value, f"input {name}")
        asking = any(t.requires_grad for t in given.values())
        plain = not self.keywords and all(isinstance(a, Tensor) for a in self.arguments)
        self.plain = list(given.items()) if plain else []  # the usual form, at no cost
        self.inputs = {
            name: t
            for name, t in given.items()
            if has_gradient(t) and (t.requires_grad or not asking)
        }
        self.passed_over = [n for n, t in given.items() if has_gradient(t) and n not in self.inputs]
        self.own = {n: p for n, p in self._parameters() if p.requires_grad and p.numel()}
        self.before = [(p, p.detach().clone()) for p in self.own.values()] if self.lent else []
        self.fixed = {name: t.detach().clone() for name, t in self._fixed().items()}
        self.params = {
            n: numbers(t.detach()).clone() for n, t in {**self.own, **self.inputs}.items()
        }
        self.params = {n: t.requires_grad_() for n, t in self.params.items() if t.numel()}
        self.seed: int | None = None  # of PyTorch's global random state, where the program draws
        self.covectors: list[Tensor] = []  # random weights for the outputs
        self.constant = False  # whether something is computed without gradients

    def _parameters(self) -> list[tuple[str, nn.Parameter]]:
        named = self.module.named_parameters() if isinstance(self.module, nn.Module) else []
        return [(n, p) for n, p in named if has_gradient(p)]

    def _fixed(self) -> dict[str, Tensor]:
        """What is not checked, and may be changed by a run: statistics, a teacher's weights."""
        if not isinstance(self.module, nn.Module):
            return {}
        weights = {n: p for n, p in self.module.named_parameters() if not p.requires_grad}
        return {**dict(self.module.named_buffers()), **weights}

    def _reset(self) -> None:
        """As it was before any run; a run may have put another tensor in a buffer's place."""
        now = self._fixed() if self.fixed else {}
        for name, before in self.fixed.items():
            now[name].copy_(before)

    def outputs(self, p: Tensors, constants: Constants | None = None) -> list[Tensor]:
        """What the program returns, every float or complex tensor in it; its parameters are p's."""
        self.set(p)
        return self.called(p, constants)

    def set(self, p: Tensors) -> None:
        """Put p's numbers into the module's own parameters."""
        if self.own or self.fixed:
            with torch.no_grad():
                for name, parameter in self.own.items():
                    parameter.copy_(rebuilt(parameter, p[name]))
                self._reset()

    def called(self, p: Tensors, constants: Constants | None = None) -> list[Tensor]:
        """What it returns for p's inputs, with the parameters that are set."""

        def argument(name: str, t: Any) -> Any:
            if name in self.inputs and name in p:
                return rebuilt(t, p[name]).clone()  # the program may change it in place
            return t.to(widest(t.dtype)) if self.wide and isinstance(t, Tensor) else t

        if self.plain:
            made = self._run([argument(n, t) for n, t in self.plain], {}, constants)
        else:
            made = self._run(
                [mapped(a, argument, f"input {k}") for k, a in enumerate(self.arguments)],
                {k: mapped(a, argument, f"input {k}") for k, a in self.keywords.items()},
                constants,
            )
        return [made] if is_plain(made) else list(differentiable(made))

    def _run(
        self, arguments: Sequence[Any], keywords: Mapping[str, Any], constants: Constants | None
    ) -> Any:
        if constants is None and self.seed is None:
            return self.module(*arguments, **keywords)
        with constants or nullcontext(), self._random_state():
            return self.module(*arguments, **keywords)

    @contextmanager
    def _random_state(self) -> Iterator[None]:
        """PyTorch's random state is the same in every run, and is left as it was."""
        if self.seed is None:
            yield
            return
        with torch.random.fork_rng():
            torch.manual_seed(self.seed)
            yield

    def give_back(self) -> None:
        """Put the caller's numbers back, where the module could not be copied."""
        if self.lent:
            with torch.no_grad():
                for t, before in self.before:
                    t.copy_(before)
                self._reset()

    def prepare(self, rng: np.random.Generator, seed: int) -> list[str]:
        """Draw the covectors, fix what is random, and see what is constant; notes on both."""
        constants, before = Constants(), torch.get_rng_state()
        first = self.outputs(self.params, constants)
        draws = not torch.equal(before, torch.get_rng_state())
        torch.set_rng_state(before)
        if any(o.is_cuda for o in first):
            with torch.random.fork_rng():
                draws = not all(map(torch.equal, first, self.outputs(self.params, None)))
        if not first:
            raise BadInput("module must return a float tensor, or several")
        if not any(o.requires_grad for o in first):
            raise BadInput(
                "no gradient arrives: what module returns must depend on its parameters or inputs "
                "for autograd (is it detached, or computed under no_grad?)"
            )
        self.covectors = [covector(o, rng) for o in first]
        self.constant = bool(constants.kept)
        notes = []
        if constants.places:
            places = ", ".join(dict.fromkeys(constants.places))
            notes.append(
                "held constant, as autograd holds it: what is computed under no_grad or detached "
                f"({places})"
            )
        if draws:
            self.seed = seed % 2**63
            notes.append("the module draws random numbers: PyTorch's random state was fixed for it")
        return notes

    def around(self, p: Tensors) -> Callable[[Tensors], Tensor]:
        """The loss near p, with what autograd holds constant held as it is at p."""
        constants = Constants()
        self.outputs(p, constants)
        return lambda q: self.loss(q, Constants(constants.kept))

    def loss(self, p: Tensors, constants: Constants | None = None) -> Tensor:
        """The sum of the outputs, weighted; of complex ones the real part of ⟨c, o⟩."""
        return self.weighted(self.outputs(p, constants))

    def weighted(self, outputs: Sequence[Tensor]) -> Tensor:
        """Their sum, each with its covector."""
        parts = [
            (o * c.conj()).real.sum() if o.is_complex() else (o * c).sum()
            for o, c in zip(outputs, self.covectors, strict=True)
        ]
        return parts[0] if len(parts) == 1 else torch.stack(parts).sum()

    def shares(self, p: Tensors, name: str, entry: int) -> tuple[np.ndarray, np.ndarray]:
        """The derivatives of all outputs by one entry, and their upstream gradients."""
        step = 1e-5 * (float(p[name].detach().abs().mean()) or 1.0)
        ends = []
        for s in (step, -step):
            moved = p[name].detach().clone()
            moved.view(-1)[entry] += s
            made = self.outputs({**p, name: moved})
            ends.append(np.concatenate([as_real(o.detach()).reshape(-1).numpy() for o in made]))
        upstream = [as_real(c).reshape(-1).numpy() for c in self.covectors]
        return (ends[0] - ends[1]) / (2 * step), np.concatenate(upstream)

    def grads(self, p: Tensors) -> Tensors:
        """The gradients alone."""
        return self.both(p)[1]

    def both(self, p: Tensors) -> tuple[Tensor, Tensors]:
        """The loss and its gradients by autograd.

        Where that is refused, as in reentrant checkpointing, by `.backward()`.
        """
        leaves, loss = {n: self.own.get(n, p[n]) for n in p}, self.loss(p)
        try:
            found = torch.autograd.grad(
                loss, list(leaves.values()), allow_unused=True, materialize_grads=True
            )
        except RuntimeError as error:
            if ".grad()" not in str(error):
                raise
            found = self._backward(p, leaves)
        return loss.detach(), self.named(leaves, found)

    def named(self, names: Iterable[str], gradients: Iterable[Tensor]) -> Tensors:
        """Gradients by name, of a complex parameter in real and imaginary parts."""
        return {
            name: torch.view_as_real(g) if name in self.own and g.is_complex() else g
            for name, g in zip(names, gradients, strict=True)
        }

    def _backward(self, p: Tensors, leaves: Tensors) -> tuple[Tensor, ...]:
        for leaf in leaves.values():
            leaf.grad = None
        self.loss(p).backward()
        found = tuple(
            torch.zeros_like(t) if t.grad is None else t.grad.clone() for t in leaves.values()
        )
        for leaf in leaves.values():
            leaf.grad = None
        return found

    def relus(self) -> dict[str, nn.Module]:
        """The ReLUs of a stack of affine layers; of anything else none: no certificate there."""
        affine = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Flatten, nn.Identity)
        if type(self.module) is not nn.Sequential:
            return {}
        layers = dict(self.module.named_children())  # a layer that is there twice is named once
        if len(layers) < len(self.module) or not all(
            type(layer) in (*affine, nn.ReLU) for layer in layers.values()
        ):
            return {}
        return {f"input of {n}": m for n, m in layers.items() if isinstance(m, nn.ReLU)}

    def activations(self, p: Tensors) -> Tensors:
        """What enters each of `relus`, (samples, units)."""
        seen: Tensors = {}

        def keep(name: str) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
            return lambda _, entered: seen.update(
                {name: entered[0].detach().clone().reshape(-1, entered[0].shape[-1])}
            )

        hooks = [m.register_forward_pre_hook(keep(name)) for name, m in self.relus().items()]
        try:
            with torch.no_grad():
                self.outputs(p)
        finally:
            for hook in hooks:
                hook.remove()
        return seen


def _copied(module: Any, wide: bool) -> tuple[Any, bool]:
    """A copy of a module, and whether it is the caller's own; what has no numbers, as it is."""
    if not isinstance(module, nn.Module):
        return module, False
    if not wide and not any(True for _ in chain(module.parameters(), module.buffers())):
        return module, False
    try:
        made = copy.deepcopy(module)
    except Exception as error:  # it keeps a tensor that is no leaf, or a handle
        if wide:
            said = " ".join(str(error).split())
            raise BadInput(f"module must be one that can be copied, but: {said}") from None
        return module, True
    return (made._apply(lambda t: t.to(widest(t.dtype))) if wide else made), False
