"""The gradient check for PyTorch: a module, or any function of tensors, with its inputs."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from handgrad.gradcheck.check import gradcheck
from handgrad.gradcheck.landscape import fresh_seed
from handgrad.gradcheck.report import Refusal, Report


def gradcheck_module(
    module: nn.Module | Callable[..., Any],
    inputs: Tensor | Sequence[Tensor],
    *,
    reference: Callable[..., Any] | None = None,
    seed: int | None = None,
    **options: Any,
) -> Report:
    """Check autograd's gradients of a module's parameters and of its inputs.

    module: an `nn.Module`, the `apply` of a `torch.autograd.Function`, or any function of tensors.
    inputs: its arguments; those of float dtype are checked, as "input 0", "input 1", … Several
    outputs are contracted with random normal covectors, drawn afresh (ones would hide a softmax
    or a layer norm, whose outputs have a constant sum). In an `nn.Sequential` of affine layers and
    ReLUs, what enters the ReLUs is watched, so that kinks are certified.

    reference: the same outputs from float64 inputs, for code that is not float64 itself (a kernel):
    a function, or a module with parameters of the same names. For a module in float32 or below it
    is the module itself with everything in float64, if it can compute in that. options: see
    `gradcheck`.

    >>> import torch
    >>> net = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.ReLU()).double()
    >>> gradcheck_module(net, torch.randn(5, 2, dtype=torch.float64)).verdict
    'pass'
    """
    arguments = (inputs,) if isinstance(inputs, Tensor) else tuple(inputs)
    if not all(isinstance(x, Tensor) for x in arguments):
        raise Refusal("inputs must be a tensor or a list of tensors")
    seed = fresh_seed() if seed is None else seed
    own = dict(module.named_parameters()) if isinstance(module, nn.Module) else {}
    given = {
        f"input {k}": x
        for k, x in enumerate(arguments)
        if x.is_floating_point() and x.isfinite().all()  # not a mask of −∞
    }
    if not own and not given:
        raise Refusal("there must be a parameter or a finite float input to check, got neither")
    params = {name: t.detach().clone().requires_grad_() for name, t in {**own, **given}.items()}

    def outputs(p: dict[str, Tensor], of: Callable[..., Any] = module) -> list[Tensor]:
        values = [p.get(f"input {k}", x) for k, x in enumerate(arguments)]
        if isinstance(of, nn.Module):
            dtype = next((t.dtype for t in p.values()), torch.float64)
            mine = {
                n: b.to(dtype, copy=True) if b.is_floating_point() else b.clone()
                for n, b in of.named_buffers()
            }
            mine |= {name: p[name] for name in own}
            made = torch.func.functional_call(of, mine, tuple(values))
        else:
            made = of(*values)
        return list(_tensors(made))

    rng = np.random.default_rng(seed)
    if not outputs(params):
        raise Refusal("module must return a float tensor, or several")
    covectors = [
        torch.as_tensor(rng.standard_normal(tuple(o.shape)), dtype=o.dtype, device=o.device)
        for o in outputs(params)
    ]

    def contracted(made: list[Tensor]) -> Tensor:
        pairs = zip(made, covectors, strict=True)
        return torch.stack([(o * c.to(o.dtype)).sum() for o, c in pairs]).sum()

    def loss(p: dict[str, Tensor]) -> Tensor:
        return contracted(outputs(p))

    narrow = any(t.dtype != torch.float64 for t in params.values())
    if reference is None and narrow and isinstance(module, nn.Module):
        reference = module if _computes_in_float64(outputs, params) else None
    wide_loss = None
    if reference is not None:
        wide_loss = lambda p: contracted(outputs(p, reference))  # noqa: E731

    def grads(p: dict[str, Tensor]) -> dict[str, Tensor]:
        leaves = list(p.values())
        found = torch.autograd.grad(loss(p), leaves, allow_unused=True, materialize_grads=True)
        return dict(zip(p, found, strict=True))

    watched = _relus(module)

    def activations(p: dict[str, Tensor]) -> dict[str, Tensor]:
        seen: dict[str, Tensor] = {}

        def keep(name: str) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
            return lambda _, entered: seen.update(
                {name: entered[0].detach().clone().reshape(-1, entered[0].shape[-1])}
            )

        hooks = [relu.register_forward_pre_hook(keep(name)) for name, relu in watched.items()]
        try:
            with torch.no_grad():
                outputs(p)
        finally:
            for hook in hooks:
                hook.remove()
        return seen

    return gradcheck(
        loss,
        params,
        grads,
        activations=activations if watched else None,
        reference=wide_loss,
        seed=seed,
        **options,
    )


def _computes_in_float64(
    outputs: Callable[[dict[str, Tensor]], list[Tensor]], params: dict[str, Tensor]
) -> bool:
    try:
        made = outputs({name: p.detach().double() for name, p in params.items()})
    except RuntimeError:  # it has a dtype of its own
        return False
    return all(o.dtype == torch.float64 for o in made)


def _tensors(made: Any) -> Iterator[Tensor]:
    """The float tensors in what a module returned."""
    if isinstance(made, Tensor):
        if made.is_floating_point():
            yield made
    elif isinstance(made, Mapping):
        yield from _tensors(list(made.values()))
    elif isinstance(made, list | tuple):
        for part in made:
            yield from _tensors(part)


def _relus(module: Any) -> dict[str, nn.Module]:
    """The ReLUs of a stack of affine layers; of anything else none: there the certificate fails."""
    affine = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Flatten, nn.Identity)
    if type(module) is not nn.Sequential:
        return {}
    layers = dict(module.named_children())  # a layer that is there twice is named once
    if len(layers) < len(module) or not all(
        type(layer) in (*affine, nn.ReLU) for layer in layers.values()
    ):
        return {}
    return {f"input of {n}": m for n, m in layers.items() if isinstance(m, nn.ReLU)}
