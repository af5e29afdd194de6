"""The gradient check for PyTorch: a module, or any function of tensors, with its inputs."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from handgrad.checker.check import gradcheck
from handgrad.checker.landscape import fresh_seed
from handgrad.checker.report import Report
from handgrad.errors import BadInput

if TYPE_CHECKING:
    from torch import Tensor, nn

    from handgrad.checker.tensors import Program, Tensors


def gradcheck_module(
    module: "nn.Module | Callable[..., Any]",
    inputs: "Tensor | Sequence[Any] | Mapping[str, Any]",
    *,
    keywords: Mapping[str, Any] | None = None,
    reference: Callable[..., Any] | None = None,
    seed: int | None = None,
    **options: Any,
) -> Report:
    """Check autograd's gradients of a module's parameters and of its inputs.

    >>> import torch
    >>> net = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.ReLU()).double()
    >>> gradcheck_module(net, torch.randn(5, 2, dtype=torch.float64)).verdict
    'pass'

    module: an `nn.Module` (a copy of it is checked), the `apply` of a `torch.autograd.Function`, or
    any function of tensors. inputs: its arguments, a tensor or a list of anything: tensors, nested
    lists, tuples and dicts of them, numbers, None, strings; keywords: its keyword arguments.

    Checked are the parameters that require a gradient, and the float and complex inputs that do;
    where no input does, all of them. They are called "input 0", "input 1[0]", "input mask". Of a
    complex tensor the real and imaginary parts are checked (PyTorch's convention: the gradient is
    ∂L/∂Re + i ∂L/∂Im), of a sparse one the values, of one with non-finite entries the others.
    Several outputs are contracted with random normal covectors, drawn afresh (ones would hide a
    softmax or a layer norm, whose outputs have a constant sum). A module that draws random numbers,
    as dropout does, is run with PyTorch's global random state fixed, and the state is restored.
    How the backward pass is called must not matter: it is also run twice on one graph, with
    upstream gradients and inputs in other layouts, and for each input alone: see `Report.calls`.
    In an `nn.Sequential` of affine layers and ReLUs, what enters the ReLUs is watched, so that
    kinks are certified.

    reference: the same outputs from float64 inputs, for code that is not float64 itself (a kernel):
    a function, or a module with parameters of the same names. For a module in float32 or below it
    is the module itself with everything in float64, if it can compute in that. options: see
    `gradcheck`. Raises `BadInput` where there is nothing to check, or it cannot be checked.
    """
    import torch

    from handgrad.checker.calls import differing_calls
    from handgrad.checker.tensors import Program

    arguments, named = _arguments(inputs, keywords)
    seed = fresh_seed() if seed is None else seed
    program = Program(module, arguments, named)
    if not program.params:
        raise BadInput("there must be a parameter or a finite float input to check, got neither")
    notes = _notes(program, seed)
    program.draw_covectors(np.random.default_rng(seed))
    narrow = any(t.dtype != torch.float64 for t in program.params.values())
    wide = None
    if reference is not None:
        wide = Program(reference, arguments, named, wide=True)
    elif narrow and isinstance(module, torch.nn.Module):
        wide = _in_float64(module, arguments, named)
    if wide is not None:
        wide.covectors, wide.seed = program.covectors, program.seed
    watched = wide or program
    if reference is not None and program.relus():  # the reference's are not the module's
        watched = Program(module, arguments, named, wide=True)
        watched.seed = program.seed
    try:
        report = gradcheck(
            program.loss,
            program.params,
            program.grads,
            activations=watched.activations if program.relus() else None,
            reference=None if wide is None else wide.loss,
            seed=seed,
            **options,
        )
        wrong, more = differing_calls(program)
    finally:
        program.give_back()
    return replace(report, notes=(*report.notes, *notes, *more), calls=tuple(wrong))


def _arguments(
    inputs: Any, keywords: Mapping[str, Any] | None
) -> tuple[Sequence[Any], dict[str, Any]]:
    if isinstance(inputs, Mapping):
        return (), {**inputs, **(keywords or {})}
    return (inputs if isinstance(inputs, list | tuple) else (inputs,)), dict(keywords or {})


def _notes(program: "Program", seed: int) -> list[str]:
    """What a reader should know of what is checked; fixes the random state where it is needed."""
    notes = []
    if program.passed_over:
        names = ", ".join(program.passed_over)
        notes.append(f"{names}: not checked, as other inputs require a gradient and this does not")
    if not program.is_repeatable():
        program.seed = seed % 2**63
        notes.append("the module draws random numbers: PyTorch's random state was fixed for it")
    return notes


def _in_float64(module: Any, arguments: Sequence[Any], named: Mapping[str, Any]) -> Any:
    """The module with everything in float64; None if it has a dtype of its own."""
    import torch

    from handgrad.checker.tensors import Program

    wide = Program(module, arguments, named, wide=True)
    point: Tensors = {n: t.detach().double() for n, t in wide.params.items()}
    try:
        made = wide.outputs(point)
    except RuntimeError:
        return None
    return wide if all(o.dtype in (torch.float64, torch.complex128) for o in made) else None
