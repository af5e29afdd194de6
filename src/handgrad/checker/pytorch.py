"""The gradient check for PyTorch: a module, or any function of tensors, with its inputs."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from handgrad.checker.arrays import Native, as_array, drawn, jax_in_use, size_of
from handgrad.checker.check import check
from handgrad.checker.gpu import on_a_gpu
from handgrad.checker.places import Options
from handgrad.checker.program import Program
from handgrad.checker.report import INCONCLUSIVE, PASS, Report, joined
from handgrad.checker.verdict import fresh_seed
from handgrad.errors import BadInput
from handgrad.extras import needed_for
from handgrad.inputs import require_flags, require_functions, require_type

if TYPE_CHECKING:
    from torch import nn

    from handgrad.checker.tensors import Tensors, TorchProgram


def gradcheck_module(
    module: Callable[..., Any],
    inputs: Any,
    *,
    keywords: Mapping[str, Any] | None = None,
    reference: Callable[..., Any] | None = None,
    second: bool = False,
    forward_ad: bool = False,
    vmap: bool = False,
    points: int = 3,
    directions: int | None = None,
    rtol: float = 0.0,
    resolve: float = 0.01,
    delta: float = 0.01,
    seed: int | None = None,
    entries: bool = False,
) -> Report:
    """Check autograd's gradients of a module's parameters and of its inputs.

    >>> import torch
    >>> net = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.ReLU()).double()
    >>> gradcheck_module(net, torch.randn(5, 2, dtype=torch.float64)).verdict
    'pass'

    Checked are the parameters that require a gradient, and the float and complex inputs that do;
    where no input does, all of them. They are called "input 0", "input 1[0]", "input mask". Of a
    complex tensor the real and imaginary parts are checked (PyTorch's convention: the gradient is
    ∂L/∂Re + i ∂L/∂Im), of a sparse one the values, of one with non-finite entries the others.
    Several outputs are contracted with random normal covectors, drawn afresh (ones would hide a
    softmax or a layer norm, whose outputs have a constant sum). A module that draws random numbers,
    as dropout does, is run with PyTorch's global random state fixed, and the state is restored.
    What is computed under `no_grad` or detached is held constant, as autograd holds it.
    How the backward pass is called must not matter: it is also run twice on one graph, with
    upstream gradients and inputs in other layouts, and for each input alone: see `Report.calls`.
    In an `nn.Sequential` of affine layers and ReLUs, what enters the ReLUs is watched, so that
    kinks are certified.

    Args:
        module: an `nn.Module` (a copy of it is checked), the `apply` of a
            `torch.autograd.Function`, or any function of tensors.
        inputs: its arguments, a tensor or a list of anything: tensors, nested lists, tuples and
            dicts of them, numbers, None, strings. A dict holds keyword arguments.
        keywords: its keyword arguments.
        reference: the same outputs from float64 inputs, for code that is not float64 itself (a
            kernel): a function, or a module with parameters of the same names. For a module in
            float32 or below it is the module itself with everything in float64, if it can compute
            in that.
        second: check the second derivatives too, where the first are right: the backward of the
            backward, by the parameters, the inputs and the upstream gradients ("second input 0").
            What keeps an intermediate result as a constant is wrong there alone.
        forward_ad: check forward mode too (a function's `jvp`): it is held to the slopes and to the
            backward pass ("jvp input 0"), and must be linear in its tangents.
        vmap: check too that outputs and gradients under `torch.vmap` are those of a loop.
        points, directions, rtol, resolve, delta, seed, entries: as for `gradcheck`.

    Returns:
        A `Report`, which is true if it passes.

    Raises:
        BadInput: where there is nothing to check, or it cannot be checked.
    """
    for_jax = _is_for_jax(module, (inputs, keywords))
    if not for_jax:
        with needed_for("gradcheck_module"):
            import torch

        if isinstance(module, type) and issubclass(module, torch.autograd.Function):
            raise BadInput(f"module must be the function's apply: give {module.__name__}.apply")
    require_functions(module=module)
    require_functions(reference=reference, optional=True)
    require_flags(second=second, forward_ad=forward_ad, vmap=vmap)
    options = Options(points, directions, rtol, resolve, delta, fresh_seed(seed), entries)
    arguments, named = arguments_of(inputs, keywords)
    if for_jax:
        from handgrad.checker.jax_function import gradcheck_jax

        rules = second, forward_ad, vmap
        return gradcheck_jax(module, arguments, named, reference, options, *rules)
    report = _first(module, arguments, named, reference, options)
    if second and report:
        report = _with_second(report, module, arguments, named, options)
    if forward_ad or vmap:
        program = _widest(module, arguments, named)
        report = _with_rules(report, program, options, forward_ad, vmap)
    return report


def _is_for_jax(module: Any, inputs: Any) -> bool:
    if jax_in_use() is None:
        return False
    from handgrad.checker.jax_function import is_for_jax

    return is_for_jax(module, inputs)


def _widest(
    module: "nn.Module | Callable[..., Any]", arguments: Sequence[Any], named: Mapping[str, Any]
) -> "TorchProgram":
    """The program, of a module in float64 where it can compute in that."""
    import torch

    from handgrad.checker.tensors import TorchProgram

    wide = None
    if isinstance(module, torch.nn.Module):
        wide = _in_float64(module, arguments, named)
    if wide is None:
        return TorchProgram(module, arguments, named)
    wide.params = {n: t.detach().double().requires_grad_() for n, t in wide.params.items()}
    return wide


def _with_rules(
    report: Report, program: "TorchProgram", options: Options, forward_ad: bool, vmap: bool
) -> Report:
    """The report, and after it what was found of forward mode and of batches."""
    from handgrad.checker.batches import with_batches
    from handgrad.checker.forward_mode import with_forward_mode
    from handgrad.checker.torch_rules import batches_of, tangent

    rng = np.random.default_rng([options.seed, 4])
    try:
        program.prepare(rng, options.seed)
        if forward_ad and program.constant:
            raise BadInput(
                "forward_ad must be checked without no_grad and detach: forward mode goes through "
                "no_grad, and so it is another derivative"
            )
        if forward_ad:
            rule, p = partial(tangent, program), program.params
            report = with_forward_mode(report, program.loss, program.grads, rule, p, options)
        if vmap:
            report = with_batches(report, batches_of(program, rng))
    finally:
        program.give_back()
    return report


def _with_second(
    report: Report,
    module: "nn.Module | Callable[..., Any]",
    arguments: Sequence[Any],
    named: Mapping[str, Any],
    options: Options,
) -> Report:
    """The first derivatives' report, and the second derivatives' after it."""
    from handgrad.checker.second import UPSTREAM, Gradients, told, upstream_of
    from handgrad.checker.tensors import TorchProgram

    rng = np.random.default_rng(options.seed)
    asked = [n for n in report.parameters if n.startswith("input ")]
    upstream = upstream_of(TorchProgram(module, arguments, named), rng)
    of = Gradients(module, asked)
    found = _first(of, arguments, {**named, UPSTREAM: upstream}, None, options, calls=False)
    notes = found.notes
    if not found.ok:
        notes += (
            "the first derivatives are right. Does a backward keep an intermediate result as a "
            "constant, choose a branch by a value, or is it once_differentiable?",
        )
    own = {told(name): p for name, p in found.parameters.items()}
    return joined(report, replace(found, parameters=own, notes=notes), "second")


def _first(
    module: "nn.Module | Callable[..., Any]",
    arguments: Sequence[Any],
    named: Mapping[str, Any],
    reference: Callable[..., Any] | None,
    options: Options,
    calls: bool = True,
) -> Report:
    """The check of the gradients; calls: and of how the backward pass is called."""
    import torch

    from handgrad.checker.calls import differing_calls
    from handgrad.checker.tensors import TorchProgram

    seed = options.seed
    rng = np.random.default_rng(seed)
    program = TorchProgram(module, arguments, named)
    if not program.params:
        raise BadInput("there must be a parameter or a finite float input to check, got neither")
    notes = _passed_over(program) + program.prepare(rng, seed)
    narrow = any(t.dtype != torch.float64 for t in program.params.values())
    wide = None
    if reference is not None:
        wide = TorchProgram(reference, arguments, named, wide=True)
    elif narrow and isinstance(module, torch.nn.Module):
        wide = _in_float64(module, arguments, named)
    if wide is not None:
        wide.covectors, wide.seed = program.covectors, program.seed
    watched = wide or program
    if reference is not None and program.relus():  # the reference's are not the module's
        watched = TorchProgram(module, arguments, named, wide=True)
        watched.seed = program.seed
    caller = Program(
        Native(program.params, narrow=wide is not None),
        program.loss,
        program.grads,
        activations=watched.activations if program.relus() else None,
        reference=None if wide is None else wide.loss,
        around=(wide or program).around if program.constant else None,
        shares=None if narrow else program.shares,
        both=program.both,
    )
    try:
        with on_a_gpu():
            wrong, more, known = (
                differing_calls(program, lambda: caller.entry_rounding(seed))
                if calls
                else ([], [], None)
            )
            report = check(replace(caller, known=known), options, rng)
            report = _with_cut(report, program, seed) if program.constant else report
    finally:
        program.give_back()
    return replace(report, notes=(*report.notes, *notes, *more), calls=tuple(wrong))


def arguments_of(
    inputs: Any, keywords: Mapping[str, Any] | None
) -> tuple[Sequence[Any], dict[str, Any]]:
    require_type("keywords", keywords or {}, Mapping)
    for key in keywords or {}:
        require_type("each key of keywords", key, str)
    if isinstance(inputs, Mapping):
        return (), {**inputs, **(keywords or {})}
    return (inputs if isinstance(inputs, list | tuple) else (inputs,)), dict(keywords or {})


def _passed_over(program: "TorchProgram") -> list[str]:
    if not program.passed_over:
        return []
    names = ", ".join(program.passed_over)
    return [f"{names}: not checked, as other inputs require a gradient and this does not"]


def _with_cut(report: Report, program: "TorchProgram", seed: int) -> Report:
    """A parameter whose every use is held constant was not seen: is that what was meant?"""
    rng, found = np.random.default_rng(seed), dict(report.parameters)

    def loss_at(p: "Tensors") -> float:
        return Native.number(program.loss(p))

    loss = loss_at(program.params)
    for name, gradient in program.grads(program.params).items():
        if bool(gradient.any()) or found[name].verdict != PASS:
            continue
        p = program.params[name].detach()
        step = 0.1 * size_of(as_array(p)) * drawn(rng, tuple(p.shape))
        moved = p + p.new_tensor(step)
        if abs(loss_at({**program.params, name: moved}) - loss) > 1e-6 * abs(loss):
            note = "all that it changes is held constant: is that meant, or is a detach too many?"
            found[name] = replace(found[name], verdict=INCONCLUSIVE, bound=math.inf, note=note)
    return replace(report, parameters=found)


def _in_float64(module: Any, arguments: Sequence[Any], named: Mapping[str, Any]) -> Any:
    """The module with everything in float64; None if it has a dtype of its own."""
    import torch

    from handgrad.checker.tensors import TorchProgram

    wide = TorchProgram(module, arguments, named, wide=True)
    point: Tensors = {n: t.detach().double() for n, t in wide.params.items()}
    try:
        made = wide.outputs(point)
    except RuntimeError:
        return None
    return wide if all(o.dtype in (torch.float64, torch.complex128) for o in made) else None
