"""A tensor as the real numbers in it that can be moved, and back."""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from handgrad.checker.trees import mapped


def covector(o: Tensor, rng: np.random.Generator) -> Tensor:
    """Random weights for an output: with ones, a softmax's error would not be seen."""
    drawn = rng.standard_normal((*o.shape, 2) if o.is_complex() else tuple(o.shape))
    c = torch.as_tensor(drawn, device=o.device)
    return (torch.view_as_complex(c) if o.is_complex() else c).to(o.dtype)


def numbers(t: Tensor) -> Tensor:
    """The real numbers in a tensor that can be moved, see the top of the file."""
    real = as_real(t)
    finite = real.isfinite()
    return real if finite.all() else real[finite]


def rebuilt(t: Tensor, p: Tensor) -> Tensor:
    """A tensor like t with the numbers of p in it: the inverse of `numbers`, and recorded."""
    if p.shape == t.shape and is_plain(t):
        return p
    real = as_real(t.detach())
    real = p if p.shape == real.shape else real.to(p.dtype).masked_scatter(real.isfinite(), p)
    values = torch.view_as_complex(real) if t.is_complex() else real
    if t.layout == torch.sparse_coo:
        where = t.detach().coalesce().indices()
        return torch.sparse_coo_tensor(where, values, t.shape, is_coalesced=True)
    if t.layout == torch.sparse_csr:
        return torch.sparse_csr_tensor(t.crow_indices(), t.col_indices(), values, t.shape)
    return values


def as_real(t: Tensor) -> Tensor:
    if t.layout == torch.sparse_coo:
        t = t.coalesce().values()
    elif t.layout != torch.strided:
        t = t.values()
    return torch.view_as_real(t.resolve_conj()) if t.is_complex() else t


def is_plain(t: Any) -> bool:
    """Whether it is a dense tensor of real numbers."""
    return isinstance(t, Tensor) and t.is_floating_point() and t.layout == torch.strided


def has_gradient(t: Tensor) -> bool:
    return t.is_floating_point() or t.is_complex()


def widest(dtype: torch.dtype) -> torch.dtype:
    if dtype.is_complex:
        return torch.complex128
    return torch.float64 if dtype.is_floating_point else dtype


def same(one: Tensor, other: Tensor, far: float = 0.0) -> bool:
    """Equal as far as another order of additions may make them, or `far`."""
    if torch.equal(one, other):
        return True
    size, gap = (float(torch.linalg.vector_norm(t, math.inf)) for t in (other, one - other))
    eps = float(torch.finfo(other.dtype).eps)
    return gap <= max(eps**0.5 * size, far)


def tensors_within(made: Any, name: str = "") -> dict[str, Tensor]:
    """The tensors in any nested structure, by name."""
    found: dict[str, Tensor] = {}
    mapped(made, lambda n, t: found.setdefault(n, t) if isinstance(t, Tensor) else t, name)
    return found


def differentiable(made: Any) -> Iterator[Tensor]:
    """The float and complex tensors in what a program returned."""
    for t in tensors_within(made).values():
        if has_gradient(t):
            yield t if t.layout == torch.strided else t.to_dense()
