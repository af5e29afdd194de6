"""Complex parameters as pairs of real numbers, and the two conventions of their gradients.

Of |z|² at 1 + 2j PyTorch gives ∂L/∂Re + i ∂L/∂Im = 2 + 4j; JAX and HIPS autograd give 2 − 4j.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from handgrad.checker.arrays import is_jax


@dataclass(frozen=True)
class Pairs:
    """The complex ones among parameters, each as a real array with an axis (Re, Im) at its end.

    conjugate: whether their gradients are ∂L/∂Re − i ∂L/∂Im.
    """

    names: frozenset[str]
    conjugate: bool

    @classmethod
    def of(cls, params: Mapping[str, Any], conjugate: bool | None = None) -> "Pairs":
        """By the convention of the arrays' library, where nobody says which."""
        names = frozenset(name for name, p in params.items() if is_complex(p))
        theirs = not any(hasattr(params[name], "detach") for name in names)
        return cls(names, theirs if conjugate is None else conjugate)

    def apart(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Real parameters."""
        return {n: _apart(p) if n in self.names else p for n, p in params.items()}

    def together(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """The caller's parameters."""
        return {n: _together(p) if n in self.names else p for n, p in params.items()}

    def gradients(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """The derivatives by the real parameters."""
        return {n: self._gradient(g) if n in self.names else g for n, g in given.items()}

    def _gradient(self, g: Any) -> Any:
        g = g if hasattr(g, "detach") else np.asarray(g)
        complex_one = g if is_complex(g) else g + 0j
        return _apart(complex_one.conj() if self.conjugate else complex_one)

    def __str__(self) -> str:
        sign, whose = (
            ("−", "JAX and HIPS autograd give") if self.conjugate else ("+", "PyTorch gives")
        )
        return f"complex gradients are read as ∂L/∂Re {sign} i ∂L/∂Im, as {whose} them"


def is_complex(value: Any) -> bool:
    """Whether it is a complex array or tensor."""
    if hasattr(value, "detach"):
        return bool(value.is_complex())
    return hasattr(value, "dtype") and np.issubdtype(value.dtype, np.complexfloating)


def _apart(z: Any) -> Any:
    if hasattr(z, "detach"):
        import torch

        return torch.view_as_real(z.resolve_conj())
    if is_jax(z):
        import jax.numpy

        return jax.numpy.stack([z.real, z.imag], -1)
    return np.stack([z.real, z.imag], -1)


def _together(p: Any) -> Any:
    if hasattr(p, "detach"):
        import torch

        return torch.view_as_complex(p.contiguous())
    if is_jax(p):
        import jax.lax

        return jax.lax.complex(p[..., 0], p[..., 1])
    return p[..., 0] + 1j * p[..., 1]
